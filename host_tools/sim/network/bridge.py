"""A host whose connections and datagrams go to a real server on this machine's loopback interface.

Virtual time must stand still while a real peer works on its reply, or a device would see minutes pass in it.
So when octets have been handed to the peer, the bridge holds: still at the virtual instant of their arrival
it blocks, `hold_wall_s` wall seconds at the most, until the peer speaks; what it says enters the world then.

Not everything is answered (an MQTT publish at QoS 0, all but the last segment of a long request), and some
answers come in pieces. The bridge learns what to expect from how things look: the magnitude of a burst's
length and, if it is the first since the peer last spoke, its first octet; then how many pieces of answer came
already. A hold that expires makes the next in that situation 16 times shorter, down to `FLOOR_WALL_S`; one
that is answered restores it. So a kind of message that is never answered costs little more than one full hold
in all, and a ping between such messages is still waited for. The prediction may err in time only: octets
later than their hold enter the world at the next `settle()`.
"""

from __future__ import annotations

import re
import selectors
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from host_tools.sim.network.hosts import VirtualHost
from host_tools.sim.network.packet import MAX_DATAGRAM, Address, Packet
from host_tools.sim.network.tcp import DONE, TcpConnection

HOLD_WALL_S = 2.0
FLOOR_WALL_S = 0.001  # a peer on loopback that is awake replies, or goes on, in this
DECAY = 16
SHORTEST = 3  # expiries in a row after which a hold gets no shorter: the floor is reached
MAX_UDP_FLOWS = 64  # the flow unused for longest makes room, as in a router's address translation
CHUNK = 65_536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_TARGET = re.compile(r"(?:(127\.0\.0\.1)|\[(::1)\]):([0-9]{1,5})")


def parse_target(target: str) -> Address:
    """Splits "127.0.0.1:1883" or "[::1]:1883"; ValueError for what is not on this machine."""
    match = _TARGET.fullmatch(target)
    if match is None or not 1 <= int(match[3]) <= 65_535:
        raise ValueError(f"bridge target {target!r} is not on this machine; use 127.0.0.1:PORT or [::1]:PORT")
    return match[1] or match[2], int(match[3])


