"""`usageguard cost`: what an application costs a month."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from host_tools.base import workers
from host_tools.cost import measure
from host_tools.cost.measure import QUALITIES, Job, Measured
from host_tools.cost.project import month


def run(
    app: str,
    plan: str | None,
    days: int,
    seeds: int,
    hosts: Sequence[str],
    beside: Sequence[Path],
    target: str,
    processes: int | None,
    err: Console,
) -> dict[str, Any]:
    """What `usageguard cost --json` prints, without failures; progress on `err`. UsageError for bad input.

    `beside` are files that the application reads; modules beside it, and stock libraries, are found by its imports.
    """
    scenario, sold = measure.compose(app, plan, hosts)
    contents: dict[str, bytes] = {path.name: path.read_bytes() for path in beside}
    libraries: list[str] = []
    if Path(app).is_file():
        modules, libraries = measure.imports(Path(app))
        contents |= {path.name: path.read_bytes() for path in modules}
    jobs = [
        Job(scenario, target, days, quality, seed, contents, tuple(libraries), sold.hours)
        for seed in range(1, seeds + 1)
        for quality in QUALITIES
    ]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("runs", total=len(jobs))
        runs = _all(jobs, processes, lambda: progress.advance(task))
    runs.sort(key=lambda each: ([quality.name for quality in QUALITIES].index(each.quality), each.seed))
    return {"app": Path(app).name, "target": target, **month(runs, sold)}


def _all(jobs: Sequence[Job], processes: int | None, done: Callable[[], None]) -> list[Measured]:
    runs: list[Measured] = []
    if processes == 1:
        for job in jobs:
            runs.append(measure.measure(job))
            done()
        return runs
    with workers.results(measure.measure, jobs, processes) as results:
        for result in results:
            runs.append(result)
            done()
    return runs
