"""Fills the templates in, in the reader's language."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from host_tools.base.units import size
from host_tools.collector.instructions import INSTRUCTIONS
from host_tools.fleet import bills, index, standing, words
from host_tools.fleet.accounts import LEAST_PASSWORD, Role, User
from host_tools.fleet.alerts import SHOWN
from host_tools.fleet.bill import STEPS
from host_tools.fleet.details import DayUse, Details, Stretch
from host_tools.fleet.paging import to_cursor
from host_tools.fleet.web import bill_pages, table
from host_tools.fleet.web.waterfall import stacked, waterfall

TIMELINE = timedelta(days=31)
_WIDTH = 1000  # of pictures, in their own units
_CHINA = timedelta(hours=8)
_MOST_DAYS = 31
_MINUTE = len("2026-01-01 00:00")
_MACROS = {"m": "macros.html", "b": "bill_macros.html"}


@dataclass(frozen=True)
class Look:
    """`here`: the page's path; `back`: with its query."""

    language: str
    theme: str
    here: str
    back: str


class Renderer:
    """An environment for each language: its words are filters, so that those which a template names are put in when
    it is compiled."""

    def __init__(self, silent: timedelta, now: Callable[[], datetime]) -> None:
        self._environments = {each: _environment(words.words(each), silent, now) for each in words.LANGUAGES}

    def __call__(self, template: str, look: Look, user: User | None, **values: Any) -> str:
        found = self._environments[look.language].get_template(template)
        return found.render({"look": look, "user": user, **values})


def _environment(t: words.Words, silent: timedelta, now: Callable[[], datetime]) -> Environment:
    made = Environment(
        loader=PackageLoader("host_tools.fleet.web"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "SHOWN": SHOWN, "State": standing.State, "Role": Role, "SORTS": index.SORTS, "NEVER": standing.NEVER,
        "UNKNOWN": standing.UNKNOWN, "LANGUAGES": words.LANGUAGES, "LEAST_PASSWORD": LEAST_PASSWORD,
        "address": table.address, "usage": usage, "events": events, "segments": segments,
        "reasons_of": standing.reasons_of, "waterfall": waterfall, "stacked": stacked, "STEPS": STEPS,
        "INSTRUCTIONS": INSTRUCTIONS, "BILL_SORTS": bills.SORTS, "bill_address": bill_pages.address,
        "cursor": to_cursor,
        "language": t.language, "silent": t("hours", count=round(silent.total_seconds() / 3600)),
        "bars": lambda days: bars(days, now()),
    }  # fmt: skip
    made.filters |= {
        "t": t, "named": lambda name, table: t.named(table, name), "size": short, "stamp": stamp, "when": when,
        "static": static, "day_rows": day_rows,
        "many": lambda count, word, **values: t.many(word, count, **values), "day": lambda value: day(t, value),
        "ago": lambda at: ago(t, now() - _time(at)),
    }  # fmt: skip
    made.policies["json.dumps_function"] = lambda value, **_: msgspec.json.encode(value).decode()
    # An `import` in each template would look for globals that the macros do not know yet, whenever it is filled in.
    made.globals |= {name: made.get_template(file).module for name, file in _MACROS.items()}
    return made


def ago(t: words.Words, age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for word, unit in (("ago-d", 86_400), ("ago-h", 3_600), ("ago-m", 60)):
        if seconds >= 2 * unit or (unit == 60 and seconds >= unit):
            return t(word, count=seconds // unit)
    return t("ago-s", count=seconds)


def stamp(at: datetime | str) -> str:
    """A time to the minute, and its zone."""
    return f"{_time(at).astimezone(UTC).isoformat(' ', 'minutes')[:_MINUTE]} UTC"


def when(at: datetime) -> Markup:
    """A time that scripts write in the reader's own zone."""
    return Markup(f'<time datetime="{at.isoformat()}">{stamp(at)}</time>')


def short(octets: int) -> str:
    """A size without a fraction that is zero."""
    return size(octets).replace(".00 ", " ")


def day(t: words.Words, value: date | str) -> str:
    """A day as people of a language write it, without the year."""
    at = date.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.month}月{at.day}日" if t.language == "zh" else f"{at.day} {at:%b}"


def _time(at: datetime | str) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


@cache
def static(name: str) -> str:
    """The address of a file that browsers may keep: another content has another one."""
    content = resources.files("host_tools.fleet.web").joinpath("static", name).read_bytes()
    return f"/static/{name}?{hashlib.sha256(content).hexdigest()[:12]}"


def bars(days: dict[str, int], now: datetime) -> list[tuple[str, int, int]]:
    """(day, count, height in percent) from today to the last day on which a device runs out, in UTC+8."""
    if not days:
        return []
    today = (now + _CHINA).date()
    last = date.fromisoformat(max(days))
    first = min(today, date.fromisoformat(min(days)), last)
    span = min((last - first).days + 1, _MOST_DAYS)
    begin = last - timedelta(days=span - 1)
    highest = max(days.values())
    shown = [(begin + timedelta(days=number)).isoformat() for number in range(span)]
    return [(each, days.get(each, 0), -(-days.get(each, 0) * 100 // highest)) for each in shown]


def usage(known: Details, allowance: int) -> dict[str, Any]:
    """What the pictures of a device draw: seconds since 1970, octets."""
    start = known.periods[0].start
    carrier = [each for each in known.figures if each.cycle_start == start] if start else []
    return {
        "period": {
            "device": known.drawn,
            "carrier": [(int(each.as_of.timestamp()), each.octets) for each in carrier],
            "allowance": allowance if allowance > 0 else None,
        },
        "days": _without_gaps(known.days),
    }


def day_rows(days: Sequence[DayUse]) -> Markup:
    """The rows of a table, the newest first. They are the most of a page: a template takes three times as long."""
    row = '<tr><th scope="row">%s</th><td class="right">%s</td><td class="right">%s</td></tr>'
    return Markup("\n".join([row % (each.day, short(each.rated), short(each.carried)) for each in reversed(days)]))


def _without_gaps(days: Sequence[DayUse]) -> list[DayUse]:
    if not days:
        return []
    first, last = days[0].day, days[-1].day
    count = (last - first).days + 1
    if count == len(days):
        return [*days]
    used = {each.day: each for each in days}
    every = (first + timedelta(days=number) for number in range(count))
    return [used.get(each) or DayUse(each, 0, 0) for each in every]


def segments(stretches: Sequence[Stretch], now: datetime) -> list[tuple[float, float, Stretch]]:
    """(left, width, stretch) of the time line, in its own units."""
    begin = now - TIMELINE
    scale = _WIDTH / TIMELINE.total_seconds()
    found = []
    for each in stretches:
        left = max((each.begin - begin).total_seconds(), 0.0) * scale
        right = (each.end - begin).total_seconds() * scale
        if right > left:
            found.append((round(left, 1), round(max(right - left, 2.0), 1), each))
    return found


def events(known: Details) -> list[tuple[datetime, str, Any]]:
    """(time, kind, what) of all that has happened, the newest first."""
    found: list[tuple[datetime, str, Any]] = [(each.begin, "verdict", each) for each in known.stretches[1:]]
    found += [(each.received_at, "alarm", each) for each in known.alarms]
    found += [(each.given_at, "order", each) for each in known.orders]
    return sorted(found, key=lambda each: each[0], reverse=True)[:200]
