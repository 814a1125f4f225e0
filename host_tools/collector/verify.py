"""Opens reports and seals acknowledgements, independently of the firmware's own code.

Of COSE there is one structure with one algorithm in them, made of a few octets around two hashes: a library for all of
COSE takes longer for it than all else that is done with a report.
"""

from __future__ import annotations

import hmac
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import cbor2
import msgspec

from host_tools.base import days
from host_tools.collector.order import Order

_ALG, _KID = 1, 4  # header parameters (RFC 9052 3.1)
_HMAC_256_64 = 4  # RFC 9053 3.1
_PROTECTED = cbor2.dumps({_ALG: _HMAC_256_64})
_TAG_OCTETS = 8
_ARRAY, _BREAK = b"\x9f", b"\xff"  # of items up to the break (RFC 8949 3.2.2)
# An untagged COSE_Mac0 up to the unprotected headers, which end with the key id; and the MAC_structure (RFC 9052 6.3).
_HEAD = b"\x84" + cbor2.dumps(_PROTECTED) + b"\xa1" + cbor2.dumps(_KID)
_ACKNOWLEDGES = b"\x84" + cbor2.dumps(_PROTECTED) + b"\xa0"
_STRUCTURE = b"\x84" + cbor2.dumps("MAC0") + cbor2.dumps(_PROTECTED)
FIELDS_WITHOUT_ORDERS = 15
"""Fields in a report of a firmware without orders; the three fields after them default to 0."""
FIELDS_WITHOUT_LIFE = 18
_VERSION_OF_LIVES = 2
_WITH_LIVES = (2, 3)
# How many fields there are, by version: from 2 on a routine report, and full ones; in 3 the shorter one is for SMS.
_FIELDS = {1: (FIELDS_WITHOUT_ORDERS, FIELDS_WITHOUT_LIFE), 2: (18, 19, 20), 3: (18, 20, 21, 28, 29)}
_CAUSE = 20
_WITHOUT_CAUSE = (20, 28)
"""How many fields there are where the cause is not told: by a short message, or version 2, and by a full report."""
_LIFE_ID_OCTETS = 4
_SIM_OCTETS = 4
_LIVES = 8  # how many of a device's newest life ids are tried; each costs a MAC
_BRIEF = ("seq", "carried_octets", "rated_octets", "error_bound_octets")
"""Fields in a brief report, the octets from the period's start on; the device has made it for VALIDITY_TIME."""
_VALIDITY_TIME = 4
_NO_KEY = bytes(32)
_NOT_IN_STATE = {*_BRIEF, "reporting_reason"}

U8 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 8)]
U16 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
U24 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 24)]
U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
Evidence = Annotated[int, msgspec.Meta(ge=-1, lt=1 << 16)]
Octets = Annotated[int, msgspec.Meta(ge=0, lt=1 << 54)]


class MalformedError(ValueError):
    """The message is not a report; answered with 4.00."""


class BadMacError(ValueError):
    """The report has no valid MAC of a known device; answered with 4.01. `device`: which it claims to be of."""

    def __init__(self, device: str) -> None:
        super().__init__(f"no valid MAC of {device}")
        self.device = device


