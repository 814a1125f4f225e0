"""Virtual hosts: what a device talks to when no real peer is bridged in."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import Address, Packet
from host_tools.sim.network.stack import IpStack
from host_tools.sim.network.tcp import TcpConnection

MAGIC = b"UG"
HEADER = struct.Struct(">2sHI")  # magic, request length with this header, reply length
REQUEST_HEADER = HEADER.size
SEND_BUFFER = 256 * 1024  # octets; above the window, so that a long reply goes out in full segments
_PATTERN = bytes(range(256)) * 257  # a reply's octet i is i % 256


class VirtualHost:
    """A host with a stack of its own; takes connections on every port. Subclasses say what happens on one."""

    stack: IpStack

    def join(self, internet: Internet, ip: str) -> None:
        self.stack = IpStack(internet.clock, ip, internet.send, nagle=False, send_buffer=SEND_BUFFER, timestamps=True)
        self.stack.accept = self.accept
        self.stack.on_datagram = self.on_datagram

    def deliver(self, packet: Packet) -> None:
        self.stack.deliver(packet)

    def settle(self) -> None:
        """Nothing real is behind this host."""

    def close(self) -> None:
        """Nothing real is held."""

    def accept(self, connection: TcpConnection, syn: Packet) -> bool:
        return False

    def on_datagram(self, payload: bytes, source: Address, port: int) -> None:
        pass


class Responder(VirtualHost):
    """Answers each request on a TCP connection with as many octets as it asks for; closes after the peer."""

    def __init__(self) -> None:
        self.requests = 0

    def accept(self, connection: TcpConnection, syn: Packet) -> bool:
        _Exchange(self, connection)
        return True


class _Exchange:
    """One connection to a Responder. A request that does not begin with b"UG" resets the connection."""

    def __init__(self, host: Responder, connection: TcpConnection) -> None:
        self._host = host
        self._connection = connection
        self._buffer = bytearray()
        self._replies: deque[int] = deque()  # lengths asked for and not yet wholly sent
        self._sent = 0  # octets of the first of them
        connection.on_readable = self._read
        connection.on_acked = self._write
        connection.on_peer_closed = self._write

    def _read(self) -> None:
        buffer = self._buffer
        buffer += self._connection.read()
        while len(buffer) >= REQUEST_HEADER:
            magic, request, reply = HEADER.unpack_from(buffer)
            if magic != MAGIC or request < REQUEST_HEADER:
                self._connection.abort()
                return
            if len(buffer) < request:
                break
            del buffer[:request]
            self._host.requests += 1
            self._replies.append(reply)
        self._write()

    def _write(self) -> None:
        while self._replies:
            at = self._sent % len(_PATTERN)
            left = self._replies[0] - self._sent
            taken = self._connection.send(_PATTERN[at : at + left])
            self._sent += taken
            if self._sent < self._replies[0]:
                if not taken:
                    return
            else:
                self._replies.popleft()
                self._sent = 0
        if self._connection.peer_closed:
            self._connection.close()


class Sink(VirtualHost):
    """Takes whatever comes, by TCP and UDP, and counts its octets."""

    def __init__(self) -> None:
        self.octets = 0

    def accept(self, connection: TcpConnection, syn: Packet) -> bool:
        connection.on_readable = lambda: self._take(connection.read())
        connection.on_peer_closed = connection.close
        return True

    def on_datagram(self, payload: bytes, source: Address, port: int) -> None:
        self._take(payload)

    def _take(self, payload: bytes) -> None:
        self.octets += len(payload)


class NtpServer(VirtualHost):
    """Answers NTP clients (RFC 5905) with the simulated time, which is wrong by `error_s`; a server that `refuses`
    sends a kiss-o'-death (section 7.4)."""

    _PACKET = struct.Struct(">BBbbII4sQ8sQQ")  # RFC 5905 section 7.3
    _CLIENT, _SERVER = 3, 4  # modes
    _UNIX_EPOCH = 2_208_988_800  # seconds from 1900-01-01 to 1970-01-01

    def __init__(self) -> None:
        self.error_s = 0
        self.refuses = False
        self.answered = 0

    def on_datagram(self, payload: bytes, source: Address, port: int) -> None:
        if len(payload) < self._PACKET.size or payload[0] & 7 != self._CLIENT:
            return
        self.answered += 1
        utc = self.stack.clock.utc() + timedelta(seconds=self.error_s)
        seconds = int(utc.timestamp()) + self._UNIX_EPOCH
        stamp = (seconds % (1 << 32) << 32) + (utc.microsecond << 32) // 1_000_000
        leap, stratum, reference = (3, 0, b"RATE") if self.refuses else (0, 2, b"\xcb\x00q\x01")
        first = leap << 6 | payload[0] & 0x38 | self._SERVER
        times = (0, payload[40:48], 0, 0) if self.refuses else (stamp, payload[40:48], stamp, stamp)
        answer = self._PACKET.pack(first, stratum, 6, -20, 0x0100, 0x0200, reference, *times)
        self.stack.send_datagram(port, source, answer)


class UdpHandlerHost(VirtualHost):
    """Answers each datagram, to any port, with what `handle(payload, source)` returns; None = no answer."""

    def __init__(self, handle: Callable[[bytes, Address], bytes | None]) -> None:
        self._handle = handle

    def on_datagram(self, payload: bytes, source: Address, port: int) -> None:
        reply = self._handle(payload, source)
        if reply is not None:
            self.stack.send_datagram(port, source, reply)
