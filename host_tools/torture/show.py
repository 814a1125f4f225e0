"""The output of `usageguard torture`: progress on a terminal, then a table and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from host_tools.base.terminal import Column, Listing
from host_tools.base.units import size
from host_tools.torture import torture, wear


def run(console: Console, seed: int | None = None) -> list[torture.Row]:
    """Runs all trials, of the workloads that `seed` draws; shows progress on a terminal and nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("torture", total=None)

        def step(done: int, total: int, cases: int) -> None:
            bar.update(task, total=total, completed=done, description=f"{cases:,} cases")

        return torture.run(on_progress=step, seed=seed)


def run_wear(console: Console) -> list[wear.Wear]:
    """Measures the wear; shows progress on a terminal and nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("a month of each plan", total=len(wear.PLANS))
        return wear.run(lambda rows: bar.advance(task))


def tell(console: Console, rows: Sequence[torture.Row], seed: int | None = None) -> None:
    """Prints the table, the verdict and the failures, and how to run those workloads again."""
    heads = ("cases", "under-counts", "double grants", "bit-rot rollbacks", "max over-count", "bound", "controls")
    table = Listing([Column("backend"), *(Column(head, right=True) for head in heads)])
    for row in rows:
        t = row.tally
        figures = (f"{n:,}" for n in (t.cases, t.under, t.double, t.rot_rollbacks))
        controls = f"{sum(row.caught.values())} of {len(row.caught)} caught"
        table.add(row.backend, *figures, size(t.over_octets), size(t.bound_octets), controls)
    console.print(table)
    for row in rows:
        verdict = "[green]passed[/]" if row.passed else "[bold red]failed[/]"
        trials = ", ".join(f"{n:,} {name}" for name, n in sorted(row.trials.items()))
        console.print(f"{verdict}  {row.backend}: {trials}")
        for failure in row.tally.failures:
            console.print(f"      [red]✗[/] {escape(failure)}")
        for name, caught in row.caught.items():
            if not caught:
                console.print(f"      [red]✗[/] the control {name} was not caught")
    if seed is not None:
        console.print(f"      [dim]usageguard torture --seed {seed}[/]")


def tell_wear(console: Console, rows: Sequence[wear.Wear]) -> None:
    """Prints the wear of each plan and backend."""
    heads = ("records per month", "erases per month", "most worn sector", "years")
    table = Listing([Column("plan"), Column("backend"), *(Column(head, right=True) for head in heads)])
    for row in rows:
        worst = f"{row.worst_erases:,.1f}"
        table.add(row.plan, row.backend, f"{row.records:,}", f"{row.erases:,}", worst, f"{row.years:,.0f}")
    console.print(table)
