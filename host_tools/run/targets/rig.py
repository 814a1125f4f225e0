"""How a board is connected: its REPL, the port that is wired to its modem UART, its power; and what that can run."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from host_tools.base.errors import UsageError
from host_tools.hardware import boards
from host_tools.hardware.virtual import VirtualBoard
from host_tools.run.targets import names
from host_tools.scenario.file import PowerCut, Scenario
from host_tools.sim.realtime_cable import Cable

PINS_OF_VIRTUAL = "own-esp32-quectel"


class Relay(Protocol):
    """Switches the board's supply."""

    def power_off(self) -> None: ...
    def power_on(self) -> None: ...


@dataclass(frozen=True)
class Rig:
    """`port` is the board's REPL, `modem_port` the serial port that is wired to its modem UART.

    `pins` is a board.toml or the name of a board; None means the board.json of what was deployed to the board.
    """

    port: str
    modem_port: str
    pins: str | None = None
    relay: Relay | None = None


@contextlib.contextmanager
def rig(target: str, modem_port: str | None, pins: str | None) -> Iterator[Rig]:
    """The rig for `--target board:…` and its options. `board:virtual` gets a virtual board, connected by a cable.

    UsageError when `modem_port` is missing.
    """
    if target == names.VIRTUAL:
        with tempfile.TemporaryDirectory(prefix="usage-guard-") as folder, Cable() as cable:
            link = str(Path(folder, "port"))
            pins = pins or PINS_OF_VIRTUAL
            with VirtualBoard(Path(folder, "board"), link, cable.ends[0], boards.load(pins).mcu) as relay:
                yield Rig(link, cable.ends[1], pins, relay)
        return
    if not modem_port:
        hint = "name the port that is wired to the board's UART for the modem"
        raise UsageError("--modem-port", "", f"is missing, and --target {target} needs it", hint)
    yield Rig(target.removeprefix(names.BOARD), modem_port, pins)


def check(scenario: Scenario, rig: Rig) -> None:
    """UsageError for a scenario that cannot run on this rig."""
    if not scenario.real_time:
        hint = f"run it with --target {names.MICROPYTHON}; those marked real_time = true run on a board"
        raise UsageError(scenario.name, "", "does not run in real time", hint)
    for number, fault in enumerate(scenario.faults, 1):
        if isinstance(fault, PowerCut) and not rig.relay:
            hint = f"run it with --target {names.VIRTUAL} or {names.MICROPYTHON}"
            raise UsageError(scenario.name, f"fault #{number}", "nothing here can cut a board's power", hint)
