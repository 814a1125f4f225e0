"""The tables of SPEC.md of what travels, and of what is stored of it, against the code."""

import re
from pathlib import Path

import pytest
from usageguard.core import cbor
from usageguard.core.account import standing as o
from usageguard.core.account.orders import check
from usageguard.core.mac import mac0_seal
from usageguard.core.policy import BIT, CODE, REASONS, VERDICTS
from usageguard.core.record import encode_report
from usageguard.upstream import outbox

from host_tools.collector.order import Order
from host_tools.collector.verify import Report
from tests.core.test_orders import KEYS

TEXT = (Path(__file__).parents[2] / "firmware" / "SPEC.md").read_text(encoding="utf-8")


def section(name):
    return TEXT.split(f"## {name}\n")[1].split("\n## ")[0]


def bound(text):
    """An integer as the tables write it: 5, -2^30, 2^30 - 1."""
    found = re.fullmatch(r"(-?)(?:2\^)?(\d+)( - 1)?", text)
    assert found, text
    number = 1 << int(found[2]) if "^" in text else int(found[2])
    return (-number if found[1] else number) - (1 if found[3] else 0)


def rows(name, cells):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(name).splitlines()
        if re.match(r"\| (\d+|0x)", line) and line.count("|") == cells + 1
    ]


def test_a_report_is_its_table():
    table = [row for row in rows("Report", 4) if row[1].startswith("`")]
    assert [int(row[0]) for row in table] == list(range(29))
    names = [row[1].strip("`") for row in table]
    as_read = {"level": "verdict"}
    assert [as_read.get(name, name) for name in names] == list(Report.__struct_fields__)
    spoken = [code.strip("` ") for code in table[9][3].split(":")[1].split(",")]
    assert (table[9][2], tuple(spoken)) == ("0..5", VERDICTS)


def test_the_largest_values_of_the_table_are_a_report_that_fits_a_short_message():
    most = []
    for row in rows("Report", 4)[:29]:
        if row[2].endswith("4 octets"):
            most.append(bytes([255] * 4))
        elif "bits" in row[2]:
            bits = int(re.search(r"(\d+) bits", row[2])[1])
            most.append(-(1 << bits - 1) if "signed" in row[2] else (1 << bits) - 1)
        else:
            most.append(bound(row[2].split("..")[-1]))
    sizes = []
    for fields in (most[:21], most):
        ids = {"life_id": fields[18], "sim": fields[19], "cause": fields[20]}
        payload = encode_report(*fields[1:18], **ids, details=fields[21:])
        assert cbor.decode(payload) == fields
        sizes.append(len(mac0_seal(bytes(32), b"", payload, b"0123456789abcdef")))
    message, report = sizes
    assert f"{message} octets at the most, of 140 that fit" in " ".join(section("SMS").split())
    assert message <= 140
    assert f"a report takes {28 + 9 + report} octets" in section("CoAP exchange")
    assert report <= outbox._MAX_OCTETS


def test_reasons_have_these_bits():
    found = re.findall(r"(0x[0-9a-f]{6}) \| `(\w+)`", section("Reasons"))
    assert {name: int(bit, 16) for bit, name in found} == {row[CODE]: row[BIT] for row in REASONS}
    assert len(found) == len(REASONS)


def test_orders_are_their_table():
    spec = {}
    for key, order, parts in rows("Orders", 3):
        ranges = re.findall(r"`\w+`: (-?[\d^]+)\.\.([\d^]+(?: - 1)?)", parts)
        assert len(ranges) == parts.count("`") // 2, parts
        spec[int(key)] = [(bound(low), bound(high)) for low, high in ranges]
        assert order.startswith("`"), order
    assert spec == KEYS, "whose ends test_orders.py tries one by one"
    names = [re.match(r"`(\w+)`", row[1])[1] for row in rows("Orders", 3)]
    assert ["counter", *names] == list(Order.__struct_fields__)


def test_the_largest_acknowledgement_is_as_large_as_it_says():
    def longest(low, high):
        return max((low, high), key=lambda n: len(cbor.encode(n)))

    orders = {key: [longest(*bounds) for bounds in shape] for key, shape in KEYS.items()}
    orders = {key: parts if len(parts) > 1 else parts[0] for key, parts in orders.items()}
    check(o.COUNTER_MAX, orders)
    sizes = [
        28 + 7 + len(mac0_seal(bytes(32), b"", cbor.encode([1, 0xFFFF, 86399, *order])))
        for order in ([], [o.COUNTER_MAX, orders])
    ]
    assert "its acknowledgement {}, or {} with an order of\nall keys".format(*sizes) in section("CoAP exchange")


def test_what_is_stored_of_orders_is_where_the_spec_says():
    table = [(int(row[0]), int(row[1]), row[2].strip("`")) for row in rows("Orders", 4)]
    at = 0
    for offset, octets, _ in table:
        assert offset == at
        at += octets
    assert [(name, octets) for _, octets, name in table] == list(o.FIELDS)
    buf = bytearray(124)
    standing = o.Standing(buf)
    values = {name: 3 + 7 * i for i, (name, _) in enumerate(o.FIELDS)} | {"balance": -350, "balance_cost": 29}
    for name, value in values.items():
        setattr(standing, name, value)
    standing.store()
    stored = {name: int.from_bytes(buf[offset : offset + octets], "little") for offset, octets, name in table}
    assert stored == values | {"balance": (1 << 31) - 350, "balance_cost": (1 << 31) + 29}
    assert not any(buf[at:])


@pytest.mark.parametrize("text", ["5", "2^50", "-2^30", "2^30 - 1"])
def test_bounds_are_read(text):
    assert bound(text) == {"5": 5, "2^50": 1 << 50, "-2^30": -(1 << 30), "2^30 - 1": (1 << 30) - 1}[text]
