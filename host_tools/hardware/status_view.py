"""What a device's status says to a person: used of the limit, what may still be used, why it is stopped, the network.

The status has counts; the limit and the period's end are the plan's: they are shown where the configuration is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from rich.text import Text

from host_tools.base import files
from host_tools.base.days import DAY_S, EPOCH, date_of
from host_tools.base.units import size
from host_tools.build import device_config
from host_tools.report.labels import REASONS, VERDICTS, modem_state

BAR = 24
_REGISTRATIONS = {0: "not registered", 1: "home", 2: "searching", 3: "denied", 4: "unknown", 5: "roaming"}
"""<stat> of +CEREG, 3GPP TS 27.007."""
_HOME = 1
_NO_SIGNAL = 99
_OPERATORS = {
    "China Mobile": "46000 46002 46004 46007 46008",
    "China Unicom": "46001 46006 46009 46010",
    "China Telecom": "46003 46005 46011 46012",
    "China Broadnet": "46015",
}
"""MCC and MNC of SIMs, by whose they are."""
_BEARERS = {"at": "AT sockets", "ppp": "PPP"}


def load(path: Path) -> Any:
    """The firmware's Config in a device's configuration file. UsageError."""
    raw = files.table(path, "name the configuration that was deployed")
    return device_config.check(device_config.normalized(raw, path.name), path.name)


def rows(status: dict[str, Any], config: Any, now: datetime) -> Iterator[tuple[str, Text]]:
    """Names and texts, in the order of what one looks for; what the status does not say is left out.

    `config` is the firmware's Config, or None; `now` is when the status came.
    """
    yield "verdict", verdict(status)
    for code in (status.get("reasons") or ())[1:]:
        yield "", Text(f"and {reason(code)}")
    used = status.get("rated_octets")
    if isinstance(used, int):
        yield "used", _used(used, config)
        if config:
            yield from _left(status, used, config, now)
    if isinstance(status.get("day_octets"), int):
        yield "today", Text(size(status["day_octets"]) + _of_a_day(config))
    if isinstance(apart := status.get("apart"), dict):
        yield "apart", Text(_apart(apart, config))
    if isinstance(status.get("carried_octets"), int):
        unsure = status.get("error_bound_octets") or 0
        yield "carried", Text(f"{size(status['carried_octets'])}, of which {size(unsure)} may not have crossed")
    if isinstance(status.get("forecast_day"), int):
        yield "forecast", Text(f"used up on {date_of(status['forecast_day']):%-d %B %Y}")
    on_s = status.get("radio_on_s")
    yield "network", Text(network(status) + (f" · on for {timedelta(seconds=on_s)}" if on_s else ""))
    if status.get("iccid"):
        yield "SIM", Text(" · ".join(filter(None, (status["iccid"], operator(status)))))
    yield "reports", Text(reports(status, now))
    if isinstance(status.get("classes"), dict) and status["classes"]:
        yield "classes", Text(classes(status["classes"]))
    if status.get("heap_octets"):
        yield "heap", Text(f"{status['heap_octets']:,} bytes in use")


def verdict(status: dict[str, Any]) -> Text:
    """The verdict in words, with the first reason."""
    name = str(status.get("verdict") or "no verdict")
    known = VERDICTS.get(name)
    text = f"{name}: {known.label.lower()}" if known else name
    for code in (status.get("reasons") or ())[:1]:
        text += f"; {reason(code)}"
    return Text(text, style=known.style if known else "default")


def reason(code: str) -> str:
    """A reason's words and its code."""
    return f"{REASONS[code]} ({code})" if code in REASONS else code


def _limit(config: Any) -> int | None:
    limit = config.plan.local_limit
    return limit if limit < 1 << 50 else None  # beyond the largest allowance: none


def _used(used: int, config: Any) -> Text:
    limit = _limit(config) if config else None
    if not limit:
        return Text(size(used))
    share = used / limit
    full = min(BAR, round(BAR * share))
    style = "green" if share < 0.8 else "yellow" if share < 1 else "red"
    return Text.assemble(
        ("█" * full, style), ("░" * (BAR - full), "dim"), f"  {share:.1%}  {size(used)} of {size(limit)}"
    )


