"""Explains each packet that a carrier charges: for what its octets are, and of which traffic class.

A packet's headers go with what it carries: those of a connection's set-up to the handshakes, those of a keep-alive to
the keep-alives, and so on. Those of payload are "headers", and so are the acknowledgements of payload.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from host_tools.cost.streams import HANDSHAKES, KEEPALIVES, PAYLOAD, TLS, Conversation
from host_tools.run.classes import DNS_PORT, Flow, Flows, flow_of
from host_tools.sim.network.packet import FIN, ICMP, RST, SYN, TCP, Packet

HEADERS, DNS, RETRIES, REPORTS, ORDERS, RATING, OTHER = (
    "headers", "dns", "retries", "reports", "orders", "rating", "other",
)  # fmt: skip
CAUSES = (PAYLOAD, HEADERS, HANDSHAKES, TLS, KEEPALIVES, DNS, RETRIES, REPORTS, ORDERS, RATING, OTHER)
WORDS = {
    PAYLOAD: "payload",
    HEADERS: "headers and acknowledgements",
    HANDSHAKES: "connections opened and closed",
    TLS: "TLS",
    KEEPALIVES: "keep-alives",
    DNS: "name lookups",
    RETRIES: "sent again",
    REPORTS: "the guard's reports",
    ORDERS: "orders to the guard",
    RATING: "the carrier's rounding and additions",
    OTHER: "not explained",
}
GUARD = "guard"
"""The traffic class of the guard's own packets, and of the carrier's additions."""


@dataclass(slots=True)
class _Direction:
    """One direction of a TCP connection: which of its octets were charged before, and those that wait for a gap."""

    seen: list[tuple[int, int]] = field(default_factory=list)  # ranges of sequence numbers, in order, apart
    next_seq: int | None = None
    later: dict[int, bytes] = field(default_factory=dict)
    last: str = HEADERS  # the cause of the headers of its last packet with payload
    told: int = 0  # octets that were handed to the parser

    def fresh(self, start: int, n: int) -> int:
        """How many of the `n` octets from `start` on were not charged before; they are from now on."""
        end = start + n
        ranges = self.seen
        at = bisect_left(ranges, (start, start))
        if at and ranges[at - 1][1] >= start:
            at -= 1
        first, last, old, stop = start, end, 0, at
        while stop < len(ranges) and ranges[stop][0] <= end:
            old += max(0, min(end, ranges[stop][1]) - max(start, ranges[stop][0]))
            first, last = min(first, ranges[stop][0]), max(last, ranges[stop][1])
            stop += 1
        ranges[at:stop] = [(first, last)]
        return n - old


class _Tcp:
    """One TCP connection. `counts` is where its octets are added."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self._sides = (_Direction(), _Direction())
        self._talk = Conversation()
        self._marks: set[tuple[int, int]] = set()  # (direction, flag) of the SYN and FIN that were charged
        self.over = False  # a new SYN begins another connection of the same ports

    def take(self, side: int, packet: Packet) -> None:
        n = len(packet.payload)
        own, peer = self._sides[side], self._sides[1 - side]
        headers = packet.length - n
        self.over |= bool(n or packet.flags & (FIN | RST))
        marks = packet.flags & FIN or packet.flags & SYN
        if packet.flags & SYN and own.next_seq is None:
            own.next_seq = packet.seq + 1
        if not n:
            opens_or_closes = packet.flags & (SYN | FIN | RST) or (1 - side, FIN) in self._marks
            cause = HANDSHAKES if opens_or_closes else self._acknowledged(own, peer)
            if marks and self._marked(side, marks):
                cause = RETRIES
            self.counts[cause] += headers
            return
        if marks:
            self._marked(side, marks)
        new = own.fresh(packet.seq, n)
        self.counts[RETRIES] += n - new
        if not new:
            self.counts[RETRIES] += headers
            return
        shares = self._ordered(side, own, packet.seq, packet.payload)
        for cause, octets in shares:
            self.counts[cause] += octets
        if shares:
            most = max(shares, key=lambda share: share[1])[0]
            own.last = HEADERS if most == PAYLOAD else most
        self.counts[own.last] += headers

    def _acknowledged(self, own: _Direction, peer: _Direction) -> str:
        if not peer.seen and not own.seen:
            return HANDSHAKES  # the third packet of the opening
        return peer.last if peer.seen else own.last

    def _marked(self, side: int, flags: int) -> bool:
        """Whether it was charged before."""
        known = (side, flags) in self._marks
        self._marks.add((side, flags))
        return known

    def _ordered(self, side: int, own: _Direction, seq: int, payload: bytes) -> list[tuple[str, int]]:
        """The shares of what is now complete from the stream's beginning."""
        if own.next_seq is None:
            own.next_seq = seq
        own.later[seq] = max(payload, own.later.get(seq, b""), key=len)
        shares: list[tuple[str, int]] = []
        for start in sorted(own.later):
            if start > own.next_seq:
                break
            part = own.later.pop(start)[own.next_seq - start :]
            if part:
                own.next_seq += len(part)
                own.told += len(part)
                shares += self._talk.take(side, part)
        return shares

    def settle(self) -> None:
        """Counts what waited for octets that never came as payload."""
        for side, own in enumerate(self._sides):
            charged = sum(end - start for start, end in own.seen)
            self.counts[PAYLOAD] += charged - own.told + self._talk.rest(side)


class Explainer:
    """Adds up what packets are for. `classes` are the names of the traffic classes, `reserve` the index of the guard's.

    `take(packet, now_us)` takes each packet that the carrier charges, `opens(index, port, now_us)` what the device says
    before it opens a connection. `by_class` has the octets by traffic class and cause once `settle` was called.
    """

    def __init__(self, classes: list[str], reserve: int) -> None:
        self._guards = classes[reserve]
        self._openings = Flows(classes)
        self.by_class: dict[str, Counter[str]] = {}
        self._tcp: dict[Flow, _Tcp] = {}
        self.orders = 0  # of the next packet from the collector: orders that it brings

    def opens(self, index: int, port: int, now_us: int) -> None:
        self._openings.opens(index, port, now_us)

    def take(self, packet: Packet, now_us: int) -> None:
        up, flow = flow_of(packet)
        if packet.proto == ICMP:
            self._counts(GUARD)[OTHER] += packet.length
            return
        connection = self._tcp.get(flow)
        new = connection is not None and connection.over and up and bool(packet.flags & SYN)
        if connection and new:
            connection.settle()
            connection = None
        name = self._openings.name(flow, now_us, new)
        name = GUARD if name == self._guards else name
        counts = self._counts(name)
        if flow[2][1] == DNS_PORT:
            counts[DNS] += packet.length
        elif packet.proto == TCP:
            if connection is None:
                connection = self._tcp[flow] = _Tcp(counts)
            connection.take(0 if up else 1, packet)
        elif name == GUARD:
            cause = REPORTS
            if not up and self.orders:
                cause, self.orders = ORDERS, 0
            counts[cause] += packet.length
        else:
            counts[PAYLOAD] += len(packet.payload)
            counts[HEADERS] += packet.length - len(packet.payload)

    def _counts(self, name: str) -> Counter[str]:
        return self.by_class.setdefault(name, Counter())

    def settle(self) -> None:
        """Ends the count."""
        for connection in self._tcp.values():
            connection.settle()
        self._tcp.clear()
