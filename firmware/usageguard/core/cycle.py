"""Billing periods. An instant is (day, second): days since 2000-01-01 and seconds of that day, in UTC.

Unix seconds exceed a 31-bit small int; these two never do. Dates are Gregorian.
"""

DAY_SECONDS = 86400


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


def _first_of_month(months):
    return _day_number(2000 + months // 12, months % 12 + 1, 1)


class Cycle:
    """Monthly periods that begin at 00:00 of `start_day` in a zone `utc_offset_min` minutes east of UTC.

    `start_day` is 1..31; in a shorter month the period begins on that month's last day. A period's id is
    the number of months from 2000-01 to the month in which it begins: ids of successive periods are
    successive integers.
    """

    def __init__(self, start_day, utc_offset_min):
        self.start_day = start_day
        self.utc_offset_min = utc_offset_min

    def _local_start(self, cycle_id):
        """Local day number on which the period begins."""
        return min(_first_of_month(cycle_id) + self.start_day, _first_of_month(cycle_id + 1)) - 1

    def _start(self, cycle_id):
        second = -self.utc_offset_min * 60
        return self._local_start(cycle_id) + second // DAY_SECONDS, second % DAY_SECONDS

    def cycle_id(self, day, second):
        """Id of the period that holds this instant."""
        day += (second + self.utc_offset_min * 60) // DAY_SECONDS
        year, month, _ = civil_from_days(day)
        cycle_id = (year - 2000) * 12 + month - 1
        return cycle_id if day >= self._local_start(cycle_id) else cycle_id - 1

    def bounds(self, cycle_id):
        """((day, second), (day, second)): its first instant, and the first one after it."""
        return self._start(cycle_id), self._start(cycle_id + 1)

    def seconds_left(self, day, second):
        """Seconds until the period that holds this instant ends, 1..31 * 86400."""
        end_day, end_second = self._start(self.cycle_id(day, second) + 1)
        return (end_day - day) * DAY_SECONDS + end_second - second
