"""Van Jacobson's header compression (RFC 1144): TCP/IP headers as their differences from the packet before."""

from __future__ import annotations

import struct
from typing import Final

from host_tools.sim.network.ppp.wire import checksum

SLOTS: Final = 16  # connections, numbered from 0; RFC 1332 4 gives the highest number as 15

_NEW_C, _NEW_I, _NEW_P, _NEW_S, _NEW_A, _NEW_W, _NEW_U = 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
_SPECIAL_I: Final = _NEW_S | _NEW_W | _NEW_U  # echoed interactive traffic
_SPECIAL_D: Final = _NEW_S | _NEW_A | _NEW_W | _NEW_U  # data in one direction
_SPECIALS: Final = _NEW_S | _NEW_A | _NEW_W | _NEW_U
_FIN, _SYN, _RST, _PSH, _ACK, _URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_TCP_PROTOCOL: Final = 6
_FIELDS: Final = struct.Struct("!IIBBHHH")  # seq, ack, offset, flags, window, checksum, urgent
_AT: Final = 4  # of these fields in a TCP header


class _Head:
    """An IP and TCP header as numbers."""

    __slots__ = ("ack", "flags", "ident", "ip", "raw", "seq", "size", "sum", "tcp", "urgent", "window")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.ip = (raw[0] & 15) * 4
        self.ident = int.from_bytes(raw[4:6], "big")
        fields = _FIELDS.unpack_from(raw, self.ip + _AT)
        self.seq, self.ack, offset, self.flags, self.window, self.sum, self.urgent = fields
        self.tcp = (offset >> 4) * 4
        self.size = self.ip + self.tcp

    @property
    def flow(self) -> bytes:
        """Addresses and ports."""
        return self.raw[12:20] + self.raw[self.ip : self.ip + 4]

    @property
    def constant(self) -> tuple[bytes, bytes, int, bytes, bytes]:
        """What may not change in a compressed packet: all but lengths, idents, checksums and TCP's numbers."""
        raw, ip = self.raw, self.ip
        return raw[0:2], raw[6:10], self.tcp, raw[20:ip], raw[ip + 20 : ip + self.tcp]


def head_of(packet: bytes) -> _Head | None:
    """The headers of a TCP packet that is whole, else None."""
    if len(packet) < 40 or packet[9] != _TCP_PROTOCOL or (packet[6] & 0x3F or packet[7]):
        return None
    ip = (packet[0] & 15) * 4
    if len(packet) < ip + 20 or len(packet) < ip + (packet[ip + 12] >> 4) * 4:
        return None
    return _Head(packet[: ip + (packet[ip + 12] >> 4) * 4])


class Compressor:
    """The sender's side. `slot_ids`: the peer lets the connection's number be left out where it is the last one's."""

    def __init__(self, slots: int = SLOTS, *, slot_ids: bool = True) -> None:
        self._slots: dict[bytes, tuple[int, _Head, int]] = {}  # by flow, used last last: number, headers, total length
        self._count, self._omits = slots, slot_ids
        self._last = -1

    def compress(self, packet: bytes) -> tuple[int, bytes]:
        """The PPP protocol and payload for an IP packet."""
        head = head_of(packet)
        if head is None or head.flags & (_SYN | _FIN | _RST | _ACK) != _ACK:
            return IP, packet
        entry = self._slots.pop(head.flow, None)
        if entry is None:
            number = len(self._slots)
            if number >= self._count:
                number = self._slots.pop(next(iter(self._slots)))[0]
            return self._whole(number, head, packet)
        number, old, old_length = entry
        if head.constant != old.constant:
            return self._whole(number, head, packet)
        changes = self._changes(old, head, old_length - old.size, len(packet) - head.size)
        if changes is None:
            return self._whole(number, head, packet)
        mask, deltas = changes
        self._slots[head.flow] = number, head, len(packet)
        begin = bytes((mask,))
        if number != self._last or not self._omits:
            begin = bytes((mask | _NEW_C, number))
        self._last = number
        return COMPRESSED, begin + head.sum.to_bytes(2, "big") + deltas + packet[head.size :]

    def _whole(self, number: int, head: _Head, packet: bytes) -> tuple[int, bytes]:
        self._slots[head.flow] = number, head, len(packet)
        self._last = number
        return UNCOMPRESSED, packet[:9] + bytes((number,)) + packet[10:]

    def _changes(self, old: _Head, new: _Head, old_data: int, data: int) -> tuple[int, bytes] | None:
        """(mask, differences) as RFC 1144 3.2.2 and appendix A.2 have them; None: to be sent whole."""
        mask, out = 0, b""
        if new.flags & _URG:
            out += _delta(new.urgent, zero=True)
            mask |= _NEW_U
        elif new.urgent != old.urgent:
            return None
        if window := (new.window - old.window) & 0xFFFF:
            out += _delta(window)
            mask |= _NEW_W
        ack = (new.ack - old.ack) & 0xFFFF_FFFF
        if ack > 0xFFFF:
            return None
        if ack:
            out += _delta(ack)
            mask |= _NEW_A
        seq = (new.seq - old.seq) & 0xFFFF_FFFF
        if seq > 0xFFFF:
            return None
        if seq:
            out += _delta(seq)
            mask |= _NEW_S
        if not mask and not (data and not old_data):
            return None  # a retransmission, or a window probe: the receiver may have lost a packet
        if mask in (_SPECIAL_I, _SPECIAL_D):
            return None  # it would be taken for one of the special cases
        if mask == (_NEW_S | _NEW_A) and seq == ack == old_data:
            mask, out = _SPECIAL_I, b""
        elif mask == _NEW_S and seq == old_data:
            mask, out = _SPECIAL_D, b""
        ident = (new.ident - old.ident) & 0xFFFF
        if ident != 1:
            out += _delta(ident, zero=True)
            mask |= _NEW_I
        if new.flags & _PSH:
            mask |= _NEW_P
        return mask, out


