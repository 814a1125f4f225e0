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

        errors: list[tuple[str, int]] = []

        def step(world: bench.World) -> None:
            if collector:  # the first status comes before the device is online
                collector.now = world.clock.utc
            if (error := _error(world)) is not None:
                errors.append((world.clock.utc().isoformat(), error))
            progress.step(world)

        run = bench.run(
            scenario,
            target,
            seed,
            on_event=progress.event,
            on_progress=step,
            services=started.addresses,
        )
        run.series["error"] = errors
        if collector:
            _add_reports(run, scenario, collector.received)
        return Outcome(run, started.mqtt and started.mqtt.publications)


def _error(world: bench.World) -> int | None:
    """Rated minus billed octets now; None while the two are not in the same billing cycle."""
    status = world.board.status
    label = world.carrier.cycles(bench.IMSI)[-1]
    year, month = int(label[:4]), int(label[5:7])
    if status["cycle"] != (year - 2000) * 12 + month - 1:
        return None
    return status["rated_octets"] - world.carrier.figures(bench.IMSI, label)["billed_octets"]


def _add_reports(run: bench.RunResult, scenario: Scenario, received: int) -> None:
    """A real collector is not the bench's own: what it got counts as well."""
    upstream = run.summary["upstream"]
    upstream["reports_received"] += received
    upstream["reports_lost"] = max(0, upstream["reports_sent"] - upstream["reports_received"])
    run.summary["failures"] = scenario.expect.failures(run.summary)
    run.summary["passed"] = not run.summary["failures"]
