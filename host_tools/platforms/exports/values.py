"""Numbers and dates as people and portals write them. ValueError has a sentence for people; Ambiguous also asks."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache

from host_tools.base import days
from host_tools.base.units import SIZE_UNITS, quote
from host_tools.platforms.exports.layouts import OCTETS, unit_named

_NUMBER = re.compile(r"([+-]?)([\d.,' \u00a0\u202f]*\d[\d.,' \u00a0\u202f]*?)\s*([A-Za-z]*|字节|兆)", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+")


class Ambiguous(ValueError):
    """The text has two readings. `hint` says what decides."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


def octets(text: str, unit: str, decimal_comma: bool) -> int:
    """The octets of an amount in `unit`, or in the unit that it names itself; a part of an octet counts as one.

    `decimal_comma`: the file separates its columns by semicolons, so that commas may be decimal.
    """
    match = _NUMBER.fullmatch(text.strip())
    named = unit_named(match[3]) if match and match[3] else unit
    if not match or named is None:
        raise ValueError(f"{quote(text)} is not a number")
    value = _decimal(match[2].strip(), decimal_comma, whole=named == OCTETS)
    if match[1] == "-" and value:
        raise ValueError(f"{text.strip()} is negative")
    if named == OCTETS and value != int(value):
        raise Ambiguous(f"{quote(text)} is not a whole number", "name the unit that the column has, as in --unit MB")
    return math.ceil(value * SIZE_UNITS[named])


def _decimal(text: str, decimal_comma: bool, whole: bool) -> Decimal:
    """`whole`: the number has no fraction, so that one group of three digits after a sign is thousands."""
    text = re.sub(r"[' \u00a0\u202f]", "", text)
    signs = re.findall("[.,]", text)
    if not signs:
        return Decimal(text)
    if len(set(signs)) == 2:  # the last one is the decimal sign
        sign = signs[-1]
        whole_part, _, fraction = text.rpartition(sign)
        if not _GROUPED.fullmatch(whole_part) or sign in whole_part:
            raise ValueError(f"{quote(text)} is not a number")
        return Decimal(re.sub("[.,]", "", whole_part) + "." + fraction)
    sign = signs[0]
    grouped = _GROUPED.fullmatch(text) is not None and not text.startswith("0")
    if len(signs) > 1:
        if not grouped:
            raise ValueError(f"{quote(text)} is not a number")
        return Decimal(text.replace(sign, ""))
    if grouped:
        decimal = sign == "." and not decimal_comma
        if whole and sign == ",":
            decimal = False
        elif whole or decimal_comma:
            raise Ambiguous(f"{quote(text)} has two readings", "export it without separators of thousands")
        return Decimal(text if decimal else text.replace(sign, ""))
    if sign == "," and not decimal_comma:
        raise ValueError(f"{quote(text)} is not a number")
    return Decimal(text.replace(",", "."))


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds since 2000-01-01 UTC, how long it lasts (0: not known), and the local day or month that it is."""

    start: int
    length: int
    day: date | None = None
    is_month: bool = False


_TIME = r"(?:[T\s]+(?P<clock>\d.*))?"
_YEAR_FIRST = re.compile(rf"(?P<y>\d{{4}})([-/.年])(?P<m>\d{{1,2}})[-/.月](?P<d>\d{{1,2}})日?{_TIME}", re.ASCII)
_MONTH = re.compile(r"(?P<y>\d{4})(?:[-/.年](?P<m>\d{1,2})月?|(?P<c>\d{2}))", re.ASCII)
_YEAR_LAST = re.compile(rf"(?P<a>\d{{1,2}})(?P<s>[-/.])(?P<b>\d{{1,2}})[-/.](?P<y>\d{{4}}){_TIME}", re.ASCII)
_EXCEL = date(1899, 12, 30)  # day 0 of Excel's serial dates, from March 1900 on
MDY, DMY = "mdy", "dmy"


def order_of(text: str) -> set[str]:
    """The orders that a date with its year last may have; both where it does not tell; none for any other text."""
    match = _YEAR_LAST.fullmatch(text.strip())
    if not match:
        return set()
    if match["s"] == ".":
        return {DMY}  # nobody writes months first with dots
    first, second = int(match["a"]), int(match["b"])
    return {order for order, day, month in ((DMY, first, second), (MDY, second, first)) if month <= 12 and day <= 31}


@lru_cache(maxsize=65_536)  # a fleet's SIMs are counted at the same times
def span(text: str, zone: tzinfo, order: str, month_day: int = 1) -> Span:
    """A date, time or month. Times without a zone, dates and Excel's serial numbers are in `zone`; epochs are UTC."""
    if text.isascii() and text.replace(".", "", 1).isdigit() and (found := _digits(text, zone, month_day)):
        return found
    if match := _YEAR_FIRST.fullmatch(text):
        day = date(int(match["y"]), int(match["m"]), int(match["d"]))
        return _at(day, match["clock"], zone)
    if match := _MONTH.fullmatch(text):
        return month(int(match["y"]), int(match["m"] or match["c"]), zone, month_day)
    if match := _YEAR_LAST.fullmatch(text):
        first, second = int(match["a"]), int(match["b"])
        month_number, day_number = (first, second) if order == MDY else (second, first)
        return _at(date(int(match["y"]), month_number, day_number), match["clock"], zone)
    raise ValueError


