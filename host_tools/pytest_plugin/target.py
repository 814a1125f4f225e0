"""Where a test's device runs: on this computer in virtual time, or on a board in real time."""

from __future__ import annotations

import io
from typing import Any

import msgspec
from rich.console import Console

from host_tools import play
from host_tools.bench import RunResult
from host_tools.errors import UsageError
from host_tools.hardware.port import resolve
from host_tools.scenario import Scenario
from host_tools.targets.board import PREFIX, VIRTUAL
from host_tools.targets.process import micropython


class Target:
    """What stands after --target, with what it needs. UsageError says what is missing here."""

    def __init__(self, name: str, modem_port: str | None = None, board: str | None = None) -> None:
        self.name = name
        self._options: dict[str, Any] = {}
        self.real_time = name.startswith(PREFIX)
        port = name.removeprefix(PREFIX)
        if name == "micropython" or port == VIRTUAL:
            micropython()
        elif self.real_time:
            _there("--target", port)
            if not modem_port:
                hint = "name the serial port that the board's UART for the modem is wired to"
                raise UsageError("--modem-port", "", "is missing", hint)
            _there("--modem-port", modem_port)
        if self.real_time:
            self._options = {"modem_port": modem_port, "pins": board}

    def play(self, scenario: Scenario, seed: int | None, **options: Any) -> RunResult:
        """Runs it to its end; `options` are those of `host_tools.bench.run`."""
        if self.real_time:
            scenario = msgspec.structs.replace(scenario, real_time=True)  # whoever names a board means it
        silent = Console(file=io.StringIO())
        return play.play(scenario, self.name, seed, silent, **self._options, **options).run


def _there(option: str, port: str) -> None:
    try:
        resolve(port)
    except UsageError as error:
        raise UsageError(option, error.field, error.problem, error.hint) from None
