"""One address with its TCP connections and UDP ports: what a host has, and what a modem has inside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from host_tools.sim.clock import Clock
from host_tools.sim.network.packet import (
    ACK,
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP,
    RST,
    SYN,
    TCP,
    Address,
    Packet,
    echo,
    udp,
)
from host_tools.sim.network.tcp import TcpConnection, reset_for

FIRST_EPHEMERAL = 49_152  # RFC 6335 6
Datagram = Callable[[bytes, Address], None]


class IpStack:
    """`deliver` takes arriving packets, `emit` gets leaving ones.

    A SYN for no connection is offered to `accept(connection, syn)`, which sets the callbacks and returns True
    to take it; otherwise, as any other packet of no connection, it is answered with RST. A datagram goes to
    the port bound with `bind`, else to `on_datagram(payload, source, port)`. `tcp_options` are keywords of
    TcpConnection.
    """

    def __init__(self, clock: Clock, ip: str, emit: Callable[[Packet], None], **tcp_options: Any) -> None:
        self.clock = clock
        self.ip = ip
        self.emit = emit
        self.tcp_options = tcp_options
        self.accept: Callable[[TcpConnection, Packet], bool] = _refuse
        self.on_datagram: Callable[[bytes, Address, int], None] = _ignore
        self.connections: dict[tuple[int, Address], TcpConnection] = {}
        self._ports: dict[int, Datagram] = {}
        self._pings: dict[int, Callable[[], None]] = {}  # by identifier
        self._next_port = FIRST_EPHEMERAL

    def open(self, remote: Address, local_port: int = 0, **tcp_options: Any) -> TcpConnection:
        """A closed connection; set its callbacks, then call its `connect()`. Port 0 picks an ephemeral one.

        OSError when another connection has the same ports and peer.
        """
        port = local_port or self.free_port()
        if (port, remote) in self.connections:
            raise OSError(f"port {port} to {remote[0]}:{remote[1]} is in use")
        return self._new(port, remote, tcp_options)

    def bind(self, port: int, receive: Datagram) -> int:
        """Gives datagrams for `port` (0 picks one) to `receive(payload, source)`; returns the port."""
        port = port or self.free_port()
        self._ports[port] = receive
        return port

    def unbind(self, port: int) -> None:
        self._ports.pop(port, None)

    def send_datagram(self, port: int, remote: Address, payload: bytes) -> None:
        """Sends from the local `port`; ValueError beyond 1472 octets."""
        self.emit(udp((self.ip, port), remote, payload))

    def ping(self, ip: str, identifier: int, payload: bytes, answered: Callable[[], None]) -> None:
        """Sends an echo request; `answered` is called for the reply to the last one of that identifier."""
        self._pings[identifier] = answered
        self.emit(echo(ECHO_REQUEST, (self.ip, identifier), (ip, identifier), payload))

    def _echo(self, packet: Packet) -> None:
        if packet.flags == ECHO_REQUEST:
            self.emit(echo(ECHO_REPLY, packet.dst, packet.src, packet.payload))
        elif (answered := self._pings.pop(packet.dst[1], None)) is not None:
            answered()

    def free_port(self) -> int:
        """The next ephemeral port, in turn, so that a port comes back as late as possible."""
        port = self._next_port
        self._next_port = port + 1 if port < 65_535 else FIRST_EPHEMERAL
        return port

    def drop(self) -> None:
        """Forgets everything without a packet, as a power cut does."""
        for connection in list(self.connections.values()):
            connection.drop()
        self._ports.clear()
        self._pings.clear()

    def deliver(self, packet: Packet) -> None:
        """Takes a packet addressed to `ip`."""
        port = packet.dst[1]
        if packet.proto == ICMP:
            self._echo(packet)
            return
        if packet.proto != TCP:
            receive = self._ports.get(port)
            if receive is not None:
                receive(packet.payload, packet.src)
            else:
                self.on_datagram(packet.payload, packet.src, port)
            return
        connection = self.connections.get((port, packet.src))
        if connection is not None:
            connection.deliver(packet)
            return
        if packet.flags & (SYN | ACK | RST) == SYN:
            connection = self._new(port, packet.src, {})
            if self.accept(connection, packet):
                connection.accept(packet)
                return
            connection.on_released()
        if not packet.flags & RST:
            self.emit(reset_for(packet))

    def _new(self, port: int, remote: Address, options: dict[str, Any]) -> TcpConnection:
        options = {**self.tcp_options, **options}
        connection = TcpConnection(self.clock, self.emit, (self.ip, port), remote, **options)
        key = (port, remote)
        self.connections[key] = connection
        connection.on_released = partial(self.connections.__delitem__, key)
        return connection


def _refuse(_: TcpConnection, __: Packet) -> bool:
    return False


def _ignore(_: bytes, __: Address, ___: int) -> None:
    pass
