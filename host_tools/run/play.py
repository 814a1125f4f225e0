"""Runs a scenario with its real servers, and with progress on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from host_tools.report.live import Progress
from host_tools.run import services
from host_tools.run.recorder import RunResult
from host_tools.run.run import run_scenario
from host_tools.run.world import IMSI, World, cycle_id
from host_tools.scenario.file import Scenario


@dataclass(frozen=True)
class Outcome:
    """A run's result, and how many publications the real MQTT broker received (None without one)."""

    run: RunResult
    publications: int | None


def play(
    scenario: Scenario, target: str, seed: int | None, console: Console, heading: str = "", **options: Any
) -> Outcome:
    """Runs `scenario` on `target`; further `options` are those of `run_scenario`. UsageError: bad input."""
    with (
        services.for_scenario(scenario) as started,
        Progress(scenario, console, heading) as progress,
    ):
        collector = started.collector
        errors: list[tuple[str, int, int, int]] = []

        def step(world: World) -> None:
            if collector:  # set at the first status, which comes before the device is online
                collector.now, collector.orders, collector.stops = world.collector_utc, world.order, world.stop
                world.owner.store = collector.store
            errors.extend(_error(world))
            progress.step(world.clock.utc(), world.done, world.board.status)

        result = run_scenario(
            scenario,
            target,
            seed,
            on_event=progress.event,
            on_progress=step,
            services=started.addresses,
            **options,
        )
        result.series["error"] = errors
        if collector:
            _add_reports(result, scenario, collector.received)
    return Outcome(result, started.mqtt and started.mqtt.publications)  # complete once the broker has ended


def _error(world: World) -> Iterator[tuple[str, int, int, int]]:
    """(time, the device's carried minus the carrier's IP octets, rated minus billed, the device's bound).

    Nothing while device and carrier are in different cycles.
    """
    device = world.board.status
    label = world.carrier.cycles(IMSI)[-1]
    if device["cycle"] == cycle_id(label):
        carrier = world.carrier.figures(IMSI, label)
        yield (
            world.clock.utc().isoformat(),
            device["carried_octets"] - carrier["ip_octets"],
            device["rated_octets"] - carrier["billed_octets"],
            device["error_bound_octets"],
        )


def _add_reports(result: RunResult, scenario: Scenario, received: int) -> None:
    """Adds the reports that a real collector received to the summary, and evaluates the expectations again."""
    upstream = result.summary["upstream"]
    upstream["reports_received"] += received
    upstream["reports_sent"] = max(upstream["reports_sent"], upstream["reports_received"])
    upstream["reports_lost"] = upstream["reports_sent"] - upstream["reports_received"]
    result.summary["failures"] = scenario.expected.failures(result.summary)
    result.summary["passed"] = not result.summary["failures"]
