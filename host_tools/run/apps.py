"""The application that a scenario's device runs, and what the built-in ones read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from host_tools.base.errors import UsageError
from host_tools.build.application import DEFINE, NO_MAIN, has_main
from host_tools.run.world import World
from host_tools.scenario.file import Scenario

APPS = {"workload": (), "umqtt-tracker": ("umqtt.simple",)}
"""The applications that ship, and the stock libraries that they import."""


def module(scenario: Scenario) -> tuple[str, Path | None]:
    """The application's module name and its file, None for one that ships. UsageError: it does not exist, or has no
    main."""
    name = scenario.app.name
    if name in APPS:
        return name.replace("-", "_"), None
    path = Path(name)
    if not path.is_file():
        hint = f"use {', '.join(APPS)} or a file"
        raise UsageError(scenario.name, "app.name", f'"{name}" is not an application', hint)
    if not has_main(path.read_bytes()):
        raise UsageError(scenario.name, "app.name", f'"{name}" {NO_MAIN}', DEFINE)
    return path.stem, path


def bench_json(world: World, app: str) -> dict[str, Any]:
    """The device's `bench.json`: its application's module, the scenario's traffic, and the time since its start."""
    scenario = world.scenario
    ports = {host.name: host.listens_on for host in scenario.hosts}
    return {
        "app": app,
        "manners": scenario.app.manners,
        "pauses": scenario.app.pauses,
        "modem_asleep": scenario.supply.asleep,
        "elapsed_ms": world.clock.now_us // 1000,
        "tells_openings": world.tells_openings,
        "tells_waits": world.tells_waits,
        "traffic": [
            {
                "class": habit.class_name,
                "kind": habit.kind,
                "host": habit.host,
                "port": ports[habit.host],
                "tx": int(habit.tx),
                "rx": int(habit.rx),
                "period_s": int(habit.period or scenario.duration),
                "from_s": int(habit.first),
                "until_s": int(habit.until) if habit.at is None else int(habit.at) + 1,
            }
            for habit in scenario.traffic
        ],
    }
