"""A scenario with everything it needs: its real services, progress on a terminal, the outcome."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from host_tools import bench, services
from host_tools.progress import Progress
from host_tools.scenario import Scenario


@dataclass(frozen=True)
class Outcome:
    """A run, and how many publications the real broker took (None without one)."""

    run: bench.RunResult
    publications: int | None


def play(scenario: Scenario, target: str, seed: int | None, console: Console, heading: str = "") -> Outcome:
    """Runs `scenario`. Raises UsageError for bad input."""
    with (
        services.for_scenario(scenario) as started,
        Progress(scenario, console, heading) as progress,
    ):
        collector = started.collector

        def step(world: bench.World) -> None:
            if collector:  # the first status comes before the device is online
                collector.now = world.clock.utc
            progress.step(world)

        run = bench.run(
            scenario,
            target,
            seed,
            on_event=progress.event,
            on_progress=step,
            services=started.addresses,
        )
        if collector:
            _add_reports(run, scenario, collector.received)
        return Outcome(run, started.mqtt and started.mqtt.publications)


def _add_reports(run: bench.RunResult, scenario: Scenario, received: int) -> None:
    """A real collector is not the bench's own: what it got counts as well."""
    upstream = run.summary["upstream"]
    upstream["reports_received"] += received
    upstream["reports_lost"] = max(0, upstream["reports_sent"] - upstream["reports_received"])
    run.summary["failures"] = scenario.expect.failures(run.summary)
    run.summary["passed"] = not run.summary["failures"]
