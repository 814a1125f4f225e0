"""What MicroPython's port has of lwIP, on a simulated board: `network.PPP` on the UART, and sockets over it.

`firmware/usageguard/hal/host_ppp.py` is the device's side; the numbers of requests are that file's.
"""

from __future__ import annotations

import errno
import random
import struct
from collections import deque
from collections.abc import Callable
from socket import inet_aton, inet_ntoa
from typing import Final

from host_tools.sim.clock import Clock
from host_tools.sim.network.packet import Address, Packet
from host_tools.sim.network.ppp.link import PppLink, Side
from host_tools.sim.network.stack import IpStack
from host_tools.sim.network.tcp import DONE, ESTABLISHED, REFUSED, TIMED_OUT, TcpConnection

# ESP-IDF's defaults: CONFIG_LWIP_TCP_MSS, _TCP_WND_DEFAULT, _TCP_SND_BUF_DEFAULT, _UDP_RECVMBOX_SIZE
MSS, WINDOW, SEND_BUFFER, DATAGRAMS = 1_440, 5_760, 5_760, 6
UPDATE = WINDOW // 4  # lwIP's TCP_WND_UPDATE_THRESHOLD
WIFI_DNS: Final = "192.168.4.1"
_NOBODY: Final = "0.0.0.0"
STREAM = 3  # of the requests: PPP gets the UART, or leaves it
INACTIVE, CONNECTING, CONNECTED = 0, 3, 4  # `status()`
PEER_DEAD: Final = -9  # minus lwIP's PPPERR_PEERDEAD
POLLIN, POLLOUT, POLLERR, POLLHUP = 1, 4, 8, 16
NONE, DATA, END, ERROR = range(4)  # what a read says first
_ERRORS: Final = {REFUSED: errno.ECONNREFUSED, TIMED_OUT: errno.ETIMEDOUT}


class Socket:
    """One socket. `error`, once set, is what every later call gives."""

    def __init__(self, stack: IpStack, tcp: bool, stir: Callable[[], None]) -> None:
        self._stack, self._tcp, self._stir = stack, tcp, stir
        self._connection: TcpConnection | None = None
        self._datagrams: deque[bytes] = deque(maxlen=DATAGRAMS)
        self._peer: Address = ("", 0)
        self._port = 0
        self._ended = False
        self.error = 0
        self.bound = _NOBODY

    def connect(self, peer: Address) -> int:
        """An errno; EINPROGRESS for a stream."""
        self._peer = peer
        if not self._tcp:
            self._port = self._port or self._stack.bind(0, self._datagram)
            return 0
        self._connection = connection = self._stack.open(peer)
        connection.on_connected = connection.on_readable = connection.on_acked = self._stir
        connection.on_peer_closed = self._closed_by_peer
        connection.on_closed = self._closed
        connection.connect()
        return errno.EINPROGRESS

    def _datagram(self, payload: bytes, source: Address) -> None:
        if source == self._peer:
            self._datagrams.append(payload)
            self._stir()

    def _closed_by_peer(self) -> None:
        self._ended = True
        self._stir()

    def _closed(self, reason: str) -> None:
        self._ended = True
        if reason != DONE:
            self.error = _ERRORS.get(reason, errno.ECONNRESET)
        self._stir()

    def lose(self) -> None:
        """The interface is down."""
        self.error = errno.ECONNRESET
        self._connection = None

    def read(self, n: int) -> bytes:
        """What it says, then the octets, or the error."""
        if not self._tcp:
            return bytes((DATA,)) + self._datagrams.popleft()[:n] if self._datagrams else bytes((NONE,))
        data = self._connection.read(n) if self._connection is not None else b""
        if data:
            return bytes((DATA,)) + data
        if self.error:
            return bytes((ERROR, self.error))
        return bytes((END if self._ended else NONE,))

    def write(self, data: bytes) -> int:
        """Octets taken, or minus an errno."""
        if self.error:
            return -self.error
        if not self._tcp:
            self._stack.send_datagram(self._port, self._peer, data)
            return len(data)
        if self._connection is None:
            return -errno.ENOTCONN
        return self._connection.send(data) or -errno.EAGAIN

    def ready(self, events: int) -> int:
        """As of a poll."""
        found = POLLERR | POLLHUP if self.error else 0
        connection = self._connection
        if self._datagrams or self._ended or (connection is not None and connection.readable):
            found |= POLLIN
        if not self._tcp or (connection is not None and connection.state == ESTABLISHED and connection.room):
            found |= POLLOUT
        return found & (events | POLLERR | POLLHUP)

    def close(self) -> None:
        if self._port:
            self._stack.unbind(self._port)
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.on_readable = connection.on_acked = connection.on_peer_closed = _nothing
            connection.close()


