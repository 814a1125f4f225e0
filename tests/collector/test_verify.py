"""What is taken for a report, and what its acknowledgement says to the device alone."""

from datetime import UTC, datetime, timedelta, timezone

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message

from host_tools.collector.verify import (
    BadMacError,
    MalformedError,
    Report,
    open_report,
    seal_acknowledgement,
)
from tests.collector.sealed import DEVICE, FIELDS, KEY, KEYS, fields, sealed


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
        cbor2.dumps([*fields(), 0]),
        cbor2.dumps(fields(version=2)),
        cbor2.dumps(fields(seq=-1)),
        cbor2.dumps(fields(seq=1 << 32)),
        cbor2.dumps(fields(carried_octets=1 << 54)),
        cbor2.dumps(fields(carried_octets=1.5)),
        cbor2.dumps(fields(verdict=True)),
        cbor2.dumps(fields(verdict="open")),
    ],
)
def test_a_valid_mac_over_nonsense(payload):
    with pytest.raises(MalformedError):
        open_report(sealed(payload=payload), KEYS)


@pytest.mark.parametrize("field", list(FIELDS))
def test_every_field_is_checked(field):
    with pytest.raises(MalformedError):
        open_report(sealed(**{field: None}), KEYS)


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_acknowledgement(boot_id, seq):
    report = Report(*fields(boot_id=boot_id, seq=seq))
    now = datetime(2025, 6, 1, 7, 30, 5, 999_999, tzinfo=timezone(timedelta(hours=8)))
    blob = seal_acknowledgement(KEY, DEVICE, report, now)
    message = Mac0Message.from_cose_obj(cbor2.loads(blob), True)
    message.key = SymmetricKey(k=KEY)
    message.external_aad = b"D" + DEVICE.encode() + boot_id.to_bytes(4, "big") + seq.to_bytes(4, "big")
    assert message.verify_tag()
    assert not message.uhdr
    version, day, second = cbor2.loads(message.payload)
    assert version == 1
    assert datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second) == datetime(
        2025, 5, 31, 23, 30, 5, tzinfo=UTC
    )
