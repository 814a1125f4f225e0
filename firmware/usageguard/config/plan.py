"""Reads the table `plan` of a configuration: what the carrier does with the SIM, and how the device reacts."""

from usageguard.config.limits import WARN_PERMILLE, default_margin, default_reserve, make_plan, usable_min
from usageguard.config.table import CLOCK, ConfigError
from usageguard.core.cycle import CalendarCycle, MonthCycle
from usageguard.core.days import DayCycle
from usageguard.core.lifecycle import Lifecycle
from usageguard.core.plan import Rating
from usageguard.core.tariff import Tariff

EXHAUSTIONS = ("cutoff", "overage", "throttle", "none")
SLICES = ("month", "whole")
SILENCES = ("terminate", "continue", "retry_and_terminate")  # Credit-Control-Failure-Handling, RFC 8506 section 8.14

WARN_DAYS = (30, 7, 1)
MAX_ALLOWANCE = 1 << 50  # no sum of octets comes near the end of a counter
MAX_WARNINGS = 5  # of each kind: with the forecast, 16 bits in the ledger
MAX_FEN = 1 << 30
MAX_TIERS = 8
MAX_QUOTA = 1 << 31  # of a counter beside the period's

_DAY_S = 86400
_HOURS_MIN_S = 1800  # of which what is used about the beginning and the end is not taken for certain


def read_plan(table):
    """The Plan of the Table `plan`. ConfigError if anything in it is wrong."""
    allowance = table.integer("allowance_octets", 1, MAX_ALLOWANCE)
    exhaustion = table.choice("on_exhaustion", EXHAUSTIONS, "cutoff")
    rating = _rating(table.table("rating", {}))
    margin = table.integer("margin_octets", 0, MAX_ALLOWANCE, None)
    reserve = table.integer("reserve_octets", 0, MAX_ALLOWANCE, None)
    warn_permille = table.steps("warn_permille", WARN_PERMILLE, MAX_WARNINGS, 1, 1000)
    warn_cost_fen = table.steps("warn_cost_fen", (), MAX_WARNINGS, 1, MAX_FEN)
    warn_days = table.steps("warn_days", WARN_DAYS, MAX_WARNINGS, 1, 366, falling=True)
    life = table.table("lifecycle", {}) if table.has("lifecycle") else None
    periods = _life_days(life) if life else None
    cycle, package = _cycle(table, periods and periods[1])
    tariff, cap_octets = _overage(table, allowance, exhaustion)
    if warn_cost_fen and not tariff:
        raise ConfigError(table.field("warn_cost_fen"), "has no effect without overage", "leave it out, or add overage")
    test_octets = None
    charged = hold_silent = False
    if life:
        cycle = Lifecycle(cycle, *periods)
        test_octets = life.integer("test_octets", 1, MAX_ALLOWANCE, None)
        charged = life.choice("on_test_exhausted", ("stop", "charge"), "stop") == "charge"
        hold_silent = life.choice("on_silence", ("hold", "use"), "hold") == "hold"
        life.end()
        if charged and not tariff:
            raise ConfigError(life.field("on_test_exhausted"), "has no tariff", "add plan.overage")
        if cycle.test_end_day is not None and test_octets is None:
            raise ConfigError(life.field("test_octets"), "is missing", "give the octets of the test period")
    common = (warn_permille, margin, reserve)
    plan = make_plan(allowance, cycle, rating, exhaustion, *common, tariff, cap_octets, warn_cost_fen)
    if test_octets is not None:
        # Warnings have the same numbers in both plans, also those of cost where the test period costs nothing.
        kind = "overage" if charged else "test"
        plan.test = make_plan(test_octets, cycle, rating, kind, *common, tariff, None, warn_cost_fen)
        _usable(life.field("test_octets"), plan.test)
    if package:
        plan.package_months, plan.activated, plan.renew_months = package
        plan.warn_days = warn_days
        if plan.test:
            plan.test.warn_days = warn_days  # so that the warnings behind them keep their numbers
    plan.hold_silent = hold_silent
    plan.hold_doubt = table.choice("on_doubt", ("continue", "restrict"), "continue") == "restrict"
    endless = table.boolean("endless", False)
    plan.warn_forecast = table.boolean("warn_forecast", not endless)
    plan.pace = table.boolean("pace", False)
    if endless:
        for name, on in (("warn_forecast", plan.warn_forecast), ("pace", plan.pace)):
            if on:
                raise ConfigError(table.field(name), "has no end to look ahead to", "leave it out with endless")
    _account(table, plan)
    _pool(table, plan)
    _throttle(table, plan)
    _burst(table, plan)
    _daily(table, plan)
    _hours(table, plan)
    _roaming(table, plan)
    plan.apart = plan.hours is not None or plan.roaming is not None
    table.end()
    _usable(table.field("allowance_octets"), plan)
    return plan


