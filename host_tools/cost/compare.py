"""Holds a month's cost to a budget and to a baseline, and names the causes that grew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.base.units import size
from host_tools.cost.causes import WORDS
from host_tools.cost.project import FORMAT

_HINT = "name a file that `usageguard cost --json FILE` has written"
_WORTH_PERMILLE = 10
"""A cause is named where it grew by so much of the baseline's month."""


def read_baseline(path: Path) -> dict[str, Any]:
    """The figures of an earlier run. UsageError if the file has none."""
    found = files.parse(files.text(path, _HINT, str(path)), str(path), True, _HINT)
    month, causes = found.get("month"), found.get("causes")
    if found.get("format") != FORMAT or not isinstance(causes, dict) or not isinstance(month, dict):
        raise UsageError(str(path), "", "has no figures of `usageguard cost`", _HINT)
    if not isinstance(month.get("octets"), int) or not all(isinstance(n, int) for n in causes.values()):
        raise UsageError(str(path), "month.octets", "is not a number of octets", _HINT)
    return found


def growth(now: dict[str, Any], before: dict[str, Any]) -> list[tuple[str, int]]:
    """(cause, octets a month more than before), the most first; negative for what shrank."""
    causes = {*now["causes"], *before["causes"]}
    grown = [(cause, now["causes"].get(cause, 0) - before["causes"].get(cause, 0)) for cause in causes]
    return sorted(grown, key=lambda item: (-item[1], item[0]))


def failures(
    found: dict[str, Any], budget: int | None, baseline: dict[str, Any] | None, tolerance_percent: float
) -> list[str]:
    """One line for each limit that the month's expected octets exceed, and for an application that always crashes."""
    lines: list[str] = []
    if found["crashed_runs"] == found["runs"]:
        lines.append(f"the application crashed in every run, {found['crashes']:,} times: {found['error']}")
    octets = found["month"]["octets"]
    grown = _named(found, baseline) if baseline else ""
    if budget is not None and octets > budget:
        why = grown or f"; most is {_largest(found)}"
        lines.append(f"{size(octets)} a month is above the budget of {size(budget)}{why}")
    if baseline:
        before = baseline["month"]["octets"]
        if octets > before * (1 + tolerance_percent / 100):
            percent = f"{100 * (octets - before) / before:.0f} %" if before else "infinitely"
            lines.append(
                f"{size(octets)} a month is {percent} more than the baseline's {size(before)}, "
                f"and {tolerance_percent:g} % are allowed{grown}"
            )
    return lines


def _named(found: dict[str, Any], before: dict[str, Any]) -> str:
    """The causes that grew, in words."""
    worth = max(1, before["month"]["octets"] * _WORTH_PERMILLE // 1000)
    grown = [f"{WORDS.get(cause, cause)} +{size(n)}" for cause, n in growth(found, before) if n >= worth]
    return f"; grown: {', '.join(grown[:3])}" if grown else ""


def _largest(found: dict[str, Any]) -> str:
    causes = found["causes"]
    cause = max(causes, key=causes.__getitem__)
    return f"{WORDS.get(cause, cause)}, {size(causes[cause])}"