class Decompressor:
    """The receiver's side. After a frame was lost it drops compressed packets until one names its connection."""

    def __init__(self) -> None:
        self._slots: dict[int, tuple[_Head, int]] = {}  # by number: headers, octets of data
        self._last = -1

    def lost(self) -> None:
        """A frame was damaged: the next packet's differences may be from one that never came."""
        self._last = -1

    def whole(self, payload: bytes) -> bytes | None:
        """The packet of an uncompressed frame, whose protocol field has the connection's number."""
        if len(payload) < 40:
            return None
        packet = payload[:9] + bytes((_TCP_PROTOCOL,)) + payload[10:]
        head = head_of(packet)
        if head is None:
            return None
        self._last = payload[9]
        self._slots[self._last] = head, len(packet) - head.size
        return packet

    def expand(self, payload: bytes) -> bytes | None:
        """The packet of a compressed frame; None where it cannot be told."""
        try:
            return self._expand(payload)
        except (IndexError, struct.error):  # cut
            return None

    def _expand(self, payload: bytes) -> bytes | None:
        mask, at = payload[0], 1
        if mask & _NEW_C:
            self._last, at = payload[1], 2
        entry = self._slots.get(self._last)
        if entry is None:
            return None
        old, old_data = entry
        total = payload[at : at + 2]
        at += 2
        flags = old.flags & ~(_PSH | _URG) | (_PSH if mask & _NEW_P else 0)
        seq, ack, window, urgent = old.seq, old.ack, old.window, old.urgent
        if mask & _SPECIALS == _SPECIAL_I:
            seq, ack = seq + old_data, ack + old_data
        elif mask & _SPECIALS == _SPECIAL_D:
            seq += old_data
        else:
            if mask & _NEW_U:
                urgent, at = _number(payload, at)
                flags |= _URG
            if mask & _NEW_W:
                delta, at = _number(payload, at)
                window += delta
            if mask & _NEW_A:
                delta, at = _number(payload, at)
                ack += delta
            if mask & _NEW_S:
                delta, at = _number(payload, at)
                seq += delta
        delta = 1
        if mask & _NEW_I:
            delta, at = _number(payload, at)
        data = payload[at:]
        raw, ip = old.raw, old.ip
        length = (old.size + len(data)).to_bytes(2, "big")
        ident = ((old.ident + delta) & 0xFFFF).to_bytes(2, "big")
        begin = raw[:2] + length + ident + raw[6:10] + b"\0\0" + raw[12:ip]
        begin = begin[:10] + checksum(begin).to_bytes(2, "big") + begin[12:]
        numbers = _FIELDS.pack(
            seq & 0xFFFF_FFFF, ack & 0xFFFF_FFFF, raw[ip + 12], flags, window & 0xFFFF, 0, urgent & 0xFFFF
        )
        tcp = raw[ip : ip + _AT] + numbers[:12] + total + numbers[14:] + raw[ip + 20 : ip + old.tcp]
        head = _Head(begin + tcp)
        self._slots[self._last] = head, len(data)
        return head.raw + data


def _delta(number: int, *, zero: bool = False) -> bytes:
    """A difference of 1 to 255 in one octet, else in two behind a zero one (RFC 1144 3.2.2)."""
    if number > 255 or (zero and number == 0):
        return b"\0" + number.to_bytes(2, "big")
    return bytes((number,))


def _number(payload: bytes, at: int) -> tuple[int, int]:
    if payload[at]:
        return payload[at], at + 1
    return struct.unpack_from("!H", payload, at + 1)[0], at + 3


IP: Final = 0x0021
COMPRESSED: Final = 0x002D  # RFC 1332 4
UNCOMPRESSED: Final = 0x002F
