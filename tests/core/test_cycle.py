"""Billing periods against Python's calendar, and without big ints."""

import calendar
from bisect import bisect_right
from datetime import date, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st
from usageguard.core.cycle import (
    DAY_SECONDS,
    PHASE_BILLING,
    PHASE_SILENT,
    PHASE_TEST,
    SILENT,
    TEST,
    CalendarCycle,
    MonthCycle,
    add_months,
    civil_from_days,
    days_from_civil,
)
from usageguard.core.days import DayCycle
from usageguard.core.lifecycle import Lifecycle

from tests.core.small import Small

EPOCH = datetime(2000, 1, 1)
SECOND = timedelta(seconds=1)
MAKERS = {"calendar": CalendarCycle, "months": MonthCycle, "days": DayCycle}

offsets = st.one_of(st.sampled_from((-720, -210, 0, 345, 480, 840)), st.integers(-720, 840))
# The ends of months come up often, and with them 29 February, of 2100 and of others.
dates = st.dates(date(2025, 1, 1), date(2104, 12, 31))
ends = dates.map(lambda d: d.replace(day=calendar.monthrange(d.year, d.month)[1]))
februaries = st.integers(2025, 2104).map(lambda year: date(year, 3, 1) - timedelta(days=1))
first_days = st.one_of(dates, ends, februaries)
spans = st.one_of(  # a boundary's neighbourhood, and anything
    st.sampled_from((-1, 0, 1)), st.integers(-40 * DAY_SECONDS, 40 * DAY_SECONDS), st.integers(0, 2 * 366 * DAY_SECONDS)
).map(lambda seconds: seconds * SECOND)
# (kind, length or start day, date of the first period, zone)
calendars = st.tuples(st.just("calendar"), st.integers(1, 31), st.just(None), offsets)
packages = st.tuples(st.just("months"), st.sampled_from((1, 3, 6, 12)) | st.integers(1, 60), first_days, offsets)
rollings = st.tuples(st.just("days"), st.integers(1, 1000), first_days, offsets)
kinds = st.one_of(calendars, packages, rollings)


def number(day):
    return day.toordinal() - EPOCH.toordinal()


def instant(when):
    """(day, second) of a datetime in UTC."""
    since = when - EPOCH
    return Small(since.days), Small(since.seconds)


def utc(local_date, offset):
    """The datetime in UTC at which a local date begins."""
    return datetime(local_date.year, local_date.month, local_date.day) - timedelta(minutes=offset)


def seconds_left(cycle, when):
    return timedelta(seconds=int(cycle.seconds_left(*instant(when))))


def make(kind):
    name, length, first, offset = kind
    if name == "calendar":
        return CalendarCycle(Small(length), Small(offset))
    return MAKERS[name](Small(length), Small(number(first)), Small(offset))


def month_after(first, n):
    """`first` and n months; where there is no such day, the last one of the month."""
    years, months = divmod(first.month - 1 + n, 12)
    year, month = first.year + years, months + 1
    return date(year, month, min(first.day, calendar.monthrange(year, month)[1]))


def first_date(kind, k):
    """Local date on which the period after `k` others begins."""
    name, length, first, _ = kind
    if name == "days":
        return first + timedelta(days=k * length)
    return month_after(first, k * length) if name == "months" else month_after(date(2000, 1, length), k)


def numbered(kind, k):
    """The id that is due to it."""
    return number(first_date(kind, k))


@given(st.dates(date(1900, 1, 1), date(2600, 1, 1)))
def test_day_numbers(when):
    assert days_from_civil(when.year, when.month, when.day) == number(when)
    assert civil_from_days(Small(number(when))) == (when.year, when.month, when.day)


@given(kinds, st.integers(16, 40))
def test_a_period_is_bounded_by_the_calendar(kind, k):
    k *= 30 if kind[0] == "calendar" else 1  # 2040 to 2100
    cycle, cycle_id = make(kind), numbered(kind, k)
    start, end = (utc(first_date(kind, i), kind[3]) for i in (k, k + 1))
    assert cycle.bounds(Small(cycle_id)) == (instant(start), instant(end))
    assert cycle.cycle_id(*instant(start - SECOND)) == numbered(kind, k - 1)
    assert cycle.next_id(Small(cycle_id)) == numbered(kind, k + 1)
    assert cycle.cycle_id(*instant(start)) == cycle.cycle_id(*instant(end - SECOND)) == cycle_id
    assert cycle.seconds_left(*instant(start - SECOND)) == 1
    assert seconds_left(cycle, start) == end - start


@given(kinds, st.integers(0, 12), spans)
def test_an_instant_is_in_the_period_the_calendar_says(kind, k, span):
    k += 310 if kind[0] == "calendar" else 0
    cycle = make(kind)
    when = utc(first_date(kind, k), kind[3]) + span
    starts = [utc(first_date(kind, 0), kind[3])]
    for i in range(1, 2000):
        starts.append(utc(first_date(kind, i), kind[3]))
        if starts[-1] > when:
            break
    period = max(1, bisect_right(starts, when)) - 1  # what is before the first one belongs to it
    cycle_id = cycle.cycle_id(*instant(when))
    assert cycle_id == numbered(kind, period)
    start, end = cycle.bounds(cycle_id)
    assert start <= instant(when) < end or when < starts[0]
    assert seconds_left(cycle, when) == starts[period + 1] - when


