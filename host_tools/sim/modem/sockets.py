"""The sockets inside a modem, over its bearer's IP stack; a dialect gives them commands and result codes."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Generic, TypeVar

from host_tools.sim.clock import Timer
from host_tools.sim.modem.command import Part
from host_tools.sim.modem.data import Context
from host_tools.sim.modem.port import Port
from host_tools.sim.modem.resolver import Resolver
from host_tools.sim.network.packet import Address
from host_tools.sim.network.tcp import CLOSED, TcpConnection

AFTER_OK_MS = 1
"""From a command's OK to an unsolicited result that never comes before it."""
_PUSH_RETRY_MS = 20


class State(Enum):
    OPENING = auto()
    CONNECTED = auto()
    FAILED = auto()  # it never got connected
    CLOSING = auto()  # ended by either side; what has arrived stays readable


class Failure(Enum):
    """Why a socket did not get connected."""

    NAME = auto()  # the name has no address
    BIND = auto()  # the local port is in use
    CONNECT = auto()  # refused, or ended by the peer
    TIMEOUT = auto()
    CONTEXT = auto()  # the data session ended


class Socket:
    """One socket of `context`. With `any_peer` a datagram socket takes what any address sends."""

    def __init__(
        self, number: int, context: Context, *, tcp: bool, local_port: int = 0, any_peer: bool = False
    ) -> None:
        self.number, self.context, self.tcp, self.any_peer = number, context, tcp, any_peer
        self.state = State.OPENING
        self.remote: Address = ("0.0.0.0", 0)
        self.local_port = local_port
        self.connection: TcpConnection | None = None
        self.datagrams: deque[tuple[bytes, Address]] = deque()
        self.sent = self.read_octets = 0
        self.timer: Timer | None = None
        self.when_closed: Callable[[], None] | None = None  # while it closes

    @property
    def unread(self) -> int:
        """Octets that have arrived and were not read."""
        if self.connection is not None:
            return self.connection.readable
        return sum(len(data) for data, _ in self.datagrams)

    @property
    def unacked(self) -> int:
        """Octets that were sent and not acknowledged."""
        return self.connection.unacked if self.connection is not None else 0

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Pushes:
    """Hands payload over unasked, one piece after the other, as fast as the line takes them: the rest keeps the window
    shut. `push` writes one, and returns its octets on the line; 0 if there is none."""

    def __init__(self, port: Port, push: Callable[[], int]) -> None:
        self._port, self._push = port, push
        self._pending = False

    def start(self) -> None:
        """The modem has booted."""
        self._pending = False

    def soon(self, ms: int = 0) -> None:
        """There may be a piece in `ms`."""
        if not self._pending:
            self._pending = True
            self._port.after(ms, self._go_on)

    def _go_on(self) -> None:
        self._pending = False
        if self._port.prompting or self._port.held_back:
            self.soon(_PUSH_RETRY_MS)
        elif not self._port.hung and (octets := self._push()):
            self.soon(octets * 10_000 // (self._port.nvm.number("+IPR") or 115_200) + 1)


S = TypeVar("S", bound=Socket)


class Sockets(Part, Generic[S]):
    """`sockets` by their number. A dialect declares its commands in a subclass, and in the methods under "what happens"
    tells the host."""

    most_datagrams: int | None = None
    """How many wait at most for one socket, where not only their octets count."""

    def __init__(self, port: Port, rng: random.Random) -> None:
        super().__init__(port)
        self.sockets: dict[int, S] = {}
        self.refused_sends = 0  # the next so many find the buffer full, for faults
        self.resolver = Resolver(port, rng)

    def stop(self) -> None:
        self.sockets.clear()
        self.resolver.forget()

    # --- what happens ---

    def opened(self, socket: S, failure: Failure | None) -> None:
        """The socket is connected, or why it is not."""

    def arrived(self, socket: S) -> None:
        """Payload can be read."""

    def dropped(self, socket: S, octets: int) -> None:
        """A datagram of so many octets found the receive buffer full, of octets or of datagrams."""

    def peer_closed(self, socket: S) -> None:
        """The peer has ended a connected socket."""

    def killed(self, socket: S) -> None:
        """The data session has ended under the socket."""

    # --- what a dialect does ---

    def open(self, socket: S, host: str, port: int, timeout_ms: int) -> None:
        """Takes the socket in and connects it, after a look-up of a name; `opened` is called later, and only once."""
        self.sockets[socket.number] = socket
        socket.timer = self.port.after(timeout_ms, self._opened, socket, Failure.TIMEOUT)
        self.port.after(AFTER_OK_MS, self._find, socket, host, port)

    def send(self, socket: S, data: bytes, remote: Address | None = None) -> bool:
        """Sends on a connected socket, a datagram to `remote` if given; False where the send buffer has no room."""
        if self.refused_sends:
            self.refused_sends -= 1
            return False
        connection, stack = socket.connection, socket.context.stack
        if connection is not None:
            if len(data) > connection.room:
                return False
            connection.send(data)
        elif stack is not None and data:
            stack.send_datagram(socket.local_port, remote or socket.remote, data)
        socket.sent += len(data)
        return True

    def read(self, socket: S, limit: int) -> tuple[bytes, Address]:
        """Up to `limit` octets of what has arrived, of a stream or of one datagram, and who sent them."""
        source = socket.remote
        if socket.connection is not None:
            data = socket.connection.read(limit)
        elif socket.datagrams:
            data, source = socket.datagrams.popleft()
            if len(data) > limit:
                socket.datagrams.appendleft((data[limit:], source))
                data = data[:limit]
        else:
            data = b""
        socket.read_octets += len(data)
        return data, source

    def close(self, socket: S, timeout_ms: int, done: Callable[[], None]) -> bool:
        """Ends the socket; True where that is done at once. Otherwise `done` is called when the peer has ended it too,
        which a reset after `timeout_ms` does."""
        socket.stop_timer()
        connection = socket.connection
        socket.state = State.CLOSING
        if connection is None or connection.state == CLOSED:
            self.forget(socket)
            return True
        connection.on_readable = connection.on_peer_closed = connection.on_connected = _nothing
        connection.on_closed = _ignore
        connection.close()
        if connection.state == CLOSED:
            self.forget(socket)
            return True
        socket.when_closed = done
        connection.on_closed = lambda reason: self._closed(socket)
        socket.timer = self.port.after(timeout_ms, self._force, socket, connection)
        return False

    def _force(self, socket: S, connection: TcpConnection) -> None:
        connection.abort()
        self._closed(socket)

    def _closed(self, socket: S) -> None:
        done, socket.when_closed = socket.when_closed, None
        if done is not None:
            self.forget(socket)
            done()

    def forget(self, socket: S) -> None:
        """The socket's number is free again."""
        socket.stop_timer()
        if self.sockets.get(socket.number) is socket:
            del self.sockets[socket.number]
        if not socket.tcp and socket.context.stack is not None:
            socket.context.stack.unbind(socket.local_port)

    def context_down(self, cid: int, forget: bool) -> None:
        """The context ends, and its sockets with it. With `forget` the host has asked for it and is not told."""
        for socket in [s for s in self.sockets.values() if s.context.cid == cid]:
            opening = socket.state is State.OPENING
            socket.state = State.CLOSING
            socket.stop_timer()
            if socket.connection is not None:
                socket.connection.drop()
            self.killed(socket)
            if socket.when_closed is not None:
                self.port.after(0, self._closed, socket)
            if forget:
                self.sockets.pop(socket.number, None)
            elif opening:
                self._not_opened(socket, Failure.CONTEXT)
        self.resolver.context_down(cid)

    def lose_path(self, number: int) -> None:
        """No packet of socket `number` gets through from now on, either way."""
        socket = self.sockets.get(number)
        if socket is not None:
            socket.context.lost_ports.add(socket.local_port)

    # --- connecting ---

    def _find(self, socket: S, host: str, port: int) -> None:
        if socket.any_peer or is_ip(host):
            self._connect(socket, (host, port))
        else:
            self.resolver.resolve(socket.context, host, lambda ips: self._found(socket, ips, port))

    def _found(self, socket: S, ips: Sequence[str], port: int) -> None:
        if ips:
            self._connect(socket, (ips[0], port))
        else:
            self._opened(socket, Failure.NAME)

    def _connect(self, socket: S, remote: Address) -> None:
        stack = socket.context.stack
        if stack is None or socket.state is not State.OPENING:
            return
        socket.remote = remote
        if not socket.tcp:
            socket.local_port = stack.bind(
                socket.local_port, lambda data, source: self._datagram(socket, data, source)
            )
            self._opened(socket, None)
            return
        try:
            connection = stack.open(remote, socket.local_port)
        except OSError:
            self._opened(socket, Failure.BIND)
            return
        socket.connection = connection
        socket.local_port = connection.local[1]
        connection.on_connected = lambda: self._opened(socket, None)
        connection.on_readable = lambda: self.arrived(socket)
        connection.on_peer_closed = lambda: self._ended(socket)
        connection.on_closed = lambda reason: self._ended(socket)
        connection.connect()

    def _opened(self, socket: S, failure: Failure | None) -> None:
        if socket.state is not State.OPENING:
            return
        if failure:
            self._not_opened(socket, failure)
            return
        socket.stop_timer()
        socket.state = State.CONNECTED
        self.opened(socket, None)

    def _not_opened(self, socket: S, failure: Failure) -> None:
        socket.stop_timer()
        if socket.connection is not None:
            socket.connection.on_closed = _ignore
            socket.connection.drop()
        socket.state = State.FAILED
        self.opened(socket, failure)

    def _ended(self, socket: S) -> None:
        if socket.state is State.OPENING:
            self._not_opened(socket, Failure.CONNECT)
        elif socket.state is State.CONNECTED:
            socket.state = State.CLOSING
            self.peer_closed(socket)

    def _datagram(self, socket: S, data: bytes, source: Address) -> None:
        if not socket.any_peer and source != socket.remote:
            return
        full = self.most_datagrams is not None and len(socket.datagrams) >= self.most_datagrams
        if full or socket.unread + len(data) > self.profile.sockets.receive_octets:
            self.dropped(socket, len(data))
            return
        socket.datagrams.append((data, source))
        self.arrived(socket)


def is_ip(text: str) -> bool:
    """Whether it is an IPv4 address."""
    parts = text.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) < 4 and int(p) < 256 for p in parts)


def _nothing() -> None:
    pass


def _ignore(reason: str) -> None:
    pass
