"""The guides say what is so: their commands and their examples are run as they stand, on what needs no hardware."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools import cli, paths
from host_tools.hardware.virtual import VirtualBoard

pytestmark = pytest.mark.realtime

pytest_plugins = ["pytester"]
DEVICE = paths.firmware() / "DEVICE.md"
MODEMS = paths.firmware() / "MODEMS.md"
BENCH = paths.PACKAGE / "BENCH.md"
EXAMPLE = Path(__file__).parents[1] / "plugin" / "example"


def blocks(guide, language):
    """The blocks of code in a guide."""
    return re.findall(rf"^```{language}\n(.*?)^```", guide.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(guide, *program):
    lines = (shlex.split(line) for block in blocks(guide, "sh") for line in block.splitlines())
    return [words[1:] for words in lines if words[0] in program]


@pytest.mark.parametrize("guide", [DEVICE, BENCH, MODEMS], ids=lambda guide: guide.name)
def test_links_lead_somewhere(guide):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", guide.read_text("utf-8")):
        assert (guide.parent / link).exists(), link


@pytest.mark.parametrize("words", commands(DEVICE, "usageguard"), ids=lambda words: words[0])
def test_the_options_of_every_command_are_there(words, capsys):
    assert cli.run([words[0], "--help"]) in (0, None)
    known = capsys.readouterr().out
    for option in (word for word in words[1:] if word.startswith("--")):
        assert option in known


def test_a_device_is_provisioned_and_deployed_to_as_the_guide_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(blocks(DEVICE, "toml")[0])
    Path("application.py").write_text(blocks(DEVICE, "python")[0])
    with VirtualBoard(tmp_path / "board", str(tmp_path / "port")) as board:
        for words in commands(DEVICE, "usageguard"):
            if words[0] in ("provision", "deploy"):
                there = [board.path if word == "/dev/ttyUSB0" else word for word in words]
                assert cli.run(there) in (0, None), capsys.readouterr().err
    assert "up: set a is in force" in capsys.readouterr().out


def test_board_json_is_made_as_the_guide_says(tmp_path):
    (line,) = [line for block in blocks(DEVICE, "sh") for line in block.splitlines() if line.startswith("python ")]
    words = shlex.split(line.partition(" > ")[0])
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert '"tx": 26' in done.stdout


def test_the_benchs_examples_pass(pytester, monkeypatch):
    for name in ("PYTEST_ADDOPTS", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]")
    shutil.copy(EXAMPLE / "my_app.py", pytester.path)
    tests = [block for block in blocks(BENCH, "python") if "def test_" in block]
    pytester.makepyfile("\n".join(tests))
    pytester.runpytest_subprocess("--target=cpython").assert_outcomes(passed=len(tests))


def test_the_benchs_arguments_are_taken(bench, tmp_path):
    """The long call of the guide, for a minute of it."""
    (call,) = [block for block in blocks(BENCH, "python") if block.startswith("run = ")]
    shutil.copy(EXAMPLE / "my_app.py", tmp_path)
    for name in ("helper.py", "ca.der"):
        (tmp_path / name).write_text("")
    call = call.replace('"my_app.py"', repr(str(tmp_path / "my_app.py"))).replace('duration="5d"', 'duration="1m"')
    call = call.replace('"helper.py", "ca.der"', f"{str(tmp_path / 'helper.py')!r}, {str(tmp_path / 'ca.der')!r}")
    space = {"bench": bench}
    exec(call, space)
    assert space["run"].carrier["allowance_octets"] == 2 * 1024**2


@pytest.fixture
def usageguard_target():
    return "cpython"
