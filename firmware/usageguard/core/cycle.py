"""Billing periods. An instant is (day, second): days since 2000-01-01 and seconds of that day, in UTC.

Unix seconds exceed a 31-bit small int; these two never do. Dates are Gregorian. Periods begin at 00:00 in a
zone that is `utc_offset_min` minutes (-720..840) east of UTC all year; a local day is a day number there.

A period's id is the local day on which it begins, so ids only rise, whatever plan a device is given next; those of a
SIM's test and silent periods are the smallest.
"""

from usageguard.compat import const

DAY_SECONDS = 86400

# Ids of periods that are no days
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


def first_of_next_month(day):
    """Day number of the first 1st after `day`."""
    return _first_of_month(_months_and_date(day)[0] + 1)


def silent_end(day, months):
    """The day on which a SIM's billing is forced: the first 1st after the day `months` months after `day`."""
    return first_of_next_month(add_months(day, months))


class _Periods:
    """What all kinds share. Theirs is `_start_on(local_day)`: the day on which the period that holds it begins, and
    `_start_after(local_day)`: the first day after it on which one does."""

    def __init__(self, length, first_day, utc_offset_min):
        self.length = length
        self.first_day = first_day
        self.utc_offset_min = utc_offset_min

    def local_day(self, day, second):
        """The local day that holds this instant."""
        return day + (second + self.utc_offset_min * 60) // DAY_SECONDS

    def cycle_id(self, day, second):
        """Id of the period that holds this instant."""
        return self._start_on(self.local_day(day, second))

    def next_id(self, cycle_id):
        """Id of the period after it."""
        return self._start_after(cycle_id)

    def bounds(self, cycle_id):
        """((day, second), (day, second)): its first instant, and the first one after it."""
        return self.midnight(cycle_id), self.midnight(self._start_after(cycle_id))

    def seconds_left(self, day, second):
        """Seconds, 1 or more, until the period that holds this instant ends; a small int up to 34 years."""
        end_day, end_second = self.bounds(self.cycle_id(day, second))[1]
        return (end_day - day) * DAY_SECONDS + end_second - second

    def phase(self, cycle_id):
        """PHASE_BILLING, PHASE_SILENT or PHASE_TEST."""
        if cycle_id == TEST:
            return PHASE_TEST
        return PHASE_SILENT if cycle_id == SILENT else PHASE_BILLING

    def midnight(self, local_day):
        """The instant at which a local day begins."""
        second = -self.utc_offset_min * 60
        return local_day + second // DAY_SECONDS, second % DAY_SECONDS


class Months(_Periods):
    """Periods of `length` (1 or more) months; the first one begins on the local day `first_day`.

    The others begin on the same day of the month, in a shorter month on its last day. An instant before
    `first_day` belongs to the first period.
    """

    def _number(self, local_day):
        """How many periods began after the first one, up to that day."""
        months = _months_and_date(local_day)[0] - _months_and_date(self.first_day)[0]
        number = months // self.length
        return number if local_day >= add_months(self.first_day, number * self.length) else number - 1

    def _start_on(self, local_day):
        return add_months(self.first_day, max(0, self._number(local_day)) * self.length)

    def _start_after(self, local_day):
        return add_months(self.first_day, (max(-1, self._number(local_day)) + 1) * self.length)


class Cycle(Months):
    """Calendar months from `start_day`, 1..31, in a shorter month from its last day."""

    def __init__(self, start_day, utc_offset_min):
        super().__init__(1, start_day - 1, utc_offset_min)
        self.start_day = start_day


class Days(_Periods):
    """Periods of `length` (1 or more) days; `first_day` is as in Months."""

    def _start_on(self, local_day):
        return max(self.first_day, local_day - (local_day - self.first_day) % self.length)

    def _start_after(self, local_day):
        if local_day < self.first_day:
            return self.first_day
        return local_day - (local_day - self.first_day) % self.length + self.length


class Lifecycle(_Periods):
    """A SIM's life: TEST, then SILENT, then the periods of `cycle`, one of the above.

    The test period ends with the start of the local day `test_end_day`, None if there is none. Billing begins
    with that of `billing_day` at the latest: the same day if there is no silent period. Where that is inside
    a calendar month, the first period's nominal start is before it.
    """

    def __init__(self, cycle, test_end_day, billing_day):
        self.cycle = cycle
        self.utc_offset_min = cycle.utc_offset_min
        self.test_end_day = test_end_day
        self.billing_day = self._latest = billing_day
        self._in_use = False

    def begin_billing(self, day, second, guessed=False):
        """The SIM's first use: billing begins with the local day of this instant, unless it has begun already.

        Periods counted from activation are counted from that day. Returns whether anything has changed: it does so
        once; and where the day was `guessed`, once more, with the first one that is not.
        """
        local_day = min(self.local_day(day, second), self._latest)
        begun = self.billing_day < self._latest  # by a guess, where it is not in use
        if self._in_use or (guessed if begun else local_day == self._latest):
            return False
        self._in_use = not guessed
        self.billing_day = local_day
        if not isinstance(self.cycle, Cycle):
            self.cycle.first_day = local_day
        return True

    def bounds(self, cycle_id):
        """((day, second), (day, second)): its first instant, and the first one after it."""
        start = (0, 0)
        if cycle_id == SILENT and self.test_end_day is not None:
            start = self.midnight(min(self.test_end_day, self.billing_day))
        elif cycle_id > SILENT:
            start = self.midnight(cycle_id)
        return start, self.midnight(self._end(cycle_id))

    def next_id(self, cycle_id):
        """Id of the period after it."""
        return self._start_on(self._end(cycle_id))

    def _end(self, cycle_id):
        """The local day with which a period ends."""
        if cycle_id > SILENT:
            return self.cycle._start_after(cycle_id)
        if cycle_id == TEST and self.test_end_day is not None:
            return min(self.test_end_day, self.billing_day)
        return self.billing_day

    def _start_on(self, local_day):
        if local_day >= self.billing_day:
            return self.cycle._start_on(local_day)
        return SILENT if self.test_end_day is None or local_day >= self.test_end_day else TEST
