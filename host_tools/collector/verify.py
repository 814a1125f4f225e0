"""Opens reports and seals acknowledgements with cbor2 and pycose: shares no code with the firmware."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import cbor2
import msgspec
from pycose.algorithms import HMAC25664
from pycose.headers import Algorithm
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message

from host_tools.collector.order import Order

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_PROTECTED = cbor2.dumps({1: 4})  # alg: HMAC 256/64 (RFC 9053 3.1)
_KID = 4
FIELDS_WITHOUT_ORDERS = 15
"""What a report of a firmware that takes no orders has; the three fields behind them count as 0."""

U8 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 8)]
U16 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
U24 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 24)]
U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
Octets = Annotated[int, msgspec.Meta(ge=0, lt=1 << 54)]


class MalformedError(ValueError):
    """Not a report: 4.00, and nothing is known of the sender."""


class BadMacError(ValueError):
    """A report that no known device's key vouches for: 4.01."""


class Report(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The report's CBOR array, field by field (SPEC.md, "Report"); octets count the device's whole life."""

    version: Literal[1]
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

    @property
    def cycle_carried_octets(self) -> int:
        return self.carried_octets - self.carried_base

    @property
    def cycle_rated_octets(self) -> int:
        return self.rated_octets - self.rated_base


def open_report(blob: bytes, keys: Mapping[str, bytes]) -> tuple[str, Report, bytes]:
    """The device, its report and the report's octets out of an untagged COSE_Mac0 (RFC 9052 6.2).

    Raises MalformedError or BadMacError. The payload is not looked into before its MAC is verified.
    """
    protected, unprotected, payload, tag = _untagged_mac0(blob)
    if protected != _PROTECTED or unprotected.keys() != {_KID}:
        raise MalformedError("the headers are not those of a report")
    kid = unprotected[_KID]
    try:
        device = kid.decode("ascii")
    except (AttributeError, UnicodeDecodeError):
        raise MalformedError("the key id is no device id") from None
    # A device without a key takes the same way as a wrong one: who is known here is not told.
    expected = _mac0(keys.get(device, bytes(32)), b"U" + kid, payload).compute_tag()
    if not hmac.compare_digest(expected, tag) or device not in keys:
        raise BadMacError(f"no valid MAC of {device}")
    return device, decode_report(payload), payload


def decode_report(payload: bytes) -> Report:
    """The report in its CBOR array; MalformedError when it is none."""
    try:
        fields = cbor2.loads(payload)
        report = msgspec.convert(fields, Report)
    except (cbor2.CBORError, msgspec.ValidationError) as error:
        raise MalformedError(f"no report: {error}") from None
    if len(fields) not in (FIELDS_WITHOUT_ORDERS, len(Report.__struct_fields__)):
        raise MalformedError(f"no report: {len(fields)} fields")
    return report


def seal_acknowledgement(
    key: bytes, device: str, report: Report, now: datetime, order: Order | None = None
) -> bytes:
    """The acknowledgement of one report: the server's time, and an order where there is one.

    Its MAC is good for this report only.
    """
    since = now.astimezone(UTC) - EPOCH
    nonce = report.boot_id.to_bytes(4, "big") + report.seq.to_bytes(4, "big")
    payload = cbor2.dumps([1, since.days, since.seconds, *(order.fields() if order else ())], canonical=True)
    return _mac0(key, b"D" + device.encode("ascii") + nonce, payload).encode(tag=False)


def _mac0(key: bytes, external_aad: bytes, payload: bytes) -> Any:
    # Any: a class decorator of pycose hides Mac0Message from type checkers.
    return Mac0Message(
        phdr={Algorithm: HMAC25664}, payload=payload, external_aad=external_aad, key=SymmetricKey(k=key)
    )


def _untagged_mac0(blob: bytes) -> tuple[bytes, dict[Any, Any], bytes, bytes]:
    try:
        message = cbor2.loads(blob)
        # One encoding only, so that nothing can ride along behind or beside what the MAC covers.
        if cbor2.dumps(message) != blob:
            raise MalformedError("not in its shortest form, or octets behind it")
        return msgspec.convert(message, tuple[bytes, dict[Any, Any], bytes, bytes])
    except (cbor2.CBORError, msgspec.ValidationError) as error:
        raise MalformedError(f"no COSE_Mac0: {error}") from None
