"""The target of a test: this computer in virtual time, or a board in real time."""

from __future__ import annotations

import io
from typing import Any

import msgspec
from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.build.micropython import micropython
from host_tools.hardware.port import resolve
from host_tools.run import play
from host_tools.run.recorder import RunResult
from host_tools.run.targets import names
from host_tools.scenario.file import Scenario


class Target:
    """The target `name` with its options. UsageError says what is missing on this computer."""

    def __init__(self, name: str, modem_port: str | None = None, board: str | None = None) -> None:
        self.name = name
        self._options: dict[str, Any] = {}
        self.real_time = names.is_board(name)
        if name in (names.MICROPYTHON, names.VIRTUAL):
            micropython()
        elif self.real_time:
            _check_port("--target", name.removeprefix(names.BOARD))
            if not modem_port:
                hint = "name the serial port that the board's UART for the modem is wired to"
                raise UsageError("--modem-port", "", "is missing", hint)
            _check_port("--modem-port", modem_port)
        if self.real_time:
            self._options = {"modem_port": modem_port, "pins": board}

    def play(self, scenario: Scenario, seed: int | None, **options: Any) -> RunResult:
        """Runs the scenario to its end; `options` are those of `run_scenario`."""
        if self.real_time:
            scenario = msgspec.structs.replace(scenario, real_time=True)  # the board was named explicitly
        silent = Console(file=io.StringIO())
        return play.play(scenario, self.name, seed, silent, **self._options, **options).run


def _check_port(option: str, port: str) -> None:
    try:
        resolve(port)
    except UsageError as error:
        raise UsageError(option, error.field, error.problem, error.hint) from None
