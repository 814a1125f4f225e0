"""A scenario with everything it needs: its real services, progress on a terminal, the outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from host_tools import bench, services
from host_tools.progress import Progress
from host_tools.scenario import Scenario


@dataclass(frozen=True)
class Outcome:
    """A run, and how many publications the real broker took (None without one)."""

    run: bench.RunResult
    publications: int | None


def play(
    scenario: Scenario, target: str, seed: int | None, console: Console, heading: str = "", **options: Any
) -> Outcome:
    """Runs `scenario`; further `options` are those of `bench.run`. Raises UsageError for bad input."""
    with (
        services.for_scenario(scenario) as started,
        Progress(scenario, console, heading) as progress,
    ):
        collector = started.collector
        errors: list[tuple[str, int, int, int]] = []

        def step(world: bench.World) -> None:
            if collector:  # the first status comes before the device is online
                collector.now, collector.orders = world.clock.utc, world.order
                world.desk.store = collector.store
            errors.extend(_error(world))
            progress.step(world)

        run = bench.run(
            scenario,
            target,
            seed,
            on_event=progress.event,
            on_progress=step,
            services=started.addresses,
            **options,
        )
        run.series["error"] = errors
        if collector:
            _add_reports(run, scenario, collector.received)
    return Outcome(run, started.mqtt and started.mqtt.publications)  # complete once the broker has ended


def _error(world: bench.World) -> Iterator[tuple[str, int, int, int]]:
    """Time, counted minus carried, rated minus billed, and the device's bound; nothing where their cycles differ."""
    device = world.board.status
    label = world.carrier.cycles(bench.IMSI)[-1]
    if device["cycle"] == bench.cycle_id(label):
        carrier = world.carrier.figures(bench.IMSI, label)
        yield (
            world.clock.utc().isoformat(),
            device["carried_octets"] - carrier["ip_octets"],
            device["rated_octets"] - carrier["billed_octets"],
            device["error_bound_octets"],
        )


def _add_reports(run: bench.RunResult, scenario: Scenario, received: int) -> None:
    """A real collector is not the bench's own: what it got counts as well."""
    upstream = run.summary["upstream"]
    upstream["reports_received"] += received
    upstream["reports_sent"] = max(upstream["reports_sent"], upstream["reports_received"])
    upstream["reports_lost"] = upstream["reports_sent"] - upstream["reports_received"]
    run.summary["failures"] = scenario.expect.failures(run.summary)
    run.summary["passed"] = not run.summary["failures"]
