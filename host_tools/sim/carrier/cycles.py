"""Billing cycles: whole local days of a fixed zone, from 00:00 of a cycle's first day to 00:00 of the next one's.

Each kind has `first_day(day)`, the first day of the cycle that contains a local day, and `after(first)`, the first
day of the cycle that follows.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

CHINA_OFFSET_MIN = 480  # the Chinese carriers bill in UTC+8


def zone(utc_offset_min: int) -> timezone:
    """The zone of this offset, without summer time. ValueError outside UTC-12:00 to UTC+14:00."""
    if not -720 <= utc_offset_min <= 840:
        raise ValueError(f"utc_offset_min {utc_offset_min} is not in -720..840")
    return timezone(timedelta(minutes=utc_offset_min))


def midnight(day: date, zone: timezone) -> datetime:
    """00:00 of a local day."""
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def add_months(day: date, months: int) -> date:
    """The same day `months` later; the last day of the month when it has no such day."""
    return _clamped(day.year, day.month + months, day.day)


@dataclass(frozen=True, slots=True)
class CalendarMonths:
    """From a day of the month (1..31) to the same day of the next; the last day of a month that has no such day."""

    start_day: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.start_day <= 31:
            raise ValueError(f"cycle_start_day {self.start_day} is not in 1..31")

    def first_day(self, day: date) -> date:
        first = _clamped(day.year, day.month, self.start_day)
        return first if day >= first else _clamped(day.year, day.month - 1, self.start_day)

    def after(self, first: date) -> date:
        return _clamped(first.year, first.month + 1, self.start_day)


@dataclass(frozen=True, slots=True)
class RollingDays:
    """Every `days` days from the day of activation."""

    days: int
    activated: date

    def first_day(self, day: date) -> date:
        return self.activated + timedelta(days=(day - self.activated).days // self.days * self.days)

    def after(self, first: date) -> date:
        return first + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class RollingMonths:
    """Every `months` months from the day of activation: the term of a package."""

    months: int
    activated: date

    def first_day(self, day: date) -> date:
        return self._on(self._index(day))

    def after(self, first: date) -> date:
        return self._on(self._index(first) + 1)

    def _on(self, index: int) -> date:
        return add_months(self.activated, index * self.months)

    def _index(self, day: date) -> int:
        apart = (day.year - self.activated.year) * 12 + day.month - self.activated.month
        index = apart // self.months
        return index if self._on(index) <= day else index - 1


@dataclass(frozen=True, slots=True)
class Endless:
    """One cycle from the day of activation on: its allowance is all that there is."""

    activated: date

    def first_day(self, day: date) -> date:
        return self.activated

    def after(self, first: date) -> date:
        return date(2999, 1, 1)


Cycles = CalendarMonths | RollingDays | RollingMonths | Endless


def _clamped(year: int, month: int, day: int) -> date:
    """A date; `month` may be outside 1..12, and `day` is clamped to the month's last."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, min(day, monthrange(year, month)[1]))
