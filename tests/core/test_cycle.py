"""Billing periods against Python's calendar, and without big ints."""

import calendar
from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from usageguard.core.cycle import DAY_SECONDS, Cycle, civil_from_days, days_from_civil

from tests.core.small import Small

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
instants = st.integers(0, 99 * 366 * DAY_SECONDS)
start_days = st.integers(1, 31)
offsets = st.integers(-720, 840)


def expected_id(when, start_day, offset):
    local = when.astimezone(timezone(timedelta(minutes=offset)))
    starts = min(start_day, calendar.monthrange(local.year, local.month)[1])
    return (local.year - 2000) * 12 + local.month - 1 - (local.day < starts)


@given(st.dates(date(1900, 1, 1), date(2600, 1, 1)))
def test_day_numbers(when):
    number = (when - EPOCH.date()).days
    assert days_from_civil(when.year, when.month, when.day) == number
    assert civil_from_days(Small(number)) == (when.year, when.month, when.day)


@given(instants, start_days, offsets)
def test_period_of_an_instant(seconds, start_day, offset):
    when = EPOCH + timedelta(seconds=seconds)
    day, second = Small(seconds // DAY_SECONDS), Small(seconds % DAY_SECONDS)
    cycle = Cycle(Small(start_day), Small(offset))
    cycle_id = cycle.cycle_id(day, second)
    assert cycle_id == expected_id(when, start_day, offset)
    (start, end) = cycle.bounds(cycle_id)
    assert start <= (day, second) < end
    assert cycle.seconds_left(day, second) == int(end[0]) * DAY_SECONDS + int(end[1]) - seconds
    assert 28 * DAY_SECONDS <= (end[0] - start[0]) * DAY_SECONDS <= 31 * DAY_SECONDS
    assert start[1] == end[1] == -offset * 60 % DAY_SECONDS


@given(st.integers(0, 1200), start_days, offsets)
def test_bounds(cycle_id, start_day, offset):
    year, month = 2000 + cycle_id // 12, cycle_id % 12 + 1
    local = datetime(year, month, min(start_day, calendar.monthrange(year, month)[1]))
    start = local.replace(tzinfo=timezone(timedelta(minutes=offset)))
    since = start - EPOCH
    assert Cycle(start_day, offset).bounds(cycle_id)[0] == (since.days, since.seconds)


@given(instants, st.integers(0, 40 * DAY_SECONDS), start_days, offsets)
def test_ids_never_go_back(seconds, later, start_day, offset):
    cycle = Cycle(start_day, offset)
    first = cycle.cycle_id(*divmod(seconds, DAY_SECONDS))
    assert first <= cycle.cycle_id(*divmod(seconds + later, DAY_SECONDS)) <= first + 2
