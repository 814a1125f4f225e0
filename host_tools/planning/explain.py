"""Explains what a plan means on a device: limits, dates, costs and the rest, as one object for JSON.

Octets are of one billing period, by the plan's rating; null means that there is no such value. Dates are in the plan's
zone; the end of a period is the first day after it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from host_tools.base import paths
from host_tools.base.days import DAY_S, date_of, instant
from host_tools.base.units import size
from host_tools.planning.source import Source


def zone(plan: Any) -> timezone:
    """The zone in which the plan's days begin."""
    return timezone(timedelta(minutes=plan.cycle.utc_offset_min))


def day_text(number: int) -> str:
    """A day number as an ISO 8601 date."""
    return date_of(number).isoformat()


def yuan(fen: int) -> str:
    """Money for people: "20.00 yuan"."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02} yuan"


def explain(source: Source, at: datetime) -> dict[str, Any]:
    """Everything that `usageguard plan` shows, as of an instant with a time zone."""
    paths.use_firmware()
    plan, config = source.plan, source.config
    now = instant(at)
    cycle = _cycle(plan, now)
    parts = ("pool", "throttle", "burst", "daily")
    return {
        "file": source.where,
        "title": source.title,
        "at": at.astimezone(zone(plan)).isoformat(timespec="seconds"),
        "utc_offset_min": plan.cycle.utc_offset_min,
        "enforcement": config.enforcement,
        "kind": plan.exhaustion,
        "sentence": sentence(plan),
        "cycle": cycle,
        "limits": limits(plan),
        "reserve_reports": plan.reserve_octets // report_octets(plan, config.upstream),
        "rating": {
            "per_packet_octets": plan.rating.per_packet_octets,
            "session_round_octets": plan.rating.session_round_octets,
            "margin_permille": plan.rating.margin_permille,
        },
        "classes": [_class(plan, each) for each in config.classes],
        "warnings": _warnings(plan),
        "pace": _pace(plan, now),
        "lease": _lease(plan),
        "reports": _reports(source),
        "cost": _cost(plan),
        "account": {"balance_fen": plan.balance_fen, "fee_fen": plan.fee_fen} if plan.balance_fen is not None else None,
        "expiry": _expiry(plan, now),
        "lifecycle": _lifecycle(plan),
        "hours": _hours(plan),
        "roaming": _roaming(plan),
        **{part: vars(terms) if (terms := getattr(plan, part)) else None for part in parts},
    }


def bounded(octets: int) -> int | None:
    """A limit in octets; None for the firmware's MAX, which stands for no limit."""
    from usageguard.core.octets import MAX

    return octets if octets < MAX else None


def tiers(plan: Any) -> tuple[tuple[int, int, int], ...]:
    """The tariff's (from octets, block octets, fen)."""
    return plan.tariff.tiers


