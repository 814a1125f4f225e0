"""IPv4 packets as octets (RFC 791), with TCP, UDP and ICMP echo in them and their checksums."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from socket import inet_aton, inet_ntoa
from typing import Final

from host_tools.sim.clock import MS, Clock
from host_tools.sim.network.packet import (
    ICMP,
    ICMP_HEADER,
    IP_HEADER,
    SYN,
    TCP,
    TCP_HEADER,
    UDP,
    UDP_HEADER,
    Packet,
)

_IP: Final = struct.Struct("!BBHHHBBH4s4s")
_TCP: Final = struct.Struct("!HHIIBBHHH")
_UDP: Final = struct.Struct("!4H")
_ICMP: Final = struct.Struct("!BBHHH")
_TTL: Final = 64
_DONT_FRAGMENT: Final = 0x4000
_OFFSET_OR_MORE: Final = 0x3FFF  # of a fragment that is not the whole packet
_END, _NOP, _MSS, _TIMESTAMPS = 0, 1, 2, 8  # kinds of TCP options, IANA
_MODULUS: Final = 1 << 32
_FLOWS: Final = 256  # remembered; the one unused for longest is forgotten

Key = tuple[str, int, str, int]


@dataclass(slots=True)
class _Flow:
    """What the last TCP packets of one direction had: sequence numbers without a modulus, and their timestamp."""

    seq: int = -1
    stamp: int = 0


class Wire:
    """Octets to packets and back, for all traffic of one link, in both directions.

    `Packet` has sequence numbers without a modulus. A decoded one is the number nearest to what the same direction
    had last (an acknowledgement: what the other one had), so both ends may use numbers of their own.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ident = 0
        self._flows: dict[Key, _Flow] = {}

    def encode(self, packet: Packet) -> bytes:
        """The packet's octets: `packet.length` of them."""
        if packet.proto == TCP:
            body = self._tcp(packet)
        elif packet.proto == UDP:
            body = _UDP.pack(packet.src[1], packet.dst[1], UDP_HEADER + len(packet.payload), 0) + packet.payload
        else:
            body = _ICMP.pack(packet.flags, 0, 0, packet.src[1], 0) + packet.payload
        src, dst = inet_aton(packet.src[0]), inet_aton(packet.dst[0])
        at = {TCP: 16, UDP: 6, ICMP: 2}[packet.proto]
        total = checksum(body if packet.proto == ICMP else _pseudo(src, dst, packet.proto, body) + body)
        if packet.proto == UDP:
            total = total or 0xFFFF  # RFC 768: zero says that there is none
        body = body[:at] + total.to_bytes(2, "big") + body[at + 2 :]
        self._ident = (self._ident + 1) & 0xFFFF
        length = IP_HEADER + len(body)
        head = _IP.pack(0x45, 0, length, self._ident, _DONT_FRAGMENT, _TTL, packet.proto, 0, src, dst)
        return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + body

    def decode(self, data: bytes) -> Packet | None:
        """The packet of these octets; None where they are none, are a fragment, or no protocol of ours."""
        if len(data) < IP_HEADER:
            return None
        version, _, length, _, offset, _, proto, _, src, dst = _IP.unpack_from(data)
        header = (version & 15) * 4
        if version >> 4 != 4 or not IP_HEADER <= header <= length <= len(data) or offset & _OFFSET_OR_MORE:
            return None
        body = data[header:length]
        if checksum(data[:header]):
            return None
        if proto == TCP:
            return self._decode_tcp(src, dst, body, length)
        if proto == UDP:
            return _decode_udp(src, dst, body, length)
        if proto == ICMP and len(body) >= ICMP_HEADER and not checksum(body) and body[0] in (0, 8):
            kind, _, _, ident, _ = _ICMP.unpack_from(body)
            ends = (inet_ntoa(src), ident), (inet_ntoa(dst), ident)
            return Packet(ICMP, *ends, length, body[ICMP_HEADER:], kind)
        return None

    def _flow(self, src: tuple[str, int], dst: tuple[str, int]) -> _Flow:
        key = (*src, *dst)
        flow = self._flows.pop(key, None)
        if flow is None:
            flow = _Flow()
            if len(self._flows) >= _FLOWS:
                del self._flows[next(iter(self._flows))]
        self._flows[key] = flow
        return flow

    def _tcp(self, packet: Packet) -> bytes:
        flow = self._flow(packet.src, packet.dst)
        flow.seq = packet.seq
        options = b""
        if packet.mss:
            options += bytes((_MSS, 4)) + packet.mss.to_bytes(2, "big")
        if packet.timestamps:
            now = self._clock.now_us // MS % _MODULUS
            echo = self._flow(packet.dst, packet.src).stamp
            options += bytes((_NOP, _NOP, _TIMESTAMPS, 10)) + struct.pack("!II", now, echo)
        words = (TCP_HEADER + len(options)) // 4
        seq, ack = packet.seq % _MODULUS, packet.ack % _MODULUS
        head = _TCP.pack(packet.src[1], packet.dst[1], seq, ack, words << 4, packet.flags, packet.window, 0, 0)
        return head + options + packet.payload

    def _decode_tcp(self, src: bytes, dst: bytes, body: bytes, length: int) -> Packet | None:
        if len(body) < TCP_HEADER or checksum(_pseudo(src, dst, TCP, body) + body):
            return None
        src_port, dst_port, seq, ack, words, flags, window, _, _ = _TCP.unpack_from(body)
        header = (words >> 4) * 4
        if not TCP_HEADER <= header <= len(body):
            return None
        here, there = (inet_ntoa(src), src_port), (inet_ntoa(dst), dst_port)
        flow, other = self._flow(here, there), self._flow(there, here)
        if flags & SYN:
            flow.seq = -1  # a new connection on these ports
        mss, stamp = _options(body[TCP_HEADER:header])
        if stamp is not None:
            flow.stamp = stamp
        flow.seq = seq = _near(flow.seq, seq)
        ack = _near(other.seq, ack)
        timestamps = stamp is not None
        return Packet(TCP, here, there, length, body[header:], flags & 0x1F, seq, ack, window, mss, timestamps)


