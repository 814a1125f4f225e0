"""Usage of one SIM as the carrier rates it: (octets + packet overhead, rounded per session) x (1 + permille).

`Tally` computes that sum, `History` keeps past values of a figure, `Account` has one SIM's usage per cycle.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from host_tools.sim.carrier.plan import Rating, Tier, cost
from host_tools.sim.clock import Clock, S

HOUR_US = 3600 * S
DAY_US = 24 * HOUR_US
SAMPLE_US = 600 * S  # while there is traffic, a sample of the usage series at least this often
SAMPLE_STEPS = 256  # and one for each such fraction of the allowance
HISTORY_STEPS = 1024


class Tally:
    """Rates the records of one cycle. `billed` is the total so far, including the session under way."""

    __slots__ = ("_rating", "_session", "_sessions", "billed")

    def __init__(self, rating: Rating) -> None:
        self._rating = rating
        self._sessions = 0  # octets of the finished sessions, each rounded up
        self._session = 0  # octets of the present session, overhead included
        self.billed = 0

    def add(self, ip_octets: int) -> None:
        self.put(ip_octets + self._rating.per_packet_octets)

    def put(self, octets: int) -> None:
        """As `add`, for octets with the packets' overhead."""
        rating = self._rating
        self._session += octets
        self.billed = rating.billed(self._sessions + rating.session(self._session))

    def end_session(self) -> None:
        """Ends the session: its octets are rounded up, and a new one begins."""
        self._sessions += self._rating.session(self._session)
        self._session = 0


