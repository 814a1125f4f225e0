"""What would have become of a history under a plan: the firmware's own plan, policy and tariff, led along a curve.

Between two points of a curve use is even, so the only instants at which anything happens are those at which use comes
to the policy's next mark. The replay goes from one to the next, which makes a year of hours some dozen steps. What a
stop holds back is lost: nothing waits for the next day or period. So it is with what finds no room in a throttled line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from host_tools import paths
from host_tools.planning.usage import Curve, Ints

DAY_S = 86_400


@dataclass(frozen=True)
class Period:
    """The part of a curve in one billing period; `carried` and `rated` count from the period's beginning.

    `begin` and `end` are the period's own, of which the curve may know a part.
    """

    begin: int
    end: int
    times: Ints
    carried: Ints
    rated: Ints

    @property
    def covered_s(self) -> int:
        return int(self.times[-1] - self.times[0])

    @property
    def demand(self) -> int:
        return int(self.carried[-1])


@dataclass(frozen=True)
class Outcome:
    """One device's period under one plan; octets are carried ones, but for `rated_octets`, what the bill counts.

    Those leave out what a throttled line lets through, which is never billed.
    """

    demand_octets: int
    through_octets: int
    rated_octets: int
    stopped_s: int
    slowed_s: int
    fee_fen: int
    overage_fen: int
    paid_octets: int
    """Of the allowance, the part that belongs to the time that the history covers."""

    @property
    def lost_octets(self) -> int:
        return self.demand_octets - self.through_octets

    @property
    def unused_octets(self) -> int:
        return max(0, self.paid_octets - self.rated_octets)


def periods(curve: Curve, cycle: Any, rating: Any) -> list[Period]:
    """A curve cut into the periods of `cycle`; octets at a cut are those of an even use between two points."""
    found = []
    day, second = divmod(int(curve.times[0]), DAY_S)
    begin, end = (_seconds(each) for each in cycle.bounds(cycle.cycle_id(day, second)))
    last = int(curve.times[-1])
    while True:
        first, until = max(begin, int(curve.times[0])), min(end, last)
        inner = curve.times[np.searchsorted(curve.times, first, "right") : np.searchsorted(curve.times, until, "left")]
        times = np.concatenate(([first], inner, [until]))
        carried = _within(curve.times, curve.octets, first, until)
        packets = None if curve.packets is None else _within(curve.times, curve.packets, first, until)
        found.append(Period(begin, end, times, carried, _rated(carried, packets, rating)))
        if end >= last:
            return found
        day, second = divmod(end, DAY_S)
        begin, end = (_seconds(each) for each in cycle.bounds(cycle.cycle_id(day, second)))


def _seconds(instant: tuple[int, int]) -> int:
    return instant[0] * DAY_S + instant[1]


def _within(times: Ints, counts: Ints, first: int, until: int) -> Ints:
    """Counts since `first` at `first`, at each point between, and at `until`."""
    begin, end = value_at(times, counts, first), value_at(times, counts, until)
    inner = counts[np.searchsorted(times, first, "right") : np.searchsorted(times, until, "left")]
    return np.concatenate(([begin], inner, [end])) - begin


def value_at(xs: Ints, ys: Ints, x: int) -> int:
    """The value at `x`, one of the points or between two, of the line through them, rounded down.

    In Python's integers, as products grow beyond 64 bits.
    """
    right = int(np.searchsorted(xs, x, "left"))
    if int(xs[right]) == x:
        return int(ys[right])
    x0, x1, y0, y1 = int(xs[right - 1]), int(xs[right]), int(ys[right - 1]), int(ys[right])
    return y0 + (y1 - y0) * (x - x0) // (x1 - x0)


def _rated(carried: Ints, packets: Ints | None, rating: Any) -> Ints:
    """What the bill counts. Sessions are in no history, so that they are not rounded."""
    overhead = 0 if packets is None else packets * rating.per_packet_octets
    return -(-(carried + overhead) * (1000 + rating.margin_permille) // 1000)


def replay(parts: list[Period], plan: Any, traffic_class: Any) -> Iterator[Outcome]:
    """What becomes of one device's periods, where all of its traffic is of one class."""
    paths.use_firmware()
    from usageguard.core.policy import Policy

    policy = Policy(plan, (traffic_class,))
    for part in parts:
        yield _Life(part, plan, policy).outcome()


