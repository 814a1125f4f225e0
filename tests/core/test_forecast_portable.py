"""Forecasts worked out by hand."""

from usageguard.core.forecast import DAY_S, MOST_S, burn_rate, exhausts_in, pace_mark

GB = 1 << 30


def test_no_rate_before_a_day():
    for elapsed_s, recent_s in ((0, 0), (DAY_S - 1, 0), (DAY_S - 1, DAY_S - 1), (1, 3600)):
        rate = burn_rate(10**9, elapsed_s, 10**9, recent_s)
        assert rate is None, (elapsed_s, recent_s, rate)
        assert exhausts_in(10**9, 10**10, rate) is None, "nothing to tell it from"
        assert exhausts_in(10**9, 10**9, rate) == 0, "but what is reached is reached"


RATES = (
    # used, elapsed days, recent, recent days, octets a day
    (1000, 10, 0, 0, 100),  # the period alone
    (0, 0, 700, 7, 100),  # the days before this period alone
    (1000, 10, 900, 3, 200),  # 100 a day, 300 of late
    (1000, 10, 0, 3, 50),  # it has fallen silent
    (0, 10, 0, 3, 0),
)


def test_rates():
    for used, days, recent, recent_days, daily in RATES:
        octets, seconds = burn_rate(used, days * DAY_S, recent, recent_days * DAY_S)
        assert octets * DAY_S == daily * seconds, (used, days, recent, recent_days, octets, seconds)


def test_when_it_runs_out():
    rate = (100, DAY_S)
    assert exhausts_in(1000, 1100, rate) == DAY_S
    assert exhausts_in(1000, 1101, rate) == DAY_S + 864
    assert exhausts_in(1000, 1001, (3, 10)) == 4, "3.3 s, rounded up"
    assert exhausts_in(1001, 1000, rate) == 0
    assert exhausts_in(0, 1000, (0, DAY_S)) is None, "never"
    assert exhausts_in(0, 365300, rate) == MOST_S, "just 10 years"
    assert exhausts_in(0, 365301, rate) is None, "too far away to say"


def test_pace():
    # 31 days with 31 GiB: one a day
    for day, second, mark in (
        (0, 0, 1),
        (0, DAY_S - 1, 1),
        (1, 0, 2),
        (29, 0, 30),
        (30, 0, 31),
        (31, 0, 31),
        (99, 0, 31),
    ):
        assert pace_mark(31 * GB, day * DAY_S + second, 31 * DAY_S) == mark * GB, (day, second)
    # 10 at any time, then 2 a day
    for day, mark in ((0, 12), (1, 14), (9, 30)):
        assert pace_mark(30, day * DAY_S, 10 * DAY_S, 10) == mark, day
    assert pace_mark(30, 0, 10 * DAY_S, 31) == 30, "no head is larger than the limit"
    assert pace_mark(30, 0, 3600) == 30, "a period of less than a day"
    assert pace_mark(30, DAY_S - 1, DAY_S + 1) == 15, "a second more than a day is two days"
    assert pace_mark(1 << 50, 0, 31 * DAY_S) == 36319351833633, "2**50 = 31 * 36319351833633 + 1"
