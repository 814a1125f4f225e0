"""A virtual board at the ports that a person with a real one has: the REPL's, and the one wired to its UART."""

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from host_tools.hardware.virtual import VirtualBoard
from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario
from host_tools.scenario.file import PowerCut
from host_tools.sim.realtime_cable import Cable

PINS = "own-esp32-quectel"


@dataclass
class WiredRig:
    board: VirtualBoard
    cable: Cable
    modem_port: str

    def run(self, loaded, pins=PINS, **options):
        target = f"board:{self.board.path}"
        return run_scenario(loaded, target, modem_port=self.modem_port, pins=pins, **options).to_json()


@contextlib.contextmanager
def bench_with(folder: Path):
    """Ports with the board whose flash lies in `folder`."""
    with (
        tempfile.TemporaryDirectory() as links,
        Cable() as cable,
        VirtualBoard(folder, str(Path(links, "port")), cable.ends[0]) as board,
    ):
        yield WiredRig(board, cable, cable.ends[1])


def live(name: str, modem: str | None = None) -> dict:
    """A shipped scenario; where its power is cut, on a board that has a relay."""
    loaded = scenario.load(name, modem)
    if any(isinstance(fault, PowerCut) for fault in loaded.faults):
        return run_scenario(loaded, "board:virtual").to_json()
    with tempfile.TemporaryDirectory() as folder, bench_with(Path(folder)) as workbench:
        return workbench.run(loaded)
