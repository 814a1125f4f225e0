"""The command `usageguard bench`: measures figures in processes of their own, and shows them beside their goals."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from host_tools.base import workers
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Column, Listing
from host_tools.bench.figures import GROUPS, Figure, Measured, figures

TABLE = "<!-- bench -->", "<!-- /bench -->"


@dataclass(frozen=True)
class Result:
    """What was measured for the figure `name`; or why it could not be."""

    name: str
    measured: Measured | None
    missing: str = ""

    @property
    def figure(self) -> Figure:
        return figures()[self.name]

    @property
    def holds(self) -> bool:
        return self.measured is None or self.figure.holds(self.measured.value)

    @property
    def met(self) -> bool | None:
        return self.figure.met(self.measured.value) if self.measured else None

    def to_json(self) -> dict[str, Any]:
        measured = self.measured
        return {
            "name": self.name,
            "value": rounded(measured.value) if measured else None,
            "unit": self.figure.unit,
            "goal": self.figure.goal,
            "met": self.met,
            "peer": {name: rounded(value) for name, value in measured.peer.items()} if measured else {},
        }

    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, value, goal, whether it is met, and the peers, in words."""
        figure, measured = self.figure, self.measured
        sign = "≥" if figure.least else "≤"
        goal = "" if figure.goal is None else f"{sign} {shown(figure.goal)}"
        met = {True: "yes", False: "no", None: ""}[self.met]
        if not measured:
            return self.name, "–", goal, met, self.missing
        peer = ", ".join(f"{name} {shown(value)}" for name, value in measured.peer.items())
        return self.name, f"{shown(measured.value)} {figure.unit}", goal, met, peer


def rounded(value: float) -> float:
    """To four significant digits, and to whole numbers above."""
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def shown(value: float) -> str:
    return f"{round(value):,}" if abs(value) >= 100 else f"{value:.3g}"


def chosen(names: Sequence[str]) -> list[str]:
    """The figures that `names` are, or begin with; all without any. UsageError for a name of none."""
    known = figures()
    for name in names:
        if not any(_is_of(each, name) for each in known):
            raise UsageError("NAME", name, "is no figure and no group of them", f"use {', '.join(GROUPS)}")
    return [each for each in known if not names or any(_is_of(each, name) for name in names)]


def _is_of(figure: str, name: str) -> bool:
    return figure == name or figure.startswith(f"{name}.")


def measure(names: Sequence[str]) -> list[Result]:
    """Measures these figures one after the other, in this process."""
    results = []
    for name in names:
        try:
            value = figures()[name].measure()
        except UsageError as error:  # something is not installed
            results.append(Result(name, None, f"{error.where} {error.problem}"))
            continue
        results.append(Result(name, value if isinstance(value, Measured) else Measured(value)))
    return results


def run(names: Sequence[str], out: Console, err: Console) -> list[Result]:
    """Measures the figures that `names` choose; shows progress on `err` and the table on `out`."""
    todo = chosen(names)
    groups = [[name for name in todo if figures()[name].group == group] for group in GROUPS]
    groups = [group for group in groups if group]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    started = time.monotonic()
    results = []
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("figures", total=len(todo))
        for some in _measured(groups):
            results += some
            progress.advance(task, len(some))
    results.sort(key=lambda result: todo.index(result.name))
    out.print(table(results))
    missed = sum(result.met is False for result in results)
    out.print(f"{len(results)} figures in {time.monotonic() - started:.0f} s; {missed} goals are not reached")
    for result in results:
        if not result.holds and result.measured:
            out.print(
                f"[bold red]worse[/]  {result.name}: {shown(result.measured.value)}, held to {result.figure.bound}"
            )
    return results


def _measured(groups: list[list[str]]) -> Iterator[list[Result]]:
    count = min(os.cpu_count() or 1, len(groups))
    if count == 1:
        yield from (measure([name]) for group in groups for name in group)
        return
    with workers.results(measure, groups, count) as worked:
        yield from worked


def table(results: Sequence[Result]) -> Listing:
    right = ("value", "goal")
    listing = Listing([Column(name, right=name in right) for name in ("figure", "value", "goal", "met", "beside")])
    for result in results:
        listing.add(*result.cells())
    return listing


def markdown(results: Sequence[Result]) -> str:
    """The results as a Markdown table."""
    rows = [("Figure", "Value", "Goal", "Met", "Beside"), *(result.cells() for result in results)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---:|---:|---|---|")
    return "\n".join(lines)


def document(text: str, results: Sequence[Result]) -> str:
    """`text` with the table of `results` between the marks of TABLE."""
    begin, end = TABLE
    before, _, rest = text.partition(f"{begin}\n")
    _, found, after = rest.partition(end)
    if not found:
        raise UsageError("FILE", "", f"has no {begin} and {end}", "put both marks on lines of their own")
    return f"{before}{begin}\n{markdown(results)}\n{end}{after}"
