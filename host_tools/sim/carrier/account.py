"""What one SIM used, as the carrier rates it: (octets + packet overhead, rounded per session) x (1 + margin).

`Rating`, `Enforcement` and `SimPlan` are the carrier's rules; `Account` applies the rating, cycle by cycle.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from host_tools.sim.carrier.cycles import CARRIER_ZONE, cycle_start, midnight, next_start
from host_tools.sim.carrier.stops import NOT_SUBSCRIBED, OPERATOR_DETERMINED_BARRING
from host_tools.sim.clock import Clock, S

HOUR_US = 3600 * S
SAMPLE_US = 600 * S  # coarsest step of the usage series, while there is traffic
SAMPLE_STEPS = 256  # and a sample for each such part of the allowance
KINDS = ("cutoff", "overage", "none")


@dataclass(frozen=True, slots=True)
class Rating:
    """How octets become billed octets.

    `per_packet_octets` are added to each IP packet, each session is rounded up to `session_round_octets`
    (0 = not), the sum is raised by `permille`, and the platform sees it `lag_s` seconds after it happened.
    """

    per_packet_octets: int = 0
    session_round_octets: int = 0
    permille: int = 0
    lag_s: int = 0

    def __post_init__(self) -> None:
        for name in ("per_packet_octets", "session_round_octets", "permille", "lag_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} is negative")

    def session(self, octets: int) -> int:
        """What a session of so many octets, overhead included, comes to."""
        unit = self.session_round_octets
        return -(-octets // unit) * unit if unit else octets

    def billed(self, octets: int) -> int:
        """What the sum of the sessions comes to on the bill."""
        return -(-octets * (1000 + self.permille) // 1000)


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What happens when the seen usage reaches the allowance.

    "cutoff" stops data until the next cycle, "overage" bills what is beyond by started units of
    `overage_unit_octets`, at `overage_fen` each, "none" only counts.
    A stopped SIM's activation is rejected with ESM cause `stop_cause`: 33 (not subscribed) or 8 (barred).
    """

    kind: str = "cutoff"
    stop_cause: int = NOT_SUBSCRIBED
    overage_fen: int = 0
    overage_unit_octets: int = 1024 * 1024

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"enforcement {self.kind!r} is unknown; use one of {', '.join(KINDS)}")
        if self.stop_cause not in (OPERATOR_DETERMINED_BARRING, NOT_SUBSCRIBED):
            raise ValueError(f"stop_cause {self.stop_cause} is neither 8 nor 33")
        if self.overage_fen < 0 or self.overage_unit_octets < 1:
            raise ValueError("overage_fen must be 0 or more and overage_unit_octets 1 or more")

    def cost(self, billed: int, allowance: int) -> int | None:
        """The overage in fen; None where nothing is billed beyond the plan."""
        if self.kind != "overage":
            return None
        return -(-max(billed - allowance, 0) // self.overage_unit_octets) * self.overage_fen


@dataclass(frozen=True, slots=True)
class SimPlan:
    """Octets a cycle includes, and the day of the month (1..31) on which a cycle begins."""

    allowance_octets: int
    cycle_start_day: int = 1

    def __post_init__(self) -> None:
        if self.allowance_octets < 1:
            raise ValueError(f"allowance_octets {self.allowance_octets} is not 1 or more")
        if not 1 <= self.cycle_start_day <= 31:
            raise ValueError(f"cycle_start_day {self.cycle_start_day} is not in 1..31")


@dataclass(slots=True)
class CycleUsage:
    """One SIM's usage in one cycle. `sessions_octets` is the sum of the finished sessions, each rounded."""

    first_day: date
    ip_octets: int = 0
    packets: int = 0
    sessions_octets: int = 0
    billed_octets: int = 0
    stopped_at: datetime | None = None
    stop_reason: str | None = None
    reached_at_us: int | None = None  # when the billed usage reached the allowance
    closed: bool = False
    samples: list[tuple[int, int]] = field(default_factory=list)  # (virtual us, billed octets), coarse

    @property
    def label(self) -> str:
        return self.first_day.isoformat()


class Account:
    """Counts and rates one SIM. Its owner calls `roll` at `ends_us` and `end_session` when a bearer ends."""

    def __init__(self, clock: Clock, plan: SimPlan, rating: Rating) -> None:
        self.clock = clock
        self.plan = plan
        self.rating = rating
        self.cycle = CycleUsage(cycle_start(clock.utc(), plan.cycle_start_day))
        self.closed: list[CycleUsage] = []
        self._into_hour_us = clock.start.minute * 60 * S + clock.start.second * S + clock.start.microsecond
        self._octets_by_hour: dict[int, int] = {}  # IP octets, by hours since that in which the world began
        self._session = 0  # octets of the running session in this cycle, overhead included
        self._sample_at_us = 0
        self._sample_at_octets = 0

    @property
    def ends_us(self) -> int:
        """Virtual time at which the present cycle ends."""
        return self.clock.us_of(midnight(next_start(self.cycle.first_day, self.plan.cycle_start_day)))

    def charge(self, ip_octets: int) -> None:
        """Counts one packet, now."""
        cycle = self.cycle
        now = self.clock.now_us
        cycle.ip_octets += ip_octets
        cycle.packets += 1
        hour = (now + self._into_hour_us) // HOUR_US
        self._octets_by_hour[hour] = self._octets_by_hour.get(hour, 0) + ip_octets
        self._session += ip_octets + self.rating.per_packet_octets
        billed = self.rating.billed(cycle.sessions_octets + self.rating.session(self._session))
        cycle.billed_octets = billed
        if billed >= self.plan.allowance_octets and cycle.reached_at_us is None:
            cycle.reached_at_us = now
        if now >= self._sample_at_us or billed >= self._sample_at_octets:
            self._sample()

    def end_session(self) -> None:
        """Closes the running session's record: what follows is rounded anew."""
        self.cycle.sessions_octets += self.rating.session(self._session)
        self._session = 0

    def roll(self) -> None:
        """Closes the cycle and opens the next; a running session is split between them."""
        self.end_session()
        cycle = self.cycle
        cycle.closed = True
        self._sample()
        self.closed.append(cycle)
        self.cycle = CycleUsage(next_start(cycle.first_day, self.plan.cycle_start_day))
        self._sample()

    def seen(self) -> int:
        """Billed octets of this cycle as the platform shows them, `lag_s` late, in steps of the samples."""
        if not self.rating.lag_s:
            return self.cycle.billed_octets
        samples = self.cycle.samples
        at = bisect_right(samples, self.clock.now_us - self.rating.lag_s * S, key=lambda sample: sample[0])
        return samples[at - 1][1] if at else 0

    def daily(self) -> list[tuple[str, int]]:
        """IP octets per day of the carrier's zone, days without traffic left out."""
        days: dict[str, int] = {}
        for hour, octets in self._octets_by_hour.items():
            instant = self.clock.start + timedelta(hours=hour)
            day = instant.astimezone(CARRIER_ZONE).date().isoformat()
            days[day] = days.get(day, 0) + octets
        return sorted(days.items())

    def find(self, label: str | None) -> CycleUsage:
        """The cycle that began on that day; None: the last closed one, else the present one."""
        if label is None:
            return self.closed[-1] if self.closed else self.cycle
        cycles = {cycle.label: cycle for cycle in (*self.closed, self.cycle)}
        if label not in cycles:
            raise ValueError(f"no cycle {label!r}; there are {', '.join(cycles)}")
        return cycles[label]

    def _sample(self) -> None:
        now = self.clock.now_us
        billed = self.cycle.billed_octets
        self.cycle.samples.append((now, billed))
        self._sample_at_us = now + SAMPLE_US
        self._sample_at_octets = billed + max(self.plan.allowance_octets // SAMPLE_STEPS, 1)


def figures_of(cycle: CycleUsage, plan: SimPlan, enforcement: Enforcement) -> dict[str, Any]:
    """A cycle as plain values, instants in ISO 8601."""
    return {
        "cycle": cycle.label,
        "closed": cycle.closed,
        "ip_octets": cycle.ip_octets,
        "packets": cycle.packets,
        "billed_octets": cycle.billed_octets,
        "allowance_octets": plan.allowance_octets,
        "stopped_at": cycle.stopped_at.isoformat() if cycle.stopped_at else None,
        "stop_reason": cycle.stop_reason,
        "overage_cost": enforcement.cost(cycle.billed_octets, plan.allowance_octets),
    }
