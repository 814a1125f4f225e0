"""A pool (流量池): SIMs that share one allowance. Some are simulated, others only add their declared usage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timezone
from typing import Protocol

from host_tools.sim.carrier.account import DAY_US, HOUR_US, History, shown_as_of
from host_tools.sim.carrier.cycles import Cycles, midnight
from host_tools.sim.carrier.plan import Rating, VirtualMembers
from host_tools.sim.carrier.stops import POOL_EXHAUSTED, TOP_UP
from host_tools.sim.clock import Clock, S


class Member(Protocol):
    """A simulated SIM of the pool."""

    def pool_cycle(self, first_day: date) -> None:
        """A cycle of the pool has begun on `first_day`."""

    def pool_exhausted(self) -> None:
        """The pool is used up, as the platform sees it."""

    def lift_by(self, event: str) -> None:
        """Lifts the stops that `event` ends."""


class Pool:
    """Counts its members' usage per cycle and stops all members when the allowance is used up.

    A top-up counts for the present cycle only. Declared members add an hour's usage at the end of each hour of the
    world. The pool opens with its first member, and all members have the same billing cycles.
    """

    def __init__(
        self,
        clock: Clock,
        rating: Rating,
        name: str,
        allowance_octets: int,
        others: Sequence[VirtualMembers],
        enforced: bool,
        log: Callable[..., None],
    ) -> None:
        if allowance_octets < 1:
            raise ValueError(f"a pool's allowance_octets {allowance_octets} is not 1 or more")
        self.clock = clock
        self.rating = rating
        self.name = name
        self.members: list[Member] = []
        self.billed_octets = 0  # of the present cycle, late records included
        self._others = others
        self._each_cycle_octets = allowance_octets
        self._allowance_octets = allowance_octets
        self._in_time_octets = 0
        self._elsewhere = 0  # members that other worlds simulate
        self._own_billed = self._own_in_time = 0  # of the members here, in this cycle, since `take_own`
        self._history = self._new_history()
        self._enforced = enforced
        self._log = log
        self._terms: tuple[Cycles, timezone] | None = None
        self._first_day = date.min

    @property
    def size(self) -> int:
        return len(self.members) + self._elsewhere + sum(other.count for other in self._others)

    @property
    def allowance_octets(self) -> int:
        """Of the present cycle, top-ups included."""
        return self._allowance_octets

    @property
    def used_up(self) -> bool:
        """Whether all usage, seen by the platform or not, has reached the allowance."""
        return self._enforced and self.billed_octets >= self._allowance_octets

    def join(self, member: Member, cycles: Cycles, zone: timezone) -> None:
        """Adds a SIM. ValueError when its billing cycles differ from the pool's."""
        if self._terms is None:
            self._terms = (cycles, zone)
            self._first_day = cycles.first_day(self.clock.utc().astimezone(zone).date())
            self.clock.at(self.clock.us_of(midnight(cycles.after(self._first_day), zone)), self._new_cycle)
            if self._others:
                self.clock.at(HOUR_US - 1, self._hour)
        elif self._terms != (cycles, zone):
            raise ValueError(f"the SIM's billing cycles differ from those of pool {self.name}")
        self.members.append(member)

    def add(self, billed: int, in_time: int) -> None:
        """Adds a member's usage at the present time; `in_time` of the `billed` octets are not in late records."""
        self._own_billed += billed
        self._own_in_time += in_time
        self._add(billed, in_time)

    def join_elsewhere(self, count: int) -> None:
        """Adds `count` SIMs that other worlds simulate."""
        self._elsewhere += count

    def take_own(self) -> tuple[date, int, int]:
        """What the members here have used since the last call, for the pool as other worlds have it: the first day of
        the cycle, and as for `add`."""
        own = self._first_day, self._own_billed, self._own_in_time
        self._own_billed = self._own_in_time = 0
        return own

    def add_elsewhere(self, first_day: date, billed: int, in_time: int) -> None:
        """Adds what members in another world have used in the cycle; nothing if it is not the present one here."""
        if first_day == self._first_day and (billed or in_time):
            self._add(billed, in_time)

    def _add(self, billed: int, in_time: int) -> None:
        before = self._in_time_octets
        self.billed_octets += billed
        self._in_time_octets += in_time
        self._history.put(self.clock.now_us, self._in_time_octets)
        if before < self._allowance_octets <= self._in_time_octets:
            self.clock.after(self.rating.lag_s * S, self._check)

    def top_up(self, octets: int) -> None:
        """Adds to the present cycle's allowance, and lifts the members' stops when any of it is left."""
        self._allowance_octets += octets
        self._log("pool-topped-up", pool=self.name, reason="by_hand", octets=octets, remaining=self._remaining())
        if self._remaining() > 0:
            for member in self.members:
                member.lift_by(TOP_UP)
            if self._in_time_octets >= self._allowance_octets:  # used up again, by usage not seen yet
                self.clock.after(self.rating.lag_s * S, self._check)

    def shown_remaining(self) -> int:
        """Octets left as the platform shows them, as late as a SIM's figures."""
        if self._terms is None:
            return self._allowance_octets
        used = self._history.at(shown_as_of(self.clock, self.rating, self._terms[1]))
        return max(self._allowance_octets - used, 0)

    def exhausts(self) -> bool:
        """Whether the usage that the platform has seen reaches the allowance."""
        return self._enforced and self._remaining() <= 0

    def _remaining(self) -> int:
        return self._allowance_octets - self._history.at(self.clock.now_us - self.rating.lag_s * S)

    def _check(self) -> None:
        if self.exhausts():
            self._log("pool-exhausted", pool=self.name, reason=POOL_EXHAUSTED.code, octets=self._allowance_octets)
            for member in self.members:
                member.pool_exhausted()

    def _new_cycle(self) -> None:
        assert self._terms is not None
        cycles, zone = self._terms
        self._first_day = cycles.after(self._first_day)
        self.clock.at(self.clock.us_of(midnight(cycles.after(self._first_day), zone)), self._new_cycle)
        self.billed_octets = self._in_time_octets = 0
        self._own_billed = self._own_in_time = 0
        self._allowance_octets = self._each_cycle_octets
        self._history = self._new_history()
        for member in self.members:
            member.pool_cycle(self._first_day)

    def _hour(self) -> None:
        """Adds the declared members' usage of the hour that ends now."""
        now_s = (self.clock.now_us + 1) // S
        octets = sum(
            other.octets_per_hour * other.count
            for other in self._others
            if other.start_s < now_s and (not other.until_s or now_s <= other.until_s)
        )
        self.clock.after(HOUR_US, self._hour)
        if octets:
            self._add(octets, octets)

    def _new_history(self) -> History:
        return History(self.rating.lag_s * S + (DAY_US if self.rating.daily_figures else 0))