@given(kinds, dates, st.integers(0, DAY_SECONDS - 1), st.integers(1, 40 * DAY_SECONDS), offsets)
def test_periods_abut_and_ids_never_go_back(kind, day, second, later, offset):
    cycle = make(kind)
    when = utc(day, offset) + second * SECOND
    cycle_id = cycle.cycle_id(*instant(when))
    following = cycle.bounds(cycle_id)[1]
    assert cycle.cycle_id(*following) == cycle.next_id(cycle_id) > cycle_id
    assert cycle.bounds(cycle.next_id(cycle_id))[0] == following
    after = instant(when + later * SECOND)
    assert (cycle.cycle_id(*after) > cycle_id) == (after >= following)
    assert cycle.cycle_id(*after) >= cycle_id


@given(packages, st.integers(0, 20))
def test_monthly_slices_fill_a_package(kind, k):
    _, length, first, offset = kind
    slices = MonthCycle(1, number(first), offset)
    starts = [slices.bounds(number(month_after(first, k * length + i)))[0] for i in range(length + 1)]
    assert (starts[0], starts[-1]) == make(kind).bounds(numbered(kind, k))
    assert all(28 <= b[0] - a[0] <= 31 and a[1] == b[1] for a, b in pairwise(starts))


@given(first_days, st.integers(0, 120))
def test_months_later(day, n):
    expected = month_after(day, n)
    assert add_months(Small(number(day)), Small(n)) == number(expected)


@given(first_days, st.integers(0, 600))
def test_months_earlier(day, n):
    earlier = add_months(Small(number(day)), Small(-n))
    when = date.fromordinal(earlier + EPOCH.toordinal())
    assert (day.year * 12 + day.month) - (when.year * 12 + when.month) == n
    assert when.day == min(day.day, calendar.monthrange(when.year, when.month)[1])


@st.composite
def lives(draw):
    """(kind, date of the test period's end or None, date on which billing begins)."""
    billing = draw(first_days)
    test_end = draw(st.none() | st.integers(0, 400).map(lambda n: billing - timedelta(days=n)))
    name, length, _, offset = draw(kinds)
    return (name, length, billing, offset), test_end, billing


def life_of(life):
    kind, test_end, billing = life
    return Lifecycle(make(kind), test_end and number(test_end), number(billing))


def expected_phase(life, when):
    kind, test_end, billing = life
    if when >= utc(billing, kind[3]):
        return PHASE_BILLING
    return PHASE_TEST if test_end and when < utc(test_end, kind[3]) else PHASE_SILENT


@given(lives(), st.data(), spans)
def test_a_life(life, data, span):
    kind, test_end, billing = life
    cycle = life_of(life)
    when = utc(data.draw(st.sampled_from((test_end or billing, billing))), kind[3]) + span
    cycle_id = cycle.cycle_id(*instant(when))
    phase = expected_phase(life, when)
    assert cycle.phase(cycle_id) == phase
    assert cycle_id == {PHASE_TEST: TEST, PHASE_SILENT: SILENT}.get(phase, make(kind).cycle_id(*instant(when)))
    start, end = cycle.bounds(cycle_id)
    assert start <= instant(when) < end
    assert when + seconds_left(cycle, when) == EPOCH + timedelta(days=int(end[0]), seconds=int(end[1]))
    after = cycle.cycle_id(*end)
    if phase == PHASE_BILLING:
        assert after == cycle.next_id(cycle_id)
    elif phase == PHASE_TEST and test_end < billing:
        assert (after, cycle.bounds(after)[0]) == (SILENT, end)
    else:
        assert cycle.phase(after) == PHASE_BILLING
        assert cycle.bounds(after)[0] == end or (kind[0] == "calendar" and cycle.bounds(after)[0] < end)


@given(lives(), st.integers(1, 500 * DAY_SECONDS), st.lists(spans, max_size=3))
def test_the_first_use_begins_billing(life, ago, later):
    kind, test_end, billing = life
    offset = kind[3]
    use = utc(billing, offset) - ago * SECOND
    assume(use >= EPOCH)
    cycle = life_of(life)
    before = cycle.cycle_id(*instant(use))
    assert cycle.begin_billing(*instant(use)) is True
    today = (use + timedelta(minutes=offset)).date()
    assert cycle.billing_day == number(today)
    for span in later:  # clocks may have been set back since
        assert cycle.begin_billing(*instant(use + span)) is False
    begun = (kind[0], kind[1], today, offset)
    restored = Lifecycle(make(begun), test_end and number(test_end), number(today))
    for span in (timedelta(0), *later):
        when = instant(use + span)
        assert cycle.cycle_id(*when) == restored.cycle_id(*when)
    start = utc(today, offset)
    assert cycle.phase(cycle.cycle_id(*instant(start))) == PHASE_BILLING
    assert cycle.phase(cycle.cycle_id(*instant(start - SECOND))) == expected_phase(
        (begun, test_end, today), start - SECOND
    )
    assert cycle.cycle_id(*instant(use)) > before
    assert cycle.cycle_id(*instant(use)) == number(today) or kind[0] == "calendar"


@given(kinds, kinds, dates, st.integers(0, DAY_SECONDS - 1))
def test_another_plan_neither_lowers_an_id_nor_grants_a_period_twice(before, after, day, second):
    """A device that is given another plan goes on with the old period until one of the new plan begins after it."""
    when = instant(utc(day, before[3]) + second * SECOND)
    old, new = make(before), make(after)
    assume(old.bounds(old.cycle_id(*when))[0] <= when)  # it has begun
    cycle_id = old.cycle_id(*when)
    begins = new.bounds(cycle_id)[1]
    assert new.next_id(cycle_id) > cycle_id
    assert new.bounds(new.next_id(cycle_id))[0] == begins
    if new.bounds(new.cycle_id(*when))[0] <= when:
        assert (new.cycle_id(*when) > cycle_id) == (when >= begins)
