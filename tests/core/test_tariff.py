"""A tariff against a meter that runs octet by octet."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.core.tariff import Tariff


@st.composite
def tariffs(draw, widths, blocks):
    """Tiers: rising beginnings, any blocks, prices of which some are 0."""
    starts = [0]
    for width in draw(st.lists(widths, max_size=3)):
        starts.append(starts[-1] + width)
    prices = st.sampled_from([0, 1, 2, 7])
    return tuple((start, draw(blocks), draw(prices)) for start in starts)


small = tariffs(st.integers(1, 25), st.integers(1, 12))
large = tariffs(st.integers(1, 1 << 45), st.integers(1, 1 << 33))


def bills(tiers, most):
    """What 0, 1 .. most octets cost: each that finds no room in a paid block begins one of the tier it falls into."""
    total = room = 0
    bill = [0]
    begins = {start: (block, fen) for start, block, fen in tiers}
    for octet in range(most):
        if octet in begins:
            block, fen = begins[octet]
            room = 0
        if not room:
            room = block
            total += fen
        room -= 1
        bill.append(total)
    return bill


@given(small)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_each_octet_is_billed_as_it_comes(tiers):
    most = tiers[-1][0] + 40
    tariff = Tariff(tiers)
    bill = bills(tiers, most)
    assert [tariff.cost(octets) for octets in range(most + 1)] == bill
    for fen in range(bill[-1] + 2):
        bought = max(octets for octets, cost in enumerate(bill) if cost <= fen)
        if tiers[-1][2] == 0 and fen >= bill[-1]:
            assert tariff.octets_for(fen) is None
        elif fen < bill[-1]:
            assert tariff.octets_for(fen) == bought


@given(large, st.integers(0, 1 << 24))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_a_sum_buys_what_it_pays_for_and_not_an_octet_more(tiers, fen):
    tariff = Tariff(tiers, fen)
    bought = tariff.octets_for(fen)
    assert tariff.cap_octets() == bought
    if bought is None:
        assert tiers[-1][2] == 0
        assert tariff.cost(1 << 60) <= fen
    else:
        assert tariff.cost(bought) <= fen < tariff.cost(bought + 1)


@given(large, st.lists(st.integers(0, 1 << 50), min_size=2))
@settings(derandomize=True, deadline=None)
def test_more_never_costs_less_nor_less_than_its_share_of_a_block(tiers, amounts):
    tariff = Tariff(tiers)
    for less, more in pairwise(sorted(amounts)):
        assert tariff.cost(less) <= tariff.cost(more)
    for octets in amounts:
        ends = [*(start for start, _, _ in tiers[1:]), octets]
        parts = [
            (max(0, min(octets, end) - start), block, fen) for (start, block, fen), end in zip(tiers, ends, strict=True)
        ]
        share = sum(Fraction(part, block) * fen for part, block, fen in parts)
        assert share <= tariff.cost(octets) < share + sum(fen for _, _, fen in tiers) + 1
