"""Finds questionable settings in a valid plan: those that will not do what their writer probably expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from host_tools.base.days import DAY_S
from host_tools.base.units import size
from host_tools.planning.explain import bounded, endless, report_octets, yuan
from host_tools.planning.source import Source

MANY_REPORTS_PERMILLE = 100
"""Reports that use more than this part of a plan are a finding; 1 or 2 % is usual."""
GOOD_REPORTS_PERMILLE = 20
FEW_REPORTS = 5
"""With fewer reports in the reserve, all of them may be lost."""
SOON_DAYS = 30
_COUNTER_WINDOW = (1024, 16_384)
"""Octets between two readings of the modem's counter, at 1/1024 of the allowance (firmware/DESIGN.md)."""


@dataclass(frozen=True)
class Finding:
    """`level` is "warning" for a setting that is probably wrong, "note" for one that is good to know."""

    level: str
    field: str
    text: str

    def to_json(self) -> dict[str, str]:
        return {"level": self.level, "field": self.field, "text": self.text}


def findings(source: Source, facts: dict[str, Any]) -> list[Finding]:
    """All findings, warnings first; `facts` are those of `explain` for the same file."""
    found: list[Finding] = []
    looks = (
        _margin, _bill, _cost, _reports, _reserve, _warnings, _classes, _dates, _years, _money, _daily, _hours, _others,
    )  # fmt: skip
    for look in looks:
        found += look(source, facts)
    return sorted(found, key=lambda finding: finding.level != "warning")


def _warn(field: str, text: str) -> Finding:
    return Finding("warning", field, text)


def _note(field: str, text: str) -> Finding:
    return Finding("note", field, text)


def _margin(source: Source, facts: dict[str, Any]) -> list[Finding]:
    plan = source.plan
    if bounded(plan.ceiling) is None:
        return []
    least, most = _COUNTER_WINDOW
    window = max(least, min(most, plan.allowance >> 10))
    if not source.config.modem.counter:
        text = (
            "the modem's counter is not used: only the carrier sees retransmissions, and the margin has to cover them"
        )
        return [_note("modem.counter", text)]
    if plan.margin_octets < window:
        text = f"{size(plan.margin_octets)} is below the {size(window)} that pass between two readings of the counter"
        return [_warn("plan.margin_octets", f"{text}; give {window} or more")]
    return []


