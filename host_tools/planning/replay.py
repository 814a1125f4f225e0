"""Replays past usage under a plan, with the firmware's own plan, policy and tariff.

Usage is even between two points of a curve, so that something can happen only where it reaches the policy's next mark.
The replay goes from mark to mark: a year of hourly figures takes a few dozen steps. What a stop or a throttle holds
back is lost; nothing is made up for later. Nobody recharges a balance, renews a package or tops a pool up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from host_tools.base import paths
from host_tools.base.days import DAY_S
from host_tools.planning.usage import Curve, Ints


@dataclass(frozen=True)
class Period:
    """The part of a curve in one billing period; `carried` and `rated` count from the start of this part.

    `begin` and `end` are those of the whole period, of which the curve may cover a part.
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
    """One device's period under one plan. Octets are carried octets, except `rated_octets`, which are those of the
    bill.

    What passes at a throttled rate is not billed, and not in `rated_octets`; nor is what the plan's hours take.
    """

    demand_octets: int
    through_octets: int
    rated_octets: int
    stopped_s: int
    closed_s: int
    """The part of `stopped_s` in which the carrier stops the SIM, whatever the device does: the package has ended, or
    the balance is negative."""
    slowed_s: int
    fee_fen: int
    overage_fen: int
    paid_octets: int
    """The part of the allowance for the time that the history covers; 0 in a pool, which has it for all."""

    @property
    def lost_octets(self) -> int:
        return self.demand_octets - self.through_octets

    @property
    def unused_octets(self) -> int:
        return max(0, self.paid_octets - self.rated_octets)


@dataclass(frozen=True)
class Ends:
    """What ends the data of a SIM beside its own quota. Times are seconds since 2000-01-01 UTC.

    `balance_fen` is that at the start, with the first period paid, None without one; with `expires` the package ends.
    `pool` has when the pool is used up, by the beginning of the period, and is None for a SIM in no pool.
    """

    balance_fen: int | None = None
    expires: int | None = None
    pool: Mapping[int, int] | None = None


_NO_ENDS = Ends()


def periods(curve: Curve, cycle: Any, rating: Any) -> list[Period]:
    """The curve, cut into the periods of `cycle`; octets at a cut are interpolated."""
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
    """Counts since `first`: at `first`, at each point between, and at `until`."""
    begin, end = value_at(times, counts, first), value_at(times, counts, until)
    inner = counts[np.searchsorted(times, first, "right") : np.searchsorted(times, until, "left")]
    return np.concatenate(([begin], inner, [end])) - begin


def value_at(xs: Ints, ys: Ints, x: int) -> int:
    """The value at `x` of the line through the points, rounded down. In Python's integers, as products exceed 64
    bits."""
    right = int(np.searchsorted(xs, x, "left"))
    if int(xs[right]) == x:
        return int(ys[right])
    x0, x1, y0, y1 = int(xs[right - 1]), int(xs[right]), int(ys[right - 1]), int(ys[right])
    return y0 + (y1 - y0) * (x - x0) // (x1 - x0)


