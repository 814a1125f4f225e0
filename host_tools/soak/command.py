"""What `usageguard soak` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from host_tools import soak
from host_tools.soak.watch import INVARIANTS

SHRUNK = 5
"""Failures that are made short; the others stand with their seeds."""


def run(runs: int, seed: int, target: str, folder: Path, out: Console, err: Console) -> dict[str, Any]:
    """Soaks with progress on `err`, tells of it on `out`, and returns it as JSON has it.

    A failure becomes a scenario file in `folder`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("lives", total=runs)

        def step(done: int, whole: int, failures: int) -> None:
            failed = f", [red]{failures} failed[/]" if failures else ""
            progress.update(task, completed=done, total=whole, description=f"lives{failed}")

        found = soak.run(seed, runs, target, step)
        found.failures.sort(key=lambda each: each.seed)
        for each in found.failures[:SHRUNK]:
            progress.update(task, description=f"shrinking seed {each.seed}")
            found.files[each.seed] = str(soak.shrunk(each, target, folder))
    _tell(found, out)
    return found.to_json()


def _tell(found: soak.Soak, out: Console) -> None:
    days, rate = found.simulated_s / 86_400, found.runs / max(found.wall_s, 0.001)
    mark = "[green]held[/]" if found.passed else "[bold red]failed[/]"
    out.print(
        f"{mark}  {found.runs:,} lives on {found.target}, {days:,.0f} days of theirs, in {found.wall_s:.0f} s "
        f"({rate:.1f} a second)\n"
        f"      {sum(found.faults.values()):,} faults of {len(found.faults)} kinds; "
        f"{sum(found.checked.values()):,} checks of {len(found.checked)} invariants at {found.statuses:,} statuses"
    )
    for each in found.failures:
        out.print(f"      [red]✗[/] seed {each.seed}: {escape(each.detail)}")
        out.print(f"        [dim]{INVARIANTS[each.invariant]}[/]")
        if each.seed in found.files:
            out.print(f"        usageguard sim {escape(found.files[each.seed])}")
        out.print(f"        usageguard soak --seed {each.seed} --runs 1 --target {found.target}")