class Figures(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The first fields of a report's CBOR array (SPEC.md, "Report"), which are in every version; octets count the
    device's whole life. As everything that is made for each report, it takes no part in cycles, and is not looked
    through for them (`gc`)."""

    version: Literal[1, 2, 3]
    boot_id: U32
    seq: U32
    cycle_id: U16
    carried_octets: Octets
    rated_octets: Octets
    carried_base: Octets
    rated_base: Octets
    error_bound_octets: Octets
    verdict: U8
    reasons: U24

    @property
    def cycle_carried_octets(self) -> int:
        return self.carried_octets - self.carried_base

    @property
    def cycle_rated_octets(self) -> int:
        return self.rated_octets - self.rated_base


class Report(Figures, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False):
    """The whole array.

    `life_id` is empty in version 1. From version 2 on a routine report leaves it out of the array, and it is known by
    the MAC: `open_report` fills it in. `sim` is empty where the report does not tell it; the fields behind it are -1
    then, which only the full reports of version 3 have.
    """

    warned: U16
    app_restarts: U32
    crash_code: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]
    reporting_reason: U8
    counter: U32 = 0
    refused: U16 = 0
    cost_fen: U32 = 0
    life_id: Annotated[bytes, msgspec.Meta(max_length=_LIFE_ID_OCTETS)] = b""
    sim: bytes = b""
    cause: Annotated[int, msgspec.Meta(ge=-1, lt=24)] = -1
    packets: U32 = -1
    sessions: U16 = -1
    registration: Evidence = -1
    reject_cause: Evidence = -1
    cme: Evidence = -1
    rsrp: Evidence = -1
    rsrq: Evidence = -1
    modem_restarts: Evidence = -1


def open_report(
    blob: bytes, keys: Mapping[str, bytes], lives: Callable[[str], tuple[bytes, ...]] = lambda device: ()
) -> tuple[str, Report, bytes]:
    """Verifies an untagged COSE_Mac0 (RFC 9052 6.2); returns the device id, the report and the encoded report.

    `lives` gives the life ids that a device has told, the newest first: without them a routine report has no valid
    MAC. Raises MalformedError or BadMacError. The payload is decoded only after its MAC was verified.
    """
    kid, payload, encoded, tag = _parts(blob)
    try:
        device = kid.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedError("the key id is not a device id") from None
    # An unknown device is verified with a key of zeros, so the time does not show which devices are known.
    key = keys.get(device, _NO_KEY)
    known = lives(device)
    for life_id in (*known[:1], b"", *known[1:_LIVES]):  # the likeliest first
        external_aad = b"R" + life_id + kid if life_id else b"U" + kid
        if hmac.compare_digest(tag, _mac(key, external_aad, encoded)) and device in keys:
            break
    else:
        raise BadMacError(device)
    report = decode_report(payload, life_id)
    if report.version >= _VERSION_OF_LIVES and not report.life_id:
        raise MalformedError("not a report: it has no life id")
    return device, report, payload


def open_acknowledgement(blob: bytes, key: bytes, device: str, report: Report) -> bool:
    """Whether the octets acknowledge this report, as its device finds out. For a simulated device."""
    if not blob.startswith(_ACKNOWLEDGES):
        return False
    nonce = report.boot_id.to_bytes(4, "big") + report.seq.to_bytes(4, "big")
    stream = io.BytesIO(blob[len(_ACKNOWLEDGES) :])
    payload, tag = cbor2.load(stream), cbor2.load(stream)
    return hmac.compare_digest(tag, _mac(key, b"A" + report.life_id + device.encode("ascii") + nonce, _octets(payload)))


def is_brief(blob: bytes) -> bool:
    """Whether the octets would be a brief report: they begin with an unsigned integer, and not with an array."""
    return blob[:1] < b"\x20"


def open_brief(
    blob: bytes, keys: Mapping[str, bytes], latest: Callable[[bytes], Mapping[str, Report]]
) -> tuple[str, Report, bytes]:
    """Verifies a brief report; returns the device id, the whole report and its encoding as a routine one.

    `latest` gives, for a life id, the newest report of each device that has told it: what a brief report leaves out is
    as it was there, which the MAC proves. Raises MalformedError or BadMacError; the latter has no device where the life
    is not known.
    """
    payload, life_id = blob[: -_LIFE_ID_OCTETS - _TAG_OCTETS], blob[-_LIFE_ID_OCTETS - _TAG_OCTETS : -_TAG_OCTETS]
    tag = blob[-_TAG_OCTETS:]
    stream = io.BytesIO(payload)
    try:
        items = [cbor2.load(stream) for _ in _BRIEF]
        told = dict(zip(_BRIEF, msgspec.convert(items, list[Octets]), strict=True))
    except (cbor2.CBORError, msgspec.ValidationError) as error:
        raise MalformedError(f"not a brief report: {error}") from None
    if b"".join(map(cbor2.dumps, items)) != payload:
        raise MalformedError("not in its shortest form, or followed by more bytes")
    device = ""
    for device, before in latest(life_id).items():
        kid = device.encode("ascii")
        known = before.__struct_fields__[:FIELDS_WITHOUT_LIFE]
        state = cbor2.dumps([getattr(before, name) for name in known if name not in _NOT_IN_STATE])
        key = keys.get(device, _NO_KEY)
        if hmac.compare_digest(tag, _mac(key, b"B" + life_id + kid + state, _octets(payload))) and device in keys:
            break
    else:
        raise BadMacError(device)
    told["carried_octets"] += before.carried_base
    told["rated_octets"] += before.rated_base
    values = msgspec.structs.asdict(before) | told | {"reporting_reason": _VALIDITY_TIME}
    routine = cbor2.dumps([values[name] for name in known])
    return device, decode_report(routine, life_id), routine


def decode_report(payload: bytes, life_id: bytes = b"") -> Report:
    """Decodes a report from its CBOR array; a `life_id` is that of a routine report, which does not tell it.

    Raises MalformedError when it is not a report, or with a `life_id` not a routine one.
    """
    try:
        fields = cbor2.loads(payload)
        count = len(fields) if isinstance(fields, list) else 0
        if life_id:
            if count != FIELDS_WITHOUT_LIFE or fields[0] not in _WITH_LIVES:
                raise MalformedError("not a report: its MAC is that of a routine one")
            fields.append(life_id)
        elif count in _WITHOUT_CAUSE:
            fields.insert(_CAUSE, -1)
        report = msgspec.convert(fields, Report)
    except (cbor2.CBORError, msgspec.ValidationError) as error:
        raise MalformedError(f"not a report: {error}") from None
    if count not in _FIELDS[report.version]:
        raise MalformedError(f"not a report: it has {count} fields")
    if life_id:
        return report
    has_life = count > FIELDS_WITHOUT_LIFE
    if len(report.life_id) != has_life * _LIFE_ID_OCTETS or len(report.sim) not in (0, _SIM_OCTETS):
        raise MalformedError("not a report: its ids are of another length")
    return report


def figures_of(payloads: Sequence[bytes]) -> list[Figures]:
    """The figures of reports that were verified when they arrived. They are decoded as one array, which takes half the
    time of `decode_report`. Raises MalformedError."""
    try:
        return msgspec.convert(_together(payloads), list[Figures])
    except (cbor2.CBORError, msgspec.ValidationError) as error:
        raise MalformedError(f"not a report: {error}") from None


def _together(payloads: Sequence[bytes]) -> list[Any]:
    with suppress(cbor2.CBORError):
        items = cbor2.loads(b"".join((_ARRAY, *payloads, _BREAK)))
        if len(items) == len(payloads):
            return items
    return [cbor2.loads(each) for each in payloads]  # a report is followed by more bytes, which are not looked at


def seal_acknowledgement(
    key: bytes, device: str, report: Report, now: datetime, order: Order | None = None, brief: bool = False
) -> bytes:
    """Encodes the acknowledgement of one report: the server's time, and the order if there is one. That of a `brief`
    report without an order is its MAC alone.

    Its MAC is valid for this report only.
    """
    answers = b"A" + report.life_id if report.life_id else b"D"
    aad = answers + device.encode("ascii") + report.boot_id.to_bytes(4, "big") + report.seq.to_bytes(4, "big")
    if brief and order is None:
        return _mac(key, aad, _octets(b""))
    encoded = _time(now)
    if order:
        encoded = _octets(cbor2.dumps([1, *days.instant(now), *order.fields()], canonical=True))
    return _ACKNOWLEDGES + encoded + _TAG_HEAD + _mac(key, aad, encoded)


def seal_sms_order(key: bytes, device: str, life_id: bytes, order: Order) -> bytes:
    """The user data of a short message with an order, for this life of the device only (SPEC.md, "Orders by SMS")."""
    encoded = _octets(order.encode())
    return _ACKNOWLEDGES + encoded + _TAG_HEAD + _mac(key, b"S" + life_id + device.encode("ascii"), encoded)


_BYTES = 0x40  # plus the length, or _LENGTH_FOLLOWS: what a byte string begins with
_LENGTH_FOLLOWS = 24
_HEADS = [
    bytes((_BYTES + length,)) if length < _LENGTH_FOLLOWS else bytes((_BYTES + _LENGTH_FOLLOWS, length))
    for length in range(256)
]
"""What precedes a byte string in CBOR, by its length."""


_TAG_HEAD = _HEADS[_TAG_OCTETS]


def _octets(octets: bytes) -> bytes:
    """A byte string in CBOR; with cbor2 it takes most of the time that a report takes."""
    length = len(octets)
    return _HEADS[length] + octets if length < 256 else cbor2.dumps(octets)


@lru_cache(maxsize=8)
def _time(now: datetime) -> bytes:
    """The encoded payload of an acknowledgement of nothing but the time; many reports arrive at one."""
    return _octets(cbor2.dumps([1, *days.instant(now)]))


def _mac(key: bytes, external_aad: bytes, encoded: bytes) -> bytes:
    """HMAC 256/64 of a COSE_Mac0, by its `encoded` payload, a byte string in CBOR."""
    return hmac.digest(key, _STRUCTURE + _octets(external_aad) + encoded, "sha256")[:_TAG_OCTETS]


def _parts(blob: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The key id, the payload, the same as it is encoded, and the tag of an untagged COSE_Mac0 with the headers of a
    report.

    Exactly one encoding is accepted, so a message has no bytes that the MAC does not cover.
    """
    if not blob.startswith(_HEAD):
        raise MalformedError("not a COSE_Mac0 with the headers of a report")
    try:
        kid, start = _string(blob, len(_HEAD))
        payload, end = _string(blob, start)
        tag, stop = _string(blob, end)
    except IndexError:
        raise MalformedError("not a COSE_Mac0: it is cut off") from None
    if stop != len(blob):
        raise MalformedError("not a COSE_Mac0: it is cut off, or followed by more bytes")
    return kid, payload, blob[start:end], tag


def _string(blob: bytes, at: int) -> tuple[bytes, int]:
    """The byte string whose encoding begins there, in the shortest form, and where it ends. Where the end is behind
    that of `blob`, it is cut off. No part of a report has more than 255 octets."""
    length = blob[at] - _BYTES
    at += 1
    if length == _LENGTH_FOLLOWS:
        length = blob[at]
        at += 1
        if length < _LENGTH_FOLLOWS:
            raise MalformedError("not in its shortest form")
    elif not 0 <= length < _LENGTH_FOLLOWS:
        raise MalformedError("not a COSE_Mac0 of byte strings")
    return blob[at : at + length], at + length
