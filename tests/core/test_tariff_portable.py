"""Bills worked out by hand."""

from usageguard.core.tariff import Tariff

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30

FLAT = ((0, MB, 29),)  # 0.29 yuan a started MiB
# 1 yuan a started 100 MiB; from 1 GiB on nothing; from 10 GiB on 0.03 yuan a MiB
TIERS = ((0, 100 * MB, 100), (GB, 1, 0), (10 * GB, MB, 3))
FREE_AT_LAST = ((0, MB, 29), (3 * MB, MB, 0))

BILLS = (
    # tiers, octets beyond the plan, fen
    (FLAT, 0, 0),
    (FLAT, 1, 29),
    (FLAT, MB, 29),
    (FLAT, MB + 1, 58),
    (FLAT, 5 * GB, 5 * 1024 * 29),
    (TIERS, 100 * MB, 100),
    (TIERS, 1000 * MB, 1000),
    (TIERS, 1000 * MB + 1, 1100),  # the 11th block has 24 MiB and its full price
    (TIERS, GB, 1100),
    (TIERS, 10 * GB, 1100),
    (TIERS, 10 * GB + 1, 1103),
    (TIERS, 11 * GB, 1100 + 3 * 1024),
    (FREE_AT_LAST, 3 * MB, 87),
    (FREE_AT_LAST, 1 << 50, 87),
)

PURCHASES = (
    # tiers, fen, the most octets
    (FLAT, 0, 0),
    (FLAT, 28, 0),
    (FLAT, 29, MB),
    (FLAT, 57, MB),
    (FLAT, 500 * 100, 1724 * MB),  # 500 yuan / 0.29 = 1724.1
    (TIERS, 99, 0),
    (TIERS, 1000, 1000 * MB),
    (TIERS, 1099, 1000 * MB),
    (TIERS, 1100, 10 * GB),
    (TIERS, 1102, 10 * GB),
    (TIERS, 1103, 10 * GB + MB),
    (FREE_AT_LAST, 86, 2 * MB),
    (FREE_AT_LAST, 87, None),
    (((0, KB, 0),), 0, None),
)

NO_TARIFFS = (
    (),
    ((1, MB, 29),),
    ((0, 0, 29),),
    ((0, MB, -1),),
    ((0, MB, 1), (0, MB, 2)),
    ((0, 1, 1), (9, 1, 1), (8, 1, 1)),
)


def raises(function, *args):
    try:
        function(*args)
    except ValueError:
        return True
    return False


def test_bills():
    for tiers, beyond, fen in BILLS:
        assert Tariff(tiers).cost(beyond) == fen, (tiers, beyond, Tariff(tiers).cost(beyond))


def test_purchases():
    for tiers, fen, octets in PURCHASES:
        assert Tariff(tiers).octets_for(fen) == octets, (tiers, fen, Tariff(tiers).octets_for(fen))
    assert raises(Tariff(FLAT).octets_for, -1), "nothing costs less than nothing"


def test_cap():
    assert Tariff(FLAT).cap_octets() is None, "no cap"
    assert Tariff(FLAT, 0).cap_octets() == 0, "nothing may be spent"
    assert Tariff(FLAT, 100).cap_octets() == 3 * MB, Tariff(FLAT, 100).cap_octets()
    assert Tariff(FREE_AT_LAST, 87).cap_octets() is None, "never spent"
    assert Tariff(FLAT, 100).cost(4 * MB) == 116, "a cap is no price"


def test_rejects_what_is_no_tariff():
    for tiers in NO_TARIFFS:
        assert raises(Tariff, tiers), tiers
