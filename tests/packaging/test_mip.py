"""`mpremote mip install` of the package as it stands, onto a virtual board, which then starts the guard from it."""

import json
import subprocess
import sys

import pytest
from usageguard.config.load import FAMILIES

from host_tools.base import paths
from host_tools.build import modules
from host_tools.hardware import boards
from host_tools.hardware.port import Port
from host_tools.hardware.virtual import VirtualBoard
from tests.packaging import listing

FIRMWARE = paths.firmware()
CONFIG = {
    "device": {"id": "meter-7", "key": "5a" * 32},
    "modem": {"family": "quectel", "apn": "cmiot"},
    "plan": {"allowance_octets": 30_000_000},
}
APP = "def main(guard):\n    while True:\n        guard.sleep(60_000)\n"


def test_the_package_lists_the_tree_as_it_is():
    hint = "run: python tests/packaging/listing.py"
    assert (FIRMWARE / "package.json").read_text("ascii") == listing.text(), hint


@pytest.mark.parametrize("family", FAMILIES)
def test_it_has_every_module_that_a_device_imports(family):
    listed = {name for name, _ in json.loads((FIRMWARE / "package.json").read_text("ascii"))["urls"]}
    for module in modules.reached([*modules.BOARD, modules.driver(family)], modules.ELSEWHERE):
        path = module.replace(".", "/")
        assert listed & {f"{path}.py", f"{path}/__init__.py"}, f"{module} is missing"
    assert not any("host" in name or "virtual" in name for name in listed)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board with the package installed from its folder, as a user would."""
    folder = tmp_path_factory.mktemp("mip")
    with VirtualBoard(folder / "board", str(folder / "port")) as board:
        mpremote(board, "mip", "install", "./package.json")
        yield board


def mpremote(board, *words, cwd=FIRMWARE):
    command = [sys.executable, "-m", "mpremote", "connect", board.path, *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.proof
@pytest.mark.realtime
def test_installed_modules_are_found_and_imported(board):
    # Compiling takes heap: its garbage is collected early, as main.py has it done.
    code = "import gc; gc.threshold(2048); import usageguard.guard.guard as g; print(g.__file__)"
    assert mpremote(board, "exec", code).split() == ["/lib/usageguard/guard/guard.py"]
    code = "import os; print(os.stat('/lib/usageguard/core/policy.py')[6])"
    assert int(mpremote(board, "exec", code)) == (FIRMWARE / "usageguard/core/policy.py").stat().st_size


@pytest.mark.proof
@pytest.mark.realtime
def test_the_guard_starts_from_what_was_installed(board, tmp_path):
    for name, value in (("config.json", CONFIG), ("board.json", boards.load("own-esp32-quectel").device_json())):
        (tmp_path / name).write_text(json.dumps(value))
    (tmp_path / "application.py").write_text(APP)
    here = ("config.json", "board.json", "application.py")
    mpremote(board, "cp", *here, ":lib/", "+", "cp", str(FIRMWARE / "main.py"), ":main.py", cwd=tmp_path)
    with Port(board.path) as port:
        port.repl()
        port.restart()
        said = []
        for line in port.lines(60):
            said.append(line)
            if line.startswith("ug {"):
                break
        assert json.loads(said[-1][3:])["verdict"] == "open", said
        assert "ug ledger-blank 0 0" in said
