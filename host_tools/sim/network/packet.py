"""An IPv4 packet as the carrier's gateway sees it: fields, and the length it has on the wire."""

from __future__ import annotations

from dataclasses import dataclass

Address = tuple[str, int]  # IPv4 address in dotted form, port

ICMP = 1  # protocol numbers, IANA
TCP = 6
UDP = 17

IP_HEADER = 20  # RFC 791, without options
TCP_HEADER = 20  # RFC 9293 3.1, without options
UDP_HEADER = 8  # RFC 768
ICMP_HEADER = 8  # RFC 792, echo
MSS_OPTION = 4  # RFC 9293 3.7.1, on a SYN only
TIMESTAMPS_OPTION = 12  # RFC 7323 3.2: 10 octets and two NOPs
MTU = 1500  # octets of one IP packet, as an LTE default bearer usually has it
MAX_DATAGRAM = MTU - IP_HEADER - UDP_HEADER  # fragmentation is not modelled

ECHO_REPLY, ECHO_REQUEST = 0, 8  # RFC 792 types, in `flags`; the ports are the identifier
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10


@dataclass(slots=True)
class Packet:
    """`length` is the IP total length in octets: what a carrier counts.

    Sequence numbers are unbounded integers, so that nothing needs modular comparison; on a wire they would be
    these modulo 2**32, and no length depends on it.
    """

    proto: int
    src: Address
    dst: Address
    length: int
    payload: bytes = b""
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    mss: int = 0  # value of the MSS option; 0 = absent
    timestamps: bool = False


def udp(src: Address, dst: Address, payload: bytes) -> Packet:
    """A datagram; ValueError when it would have to be fragmented."""
    if len(payload) > MAX_DATAGRAM:
        raise ValueError(f"{len(payload)} octets do not fit one packet; a datagram holds {MAX_DATAGRAM}")
    return Packet(UDP, src, dst, IP_HEADER + UDP_HEADER + len(payload), payload)


def echo(kind: int, src: Address, dst: Address, payload: bytes) -> Packet:
    """An ICMP echo request or reply."""
    return Packet(ICMP, src, dst, IP_HEADER + ICMP_HEADER + len(payload), payload, kind)