class OwnCounter:
    """Octets that are debited to an allowance of their own, None for one without an end, and `permille` of them to the
    plan's. `octets` so far, with the packets' overhead, and without the rating's permille. What passes beyond the
    allowance of a `closed` one, because the stop is late, is its own as well."""

    def __init__(self, rating: Rating, allowance_octets: int | None, permille: int = 0, closed: bool = False) -> None:
        self._rating = rating
        self._permille = permille
        self._closed = closed
        self.most = None if allowance_octets is None else allowance_octets * 1000 // (1000 + rating.permille)
        self.octets = 0

    @property
    def left(self) -> bool:
        """Whether it is not used up."""
        return self.most is None or self.octets < self.most

    @property
    def billed_octets(self) -> int:
        """The octets so far, as the rating bills them."""
        return self._rating.billed(self.octets)

    @property
    def charged(self) -> bool:
        """Whether the plan's allowance is debited as well."""
        return self._permille > 0

    def take(self, octets: int) -> int:
        """Debits what it can of a packet; returns what is debited to the plan's allowance."""
        own = octets if self.most is None or self._closed else min(octets, self.most - self.octets)
        before = self._share
        self.octets += own
        return octets - own + self._share - before

    @property
    def _share(self) -> int:
        return -(-self.octets * self._permille // 1000)


class History:
    """Past values of a figure, back to `horizon_us` before the latest."""

    def __init__(self, horizon_us: int) -> None:
        self._horizon_us = horizon_us
        self._steps: list[tuple[int, int]] = []

    def put(self, t_us: int, value: int) -> None:
        """Records that the figure is `value` from `t_us` on; `t_us` never decreases."""
        steps = self._steps
        if steps and steps[-1][0] == t_us:
            steps[-1] = (t_us, value)
            return
        steps.append((t_us, value))
        half = len(steps) // 2
        if len(steps) > HISTORY_STEPS and steps[half][0] <= t_us - self._horizon_us:
            del steps[:half]

    def at(self, t_us: int) -> int:
        """The value at `t_us`; 0 before the first."""
        index = bisect_right(self._steps, t_us, key=lambda step: step[0])
        return self._steps[index - 1][1] if index else 0


@dataclass(slots=True)
class CycleUsage:
    """One SIM's usage in one billing cycle, or in its test or silent period."""

    label: str
    opened_us: int
    allowance_octets: int
    tiers: tuple[Tier, ...]  # the tariff beyond the allowance
    tally: Tally  # of all records
    in_time: Tally  # of the records that are not late; the same object when no record is
    history: History  # of `in_time`
    ip_octets: int = 0
    packets: int = 0
    accrued_fen: int = 0  # cost of the records that are not late
    posted_fen: int = 0  # the part of it that was debited from the balance
    stopped_at: datetime | None = None
    stop_reason: str | None = None
    closed: bool = False
    complete: bool = False  # the late records have arrived
    samples: list[tuple[int, int]] = field(default_factory=list)  # (virtual us, billed octets), coarse
    hours: OwnCounter | None = None
    roaming: OwnCounter | None = None

    @property
    def billed_octets(self) -> int:
        return self.tally.billed

    @property
    def cost_fen(self) -> int:
        """Cost of all usage, whether the platform has seen it or not."""
        return cost(self.tiers, self.tally.billed - self.allowance_octets)

    def figures(self) -> dict[str, Any]:
        """Plain values, instants in ISO 8601."""
        return {
            "cycle": self.label,
            "closed": self.closed,
            "ip_octets": self.ip_octets,
            "packets": self.packets,
            "billed_octets": self.billed_octets,
            "allowance_octets": self.allowance_octets,
            "stopped_at": self.stopped_at.isoformat() if self.stopped_at else None,
            "stop_reason": self.stop_reason,
            "overage_cost": self.cost_fen if self.tiers else None,
            "hours_octets": self.hours and self.hours.billed_octets,
            "roaming_octets": self.roaming and self.roaming.billed_octets,
        }


class Account:
    """Counts and rates one SIM's usage. Call `open` at each cycle and `end_session` when a bearer ends."""

    def __init__(self, clock: Clock, rating: Rating, zone: timezone) -> None:
        self.clock = clock
        self.rating = rating
        self.zone = zone
        self.closed: list[CycleUsage] = []
        self._cycle: CycleUsage | None = None
        self._into_hour_us = clock.start.minute * 60 * S + clock.start.second * S + clock.start.microsecond
        self._octets_by_hour: dict[int, int] = {}  # IP octets, by hours since the one in which the world began
        self._late = 0  # accumulated permille; at 1000 a record is late
        self._sample_at_us = 0
        self._sample_at_octets = 0

    @property
    def cycle(self) -> CycleUsage:
        """The present cycle."""
        if self._cycle is None:
            raise RuntimeError("no cycle was opened yet")
        return self._cycle

    def open(self, label: str, allowance_octets: int, tiers: tuple[Tier, ...] = ()) -> CycleUsage | None:
        """Opens a cycle; returns the one before, closed. A session under way is split between the two."""
        old = self._cycle
        if old is not None:
            self.end_session()
            old.closed = True
            old.complete = old.in_time is old.tally
            self._sample(old)
            self.closed.append(old)
        tally = Tally(self.rating)
        self._cycle = CycleUsage(
            label,
            self.clock.now_us,
            allowance_octets,
            tiers,
            tally,
            Tally(self.rating) if self.rating.late_permille else tally,
            History(self.rating.lag_s * S + (DAY_US if self.rating.daily_figures else 0)),
        )
        if old is not None:
            self._sample(self._cycle)
        return old

    def charge(self, ip_octets: int, counter: OwnCounter | None = None) -> None:
        """Counts one packet of `ip_octets` at the present time, which is debited to `counter` as far as that goes."""
        cycle = self.cycle
        now = self.clock.now_us
        cycle.ip_octets += ip_octets
        cycle.packets += 1
        hour = (now + self._into_hour_us) // HOUR_US
        self._octets_by_hour[hour] = self._octets_by_hour.get(hour, 0) + ip_octets
        octets = ip_octets + self.rating.per_packet_octets
        if counter is not None:
            octets = counter.take(octets)
        cycle.tally.put(octets)
        if cycle.in_time is not cycle.tally:
            self._late += self.rating.late_permille
            if self._late >= 1000:
                self._late -= 1000
            else:
                cycle.in_time.put(octets)
        cycle.history.put(now, cycle.in_time.billed)
        if now >= self._sample_at_us or cycle.billed_octets >= self._sample_at_octets:
            self._sample(cycle)

    def end_session(self) -> None:
        """Ends the session under way; octets that follow are rounded as another one."""
        cycle = self.cycle
        cycle.tally.end_session()
        if cycle.in_time is not cycle.tally:
            cycle.in_time.end_session()

    def seen(self) -> int:
        """Billed octets of this cycle on which the platform acts: as of `lag_s` ago, without late records."""
        return self.cycle.history.at(self.clock.now_us - self.rating.lag_s * S)

    def shown(self) -> tuple[int, int]:
        """(billed octets of this cycle, the virtual us up to which they count) as the platform shows them."""
        t_us = shown_as_of(self.clock, self.rating, self.zone)
        return self.cycle.history.at(t_us), max(t_us, self.cycle.opened_us)

    def daily(self) -> list[tuple[str, int]]:
        """IP octets per day of the carrier's zone, days without traffic left out."""
        days: dict[str, int] = {}
        for hour, octets in self._octets_by_hour.items():
            instant = self.clock.start + timedelta(hours=hour)
            day = instant.astimezone(self.zone).date().isoformat()
            days[day] = days.get(day, 0) + octets
        return sorted(days.items())

    def find(self, label: str | None) -> CycleUsage:
        """The cycle `label`; without a label, the last closed one, or the present one when none is closed."""
        if label is None:
            return self.closed[-1] if self.closed else self.cycle
        cycles = {cycle.label: cycle for cycle in (*self.closed, self.cycle)}
        if label not in cycles:
            raise ValueError(f"no cycle {label!r}; there are {', '.join(cycles)}")
        return cycles[label]

    def _sample(self, cycle: CycleUsage) -> None:
        now = self.clock.now_us
        cycle.samples.append((now, cycle.billed_octets))
        self._sample_at_us = now + SAMPLE_US
        self._sample_at_octets = cycle.billed_octets + max(cycle.allowance_octets // SAMPLE_STEPS, 1)


def shown_as_of(clock: Clock, rating: Rating, zone: timezone) -> int:
    """The virtual us up to which the figures that the platform shows now count."""
    seen_us = clock.now_us - rating.lag_s * S
    if not rating.daily_figures:
        return seen_us
    today = clock.utc().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    # Usage at midnight itself belongs to the new day.
    return min(seen_us, clock.us_of(today) - 1)
