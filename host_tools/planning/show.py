"""Prints the facts of `explain` for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from host_tools.base.terminal import Pairs
from host_tools.base.units import size
from host_tools.planning.explain import yuan
from host_tools.planning.lint import Finding
from host_tools.planning.picture import WIDTH, draw

_SILENCE = {
    "terminate": "stops",
    "continue": "goes on without a grant",
    "retry_and_terminate": "asks for another, and stops without an answer",
}


def octets(count: int | None) -> str:
    """ "30.00 MB (31,457,280)"; "none" for no limit."""
    return "none" if count is None else f"{size(count)} ({count:,})" if count >= 1024 else f"{count} octets"


def span(seconds: int) -> str:
    """ "1 h", "90 s", "2 d 6 h"."""
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def show(facts: dict[str, Any], found: list[Finding], console: Console) -> None:
    """Prints the plan's sentence, its line of limits, its facts and its findings."""
    console.print(f"[bold]{escape(facts['title'])}[/]")
    console.print(escape(facts["sentence"]))
    console.print()
    console.print(draw(facts, min(100, console.width - 4) if console.is_terminal else WIDTH))
    console.print()
    console.print(Pairs([(name, Text(text)) for name, text in rows(facts)]))
    if found:
        console.print()
    for finding in found:
        mark = "[yellow]![/]" if finding.level == "warning" else "[cyan]i[/]"
        console.print(f"{mark} {escape(finding.field)}: {escape(finding.text)}")


def rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, text) for each part that this plan has."""
    yield from _dates(facts)
    limits = facts["limits"]
    for name, key in (
        ("Allowance", "allowance_octets"),
        ("Local limit", "local_limit_octets"),
        ("Report limit", "report_limit_octets"),
        ("Ceiling", "ceiling_octets"),
    ):
        yield name, octets(limits[key])
    if limits["ceiling_octets"] is not None:
        yield "Margin", octets(limits["margin_octets"])
        yield "Reserve", f"{octets(limits['reserve_octets'])}: {facts['reserve_reports']:,} reports or more"
    yield from _rating(facts["rating"])
    for each in facts["classes"]:
        yield f"Class {each['name']}", _class(each)
    for warning in facts["warnings"]:
        yield f"Warning {warning['code']}", _warning(warning)
    yield from _daily(facts)
    yield from _money(facts)
    yield from _systems(facts)


def _dates(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    minutes = facts["utc_offset_min"]
    sign = "-" if minutes < 0 else "+"
    yield "As of", f"{facts['at']} (UTC{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02})"
    for name, period in (("Present period", facts["cycle"]["present"]), ("Next period", facts["cycle"]["next"])):
        if period is None:
            continue
        phase = "" if period["phase"] == "billing" else f", {period['phase']} period"
        begin = "before" if period["from"] is None else f"{period['from']} to before"
        yield name, f"{begin} {period['until']}{phase}" if period["until"] else f"from {period['from']} on, without end"
    expiry, life = facts["expiry"], facts["lifecycle"]
    if life:
        if life["test_until"]:
            charged = "what is beyond is charged" if life["test"]["charged"] else "used up, the SIM is stopped"
            limit = octets(life["test"]["allowance_octets"])
            yield "Test period", f"until {life['test_until']}: {limit}; {charged}"
        if life["silent_until"]:
            use = "the device keeps silent" if life["held_in_silence"] else "ended by the first use"
            yield "Silent period", f"until {life['silent_until']} at the latest: {use}"
        yield "Billing period", f"from {life['billing_from']} at the latest"
    if expiry:
        yield "Package", f"ends at 00:00 of {expiry['expires_on']}, {expiry['state']}"
        yield "Renewal", f"possible until {expiry['renewable_until']}, then the SIM is cancelled"
        yield "Reminders", ", ".join(expiry["reminders"]) or "none"


def _rating(rating: dict[str, int]) -> Iterator[tuple[str, str]]:
    parts = []
    if rating["per_packet_octets"]:
        parts.append(f"{rating['per_packet_octets']} octets for each packet")
    if rating["session_round_octets"]:
        parts.append(f"each session rounded up to {octets(rating['session_round_octets'])}")
    if rating["margin_permille"]:
        parts.append(f"{rating['margin_permille'] / 10:g} % more")
    if parts:
        yield "Rating", ", ".join(parts)


def _class(each: dict[str, Any]) -> str:
    stop = each["stops_at_octets"]
    text = "never stops for octets" if stop is None else f"stops at {octets(stop)}"
    if each["reserve"]:
        text += ", on the reserve"
    elif each["shed_permille"] < 1000:
        text += f", {each['shed_permille'] / 10:g} %"
    if each["quota_octets"]:
        text += f"; {octets(each['quota_octets'])} at the most of a period"
    return f"{text}; paced" if each["paced"] else text


def _warning(warning: dict[str, Any]) -> str:
    if warning["code"] == "forecast":
        return "when the present rate reaches the limit before the period's end"
    if warning["on"]:
        return f"on {warning['on']}"
    text = octets(warning["at_octets"]) if warning["at_octets"] is not None else "never reached"
    if warning["at_fen"] is not None:
        text += f", at a cost of {yuan(warning['at_fen'])}"
    return text if warning["fires"] else f"{text}: never, the device has stopped before"


def _daily(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    pace = facts["pace"]
    if pace:
        text = f"{octets(pace['per_day_octets'])} a day for {pace['days']} days"
        if pace["held"]:
            text += f"; held: {size(pace['until_end_of_today_octets'])} by the end of today"
        yield "Even pace", text
    lease = facts["lease"]
    yield "Lease", f"up to {octets(lease['largest_octets'])}"
    yield "Power cut", f"over-counts {octets(lease['power_cut_over_count_octets'])} at most: two leases"
    reports = facts["reports"]
    if reports:
        share = reports["permille_of_plan"] / 10
        cost = octets(reports["per_month_octets"])
        each = f"up to {reports['octets_each']} octets every {span(reports['interval_s'])}"
        yield "Reports", f"{each}: {cost} in 31 days"
        yield (
            "",
            f"{share:g} % of the plan"
            + (f"; {reports['max_sms_per_cycle']} SMS a period at most" if reports["max_sms_per_cycle"] else ""),
        )


def _money(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    cost, account = facts["cost"], facts["account"]
    if cost:
        for tier in cost["tiers"]:
            price = f"{yuan(tier['fen'])} ({tier['fen']} fen) for each started {octets(tier['block_octets'])}"
            yield "Tier", f"from {octets(tier['from_octets'])} beyond the plan: {price}"
        if cost["cap_bites"]:
            yield "Cap", f"of {cost['cap_bites']}, bites at {octets(cost['cap_bites_at_octets'])}"
        worst = cost["worst_fen"]
        if worst is None:
            yield "Worst cost", "without limit"
        else:
            fee = "" if not account else f", {yuan(cost['worst_with_fee_fen'])} with the fee"
            yield "Worst cost", f"{yuan(worst)} ({worst:,} fen) a period{fee}"
    if account:
        yield "Balance", f"{yuan(account['balance_fen'])}, and a fee of {yuan(account['fee_fen'])} a period"


def _systems(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    pool, throttle, burst, daily = facts["pool"], facts["throttle"], facts["burst"], facts["daily"]
    if pool:
        end = f"a grant ends after {span(pool['holding_s'])} without use" if pool["holding_s"] else "unused grants stay"
        yield "Pool", f"{octets(pool['first_grant_octets'])} before the first grant; {end}"
        yield "", f"when a grant has ended, the device {_SILENCE[pool['on_silence']]}"
    if throttle:
        yield "Throttle", f"{octets(throttle['rate_octets_s'])} a second, {octets(throttle['burst_octets'])} at once"
    if hours := facts["hours"]:
        own = f"{octets(hours['allowance_octets'])} of its own" if hours["allowance_octets"] else "no limit"
        charged = f"{hours['charged_permille'] / 10:g} %" if hours["charged_permille"] else "nothing"
        yield "Hours", f"{hours['from']} to {hours['to']}: {own}, {charged} of it comes out of the allowance"
        yield "", "without the first and the last 5 minutes of them, and only with a time that is certain"
        if not hours["charged_permille"] and facts["limits"]["ceiling_octets"] is not None:
            yield "", "data goes on in them when the allowance is used up"
    if roaming := facts["roaming"]:
        most = roaming["allowance_octets"]
        own = octets(most) if most else "nothing"
        yield "Roaming", f"{own}, then no data until the SIM is at home, also where it is not certain to be"
        if most:
            yield "", f"the device stops at {octets(most - roaming['margin_octets'])}"
    if daily and daily["slow_octets"] is not None:
        yield "Of a day", f"slowed down from {octets(daily['slow_octets'])} on, until midnight"
    if daily and daily["cap_octets"] is not None:
        report = daily["cap_octets"] - daily["margin_octets"]
        yield "Of a day", f"{octets(daily['cap_octets'])} at the most; then the carrier stops the SIM until midnight"
        yield "", f"the device stops at {octets(report - daily['reserve_octets'])}, its reports at {octets(report)}"
    if burst:
        floor = octets(burst["floor_octets"])
        yield "Burst", f"{burst['factor']} times the usual in {span(burst['window_s'])}, {floor} or more"
        yield "", f"holds the class for {span(burst['hold_s'])}"
    yield "Enforcement", "the device stops data" if facts["enforcement"] == "enforce" else "the device only reports"
