"""Opens reports and seals acknowledgements with cbor2 and cwt, independently of the firmware's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import cbor2
import msgspec
from cbor2 import CBORTag
from cwt import COSE, COSEKey, VerifyError
from cwt.cose_key_interface import COSEKeyInterface

from host_tools.base import days
from host_tools.collector.order import Order

_ALG, _KID = 1, 4  # header parameters (RFC 9052 3.1)
_HMAC_256_64 = 4  # RFC 9053 3.1
_PROTECTED = {_ALG: _HMAC_256_64}
_MAC0_TAG = 17  # cwt reads and writes tagged messages; reports and acknowledgements are untagged
FIELDS_WITHOUT_ORDERS = 15
"""Fields in a report of a firmware without orders; the three fields after them default to 0."""
FIELDS_WITHOUT_LIFE = 18
_VERSION_OF_LIVES = 2
# How many fields there are, by version: from 2 on a routine report, and full ones; in 3 the shorter one is for SMS.
_FIELDS = {1: (FIELDS_WITHOUT_ORDERS, FIELDS_WITHOUT_LIFE), 2: (18, 19, 20), 3: (18, 20, 28)}
_LIFE_ID_OCTETS = 4
_SIM_OCTETS = 4
_LIVES = 8  # how many of a device's newest life ids are tried; each costs a MAC

U8 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 8)]
U16 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
U24 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 24)]
U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
Evidence = Annotated[int, msgspec.Meta(ge=-1, lt=1 << 16)]
Octets = Annotated[int, msgspec.Meta(ge=0, lt=1 << 54)]


class MalformedError(ValueError):
    """The message is not a report; answered with 4.00."""


class BadMacError(ValueError):
    """The report has no valid MAC of a known device; answered with 4.01."""


class Report(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The report's CBOR array, field by field (SPEC.md, "Report"); octets count the device's whole life.

    `life_id` is empty in version 1. From version 2 on a routine report leaves it out of the array, and it is known by
    the MAC: `open_report` fills it in. `sim` is empty where the report does not tell it; the fields behind it are -1
    then, which only the full reports of version 3 have.
    """

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
    warned: U16
    app_restarts: U32
    crash_code: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]
    reporting_reason: U8
    counter: U32 = 0
    refused: U16 = 0
    cost_fen: U32 = 0
    life_id: Annotated[bytes, msgspec.Meta(max_length=_LIFE_ID_OCTETS)] = b""
    sim: bytes = b""
    packets: U32 = -1
    sessions: U16 = -1
    registration: Evidence = -1
    reject_cause: Evidence = -1
    cme: Evidence = -1
    rsrp: Evidence = -1
    rsrq: Evidence = -1
    modem_restarts: Evidence = -1

    @property
    def cycle_carried_octets(self) -> int:
        return self.carried_octets - self.carried_base

    @property
    def cycle_rated_octets(self) -> int:
        return self.rated_octets - self.rated_base


def open_report(
    blob: bytes, keys: Mapping[str, bytes], lives: Callable[[str], tuple[bytes, ...]] = lambda device: ()
) -> tuple[str, Report, bytes]:
    """Verifies an untagged COSE_Mac0 (RFC 9052 6.2); returns the device id, the report and the encoded report.

    `lives` gives the life ids that a device has told, the newest first: without them a routine report has no valid
    MAC. Raises MalformedError or BadMacError. The payload is decoded only after its MAC was verified.
    """
    message = _untagged_mac0(blob)
    protected, unprotected, payload, _ = message
    if protected != cbor2.dumps(_PROTECTED) or unprotected.keys() != {_KID}:
        raise MalformedError("the headers are not those of a report")
    kid = unprotected[_KID]
    try:
        device = kid.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedError("the key id is not a device id") from None
    # An unknown device is verified with a key of zeros, so the time does not show which devices are known.
    key = COSEKey.from_symmetric_key(keys.get(device, bytes(32)), alg=_HMAC_256_64, kid=kid)
    for life_id in (b"", *lives(device)[:_LIVES]):
        external_aad = b"R" + life_id + kid if life_id else b"U" + kid
        if _is_valid(message, key, external_aad) and device in keys:
            break
    else:
        raise BadMacError(f"no valid MAC of {device}")
    report = decode_report(payload)
    if life_id:
        if report.version < _VERSION_OF_LIVES or report.life_id:
            raise MalformedError("not a report: its MAC is that of a routine one")
        report = msgspec.structs.replace(report, life_id=life_id)
    elif report.version >= _VERSION_OF_LIVES and not report.life_id:
        raise MalformedError("not a report: it has no life id")
    return device, report, payload


def decode_report(payload: bytes) -> Report:
    """Decodes a report from its CBOR array. Raises MalformedError when it is not a report."""
    try:
        fields = cbor2.loads(payload)
        report = msgspec.convert(fields, Report)
    except (cbor2.CBORError, msgspec.ValidationError) as error:
        raise MalformedError(f"not a report: {error}") from None
    if len(fields) not in _FIELDS[report.version]:
        raise MalformedError(f"not a report: it has {len(fields)} fields")
    has_life = len(fields) > FIELDS_WITHOUT_LIFE
    if len(report.life_id) != has_life * _LIFE_ID_OCTETS or len(report.sim) not in (0, _SIM_OCTETS):
        raise MalformedError("not a report: its ids are of another length")
    return report


def seal_acknowledgement(key: bytes, device: str, report: Report, now: datetime, order: Order | None = None) -> bytes:
    """Encodes the acknowledgement of one report: the server's time, and the order if there is one.

    Its MAC is valid for this report only.
    """
    answers = b"A" + report.life_id if report.life_id else b"D"
    nonce = report.boot_id.to_bytes(4, "big") + report.seq.to_bytes(4, "big")
    payload = cbor2.dumps([1, *days.instant(now), *(order.fields() if order else ())], canonical=True)
    message: Any = COSE.new().encode_and_mac(
        payload,
        COSEKey.from_symmetric_key(key, alg=_HMAC_256_64),
        _PROTECTED,
        external_aad=answers + device.encode("ascii") + nonce,
        out="cbor2/CBORTag",
    )
    return cbor2.dumps(message.value)


def _is_valid(message: tuple[Any, ...], key: COSEKeyInterface, external_aad: bytes) -> bool:
    """Whether the tag of an untagged COSE_Mac0 is that of `key`; cwt compares in constant time."""
    try:
        COSE.new().decode(CBORTag(_MAC0_TAG, list(message)), key, external_aad=external_aad)
    except VerifyError:
        return False
    return True


def _untagged_mac0(blob: bytes) -> tuple[bytes, dict[int, bytes], bytes, bytes]:
    try:
        message = cbor2.loads(blob)
        # Exactly one encoding is accepted, so a message has no bytes that the MAC does not cover.
        if cbor2.dumps(message) != blob:
            raise MalformedError("not in its shortest form, or followed by more bytes")
        return msgspec.convert(message, tuple[bytes, dict[int, bytes], bytes, bytes])
    except (cbor2.CBORError, msgspec.ValidationError) as error:
        raise MalformedError(f"not a COSE_Mac0: {error}") from None
