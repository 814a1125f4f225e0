"""PPP in HDLC-like framing (RFC 1662): flags, escapes, the 16-bit frame check sequence, compressed fields."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final

FLAG: Final = b"\x7e"
ESCAPE: Final = b"\x7d"
TOGGLE: Final = 0x20  # RFC 1662 4.2: an escaped octet has its sixth bit complemented
ALL: Final = 0xFFFF_FFFF  # the async control character map before negotiation (RFC 1662 7.1)
HEADER: Final = b"\xff\x03"  # address and control (RFC 1662 3.1)
MRU: Final = 1500  # RFC 1661 6.1
LONGEST: Final = 2 * MRU  # a frame that grows beyond is no frame: line noise, or a modem's text

_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
_TOGGLED: Final = tuple(bytes((octet ^ TOGGLE,)) for octet in range(256))


def fcs(data: bytes) -> bytes:
    """The frame check sequence of `data` as it is sent: least significant octet first (RFC 1662 C.2).

    It is CRC-16/X-25: binascii's CRC with the bits of each octet, and of the result, the other way round.

    >>> fcs(b"123456789").hex()
    '6e90'
    """
    crc = binascii.crc_hqx(data.translate(_REVERSED), 0xFFFF) ^ 0xFFFF
    return bytes((_REVERSED[crc >> 8], _REVERSED[crc & 0xFF]))


def frame(protocol: int, payload: bytes, accm: int = ALL, *, short: bool = False) -> bytes:
    """A frame with its flags. `accm`: the control characters that the peer wants escaped; `short`: without address,
    control and the protocol's leading zero octet (RFC 1661 6.5 and 6.6)."""
    head = HEADER + protocol.to_bytes(2, "big")
    if short:
        head = protocol.to_bytes(1 if protocol < 0x100 else 2, "big")
    body = head + payload
    body += fcs(body)
    body = body.replace(ESCAPE, ESCAPE + _TOGGLED[ESCAPE[0]])
    body = body.replace(FLAG, ESCAPE + _TOGGLED[FLAG[0]])
    if accm:
        for octet in range(32):
            if accm >> octet & 1:
                body = body.replace(bytes((octet,)), ESCAPE + _TOGGLED[octet])
    return FLAG + body + FLAG


class Deframer:
    """Takes the line's octets. `bad` counts frames whose check sequence was wrong, or that were cut or aborted.

    Control characters that the peer would have escaped were put in by something on the line, and are dropped
    (RFC 1662 4.2): `accm` is the map in force for what is received.
    """

    def __init__(self) -> None:
        self.accm = ALL
        self.bad = 0
        self._open = bytearray()

    def reset(self) -> None:
        """Forgets a frame that has begun."""
        self._open.clear()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The (protocol, payload) of each good frame that ends in `data`."""
        first, *rest = data.split(FLAG)
        self._open += first
        for piece in rest:
            raw = bytes(self._open)
            self._open[:] = piece
            if raw and (found := self._take(raw)) is not None:
                yield found
        if len(self._open) > 2 * LONGEST:
            self._open.clear()
            self.bad += 1

    def _take(self, raw: bytes) -> tuple[int, bytes] | None:
        if self.accm:
            raw = raw.translate(None, bytes(octet for octet in range(32) if self.accm >> octet & 1))
        first, *escaped = raw.split(ESCAPE)
        if not all(escaped):  # RFC 1662 4.3: an escape right before the flag aborts the frame
            self.bad += 1
            return None
        body = first + b"".join(_TOGGLED[piece[0]] + piece[1:] for piece in escaped)
        if len(body) < 4 or fcs(body[:-2]) != body[-2:]:
            self.bad += 1
            return None
        body = body[2:-2] if body.startswith(HEADER) else body[:-2]
        width = 1 if body[0] & 1 else 2  # RFC 1661 2: the least significant bit ends a protocol number
        if len(body) < width:
            self.bad += 1
            return None
        return int.from_bytes(body[:width], "big"), body[width:]
