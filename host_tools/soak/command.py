"""The command `usageguard soak`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from host_tools.base.units import size
from host_tools.soak import fleet, soak
from host_tools.soak.invariants import INVARIANTS

SHRUNK = 5
"""How many failures are shortened to a scenario file."""


def run(
    runs: int, seed: int, target: str, folder: Path, out: Console, err: Console, only: str = "", modem: str = ""
) -> dict[str, Any]:
    """Runs `runs` seeds from `seed` on, with the kind `only` from the field and the profile `modem` if given.

    Shows progress on `err` and the outcome on `out`, and returns it for `--json`. The first failures are written to
    short scenario files in `folder`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("runs", total=runs)

        def step(done: int, whole: int, failures: int) -> None:
            failed = f", [red]{failures} failed[/]" if failures else ""
            progress.update(task, completed=done, total=whole, description=f"runs{failed}")

        found = soak.run(seed, runs, target, step, only=only, modem=modem)
        found.failures.sort(key=lambda each: each.seed)
        for each in found.failures[:SHRUNK]:
            progress.update(task, description=f"shortening seed {each.seed}")
            found.files[each.seed] = str(soak.shrunk(each, target, folder, only=only, modem=modem))
    _print(found, out, _options(only, modem))
    return found.to_json()


def run_pool(devices: int, seed: int, out: Console, err: Console) -> dict[str, Any]:
    """A month of so many devices on one pool. Shows progress on `err` and the outcome on `out`, and returns it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("days", total=fleet.DAYS)
        lived = fleet.live(devices, seed, lambda day: progress.update(task, completed=day))
    mark = "[bold red]failed[/]" if lived.failures else "[green]passed[/]"
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(lived.orders.items()))
    out.print(
        f"{mark}  {devices:,} devices on a pool for {fleet.DAYS} days, in {lived.wall_s:.0f} s\n"
        f"      {size(lived.used)} of {size(lived.pool)} are used; it was divided {lived.divisions} times, and "
        f"{lived.unanswered} times the platform did not answer\n"
        f"      orders: {states}\n"
        f"      {len(lived.starved_h)} members had no share for some time, while there was some left for "
        f"{lived.longest_wait_h:.0f} h at the most"
    )
    for failure in lived.failures:
        out.print(f"      [red]✗[/] {escape(failure)}")
    return lived.to_json()


def _options(only: str, modem: str) -> str:
    return (f" --only {only}" if only else "") + (f" --modem {modem}" if modem else "")


def _print(found: soak.Soak, out: Console, options: str) -> None:
    days, rate = found.simulated_s / 86_400, found.runs / max(found.wall_s, 0.001)
    mark = "[green]passed[/]" if found.passed else "[bold red]failed[/]"
    out.print(
        f"{mark}  {found.runs:,} runs on {found.target}, {days:,.0f} simulated days, in {found.wall_s:.0f} s "
        f"({rate:.1f} per second)\n"
        f"      {sum(found.faults.values()):,} faults of {len(found.faults)} kinds; "
        f"{sum(found.checked.values()):,} checks of {len(found.checked)} invariants at {found.statuses:,} statuses"
    )
    for each in found.failures:
        out.print(f"      [red]✗[/] seed {each.seed}: {escape(each.detail)}")
        out.print(f"        [dim]{INVARIANTS[each.invariant]}[/]")
        if each.seed in found.files:
            out.print(f"        usageguard sim {escape(found.files[each.seed])}")
        out.print(f"        usageguard soak --seed {each.seed} --runs 1 --target {found.target}{options}")
