"""Host and firmware count the same days."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from usageguard.core.cycle import DAY_SECONDS, civil_from_days, days_from_civil

from host_tools.base import days

CHINA = timezone(timedelta(hours=8))


@pytest.mark.parametrize("day", [date(2000, 1, 1), date(2026, 3, 1), date(2028, 2, 29), date(2178, 12, 31)])
def test_days_are_the_firmwares(day):
    number = days.day_number(day)
    assert number == days_from_civil(day.year, day.month, day.day)
    assert days.date_of(number) == day
    assert civil_from_days(number) == (day.year, day.month, day.day)
    assert days.DAY_S == DAY_SECONDS


def test_an_instant_is_in_utc():
    at = datetime(2026, 3, 1, 7, 59, 59, 999_999, tzinfo=CHINA)
    assert days.instant(at) == (days.day_number(date(2026, 2, 28)), 86_399)
    assert days.seconds(at) == days.seconds(datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    assert days.seconds(datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1
