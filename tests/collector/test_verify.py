"""What is taken for a report, and what its acknowledgement says to the device alone."""

import hmac
import struct
from datetime import UTC, datetime, timedelta, timezone

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message
from usageguard.core.account.orders import SHAPES, check

from host_tools.collector.order import Allowance, Balance, CarrierUsed, Grant, Order, SetUsed
from host_tools.collector.verify import (
    BadMacError,
    Figures,
    MalformedError,
    Report,
    decode_report,
    figures_of,
    is_brief,
    open_acknowledgement,
    open_brief,
    open_report,
    seal_acknowledgement,
)
from tests.collector.sealed import (
    DETAILS,
    DEVICE,
    FIELDS,
    KEY,
    KEYS,
    LIFE,
    SIM,
    WITHOUT_ORDERS,
    brief,
    fields,
    full,
    routine,
    sealed,
)


def test_report():
    blob = sealed(carried_octets=700, carried_base=200, rated_octets=900, rated_base=100)
    device, report, payload = open_report(blob, KEYS)
    assert device == DEVICE
    assert payload == cbor2.dumps(list(cbor2.loads(payload)))
    assert report == Report(*cbor2.loads(payload))
    assert report.cycle_carried_octets == 500
    assert report.cycle_rated_octets == 800


@given(st.data())
def test_any_octet_changed_is_refused(data):
    blob = bytearray(sealed())
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((BadMacError, MalformedError)):
        open_report(bytes(blob), KEYS)


@given(st.binary(max_size=160))
def test_any_octets_are_survived(blob):
    with pytest.raises((BadMacError, MalformedError)):
        open_report(blob, KEYS)


@pytest.mark.parametrize(
    "blob",
    [
        sealed(key=bytes(32)),
        sealed(device="tracker-002"),
        sealed(device="tracker-003"),
        sealed(device="tracker-003", key=bytes(32)),
        sealed(direction=b"D"),
        cbor2.dumps([*cbor2.loads(sealed())[:3], b""]),
        cbor2.dumps([*cbor2.loads(sealed())[:3], cbor2.loads(sealed())[3][:4]]),
    ],
    ids=["key", "other device's key", "no device", "no device, zero key", "direction", "no tag", "short tag"],
)
def test_wrong_mac(blob):
    with pytest.raises(BadMacError):
        open_report(blob, KEYS)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x84",
        sealed() + b"\x00",
        b"\xd1" + sealed(),
        cbor2.dumps({}),
        cbor2.dumps(cbor2.loads(sealed())[:3]),
        cbor2.dumps([b"\xa1\x01\x05", *cbor2.loads(sealed())[1:]]),
        cbor2.dumps([b"", {1: 4, 4: b"tracker-001"}, *cbor2.loads(sealed())[2:]]),
        cbor2.dumps([b"\xa1\x01\x04", {}, *cbor2.loads(sealed())[2:]]),
        cbor2.dumps([b"\xa1\x01\x04", {4: "tracker-001"}, *cbor2.loads(sealed())[2:]]),
        cbor2.dumps([b"\xa1\x01\x04", {4: b"\xff"}, *cbor2.loads(sealed())[2:]]),
    ],
)
def test_no_report(blob):
    with pytest.raises(MalformedError):
        open_report(blob, KEYS)


