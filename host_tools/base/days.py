"""Days and instants as the firmware and its formats have them: counted from 2000-01-01."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAY_S = 86_400


def day_number(day: date) -> int:
    """Days from 2000-01-01 to this date, in whatever zone the date is of."""
    return (day - EPOCH.date()).days


def date_of(number: int) -> date:
    """The date with that day number."""
    return EPOCH.date() + timedelta(days=number)


def instant(at: datetime) -> tuple[int, int]:
    """(day, second of it) in UTC of a time with a zone; fractions of a second are dropped."""
    since = at - EPOCH
    return since.days, since.seconds


def seconds(at: datetime) -> int:
    """Whole seconds from 2000-01-01 00:00 UTC to a time with a zone."""
    day, second = instant(at)
    return day * DAY_S + second