def _bill(source: Source, facts: dict[str, Any]) -> list[Finding]:
    """Compares the rating of the plan with that of the carrier in the same file."""
    plan = source.plan
    own, carrier_config = plan.rating, source.carrier_config
    if bounded(plan.ceiling) is None:
        return []
    if carrier_config is None:
        if not (own.per_packet_octets or own.session_round_octets or own.margin_permille):
            share = f"{plan.margin_octets * 100 / plan.allowance:.2g}"
            text = f"adds nothing, and the margin is {share} %: most carriers count more, and stop the SIM first"
            safe = "until you have compared a bill, give per_packet_octets = 54 and margin_permille = 70"
            return [_warn("plan.rating", f"{text}; {safe}")]
        return []
    theirs = carrier_config.rating
    found = []
    for name, here, there in (
        ("per_packet_octets", own.per_packet_octets, theirs.per_packet_octets),
        ("session_round_octets", own.session_round_octets, theirs.session_round_octets),
        ("margin_permille", own.margin_permille, theirs.permille),
    ):
        if here < there:
            found.append(_warn(f"plan.rating.{name}", f"is {here}, and the carrier adds {there}: its count runs ahead"))
    missing = max(0, theirs.permille - own.margin_permille) * plan.allowance // 1000
    if missing > plan.margin_octets:
        text = f"{size(plan.margin_octets)} is below the {size(missing)} that the carrier adds by the end of the plan"
        found.append(_warn("plan.margin_octets", f"{text}; give {missing} or more, or rate them"))
    if theirs.lag_s > 3600 and plan.exhaustion == "overage":
        hours = -(-theirs.lag_s // 3600)
        found.append(_note("carrier.lag_s", f"the platform shows usage {hours} h late: a stop by its figures is late"))
    return found


def _cost(source: Source, facts: dict[str, Any]) -> list[Finding]:
    cost, plan = facts["cost"], source.plan
    if cost is None:
        if plan.exhaustion == "none":
            return [_warn("plan.on_exhaustion", '"none" stops nothing: a runaway device uses without limit')]
        return []
    if cost["worst_fen"] is None:
        text = "no cost cap: a runaway device costs without limit"
        return [_warn("plan.overage", f"{text}; give cost_cap_fen or cap_octets")]
    found = []
    if plan.ceiling < plan.allowance:
        text = f"{size(plan.ceiling)} is below the allowance of {size(plan.allowance)}, the rest of which is paid for"
        found.append(_warn("plan.overage.cap_octets", text))
    cap = cost["cost_cap_fen"]
    if cap is not None and cost["cap_bites"] == "octets":
        text = f"never reached: cap_octets stops first, at {yuan(cost['worst_fen'])}"
        found.append(_note("plan.overage.cost_cap_fen", text))
    elif cap is not None and plan.ceiling == plan.allowance and cap:
        text = f"{yuan(cap)} buys not one block: the device stops at the allowance"
        found.append(_warn("plan.overage.cost_cap_fen", text))
    return found


def _reports(source: Source, facts: dict[str, Any]) -> list[Finding]:
    reports, upstream = facts["reports"], source.config.upstream
    if reports is None:
        timeless = []
        if not upstream.ntp_host:
            text = "is missing, and host too: no new period ever begins, and a used-up quota never comes back"
            timeless = [_warn("upstream.ntp_host", f'{text}; give one, as in "ntp.aliyun.com"')]
        if upstream.sms_number:
            text = "is missing: reports go by SMS only, and the device gets no orders"
            return [*timeless, _note("upstream.host", text)]
        text = "is missing, and sms_number too: the device cannot report, and gets no orders"
        return [_warn("upstream.host", text), *timeless]
    share = reports["permille_of_plan"]
    if share < MANY_REPORTS_PERMILLE:
        return []
    better = min(432_000, -(-upstream.interval_s * share // GOOD_REPORTS_PERMILLE // 60) * 60)
    text = f"reports take {share / 10:.0f} % of the plan; with {better} they take {GOOD_REPORTS_PERMILLE // 10} %"
    if better == 432_000:
        text = f"reports take {share / 10:.0f} % of the plan; give a longer time"
    return [_warn("upstream.interval_s", text)]


def _reserve(source: Source, facts: dict[str, Any]) -> list[Finding]:
    plan, count = source.plan, facts["reserve_reports"]
    if bounded(plan.ceiling) is None:
        return []
    if count < FEW_REPORTS:
        wanted = FEW_REPORTS * report_octets(plan, source.config.upstream)
        text = f"{size(plan.reserve_octets)} is {count} reports once data has stopped; give {wanted} or more"
        return [_warn("plan.reserve_octets", text)]
    if plan.reserve_octets * 5 > plan.allowance:
        text = f"{size(plan.reserve_octets)} of {size(plan.allowance)} are kept for reports alone"
        return [_note("plan.reserve_octets", text)]
    return []


def _warnings(source: Source, facts: dict[str, Any]) -> list[Finding]:
    found = []
    for warning in facts["warnings"]:
        if not warning["fires"]:
            field = "warn_cost_fen" if warning["at_fen"] is not None else "warn_permille"
            found.append(_warn(f"plan.{field}", f'"{warning["code"]}" never fires: the device has stopped before'))
    if not any(warning["at_octets"] is not None for warning in facts["warnings"]):
        found.append(_note("plan.warn_permille", "no warning of octets: the first report is of a used-up quota"))
    return found


def _classes(source: Source, facts: dict[str, Any]) -> list[Finding]:
    found = []
    plan = source.plan
    for number, each in enumerate(source.config.classes):
        whole = bounded(plan.ceiling) or plan.allowance
        late = each.shed_permille < 1000 and whole * each.shed_permille // 1000 >= plan.local_limit
        if late and not each.uses_reserve:
            text = f'{each.shed_permille} comes behind the local limit: "{each.name}" stops with the others'
            found.append(_note(f"classes[{number}].shed_permille", text))
        stop = bounded(plan.limit(each))
        if each.quota_octets and stop is not None and each.quota_octets >= stop:
            text = f"is never reached: all that the class may use is {size(stop)}"
            found.append(_note(f"classes[{number}].quota_octets", text))
    return found


def _dates(source: Source, facts: dict[str, Any]) -> list[Finding]:
    found = []
    expiry, cycle = facts["expiry"], facts["cycle"]
    if not cycle["begun"]:
        found.append(_note("plan.activated", "is in the future: usage until then counts in the first period"))
    if expiry and expiry["state"] != "running":
        text = f"the package ended on {expiry['expires_on']}, and the device stops for it"
        if expiry["state"] == "cancelled":
            text = f"the package could be renewed until {expiry['renewable_until']}: the SIM is cancelled by now"
        found.append(_warn("plan.package", text))
    elif expiry and expiry["days_left"] <= SOON_DAYS:
        found.append(_note("plan.package", f"the package ends in {expiry['days_left']} days: renew it"))
    if expiry and not expiry["reminders"]:
        found.append(_warn("plan.warn_days", "no reminder before the package ends"))
    start_day = source.raw["plan"].get("cycle_start_day", 1)
    if start_day > 28:
        found.append(_note("plan.cycle_start_day", f"{start_day}: a shorter month's period begins on its last day"))
    if facts["lifecycle"] and cycle["present"]["phase"] == "silent" and source.plan.hold_silent:
        found.append(
            _note("plan.lifecycle", "the SIM is silent at that time: the device sends nothing, not even reports")
        )
    return found


def _years(source: Source, facts: dict[str, Any]) -> list[Finding]:
    """What does not matter within months, and adds up in a period of years."""
    from usageguard.config.limits import longest_period_s

    if longest_period_s(source.plan.cycle) <= 366 * DAY_S:
        return []
    text = "a period of years: what power cuts charge adds up; set it right by the carrier's figure, as each year"
    found = [_note("plan", f"{text} (order set_used)")]
    upstream = source.config.upstream
    if upstream.sms_number and upstream.max_sms_per_cycle < 255:
        found.append(_note("upstream.max_sms_per_cycle", f"{upstream.max_sms_per_cycle} for all these years"))
    return found


def _money(source: Source, facts: dict[str, Any]) -> list[Finding]:
    account = facts["account"]
    if account is None or "balance_fen" not in source.raw["plan"]["account"]:
        return []
    balance, fee = account["balance_fen"], account["fee_fen"]
    field = "plan.account.balance_fen"
    if balance < 0:
        return [_warn(field, f"{yuan(balance)}: arrears, the device stops at once")]
    if balance < fee:
        return [_note(field, f"{yuan(balance)} do not pay the next fee of {yuan(fee)}: arrears, unless money comes")]
    worst = facts["cost"] and facts["cost"]["worst_fen"]
    if worst and balance < worst:
        text = f"{yuan(balance)} is less than a period may cost, {yuan(worst)}: the balance stops the device first"
        return [_note(field, text)]
    return []


def _hours(source: Source, facts: dict[str, Any]) -> list[Finding]:
    """Without a time that is certain the hours are never used."""
    if facts["hours"] is None or source.config.upstream.host or source.config.upstream.ntp_host:
        return []
    text = "are never used: without upstream.host or upstream.ntp_host no time is certain"
    return [_warn("plan.hours", text)]


def _daily(source: Source, facts: dict[str, Any]) -> list[Finding]:
    """Compares what a day may use with the period, and its reserve with a day's reports."""
    daily, reports = facts["daily"], facts["reports"]
    if daily is None or daily["cap_octets"] is None:
        return []
    found = []
    cap, slow, allowance = daily["cap_octets"], daily["slow_octets"], source.plan.allowance
    if cap >= allowance:
        found.append(_note("plan.daily.cap_octets", f"is never reached: the whole period has {size(allowance)}"))
    if slow is not None and slow >= cap - daily["margin_octets"] - daily["reserve_octets"]:
        found.append(_note("plan.daily.slow_octets", "is never reached: the device stops before"))
    if reports and (each := reports["octets_each"] * (DAY_S // reports["interval_s"])) > daily["reserve_octets"]:
        text = f"{size(daily['reserve_octets'])} is less than a day's reports, {size(each)}"
        found.append(_warn("plan.daily.reserve_octets", f"{text}: once the day is used up, some are not sent"))
    return found


def _others(source: Source, facts: dict[str, Any]) -> list[Finding]:
    plan = source.plan
    found = []
    if bounded(plan.ceiling) is not None and not plan.pace and not plan.burst and not endless(plan):
        text = "is off, and there is no burst: an application in a loop uses the whole plan up at once"
        found.append(_note("plan.pace", f"{text}; give true to spread it over the days"))
    if endless(plan) and not plan.burst and not plan.daily:
        text = "is not there: an application in a loop uses up at once what is meant for years"
        found.append(_note("plan.burst", text))
    if facts["enforcement"] == "observe":
        found.append(_warn("enforcement", '"observe" stops nothing: limits are only reported'))
    slows = bounded(plan.slow_limit) is not None or (plan.daily and plan.daily.slow_octets)
    if plan.throttle and not slows:
        found.append(_note("plan.throttle", 'is used only after an order, without on_exhaustion = "throttle"'))
    if slows and plan.local_limit <= plan.slow_limit and plan.exhaustion != "throttle" and bounded(plan.slow_limit):
        found.append(_note("plan.throttle.from_octets", "is never reached: the device stops before"))
    if plan.throttle and report_octets(plan, source.config.upstream) > 60 * plan.throttle.rate_octets_s:
        found.append(_warn("plan.throttle.rate_octets_s", "a report takes more than a minute at this rate"))
    if plan.pool and plan.pool.first_grant_octets > plan.allowance:
        found.append(_note("plan.pool.first_grant_octets", "is more than allowance_octets, which is the limit"))
    if plan.pool and not plan.pool.first_grant_octets:
        found.append(_note("plan.pool.first_grant_octets", "0: only reports until upstream grants a share"))
    if plan.tariff and plan.exhaustion != "overage" and not (plan.test and plan.test.exhaustion == "overage"):
        found.append(_note("plan.overage", f'has no effect with on_exhaustion = "{plan.exhaustion}"'))
    return found