def _apart(apart: dict[str, Any], config: Any) -> str:
    """What the counters beside the allowance have debited, and which of them is debited now."""
    parts = []
    for name in ("hours", "roaming"):
        octets = apart[f"{name}_octets"]
        if octets is not None:
            terms = config and getattr(config.plan, name)
            parts.append(f"{name} {size(octets)}" + (f" of {size(terms.octets)}" if terms else ""))
    now = f"{apart['now']} now" if apart["now"] else ""
    return ", ".join([*parts, now] if now else parts) or "none now"


def _of_a_day(config: Any) -> str:
    cap = config and config.plan.daily and config.plan.daily.cap_octets
    return f" of {size(cap)}, until midnight" if cap else ""


def _left(status: dict[str, Any], used: int, config: Any, now: datetime) -> Iterator[tuple[str, Text]]:
    plan = config.plan
    cycle = plan.cycle
    limit = _limit(config)
    number = status.get("cycle")
    if not isinstance(number, int) or not number:
        return
    try:
        _, (day, second) = cycle.bounds(number)
    except (ValueError, ArithmeticError):
        return
    end = EPOCH + timedelta(days=day, seconds=second)
    days = max(1, -(-int((end - now).total_seconds()) // DAY_S))
    local = end.astimezone(timezone(timedelta(minutes=cycle.utc_offset_min)))
    if limit is not None:
        left = max(0, limit - used)
        each = f", {size(left // days)} a day" if days > 1 else ""
        yield "left", Text(f"{size(left)} until the device stops{each}")
    yield "period", Text(f"ends on {local:%-d %B %Y at %H:%M}, in {days} day{'s' * (days > 1)}")


def operator(status: dict[str, Any]) -> str:
    """Whose the SIM is; "" where the status does not say it."""
    number = str(status.get("network") or "")
    known = (name for name, numbers in _OPERATORS.items() if number[:5] in numbers.split())
    return next(known, f"IMSI {number}…" if number else "")


def network(status: dict[str, Any]) -> str:
    """The modem's state, the bearer, the registration, the operator where it is the SIM's own, and the signal."""
    parts = [str(modem_state(status.get("modem")))]
    if status.get("bearer") in _BEARERS:
        parts.append(_BEARERS[status["bearer"]])
    registration = status.get("registration")
    if registration in _REGISTRATIONS:
        parts.append(_REGISTRATIONS[registration])
    if registration == _HOME and operator(status):
        parts.append(operator(status))
    signal = status.get("signal")
    if isinstance(signal, int) and 0 <= signal < _NO_SIGNAL:
        parts.append(f"{2 * signal - 113} dBm")
    if status.get("sim_state") not in (None, "", "READY"):
        parts.append(f"SIM {status['sim_state']}")
    return " · ".join(parts)


def reports(status: dict[str, Any], now: datetime) -> str:
    """How many were answered, and when the last one was sent and what was its answer; `now` is when the status came."""
    text = f"{status.get('reports_acked')} of {status.get('reports_sent')} acknowledged"
    code, age_s = status.get("report_refused"), status.get("report_s")
    last = f" at {now - timedelta(seconds=age_s):%H:%M on %-d %B}" if isinstance(age_s, int) and age_s >= 0 else ""
    if code:
        return f"{text}; the last{last} refused with {code >> 5}.{code & 31:02}"
    if not last:
        return text
    return f"{text}; the last{last} {'answered' if status.get('report_answered') else 'not answered yet'}"


def classes(counts: dict[str, dict[str, int]]) -> str:
    """What each class has used since the device's start, and of its own quota, and how often it was refused."""
    each = []
    for name, of in counts.items():
        refused = f" ({of['refused']:,} refused)" if of["refused"] else ""
        quota = ""
        if "quota_octets" in of:
            quota = f", {size(of['period_octets'])} of {size(of['quota_octets'])} in the period"
        each.append(f"{name} {size(of['octets'])}{quota}{refused}")
    return " · ".join(each)


def line(status: dict[str, Any], config: Any, now: datetime) -> str:
    """The status in a line, for a pipe; `now` is when it came."""
    parts = [verdict(status).plain]
    used = status.get("rated_octets")
    if isinstance(used, int):
        limit = _limit(config) if config else None
        parts.append(f"{size(used)} of {size(limit)} ({used / limit:.1%})" if limit else f"{size(used)} used")
    if isinstance(apart := status.get("apart"), dict):
        parts.append(_apart(apart, config))
    if "modem" in status:
        parts.append(network(status))
    if "reports_sent" in status:
        parts.append(f"reports {reports(status, now)}")
    return " | ".join(parts)
