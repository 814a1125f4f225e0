"""Reads the tables `[carrier]` and `[[platform]]` of a scenario, and builds the simulated carrier.

What `[carrier]` leaves out is as the device's `[plan]` says: a scenario states its plan once, and only where the two
differ a second time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

from host_tools.base import toml
from host_tools.base.errors import UsageError
from host_tools.base.toml import Table
from host_tools.base.units import Octets, Seconds
from host_tools.scenario.expect import Permille
from host_tools.sim import carrier
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import MTU

POOL = "pool"
"""The name of a scenario's one pool."""

Fen = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
AnyFen = Annotated[int, msgspec.Meta(ge=-(1 << 40), le=1 << 40)]
Months = Annotated[int, msgspec.Meta(ge=1, le=600)]
Delay = Annotated[int, msgspec.Meta(ge=0, le=172_800)]


class Tier(Table, frozen=True):
    """A price: `fen` for each started block, from `from_octets` beyond the plan on."""

    block_octets: Octets
    fen: Fen
    from_octets: Octets = Octets(0)


class Overage(Table, frozen=True):
    """The prices of usage beyond the plan."""

    tiers: list[Tier] = []


class Package(Table, frozen=True):
    """A package of months without automatic renewal, with one allowance for each cycle, or for the whole package."""

    months: Months
    slice: Literal["month", "whole"]
    renew_months: Annotated[int, msgspec.Meta(ge=0, le=120)] = 3


class Account(Table, frozen=True):
    """The balance at the start, and the fee that is charged at the start of each later cycle."""

    balance_fen: AnyFen
    fee_fen: Fen = 0


class Lifecycle(Table, frozen=True):
    """The test period and the silent period before billing."""

    test_octets: Octets = Octets(0)
    test_until: date | None = None
    on_test_exhausted: Literal["stop", "charge"] = "stop"
    silent_months: Annotated[int, msgspec.Meta(ge=0, le=120)] = 6
    billing_from: date | None = None


class Throttle(Table, frozen=True):
    """The carrier's shaper. Packets beyond `queue_octets` in a direction are dropped; the device has no such queue."""

    rate_octets_s: Octets
    burst_octets: Octets = Octets(3_000)
    queue_octets: Octets = Octets(65_536)
    from_octets: Octets = Octets(0)


class Daily(Table, frozen=True):
    """What the carrier counts by the day: 0 for no cap, and for no octets beyond which it slows the SIM down."""

    cap_octets: Octets = Octets(0)
    slow_octets: Octets = Octets(0)


class Roaming(Table, frozen=True):
    """What the SIM may use of a cycle while it roams."""

    allowance_octets: Octets = Octets(0)


Minute = Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Hours(Table, frozen=True):
    """Hours of each day that the carrier debits to a counter of their own, 0 for one without an end."""

    begin: Minute = msgspec.field(name="from")
    end: Minute = msgspec.field(name="to")
    allowance_octets: Octets = Octets(0)
    charged_permille: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0

    def sold(self) -> carrier.Hours:
        begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in (self.begin, self.end))
        return carrier.Hours(begin, end, self.allowance_octets or None, self.charged_permille)


class Members(Table, frozen=True):
    """`count` SIMs of the pool that are not simulated; each uses `octets_per_hour`."""

    octets_per_hour: Octets
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    start: Seconds = msgspec.field(name="from", default=Seconds(0))
    until: Seconds = Seconds(0)


class Pool(Table, frozen=True):
    """The whole pool's allowance in a cycle, and its other members. The SIM's own cap is the plan's allowance."""

    allowance_octets: Octets
    members: list[Members] = []


class Carrier(Table, frozen=True):
    """How the simulated carrier bills and stops. What is left out, except the rating, is as in `[plan]`."""

    allowance_octets: Octets | None = None
    enforcement: Literal["cutoff", "overage", "throttle", "none"] | None = None  # on_exhaustion
    stop_cause: Literal[0, 8, 33] = 33
    cycle_start_day: Annotated[int, msgspec.Meta(ge=1, le=31)] | None = None
    cycle_days: Annotated[int, msgspec.Meta(ge=0, le=3_660)] | None = None
    activated: date | None = None
    endless: bool | None = None
    utc_offset_min: Annotated[int, msgspec.Meta(ge=-720, le=840)] | None = None
    per_packet_octets: Annotated[int, msgspec.Meta(ge=0, le=1_500)] = 0
    session_round_octets: Octets = Octets(0)
    permille: Permille = 0
    lag_s: Delay = 0
    daily_figures: bool = False
    late_permille: Permille = 0
    late_s: Annotated[int, msgspec.Meta(ge=0, le=31 * 86_400)] = 0
    overage: Overage | None = None
    package: Package | None = None
    account: Account | None = None
    lifecycle: Lifecycle | None = None
    throttle: Throttle | None = None
    daily: Daily | None = None
    hours: Hours | None = None
    roaming: Roaming | None = None
    pool: Pool | None = None
    apn: Annotated[str, msgspec.Meta(min_length=1, max_length=60)] = "cmiot"
    serves_apn: Annotated[str, msgspec.Meta(min_length=1, max_length=60)] | None = None


