"""Prints the result of `fit` for people."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from host_tools.base.terminal import Column, Listing
from host_tools.base.units import size
from host_tools.planning.explain import yuan
from host_tools.planning.fit import Fit, Total
from host_tools.planning.show import span


def show_fit(found: Fit, console: Console) -> None:
    """Prints the ranking, the three best options, and the notes."""
    history = found.history
    many = f"{len(history.curves)} device{'' if len(history.curves) == 1 else 's'}"
    days = history.seconds / 86_400
    passed = f"{days:,.0f} device day{'' if round(days) == 1 else 's'}"
    console.print(f"{escape(history.where)}: {many}, {passed}, {size(history.total)}")
    if words := price_warning(found):
        console.print(f"[yellow]![/] {escape(words)}")
    table = Listing([Column("Plan", least=24), *(Column(name, right=True) for name in FIGURES)])
    for total in found.totals:
        table.add(escape(total.option.name), *figures(total))
    console.print(table)
    console.print(EXPLAINED)
    for words, total in (
        ("Least cost", found.cheapest),
        ("Least stopped", found.least_stopped),
        ("Best trade-off", found.trade_off),
    ):
        console.print(f"[bold]{words}[/]: {escape(total.option.name)}, {money(total)}, {stops(total)}")
    for note in found.notes:
        console.print(f"[cyan]i[/] {escape(note)}")


FIGURES = (
    "Yuan", "A month", "Stopped", "Slowed", "Lost", "Unused", "Dark avoided", "Overage avoided", "Reports kept",
)  # fmt: skip
"""What the ranking has of each option: the head of each column of `figures`."""
EXPLAINED = (
    "Cost and times are of all devices, a month is of one device. Lost: octets that would have been held back. "
    "What a guard avoids: time in which the carrier would have stopped the SIM, and cost beyond the plan; reports "
    "still go out of its reserve."
)


def figures(total: Total) -> tuple[str, ...]:
    """The figures of an option, in words."""
    costs = (f"{total.cost_fen / 100:.2f}", f"{total.cost_per_month_fen / 100:.2f}") if total.priced else ("?", "?")
    times = (_brief(total.stopped_s), _brief(total.slowed_s))
    return (*costs, *times, share(total.lost_share), share(total.unused_share), *saved(total))


def price_warning(found: Fit) -> str:
    """What is to be said first: which plans have no price; "" if each has one."""
    if not found.unpriced:
        return ""
    return f"no price: {', '.join(found.unpriced)}; give plan.account.fee_fen, without it costs are not compared"


def money(total: Total) -> str:
    """What an option costs, in words."""
    return yuan(total.cost_fen) if total.priced else "price unknown"


def saved(total: Total) -> tuple[str, str, str]:
    """What the guard saves: time without data, cost, reports; blank for an option without it."""
    if total.saved is None:
        return "", "", ""
    overage = f"{total.saved.overage_fen / 100:.2f}" if total.saved.overage_fen else "-"
    return _brief(total.saved.dark_s), overage, f"{total.saved.reports:,}" if total.saved.reports else "-"


def stops(total: Total) -> str:
    """How long data was stopped, in words."""
    if not total.stopped_s:
        return "never stopped"
    return f"{span(total.stopped_s)} without data, on {total.devices_stopped} of {total.devices}"


def _brief(seconds: int) -> str:
    """Days with one decimal, hours where they are fewer than two days, "-" for none."""
    if not seconds:
        return "-"
    return f"{seconds / 86_400:.1f} d" if seconds >= 2 * 86_400 else f"{seconds / 3_600:.1f} h"


def share(part: float) -> str:
    """ "-" for none, "<0.1 %" for little."""
    return "-" if not part else "<0.1 %" if part < 0.001 else f"{part * 100:.1f} %"
