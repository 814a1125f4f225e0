"""Billing months: from a day of the month, 00:00 in the carrier's zone, to the same day of the next."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta, timezone

CARRIER_ZONE = timezone(timedelta(hours=8))  # the Chinese carriers bill in UTC+8


def cycle_start(instant: datetime, start_day: int = 1) -> date:
    """The local first day of the cycle that holds `instant`; a day the month lacks means its last one."""
    local = instant.astimezone(CARRIER_ZONE).date()
    first = _on(local.year, local.month, start_day)
    if local >= first:
        return first
    before = local.replace(day=1) - timedelta(days=1)
    return _on(before.year, before.month, start_day)


def next_start(start: date, start_day: int = 1) -> date:
    """The first day of the cycle after the one that begins on `start`."""
    after = start.replace(day=28) + timedelta(days=4)
    return _on(after.year, after.month, start_day)


def midnight(day: date) -> datetime:
    """00:00 of a local day."""
    return datetime(day.year, day.month, day.day, tzinfo=CARRIER_ZONE)


def _on(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))
