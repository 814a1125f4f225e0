"""COSE_Mac0 against pycose both ways, and HMAC against the standard library."""

import hashlib
import hmac

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.algorithms import HMAC25664
from pycose.headers import KID, Algorithm
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message
from usageguard.core.mac import hmac_sha256, mac0_open, mac0_seal

KEY = bytes(range(32))
octets = st.binary(max_size=200)
keys = st.binary(min_size=32, max_size=32)


@given(st.binary(max_size=64), octets)
def test_hmac(key, message):
    assert hmac_sha256(key, message) == hmac.digest(key, message, hashlib.sha256)


def test_no_key_beyond_a_block():
    with pytest.raises(ValueError):
        hmac_sha256(bytes(65), b"")


@given(keys, octets, octets, st.one_of(st.none(), st.binary(max_size=16)))
def test_pycose_opens_what_we_seal(key, aad, payload, kid):
    blob = mac0_seal(key, aad, payload, kid)
    message = Mac0Message.from_cose_obj(cbor2.loads(blob), allow_unknown_attributes=False)
    message.external_aad = aad
    message.key = SymmetricKey(k=key)
    assert message.verify_tag()
    assert message.payload == payload
    assert message.uhdr == ({} if kid is None else {KID: kid})


@given(keys, octets, octets, st.one_of(st.none(), st.binary(max_size=16)))
def test_we_open_what_pycose_seals(key, aad, payload, kid):
    message = Mac0Message(
        phdr={Algorithm: HMAC25664},
        uhdr={} if kid is None else {KID: kid},
        payload=payload,
        external_aad=aad,
        key=SymmetricKey(k=key),
    )
    blob = message.encode(tag=False)
    assert blob == mac0_seal(key, aad, payload, kid)
    assert mac0_open(key, aad, blob) == payload


@pytest.mark.parametrize("header", [{5: b"x"}, {4: b"x", 5: b"x"}, {4: 7}, {4: "x"}, {1: 4}])
def test_a_header_that_is_not_ours_is_refused_though_no_mac_covers_it(header):
    protected, _, payload, tag = cbor2.loads(mac0_seal(KEY, b"U", b"payload"))
    assert mac0_open(KEY, b"U", cbor2.dumps([protected, {4: b"x"}, payload, tag])) == b"payload"
    with pytest.raises(ValueError):
        mac0_open(KEY, b"U", cbor2.dumps([protected, header, payload, tag]))


def test_what_it_costs():
    assert len(mac0_seal(KEY, b"U", bytes(20))) == 20 + 16
    assert len(mac0_seal(KEY, b"U", bytes(24))) == 24 + 16 + 1, "a longer payload has a longer head"
    assert len(mac0_seal(KEY, b"U", bytes(20), b"tracker-001")) == 20 + 18 + 11


BLOB = mac0_seal(KEY, b"Utracker-001", b"payload", b"tracker-001")


@pytest.mark.parametrize("bit", range(len(BLOB) * 8))
def test_every_flipped_bit_is_seen(bit):
    blob = bytearray(BLOB)
    blob[bit >> 3] ^= 1 << (bit & 7)
    try:
        assert mac0_open(KEY, b"Utracker-001", bytes(blob)) == b"payload"
    except ValueError:
        return
    assert cbor2.loads(blob)[1] != {KID: b"tracker-001"}, "only the key id is not under the MAC: it chooses the key"


def test_another_key_or_context():
    assert mac0_open(KEY, b"Utracker-001", BLOB) == b"payload"
    with pytest.raises(ValueError):
        mac0_open(KEY[::-1], b"Utracker-001", BLOB)
    for aad in (b"Utracker-002", b"Dtracker-001", b"Utracker-0011", b""):
        with pytest.raises(ValueError):
            mac0_open(KEY, aad, BLOB)


PROTECTED = b"\xa1\x01\x04"
NO_MAC0 = [
    {},
    7,
    [PROTECTED, {}, b"p"],
    [PROTECTED, {}, b"p", bytes(8), 1],
    [b"\xa1\x01\x05", {}, b"p", bytes(8)],  # another algorithm
    [b"", {1: 4}, b"p", bytes(8)],  # the algorithm unprotected
    [PROTECTED, [], b"p", bytes(8)],
    [PROTECTED, {4: "kid"}, b"p", bytes(8)],
    [PROTECTED, {4: b"kid", 5: b"iv"}, b"p", bytes(8)],
    [PROTECTED, {}, None, bytes(8)],  # detached
    [PROTECTED, {}, "p", bytes(8)],
    [PROTECTED, {}, b"p", bytes(7)],  # a shorter tag is easier to guess
    [PROTECTED, {}, b"p", b""],
    [PROTECTED, {}, b"p", bytes(32)],
    [PROTECTED, {}, b"p", [0] * 8],
]


@pytest.mark.parametrize("parts", NO_MAC0, ids=repr)
def test_no_mac0(parts):
    with pytest.raises(ValueError):
        mac0_open(KEY, b"", cbor2.dumps(parts))


@given(st.binary(max_size=60))
def test_anything_else_raises_value_error(blob):
    with pytest.raises(ValueError):
        mac0_open(KEY, b"", blob)
