"""Where a test's device runs: on this computer in virtual time, or on a board in real time."""

from __future__ import annotations

import io
from typing import Any, Protocol

from rich.console import Console

from host_tools import play
from host_tools.bench import RunResult
from host_tools.scenario import Scenario
from host_tools.targets.process import micropython


class Target(Protocol):
    """Something that a scenario can be played on. `name` is as it stands after --target."""

    name: str

    def play(self, scenario: Scenario, seed: int | None, **options: Any) -> RunResult:
        """Runs it to its end; `options` are those of `host_tools.bench.run`: on_start, on_output, files, libraries."""
        ...


class Simulated:
    """CPython or the MicroPython VM. UsageError without a VM."""

    def __init__(self, name: str) -> None:
        if name == "micropython":
            micropython()
        self.name = name

    def play(self, scenario: Scenario, seed: int | None, **options: Any) -> RunResult:
        return play.play(scenario, self.name, seed, Console(file=io.StringIO()), **options).run


def choose(name: str, modem_port: str | None, board: str | None) -> Target:
    """The target of that name. UsageError says what it lacks."""
    kind, _, port = name.partition(":")
    if kind != "board":
        return Simulated(name)
    from host_tools.pytest_plugin.hardware import OnBoard

    return OnBoard(port, modem_port, board)