def report_octets(plan: Any, upstream: Any) -> int:
    """Octets of one report with its acknowledgement, by the plan's rating."""
    from usageguard.config import load

    return -(-load.report_octets(plan, upstream) * (1000 + plan.rating.margin_permille) // 1000)


def period_words(plan: Any) -> str:
    """The length and start of a period in words: "a calendar month from the 1st"."""
    from usageguard.core.cycle import CalendarCycle
    from usageguard.core.days import DayCycle

    cycle = getattr(plan.cycle, "cycle", plan.cycle)
    if endless(plan):
        return f"the life of the SIM, counted from {day_text(cycle.first_day)}"
    if isinstance(cycle, CalendarCycle):
        return f"a calendar month from the {ordinal(cycle.start_day)}"
    many = "" if cycle.length == 1 else f"{cycle.length} "
    unit = ("day" if isinstance(cycle, DayCycle) else "month") + ("" if cycle.length == 1 else "s")
    return f"{many or 'a '}{unit}, counted from {day_text(cycle.first_day)}"


def ordinal(number: int) -> str:
    """ "1st", "22nd", "13th"."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")  # codespell:ignore nd
    return f"{number}th" if number % 100 in (11, 12, 13) else f"{number}{ending}"


def sentence(plan: Any) -> str:
    """The plan in one sentence."""
    head = f"{size(plan.allowance)} for {period_words(plan)}"
    if plan.pool:
        head = f"A share of a pool, at most {head}"
    if hours := _hours(plan):
        head += f", {hours_words(hours)}"
    if roaming := _roaming(plan):
        own = roaming["allowance_octets"]
        head += f", {size(own)} for roaming" if own else ", none of it for roaming"
    if plan.daily and plan.daily.cap_octets is not None:
        head += f", {size(plan.daily.cap_octets)} a day at the most"
    if plan.daily and plan.daily.slow_octets is not None:
        head += f", {size(plan.daily.slow_octets)} a day at full speed"
    if plan.exhaustion != "throttle" and bounded(plan.slow_limit) is not None:
        head += f", slowed to {size(plan.throttle.rate_octets_s)} a second from {size(plan.slow_limit)} on"
    return f"{head}; {_beyond(plan)}."


def hours_words(hours: dict[str, Any]) -> str:
    """What `explain` has of `plan.hours`, in words: "with 500 MB of its own from 23:00 to 07:00"."""
    own = f"{size(hours['allowance_octets'])} of its own" if hours["allowance_octets"] else "no limit"
    charged = hours["charged_permille"]
    share = f", and {charged / 10:g} % of it counted all the same" if charged else ""
    return f"with {own} from {hours['from']} to {hours['to']}{share}"


def _roaming(plan: Any) -> dict[str, Any] | None:
    """As in the configuration."""
    roaming = plan.roaming
    if roaming is None:
        return None
    return {"allowance_octets": roaming.octets + roaming.margin, "margin_octets": roaming.margin}


def _hours(plan: Any) -> dict[str, Any] | None:
    """As in the configuration."""
    hours = plan.hours
    if hours is None:
        return None
    begin, end = (second // 60 % 1440 for second in (hours.start_s, hours.start_s + hours.length_s))
    return {
        "from": f"{begin // 60:02}:{begin % 60:02}",
        "to": f"{end // 60:02}:{end % 60:02}",
        "allowance_octets": hours.octets or None,
        "charged_permille": hours.share,
    }


def _beyond(plan: Any) -> str:
    if plan.exhaustion == "cutoff":
        return f"used up, the carrier stops the SIM until {_next(plan)}"
    if plan.exhaustion == "throttle":
        rate = size(plan.throttle.rate_octets_s)
        return f"beyond it the carrier slows the SIM to {rate} a second until {_next(plan)}"
    if plan.exhaustion == "none":
        return "beyond it nothing happens"
    (_, block, fen), *more = tiers(plan)
    price = f"beyond it each started {size(block)} costs {yuan(fen)}"
    if more:
        price += f", in {len(more) + 1} tiers"
    ceiling = bounded(plan.ceiling)
    return f"{price}, {'without limit' if ceiling is None else f'and the device stops before {size(ceiling)}'}"


def endless(plan: Any) -> bool:
    """Whether no period ever follows the one that is billed."""
    from usageguard.core.endless import EndlessCycle

    return isinstance(getattr(plan.cycle, "cycle", plan.cycle), EndlessCycle)


def _next(plan: Any) -> str:
    """What ends a stop for a used-up allowance."""
    return "more is bought" if endless(plan) else "the next period"


def _cycle(plan: Any, now: tuple[int, int]) -> dict[str, Any]:
    from usageguard.core.cycle import PHASE_BILLING, CalendarCycle

    cycle = plan.cycle
    here = cycle.cycle_id(*now)
    present = _period(cycle, here)
    base = getattr(cycle, "cycle", cycle)
    counted = cycle.phase(here) == PHASE_BILLING and not isinstance(base, CalendarCycle)
    begun = not counted or cycle.local_day(*now) >= base.first_day
    after = cycle.cycle_id(*cycle.bounds(here)[1])
    last = after == here
    return {
        "present": present,
        "next": None if last else _period(cycle, after),
        "seconds_left": None if last else cycle.seconds_left(*now),
        "begun": bool(begun),
    }


def _period(cycle: Any, cycle_id: int) -> dict[str, Any]:
    from usageguard.core.cycle import PHASE_SILENT, PHASE_TEST
    from usageguard.core.endless import NEVER

    start, end = cycle.bounds(cycle_id)
    until = cycle.local_day(*end)
    return {
        "id": cycle_id,
        "phase": {PHASE_TEST: "test", PHASE_SILENT: "silent"}.get(cycle.phase(cycle_id), "billing"),
        "from": day_text(cycle.local_day(*start)) if start != (0, 0) else None,
        "until": day_text(until) if until != NEVER else None,
    }


def limits(plan: Any) -> dict[str, int | None]:
    """All limits of the quota."""
    return {
        "allowance_octets": plan.allowance,
        "local_limit_octets": bounded(plan.local_limit),
        "report_limit_octets": bounded(plan.report_limit),
        "ceiling_octets": bounded(plan.ceiling),
        "slow_limit_octets": bounded(plan.slow_limit),
        "margin_octets": plan.margin_octets,
        "reserve_octets": plan.reserve_octets,
    }


def _class(plan: Any, traffic_class: Any) -> dict[str, Any]:
    return {
        "name": traffic_class.name,
        "rating_group": traffic_class.rating_group,
        "reserve": traffic_class.uses_reserve,
        "shed_permille": None if traffic_class.uses_reserve else traffic_class.shed_permille,
        "stops_at_octets": bounded(plan.limit(traffic_class)),
        "quota_octets": traffic_class.quota_octets or None,
        "paced": plan.pace and traffic_class.paced,
    }


def _warnings(plan: Any) -> list[dict[str, Any]]:
    """Each warning with its threshold; `fires` is false if the device stops before it."""
    found = []
    for bit, octets in enumerate(plan.warn_marks):
        kind, _, threshold = plan.warning(bit).partition("-")
        reached = bounded(octets)
        row = {"code": plan.warning(bit), "at_octets": reached, "at_fen": int(threshold) if kind == "cost" else None}
        found.append({**row, "on": None, "fires": reached is not None and reached <= plan.report_limit})
    for days in plan.warn_days:
        on = day_text(plan.expiry_day - days)
        found.append({"code": f"days-{days}", "at_octets": None, "at_fen": None, "on": on, "fires": True})
    if plan.warn_forecast:
        found.append({"code": "forecast", "at_octets": None, "at_fen": None, "on": None, "fires": True})
    return found


def _pace(plan: Any, now: tuple[int, int]) -> dict[str, Any] | None:
    """The daily budget as the device computes it; `per_day_octets` is an even share. None without an end."""
    from usageguard.core.forecast import pace_mark

    if endless(plan):
        return None
    start, end = plan.cycle.bounds(plan.cycle.cycle_id(*now))
    if start == (0, 0):  # the first period of a SIM's life has no start
        start = now
    period = (end[0] - start[0]) * DAY_S + end[1] - start[1]
    elapsed = (now[0] - start[0]) * DAY_S + now[1] - start[1]
    limit = bounded(plan.local_limit)
    limit = plan.allowance if limit is None else limit
    days = max(1, -(-period // DAY_S))
    head = limit * DAY_S // period if period else limit
    return {
        "held": plan.pace,
        "days": days,
        "per_day_octets": limit // days,
        "until_end_of_today_octets": pace_mark(limit, max(0, elapsed), period, head) if plan.pace else None,
    }


def _lease(plan: Any) -> dict[str, int]:
    """The most that a power cut may charge without use: a lease, or two if the newest record is torn."""
    from usageguard.store.ledger import LEASE_MIN

    remaining = min(1 << 29, plan.report_limit)  # as the guard sets it at the start of a period
    largest = min(max(remaining >> 6, LEASE_MIN), plan.lease_max_octets)
    return {"largest_octets": largest, "smallest_octets": int(LEASE_MIN), "power_cut_over_count_octets": 2 * largest}


def _reports(source: Source) -> dict[str, Any] | None:
    from usageguard.config.limits import longest_period_s

    plan, upstream = source.plan, source.config.upstream
    if not upstream.host:
        return None
    each = report_octets(plan, upstream)
    count = longest_period_s(plan.cycle) // upstream.interval_s
    monthly = each * (31 * DAY_S // upstream.interval_s)
    return {
        "interval_s": upstream.interval_s,
        "octets_each": each,
        "per_month_octets": monthly,
        "per_period_octets": each * count,
        "permille_of_plan": round(each * count * 1000 / plan.allowance),
        "max_sms_per_cycle": upstream.max_sms_per_cycle if upstream.sms_number else 0,
    }


def _cost(plan: Any) -> dict[str, Any] | None:
    """The worst cost of a period beyond its fee; None where nothing is billed beyond the plan."""
    if plan.exhaustion != "overage":
        return None
    from usageguard.core.octets import MAX

    tariff = plan.tariff
    by_cost = tariff.cap_octets()
    by_cost = None if by_cost is None else plan.allowance + by_cost
    ceiling = bounded(plan.ceiling)
    bites = None
    if ceiling is not None:
        bites = "cost" if by_cost == ceiling else "octets"
    # Without a cap the cost is unlimited, unless the last tier is free.
    last_is_free = not tiers(plan)[-1][2]
    worst = None
    if ceiling is not None:
        worst = plan.cost_fen(ceiling)
    elif last_is_free:
        worst = plan.cost_fen(MAX)
    return {
        "tiers": [dict(zip(("from_octets", "block_octets", "fen"), tier, strict=True)) for tier in tiers(plan)],
        "cost_cap_fen": tariff.cost_cap_fen,
        "cap_octets": ceiling if bites == "octets" else None,
        "cap_bites": bites,
        "cap_bites_at_octets": ceiling,
        "worst_fen": worst,
        "worst_with_fee_fen": None if worst is None else worst + plan.fee_fen,
        "worst_by_device_fen": None if ceiling is None else plan.cost_fen(plan.report_limit),
    }


def _expiry(plan: Any, now: tuple[int, int]) -> dict[str, Any] | None:
    if not plan.expiry_day:
        return None
    from usageguard.core.cycle import add_months

    window = add_months(plan.expiry_day, plan.renew_months)
    today = plan.cycle.local_day(*now)
    state = "running" if today < plan.expiry_day else "expired" if today < window else "cancelled"
    return {
        "expires_on": day_text(plan.expiry_day),
        "renewable_until": day_text(window),
        "reminders": [day_text(plan.expiry_day - days) for days in plan.warn_days],
        "days_left": plan.expiry_day - today,
        "state": state,
    }


def _lifecycle(plan: Any) -> dict[str, Any] | None:
    cycle = plan.cycle
    if not hasattr(cycle, "billing_day"):
        return None
    test_end = cycle.test_end_day
    silent = test_end is None or test_end < cycle.billing_day
    return {
        "test_until": None if test_end is None else day_text(test_end),
        "silent_until": day_text(cycle.billing_day) if silent else None,
        "billing_from": day_text(cycle.billing_day),
        "held_in_silence": plan.hold_silent,
        "test": {**limits(plan.test), "charged": plan.test.exhaustion == "overage"} if plan.test else None,
    }
