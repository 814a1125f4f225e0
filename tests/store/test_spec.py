"""The tables of SPEC.md against the octets that are stored."""

import re
from pathlib import Path

import pytest
from usageguard.core.octets import Octets
from usageguard.store.ledger import ORDERS_OCTETS, Ledger

from tests.store.memory import Blocks, Hal

SPEC = Path(__file__).parents[2] / "firmware" / "SPEC.md"


def fields(section: str) -> dict[str, tuple[int, int]]:
    """Name -> (offset, octets) of the table in a section."""
    text = SPEC.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)`", text, re.MULTILINE)
    return {name: (int(offset), int(octets)) for offset, octets, name in rows}


def count(stored: bytes) -> int:
    return int.from_bytes(stored[:3], "little") + (int.from_bytes(stored[3:], "little") << 24)


@pytest.mark.parametrize(("section", "size"), [("Ledger record", 256), ("Retained memory", 24)])
def test_every_octet_is_told_once(section, size):
    at = 0
    for name, (offset, octets) in fields(section).items():
        assert offset == at, f"{name} at {offset}, the one before ends at {at}"
        at += octets
    assert at == size


def test_the_octets_are_where_the_spec_says():
    blocks, hal = Blocks(), Hal()
    ledger = Ledger(hal, blocks)
    ledger.open()
    ledger.spend(2**28 + 5, 2**27 + 3)
    ledger.counter_read(Octets(2**33 + 1))
    ledger.spend(1000, 500)
    ledger.within_cycle()
    ledger.new_cycle(300)
    ledger.commit()
    ledger.new_cycle(317)
    ledger.commit()
    ledger.spend(200, 100)
    ledger.within_cycle()
    ledger.ensure(3000, 3000)
    ledger.spend(70, 60)
    ledger.warned, ledger.reasons, ledger.lost = 0x5BA5, 0x96C3D4, True
    orders = bytes(range(1, ORDERS_OCTETS + 1))
    ledger.orders[:] = orders
    ledger.sms, ledger.cycle_mark = 0x5A, 0xABCD
    ledger.floor_day, ledger.floor_second = 9800, 86399
    ledger.doubt.set(Octets(2**25 + 7))
    ledger.commit()
    record = bytearray(256)
    place = (ledger._ring._at - 1) * 256
    blocks.readblocks(0, record, place)

    got = {name: bytes(record[at : at + n]) for name, (at, n) in fields("Ledger record").items()}
    rated, carried = 2**28 + 5 + 1270, 2**27 + 3 + 660
    plain = {
        "version": 1,
        "ring_flags": 1,
        "sequence": ledger._ring.sequence,
        "flags": 15,
        "warned": 0xA5,
        "cycle_id": 317,
        "other_cycle_id": 300,
        "boot_id": 1,
        "announce": ledger._announced,
        "reasons": 0xC3D4,
        "floor_day": 9800,
        "floor_second": 86399,
        "rated_lease": ledger._rated.ceil.value() - rated,
        "carried_lease": ledger._carried.ceil.value() - carried,
        "sms": 0x5A,
        "warned_high": 0x5B,
        "reasons_high": 0x96,
        "life_id": int.from_bytes(bytes([1, 2, 3, 4]), "little"),
        "cycle_mark": 0xABCD,
    }
    counts = {
        "modem_counter": 2**33 + 1,
        "rated_ceil": ledger._rated.ceil.value(),
        "rated_base": 2**28 + 5 + 1000,
        "rated_next_base": rated - 70,
        "rated_mark": 2**28 + 5,
        "rated_unsure": 0,
        "carried_ceil": ledger._carried.ceil.value(),
        "carried_base": 2**27 + 3 + 500,
        "carried_next_base": carried - 60,
        "carried_mark": 2**27 + 3,
        "carried_unsure": 0,
        "other_rated_base": 2**28 + 5 + 1000,
        "other_carried_base": 2**27 + 3 + 500,
        "doubt": 2**25 + 7,
    }
    assert got["magic"] == b"UG"
    assert got["orders"] == orders
    assert {name: int.from_bytes(got[name], "little") for name in plain} == plain
    assert {name: count(got[name]) for name in counts} == counts
    assert set(got) == {"magic", "orders", "crc", *plain, *counts}


def test_retained_memory_is_as_the_spec_says():
    hal = Hal()
    ledger = Ledger(hal, Blocks())
    ledger.open()
    ledger.ensure(1000, 1000)
    ledger.spend(300, 1024)
    got = {name: hal.retained[at : at + n] for name, (at, n) in fields("Retained memory").items()}
    assert int.from_bytes(got["retained_sequence"], "little") == ledger._ring.sequence
    assert int.from_bytes(got["rated_left"], "little", signed=True) == 724
    assert int.from_bytes(got["carried_left"], "little", signed=True) == 0
