"""Octets against plain integers, and the proof that no intermediate result leaves 31 bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from usageguard.core.octets import MAX, WIDTH, Octets

from tests.core.small import Small, SmallBuffer

CAP = (1 << 30) - 1
edges = st.integers(0, 54).flatmap(lambda bits: st.integers(-3, 3).map(lambda d: (1 << bits) + d))
counts = st.one_of(edges, st.integers(0, MAX)).filter(lambda n: 0 <= n <= MAX)
near = st.tuples(counts, st.integers(-(1 << 31), 1 << 31)).map(lambda t: (t[0], max(0, min(MAX, sum(t)))))
pairs = st.one_of(near, st.tuples(counts, counts))


def small(n):
    """A counter whose every operation is checked to stay within small ints."""
    counter = Octets(n)
    counter.hi, counter.lo = Small(counter.hi), Small(counter.lo)
    return counter


def value(counter):
    """What it counts, computed without the limits of small ints."""
    return (int(counter.hi) << 24) + int(counter.lo)


@given(counts, st.integers(0, (1 << 29) - 1))
def test_add(n, k):
    counter = small(n)
    counter.add(Small(k))
    assert value(counter) == min(n + k, MAX)


@given(pairs)
def test_two_counters(pair):
    a, b = pair
    assert small(a).less(small(b)) == (a < b)
    assert small(a).diff(small(b)) == max(-CAP, min(CAP, a - b))
    total = small(a)
    total.add_octets(small(b))
    assert value(total) == min(a + b, MAX)
    rest = small(max(a, b))
    rest.sub(small(min(a, b)))
    assert value(rest) == abs(a - b)


@given(counts)
def test_stored_form(n):
    buf = SmallBuffer(WIDTH)
    small(n).pack_into(buf, 0)
    assert bytes(buf) == n.to_bytes(WIDTH, "little")
    back = Octets()
    back.unpack_from(buf, 0)
    assert value(back) == n


def test_the_proof_can_fail():
    with pytest.raises(OverflowError):
        Small(1 << 29) + (1 << 29)
    with pytest.raises(OverflowError):
        1 << Small(30)