def _usable(field, plan):
    _leaves(field, plan.ceiling, plan.margin_octets, plan.reserve_octets, usable_min(plan))


def _leaves(field, octets, margin, reserve, least):
    """ConfigError unless `octets` less margin and reserve are `least` or more."""
    if octets - margin - reserve >= least:
        return
    needed = margin + reserve + least
    raise ConfigError(
        field,
        "%d leaves no usable quota beyond margin %d and reserve %d" % (octets, margin, reserve),
        # 2 % more, as defaults of margin and reserve grow by 0.5 % each
        "give %d or more, or a smaller margin_octets or reserve_octets" % (needed + needed // 50),
    )


def _rating(sub):
    rating = Rating(
        sub.integer("per_packet_octets", 0, 1500, 0),
        sub.integer("session_round_octets", 0, 1 << 20, 0),
        sub.integer("margin_permille", 0, 1000, 0),
    )
    sub.end()
    return rating


def _cycle(table, billing_from):
    """(cycle, package or None); a package is (months, local day from which it counts, months for renewing it)."""
    offset = table.integer("utc_offset_min", -720, 840, 480)  # zones from UTC-12 to UTC+14; UTC+8 is China's
    start_day = table.integer("cycle_start_day", 1, 31, None)
    days = table.integer("cycle_days", 1, 3660, None)
    activated = table.date("activated", None)
    package = table.table("package", {}) if table.has("package") else None
    endless = table.boolean("endless", False)
    if endless:
        table.without(("cycle_start_day", "cycle_days", "package", "pool"), "does not go with endless", "leave it out")
    if start_day and days:
        raise ConfigError(table.field("cycle_days"), "does not go with cycle_start_day", "leave one of the two out")
    if billing_from and activated is not None:
        hint = "leave it out: billing_from, or the first use, is the day"
        raise ConfigError(table.field("activated"), "does not go with lifecycle", hint)
    if billing_from:
        activated = billing_from
    if activated is None and (days or package or endless):
        needs = "cycle_days" if days else "package" if package else "endless"
        raise ConfigError(table.field("activated"), "is missing", needs + ' counts from it: give "2026-03-15"')
    if endless:
        from usageguard.core.endless import EndlessCycle

        return EndlessCycle(activated, offset), None
    cycle = DayCycle(days, activated, offset) if days else CalendarCycle(start_day or 1, offset)
    if not package:
        return cycle, None
    months = package.integer("months", 1, 600)
    if not package.has("slice"):
        hint = 'give "month" if allowance_octets is for each period, "whole" if it is for the whole package'
        raise ConfigError(package.field("slice"), "is missing", hint)
    part = package.choice("slice", SLICES)
    renew_months = package.integer("renew_months", 0, 120, 3)
    package.end()
    if part == "whole":
        if start_day or days:
            field = table.field("cycle_start_day" if start_day else "cycle_days")
            raise ConfigError(field, "does not go with a whole package", 'leave it out, or give slice = "month"')
        cycle = MonthCycle(months, activated, offset)
    return cycle, (months, activated, renew_months)


def _overage(table, allowance, exhaustion):
    """(Tariff, octets at which the device stops); None for either if it is not given."""
    if not table.has("overage"):
        if exhaustion == "overage":
            hint = "give tiers, as in [{from_octets: 0, block_octets: 1048576, fen: 29}]"
            raise ConfigError(table.field("overage"), "is missing", hint)
        return None, None
    sub = table.table("overage")
    tiers = []
    for tier in sub.tables("tiers", (), 0, MAX_TIERS):
        low = tiers[-1][0] + 1 if tiers else 0
        start = tier.integer("from_octets", low, MAX_ALLOWANCE if tiers else 0, low if not tiers else None)
        if start is None:
            raise ConfigError(tier.field("from_octets"), "is missing", "give where beyond the plan this price begins")
        tiers.append((start, tier.integer("block_octets", 1, MAX_ALLOWANCE), tier.integer("fen", 0, MAX_FEN)))
        tier.end()
    if not tiers:
        raise ConfigError(sub.field("tiers"), "are missing", "give [{from_octets: 0, block_octets: 1048576, fen: 29}]")
    tariff = Tariff(tuple(tiers), sub.integer("cost_cap_fen", 0, MAX_FEN, None))
    cap_octets = sub.integer("cap_octets", 1, MAX_ALLOWANCE, None)
    sub.end()
    return tariff, cap_octets


def _life_days(life):
    """(local day on which the test period ends, or None; local day on which billing begins at the latest)."""
    test_until = life.date("test_until", None)
    billing_from = life.date("billing_from", None)
    if test_until is None and billing_from is None:
        raise ConfigError(life.field("billing_from"), "is missing", 'give a date as in "2026-10-01", or test_until')
    if billing_from is None:
        billing_from = test_until
    if test_until is not None and test_until > billing_from:
        raise ConfigError(life.field("test_until"), "is after billing_from", "give a date before it, or the same")
    return test_until, billing_from


def _account(table, plan):
    if table.has("account"):
        sub = table.table("account")
        plan.balance_fen = sub.integer("balance_fen", -MAX_FEN, MAX_FEN - 1, 0)
        plan.fee_fen = sub.integer("fee_fen", 0, MAX_FEN, 0)
        sub.end()


def _pool(table, plan):
    if table.has("pool"):
        sub = table.table("pool")
        first = max(usable_min(plan), min(plan.allowance >> 5, 1 << 20))  # a day's share, 1 MiB at most
        from usageguard.core.account.pool import PoolTerms

        plan.pool = PoolTerms(
            sub.integer("first_grant_octets", 0, MAX_ALLOWANCE, first),
            sub.integer("holding_s", 0, 30 * _DAY_S, 0),
            sub.choice("on_silence", SILENCES, "retry_and_terminate"),
        )
        sub.end()


def _throttle(table, plan):
    if table.has("throttle"):
        sub = table.table("throttle")
        rate = sub.integer("rate_octets_s", 1, 1 << 24)
        from usageguard.core.bucket import ThrottleTerms

        plan.throttle = ThrottleTerms(rate, sub.integer("burst_octets", 1, 1 << 28, max(4096, 4 * rate)))
        start = sub.integer("from_octets", 1, MAX_ALLOWANCE, None)
        sub.end()
        if start is not None:
            if plan.exhaustion == "throttle":
                hint = "leave it out: the allowance is where that begins"
                raise ConfigError(sub.field("from_octets"), 'does not go with on_exhaustion "throttle"', hint)
            if plan.pool:
                raise ConfigError(sub.field("from_octets"), "does not go with a pool", "leave one of the two out")
            plan.slow_limit = start
    elif plan.exhaustion == "throttle":
        raise ConfigError(table.field("throttle"), "is missing", "give rate_octets_s, the carrier's after exhaustion")


def _burst(table, plan):
    if table.has("burst"):
        sub = table.table("burst")
        from usageguard.core.burst import BurstTerms

        plan.burst = BurstTerms(
            sub.integer("factor", 2, 1000, 10),
            sub.integer("floor_octets", 1, 1 << 28, max(4096, min(plan.allowance >> 8, 1 << 28))),
            sub.integer("window_s", 60, _DAY_S, 3600),
            sub.integer("hold_s", 60, 3 * _DAY_S, 21600),
        )
        sub.end()


def _daily(table, plan):
    if not table.has("daily"):
        return
    if plan.pool:
        raise ConfigError(table.field("daily"), "does not go with a pool", "leave one of the two out")
    sub = table.table("daily")
    cap = sub.integer("cap_octets", 1, MAX_ALLOWANCE, None)
    slow = sub.integer("slow_octets", 1, MAX_ALLOWANCE, None)
    margin = sub.integer("margin_octets", 0, MAX_ALLOWANCE, default_margin(cap or 0))
    reserve = sub.integer("reserve_octets", 0, MAX_ALLOWANCE, default_reserve(cap or 0, plan.rating))
    sub.end()
    if cap is None and slow is None:
        raise ConfigError(sub.field("cap_octets"), "is missing", "give what a day may use at the most, or slow_octets")
    if slow is not None and not plan.throttle:
        raise ConfigError(sub.field("slow_octets"), "has no rate", "add plan.throttle with rate_octets_s")
    if cap is not None:
        _leaves(sub.field("cap_octets"), cap, margin, reserve, usable_min(plan))
    from usageguard.core.account.daily import DailyTerms

    plan.daily = DailyTerms(cap, slow, margin, reserve)


def _hours(table, plan):
    if not table.has("hours"):
        return
    table.without(("daily", "lifecycle", "pool"), "does not go with hours", "leave one of the two out")
    if plan.rating.session_round_octets:
        hint = "leave it out: a session may begin in the hours and end behind them"
        raise ConfigError(table.field("rating.session_round_octets"), "does not go with hours", hint)
    sub = table.table("hours")
    start = _time_of_day(sub, "from")
    length = (_time_of_day(sub, "to") - start) % _DAY_S
    octets = sub.integer("allowance_octets", 1, MAX_QUOTA, 0)
    share = sub.integer("charged_permille", 0, 999, 0)
    sub.end()
    if length < _HOURS_MIN_S:
        hint = "give a later time, or an earlier from"
        raise ConfigError(sub.field("to"), "is less than half an hour after from", hint)
    from usageguard.core.account.counters import HourTerms

    plan.hours = HourTerms(start, length, octets, share)


def _roaming(table, plan):
    if not table.has("roaming"):
        return
    table.without(("daily", "lifecycle", "pool"), "does not go with roaming", "leave one of the two out")
    if plan.rating.session_round_octets:
        hint = "leave it out: a session may begin with one operator and end with another"
        raise ConfigError(table.field("rating.session_round_octets"), "does not go with roaming", hint)
    sub = table.table("roaming")
    octets = sub.integer("allowance_octets", 0, MAX_QUOTA, 0)
    margin = sub.integer("margin_octets", 0, MAX_QUOTA, default_margin(octets))
    sub.end()
    if not octets:
        margin = 0
    elif octets - margin < usable_min(plan):
        hint = "give a larger allowance_octets, or 0, or a smaller margin"
        raise ConfigError(sub.field("margin_octets"), "%d leaves nothing to use" % margin, hint)
    from usageguard.core.account.counters import RoamingTerms

    plan.roaming = RoamingTerms(octets - margin, margin)


def _time_of_day(table, name):
    """Seconds since midnight of a time "HH:MM"."""
    text = table.text(name, 5, 5, CLOCK)
    try:
        hours, minutes = [int(part) for part in text.split(":")]
    except ValueError:
        hours = minutes = -1
    if text != "%02d:%02d" % (hours, minutes) or hours > 23 or minutes > 59:
        raise ConfigError(table.field(name), "is not a time of day", 'give hours and minutes, as in "23:00"')
    return (hours * 60 + minutes) * 60
