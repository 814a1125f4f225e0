"""Forecasts against fractions, and the pace against a device that uses all it may."""

from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st
from usageguard.core.forecast import DAY_S, MOST_S, burn_rate, exhausts_in, pace_mark

octets = st.integers(0, 1 << 50) | st.integers(0, 1000)
seconds = st.integers(0, 400 * DAY_S) | st.sampled_from([DAY_S - 1, DAY_S, DAY_S + 1])
rates = st.tuples(octets, st.integers(1, 1 << 50))


@given(octets, seconds, octets, seconds)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_the_rate_is_the_mean_of_what_covers_a_day(used, elapsed_s, recent, recent_s):
    means = [Fraction(n, s) for n, s in ((used, elapsed_s), (recent, recent_s)) if s >= DAY_S]
    rate = burn_rate(used, elapsed_s, recent, recent_s)
    if not means:
        assert rate is None
    else:
        assert Fraction(*rate) == sum(means) / len(means)
        assert min(means) <= Fraction(*rate) <= max(means)


@given(octets, octets, rates)
@example(0, 1, (1, MOST_S))
@example(0, 1, (1, MOST_S + 1))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_the_limit_is_reached_in_that_second_and_not_before(used, limit, rate):
    after = exhausts_in(used, limit, rate)
    if after is None:
        assert used + Fraction(*rate) * MOST_S < limit
    else:
        assert 0 <= after <= MOST_S
        assert used + Fraction(*rate) * after >= limit
        assert after == 0 or used + Fraction(*rate) * (after - 1) < limit


@given(octets, st.integers(1, 31 * DAY_S), octets, st.randoms(use_true_random=False))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_a_device_that_uses_all_it_may_has_as_much_each_day(limit, period_s, head, random):
    days = -(-period_s // DAY_S)
    marks = [pace_mark(limit, DAY_S * day + random.randrange(DAY_S), period_s, head) for day in range(days)]
    assert marks[-1] == limit
    left = limit - min(head, limit)
    used = limit - left
    for day, mark in enumerate(marks):
        assert left // days <= mark - used <= -(-left // days), day
        used = mark


@given(octets, octets, st.lists(seconds, min_size=2), seconds.filter(bool))
@settings(derandomize=True, deadline=None)
def test_the_mark_never_falls_and_never_leaves_the_plan(limit, head, times, period_s):
    marks = [pace_mark(limit, at, period_s, head) for at in sorted(times)]
    assert marks == sorted(marks)
    assert min(head, limit) <= marks[0] <= marks[-1] <= limit
