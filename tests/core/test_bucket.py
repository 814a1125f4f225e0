"""A bucket against exact fractions, in time that never wraps; and the proof that it stays within 31 bits."""

from fractions import Fraction
from math import ceil, floor

from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.core.bucket import BURST_MAX, RATE_MAX, Bucket

from tests.core.small import Small

PERIOD = 1 << 30
DEBT = -(1 << 29)
WAIT = 500_000_000
MINUTES = 5 * 60_000  # the longest that a device goes without a step

rates = st.sampled_from([1, 7, 999, 1000, 1001, 16_000, RATE_MAX - 1, RATE_MAX]) | st.integers(1, RATE_MAX)
bursts = st.sampled_from([1, 1500, BURST_MAX]) | st.integers(1, BURST_MAX)
starts = st.sampled_from([0, 1, PERIOD // 2, PERIOD - 1]) | st.integers(0, PERIOD - 1)
amounts = st.sampled_from([0, 1, 1500, (1 << 29) - 1]) | st.integers(0, (1 << 29) - 1)
pauses = st.sampled_from([0, 1, 999, 1000, 1001, MINUTES]) | st.integers(0, MINUTES) | st.integers(0, PERIOD // 2 - 1)
# A `now` that was read before the last one.
stale = st.integers(1, 599_999).map(lambda ms: -ms)


class Exact:
    """What a bucket is meant to be."""

    def __init__(self, rate, burst, at):
        self.rate, self.burst, self.level, self.at = rate, burst, Fraction(burst), at

    def step(self, at):
        if at > self.at:
            self.level = min(Fraction(self.burst), self.level + Fraction(self.rate * (at - self.at), 1000))
            self.at = at

    def take(self, n):
        part = self.level % 1
        self.level = max(floor(self.level) - n, DEBT) + part

    def wait(self):
        return min(WAIT, max(0, ceil((1 - self.level) * 1000 / self.rate)))


def small(rate, burst):
    """A bucket whose every operation is checked to stay within small ints."""
    return Bucket(Small(rate), Small(burst))


def level(bucket):
    """What it holds, with its thousandths."""
    return int(bucket.level) + Fraction(int(bucket._part), 1000)


def ticks(at):
    return Small(at % PERIOD)


@given(rates, bursts, starts, st.lists(st.tuples(pauses | stale, amounts, rates | st.none()), max_size=30))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_it_is_exact_whatever_happens(rate, burst, at, steps):
    bucket, exact = small(rate, burst), Exact(rate, burst, at)
    bucket.step(ticks(at))
    for pause, n, new_rate in steps:
        now = at + pause
        at = max(at, now)
        exact.step(now)
        assert bucket.wait_ms(ticks(now)) == exact.wait()
        assert level(bucket) == exact.level
        bucket.take(Small(n), ticks(now))
        exact.take(n)
        assert level(bucket) == exact.level
        if new_rate:
            bucket.set_rate(Small(new_rate))
            exact.rate = new_rate


@given(rates, bursts, starts, amounts)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_after_the_wait_and_not_before_something_may_be_sent(rate, burst, at, n):
    bucket = small(rate, burst)
    bucket.take(Small(n), ticks(at))
    wait = int(bucket.wait_ms(ticks(at)))
    assert 0 <= wait <= WAIT
    if 0 < wait < WAIT:
        assert bucket.wait_ms(ticks(at + wait - 1)) == 1
        assert bucket.wait_ms(ticks(at + wait)) == 0


@given(rates, st.integers(PERIOD - 86_400_000, PERIOD - 1), st.integers(0, 999))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_a_day_at_the_line_is_the_rate_to_the_octet(rate, start, odd):
    """Something is sent whenever it may be, in time that wraps: never more than the burst and the rate, and no less."""
    burst, segment = 1500 + rate, min(1500 + rate * 77, (1 << 29) - 1)
    bucket, at, sent = small(rate, burst), start, 0
    end = at + 86_400_000
    while at < end:
        wait = int(bucket.wait_ms(ticks(at)))
        if not wait:
            bucket.take(Small(segment), ticks(at))
            sent += segment
        at += min(wait + odd, MINUTES)
    allowed = burst + Fraction(rate * (at - start), 1000)
    assert sent - segment < allowed, "faster than the line"
    assert allowed - sent <= 1 + Fraction(rate * (1 + odd), 1000), "slower than it need be"


@given(rates, bursts, starts, amounts, st.lists(st.integers(0, 1 << 33), min_size=1, max_size=5))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_idle_beyond_the_horizon_it_never_gains_too_much_and_goes_on(rate, burst, at, n, idles):
    bucket, exact = small(rate, burst), Exact(rate, burst, at)
    bucket.take(Small(n), ticks(at))
    exact.take(n)
    for idle in idles:
        at += idle
        bucket.step(ticks(at))
        exact.step(at)
        assert level(bucket) <= exact.level
    before = level(bucket)
    for _ in range(3):  # the first few minutes at the worst are not seen
        at += MINUTES
        bucket.step(ticks(at))
    assert level(bucket) >= min(burst, before + Fraction(rate * MINUTES, 1000))