class BridgeHost(VirtualHost):
    """Relays every virtual port of this host to `target`; a connection refused there is refused here.

    `holds_expired` and `held_wall_s` tell what waiting cost; `oversize` counts replies over 1472 octets.
    """

    def __init__(self, target: str, hold_wall_s: float = HOLD_WALL_S) -> None:
        self.target = parse_target(target)
        self.hold_wall_s = hold_wall_s
        self.holds_expired = 0
        self.held_wall_s = 0.0
        self.oversize = 0
        self._family = socket.AF_INET6 if ":" in self.target[0] else socket.AF_INET
        self._selector = selectors.DefaultSelector()
        self._flows: set[_Flow] = set()
        self._datagram_flows: dict[tuple[Address, int], _UdpFlow] = {}
        self._expecting: dict[_Flow, float | None] = {}  # until this wall time; None = yet to begin
        self._expiries: dict[Look, int] = {}  # how many steps the hold in this situation is shortened
        self._settling = False

    # --- the virtual side ---

    def accept(self, connection: TcpConnection, syn: Packet) -> bool:
        peer = socket.socket(self._family, socket.SOCK_STREAM)
        peer.settimeout(self.hold_wall_s)
        try:
            peer.connect(self.target)
        except OSError:
            peer.close()
            return False
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flow = _TcpFlow(self, peer, connection)
        self._flows.add(flow)
        self.expect(flow)
        return True

    def on_datagram(self, payload: bytes, source: Address, port: int) -> None:
        flow = self._datagram_flows.pop((source, port), None)
        if flow is None:
            if len(self._datagram_flows) >= MAX_UDP_FLOWS:
                self._datagram_flows[next(iter(self._datagram_flows))].end()
            peer = socket.socket(self._family, socket.SOCK_DGRAM)
            peer.connect(self.target)
            flow = _UdpFlow(self, peer, lambda reply: self.stack.send_datagram(port, source, reply))
            flow.on_end = lambda: self._datagram_flows.pop((source, port), None)
            self._flows.add(flow)
        self._datagram_flows[source, port] = flow  # last used last
        flow.from_device(payload)

    def settle(self) -> None:
        """Takes in what real peers have said and holds for what is expected; virtual time stands still."""
        if not self._flows:
            return
        begin = now = time.monotonic()
        self._settling = True
        self._pump(0)
        # The limit is for a peer that never stops talking.
        while self._expecting and now < begin + 2 * self.hold_wall_s:
            for flow, until in list(self._expecting.items()):
                if until is None:
                    self._expecting[flow] = now + self._patience(flow.look)
                elif until <= now:
                    del self._expecting[flow]
                    self._expiries[flow.look] = min(self._level(flow.look) + 1, SHORTEST)
                    self.holds_expired += flow.look.pieces == 0
            self._pump(min((until for until in self._expecting.values() if until), default=now) - now)
            now = time.monotonic()
        self._expecting.clear()
        self._settling = False
        self.held_wall_s += now - begin

    def close(self) -> None:
        """Closes the real sockets."""
        for flow in list(self._flows):
            flow.end()
        self._selector.close()

    # --- the flows' side ---

    def expect(self, flow: _Flow) -> None:
        """Holds for the peer of `flow`, as soon as all that arrives at this virtual instant has arrived."""
        self._expecting[flow] = None
        if not self._settling:
            self.stack.clock.after(0, self.settle)

    def expects(self, flow: _Flow) -> bool:
        return flow in self._expecting

    def answered(self, flow: _Flow) -> None:
        """What was expected of `flow` has come."""
        self._expecting.pop(flow, None)
        self._expiries.pop(flow.look, None)

    def watch(self, flow: _Flow, events: int) -> None:
        """Which of selectors' events of its socket `flow` wants to be called for."""
        registered = self._selector.get_map().get(flow.peer)
        if not events:
            if registered is not None:
                self._selector.unregister(flow.peer)
        elif registered is None:
            self._selector.register(flow.peer, events, flow)
        elif registered.events != events:
            self._selector.modify(flow.peer, events, flow)

    def forget(self, flow: _Flow) -> None:
        self.watch(flow, 0)
        self._expecting.pop(flow, None)
        self._flows.discard(flow)

    def _level(self, look: Look) -> int:
        return self._expiries.get(look, min(look.pieces, 1))

    def _patience(self, look: Look) -> float:
        return max(self.hold_wall_s / DECAY ** self._level(look), min(FLOOR_WALL_S, self.hold_wall_s))

    def _pump(self, timeout: float) -> None:
        """Serves the real sockets that are ready within `timeout` wall seconds."""
        for key, events in sorted(self._selector.select(timeout), key=lambda item: item[0].fd):
            key.data.pump(events)


class Look(NamedTuple):
    """A situation in which a peer may speak: after `pieces` of answer (counted to 3) to a burst.

    `first`: its first octet, -1 = not considered; `magnitude`: bits of its length. With `pieces` > 0 silence
    is the rule, so the hold begins one step shorter. A new connection has one: some servers speak first.
    """

    datagram: bool
    first: int
    magnitude: int
    pieces: int