def test_algorithm_of_another_strength_is_refused():
    """HMAC 256/256 (5) verified as such would take any 8 octets' worth of trust from the header."""
    message = cbor2.loads(sealed())
    with pytest.raises(MalformedError):
        open_report(cbor2.dumps([cbor2.dumps({1: 5}), *message[1:]]), KEYS)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        cbor2.dumps({}),
        cbor2.dumps(fields()[:-1]),
        cbor2.dumps(fields()[: WITHOUT_ORDERS + 1]),
        cbor2.dumps(fields()[: WITHOUT_ORDERS - 1]),
        cbor2.dumps([*fields(), 0]),
        cbor2.dumps(fields(version=2)),
        cbor2.dumps(fields(version=3)),
        cbor2.dumps(fields(version=4)),
        cbor2.dumps(full()[:-2]),
        cbor2.dumps(full()[:22]),
        cbor2.dumps(full(cause=24)),
        cbor2.dumps([*full(), 0]),
        cbor2.dumps(full(version=2)),
        cbor2.dumps(fields(version=3, life_id=LIFE)),
        cbor2.dumps(full(sim=SIM[:3])),
        cbor2.dumps(full(life_id=b"")),
        cbor2.dumps(full(packets=-1)),
        cbor2.dumps(full(rsrp=-2)),
        cbor2.dumps(full(cme=1 << 16)),
        cbor2.dumps(full(sessions=None)),
        cbor2.dumps([*fields(), LIFE]),
        cbor2.dumps(fields(version=2)[:WITHOUT_ORDERS]),
        cbor2.dumps(fields(life_id=LIFE[:3])),
        cbor2.dumps(fields(life_id=LIFE + b"x")),
        cbor2.dumps([*fields(life_id=LIFE), 0]),
        cbor2.dumps([*fields(version=2), b""]),
        cbor2.dumps(fields(seq=-1)),
        cbor2.dumps(fields(seq=1 << 32)),
        cbor2.dumps(fields(carried_octets=1 << 54)),
        cbor2.dumps(fields(carried_octets=1.5)),
        cbor2.dumps(fields(verdict=True)),
        cbor2.dumps(fields(verdict="open")),
        cbor2.dumps(fields(reasons=1 << 24)),
        cbor2.dumps(fields(warned=1 << 16)),
        cbor2.dumps(fields(refused=1 << 16)),
    ],
)
def test_a_valid_mac_over_nonsense(payload):
    with pytest.raises(MalformedError):
        open_report(sealed(payload=payload), KEYS)


@pytest.mark.parametrize("field", list(FIELDS))
def test_every_field_is_checked(field):
    with pytest.raises(MalformedError):
        open_report(sealed(**{field: None}), KEYS)


def test_a_firmware_that_takes_no_orders_is_understood():
    device, report, _ = open_report(sealed(payload=cbor2.dumps(fields(cost_fen=7)[:WITHOUT_ORDERS])), KEYS)
    assert (device, report.counter, report.refused, report.cost_fen) == (DEVICE, 0, 0, 0)
    assert report.reporting_reason == FIELDS["reporting_reason"]


def lives(device):
    return (b"AAAA", LIFE) if device == DEVICE else ()


def test_a_full_report_tells_its_life():
    _, report, payload = open_report(sealed(life_id=LIFE), KEYS)
    assert (report.version, report.life_id) == (2, LIFE)
    assert cbor2.loads(payload)[-1] == LIFE


@pytest.mark.parametrize("sim", [SIM, b""], ids=["with a SIM", "SIM not known"])
def test_a_full_report_of_version_3_tells_more(sim):
    _, report, payload = open_report(sealed(payload=cbor2.dumps(full(sim=sim))), KEYS)
    assert (report.version, report.life_id, report.sim) == (3, LIFE, sim)
    assert {name: getattr(report, name) for name in DETAILS} == DETAILS
    assert decode_report(payload) == report
    _, report, _ = open_report(sealed(payload=cbor2.dumps(full(sim=sim, cause=11)[:21])), KEYS)
    assert (report.life_id, report.sim, report.packets, report.registration) == (LIFE, sim, -1, -1)
    assert report.cause == 11


def test_a_report_of_a_firmware_that_tells_no_cause():
    told = full()
    del told[20]
    _, report, _ = open_report(sealed(payload=cbor2.dumps(told)), KEYS)
    assert (report.cause, report.packets, report.modem_restarts) == (-1, 700, 2)
    _, report, _ = open_report(sealed(payload=cbor2.dumps(told[:20])), KEYS)
    assert (report.cause, report.packets) == (-1, -1)


def test_a_routine_report_is_bound_to_its_life_and_is_no_longer_than_one_of_version_1():
    _, report, payload = open_report(routine(), KEYS, lives)
    assert (report.version, report.life_id) == (2, LIFE)
    assert len(cbor2.loads(payload)) == len(FIELDS)
    assert len(routine()) == len(sealed())


