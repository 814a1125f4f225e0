"""Authentication of records: COSE_Mac0 (RFC 9052 section 6.2), untagged.

The algorithm is HMAC 256/64 (RFC 9053 section 3.1), HMAC-SHA-256 cut to 8 octets. It adds 17 octets to a
payload of 24..255 octets, and 2 + k more for a key id of k < 24.
"""

from hashlib import sha256

from usageguard.compat import const
from usageguard.core import cbor

_PROTECTED = b"\xa1\x01\x04"  # {1: 4}, alg: HMAC 256/64
_KID = 4
TAG_OCTETS = const(8)
_BLOCK_OCTETS = 64  # of SHA-256


def hmac_sha256(key, message):
    """The 32 octets of RFC 2104. ValueError for a key of more than 64 octets."""
    key += bytes(_BLOCK_OCTETS - len(key))
    inner = sha256(bytes(octet ^ 0x36 for octet in key) + message).digest()
    return sha256(bytes(octet ^ 0x5C for octet in key) + inner).digest()


def mac0_tag(key, aad, payload):
    """The tag alone, for a message whose other parts the receiver knows."""
    return hmac_sha256(key, cbor.encode(["MAC0", _PROTECTED, aad, payload]))[:TAG_OCTETS]


def mac0_check(key, aad, payload, tag):
    """ValueError if `tag` is not that of `payload` under `key` and `aad`."""
    if len(tag) != TAG_OCTETS:
        raise ValueError("MAC: of another length")
    difference = 0  # in constant time: the loop has no early end
    for i, octet in enumerate(mac0_tag(key, aad, payload)):
        difference |= octet ^ tag[i]
    if difference:
        raise ValueError("MAC: does not match")


def mac0_seal(key, aad, payload, kid=None):
    """The COSE_Mac0 of `payload` (bytes), bound to `aad` and, where given, naming the key by `kid`."""
    unprotected = {} if kid is None else {_KID: kid}
    return cbor.encode([_PROTECTED, unprotected, payload, mac0_tag(key, aad, payload)])


def mac0_open(key, aad, blob):
    """The payload of a COSE_Mac0. ValueError if `blob` is not one, or was made with another key or `aad`."""
    parts = cbor.decode(blob)
    if type(parts) is not list or len(parts) != 4:
        raise ValueError("MAC: not a COSE_Mac0")
    protected, unprotected, payload, tag = parts
    if (
        protected != _PROTECTED
        or type(unprotected) is not dict
        or type(unprotected.pop(_KID, b"")) is not bytes
        or unprotected
        or type(payload) is not bytes
        or type(tag) is not bytes
    ):
        raise ValueError("MAC: not a COSE_Mac0")
    mac0_check(key, aad, payload, tag)
    return payload
