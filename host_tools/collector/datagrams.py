"""The collector on a UDP port."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from host_tools.collector.intake import Collector, Exchange, Intake, Result
from host_tools.collector.writer import Batches, writing

_MOST_OCTETS = 2048  # of a datagram; a report has at most 175
_BUFFER_OCTETS = 1 << 22  # of the socket: what arrives while reports are written waits there
_AT_ONCE = 64  # datagrams read before other tasks run
_COLLECT_AFTER = 50_000  # objects more than were freed; of a report there are some ten until it is answered
_IP_PKTINFO = 8  # Linux, <linux/in.h>


class _Front:
    """Moves datagrams between a socket and a collector."""

    def __init__(self, intake: Intake, udp: socket.socket, writer: Batches) -> None:
        self._intake = intake
        self._udp = udp
        self._writer = writer
        asyncio.get_running_loop().add_reader(udp, self._read)

    def close(self) -> None:
        """Stops reading; what was read is answered still."""
        asyncio.get_running_loop().remove_reader(self._udp)

    def _read(self) -> None:
        now = self._intake.now()
        for _ in range(_AT_ONCE):
            try:
                datagram, ancillary, _, remote = self._udp.recvmsg(_MOST_OCTETS, _ANCILLARY_OCTETS)
            except OSError:  # nothing to read, or the ICMP error of a datagram that was sent
                return
            way = (remote, _source(ancillary) if ancillary else _ANY)
            taken = self._intake.receive(datagram, way, now)
            if isinstance(taken, Exchange):
                self._writer.put(taken, self._answer)
            elif taken is not None:
                self._send(taken, way)

    def _answer(self, exchange: Exchange, result: Result) -> None:
        self._send(self._intake.answer(exchange, result), exchange.remote)

    def _send(self, reply: bytes, way: Any) -> None:
        remote, source = way
        try:
            if source:
                self._udp.sendmsg([reply], source, 0, remote)
            else:
                self._udp.sendto(reply, remote)
        except OSError:  # same as a lost datagram: the device sends again
            pass


def bound(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """So many non-blocking UDP sockets on one port; 0 picks a free one. Raises OSError when it is in use.

    No other program can share the port. Of several sockets the system has one for each address that sends there, by
    its hash: what a device repeats comes to the same one.
    """
    first = _socket(host, port)
    if count == 1:
        return [first]
    port = first.getsockname()[1]
    first.close()  # it has found that the port is free: those that share one do not see others that do
    return [_socket(host, port, shared=True) for _ in range(count)]


def _socket(host: str, port: int, shared: bool = False) -> socket.socket:
    address = ipaddress.ip_address(host)
    udp = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)  # the system may allow less
        if address.is_unspecified and sys.platform == "linux":
            # Answers have to come from the address that the device sent to.
            if address.version == 4:
                udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            else:
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        if shared:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        udp.bind((host, port))
    except OSError:
        udp.close()
        raise
    return udp


_ANCILLARY_OCTETS = socket.CMSG_SPACE(20)  # struct in6_pktinfo; in_pktinfo has 12


_ANY: tuple[Any, ...] = ()


def _source(ancillary: list[Any]) -> tuple[Any, ...]:
    """The ancillary data for sending an answer from the address that the datagram with `ancillary` was sent to."""
    for level, kind, content in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return ((level, kind, bytes(4) + content[4:8] + bytes(4)),)  # of any interface, from this address
        if level == socket.IPPROTO_IPV6:
            return ((level, kind, content),)
    return _ANY


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Cycles of objects are looked for more rarely, and not among those that are there already, such as a million keys:
    a report leaves none behind."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@asynccontextmanager
async def listening(collector: Collector, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serves `collector` on UDP while the context is open; yields the port. Raises OSError when it is in use."""
    (udp,) = bound(host, port)
    with udp:
        async with writing(collector) as writer, receiving(collector, udp, writer):
            yield udp.getsockname()[1]


@asynccontextmanager
async def receiving(intake: Intake, udp: socket.socket, writer: Batches) -> AsyncIterator[None]:
    """Serves `intake` on a socket while the context is open. What was read is answered at its end.

    While the context is open, a collector's store and `orders` are used by the writer's thread alone.
    """
    with rarely_collected():
        front = _Front(intake, udp, writer)
        try:
            yield
        finally:
            front.close()
            await writer.drain()