def _near(last: int, number: int) -> int:
    """The integer nearest to `last` that is `number` modulo 2**32; `number` itself where there was none."""
    if last < 0:
        return number
    near = last + ((number - last + (_MODULUS >> 1)) % _MODULUS - (_MODULUS >> 1))
    return near if near >= 0 else number


def _options(data: bytes) -> tuple[int, int | None]:
    """(MSS or 0, the timestamp's value or None) of TCP options; what else there is, is not granted."""
    mss, stamp, at = 0, None, 0
    while at < len(data) and data[at] != _END:
        if data[at] == _NOP:
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):
            break
        value = data[at + 2 : at + length]
        if data[at] == _MSS and length == 4:
            mss = int.from_bytes(value, "big")
        elif data[at] == _TIMESTAMPS and length == 10:
            stamp = int.from_bytes(value[:4], "big")
        at += length
    return mss, stamp


def _decode_udp(src: bytes, dst: bytes, body: bytes, length: int) -> Packet | None:
    if len(body) < UDP_HEADER:
        return None
    src_port, dst_port, octets, total = _UDP.unpack_from(body)
    if not UDP_HEADER <= octets <= len(body):
        return None
    body = body[:octets]
    if total and checksum(_pseudo(src, dst, UDP, body) + body):
        return None
    return Packet(UDP, (inet_ntoa(src), src_port), (inet_ntoa(dst), dst_port), length, body[UDP_HEADER:])


def _pseudo(src: bytes, dst: bytes, proto: int, body: bytes) -> bytes:
    """The pseudo header of TCP's and UDP's checksum (RFC 9293 3.1)."""
    return src + dst + struct.pack("!HH", proto, len(body))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 of data that has its own, right."""
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total ^ 0xFFFF
