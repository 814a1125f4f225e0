"""MODEMS.md: its commands and the family that it makes are run, and what it names is there."""

import ast
import os
import re
import shlex
import shutil
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

ROOT = Path(__file__).parents[2]
GUIDE = paths.firmware() / "MODEMS.md"
TEXT = GUIDE.read_text("utf-8")
LINKED = [GUIDE.parent / link for link in re.findall(r"\]\(([^)]*\.toml)\)", TEXT)]
DIALECT = "host_tools.sim.modem.dialects.acme"
WALK = (
    *("tests/modem/test_acme_portable.py", "tests/modem/test_driver_with_sim.py", "tests/modem/test_random_faults.py"),
    *("tests/packaging/test_mip.py", "tests/core/test_on_vm.py", "-k", "acme"),
)


def blocks(language):
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """The first step: a copy of the linked profile, which is another model."""
    linked = LINKED[0]
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
    line, _ = blocks("toml")
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


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the new family, each piece where the guide says."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("boards", "firmware", "host_tools", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, root)
    driver, connection, dialect, transcript, entry = blocks("python")
    (changed,) = (block for block in blocks("toml") if "dialect" in block)
    profile = LINKED[1].read_text("utf-8")
    for line in changed.splitlines():
        profile = put(profile, rf"^{line.partition(' =')[0]} = .*$", line)
    for place, text in {
        "firmware/usageguard/modem/acme.py": driver,
        "firmware/usageguard/modem/acme_connection.py": connection,
        "host_tools/sim/modem/dialects/acme.py": dialect,
        "host_tools/sim/modem/profiles/acme-one.toml": profile,
        "tests/modem/test_acme_portable.py": transcript,
    }.items():
        assert not (root / place).exists()
        (root / place).write_text(text, "utf-8")
    load, families = root / "firmware/usageguard/config/load.py", root / "tests/modem/families.py"
    load.write_text(put(load.read_text(), r"^(FAMILIES = .*)\)$", r'\1, "acme")'))
    families.write_text(families.read_text() + "\n\nfrom usageguard.modem.acme import Acme\n\n" + entry)
    dialects = root / "host_tools/sim/modem/dialects/__init__.py"
    text = put(dialects.read_text(), r"^DIALECTS.*$", f"from {DIALECT} import Acme\n\n\\g<0>\n    \"acme\": Acme,")
    dialects.write_text(text)
    run(root, "tests/packaging/listing.py")
    return root


def put(text, pattern, line):
    changed, count = re.subn(pattern, line, text, flags=re.MULTILINE)
    assert count == 1, pattern
    return changed


def run(root, *words):
    environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'firmware'}"}
    done = subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.proof
def test_the_new_family_passes_what_the_guide_lists(project):
    """Its transcript tests on both interpreters, and all that every family passes, each fault among them."""
    said = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "proof or not proof", *WALK)
    assert int(re.search(r"(\d+) passed", said)[1]) > 60, said


@pytest.mark.proof
def test_the_new_family_serves_again_after_each_fault(project):
    trials = "{fault: matrix.trial('acme', fault, seed).passed for fault in matrix.FAULTS for seed in matrix.SEEDS}"
    outcomes = ast.literal_eval(run(project, "-c", f"from tests.modem import matrix; print({trials})"))
    assert len(outcomes) > 20
    assert all(outcomes.values()), outcomes


def test_the_firmware_runs_on_the_new_family(project):
    said = run(project, "-m", "host_tools", "sim", "smoke", "--target", "cpython", "--modem", "acme-one")
    assert said.startswith("held"), said


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