@pytest.mark.parametrize(
    ("blob", "error"),
    [
        (routine(life_id=b"BBBB"), BadMacError),
        (routine(device="tracker-002", key=KEYS["tracker-002"]), BadMacError),
        (routine(version=1), MalformedError),
        (routine(payload=cbor2.dumps(fields(life_id=LIFE))), MalformedError),
        (routine(life_id=b""), BadMacError),
    ],
    ids=["life nobody told", "another device's life", "version 1", "full", "no life"],
)
def test_what_is_no_routine_report(blob, error):
    with pytest.raises(error):
        open_report(blob, KEYS, lives)


def latest(life_id):
    return {"tracker-002": Report(*full()), DEVICE: Report(*full(counter=7))} if life_id == LIFE else {}


def test_a_brief_report_is_a_routine_one_in_the_state_of_the_newest():
    blob = brief(full(counter=7))
    device, report, payload = open_brief(blob, KEYS, latest)
    base = FIELDS["carried_base"], FIELDS["rated_base"]
    told = {"seq": 9, "carried_octets": 5_000 + base[0], "rated_octets": 6_000 + base[1], "error_bound_octets": 700}
    assert (device, report.life_id) == (DEVICE, LIFE)
    assert cbor2.loads(payload) == list((FIELDS | {"version": 3, "counter": 7, "reporting_reason": 4} | told).values())
    assert decode_report(payload) == msgspec.structs.replace(report, life_id=b"")
    assert is_brief(blob)
    assert not any(map(is_brief, (sealed(), routine(), sealed(payload=cbor2.dumps(full())))))


@pytest.mark.parametrize(
    "blob",
    [
        brief(full()),
        brief(full(counter=7), life_id=b"BBBB"),
        brief(full(counter=7), key=bytes(32)),
        brief(full(counter=7), device="tracker-002"),
        brief(full(counter=7, boot_id=4)),
        brief(full(counter=7))[:-1] + b"x",
    ],
    ids=["another state", "life nobody told", "key", "other device's key", "another boot", "tag"],
)
def test_a_brief_report_in_another_state_has_no_valid_mac(blob):
    with pytest.raises(BadMacError):
        open_brief(blob, KEYS, latest)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        brief(full())[4:],
        b"\x18\x09" + brief(full())[1:],
        brief(full(), seq=-1),
        brief(full(), carried_octets=1 << 54),
        brief(full(), error_bound_octets=b""),
        brief(full())[:-12] + b"\x00" + brief(full())[-12:],
    ],
    ids=["empty", "cut", "not shortest", "negative", "too large", "no integer", "five of them"],
)
def test_no_brief_report(blob):
    with pytest.raises(MalformedError):
        open_brief(blob, KEYS, latest)


def test_a_valid_mac_over_a_brief_report_that_is_none():
    with pytest.raises(MalformedError):
        open_brief(brief(full(counter=7), seq=1 << 32), KEYS, latest)


@given(st.data())
def test_any_octet_of_a_brief_report_changed_is_refused(data):
    blob = bytearray(brief(full(counter=7)))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((BadMacError, MalformedError)):
        open_brief(bytes(blob), KEYS, latest)


def test_only_the_newest_lives_are_tried():
    many = tuple(bytes([0, 0, 0, n]) for n in range(20))
    open_report(routine(life_id=many[7]), KEYS, lambda device: many)
    with pytest.raises(BadMacError):
        open_report(routine(life_id=many[8]), KEYS, lambda device: many)


