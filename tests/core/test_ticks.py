"""Ticks against arithmetic on integers without limits, and no step of it beyond 31 bits."""

from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.core.ticks import ticks_add, ticks_diff

from tests.core.small import Small

PERIOD = 1 << 30
TICKS = st.integers(0, PERIOD - 1) | st.sampled_from([0, 1, PERIOD // 2 - 1, PERIOD // 2, PERIOD - 1])
DELTA = st.integers(1 - PERIOD // 2, PERIOD // 2 - 1)


@given(TICKS, DELTA)
@settings(derandomize=True)
def test_adding_and_telling_the_difference_are_modulo_the_period(ticks, delta):
    later = ticks_add(ticks, delta)
    assert later == (ticks + delta) % PERIOD
    assert ticks_diff(later, ticks) == delta
    assert ticks_diff(ticks, later) == -delta


@given(TICKS, TICKS, DELTA)
@settings(derandomize=True)
def test_no_step_leaves_the_small_integers_of_an_esp32(one, other, delta):
    ticks_diff(Small(one), Small(other))
    ticks_add(Small(one), Small(delta))
