"""The picture from a device's count to the carrier's figure: a bar for each step, in units of a thousandth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

SCALE = 1000
_ROOM = 0.6  # left of the least level, in spans of the levels
_LEAST = 4  # of a bar that is not nothing


@dataclass(frozen=True)
class Bar:
    """`left`, `width`: where it is; `begins`, `ends`: the level before it and behind it."""

    name: str
    octets: int
    left: float
    width: float
    begins: float
    ends: float
    is_step: bool = True


@dataclass(frozen=True)
class Waterfall:
    """`origin`: the octets at which the axis begins."""

    bars: list[Bar]
    origin: int


def waterfall(carried: int, steps: Mapping[str, int], carrier: int) -> Waterfall:
    """The device's count, each step, the carrier's figure; no level between them is below 0. The axis begins at 0 or,
    where the steps would be too small to be seen, below the least level."""
    levels = [*accumulate(steps.values(), initial=carried)]
    low, high = min(levels), max(levels)
    origin = max(low - int((high - low) * _ROOM), 0)
    if high == low:
        origin = 0
    span = max(high - origin, 1)

    def place(octets: int) -> float:
        return round((octets - origin) * SCALE / span, 1)

    bars = [_whole("device", carried, place(carried))]
    for (name, octets), (before, after) in zip(steps.items(), pairwise(levels), strict=True):
        begins, ends = place(before), place(after)
        width = max(abs(ends - begins), _LEAST if octets else 0)
        bars.append(Bar(name, octets, min(begins, ends, SCALE - width), width, begins, ends))
    return Waterfall([*bars, _whole("carrier", carrier, place(carrier))], origin)


def _whole(name: str, octets: int, level: float) -> Bar:
    return Bar(name, octets, 0, max(level, _LEAST if octets else 0), level, level, is_step=False)


def stacked(steps: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """(step, left, width) of each step's share of all that differs, whichever way."""
    whole = sum(map(abs, steps.values()))
    left, found = 0.0, []
    for name, octets in steps.items():
        if octets:
            width = round(abs(octets) * SCALE / whole, 1)
            found.append((name, round(left, 1), width))
            left += width
    return found
