"""What is an order, and what of it is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from usageguard.core import cbor
from usageguard.core.account import orders as ordered
from usageguard.core.account import standing as o
from usageguard.store.ledger import ORDERS_OCTETS

DAY, ID, OCTETS, FEN = (0, 0xFFFF), (0, 0xFFFF), (0, 1 << 50), (-(1 << 30), (1 << 30) - 1)

# The table of SPEC.md, written a second time: key -> ranges of its values, of more than one it is a list.
KEYS = {
    1: [(0, 1)],
    2: [OCTETS],
    3: [(0, (1 << 24) - 1)],
    4: [DAY],
    5: [ID, FEN, FEN],
    6: [ID, OCTETS, DAY, (0, 86399), OCTETS],
    7: [ID, OCTETS, (1, 1 << 29), OCTETS],
    8: [ID, OCTETS],
    9: [(1, 1)],
    10: [(1, 1)],
    11: [(1, 0xFFFF)],
    12: [OCTETS],
    13: [ID, OCTETS, (0, 1)],
    14: [(0, 255)],
    15: [(1, 1)],
    16: [(1, 1)],
    17: [(0, 999_999)],
}


def value(key, values):
    return values[0] if len(KEYS[key]) == 1 else list(values)


def refused(counter, orders):
    try:
        ordered.check(counter, orders)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("key", KEYS)
def test_the_ends_of_each_range_and_one_beyond(key):
    shape = KEYS[key]
    lows, highs = [low for low, _ in shape], [high for _, high in shape]
    for values in (lows, highs):
        assert not refused(1, {key: value(key, values)}), values
    for i, (low, high) in enumerate(shape):
        for wrong in (low - 1, high + 1, None, True, str(low), float(low), [low], b"", {}):
            values = [*lows[:i], wrong, *lows[i + 1 :]]
            assert refused(1, {key: value(key, values)}), values
    wrong_shapes = [[], [*lows, 1], lows[:-1], tuple(lows)]
    for wrong in wrong_shapes if len(shape) > 1 else [[], [lows[0]]]:
        assert refused(1, {key: wrong}), wrong


@pytest.mark.parametrize("counter", [0, -1, 1 << 30, True, None, "1", 1.0, [1]])
def test_no_counter(counter):
    assert refused(counter, {1: 1})


@pytest.mark.parametrize("counter", [1, (1 << 30) - 1])
def test_counters(counter):
    assert not refused(counter, {1: 1})


@pytest.mark.parametrize("orders", [None, [], 1, "x", [1, 1], {0: 1}, {99: 1}, {"1": 1}, {True: 1}, {1.0: 1}, {b"": 1}])
def test_no_orders(orders):
    assert refused(1, orders)


@pytest.mark.parametrize("wrong", [{99: 0}, {1: 2}, {5: [0, 0]}])
def test_one_wrong_key_spoils_the_whole(wrong):
    assert refused(1, {2: 5} | wrong)


@given(st.data())
def test_whatever_the_table_allows_is_an_order_after_its_journey(data):
    orders = {
        key: value(key, [data.draw(st.integers(*bounds)) for bounds in KEYS[key]])
        for key in data.draw(st.lists(st.sampled_from(sorted(KEYS)), unique=True))
    }
    ordered.check(1, cbor.decode(cbor.encode(orders)))


def test_fields_fit_where_the_ledger_keeps_them():
    assert sum(octets for _, octets in o.FIELDS) <= ORDERS_OCTETS
    assert len(dict(o.FIELDS)) == len(o.FIELDS)


# Every field's least and greatest value; where an order sets it, that order's.
EXTREMES = {
    "counter": (0, (1 << 30) - 1),
    "limit": OCTETS,
    "throttle": (0, (1 << 24) - 1),
    "kept": (0, 255),
    "expiry_day": DAY,
    "balance_known": (0, 1),
    "balance": FEN,
    "balance_cost": FEN,
    "balance_cycle": ID,
    "grant_cycle": ID,
    "granted": OCTETS,
    "valid_day": DAY,
    "valid_second": (0, 86399),
    "learned": (0, 500),
    "held": (0, 255),
    "billing_day": DAY,
    "billing_guessed": (0, 1),
    "charged": (0, (1 << 336) - 1),
    "allowance": OCTETS,
    "next_allowance": OCTETS,
    "sim": (0, (1 << 32) - 1),
}


def test_nothing_said():
    standing = o.Standing(bytearray(ORDERS_OCTETS))
    assert {name: getattr(standing, name) for name, _ in o.FIELDS} == dict.fromkeys(EXTREMES, 0)


@given(st.fixed_dictionaries({name: st.integers(*bounds) for name, bounds in EXTREMES.items()}))
def test_what_is_stored_is_read(values):
    buf = bytearray(ORDERS_OCTETS)
    standing = o.Standing(memoryview(buf))
    for name, number in values.items():
        setattr(standing, name, number)
    standing.store()
    again = o.Standing(memoryview(bytes(buf)))
    assert {name: getattr(again, name) for name in values} == values
    assert set(values) == {name for name, _ in o.FIELDS}


@pytest.mark.parametrize("end", [0, 1])
def test_the_extremes_are_stored(end):
    buf = bytearray(ORDERS_OCTETS)
    standing = o.Standing(buf)
    for name, bounds in EXTREMES.items():
        setattr(standing, name, bounds[end])
    standing.store()
    again = o.Standing(buf)
    assert [getattr(again, name) for name in EXTREMES] == [bounds[end] for bounds in EXTREMES.values()]
