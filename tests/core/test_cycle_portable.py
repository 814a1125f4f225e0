"""Billing periods worked out by hand, with a calendar."""

from usageguard.core.cycle import (
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
from usageguard.core.endless import NEVER, EndlessCycle
from usageguard.core.lifecycle import Lifecycle

CHINA = 480
NEPAL = 345
BAKER = -720  # the last zone to begin a day
LINE = 840  # the first one


def at(year, month, day, hour=0, minute=0, second=0):
    return days_from_civil(year, month, day), hour * 3600 + minute * 60 + second


def before(instant):
    day, second = instant
    return (day, second - 1) if second else (day - 1, 86399)


DAYS = (
    # number, date
    (0, (2000, 1, 1)),
    (31 + 28, (2000, 2, 29)),  # a century that is a leap year
    (366, (2001, 1, 1)),
    (-1, (1999, 12, 31)),
    (9496, (2025, 12, 31)),
    (9497, (2026, 1, 1)),
    (8825, (2024, 2, 29)),
    (36525 + 59, (2100, 3, 1)),  # a century that is none: 2100 has no 29 February
)

NO_DATES = ((2023, 2, 29), (2100, 2, 29), (2024, 4, 31), (2024, 0, 1), (2024, 13, 1), (2024, 1, 0))


def test_day_numbers():
    for number, date in DAYS:
        assert days_from_civil(*date) == number, (date, days_from_civil(*date))
        assert civil_from_days(number) == date, (number, civil_from_days(number))


def test_an_endless_period_has_a_start_and_no_end():
    first = days_from_civil(2026, 1, 15)
    cycle = EndlessCycle(first, CHINA)
    for instant in (at(2025, 12, 31), at(2026, 1, 14, 16), at(2026, 2, 1), at(2075, 7, 7), at(2178, 12, 31)):
        assert cycle.cycle_id(*instant) == first, instant
    start, end = cycle.bounds(first)
    assert start == at(2026, 1, 14, 16)
    assert end[0] in (NEVER, NEVER - 1)
    assert days_from_civil(2179, 6, 6) == NEVER
    assert cycle.next_id(first) == NEVER
    life = Lifecycle(EndlessCycle(first, CHINA), days_from_civil(2026, 1, 10), first)
    assert life.cycle_id(*at(2026, 1, 9)) == TEST
    assert life.cycle_id(*at(2026, 1, 12)) == SILENT
    life.begin_billing(*at(2026, 1, 12))
    assert life.cycle_id(*at(2040, 1, 12)) == days_from_civil(2026, 1, 12)


def test_no_such_date():
    for date in NO_DATES:
        try:
            days_from_civil(*date)
        except ValueError:
            continue
        raise AssertionError(date)


# start day, offset, last second of one period in UTC, month (year, month) in which the next one begins
BOUNDARIES = (
    # The 1st in China begins at 16:00 UTC of the day before.
    (1, CHINA, at(2026, 1, 31, 15, 59, 59), (2026, 2)),
    (1, CHINA, at(2025, 12, 31, 15, 59, 59), (2026, 1)),
    (1, CHINA, at(2024, 2, 29, 15, 59, 59), (2024, 3)),
    (1, CHINA, at(2023, 2, 28, 15, 59, 59), (2023, 3)),
    (1, 0, at(2026, 4, 30, 23, 59, 59), (2026, 5)),
    # Unicom's 27th
    (27, CHINA, at(2026, 2, 26, 15, 59, 59), (2026, 2)),
    # Start day 31: the last day of a shorter month
    (31, 0, at(2026, 1, 30, 23, 59, 59), (2026, 1)),
    (31, 0, at(2026, 2, 27, 23, 59, 59), (2026, 2)),
    (31, 0, at(2024, 2, 28, 23, 59, 59), (2024, 2)),
    (31, 0, at(2026, 3, 30, 23, 59, 59), (2026, 3)),
    (31, 0, at(2026, 4, 29, 23, 59, 59), (2026, 4)),
    (31, CHINA, at(2026, 2, 27, 15, 59, 59), (2026, 2)),
    (31, 0, at(2026, 12, 30, 23, 59, 59), (2026, 12)),
    (30, 0, at(2026, 2, 27, 23, 59, 59), (2026, 2)),
    (30, 0, at(2024, 2, 28, 23, 59, 59), (2024, 2)),
    (29, 0, at(2024, 2, 28, 23, 59, 59), (2024, 2)),
    (29, 0, at(2026, 2, 27, 23, 59, 59), (2026, 2)),
    # The ends of the earth: UTC+14 and UTC-12, and a zone of odd minutes
    (1, LINE, at(2025, 12, 31, 9, 59, 59), (2026, 1)),
    (1, BAKER, at(2026, 1, 1, 11, 59, 59), (2026, 1)),
    (1, NEPAL, at(2026, 2, 28, 18, 14, 59), (2026, 3)),
    # The 27th over the year's end
    (27, CHINA, at(2025, 12, 26, 15, 59, 59), (2025, 12)),
    (27, CHINA, at(2026, 1, 26, 15, 59, 59), (2026, 1)),
    # 2100 has no 29 February
    (1, 0, at(2100, 2, 28, 23, 59, 59), (2100, 3)),
    (29, 0, at(2100, 2, 27, 23, 59, 59), (2100, 2)),
    (31, CHINA, at(2100, 2, 27, 15, 59, 59), (2100, 2)),
)


def test_boundaries():
    for start_day, offset, last, month in BOUNDARIES:
        cycle = CalendarCycle(start_day, offset)
        day, second = last
        named = day + (second + 1 + offset * 60) // 86400
        assert civil_from_days(named)[:2] == month, month
        first = (day, second + 1) if second < 86399 else (day + 1, 0)
        what = (start_day, offset, civil_from_days(day), second)
        earlier = cycle.cycle_id(*last)
        assert 28 <= named - earlier <= 31, what
        assert cycle.next_id(earlier) == named, what
        assert cycle.cycle_id(*first) == named, what
        assert cycle.bounds(named)[0] == first, what
        assert cycle.bounds(earlier)[1] == first, what
        assert cycle.seconds_left(*last) == 1, what


LENGTHS = (
    # start day, year, month, days
    (1, 2026, 1, 31),
    (1, 2026, 2, 28),
    (1, 2024, 2, 29),
    (31, 2026, 1, 28),  # 31 January to 28 February
    (31, 2026, 2, 31),  # 28 February to 31 March
    (31, 2024, 1, 29),
    (31, 2026, 3, 30),
    (30, 2026, 1, 29),
    (30, 2026, 2, 30),
    (15, 2026, 2, 28),
    (31, 2026, 12, 31),
)


def test_lengths():
    for start_day, year, month, days in LENGTHS:
        cycle = CalendarCycle(start_day, CHINA)
        longest = civil_from_days(add_months(days_from_civil(year, month, 1), 1) - 1)[2]
        first, _ = cycle.bounds(days_from_civil(year, month, min(start_day, longest)))
        assert first[1] == 16 * 3600, "00:00 in China is 16:00 UTC"
        assert cycle.seconds_left(*first) == days * 86400, (start_day, year, month)


def months(length, first, offset):
    return "Months", MonthCycle(length, days_from_civil(*first), offset)


def days(length, first, offset):
    return "Days", DayCycle(length, days_from_civil(*first), offset)


ANCHORED = (
    # kind, first instants in UTC of successive periods from the first one on
    (
        months(1, (2026, 1, 31), 0),  # the 31st comes back after each shorter month
        (at(2026, 1, 31), at(2026, 2, 28), at(2026, 3, 31), at(2026, 4, 30), at(2026, 5, 31), at(2026, 6, 30)),
    ),
    (months(1, (2024, 1, 30), 0), (at(2024, 1, 30), at(2024, 2, 29), at(2024, 3, 30))),
    (months(1, (2025, 1, 29), 0), (at(2025, 1, 29), at(2025, 2, 28), at(2025, 3, 29))),
    (months(1, (2025, 12, 1), CHINA), (at(2025, 11, 30, 16), at(2025, 12, 31, 16), at(2026, 1, 31, 16))),
    (months(1, (2025, 12, 31), BAKER), (at(2025, 12, 31, 12), at(2026, 1, 31, 12), at(2026, 2, 28, 12))),
    (months(1, (2100, 1, 31), 0), (at(2100, 1, 31), at(2100, 2, 28), at(2100, 3, 31))),
    (months(3, (2025, 11, 30), 0), (at(2025, 11, 30), at(2026, 2, 28), at(2026, 5, 30), at(2026, 8, 30))),
    (
        months(3, (2025, 12, 31), LINE),  # 00:00 there is 10:00 UTC of the day before
        (at(2025, 12, 30, 10), at(2026, 3, 30, 10), at(2026, 6, 29, 10), at(2026, 9, 29, 10), at(2026, 12, 30, 10)),
    ),
    (months(6, (2025, 8, 31), NEPAL), (at(2025, 8, 30, 18, 15), at(2026, 2, 27, 18, 15), at(2026, 8, 30, 18, 15))),
    (
        months(12, (2024, 2, 29), CHINA),
        (at(2024, 2, 28, 16), at(2025, 2, 27, 16), at(2026, 2, 27, 16), at(2027, 2, 27, 16), at(2028, 2, 28, 16)),
    ),
    (months(48, (2096, 2, 29), 0), (at(2096, 2, 29), at(2100, 2, 28), at(2104, 2, 29))),
    (months(5, (2025, 10, 31), 0), (at(2025, 10, 31), at(2026, 3, 31), at(2026, 8, 31), at(2027, 1, 31))),
    (days(1, (2024, 2, 28), 0), (at(2024, 2, 28), at(2024, 2, 29), at(2024, 3, 1))),
    (days(7, (2025, 12, 29), BAKER), (at(2025, 12, 29, 12), at(2026, 1, 5, 12), at(2026, 1, 12, 12))),
    (days(30, (2026, 1, 1), CHINA), (at(2025, 12, 31, 16), at(2026, 1, 30, 16), at(2026, 3, 1, 16))),
    (days(30, (2024, 1, 31), LINE), (at(2024, 1, 30, 10), at(2024, 2, 29, 10), at(2024, 3, 30, 10))),
    (days(30, (2100, 2, 15), 0), (at(2100, 2, 15), at(2100, 3, 17), at(2100, 4, 16))),
    (days(365, (2027, 1, 1), NEPAL), (at(2026, 12, 31, 18, 15), at(2027, 12, 31, 18, 15), at(2028, 12, 30, 18, 15))),
)


def test_periods_from_activation():
    for (kind, cycle), starts in ANCHORED:
        what = (kind, cycle.length, civil_from_days(cycle.first_day), cycle.utc_offset_min)
        ids = [cycle.local_day(*start) for start in starts]
        assert ids[0] == cycle.first_day, what
        assert cycle.cycle_id(*before(starts[0])) == ids[0], what
        assert cycle.cycle_id(9132, 0) == ids[0] or ids[0] < 9132, what
        for i in range(len(starts) - 1):
            start, end = starts[i], starts[i + 1]
            assert cycle.bounds(ids[i]) == (start, end), (what, i, cycle.bounds(ids[i]))
            assert cycle.cycle_id(*start) == cycle.cycle_id(*before(end)) == ids[i], (what, i)
            assert cycle.cycle_id(*end) == cycle.next_id(ids[i]) == ids[i + 1], (what, i)
            assert cycle.seconds_left(*before(end)) == 1, (what, i)
            assert cycle.seconds_left(*start) == (end[0] - start[0]) * 86400, (what, i)


def test_local_days():
    for offset, start in ((0, at(2026, 3, 1)), (CHINA, at(2026, 2, 28, 16)), (BAKER, at(2026, 3, 1, 12))):
        cycle, day = CalendarCycle(1, offset), days_from_civil(2026, 3, 1)
        assert cycle.midnight(day) == start, offset
        assert (cycle.local_day(*start), cycle.local_day(*before(start))) == (day, day - 1), offset


def test_a_period_not_begun_yet_ends_with_the_first_one():
    cycle = DayCycle(30, days_from_civil(2026, 1, 11), 0)
    assert cycle.seconds_left(*at(2026, 1, 1)) == 40 * 86400


SUMS = (
    # date, months, date so many months later
    ((2026, 1, 31), 0, (2026, 1, 31)),
    ((2026, 1, 31), 1, (2026, 2, 28)),
    ((2024, 1, 31), 1, (2024, 2, 29)),
    ((2100, 1, 31), 1, (2100, 2, 28)),
    ((2024, 2, 29), 12, (2025, 2, 28)),
    ((2024, 2, 29), 48, (2028, 2, 29)),
    ((2025, 12, 31), 2, (2026, 2, 28)),
    ((2025, 12, 1), 1, (2026, 1, 1)),
    ((2026, 3, 31), -1, (2026, 2, 28)),
    ((2026, 1, 15), -1, (2025, 12, 15)),
)


def test_add_months():
    for date, n, later in SUMS:
        result = civil_from_days(add_months(days_from_civil(*date), n))
        assert result == later, (date, n, result)


def a_life(cycle=None):
    """Test until 10 March 2026 and silence until 1 October, in China."""
    return Lifecycle(cycle or CalendarCycle(1, CHINA), days_from_civil(2026, 3, 10), days_from_civil(2026, 10, 1))


TEST_END = at(2026, 3, 9, 16)
FORCED = at(2026, 9, 30, 16)
OCTOBER = days_from_civil(2026, 10, 1)


def test_life_of_a_sim():
    life = a_life()
    assert life.utc_offset_min == CHINA
    assert life.bounds(TEST) == ((0, 0), TEST_END)
    assert life.bounds(SILENT) == (TEST_END, FORCED)
    assert life.bounds(OCTOBER) == (FORCED, at(2026, 10, 31, 16))
    for instant, cycle_id, end in (
        (at(2025, 1, 1), TEST, TEST_END),
        (before(TEST_END), TEST, TEST_END),
        (TEST_END, SILENT, FORCED),
        (before(FORCED), SILENT, FORCED),
        (FORCED, OCTOBER, at(2026, 10, 31, 16)),
        (at(2026, 10, 31, 16), OCTOBER + 31, at(2026, 11, 30, 16)),
    ):
        assert life.cycle_id(*instant) == cycle_id, instant
        left = (end[0] - instant[0]) * 86400 + end[1] - instant[1]
        assert life.seconds_left(*instant) == left, instant


def test_phases():
    life = a_life()
    assert (PHASE_BILLING, PHASE_SILENT, PHASE_TEST) == (0, 1, 2)
    assert [life.phase(i) for i in (TEST, SILENT, OCTOBER)] == [2, 1, 0]
    assert life.cycle.phase(OCTOBER) == PHASE_BILLING


def test_life_without_a_test_period():
    life = Lifecycle(CalendarCycle(1, CHINA), None, days_from_civil(2026, 10, 1))
    assert life.cycle_id(0, 0) == life.cycle_id(*before(FORCED)) == SILENT
    assert life.bounds(SILENT) == ((0, 0), FORCED)
    assert life.cycle_id(*FORCED) == OCTOBER


def test_life_without_a_silent_period():
    end = days_from_civil(2026, 3, 10)
    life = Lifecycle(MonthCycle(3, end, CHINA), end, end)
    assert life.cycle_id(*before(TEST_END)) == TEST
    assert life.cycle_id(*TEST_END) == life.next_id(TEST) == end
    assert life.bounds(TEST)[1] == life.bounds(end)[0] == TEST_END
    assert life.bounds(SILENT) == (TEST_END, TEST_END), "empty"


FIRST_USES = (
    # first use, the instant at which its local day began
    (at(2026, 5, 20, 3, 4, 5), at(2026, 5, 19, 16)),  # silent
    (at(2026, 5, 20, 16), at(2026, 5, 20, 16)),
    (at(2026, 5, 20, 15, 59, 59), at(2026, 5, 19, 16)),
    (before(FORCED), at(2026, 9, 29, 16)),
    (TEST_END, TEST_END),
    (at(2026, 2, 1), at(2026, 1, 31, 16)),  # in the test period: no silent one follows
)


def test_first_use_begins_billing():
    for use, start in FIRST_USES:
        first = days_from_civil(2026, 10, 1)
        for cycle in (MonthCycle(1, first, CHINA), DayCycle(30, first, CHINA)):
            life = a_life(cycle)
            assert life.begin_billing(*use), use
            assert life.billing_day == cycle.first_day == start[0] + 1, use
            first = life.billing_day
            assert life.cycle_id(*start) == life.cycle_id(*use) == first, use
            assert life.cycle_id(*before(start)) == (SILENT if start > TEST_END else TEST), use
            assert life.bounds(first)[0] == start, use
            assert life.bounds(SILENT) == (min(start, TEST_END), start), use
            assert life.bounds(TEST) == ((0, 0), min(start, TEST_END)), use
            end = life.bounds(first)[1]
            assert not life.begin_billing(*end), use
            assert not life.begin_billing(*before(start)), use  # a clock that was set back
            assert life.bounds(first) == (start, end), use


def test_first_use_leaves_calendar_months_alone():
    life = a_life(CalendarCycle(27, CHINA))
    assert life.begin_billing(*at(2026, 5, 20))
    april = days_from_civil(2026, 4, 27)
    assert life.cycle_id(*at(2026, 5, 20)) == april
    assert life.bounds(april) == (at(2026, 4, 26, 16), at(2026, 5, 26, 16)), "nominal"
    assert life.cycle_id(*at(2026, 5, 26, 16)) == days_from_civil(2026, 5, 27)
    assert life.cycle_id(*at(2026, 5, 19, 15, 59, 59)) == SILENT


def test_use_once_billing_has_begun():
    life = a_life(MonthCycle(1, days_from_civil(2026, 10, 1), CHINA))
    for use in (FORCED, at(2027, 1, 1)):
        assert not life.begin_billing(*use)
        assert life.billing_day == life.cycle.first_day == days_from_civil(2026, 10, 1)
