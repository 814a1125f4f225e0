"""A host of which nobody said what it is: speaks the protocol of whoever connects, as little of it as goes on."""

from __future__ import annotations

import re
from collections.abc import Callable

from host_tools.sim.network.hosts import VirtualHost
from host_tools.sim.network.packet import Address, Packet
from host_tools.sim.network.tcp import TcpConnection

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_METHOD = re.compile(rb"[A-Z]{3,7} ")
_MOST_HEAD = 8192
_ECHO = 7  # RFC 862


class StandIn(VirtualHost):
    """Answers HTTP requests with an empty 200, MQTT clients as a broker does that has no other client, and echoes on
    port 7; takes anything else and is silent, as it is to datagrams. `spoke` are the names of what it heard."""

    def __init__(self) -> None:
        self.spoke: set[str] = set()

    def accept(self, connection: TcpConnection, syn: Packet) -> bool:
        first = _First(self, connection)
        if syn.dst[1] == _ECHO:
            first.echo()
        return True

    def on_datagram(self, payload: bytes, source: Address, port: int) -> None:
        self.spoke.add("datagrams")


class _First:
    """A connection whose protocol is not known yet."""

    def __init__(self, host: StandIn, connection: TcpConnection) -> None:
        self._host, self._connection = host, connection
        self._buffer = bytearray()
        self._speak: Callable[[], None] | None = None
        connection.on_readable = self._read
        connection.on_peer_closed = connection.close

    def _read(self) -> None:
        self._buffer += self._connection.read()
        if self._speak is None:
            self._recognize()
        if self._speak:
            self._speak()

    def _recognize(self) -> None:
        start = bytes(self._buffer[:14])
        if start[:1] == b"\x10" and (b"MQTT" in start or b"MQIsdp" in start):
            self._become("MQTT", self._mqtt)
        elif _METHOD.match(start):
            self._become("HTTP", self._http)
        elif len(start) >= 8:
            self._become("a protocol that it does not know", self._take)

    def _become(self, name: str, speak: Callable[[], None]) -> None:
        self._host.spoke.add(name)
        self._speak = speak

    def echo(self) -> None:
        self._become("echo", self._echo)

    def _echo(self) -> None:
        self._connection.send(self._buffer)
        self._buffer.clear()

    def _take(self) -> None:
        self._buffer.clear()

    def _http(self) -> None:
        buffer = self._buffer
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(buffer[:end])
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(buffer) < whole:
                return
            del buffer[:whole]
            self._connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            if b"HTTP/1.0" in head or b"connection: close" in head.lower():
                self._connection.close()
        if len(buffer) > _MOST_HEAD and b"\r\n\r\n" not in buffer:
            self._connection.abort()

    def _mqtt(self) -> None:
        buffer = self._buffer
        while len(buffer) >= 2:
            length = at = 0
            while True:
                at += 1
                if at >= len(buffer):
                    return
                length |= (buffer[at] & 0x7F) << 7 * (at - 1)
                if not buffer[at] & 0x80:
                    break
            whole = at + 1 + length
            if len(buffer) < whole:
                return
            kind, body = buffer[0], bytes(buffer[at + 1 : whole])
            del buffer[:whole]
            self._answer(kind >> 4, kind >> 1 & 3, body)

    def _answer(self, kind: int, qos: int, body: bytes) -> None:
        """OASIS MQTT 3.1.1, chapter 3."""
        send = self._connection.send
        if kind == 1:
            send(b"\x20\x02\x00\x00")
        elif kind == 3 and qos:
            topic = 2 + int.from_bytes(body[:2], "big")
            send(bytes((0x40 if qos == 1 else 0x50, 2)) + body[topic : topic + 2])
        elif kind == 6:
            send(b"\x70\x02" + body[:2])
        elif kind == 8:
            send(b"\x90\x03" + body[:2] + b"\x00")
        elif kind == 10:
            send(b"\xb0\x02" + body[:2])
        elif kind == 12:
            send(b"\xd0\x00")
        elif kind == 14:
            self._connection.close()
