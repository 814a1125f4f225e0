"""Finds the plan that suits a fleet's past usage: replays it under each plan and option, and ranks them by cost.

The options of a plan file are: the behaviour that it names; "cutoff" (流量用尽关停), which a carrier sets for any
SIM on request, unless the file names "none"; "overage" if it has tiers, without a cap and with its own caps;
"throttle" if it has a rate. Each option is replayed as the carrier alone would treat the SIM, and "guarded", with the
device's margin, reserve, caps, pace and the limit of its default class, where that makes a difference.

Fees and allowances count in proportion for a period that the history covers in part. Periods that count from an
activation, and a package, begin with the local day on which the history begins. A balance is that of each device at
the beginning, with the first period paid. A plan with a pool whose size is known, by `[carrier.pool]`, is shared by all
devices: the carrier stops all of them when it is used up, and a guarded fleet stops before, by what the platform sets
aside (margin, and each member's reports). The lifecycle is ignored. Hours of their own are replayed where the history's
rows are short enough to tell what was used in them, and data for roaming where the history tells what was used away
from home: what is beyond is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from host_tools.base.days import DAY_S
from host_tools.base.errors import UsageError
from host_tools.planning.explain import day_text, report_octets, yuan
from host_tools.planning.replay import Ends, Outcome, Period, periods, replay, used_up, value_at
from host_tools.planning.source import Source
from host_tools.planning.usage import History

MONTH_S = 365.2425 * DAY_S / 12  # the Gregorian mean
_MOST_ASTRIDE = 0.1  # of all octets, in rows that reach over an edge of a plan's hours
_POOL_MARGIN_PERMILLE = 20  # of a pool, ungranted: the default of a platform's account


@dataclass(frozen=True)
class Option:
    """One behaviour of one plan file, with the firmware's Plan for it."""

    source: Source
    behaviour: str
    guarded: bool
    plan: Any
    traffic_class: Any

    @property
    def name(self) -> str:
        return f"{self.source.title}: {self.behaviour}{', guarded' if self.guarded else ''}"

    @property
    def pool_octets(self) -> int | None:
        """What the pool has for all devices in a period; None where each has the allowance for itself."""
        return self.source.pool_octets if self.source.plan.pool else None


@dataclass(frozen=True)
class Saved:
    """What a guarded option saves beside the same behaviour without the guard.

    `dark_s`: time in which the carrier would have stopped the SIM, reports included; `overage_fen`: cost beyond the
    plan; `reports`: those that still go out while the device holds other data back, from the plan's reserve.
    """

    dark_s: int
    overage_fen: int
    reports: int


