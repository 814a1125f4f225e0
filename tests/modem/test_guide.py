"""MODEMS.md: its commands and its driver are run, and what it names is there."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from usageguard.modem.buffered import BufferedConnection
from usageguard.modem.cellular import Cellular
from usageguard.modem.connection import Connection
from usageguard.modem.quectel import Quectel
from usageguard.modem.quectel_connection import QuectelConnection

from host_tools import cli
from host_tools.base import paths
from host_tools.scenario import file as scenario
from tests.modem.families import FAMILIES
from tests.modem.rig import DriverRig

ROOT = Path(__file__).parents[2]
GUIDE = paths.firmware() / "MODEMS.md"
TEXT = GUIDE.read_text("utf-8")


def blocks(language):
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """The first step: a copy of the linked profile, which is another model."""
    (linked,) = {GUIDE.parent / link for link in re.findall(r"\]\(([^)]*\.toml)\)", TEXT)}
    path = tmp_path / "my-modem.toml"
    path.write_text(linked.read_text("utf-8").replace('model = "EC200U"', 'model = "MINE"'))
    monkeypatch.chdir(tmp_path)
    return path


def command(name):
    """The words of the guide's line with `usageguard NAME`."""
    lines = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    (words,) = [words[1:] for words in lines if words[:2] == ["usageguard", name]]
    return words


@pytest.mark.realtime
def test_a_profile_of_ones_own_answers_at_clients(profile):
    serial = pytest.importorskip("serial")
    link = profile.parent / "modem"
    argv = [sys.executable, "-c", "from host_tools.cli import main; main()", *command("modem"), "--link", str(link)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as running:
        try:
            assert "the modem is at" in running.stdout.readline()
            with serial.Serial(str(link), 115_200, timeout=1) as port:
                said = b""
                for _ in range(20):
                    port.write(b"AT+CGMM\r")
                    said += port.read_until(b"OK\r\n")
                    if b"\r\nMINE\r\n" in said:
                        break
                else:
                    raise AssertionError(said)
        finally:
            running.send_signal(signal.SIGINT)


def test_the_firmware_runs_on_a_profile_of_ones_own(profile, capsys):
    assert cli.run(command("sim")) in (0, None), capsys.readouterr().err


def test_a_scenario_names_a_profile_by_its_path(profile, tmp_path, monkeypatch):
    (line,) = blocks("toml")
    folder = tmp_path / "scenarios"
    folder.mkdir()
    profile.rename(folder / profile.name)
    (folder / "mine.toml").write_text(line + (paths.scenarios() / "smoke.toml").read_text("utf-8"))
    assert scenario.load(folder / "mine.toml").modem == str(folder / profile.name)
    bad = folder / profile.name
    bad.write_text(bad.read_text("utf-8").replace('dialect = "quectel"', 'dialect = "ublox"'))
    assert cli.run(["sim", str(folder / "mine.toml")]) == 2


@pytest.mark.parametrize("argv", [["modem", "--profile"], ["sim", "smoke", "--modem"]], ids=["modem", "sim"])
def test_a_family_without_a_simulated_modem_is_refused_in_one_line(profile, argv, capsys):
    profile.write_text(profile.read_text("utf-8").replace('dialect = "quectel"', 'dialect = "ublox"'))
    assert cli.run([*argv, profile.name]) == 2
    said = capsys.readouterr().err
    assert 'my-modem.toml: dialect: there is no simulated modem for "ublox"; use "quectel"' in " ".join(said.split())


def test_the_driver_of_the_guide_gets_online():
    (code,) = blocks("python")
    space = {}
    exec(code, space)
    rig = DriverRig(FAMILIES["quectel"], driver=space["Acme"]).online()
    assert ("served",) in rig.listener.calls
    assert rig.run(60, lambda: rig.modem.time_reading)
    assert (rig.modem.time_day, rig.modem.iccid) == (9194, b"89860012345678901234")
    rig.carrier.stop("460001234567890", "manual")
    assert rig.run(60, lambda: rig.listener.count("refused", 133)), rig.listener.calls


def test_what_the_guide_names_is_there():
    (table,) = re.findall(r"^\| Member \| Task \|\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    members = [name for row in table.splitlines() for name in re.findall(r"`(\w+)(?:\(\))?`", row.split("|")[1])]
    assert len(members) == 10
    for name in members:
        assert name in vars(Quectel), name
        assert name.isupper() or name in vars(Cellular) or name == "_run", name
    for name in ("_connect", "_run", "count_unread"):
        assert name in vars(QuectelConnection) | vars(BufferedConnection), name
        assert f"`{name}" in TEXT
        assert name == "count_unread" or name in vars(Connection)
    for path in re.findall(r"`((?:firmware|host_tools|tests|boards)/[\w./]+)`", TEXT):
        if "NAME" not in path and "MODEL" not in path:
            assert (ROOT / path).exists(), path
    for block in blocks("sh"):
        for line in block.splitlines():
            assert all((ROOT / word).exists() for word in shlex.split(line) if word.startswith("tests/")), line
