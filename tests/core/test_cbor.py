"""The codec against cbor2."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from usageguard.core import cbor

ascii_text = st.text(st.characters(max_codepoint=127), max_size=300)
edges = st.integers(0, 64).flatmap(lambda bits: st.integers(-3, 3).map(lambda d: (1 << bits) + d))
integers = st.one_of(edges, edges.map(lambda n: -n), st.integers(-(1 << 64), (1 << 64) - 1)).filter(
    lambda n: -(1 << 64) <= n < 1 << 64
)
keys = st.one_of(integers, st.binary(max_size=30), st.text("abc z~", max_size=30))
scalars = st.one_of(integers, st.binary(max_size=300), ascii_text, st.booleans(), st.none())
nested = st.recursive(scalars, lambda v: st.one_of(st.lists(v), st.dictionaries(keys, v)), max_leaves=12)
values = nested.filter(lambda v: depth(v) <= 8)


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def same(a, b):
    """Equal, and of equal types: True is not 1."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, list):
        return all(map(same, a, b))
    return not isinstance(a, dict) or all(same(a[k], b[k]) for k in a)


@given(values)
def test_against_cbor2(value):
    octets = cbor.encode(value)
    assert same(cbor2.loads(octets), value)
    assert same(cbor.decode(octets), value)
    assert cbor.encode(cbor.decode(octets)) == octets


@given(st.recursive(scalars, st.lists, max_leaves=12).filter(lambda v: depth(v) <= 8))
def test_one_form(value):
    """Maps apart, whose keys cbor2 puts in the order of RFC 7049: the shorter first."""
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@given(values, st.data())
def test_cut_short_or_extended(value, data):
    octets = cbor.encode(value)
    with pytest.raises(ValueError):
        cbor.decode(octets[: data.draw(st.integers(0, len(octets) - 1))])
    with pytest.raises(ValueError):
        cbor.decode(octets + data.draw(st.binary(min_size=1, max_size=3)))


@given(st.binary(max_size=40))
def test_anything_else_raises_value_error(octets):
    try:
        value = cbor.decode(octets)
    except ValueError:
        return
    assert cbor.encode(value) == octets, "one value has one form"
    assert same(cbor2.loads(octets), value)


@pytest.mark.parametrize(
    "value", [1.5, 1 << 64, -(1 << 64) - 1, "Ü", {1}, object(), {None: 1}, {(1,): 1}, [[2.0]], b"".join]
)
def test_no_form(value):
    with pytest.raises(ValueError):
        cbor.encode(value)


NO_VALUES = {
    "1800": "23 or less in two octets",
    "190017": "and in three",
    "1a0000ffff": "65535 in five",
    "1b00000000ffffffff": "2**32 - 1 in nine",
    "1c": "reserved",
    "9fff": "an array without length",
    "5f4101ff": "octets without length",
    "c101": "a tag",
    "f90000": "a float",
    "f7": "undefined",
    "ff": "a break alone",
    "62c3a9": "text that is not ASCII",
    "a2020001": "cut short",
    "a202000100": "keys out of order",
    "a201000100": "a key twice",
    "a18000": "an array as a key",
    "a1f600": "null as a key",
    "81" * 9 + "00": "nested too deep",
    "9bffffffffffffffff": "an endless array",
    "5bffffffffffffffff": "endless octets",
    "": "nothing",
}


@pytest.mark.parametrize("digits", NO_VALUES, ids=list(NO_VALUES.values()))
def test_no_value(digits):
    with pytest.raises(ValueError):
        cbor.decode(bytes.fromhex(digits))