@dataclass
class Total:
    """The outcomes of an option, added up over all devices and periods. `saved` is None for one without the guard."""

    option: Option
    seconds: int = 0
    demand_octets: int = 0
    through_octets: int = 0
    stopped_s: int = 0
    closed_s: int = 0
    slowed_s: int = 0
    fee_fen: int = 0
    overage_fen: int = 0
    paid_octets: int = 0
    unused_octets: int = 0
    devices: int = 0
    devices_stopped: int = 0
    by_period: dict[str, list[int]] = field(default_factory=dict)
    """Demand of each device by the first day of its period."""
    reports: int = 0  # that the reserve carries while other data is held back
    saved: Saved | None = None

    def add(self, seconds: int, parts: list[Period], outcomes: list[Outcome]) -> None:
        """Adds the outcomes of one device."""
        cycle = self.option.plan.cycle
        reserve, upstream = self.option.plan.reserve_octets, self.option.source.config.upstream
        if upstream.host is not None:
            held = [(each.stopped_s - each.closed_s) // upstream.interval_s for each in outcomes]
            if self.option.pool_octets is None:  # in a pool the platform sets all of them aside
                most = reserve // report_octets(self.option.plan, upstream)
                held = [min(most, reports) for reports in held]
            self.reports += sum(held)
        self.seconds += seconds
        self.devices += 1
        self.devices_stopped += any(each.stopped_s for each in outcomes)
        for part, each in zip(parts, outcomes, strict=True):
            self.demand_octets += each.demand_octets
            self.through_octets += each.through_octets
            self.stopped_s += each.stopped_s
            self.closed_s += each.closed_s
            self.slowed_s += each.slowed_s
            self.fee_fen += each.fee_fen
            self.overage_fen += each.overage_fen
            self.paid_octets += each.paid_octets
            self.unused_octets += each.unused_octets
            first = day_text(cycle.local_day(*divmod(part.begin, DAY_S)))
            self.by_period.setdefault(first, []).append(each.demand_octets)

    def add_abroad(self, parts: list[Period]) -> None:
        """Adds what one device used while it roamed, of which the plan has some for each period."""
        terms = self.option.plan.roaming
        most = terms.octets + (0 if self.option.guarded else terms.margin)
        for part in parts:
            at = used_up([part], int(part.rated[-1]), most) if most else int(part.times[0])
            self.demand_octets += part.demand
            self.through_octets += part.demand if at is None else value_at(part.times, part.carried, at)

    def add_pool(self, begin: int, parts: list[tuple[Period, Outcome]]) -> None:
        """Adds what the pool had in one period for those parts of it."""
        pool = self.option.pool_octets or 0
        first, last = min(int(part.times[0]) for part, _ in parts), max(int(part.times[-1]) for part, _ in parts)
        paid = pool * (last - first) // (parts[0][0].end - begin)
        self.paid_octets += paid
        self.unused_octets += max(0, paid - sum(each.rated_octets for _, each in parts))

    @property
    def priced(self) -> bool:
        """Whether the plan's file gives a fee, if only 0: without one its options look cheaper than they are."""
        return "fee_fen" in self.option.source.raw["plan"].get("account", {})

    @property
    def cost_fen(self) -> int:
        return self.fee_fen + self.overage_fen

    @property
    def cost_per_month_fen(self) -> float:
        """The mean cost per device and month."""
        return self.cost_fen * MONTH_S / self.seconds

    @property
    def lost_octets(self) -> int:
        return self.demand_octets - self.through_octets

    @property
    def lost_share(self) -> float:
        return self.lost_octets / self.demand_octets if self.demand_octets else 0.0

    @property
    def unused_share(self) -> float:
        return self.unused_octets / self.paid_octets if self.paid_octets else 0.0

    def to_json(self) -> dict[str, Any]:
        option = self.option
        names = ("stopped_s", "slowed_s", "fee_fen", "overage_fen", "cost_fen", "demand_octets", "through_octets")
        return {
            "name": option.name,
            "file": option.source.where,
            "title": option.source.title,
            "behaviour": option.behaviour,
            "guarded": option.guarded,
            **{name: getattr(self, name) for name in names},
            "lost_octets": self.lost_octets,
            "lost_share": self.lost_share,
            "unused_share": self.unused_share,
            "cost_per_device_month_fen": round(self.cost_per_month_fen, 2),
            "stopped_share": self.stopped_s / self.seconds,
            "devices_stopped": self.devices_stopped,
            "saved": self.saved and asdict(self.saved),
            "allowance_octets": option.plan.allowance,
            "periods": {
                day: {"devices": len(each), "octets": sum(each), "most_octets": max(each)}
                for day, each in sorted(self.by_period.items())
            },
        }


@dataclass(frozen=True)
class Fit:
    """`totals` from the best to the worst: least cost first, then least stopped, then least lost. Plans without a price
    come last, and are neither the cheapest nor the trade-off where others have one."""

    history: History
    totals: list[Total]
    cheapest: Total
    least_stopped: Total
    trade_off: Total
    notes: list[str]

    @property
    def unpriced(self) -> list[str]:
        """The titles of plans without a price."""
        return list(dict.fromkeys(total.option.source.title for total in self.totals if not total.priced))

    def to_json(self) -> dict[str, Any]:
        return {
            "usage": self.history.where,
            "devices": len(self.history.curves),
            "device_seconds": self.history.seconds,
            "octets": self.history.total,
            "ranking": [total.to_json() for total in self.totals],
            "cheapest": self.cheapest.option.name,
            "least_stopped": self.least_stopped.option.name,
            "trade_off": self.trade_off.option.name,
            "unpriced": self.unpriced,
            "notes": self.notes,
        }


def options(source: Source, by_hour: bool = True, by_place: bool = False) -> list[Option]:
    """Every behaviour that the file allows, except those that the firmware's validator refuses for lack of quota.
    Without `by_hour` the plan's hours are left out, without `by_place` its data for roaming."""
    from usageguard.config.table import ConfigError
    from usageguard.core.plan import TrafficClass

    given = source.raw["plan"]
    own = source.config.classes[0]
    any_class = TrafficClass("any", 0)
    pooled = "pool" in given and source.pool_octets is not None
    found: list[Option] = []

    def add(behaviour: str, guarded: bool, **changes: Any) -> None:
        common: dict[str, Any] = {"warn_permille": [], "warn_cost_fen": None, "lifecycle": None, "pool": None}
        if not by_place:
            common["roaming"] = None
        if not by_hour:
            common["hours"] = None
        if pooled:
            common["pace"] = False
        if "lifecycle" in given:  # it has the day from which periods count; here the history has
            common["activated"] = "2026-01-01"
        if not guarded:
            common |= {"margin_octets": 0, "reserve_octets": 0, "pace": False}
        try:
            plan = source.variant(**common, on_exhaustion=behaviour.partition(",")[0], **changes)
        except ConfigError:
            return
        found.append(Option(source, behaviour, guarded, plan, own if guarded else any_class))

    named = "cutoff" if pooled else given.get("on_exhaustion", "cutoff")
    if named != "none":
        add("cutoff", False)
        add("cutoff", True)
    if pooled:
        return found  # a carrier stops a pool's SIMs, and neither bills nor slows down what is beyond
    for behaviour in ("overage", "throttle"):
        if behaviour in given:
            uncapped = {"overage": {"cost_cap_fen": None, "cap_octets": None}} if behaviour == "overage" else {}
            add(behaviour, False, **uncapped)
            if source.plan.pace or (behaviour == "overage" and source.balance_fen is not None):
                add(behaviour, True, **uncapped)
    overage = given.get("overage", {})
    if "cost_cap_fen" in overage or "cap_octets" in overage:
        add("overage, capped", True)
    if named == "none":
        add("none", False)
        if source.plan.pace:
            add("none", True)
    return found


def fit(
    history: History,
    sources: list[Source],
    stopped_day_fen: int | None = None,
    each: Callable[[Iterable[Source]], Iterable[Source]] = lambda sources: sources,
) -> Fit:
    """Replays the history under every option of `sources`.

    `stopped_day_fen`: what a day without data costs the owner, see `trade_off`. `each` may show progress. UsageError
    for two plans with the same title.
    """
    titles: dict[str, str] = {}
    for source in sources:
        if source.title in titles:
            problem = f'"{source.title}" is the title of {titles[source.title]} too'
            raise UsageError(source.where, "title", problem, "give each plan its own")
        titles[source.title] = source.where
    totals = [total for source in each(sources) for total in _totals(history, source)]
    _find_savings(totals)
    totals.sort(key=lambda total: (not total.priced, total.cost_fen, total.stopped_s, total.lost_octets))
    return Fit(
        history,
        totals,
        totals[0],
        min(totals, key=lambda total: (total.stopped_s, total.lost_octets, total.cost_fen)),
        trade_off(comparable(totals), stopped_day_fen),
        [*history.notes, *(note for source in sources for note in notes(history, source))],
    )


def comparable(totals: list[Total]) -> list[Total]:
    """The options that can be compared by cost: those with a price, or all where none has one."""
    return [total for total in totals if total.priced] or totals


def _find_savings(totals: list[Total]) -> None:
    """Compares each guarded option with what the carrier alone would do."""
    alone = {
        (total.option.source.where, total.option.behaviour): total for total in totals if not total.option.guarded
    }
    for total in totals:
        option = total.option
        other = alone.get((option.source.where, option.behaviour.partition(",")[0]))
        if option.guarded and other:
            avoided = max(0, other.overage_fen - total.overage_fen)
            total.saved = Saved(other.stopped_s - total.closed_s, avoided, total.reports)


def _totals(history: History, source: Source) -> list[Total]:
    split = history.split if source.plan.roaming else None
    curves = [home for home, _ in split] if split else history.curves
    by_hour = _astride(history, source) <= _MOST_ASTRIDE
    totals = [Total(option) for option in options(source, by_hour, split is not None)]
    cycle = totals[0].option.plan.cycle
    begin = cycle.local_day(*divmod(min(int(curve.times[0]) for curve in history.curves), DAY_S))
    if hasattr(cycle, "first_day") and not hasattr(cycle, "start_day"):
        for total in totals:
            total.option.plan.cycle.first_day = begin
    expires = _expiry(source, begin)
    each = [periods(curve, cycle, source.plan.rating) for curve in curves]
    abroad = [periods(away, cycle, source.plan.rating) for _, away in split or ()]
    for total in totals:
        option = total.option
        ends = Ends(source.balance_fen, expires, _pool_ends(option, each) if option.pool_octets else None)
        shared: dict[int, list[tuple[Period, Outcome]]] = {}
        for parts in abroad:
            total.add_abroad(parts)
        for curve, parts in zip(curves, each, strict=True):
            outcomes = list(replay(parts, option.plan, option.traffic_class, ends, option.guarded))
            total.add(curve.seconds, parts, outcomes)
            for part, outcome in zip(parts, outcomes, strict=True):
                shared.setdefault(part.begin, []).append((part, outcome))
        if option.pool_octets:
            for at, members in shared.items():
                total.add_pool(at, members)
    return totals


def _astride(history: History, source: Source) -> float:
    """The share of octets of which nobody knows whether they were used in the plan's hours."""
    hours = source.plan.hours
    if hours is None or not history.total:
        return 0.0
    second = hours.start_s - source.plan.cycle.utc_offset_min * 60
    return sum(curve.astride(second, hours.length_s) for curve in history.curves) / history.total


def _expiry(source: Source, begin: int) -> int | None:
    """The second at which a package ends that is bought on the local day `begin`; None for a plan without."""
    from usageguard.core.cycle import add_months

    plan = source.plan
    if not plan.package_months:
        return None
    day, second = plan.cycle.midnight(add_months(begin, plan.package_months))
    return day * DAY_S + second


def _pool_ends(option: Option, each: list[list[Period]]) -> dict[int, int]:
    """When the pool is used up, by the beginning of the period: for a guarded fleet, what the platform grants of it."""
    upstream, pool = option.source.config.upstream, option.pool_octets or 0
    limit = option.plan.limit(option.traffic_class)
    by_period: dict[int, list[Period]] = {}
    for parts in each:
        for part in parts:
            by_period.setdefault(part.begin, []).append(part)
    found = {}
    for begin, parts in by_period.items():
        octets = pool
        if option.guarded:
            octets -= pool * _POOL_MARGIN_PERMILLE // 1000
            if upstream.host is not None:
                reports = (parts[0].end - begin) // upstream.interval_s
                octets -= len(parts) * reports * report_octets(option.plan, upstream)
        at = used_up(parts, limit, max(0, octets))
        if at is not None:
            found[begin] = at
    return found


def trade_off(totals: list[Total], stopped_day_fen: int | None = None) -> Total:
    """The best balance between cost and loss.

    With a price for a day without data: the least sum of cost and price. Without: of the options that no other beats in
    both cost and share of octets lost, the one nearest to the least of each, with both scaled to 0..1 (compromise
    programming, Yu and Zeleny); of equals the one that loses less.
    """
    if stopped_day_fen is not None:
        return min(
            totals, key=lambda total: (total.cost_fen * DAY_S + total.stopped_s * stopped_day_fen, total.cost_fen)
        )
    points = [(total.cost_fen, total.lost_share, total) for total in totals]
    front = [
        (cost, lost, total)
        for cost, lost, total in points
        if not any(c <= cost and s <= lost and (c < cost or s < lost) for c, s, _ in points)
    ]
    costs, losses = [cost for cost, _, _ in front], [lost for _, lost, _ in front]

    def distance(point: tuple[int, float, Total]) -> tuple[float, float]:
        cost, lost, _ = point
        x = (cost - min(costs)) / ((max(costs) - min(costs)) or 1)
        y = (lost - min(losses)) / ((max(losses) - min(losses)) or 1)
        return x * x + y * y, lost

    return min(front, key=distance)[2]


def notes(history: History, source: Source) -> Iterator[str]:
    """One sentence for each part of the plan that the replay ignores."""
    plan, rating = source.plan, source.plan.rating
    title = source.title
    if rating.per_packet_octets and any(curve.packets is None for curve in history.curves):
        yield f"{title}: per_packet_octets are not counted, as the history has no packets"
    if rating.session_round_octets:
        yield f"{title}: sessions are not rounded up, as the history has none"
    if plan.pool and source.pool_octets is None:
        yield f"{title}: its pool is left out, each device has the allowance for itself; give carrier.pool"
    if plan.pool and source.pool_octets and plan.pace:
        yield f"{title}: its pace is left out, as the pool is shared"
    if (astride := _astride(history, source)) >= 0.005:
        rows = f"{astride:.0%} of the usage is in rows that reach over an edge of its hours"
        done = "they are left out, and the allowance counts all" if astride > _MOST_ASTRIDE else "it is split by time"
        yield f"{title}: {rows}: {done}"
    if plan.roaming and history.split is None:
        why = "say with --home where home is" if history.places else "the history does not say where it was used"
        yield f"{title}: its data for roaming is left out, and the allowance counts all: {why}"
    elif plan.roaming:
        yield f"{title}: the time without data is that at home"
    if source.balance_fen is not None:
        yield f"{title}: its balance is {yuan(source.balance_fen)} at the beginning, and nobody recharges it"
    if ended := _ended(history, source):
        yield f"{title}: {ended}"
    cycle = getattr(plan.cycle, "cycle", plan.cycle)
    if not hasattr(cycle, "start_day"):
        yield f"{title}: its periods are counted from the history's first day"
    if not any(_whole(curve, cycle) for curve in history.curves):
        yield f"{title}: the history covers no whole period, so that quotas look larger than they are"


def _ended(history: History, source: Source) -> str:
    """The end of the package, where the history goes on after it."""
    first = min(int(curve.times[0]) for curve in history.curves)
    expires = _expiry(source, source.plan.cycle.local_day(*divmod(first, DAY_S)))
    if expires is None or expires >= max(int(curve.times[-1]) for curve in history.curves):
        return ""
    day = day_text(source.plan.cycle.local_day(*divmod(expires, DAY_S)))
    return f"its package ends on {day}, and data with it; to see what a renewal costs give it more months"


def _whole(curve: Any, cycle: Any) -> bool:
    """Whether the curve covers a whole period; periods that count from the history's start are compared by length."""
    begin = int(curve.times[0])
    start, end = (day * DAY_S + second for day, second in cycle.bounds(cycle.cycle_id(*divmod(begin, DAY_S))))
    if not hasattr(cycle, "start_day"):
        return curve.seconds >= end - start
    if start < begin:
        end = (lambda until: until[0] * DAY_S + until[1])(cycle.bounds(cycle.cycle_id(*divmod(end, DAY_S)))[1])
    return int(curve.times[-1]) >= end
