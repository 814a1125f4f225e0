"""On a machine without a MicroPython VM, commands that need it say what to do, and --target cpython works."""

from types import SimpleNamespace

import pytest

from host_tools import cli
from host_tools.build import micropython

MISSING = (
    "usageguard: MICROPYTHON: is not set, and no MicroPython VM is installed; "
    "build MicroPython's unix port and set MICROPYTHON to the program, or use --target cpython\n"
)


@pytest.fixture(autouse=True)
def no_vm(monkeypatch, tmp_path):
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(micropython, "sys", SimpleNamespace(executable=str(tmp_path / "python")))


@pytest.mark.parametrize(
    "arguments",
    ["demo", "sim smoke", "sim smoke --target board:virtual", "soak --target micropython", "virtual-board --dir board"],
)
def test_a_command_that_needs_it_says_what_to_do(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments.split()) == 2
    assert capsys.readouterr() == ("", MISSING)
    assert not list(tmp_path.glob("*.html")), "nothing is written before the check"


def test_cpython_needs_none(capsys):
    assert cli.run(["sim", "smoke", "--target", "cpython"]) == 0
    assert "held  smoke" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["/nowhere/micropython", "."])
def test_a_wrong_name_is_reported(monkeypatch, capsys, value):
    monkeypatch.setenv("MICROPYTHON", value)
    assert cli.run(["sim", "smoke"]) == 2
    assert capsys.readouterr().err.startswith(f'usageguard: MICROPYTHON: "{value}" is not a program; name a ')
