"""Deployment as ROMFS to a virtual board whose image mounts it: the other half is written, tried, and given up."""

import pytest

from host_tools.base.errors import UsageError
from host_tools.hardware.deploy import DeployFailed
from host_tools.hardware.virtual import VirtualBoard
from tests.hardware.conftest import APP, Workbench
from tests.hardware.test_deploy import ask, says

pytestmark = pytest.mark.realtime

OCTETS = 1 << 18
HEADER = b"\xd2\xcd\x31"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("romfs")
    with VirtualBoard(folder / "board", str(folder / "port"), romfs_octets=OCTETS) as board:
        workbench = Workbench(folder, board)
        workbench.rom = folder / "board" / "romfs.bin"
        yield workbench


def headers(bench):
    rom = bench.rom.read_bytes()
    return [rom[at : at + 3] == HEADER for at in (0, OCTETS // 2)]


@pytest.mark.proof
def test_sets_take_turns_in_the_halves_and_one_that_fails_is_given_up(bench):
    first = bench.deploy(in_rom=True)
    assert (first.slot, headers(bench)) == ("a", [True, False])
    assert "start.mpy" in ask(bench.board, "__import__('os').listdir('/a')")
    again = bench.deploy(in_rom=True)
    assert (again.slot, again.sent) == ("a", []), "up to date"
    bench.app.write_text("import nothing_of_the_kind\n" + APP)
    with pytest.raises(DeployFailed, match="the board reverted to the set before it"):
        bench.deploy(in_rom=True)
    assert headers(bench) == [True, True]
    assert says(bench.board, ("ug up a", "ug up b")) == "ug up a"
    bench.app.write_text(APP.replace("60", "50"))
    second = bench.deploy(in_rom=True)
    assert second.slot == "b"
    assert says(bench.board, ("ug up a", "ug up b")) == "ug up b"


def test_a_board_has_its_sets_in_one_place(bench, workbench):
    with pytest.raises(UsageError, match="give --romfs"):
        bench.deploy()
    with pytest.raises(UsageError, match="mounts no ROMFS partition"):
        workbench.deploy(in_rom=True)
