"""Billing periods. An instant is (day, second): days since 2000-01-01 and seconds of that day, in UTC.

Unix seconds exceed a 31-bit small int; these two never do. Dates are Gregorian. Periods begin at 00:00 in a
zone that is `utc_offset_min` minutes (-720..840) east of UTC all year; a local day is a day number there.

A period's id is the local day on which it begins, so that ids rise even when a device gets another plan; the ids of a
SIM's test and silent periods are the smallest.
"""

from usageguard.compat import const

DAY_SECONDS = 86400

# Ids of periods that are not days
TEST = const(1)
SILENT = const(2)

# Phases of a SIM's life
PHASE_BILLING = const(0)
PHASE_SILENT = const(1)
PHASE_TEST = const(2)


def days_from_civil(year, month, day):
    """Day number of a date; day 0 is 2000-01-01. ValueError for a date that does not exist."""
    if not 1 <= month <= 12:
        raise ValueError("no such date")
    number = _day_number(year, month, day)
    if civil_from_days(number) != (year, month, day):
        raise ValueError("no such date")
    return number


def civil_from_days(number):
    """(year, month, day) of a day number."""
    # Days since 0000-03-01, in eras of 400 years: http://howardhinnant.github.io/date_algorithms.html
    number += 730425
    era = number // 146097
    number %= 146097
    year = (number - number // 1460 + number // 36524 - number // 146096) // 365
    number -= 365 * year + year // 4 - year // 100
    month = (5 * number + 2) // 153
    day = number - (153 * month + 2) // 5 + 1
    year += 400 * era
    if month > 9:
        return year + 1, month - 9, day
    return year, month + 3, day


def _day_number(year, month, day):
    if month < 3:  # years begin in March, so that a leap day is the last day of its year
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 730426


def _months_and_date(day):
    """(months since 2000-01, day of the month) of a day number."""
    year, month, date = civil_from_days(day)
    return (year - 2000) * 12 + month - 1, date


def _first_of_month(months):
    return _day_number(2000 + months // 12, months % 12 + 1, 1)


def add_months(day, n):
    """The day number `n` months after `day`: the same day of the month, or the last one of a shorter month."""
    months, date = _months_and_date(day)
    months += n
    return min(_first_of_month(months) + date, _first_of_month(months + 1)) - 1


def seconds_since(day, second, start):
    """Seconds from the instant `start` to this one; a small int for 34 years."""
    return (day - start[0]) * DAY_SECONDS + second - start[1]


class BillingCycle:
    """What all kinds of cycles share: MonthCycle and CalendarCycle below, core.days and core.lifecycle.

    Each kind has `start_on(local_day)`, the day on which the period that contains it begins, and
    `start_after(local_day)`, the first day after it on which a period begins.
    """

    def __init__(self, length, first_day, utc_offset_min):
        self.length = length
        self.first_day = first_day
        self.utc_offset_min = utc_offset_min

    def local_day(self, day, second):
        """The local day of this instant."""
        return day + (second + self.utc_offset_min * 60) // DAY_SECONDS

    def cycle_id(self, day, second):
        """Id of the period of this instant."""
        return self.start_on(self.local_day(day, second))

    def next_id(self, cycle_id):
        """Id of the period after it."""
        return self.start_after(cycle_id)

    def bounds(self, cycle_id):
        """((day, second), (day, second)): its first instant, and the first one after it."""
        return self.midnight(cycle_id), self.midnight(self.start_after(cycle_id))

    def seconds_left(self, day, second):
        """Seconds, 1 or more, until the period of this instant ends; a small int up to 34 years."""
        return -seconds_since(day, second, self.bounds(self.cycle_id(day, second))[1])

    def phase(self, cycle_id):
        """PHASE_BILLING, PHASE_SILENT or PHASE_TEST."""
        if cycle_id == TEST:
            return PHASE_TEST
        return PHASE_SILENT if cycle_id == SILENT else PHASE_BILLING

    def midnight(self, local_day):
        """The instant at which a local day begins."""
        second = -self.utc_offset_min * 60
        return local_day + second // DAY_SECONDS, second % DAY_SECONDS


class MonthCycle(BillingCycle):
    """Periods of `length` (1 or more) months; the first one begins on the local day `first_day`.

    The others begin on the same day of the month, in a shorter month on its last day. An instant before
    `first_day` belongs to the first period.
    """

    def _number(self, local_day):
        """The number of periods that began after the first one, up to that day."""
        months = _months_and_date(local_day)[0] - _months_and_date(self.first_day)[0]
        number = months // self.length
        return number if local_day >= add_months(self.first_day, number * self.length) else number - 1

    def start_on(self, local_day):
        return add_months(self.first_day, max(0, self._number(local_day)) * self.length)

    def start_after(self, local_day):
        return add_months(self.first_day, (max(-1, self._number(local_day)) + 1) * self.length)


class CalendarCycle(MonthCycle):
    """Calendar months from `start_day`, 1..31, in a shorter month from its last day."""

    def __init__(self, start_day, utc_offset_min):
        super().__init__(1, start_day - 1, utc_offset_min)
        self.start_day = start_day
