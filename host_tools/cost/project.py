"""Projects measured days to a month, with the range in which another month is to be expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from host_tools.cost.causes import OTHER
from host_tools.cost.measure import Measured, Sold

MONTH_DAYS = 30
FORMAT = 1
_T_98 = (31.8, 6.96, 4.54, 3.75, 3.36, 3.14, 3.00, 2.90, 2.82)
"""Student's t for 98 % in the middle, by degrees of freedom from 1."""
_LEAST_PERMILLE = 10
"""A range is this wide at least, each way: some things happen less often than the days that were simulated."""
_ALONE_PERMILLE = 100
"""The range of a single run."""


def scaled(run: Measured, of_first: float, of_whole: float) -> float:
    """A figure of a month: the first day, in which a device starts, as it is, and each other day as the rest."""
    if run.days == 1:
        return of_whole * MONTH_DAYS
    return of_first + (of_whole - of_first) * (MONTH_DAYS - 1) / (run.days - 1)


@dataclass(frozen=True)
class Estimate:
    """Octets a month, and the range in which another month lies."""

    octets: float
    least: float
    most: float

    def to_json(self) -> dict[str, int]:
        return {"octets": round(self.octets), "least": round(self.least), "most": round(self.most)}


def of_network(runs: Sequence[Measured]) -> Estimate:
    """The estimate of one network, from runs that differ by their seeds."""
    months = [scaled(run, run.first.billed, run.whole.billed) for run in runs]
    middle = fmean(months)
    width = middle * _LEAST_PERMILLE / 1000
    if len(months) == 1:
        width = middle * _ALONE_PERMILLE / 1000
    else:
        days = max(1, runs[0].days - 1)
        t = _T_98[min(len(months) - 1, len(_T_98)) - 1]
        # The mean of the runs is uncertain, and so is the month, which has many of such days.
        width = max(width, t * stdev(months) * sqrt(1 / len(months) + days / MONTH_DAYS))
    return Estimate(middle, max(0.0, middle - width), middle + width)


def month(runs: Sequence[Measured], sold: Sold) -> dict[str, Any]:
    """What `usageguard cost --json` prints, but for the application's name and failures."""
    networks: dict[str, list[Measured]] = {}
    for run in runs:
        networks.setdefault(run.quality, []).append(run)
    each = {name: of_network(of) for name, of in networks.items()}
    octets = fmean(estimate.octets for estimate in each.values())
    least, most = min(e.least for e in each.values()), max(e.most for e in each.values())
    classes = _classes(runs)
    causes: Counter[str] = Counter()
    for of_class in classes.values():
        causes.update(of_class)
    billed = sum(run.billed_octets for run in runs)
    explained = sum(run.whole.billed - sum(of[OTHER] for of in run.whole.octets.values()) for run in runs)

    def mean(value: Any) -> float:
        return fmean(scaled(run, value(run.first), value(run.whole)) for run in runs)

    hours, in_hours = sold.hours, mean(lambda usage: usage.in_hours)
    debited = octets
    if hours is not None:
        debited -= min(in_hours, hours.octets or in_hours) * (1000 - hours.charged_permille) / 1000
    sends, waited_ms = sum(run.waits.sends for run in runs), sum(run.waits.total_ms for run in runs)
    learned: dict[str, set[str]] = {}
    for run in runs:
        for name, spoke in run.learned.items():
            learned.setdefault(name, set()).update(spoke)
    return {
        "format": FORMAT,
        "days": runs[0].days,
        "runs": len(runs),
        "month": {
            **Estimate(octets, least, most).to_json(),
            "sessions": round(mean(lambda usage: usage.sessions), 1),
            "packets": round(mean(lambda usage: usage.packets)),
            "sms": round(mean(lambda usage: usage.sms)),
            "radio_on_s": round(mean(lambda usage: usage.radio_s)),
            "send_wait_ms": round(waited_ms / sends, 1) if sends else 0.0,
            "longest_send_wait_ms": max(run.waits.most_ms for run in runs),
            "allowance_octets": sold.allowance_octets,
            "days_until_used_up": round(sold.allowance_octets * MONTH_DAYS / debited, 1) if debited > 0 else None,
            "hours": {"octets": round(in_hours), "debited_octets": round(debited)} if hours else None,
        },
        "causes": {name: round(n) for name, n in causes.most_common() if round(n)},
        "classes": {name: {c: round(n) for c, n in of.most_common() if round(n)} for name, of in classes.items()},
        "explained": round(explained / billed, 4) if billed else 1.0,
        "networks": {name: estimate.to_json() for name, estimate in each.items()},
        "learned_hosts": {name: sorted(spoke) for name, spoke in learned.items()},
        "crashes": sum(run.crashes for run in runs),
        "crashed_runs": sum(run.crashes > 0 for run in runs),
        "error": next((run.error for run in runs if run.error), ""),
        "hangs": sum(run.hangs for run in runs),
    }


def _classes(runs: Sequence[Measured]) -> dict[str, Counter[str]]:
    """Octets a month by class and cause: the mean over the networks, which have equally many runs."""
    classes: dict[str, Counter[str]] = {}
    for run in runs:
        for name, of in run.whole.octets.items():
            before = run.first.octets.get(name, Counter())
            into = classes.setdefault(name, Counter())
            for cause, n in of.items():
                into[cause] += scaled(run, before[cause], n) / len(runs)  # type: ignore[assignment]
    return dict(sorted(classes.items(), key=lambda item: -sum(item[1].values())))