Fault = tuple[str, str, str]
"""(field, problem, hint)"""


class _Action(Table, frozen=True, tag_field="action"):
    """An action of a person or of the platform at the carrier, `at` this time after the start."""

    at: Seconds

    def fault(self, plan: carrier.SimPlan) -> Fault | None:
        """Why this action is not possible for a SIM of this plan; None if it is."""
        return None

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        raise NotImplementedError


def _needs(table: str, there: object) -> Fault | None:
    return None if there else ("action", f"the SIM has no {table}", f"add [plan.{table}] or [carrier.{table}]")


def _needs_some(field: str, octets: int) -> Fault | None:
    return None if octets else (field, "is zero", "give 1 octet or more")


class Stop(_Action, frozen=True, tag="stop"):
    """The customer stops data."""

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.stop(imsi)


class Resume(_Action, frozen=True, tag="resume"):
    """The customer resumes data: ends the stop for `reason`, or every stop that a person can end."""

    reason: Literal["manual", "arrears"] | None = None

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.resume(imsi, self.reason)


class Recharge(_Action, frozen=True, tag="recharge"):
    """Money is paid in. A SIM that was stopped for arrears has to be resumed as well."""

    fen: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]

    def fault(self, plan: carrier.SimPlan) -> Fault | None:
        return _needs("account", plan.funds)

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.recharge(imsi, self.fen)


class Renew(_Action, frozen=True, tag="renew"):
    """The package is renewed for `months` from the day on which it ends or has ended."""

    months: Months

    def fault(self, plan: carrier.SimPlan) -> Fault | None:
        return _needs("package", plan.package)

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.renew(imsi, self.months)


class SlowDown(_Action, frozen=True, tag="throttle"):
    """The customer slows the SIM down to `rate_octets_s`, until `unthrottle`."""

    rate_octets_s: Octets

    def fault(self, plan: carrier.SimPlan) -> Fault | None:
        return _needs_some("rate_octets_s", self.rate_octets_s)

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.throttle(imsi, self.rate_octets_s)


class Unthrottle(_Action, frozen=True, tag="unthrottle"):
    """The customer ends his own `throttle`."""

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.throttle(imsi, None)


class TopUp(_Action, frozen=True, tag="top_up"):
    """The SIM's own allowance gets `octets` more for the present cycle."""

    octets: Octets

    def fault(self, plan: carrier.SimPlan) -> Fault | None:
        if plan.pool:
            return "action", "the SIM is in a pool", 'give "top_up_pool"'
        return _needs_some("octets", self.octets)

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.top_up(imsi, self.octets)


class TopUpPool(_Action, frozen=True, tag="top_up_pool"):
    """The pool gets `octets` more for the present cycle."""

    octets: Octets

    def fault(self, plan: carrier.SimPlan) -> Fault | None:
        return _needs("pool", plan.pool) or _needs_some("octets", self.octets)

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.top_up_pool(POOL, self.octets)


class SetCap(_Action, frozen=True, tag="set_cap"):
    """Sets the SIM's cap in its pool, 0 for none. A cap that is already exceeded takes effect with the next cycle."""

    octets: Octets

    def fault(self, plan: carrier.SimPlan) -> Fault | None:
        return _needs("pool", plan.pool)

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.set_cap(imsi, self.octets)


class Deactivate(_Action, frozen=True, tag="deactivate"):
    """The network ends the data session, although the SIM is not stopped."""

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.deactivate(imsi)


class Refuse(_Action, frozen=True, tag="refuse"):
    """The network rejects registration with this EMM cause from now on; 0 ends that."""

    cause: Annotated[int, msgspec.Meta(ge=0, le=255)]

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.refuse(imsi, self.cause)


class RefuseSessions(_Action, frozen=True, tag="refuse_sessions"):
    """The network rejects data sessions with this ESM cause from now on; 0 ends that."""

    cause: Annotated[int, msgspec.Meta(ge=0, le=255)]

    def do(self, platform: carrier.Carrier, imsi: str) -> None:
        platform.refuse_sessions(imsi, self.cause)


Action = (
    Stop | Resume | Recharge | Renew | SlowDown | Unthrottle | TopUp | TopUpPool | SetCap | Deactivate | Refuse
    | RefuseSessions
)  # fmt: skip


class _Plan(Table, frozen=True):
    """The keys of the device's `[plan]` that the carrier uses. The firmware's own validator checks the table."""

    allowance_octets: Octets
    on_exhaustion: Literal["cutoff", "overage", "throttle", "none"] = "cutoff"
    cycle_start_day: int = 1
    cycle_days: int = 0
    activated: date | None = None
    endless: bool = False
    utc_offset_min: int = 480
    overage: Overage | None = None
    package: Package | None = None
    account: Account | None = None
    lifecycle: Lifecycle | None = None
    throttle: Throttle | None = None
    daily: Daily | None = None
    hours: Hours | None = None
    roaming: Roaming | None = None
    pool: dict[str, Any] | None = None

    @classmethod
    def read(cls, plan: dict[str, Any], where: str) -> _Plan:
        """Reads the carrier's keys and ignores those that are the device's alone."""
        tables = {
            "overage": Overage,
            "package": Package,
            "account": Account,
            "lifecycle": Lifecycle,
            "throttle": Throttle,
            "daily": Daily,
            "hours": Hours,
            "roaming": Roaming,
        }
        raw = _part(plan, cls)
        raw.update({name: _part(raw[name], kind) for name, kind in tables.items() if name in raw})
        return toml.convert({"plan": raw}, _HasPlan, where, {}).plan


