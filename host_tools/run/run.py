"""Runs a scenario on a target and checks its expectations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from host_tools.build.libraries import library
from host_tools.run import apps
from host_tools.run.recorder import Recorder, RunResult
from host_tools.run.targets import names
from host_tools.run.targets.choose import choose
from host_tools.run.targets.target import OnOutput, OnStart, Program, Target
from host_tools.run.world import World
from host_tools.scenario.file import Scenario
from host_tools.sim.clock import Clock


def run_scenario(
    scenario: Scenario,
    target: str | Target = names.MICROPYTHON,
    seed: int | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    on_progress: Callable[[World], None] | None = None,
    services: Mapping[str, tuple[str, int]] | None = None,
    files: Mapping[str, bytes] | None = None,
    libraries: Sequence[str] = (),
    on_start: OnStart | None = None,
    on_output: OnOutput | None = None,
    modem_port: str | None = None,
    pins: str | None = None,
    clock: Clock | None = None,
) -> RunResult:
    """Runs `scenario` on `target` to its end and evaluates its expectations.

    `seed` replaces the scenario's. `services` has the addresses of the servers that the scenario's bridges name.
    `files` lie beside the device's program, stock `libraries` (`host_tools.build.libraries`) among its modules.
    `on_event` gets each event, `on_progress` the world after each status of the device, `on_start` the world before
    the device's first boot, `on_output` what a simulated device printed in a boot, when that boot is over.
    `modem_port` and `pins` are for a board: see `host_tools.run.targets.rig`. `clock` is the world's, where it shares
    its time with others.
    Raises UsageError for bad input, `Crashed` when the device's program ended by itself.
    """
    chosen = choose(target, on_output, modem_port, pins) if isinstance(target, str) else target
    started = time.monotonic()
    world = World(scenario, scenario.seed if seed is None else seed, services or {}, chosen.board, clock)
    if on_event:
        world.log.listeners.append(on_event)
    recorder = Recorder(world, on_progress)
    module, source = apps.module(scenario)
    folders = [library(name) for name in (*apps.APPS.get(scenario.app.name, ()), *libraries)]
    with contextlib.closing(world):
        chosen.run(world, Program(module, source, folders, files or {}), on_start)
    summary = recorder.summary(target if isinstance(target, str) else names.CPYTHON, time.monotonic() - started)
    summary["failures"] = scenario.expected.failures(summary)
    summary["passed"] = not summary["failures"]
    return RunResult(summary, recorder.series())