class Lwip:
    """PPP and its sockets. `transmit` has the UART's octets; `take()` gives what the UART has received.

    `streaming`: PPP has the UART. `stirred`: something happened to a socket, or to the link; the board's wait ends.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        transmit: Callable[[bytes], None],
        take: Callable[[], bytes],
    ) -> None:
        self._clock, self._rng, self._transmit, self._take = clock, rng, transmit, take
        self.streaming = self.stirred = False
        self._default = True  # PPP has the default route
        self._dns = _NOBODY
        self._status = INACTIVE
        self._link: PppLink | None = None
        self._stack = IpStack(clock, _NOBODY, _drop)
        self._sockets: dict[int, Socket] = {}
        self._numbers = 0

    def stop(self) -> None:
        """The board is reset."""
        if self._link is not None:
            self._link.drop()
        self._stack.drop()

    def wifi_connects(self) -> None:
        """Another interface takes the default route, to nobody, and lwIP's one place for a name server. What is bound
        to PPP's address goes by PPP all the same."""
        self._default, self._dns = False, WIFI_DNS

    def handle(self, what: int, arg: int, payload: bytes) -> bytes:
        """One request of the device's."""
        return self._calls[what](self, arg, payload)

    def _write(self, octets: bytes) -> None:
        if self.streaming:
            self._transmit(octets)

    def _poll(self, arg: int, payload: bytes) -> bytes:
        octets = self._take() if self.streaming and self._link is not None else b""
        if octets and self._link is not None:
            self._link.feed(octets)
        return struct.pack("<i", len(octets))

    def _connect(self, arg: int, payload: bytes) -> bytes:
        if self._status != INACTIVE:
            return bytes((errno.EALREADY,))
        side = Side(asks_dns=True, vj=bool(arg), accm=0)  # lwIP wants nothing escaped
        self._link = link = PppLink(self._clock, side, self._rng, self._write)
        link.on_up, link.on_down = self._up, self._down
        self._status = CONNECTING
        self._default = True
        link.open()
        return b"\0"

    def _up(self) -> None:
        link = self._link
        assert link is not None
        self._status = CONNECTED
        self._dns = link.dns
        self._stack = stack = IpStack(
            self._clock,
            link.address,
            link.send,
            mss=MSS,
            receive_buffer=WINDOW,
            send_buffer=SEND_BUFFER,
            update=UPDATE,
        )
        link.on_packet = self._deliver
        stack.accept = _refuse
        self.stirred = True

    def _deliver(self, packet: Packet) -> None:
        if packet.dst[0] == self._stack.ip:
            self._stack.deliver(packet)

    def _down(self, reason: str) -> None:
        self._status = INACTIVE if reason == "closed" else PEER_DEAD
        self._link = None
        self._lose_all()
        self.stirred = True

    def _lose_all(self) -> None:
        self._stack.drop()
        for each in self._sockets.values():
            each.lose()

    def _disconnect(self, arg: int, payload: bytes) -> bytes:
        if self._link is not None:
            self._link.close()
        else:
            self._status = INACTIVE
        return b""

    def _stream(self, arg: int, payload: bytes) -> bytes:
        self.streaming = bool(arg)
        return b""

    def _tell_status(self, arg: int, payload: bytes) -> bytes:
        return struct.pack("<b", self._status)

    def _addresses(self, arg: int, payload: bytes) -> bytes:
        link = self._link
        if link is None:
            return bytes(16)
        return inet_aton(link.address) + b"\xff" * 4 + inet_aton(link.peer) + inet_aton(self._dns)

    def _socket(self, arg: int, payload: bytes) -> bytes:
        self._numbers = (self._numbers + 1) & 0x7FFF
        self._sockets[self._numbers] = Socket(self._stack, bool(arg), self._stir)
        return struct.pack("<H", self._numbers)

    def _stir(self) -> None:
        self.stirred = True

    def _bind(self, arg: int, payload: bytes) -> bytes:
        self._sockets[arg].bound = inet_ntoa(payload)
        return b""

    def _connect_socket(self, arg: int, payload: bytes) -> bytes:
        socket = self._sockets[arg & 0xFFFF]
        if not self._default and socket.bound != self._stack.ip:
            return bytes((errno.EHOSTUNREACH,))
        return bytes((socket.connect((inet_ntoa(payload), arg >> 16)),))

    def _read(self, arg: int, payload: bytes) -> bytes:
        self.stirred = False
        return self._sockets[arg & 0xFFFF].read(arg >> 16)

    def _write_socket(self, arg: int, payload: bytes) -> bytes:
        return struct.pack("<i", self._sockets[arg].write(payload))

    def _ready(self, arg: int, payload: bytes) -> bytes:
        return bytes((self._sockets[arg & 0xFFFF].ready(arg >> 16),))

    def _close(self, arg: int, payload: bytes) -> bytes:
        self._sockets.pop(arg).close()
        return b""

    _calls: tuple[Callable[..., bytes], ...] = (
        _poll,
        _connect,
        _disconnect,
        _stream,
        _tell_status,
        _addresses,
        _socket,
        _connect_socket,
        _read,
        _write_socket,
        _ready,
        _close,
        _bind,
    )


def _drop(_: Packet) -> None:
    pass


def _refuse(_: TcpConnection, __: Packet) -> bool:
    return False


def _nothing() -> None:
    pass
