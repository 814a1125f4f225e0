"""Makes the target that a name means."""

from __future__ import annotations

from host_tools.base.errors import UsageError
from host_tools.run.targets import names
from host_tools.run.targets.process import ProcessTarget
from host_tools.run.targets.target import OnOutput, Target


def choose(
    name: str, on_output: OnOutput | None = None, modem_port: str | None = None, pins: str | None = None
) -> Target:
    """The target `name`. `on_output` is called by simulated targets, the ports are for boards. UsageError: unknown."""
    if name in names.SIMULATED:
        return ProcessTarget(name, on_output)
    if names.is_board(name):
        from host_tools.run.targets.wired import WiredTarget  # only a board needs the serial port's libraries

        return WiredTarget(name, modem_port, pins)
    hint = f"use one of {', '.join(names.SIMULATED)}, {names.BOARD}PORT, {names.VIRTUAL}"
    raise UsageError("--target", "", f'"{name}" is not a target', hint)
