"""A pool (流量池): SIMs that share one allowance, and others that are only declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timezone
from typing import TYPE_CHECKING

from host_tools.sim.carrier.account import DAY_US, HOUR_US, Trail, shown_as_of
from host_tools.sim.carrier.cycles import Cycles, midnight
from host_tools.sim.carrier.plan import Rating, VirtualMembers
from host_tools.sim.carrier.stops import POOL_EXHAUSTED, TOP_UP
from host_tools.sim.clock import Clock, S

if TYPE_CHECKING:
    from host_tools.sim.carrier.sim import Sim


class Pool:
    """Counts what its members use in a cycle, and stops them all when it is used up.

    A top-up is of the present cycle. Members that are not simulated use their octets at the end of each hour of the
    world, if they have begun by then. The pool opens with its first member, and all members have that one's cycles.
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
        self.members: list[Sim] = []
        self.billed_octets = 0  # of the present cycle, all records
        self._others = others
        self._each_cycle_octets = allowance_octets
        self._allowance_octets = allowance_octets
        self._in_time_octets = 0
        self._trail = self._new_trail()
        self._enforced = enforced
        self._log = log
        self._terms: tuple[Cycles, timezone] | None = None
        self._first_day = date.min

    @property
    def size(self) -> int:
        return len(self.members) + sum(other.count for other in self._others)

    @property
    def allowance_octets(self) -> int:
        """Of the present cycle, with what was topped up."""
        return self._allowance_octets

    @property
    def used_up(self) -> bool:
        """Whether it really is, seen or not."""
        return self._enforced and self.billed_octets >= self._allowance_octets

    def join(self, sim: Sim, cycles: Cycles, zone: timezone) -> None:
        """Takes a SIM in. ValueError when its cycles are not the pool's."""
        if self._terms is None:
            self._terms = (cycles, zone)
            self._first_day = cycles.first_day(self.clock.utc().astimezone(zone).date())
            self.clock.at(self.clock.us_of(midnight(cycles.after(self._first_day), zone)), self._new_cycle)
            if self._others:
                self.clock.at(HOUR_US - 1, self._hour)
        elif self._terms != (cycles, zone):
            raise ValueError(f"the cycles of pool {self.name} are others")
        self.members.append(sim)

    def add(self, billed: int, in_time: int) -> None:
        """Counts what members used now; `in_time` of it is no late record."""
        before = self._in_time_octets
        self.billed_octets += billed
        self._in_time_octets += in_time
        self._trail.put(self.clock.now_us, self._in_time_octets)
        if before < self._allowance_octets <= self._in_time_octets:
            self.clock.after(self.rating.lag_s * S, self._check)

    def top_up(self, octets: int) -> None:
        """Adds to the present cycle's allowance; the members' stops end when there is something left."""
        self._allowance_octets += octets
        self._log("pool-topped-up", pool=self.name, reason="by_hand", octets=octets, remaining=self._remaining())
        if self._remaining() > 0:
            for sim in self.members:
                sim.lift_by(TOP_UP)
            if self._in_time_octets >= self._allowance_octets:  # used up again, by what is not seen yet
                self.clock.after(self.rating.lag_s * S, self._check)

    def shown_remaining(self) -> int:
        """What is left as the platform shows it: as late as a SIM's figures."""
        if self._terms is None:
            return self._allowance_octets
        used = self._trail.at(shown_as_of(self.clock, self.rating, self._terms[1]))
        return max(self._allowance_octets - used, 0)

    def exhausts(self) -> bool:
        """Whether what the platform has seen uses the pool up."""
        return self._enforced and self._remaining() <= 0

    def _remaining(self) -> int:
        return self._allowance_octets - self._trail.at(self.clock.now_us - self.rating.lag_s * S)

    def _check(self) -> None:
        if self.exhausts():
            self._log("pool-exhausted", pool=self.name, reason=POOL_EXHAUSTED.code, octets=self._allowance_octets)
            for sim in self.members:
                sim.pool_exhausted()

    def _new_cycle(self) -> None:
        assert self._terms is not None
        cycles, zone = self._terms
        self._first_day = cycles.after(self._first_day)
        self.clock.at(self.clock.us_of(midnight(cycles.after(self._first_day), zone)), self._new_cycle)
        self.billed_octets = self._in_time_octets = 0
        self._allowance_octets = self._each_cycle_octets
        self._trail = self._new_trail()
        for sim in self.members:
            sim.pool_cycle(self._first_day)

    def _hour(self) -> None:
        """The end of an hour: what is used in it is of the cycle in which it ends."""
        now_s = (self.clock.now_us + 1) // S
        octets = sum(
            other.octets_per_hour * other.count
            for other in self._others
            if other.start_s < now_s and (not other.until_s or now_s <= other.until_s)
        )
        self.clock.after(HOUR_US, self._hour)
        if octets:
            self.add(octets, octets)

    def _new_trail(self) -> Trail:
        return Trail(self.rating.lag_s * S + (DAY_US if self.rating.daily_figures else 0))