def opened(blob, boot_id, seq, answers=b"D"):
    """The payload of an acknowledgement, its MAC verified with pycose."""
    message = Mac0Message.from_cose_obj(cbor2.loads(blob), True)
    message.key = SymmetricKey(k=KEY)
    message.external_aad = answers + DEVICE.encode() + boot_id.to_bytes(4, "big") + seq.to_bytes(4, "big")
    assert message.verify_tag()
    assert not message.uhdr
    return message.payload


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_acknowledgement(boot_id, seq):
    report = Report(*fields(boot_id=boot_id, seq=seq))
    now = datetime(2025, 6, 1, 7, 30, 5, 999_999, tzinfo=timezone(timedelta(hours=8)))
    blob = seal_acknowledgement(KEY, DEVICE, report, now)
    version, day, second = cbor2.loads(opened(blob, boot_id, seq))
    assert version == 1
    assert datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second) == datetime(
        2025, 5, 31, 23, 30, 5, tzinfo=UTC
    )


def test_the_acknowledgement_of_a_brief_report_is_its_mac():
    report = Report(*fields(boot_id=3, seq=8))
    at = datetime(2025, 6, 1, tzinfo=UTC)
    structure = cbor2.dumps(["MAC0", b"\xa1\x01\x04", b"Dtracker-001" + struct.pack(">II", 3, 8), b""])
    tag = hmac.digest(KEY, structure, "sha256")[:8]
    assert seal_acknowledgement(KEY, DEVICE, report, at, brief=True) == tag
    order = Order(counter=1, stop=1)
    with_order = seal_acknowledgement(KEY, DEVICE, report, at, order)
    assert seal_acknowledgement(KEY, DEVICE, report, at, order, brief=True) == with_order


def test_an_acknowledgement_is_of_one_life():
    """What answered a report of a life is no answer to the report of the same number in the next."""
    _, report, _ = open_report(routine(boot_id=3, seq=8), KEYS, lives)
    blob = seal_acknowledgement(KEY, DEVICE, report, datetime(2025, 6, 1, tzinfo=UTC))
    assert cbor2.loads(opened(blob, 3, 8, b"A" + LIFE)) == [1, 9283, 0]


ORDERS = [
    (Order(counter=1, stop=1), "01 a1 01 01"),
    (Order(counter=24, stop=0, limit=10 * 1024 * 1024), "1818 a2 01 00 02 1a00a00000"),
    (Order(counter=2, throttle=2048), "02 a1 03 190800"),
    (Order(counter=3, expiry=9587), "03 a1 04 192573"),
    (Order(counter=4, balance=Balance(305, -500, 20)), "04 a1 05 83 190131 3901f3 14"),
    (
        Order(counter=5, carrier_used=CarrierUsed(305, 1 << 33, 9283, 86_399, 1 << 50)),
        "05 a1 06 85 190131 1b0000000200000000 192443 1a0001517f 1b0004000000000000",
    ),
    (Order(counter=6, grant=Grant(305, 4096, 86_400, 0)), "06 a1 07 84 190131 191000 1a00015180 00"),
    (Order(counter=7, set_used=SetUsed(16, 0)), "07 a1 08 82 10 00"),
    (Order(counter=(1 << 30) - 1, release=1, accept=1), "1a3fffffff a2 09 01 0a 01"),
    (Order(counter=9, billing=9556, stop=0), "09 a2 01 00 0b 192554"),
]
"""The octets behind the time, written by hand from RFC 8949."""


@pytest.mark.parametrize(("order", "octets"), ORDERS)
def test_an_order_rides_along(order, octets):
    report = Report(*fields(boot_id=3, seq=8))
    now = datetime(2025, 6, 1, tzinfo=UTC)
    payload = opened(seal_acknowledgement(KEY, DEVICE, report, now, order.checked()), 3, 8)
    assert payload == bytes.fromhex("85 01 192443 00" + octets)
    assert Order.decode(order.encode()) == order


def test_the_octets_of_an_acknowledgement():
    """Golden, for a device to be held against; the tag once more without COSE's library."""
    report = Report(*fields(boot_id=3, seq=8))
    blob = seal_acknowledgement(KEY, DEVICE, report, datetime(2025, 6, 1, tzinfo=UTC), Order(counter=1, stop=1))
    assert blob.hex() == "8443a10104a04a85011924430001a1010148e897ec338dbce3ca"
    structure = cbor2.dumps(
        ["MAC0", b"\xa1\x01\x04", b"Dtracker-001" + bytes([0, 0, 0, 3, 0, 0, 0, 8]), cbor2.loads(blob)[2]]
    )
    assert blob[-8:] == hmac.new(KEY, structure, "sha256").digest()[:8]  # RFC 9052 6.3


