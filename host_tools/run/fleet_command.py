"""`usageguard sim --devices`: how the work is spread, and what is printed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from host_tools.base import workers
from host_tools.base.units import size
from host_tools.run.fleet import FleetResult, Spread, run_fleet
from host_tools.scenario.file import Scenario

T = TypeVar("T")
R = TypeVar("R")

_MOST_FAILURES = 10


def run(
    scenario: Scenario,
    devices: int,
    target: str,
    seed: int | None,
    processes: int | None,
    dask: str | None,
    err: Console,
    say: Console,
) -> FleetResult:
    """Runs the fleet with progress on `err`, and says what became of it. UsageError: bad input."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("devices", total=devices)
        result = run_fleet(
            scenario,
            devices,
            target,
            seed,
            _spread(processes, dask),
            lambda done: progress.update(task, completed=done),
        )
    _say(result, say)
    return result


def _spread(processes: int | None, dask: str | None) -> Spread:
    if dask:
        from host_tools.run.dask_cluster import Cluster  # an extra

        return Cluster(dask).results
    return here if processes == 1 else partial(workers.results, processes=processes)


@contextmanager
def here(work: Callable[[T], R], todo: Sequence[T]) -> Iterator[Iterable[R]]:
    """In this process."""
    yield map(work, todo)


def _say(result: FleetResult, say: Console) -> None:
    summary = result.to_json()
    totals = summary["totals"]
    mark = "[green]held[/]" if result.passed else "[bold red]failed[/]"
    days, seconds = divmod(summary["simulated_s"], 86_400)
    say.print(
        f"{mark}  [bold]{escape(summary['scenario'])}[/]: {summary['devices']:,} devices, {days} d {seconds // 3600} h "
        f"in {summary['wall_s']:.1f} s on {summary['target']}, seeds from {summary['seed']} on\n"
        f"      the carrier billed {size(totals['billed_octets'])} and stopped {totals['stopped_by_carrier']:,}; "
        f"{totals['stopped_by_device']:,} stopped themselves\n"
        f"      reports: {totals['reports_received']:,} received, {totals['reports_lost']:,} lost"
    )
    for failure in summary["failures"][:_MOST_FAILURES]:
        say.print(f"      [red]✗[/] {escape(failure)}")
    if (more := len(summary["failures"]) - _MOST_FAILURES) > 0:
        say.print(f"      [red]✗[/] and {more:,} more")
