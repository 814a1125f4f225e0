"""Billing periods worked out by hand, with a calendar."""

from usageguard.core.cycle import Cycle, civil_from_days, days_from_civil

CHINA = 480


def at(year, month, day, hour=0, minute=0, second=0):
    return days_from_civil(year, month, day), hour * 3600 + minute * 60 + second


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


def test_no_such_date():
    for date in NO_DATES:
        try:
            days_from_civil(*date)
        except ValueError:
            continue
        raise AssertionError(date)


# start day, offset, last second of one period in UTC, month (year, month) the next one is named after
BOUNDARIES = (
    # The 1st in China begins at 16:00 UTC of the day before.
    (1, CHINA, at(2026, 1, 31, 15, 59, 59), (2026, 2)),
    (1, CHINA, at(2025, 12, 31, 15, 59, 59), (2026, 1)),
    (1, CHINA, at(2024, 2, 29, 15, 59, 59), (2024, 3)),
    (1, CHINA, at(2023, 2, 28, 15, 59, 59), (2023, 3)),
    (1, 0, at(2026, 4, 30, 23, 59, 59), (2026, 5)),
    # Unicom's 27th, between the month it is named after and the next one
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
    (1, 840, at(2025, 12, 31, 9, 59, 59), (2026, 1)),
    (1, -720, at(2026, 1, 1, 11, 59, 59), (2026, 1)),
    (1, 345, at(2026, 2, 28, 18, 14, 59), (2026, 3)),
)


def test_boundaries():
    for start_day, offset, last, month in BOUNDARIES:
        cycle = Cycle(start_day, offset)
        named = (month[0] - 2000) * 12 + month[1] - 1
        day, second = last
        first = (day, second + 1) if second < 86399 else (day + 1, 0)
        what = (start_day, offset, civil_from_days(day), second)
        assert cycle.cycle_id(*last) == named - 1, what
        assert cycle.cycle_id(*first) == named, what
        assert cycle.bounds(named)[0] == first, what
        assert cycle.bounds(named - 1)[1] == first, what
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
        cycle = Cycle(start_day, CHINA)
        first, _ = cycle.bounds((year - 2000) * 12 + month - 1)
        assert first[1] == 16 * 3600, "00:00 in China is 16:00 UTC"
        assert cycle.seconds_left(*first) == days * 86400, (start_day, year, month)
