"""The interface of a target, and the program that a device runs on one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from host_tools.run.world import World
from host_tools.sim.board import Board

OnStart = Callable[[World], None]
OnOutput = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """What the device runs beside the firmware.

    `module` has the application's `main(guard)`; `source` is its file, None for an application that ships. `libraries`
    are folders of modules, `files` lie in the device's working directory.
    """

    module: str
    source: Path | None = None
    libraries: Sequence[Path] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


class Target(Protocol):
    """Runs the program of a world's device. `board` is the class of that world's board."""

    board: type[Board]

    def run(self, world: World, program: Program, on_start: OnStart | None) -> None:
        """Runs the world to its end; calls `on_start(world)` before the device's first boot.

        Raises UsageError for bad input, `Crashed` when the program ended by itself.
        """
