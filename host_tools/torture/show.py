"""What a person sees of the torture: progress on a terminal, then a table and a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from host_tools import torture
from host_tools.terminal import Column, Listing
from host_tools.torture import wear
from host_tools.units import size


def run(console: Console) -> list[torture.Row]:
    """The torture, with a bar on a terminal and nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("torture", total=None)

        def step(done: int, total: int, cases: int) -> None:
            bar.update(task, total=total, completed=done, description=f"{cases:,} cases")

        return torture.run(on_progress=step)


def run_wear(console: Console) -> list[wear.Wear]:
    """The months of wear, with a bar likewise."""
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("a month of each plan", total=len(wear.PLANS))
        return wear.run(lambda rows: bar.advance(task))


def tell(console: Console, rows: Sequence[torture.Row]) -> None:
    """The table and the verdict."""
    heads = ("cases", "under-counts", "double grants", "rolled back by rot", "most over", "bound", "controls")
    table = Listing([Column("backend"), *(Column(head, right=True) for head in heads)])
    for row in rows:
        t = row.tally
        figures = (f"{n:,}" for n in (t.cases, t.under, t.double, t.rot_rollbacks))
        controls = f"{sum(row.caught.values())} of {len(row.caught)} caught"
        table.add(row.backend, *figures, size(t.over_octets), size(t.bound_octets), controls)
    console.print(table)
    for row in rows:
        told = "[green]held[/]" if row.passed else "[bold red]failed[/]"
        console.print(f"{told}  {row.backend}: {', '.join(f'{n:,} {name}' for name, n in sorted(row.trials.items()))}")
        for failure in row.tally.failures:
            console.print(f"      [red]✗[/] {escape(failure)}")
        for name, caught in row.caught.items():
            if not caught:
                console.print(f"      [red]✗[/] the control {name} was not caught")


def tell_wear(console: Console, rows: Sequence[wear.Wear]) -> None:
    """Years, for each plan and backend."""
    heads = ("records a month", "erases a month", "most worn sector", "years")
    table = Listing([Column("plan"), Column("backend"), *(Column(head, right=True) for head in heads)])
    for row in rows:
        worst = f"{row.worst_erases:,.1f}"
        table.add(row.plan, row.backend, f"{row.records:,}", f"{row.erases:,}", worst, f"{row.years:,.0f}")
    console.print(table)