class _Flow:
    """One real socket, and the situation it is in."""

    datagram = False

    def __init__(self, bridge: BridgeHost, peer: socket.socket) -> None:
        self.bridge = bridge
        self.peer = peer
        self.look = Look(self.datagram, -1, 0, 1)
        self.on_end: Callable[[], object] = _nothing
        self._length = 0
        peer.setblocking(False)
        bridge.watch(self, selectors.EVENT_READ)

    @property
    def open(self) -> bool:
        return self.peer.fileno() >= 0

    def sent(self, octets: bytes) -> None:
        """Octets (none: the end of the stream) go to the peer; those of one instant make up one burst."""
        look = self.look
        if look.pieces or not self.bridge.expects(self):
            look = look._replace(first=octets[0] if octets and look.pieces else -1)
            self._length = 0
        self._length += len(octets)
        self.look = look._replace(magnitude=self._length.bit_length(), pieces=0)
        self.bridge.expect(self)

    def heard(self, *, more: bool) -> None:
        """The peer spoke; `more` may follow."""
        self.bridge.answered(self)
        self.look = self.look._replace(pieces=min(self.look.pieces + 1, 3))
        if more:
            self.bridge.expect(self)

    def pump(self, events: int) -> None:
        raise NotImplementedError

    def end(self, *, reset: bool = False) -> None:
        """Closes the real socket, with RST if `reset`."""
        if not self.open:
            return
        self.bridge.forget(self)
        if reset:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.peer.close()
        self.on_end()


class _TcpFlow(_Flow):
    def __init__(self, bridge: BridgeHost, peer: socket.socket, connection: TcpConnection) -> None:
        super().__init__(bridge, peer)
        self._connection = connection
        self._unsent = b""  # taken from the device, refused by the real socket's full buffer
        self._peer_done = False
        connection.on_readable = self._from_device
        connection.on_acked = self._to_device
        connection.on_peer_closed = self._device_done
        connection.on_closed = lambda reason: self.end(reset=reason != DONE)

    def pump(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            data, self._unsent = self._unsent, b""
            self._to_peer(data)
            self._from_device()
            if self._connection.peer_closed:
                self._device_done()
        if events & selectors.EVENT_READ:
            self._to_device()

    def _from_device(self) -> None:
        # While the peer does not take octets the virtual ones stay in the connection: its window shuts.
        if self.open and not self._unsent and self._connection.readable:
            data = self._connection.read()
            self.sent(data)
            self._to_peer(data)

    def _to_peer(self, data: bytes) -> None:
        try:
            self._unsent = data[self.peer.send(data) :]
        except BlockingIOError:
            self._unsent = data
        except OSError:
            self._connection.abort()
            self.end()
            return
        self._watch()

    def _device_done(self) -> None:
        if self.open and not self._unsent:
            self.sent(b"")  # most peers close in answer
            try:
                self.peer.shutdown(socket.SHUT_WR)
            except OSError:
                self._connection.abort()
                self.end()

    def _to_device(self) -> None:
        connection = self._connection
        while self.open and connection.room and not self._peer_done:
            try:
                data = self.peer.recv(min(connection.room, CHUNK))
            except BlockingIOError:
                break
            except OSError:
                connection.abort()
                self.end()
                return
            if data:
                connection.send(data)
                self.heard(more=connection.room > 0)
            else:
                self._peer_done = True
                connection.shutdown()
                self.heard(more=False)
        self._watch()

    def _watch(self) -> None:
        if self.open:
            wants_read = self._connection.room and not self._peer_done
            read = selectors.EVENT_READ if wants_read else 0
            self.bridge.watch(self, read | (selectors.EVENT_WRITE if self._unsent else 0))


class _UdpFlow(_Flow):
    datagram = True

    def __init__(self, bridge: BridgeHost, peer: socket.socket, to_device: Callable[[bytes], None]) -> None:
        super().__init__(bridge, peer)
        self._to_device = to_device

    def from_device(self, payload: bytes) -> None:
        self.sent(payload)
        try:
            self.peer.send(payload)
        except OSError:  # a datagram may be lost: full buffer, or nobody bound to the port
            self.heard(more=False)

    def pump(self, events: int) -> None:
        while True:
            try:
                reply = self.peer.recv(CHUNK)
            except BlockingIOError:
                return
            except OSError:  # nobody is bound to the port
                self.heard(more=False)
                return
            self.heard(more=True)
            if len(reply) > MAX_DATAGRAM:
                self.bridge.oversize += 1
            else:
                self._to_device(reply)


def _nothing() -> None:
    pass