def _rated(carried: Ints, packets: Ints | None, rating: Any) -> Ints:
    """Octets of the bill. Sessions are not rounded up, as a history has no sessions."""
    overhead = 0 if packets is None else packets * rating.per_packet_octets
    return -(-(carried + overhead) * (1000 + rating.margin_permille) // 1000)


def replay(
    parts: list[Period], plan: Any, traffic_class: Any, ends: Ends = _NO_ENDS, guarded: bool = True
) -> Iterator[Outcome]:
    """The outcomes of one device's periods, with all of its traffic in one class.

    A guarded device stops before its balance is negative, the carrier stops the SIM once it is.
    """
    paths.use_firmware()
    from usageguard.core.policy import Policy

    policy = Policy(plan, (traffic_class,))
    balance = ends.balance_fen
    for index, part in enumerate(parts):
        if balance is not None and index and _paid(part, ends):
            balance -= plan.fee_fen
        outcome = _PeriodReplay(part, plan, policy, ends, balance, guarded).outcome()
        if balance is not None:
            balance -= outcome.overage_fen
        yield outcome


def _paid(part: Period, ends: Ends) -> bool:
    return ends.expires is None or part.begin < ends.expires


def used_up(parts: Iterable[Period], limit: int, octets: int) -> int | None:
    """The first second at which parts of one period, each up to `limit` rated octets, have `octets` together."""
    each = list(parts)

    def together(at: int) -> int:
        return sum(
            min(limit, value_at(part.times, part.rated, min(max(at, int(part.times[0])), int(part.times[-1]))))
            for part in each
        )

    low, high = min(int(part.times[0]) for part in each), max(int(part.times[-1]) for part in each)
    if together(high) < octets:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if together(middle) >= octets else (middle + 1, high)
    return low


class _PeriodReplay:
    """Replays one period. `place` is the point reached on the curve: (time, rated demand, carried demand)."""

    def __init__(
        self, part: Period, plan: Any, policy: Any, ends: Ends, balance: int | None, guarded: bool
    ) -> None:
        self.part = part
        self.plan = plan
        self.policy = policy
        self.ends = ends
        self.balance = balance
        self.guarded = guarded
        self.place = int(part.times[0]), 0, 0
        self.used = 0  # rated octets that were debited to the allowance: the demand without what was held back
        self.own = plan.hours.octets or None if plan.hours else 0  # what the hours have left, None for no end
        self.through = 0
        self.stopped = self.slowed = 0
        # Data ends here at the latest; `closed` is when the carrier ends it, whatever the device does.
        arrears = balance is not None and balance < 0
        self.closed = self._within(self.place[0] if arrears else ends.expires)
        self.last = min(self.closed, self._within((ends.pool or {}).get(part.begin)))

    def _within(self, at: int | None) -> int:
        first, last = int(self.part.times[0]), int(self.part.times[-1])
        return last if at is None else min(max(at, first), last)

    def outcome(self) -> Outcome:
        from usageguard.core.octets import Octets
        from usageguard.core.policy import BALANCE, NEW_CYCLE

        self.policy.apply(NEW_CYCLE)
        self.policy.set_limit(BALANCE, self._affordable(), Octets(0))
        self.policy.cross(Octets(0))
        for until, in_hours in self._cuts():
            self._go(until, in_hours)
        part, plan = self.part, self.plan
        end = int(part.times[-1])
        covered, length = part.covered_s, part.end - part.begin
        paid = _paid(part, self.ends)
        return Outcome(
            part.demand,
            self.through,
            self.used,
            self.stopped + end - self.last,
            end - self.closed,
            self.slowed,
            (plan.fee_fen * covered + length // 2) // length if paid else 0,
            plan.cost_fen(self.used) if plan.exhaustion == "overage" else 0,
            plan.allowance * covered // length if paid and self.ends.pool is None else 0,
        )

    def _affordable(self) -> int | None:
        """The rated octets for which the balance pays; None where it sets no limit."""
        plan = self.plan
        if self.balance is None or self.balance < 0 or plan.exhaustion != "overage":
            return None
        free = plan.tariff.octets_for(self.balance)
        return None if free is None else plan.allowance + free + (not self.guarded)

    def _cuts(self) -> Iterator[tuple[int, bool]]:
        """The times at which something changes, and whether the plan's hours hold until then: each midnight if the plan
        is paced, the edges of its hours, and the end."""
        part, plan, last = self.part, self.plan, self.last
        in_hours = False
        # Days begin at the time of day at which the period does: its zone has no daylight saving.
        for day in range((self.place[0] - part.begin) // DAY_S, (last - part.begin) // DAY_S + 1):
            if plan.pace:
                self._pace(day)
            for second, in_hours in self._day() if plan.pace or plan.hours else ():
                until = part.begin + day * DAY_S + second
                if until >= last:
                    break
                if until > self.place[0]:
                    yield until, in_hours
        yield last, in_hours

    def _pace(self, day: int) -> None:
        from usageguard.core.forecast import pace_mark
        from usageguard.core.octets import MAX, Octets
        from usageguard.core.policy import PACE

        plan, length = self.plan, self.part.end - self.part.begin
        limit = plan.local_limit if plan.local_limit < MAX else plan.allowance
        mark = pace_mark(limit, day * DAY_S, length, limit * DAY_S // length)
        self.policy.set_limit(PACE, mark, Octets(self.used))

    def _day(self) -> list[tuple[int, bool]]:
        """The seconds of a day up to which the plan's hours hold, or not. A device takes none for certain at their
        edges."""
        from usageguard.clock import DELAY, TOLERANCE

        hours = self.plan.hours
        if hours is None:
            return [(DAY_S, False)]
        late, early = (DELAY, TOLERANCE) if self.guarded else (0, 0)
        begin, end = hours.start_s + late, hours.start_s + hours.length_s - early
        if begin < DAY_S < end:
            return [(end - DAY_S, True), (begin, False), (DAY_S, True)]
        begin, end = begin % DAY_S, end - begin + begin % DAY_S
        return [(begin, False), (end, True), (DAY_S, False)]

    def _go(self, until: int, in_hours: bool) -> None:
        """Goes on to that time."""
        from usageguard.core.octets import Octets
        from usageguard.core.policy import THROTTLED

        part, policy = self.part, self.policy
        end = until, value_at(part.times, part.rated, until), value_at(part.times, part.carried, until)
        while True:
            share = self.plan.hours.share if in_hours and self.own != 0 else 1000
            if share and (not policy.open & 1 or policy.reasons & THROTTLED):
                break
            demand = self._next(share)
            if demand is None or demand > end[1]:
                self._pass(end, share)
                return
            self._pass(self._reached(demand), share)
            policy.cross(Octets(self.used))
        if policy.open & 1:
            self.slowed += until - self.place[0]
            self.through += self._slowly(until)
        else:
            self.stopped += until - self.place[0]
        self.place = end

    def _next(self, share: int) -> int | None:
        """The rated demand at which the next limit is reached, or the hours are used up; None for neither, where
        nothing is debited to the allowance."""
        room = []
        if share:
            room.append(-(-(self.policy.next_mark.value() - self.used) * 1000 // share))
        if share < 1000 and self.own is not None:
            room.append(self.own)
        return self.place[1] + min(room) if room else None

    def _pass(self, place: tuple[int, int, int], share: int) -> None:
        """Passes all usage up to there, of which `share` permille are debited to the allowance."""
        rated = place[1] - self.place[1]
        if share < 1000 and self.own is not None:
            self.own -= rated
        self.used += -(-rated * share // 1000)
        self.through += place[2] - self.place[2]
        self.place = place

    def _reached(self, demand: int) -> tuple[int, int, int]:
        """The point at which the curve reaches a rated demand; the time is rounded up, octets are rounded down."""
        times, rated, carried = self.part.times, self.part.rated, self.part.carried
        right = int(np.searchsorted(rated, demand, "left"))
        t0, r0, c0 = (int(each[right - 1]) for each in (times, rated, carried))
        t1, r1, c1 = (int(each[right]) for each in (times, rated, carried))
        part, whole = demand - r0, r1 - r0
        return t0 + -(-part * (t1 - t0) // whole), demand, c0 + (c1 - c0) * part // whole

    def _slowly(self, until: int) -> int:
        """Carried octets that pass at the throttled rate from here to that time."""
        times, carried = self.part.times, self.part.carried
        here = self.place[0]
        inner = slice(np.searchsorted(times, here, "right"), np.searchsorted(times, until, "left"))
        at = np.concatenate(([here], times[inner], [until]))
        octets = np.concatenate(([self.place[2]], carried[inner], [value_at(times, carried, until)]))
        return int(np.minimum(np.diff(octets), np.diff(at) * self.plan.throttle.rate_octets_s).sum())