def _digits(text: str, zone: tzinfo, month_day: int) -> Span | None:
    whole, _, fraction = text.partition(".")
    if len(whole) == 5:
        seconds = round(Decimal(f"0.{fraction or 0}") * days.DAY_S)
        day = _EXCEL + timedelta(days=int(whole))
        return _at(day, None, zone) if not seconds else _instant(_midnight(day, zone) + timedelta(seconds=seconds))
    if len(whole) in (10, 13) and (not fraction or len(whole) == 10):
        return _instant(datetime.fromtimestamp(int(whole) // (1000 if len(whole) == 13 else 1), UTC))
    if fraction:
        return None
    if len(text) == 8:
        return _at(date(int(text[:4]), int(text[4:6]), int(text[6:])), None, zone)
    if len(text) == 14:
        return _instant(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=zone))
    return month(int(text[:4]), int(text[4:]), zone, month_day) if len(text) == 6 else None


def _at(day: date, clock: str | None, zone: tzinfo) -> Span:
    if clock is None:
        return Span(days.seconds(_midnight(day, zone)), days.DAY_S, day)
    clock = clock.strip()
    for form in ("%I:%M:%S %p", "%I:%M %p"):
        if clock[-1:].upper() == "M":
            try:
                return _instant(datetime.combine(day, datetime.strptime(clock.upper(), form).time(), zone))
            except ValueError:
                continue
    if len(clock.split(":")[0]) == 1:
        clock = "0" + clock
    at = datetime.fromisoformat(f"{day.isoformat()}T{clock.replace(' ', '')}")
    return _instant(at if at.tzinfo else at.replace(tzinfo=zone))


def _instant(at: datetime) -> Span:
    return Span(days.seconds(at), 0)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def month(year: int, number: int, zone: tzinfo, month_day: int = 1) -> Span:
    """A billing month. One that begins on the 2nd or later begins in the calendar month before."""
    first = date(year, number, 1)
    if month_day > 1:
        first = (first - timedelta(days=1)).replace(day=month_day)
    return month_from(first, zone)


def month_from(first: date, zone: tzinfo) -> Span:
    """From a day to the same one of the next month, or that month's last day."""
    year, number = (first.year + first.month // 12), first.month % 12 + 1
    after = date(year, number, min(first.day, monthrange(year, number)[1]))
    return Span(days.seconds(_midnight(first, zone)), (after - first).days * days.DAY_S, first, is_month=True)