@pytest.mark.parametrize(
    "order",
    [
        Order(counter=1),
        Order(counter=0, stop=1),
        Order(counter=1 << 30, stop=1),
        Order(counter=1, stop=2),
        Order(counter=1, accept=0),
        Order(counter=1, limit=-1),
        Order(counter=1, expiry=1 << 16),
        Order(counter=1, carrier_used=CarrierUsed(305, 0, 0, 86_400, 0)),
        Order(counter=1, grant=Grant(1 << 16, 0, 0, 0)),
        Order(counter=1, set_used=SetUsed(305, 1.5)),
    ],
)
def test_what_is_not_an_order_is_refused(order):
    with pytest.raises(ValueError, match=r"^not an order: "):
        order.checked()


@pytest.mark.parametrize("octets", [b"", b"\xff", b"\x01", cbor2.dumps([1, 2]), cbor2.dumps([1, {99: 1}])])
def test_what_is_no_order_is_not_read_as_one(octets):
    with pytest.raises(ValueError, match=r"^not an order: "):
        Order.decode(octets)


def of_parts(key, parts):
    """An order with one key, whose value has these parts."""
    name = Order.__struct_fields__[key]
    kind = {5: Balance, 6: CarrierUsed, 7: Grant, 8: SetUsed, 13: Allowance}.get(key)
    return Order(counter=1, **{name: kind(*parts) if kind else parts[0]})


@pytest.mark.parametrize("key", SHAPES)
def test_the_collector_sends_what_a_device_takes_and_nothing_else(key):
    shape = SHAPES[key]
    lows, highs = [low for low, _ in shape], [high for _, high in shape]
    for parts in (lows, highs):
        _, sent = of_parts(key, parts).checked().fields()
        check(1, sent)
    for i, (low, high) in enumerate(shape):
        for wrong in (low - 1, high + 1):
            order = of_parts(key, [*lows[:i], wrong, *lows[i + 1 :]])
            with pytest.raises(ValueError, match=r"^not an order: "):
                order.checked()
            with pytest.raises(ValueError, match="order: no such value"):
                check(*order.fields())


def test_an_acknowledgement_is_known_by_its_device_alone():
    _, report, _ = open_report(sealed(life_id=LIFE), KEYS)
    for order in (None, Order(counter=1, limit=5)):
        blob = seal_acknowledgement(KEY, DEVICE, report, datetime(2025, 6, 1, tzinfo=UTC), order)
        assert open_acknowledgement(blob, KEY, DEVICE, report)
        assert not open_acknowledgement(blob, bytes(32), DEVICE, report)
        assert not open_acknowledgement(blob, KEY, "tracker-002", report)
        assert not open_acknowledgement(blob, KEY, DEVICE, msgspec.structs.replace(report, seq=report.seq + 1))
    assert not open_acknowledgement(b"", KEY, DEVICE, report)


_MORE = st.sampled_from((b"", b"\0", b"\x80", b"\x9f", b"\xff"))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1 << 40), _MORE)))
def test_figures_of_many_reports_are_those_of_each(drawn):
    """Also where one is followed by more bytes, which `decode_report` does not look at either."""
    payloads = [
        cbor2.dumps((full if is_full else fields)(carried_octets=octets, verdict=octets % 6)) + more
        for is_full, octets, more in drawn
    ]
    found, reports = figures_of(payloads), [decode_report(each) for each in payloads]
    names = Figures.__struct_fields__
    assert [[getattr(each, name) for name in names] for each in found] == [
        [getattr(each, name) for name in names] for each in reports
    ]


@pytest.mark.parametrize("payload", [b"", b"\x9f", b"\xff", cbor2.dumps("a report"), cbor2.dumps([3, -1] + [0] * 20)])
def test_figures_of_what_is_no_report(payload):
    with pytest.raises(MalformedError):
        figures_of([cbor2.dumps(full()), payload])