class _Life:
    """One period: where on the curve the device is (time, rated and carried demand), and what has passed."""

    def __init__(self, part: Period, plan: Any, policy: Any) -> None:
        self.part = part
        self.plan = plan
        self.policy = policy
        self.place = int(part.times[0]), 0, 0
        self.used = 0  # rated octets that passed: behind the demand by what was held back
        self.through = 0
        self.stopped = self.slowed = 0

    def outcome(self) -> Outcome:
        from usageguard.core.octets import Octets
        from usageguard.core.policy import NEW_CYCLE

        self.policy.apply(NEW_CYCLE)
        self.policy.cross(Octets(0))
        for until in self._cuts():
            self._go(until)
        part, plan = self.part, self.plan
        covered, length = part.covered_s, part.end - part.begin
        return Outcome(
            part.demand,
            self.through,
            self.used,
            self.stopped,
            self.slowed,
            (plan.fee_fen * covered + length // 2) // length,
            plan.cost_fen(self.used) if plan.exhaustion == "overage" else 0,
            plan.allowance * covered // length,
        )

    def _cuts(self) -> Iterator[int]:
        """The ends of the stretches in which nothing but use changes anything: days where the plan is paced."""
        from usageguard.core.forecast import pace_mark
        from usageguard.core.octets import MAX, Octets
        from usageguard.core.policy import PACE

        part, plan = self.part, self.plan
        last = int(part.times[-1])
        if plan.pace:
            length = part.end - part.begin
            limit = plan.local_limit if plan.local_limit < MAX else plan.allowance
            # Days begin at the time of day at which the period does: its zone has no daylight saving.
            for day in range((self.place[0] - part.begin) // DAY_S, (last - part.begin) // DAY_S + 1):
                mark = pace_mark(limit, day * DAY_S, length, limit * DAY_S // length)
                self.policy.set_limit(PACE, mark, Octets(self.used))
                until = part.begin + (day + 1) * DAY_S
                if until >= last:
                    break
                yield until
        yield last

    def _go(self, until: int) -> None:
        """On to that time."""
        from usageguard.core.octets import Octets
        from usageguard.core.policy import THROTTLED

        part, policy = self.part, self.policy
        end = until, value_at(part.times, part.rated, until), value_at(part.times, part.carried, until)
        while policy.open & 1 and not policy.reasons & THROTTLED:
            demand = self.place[1] + policy.next_mark.value() - self.used
            if demand > end[1]:
                self._pass(end)
                return
            self._pass(self._reached(demand))
            policy.cross(Octets(self.used))
        if policy.open & 1:
            self.slowed += until - self.place[0]
            self.through += self._slowly(until)
        else:
            self.stopped += until - self.place[0]
        self.place = end

    def _pass(self, place: tuple[int, int, int]) -> None:
        """Lets all up to there through."""
        self.used += place[1] - self.place[1]
        self.through += place[2] - self.place[2]
        self.place = place

    def _reached(self, demand: int) -> tuple[int, int, int]:
        """Where the curve comes to a rated demand that lies ahead: the time is rounded up, octets are not."""
        times, rated, carried = self.part.times, self.part.rated, self.part.carried
        right = int(np.searchsorted(rated, demand, "left"))
        t0, r0, c0 = (int(each[right - 1]) for each in (times, rated, carried))
        t1, r1, c1 = (int(each[right]) for each in (times, rated, carried))
        part, whole = demand - r0, r1 - r0
        return t0 + -(-part * (t1 - t0) // whole), demand, c0 + (c1 - c0) * part // whole

    def _slowly(self, until: int) -> int:
        """Carried octets that a throttled line lets through from here to that time, point by point."""
        times, carried = self.part.times, self.part.carried
        here = self.place[0]
        inner = slice(np.searchsorted(times, here, "right"), np.searchsorted(times, until, "left"))
        at = np.concatenate(([here], times[inner], [until]))
        octets = np.concatenate(([self.place[2]], carried[inner], [value_at(times, carried, until)]))
        return int(np.minimum(np.diff(octets), np.diff(at) * self.plan.throttle[0]).sum())
