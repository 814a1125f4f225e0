"""The carrier's configuration: rating, tariff tiers, the SIM's plan and its enforcement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timezone

from host_tools.sim.carrier.cycles import (
    CHINA_OFFSET_MIN,
    CalendarMonths,
    Cycles,
    Endless,
    RollingDays,
    RollingMonths,
    add_months,
    zone,
)
from host_tools.sim.carrier.stops import NOT_SUBSCRIBED, OPERATOR_DETERMINED_BARRING, SOFT
from host_tools.sim.network.packet import MTU

KINDS = ("cutoff", "overage", "throttle", "none")


@dataclass(frozen=True, slots=True)
class Rating:
    """How octets become billed octets, and when the platform sees them.

    `per_packet_octets` are added to each IP packet, each session is rounded up to a multiple of
    `session_round_octets` (0 = not rounded), and the sum is raised by `permille`. The platform sees usage `lag_s`
    seconds late; with `daily_figures` it shows the figures of the last midnight but acts on what it has seen.
    The usage records of `late_permille` of the packets arrive `late_s` after their cycle has closed and count in it.
    """

    per_packet_octets: int = 0
    session_round_octets: int = 0
    permille: int = 0
    lag_s: int = 0
    daily_figures: bool = False
    late_permille: int = 0
    late_s: int = 0

    def __post_init__(self) -> None:
        for name in ("per_packet_octets", "session_round_octets", "permille", "lag_s", "late_permille", "late_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} is negative")
        if self.late_permille > 1000:
            raise ValueError(f"late_permille {self.late_permille} is more than 1000")

    def session(self, octets: int) -> int:
        """A session's octets, overhead included, rounded up as the rating says."""
        unit = self.session_round_octets
        return -(-octets // unit) * unit if unit else octets

    def billed(self, octets: int) -> int:
        """The billed octets for the sum of the sessions."""
        return -(-octets * (1000 + self.permille) // 1000)


@dataclass(frozen=True, slots=True)
class Tier:
    """From `from_octets` beyond the plan, each started block of `block_octets` costs `fen`."""

    from_octets: int
    block_octets: int
    fen: int

    def __post_init__(self) -> None:
        if self.from_octets < 0 or self.block_octets < 1 or self.fen < 0:
            raise ValueError("a tier has from_octets 0 or more, block_octets 1 or more and fen 0 or more")


def check_tiers(tiers: Sequence[Tier]) -> None:
    """ValueError unless the tiers begin at 0 and are in ascending order."""
    starts = [tier.from_octets for tier in tiers]
    if starts and (starts[0] != 0 or starts != sorted(set(starts))):
        raise ValueError("tiers begin at from_octets 0, and each other one higher than the one before")


def cost(tiers: Sequence[Tier], beyond: int) -> int:
    """Cost in fen of `beyond` octets beyond the plan. Each tier's blocks are counted from its own beginning."""
    fen = 0
    for index, tier in enumerate(tiers):
        end = tiers[index + 1].from_octets if index + 1 < len(tiers) else beyond
        within = min(beyond, end) - tier.from_octets
        if within > 0:
            fen += -(-within // tier.block_octets) * tier.fen
    return fen


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What happens when the usage that the platform has seen reaches the allowance.

    "cutoff" stops data until the next cycle, "overage" bills further usage by `tiers`, "throttle" limits the SIM to
    `rate_octets_s` until the next cycle, "none" only counts, also in a pool and in a test period. A stopped SIM's
    activation is rejected with ESM cause `stop_cause`: 33 (not subscribed) or 8 (barred). With 0 it is accepted, and
    only the carrier's own name server answers. `tiers` are also the tariff of a test period that is charged. A
    throttled bearer passes a burst of `burst_octets` and queues up to `queue_octets`, each way.
    """

    kind: str = "cutoff"
    stop_cause: int = NOT_SUBSCRIBED
    tiers: tuple[Tier, ...] = ()
    rate_octets_s: int = 0
    burst_octets: int = 2 * MTU
    queue_octets: int = 64 * 1024

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"enforcement {self.kind!r} is unknown; use one of {', '.join(KINDS)}")
        if self.stop_cause not in (SOFT, OPERATOR_DETERMINED_BARRING, NOT_SUBSCRIBED):
            raise ValueError(f"stop_cause {self.stop_cause} is neither 0, 8 nor 33")
        check_tiers(self.tiers)
        if self.kind == "overage" and not self.tiers:
            raise ValueError("overage needs tiers")
        if self.rate_octets_s < (1 if self.kind == "throttle" else 0):
            raise ValueError(f"rate_octets_s {self.rate_octets_s} is not a rate; a throttle has 1 or more")
        if self.burst_octets < MTU or self.queue_octets < MTU:
            raise ValueError(f"burst_octets and queue_octets must hold a packet: {MTU} or more")


@dataclass(frozen=True, slots=True)
class Package:
    """A package of `months`, which is not renewed automatically.

    `slice`: "month" gives an allowance for each cycle of the plan, "whole" one for the whole package. It can be
    renewed until `renew_months` after its end; then the SIM is cancelled.
    """

    months: int
    slice: str = "month"
    renew_months: int = 3

    def __post_init__(self) -> None:
        if self.months < 1 or self.renew_months < 0:
            raise ValueError("a package has months 1 or more and renew_months 0 or more")
        if self.slice not in ("month", "whole"):
            raise ValueError(f"slice {self.slice!r} is unknown; use one of month, whole")


@dataclass(frozen=True, slots=True)
class Funds:
    """The balance at the start, after the present cycle's fee, and the fee debited at the start of each later cycle."""

    balance_fen: int
    fee_fen: int = 0

    def __post_init__(self) -> None:
        if self.fee_fen < 0:
            raise ValueError(f"fee_fen {self.fee_fen} is negative")


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The test period and the silent period that come before the billing period.

    The test period lasts until 00:00 of `test_until` and has a quota of `test_octets`; None means no test period.
    When it is used up, the SIM is stopped ("stop") or further usage is charged ("charge"). The silent period lasts
    until the SIM first uses data or 00:00 of `billing_from`, by default the 1st after `silent_months` of silence.
    """

    test_octets: int = 0
    test_until: date | None = None
    on_test_exhausted: str = "stop"
    silent_months: int = 6
    billing_from: date | None = None

    def __post_init__(self) -> None:
        if bool(self.test_octets) != (self.test_until is not None) or self.test_octets < 0:
            raise ValueError("a test period has both test_octets, 1 or more, and test_until")
        if self.on_test_exhausted not in ("stop", "charge"):
            raise ValueError(f"on_test_exhausted {self.on_test_exhausted!r} is unknown; use one of stop, charge")
        if self.silent_months < 0:
            raise ValueError(f"silent_months {self.silent_months} is negative")
        if self.billing_from and self.test_until and self.billing_from < self.test_until:
            raise ValueError("billing_from is before test_until")

    def forced_on(self, today: date) -> date:
        """The latest day on which billing begins, for a SIM put into service on `today`."""
        if self.billing_from is not None:
            return self.billing_from
        silent_since = self.test_until or today
        return add_months(add_months(silent_since, self.silent_months).replace(day=1), 1)


@dataclass(frozen=True, slots=True)
class Daily:
    """Counters of a day: at `cap_octets` data is stopped, at `slow_octets` it is slowed down, both until 00:00.

    They count the billed octets of the cycle from 00:00 on. 0: there is no such counter.
    """

    cap_octets: int = 0
    slow_octets: int = 0

    def __post_init__(self) -> None:
        if self.cap_octets < 0 or self.slow_octets < 0 or not (self.cap_octets or self.slow_octets):
            raise ValueError("a day has cap_octets or slow_octets, 1 or more")


@dataclass(frozen=True, slots=True)
class Hours:
    """Octets from `begin` to `end`, both in minutes of the local day, are debited to a counter of their own.

    It has `allowance_octets` of each cycle, None for no end; what is beyond is debited to the plan's allowance. So are
    `charged_permille` of what it takes.
    """

    begin: int
    end: int
    allowance_octets: int | None = None
    charged_permille: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.begin < 1440 and 0 <= self.end < 1440 and self.begin != self.end):
            raise ValueError("hours begin and end at different minutes of the day")
        if self.allowance_octets is not None and self.allowance_octets < 1:
            raise ValueError(f"allowance_octets {self.allowance_octets} of the hours is not 1 or more")
        if not 0 <= self.charged_permille < 1000:
            raise ValueError(f"charged_permille {self.charged_permille} is not 0 to 999")

    def hold(self, minute: int) -> bool:
        """Whether this minute of the local day is one of them."""
        return (minute - self.begin) % 1440 < (self.end - self.begin) % 1440


@dataclass(frozen=True, slots=True)
class SimPlan:
    """A SIM's plan: allowance per cycle, kind of cycle, package, account and lifecycle.

    A cycle is a calendar month from `cycle_start_day`, or `cycle_days` days, or the whole package where its slice is
    "whole"; the last two are counted from `activated`, and so is the end of a package. With a lifecycle `activated`
    may be left out: it is the first day of the billing period then. An `endless` plan has one cycle, from that day on.
    From `slow_from_octets` of a cycle on data is slowed down to the throttle's rate; 0: it is not.
    While it roams, the SIM has `roaming_octets` of a cycle, and data is denied beyond; None: it uses the allowance.
    In a `pool` the allowance is the pool's, and `allowance_octets` is the SIM's own cap, 0 for none.
    """

    allowance_octets: int
    cycle_start_day: int = 1
    cycle_days: int = 0
    activated: date | None = None
    package: Package | None = None
    funds: Funds | None = None
    lifecycle: Lifecycle | None = None
    pool: str | None = None
    utc_offset_min: int = CHINA_OFFSET_MIN
    daily: Daily | None = None
    endless: bool = False
    slow_from_octets: int = 0
    hours: Hours | None = None
    roaming_octets: int | None = None

    def __post_init__(self) -> None:
        if self.roaming_octets is not None and self.roaming_octets < 0:
            raise ValueError(f"roaming_octets {self.roaming_octets} is negative")
        apart = self.hours or self.roaming_octets is not None
        if apart and (self.pool or self.lifecycle or self.daily):
            raise ValueError("hours and roaming of their own do not go with a pool, a lifecycle or daily counters")
        if self.slow_from_octets < 0 or (self.slow_from_octets and self.pool):
            raise ValueError("slow_from_octets is 0 or more, and a pool's SIM has none")
        if self.endless and (self.cycle_days or self.package or self.pool):
            raise ValueError("an endless allowance excludes cycle_days, a package and a pool")
        if self.daily and self.pool:
            raise ValueError("a pool's SIM has no daily counters")
        if self.allowance_octets < (0 if self.pool else 1):
            raise ValueError(f"allowance_octets {self.allowance_octets} is not 1 or more")
        CalendarMonths(self.cycle_start_day)
        zone(self.utc_offset_min)
        if self.cycle_days < 0:
            raise ValueError(f"cycle_days {self.cycle_days} is negative")
        if self.cycle_days and self.whole:
            raise ValueError("cycle_days and a whole package exclude each other")
        counted = self.cycle_days or self.package or self.endless
        if counted and self.activated is None and (self.lifecycle is None or self.pool):
            raise ValueError("cycle_days, package and endless need the day of activation, activated")

    @property
    def zone(self) -> timezone:
        return zone(self.utc_offset_min)

    @property
    def whole(self) -> bool:
        """Whether one allowance covers the whole package."""
        return self.package is not None and self.package.slice == "whole"

    def cycles(self, billing_since: date) -> Cycles:
        """The billing cycles of a SIM whose first billed day is `billing_since`."""
        activated = self.activated or billing_since
        if self.endless:
            return Endless(activated)
        if self.package is not None and self.whole:
            return RollingMonths(self.package.months, activated)
        return RollingDays(self.cycle_days, activated) if self.cycle_days else CalendarMonths(self.cycle_start_day)


@dataclass(frozen=True, slots=True)
class VirtualMembers:
    """`count` SIMs of a pool that are not simulated: each uses `octets_per_hour`.

    They use data from `start_s` to `until_s` seconds of the world's time (0: until its end).
    """

    octets_per_hour: int
    count: int = 1
    start_s: int = 0
    until_s: int = 0

    def __post_init__(self) -> None:
        if min(self.octets_per_hour, self.start_s, self.until_s) < 0 or self.count < 1:
            raise ValueError("virtual members have a count of 1 or more, and nothing negative")
