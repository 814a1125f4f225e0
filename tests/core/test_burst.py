"""The usual against an exact moving mean, what is found against plain sums, and the proof of 31 bits."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.core.burst import Burst

from tests.core.small import Small
from tests.core.test_burst_portable import usual_of

CEILING = 1 << 29
CLASSES = "ab"
counts = st.sampled_from([0, 1, 999, 1000]) | st.integers(0, 5000) | st.integers(0, CEILING - 1)
spendings = st.lists(st.tuples(st.integers(0, 1), counts), max_size=8)
windows = st.lists(st.tuples(spendings, st.integers(0, 3)), max_size=40)


@given(windows, st.integers(1, 1000), st.integers(0, 1 << 30))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_a_class_is_found_just_where_its_sum_passes_the_limit(windows, factor, floor):
    burst = Burst(CLASSES, factor, floor, 60)
    taught = {0: [], 1: []}  # the sums from which each class has learned
    for spent, held in windows:
        # `spent` is proved to stay within small ints; `roll` need not.
        burst.limits = [Small(limit) for limit in burst.limits]
        burst._sums = [Small(octets) for octets in burst._sums]
        sums, passed = [0, 0], 0
        for index, n in spent:
            usual = usual_of(burst, index)
            assert (usual is None) == (len(taught[index]) < 8)
            limit = CEILING if usual is None else max(floor, factor * usual)
            before, sums[index] = sums[index], min(CEILING, sums[index] + n)
            found = before <= limit < sums[index]
            assert burst.spent(index, Small(n)) == found
            passed |= found << index
            assert burst.passed == passed
        burst._sums = [int(octets) for octets in burst._sums]
        burst.roll(held)
        for index, octets in enumerate(sums):
            if not (held | passed) >> index & 1:
                taught[index].append(octets)
        for index, learned in taught.items():
            if len(learned) >= 8:
                mean = Fraction(sum(learned[:8]), 8)
                for octets in learned[8:]:
                    mean += (octets - mean) / 8
                assert abs(usual_of(burst, index) - mean) < 1


@given(st.integers(0, CEILING // 4), st.integers(0, 3), st.integers(2, 8), st.integers(0, 200))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_steady_traffic_below_the_factor_is_never_found(usual, index, factor, n_windows):
    """A window holds anything from nothing to `factor` times the usual rate, once it has been usual."""
    burst = Burst("abcd", factor, 1, 60)
    for _ in range(8 + n_windows):
        assert not burst.spent(index, usual)
        burst.roll()
    assert usual_of(burst, index) == usual
    assert not burst.spent(index, min(CEILING - 1, usual * factor))
    assert burst.spent(index, 1 + (not usual)) == (max(1, usual * factor) < CEILING - 1)
