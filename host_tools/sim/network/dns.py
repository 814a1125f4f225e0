"""Name service on the wire (RFC 1035): queries for A records, their answers, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

PORT = 53
TTL_S = 300
A, IN = 1, 1
NO_ERROR, FORMAT_ERROR, NAME_ERROR = 0, 1, 3  # RCODE

_HEADER = struct.Struct(">6H")  # id, flags, counts of questions, answers, authorities, additional records
_QUESTION = struct.Struct(">HH")  # type, class
_RECORD = struct.Struct(">HHIH")  # type, class, TTL, length of the data
_RESPONSE, _RECURSE, _CAN_RECURSE = 0x8000, 0x0100, 0x0080
_POINTER_TO_QUESTION = b"\xc0\x0c"  # compression: the name at octet 12


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response says: the query's id, the RCODE, the addresses in dotted form."""

    ident: int
    rcode: int
    addresses: tuple[str, ...]


def encode_query(ident: int, name: str) -> bytes:
    """A recursive query for the A record of `name`; ValueError when it cannot be a host name."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if len(name) > 253 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError(f"{name!r} is not a host name")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return _HEADER.pack(ident, _RECURSE, 1, 0, 0, 0) + wire + _QUESTION.pack(A, IN)


def respond(query: bytes, resolve: Callable[[str], str | None]) -> bytes | None:
    """The answer to `query`; None when it is not a query at all. `resolve` gives a name's address."""
    try:
        ident, flags, questions, *_ = _HEADER.unpack_from(query)
        if flags & _RESPONSE:
            return None
        if questions != 1:
            return _HEADER.pack(ident, _RESPONSE | _CAN_RECURSE | FORMAT_ERROR, 0, 0, 0, 0)
        name, end = _name(query, _HEADER.size)
        kind, klass = _QUESTION.unpack_from(query, end)
    except (struct.error, IndexError, ValueError):
        return None
    question = query[_HEADER.size : end + _QUESTION.size]
    address = resolve(name)
    answer = b""
    if address is not None and (kind, klass) == (A, IN):
        data = IPv4Address(address).packed
        answer = _POINTER_TO_QUESTION + _RECORD.pack(A, IN, TTL_S, len(data)) + data
    flags = _RESPONSE | _CAN_RECURSE | flags & _RECURSE | (NO_ERROR if address else NAME_ERROR)
    return _HEADER.pack(ident, flags, 1, bool(answer), 0, 0) + question + answer


def decode_response(response: bytes) -> Answer:
    """Reads a response, whatever records it holds beside A; ValueError when it is malformed or a query."""
    try:
        ident, flags, questions, answers, *_ = _HEADER.unpack_from(response)
        if not flags & _RESPONSE:
            raise ValueError("a query, not a response")
        at = _HEADER.size
        for _ in range(questions):
            at = _name(response, at)[1] + _QUESTION.size
        addresses: list[str] = []
        for _ in range(answers):
            at = _name(response, at)[1]
            kind, klass, _, length = _RECORD.unpack_from(response, at)
            at += _RECORD.size
            if (kind, klass, length) == (A, IN, 4):
                addresses.append(str(IPv4Address(response[at : at + 4])))
            at += length
    except (struct.error, IndexError) as error:
        raise ValueError("truncated response") from error
    return Answer(ident, flags & 15, tuple(addresses))


def _name(message: bytes, at: int) -> tuple[str, int]:
    """The name at `at`, and where what follows it begins."""
    labels: list[str] = []
    end = 0
    while length := message[at]:
        if length >= 0xC0:
            end = end or at + 2
            target = (length & 0x3F) << 8 | message[at + 1]
            if target >= at:
                raise ValueError("a compressed name points forward")
            at = target
        else:
            labels.append(message[at + 1 : at + 1 + length].decode("ascii"))
            at += 1 + length
    return ".".join(labels), end or at + 1
