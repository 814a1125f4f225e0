"""The hot path stays with small ints: on a 32-bit board a larger one is an allocation, which no 64-bit VM shows."""

import pytest
from usageguard.store.ledger import Ledger
from usageguard.store.ring import RECORD

from tests.core.small import Small, SmallBuffer
from tests.store.memory import Blocks, Hal


def small(thing, names):
    for name in names:
        setattr(thing, name, Small(getattr(thing, name)))


@pytest.fixture
def ledger():
    ledger = Ledger(Hal(), Blocks())
    ledger.open()
    for octets in (ledger.rated, ledger.carried):
        octets.hi, octets.lo = 2**30 - 2000, 0xFFFFF0  # near the end of all counting
    ledger.close()
    ring = ledger._ring
    ring._tried = 2**30 - 1000
    ledger.boot_id = 2**30 - 1
    ring.record = ledger._record = SmallBuffer(RECORD)
    ring._back = SmallBuffer(RECORD)
    ledger._slot = [Small(0)] * 6
    small(ring, ("_tried", "_at", "_total", "_sectors", "sequence"))
    small(ledger, ("_lease", "_announce", "_announced", "_lease_cap", "boot_id"))
    for figure in (ledger._rated, ledger._carried):
        for octets in (figure.used, figure.ceil, figure.target, figure.base, figure.next_base, figure.mark):
            small(octets, ("hi", "lo"))
    return ledger


def test_hot_path(ledger):
    for n in range(200):
        ledger.ensure(Small(1400), Small(1000))
        ledger.spend(Small(1400), Small(1000))
        ledger.commit()
        if n % 50 == 0:
            ledger.ensure(Small(2**29 - 1), Small(5))
            ledger.spend(Small(2**29 - 1), Small(2**29 - 1))
            ledger.within_cycle()
    assert ledger._ring.erases > 4


def test_the_check_has_teeth(ledger):
    ledger._ring._tried = Small(2**30 - 3)  # a commit takes two
    ledger.commit()
    with pytest.raises(OverflowError):
        ledger.commit()