class _HasPlan(Table, frozen=True):
    plan: _Plan


def _part(raw: Any, kind: type[Table]) -> Any:
    """The part of a table whose keys are fields of `kind`."""
    known = kind.__struct_encode_fields__
    return {key: value for key, value in raw.items() if key in known} if isinstance(raw, dict) else raw


class CarrierConfig:
    """The simulated carrier's configuration, from `[carrier]` and `[plan]`.

    UsageError for what is missing or does not go together; `where` names the file.
    """

    def __init__(self, given: Carrier, plan: dict[str, Any], where: str = "scenario") -> None:
        sold = _Plan.read(plan, where)
        if sold.pool is not None and given.pool is None:
            hint = 'give the whole pool, as in allowance_octets = "10GB"'
            raise UsageError(where, "carrier.pool", "is missing, and the plan is a pool's", hint)

        def either(name: str) -> Any:
            own = getattr(given, name)
            return getattr(sold, name) if own is None else own

        # The cycle is one statement of two keys: the plan's holds where the carrier gives neither.
        cycle = sold if given.cycle_start_day is None and given.cycle_days is None else given
        overage, package, account = either("overage"), either("package"), either("account")
        lifecycle, throttle, daily = either("lifecycle"), either("throttle"), either("daily")
        hours, roaming = either("hours"), either("roaming")
        tiers = overage.tiers if overage else []
        try:
            self.rating = carrier.Rating(
                given.per_packet_octets,
                given.session_round_octets,
                given.permille,
                given.lag_s,
                given.daily_figures,
                given.late_permille,
                given.late_s,
            )
            shape = {}
            if throttle is not None:
                burst = max(throttle.burst_octets, MTU)  # a device's may be smaller; a packet has to pass
                shape = {"rate_octets_s": throttle.rate_octets_s, "burst_octets": burst}
                shape["queue_octets"] = throttle.queue_octets
            self.enforcement = carrier.Enforcement(
                given.enforcement or sold.on_exhaustion,
                given.stop_cause,
                tuple(carrier.Tier(each.from_octets, each.block_octets, each.fen) for each in tiers),
                **shape,
            )
            self.sim_plan = carrier.SimPlan(
                either("allowance_octets"),
                cycle.cycle_start_day or 1,
                cycle.cycle_days or 0,
                either("activated"),
                carrier.Package(*msgspec.structs.astuple(package)) if package else None,
                carrier.Funds(*msgspec.structs.astuple(account)) if account else None,
                carrier.Lifecycle(*msgspec.structs.astuple(lifecycle)) if lifecycle else None,
                POOL if given.pool else None,
                either("utc_offset_min"),
                carrier.Daily(*msgspec.structs.astuple(daily)) if daily else None,
                either("endless"),
                throttle.from_octets if throttle else 0,
                hours.sold() if hours else None,
                roaming.allowance_octets if roaming else None,
            )
            if daily and daily.slow_octets and not self.enforcement.rate_octets_s:
                raise ValueError("daily.slow_octets needs throttle.rate_octets_s")
        except ValueError as error:
            raise self._wrong(where, error) from None
        self._pool = given.pool
        self._apn = given.serves_apn or ""
        self._where = where

    @property
    def pool_octets(self) -> int | None:
        """What the whole pool has in a period; None without one."""
        return self._pool.allowance_octets if self._pool else None

    def build(self, clock: Clock, internet: Internet, log: EventLog, imsi: str) -> carrier.Carrier:
        """A carrier with the one SIM in service. UsageError for dates that do not fit the time of the start."""
        built = carrier.Carrier(clock, internet, self.rating, self.enforcement, log)
        built.apn = self._apn
        try:
            if self._pool is not None:
                others = [
                    carrier.VirtualMembers(each.octets_per_hour, each.count, each.start, each.until)
                    for each in self._pool.members
                ]
                built.add_pool(POOL, self._pool.allowance_octets, others)
            built.add_sim(imsi, self.sim_plan)
        except ValueError as error:
            raise self._wrong(self._where, error) from None
        return built

    def check(self, start: datetime) -> None:
        """UsageError if `build` would raise one."""
        clock = Clock(start)
        self.build(clock, Internet(clock, random.Random(0)), EventLog(clock), "0")

    @staticmethod
    def _wrong(where: str, error: ValueError) -> UsageError:
        return UsageError(where, "carrier", str(error), "correct it here or in [plan]")


def schedule(actions: Sequence[Action], clock: Clock, platform: carrier.Carrier, imsi: str) -> None:
    """Schedules the actions on the clock."""
    for action in actions:
        clock.at(int(action.at) * S, action.do, platform, imsi)
