"""The collector as a server on a UDP port, and the lines that it prints."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import os
import signal
import socket
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape

from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.base.terminal import OutputLost, out
from host_tools.collector import retention
from host_tools.collector.database import StoreError, UnavailableError, is_url, shown
from host_tools.collector.intake import Collector, Exchange
from host_tools.collector.keys import HINT, load_keys
from host_tools.collector.store import Kept, Outcome, Received, Store
from host_tools.collector.verify import Report

_SUMMARY_S = 60
_MOST_OCTETS = 2048  # of a datagram; a report has at most 175
_BUFFER_OCTETS = 1 << 22  # of the socket: what arrives while reports are written waits there
_AT_ONCE = 64  # datagrams read before other tasks run
_MOST_WRITTEN = 500  # reports at once: meanwhile few datagrams are read
_MOST_WAITING = 10_000  # reports waiting for the database; more are refused, and devices send them again
_OVERLOADED = UnavailableError("too many reports wait")
_REDUCE_S, _REDUCED_S = 0.5, 3600  # between the devices, and after the last one
_T = TypeVar("_T")
_DB_HINT = "name a new file, or the database of a collector"
_NO_SIGNAL = 255  # of <rsrp> and <rsrq>, 3GPP TS 27.007 8.69
_IP_PKTINFO = 8  # Linux, <linux/in.h>


class _Front:
    """Moves datagrams between a socket and a collector, and writes the collector's store in a separate thread.

    A slow database delays the acknowledgements of the reports that it stores, and no other answer. Reports that arrive
    while it writes are written together.
    """

    def __init__(self, collector: Collector, udp: socket.socket) -> None:
        self._collector = collector
        self._udp = udp
        self._loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, "store")
        self._waiting: deque[tuple[Exchange, Any, list[Any]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._loop.add_reader(udp, self._read)

    async def close(self) -> None:
        """Stops reading, and returns when every report that has arrived is answered."""
        self._loop.remove_reader(self._udp)
        if self._writing:
            await self._writing
        self._writer.shutdown()

    async def store(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """What `work` returns, or raises, in the thread that uses the store."""
        return await self._loop.run_in_executor(self._writer, work, *arguments)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                datagram, ancillary, _, remote = self._udp.recvmsg(_MOST_OCTETS, _ANCILLARY_OCTETS)
            except OSError:  # nothing to read, or the ICMP error of a datagram that was sent
                return
            source = _source(ancillary)
            taken = self._collector.receive(datagram, (remote, *source))
            if not isinstance(taken, Exchange):
                self._send(taken, remote, source)
            elif len(self._waiting) >= _MOST_WAITING:
                self._send(self._collector.answer(taken, _OVERLOADED), remote, source)
            else:
                self._waiting.append((taken, remote, source))
                if not self._writing or self._writing.done():
                    self._writing = self._loop.create_task(self._write())

    async def _write(self) -> None:
        collector = self._collector
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_WRITTEN))]
            exchanges = [exchange for exchange, _, _ in batch]
            results = await self.store(collector.keep_all, exchanges)
            for (exchange, remote, source), result in zip(batch, results, strict=True):
                if isinstance(result, StoreError):
                    collector.refusals[f"not stored ({result})"] += 1
                self._send(collector.answer(exchange, result), remote, source)

    def _send(self, reply: bytes | None, remote: Any, source: list[Any]) -> None:
        if reply is not None:
            with suppress(OSError):  # same as a lost datagram: the device sends again
                self._udp.sendmsg([reply], source, 0, remote)


def _bound(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket on `port`. Raises OSError when the port is in use.

    It sets neither SO_REUSEADDR nor SO_REUSEPORT, so no other program can share the port.
    """
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
        udp.bind((host, port))
    except OSError:
        udp.close()
        raise
    return udp


_ANCILLARY_OCTETS = socket.CMSG_SPACE(20)  # struct in6_pktinfo; in_pktinfo has 12


def _source(ancillary: list[Any]) -> list[Any]:
    """The ancillary data for sending an answer from the address that the datagram with `ancillary` was sent to."""
    for level, kind, content in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return [(level, kind, bytes(4) + content[4:8] + bytes(4))]  # of any interface, from this address
        if level == socket.IPPROTO_IPV6:
            return [(level, kind, content)]
    return []


@asynccontextmanager
async def listening(
    collector: Collector, host: str = "127.0.0.1", port: int = 0, keep: timedelta | None = None
) -> AsyncIterator[int]:
    """Serves `collector` on UDP while the context is open; yields the port. Raises OSError when it is in use.

    Port 0 picks a free one; reports that arrived longer than `keep` ago are reduced to their days. While the context is
    open, only its own thread uses the collector's store and `orders`.
    """
    with _bound(host, port) as udp:
        front = _Front(collector, udp)
        tidying = asyncio.create_task(_reduce(front, collector, keep)) if keep else None
        try:
            yield udp.getsockname()[1]
        finally:
            if tidying:
                tidying.cancel()
            await front.close()


async def _reduce(front: _Front, collector: Collector, keep: timedelta) -> None:
    """Reduces old reports, a few devices at a time, between which reports are stored."""
    after = ""
    while True:
        try:
            after = await front.store(retention.reduce, collector.store.database, keep, datetime.now(UTC), after)
        except StoreError as error:
            collector.refusals[f"not reduced ({error})"] += 1
        await asyncio.sleep(_REDUCE_S if after else _REDUCED_S)


@contextmanager
def _alone(db: Path) -> Iterator[None]:
    """Locks the database file against other collectors, and creates it if needed. Other readers are not affected.

    Raises UsageError when another collector has the lock. Enter it before SQLite opens the file and leave it after
    SQLite closed it: closing any descriptor of a file drops SQLite's own locks on it.
    """
    try:
        handle = os.open(db, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        problem = f"is not a database: {(error.strerror or str(error)).lower()}"
        raise UsageError(str(db), "", problem, _DB_HINT) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "stop that one, or name another file with --db"
            raise UsageError(str(db), "", "is in use by another collector", hint) from None
        yield
    finally:
        os.close(handle)


def serve(
    port: int,
    db: str | Path,
    keys: str | Path,
    host: str = "127.0.0.1",
    console: Console | None = None,
    keep_days: int = 0,
) -> None:
    """Runs until Ctrl-C or SIGTERM; prints its address, a line per report, and once a minute a count of refusals.

    Raises UsageError for bad input, or when the port or the database is in use.
    """
    known = load_keys(keys)
    if not known:
        raise UsageError(str(keys), "", "has no keys", f"run `usageguard provision`, or {HINT}")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise UsageError("--host", "", f'"{host}" is not an IP address', "give one of this machine") from None
    with nullcontext() if is_url(db) else _alone(Path(db)):
        try:
            store = Store(db)
        except StoreError as error:
            raise UsageError(shown(db), "", f"is not a database: {error}", error.hint or _DB_HINT) from None
        try:
            _run(Collector(store, known), host, port, (console or out).print, timedelta(days=keep_days))
        finally:
            store.close()


def _run(collector: Collector, host: str, port: int, show: Callable[[str], None], keep: timedelta) -> None:
    stop = asyncio.Event()
    lost: list[OutputLost] = []

    def say(text: str) -> None:
        try:
            show(text)
        except OutputLost as error:  # the report is stored, and the device still gets its acknowledgement
            lost.append(error)
            stop.set()

    def heard(received: Received, kept: Kept) -> None:
        say(line(received, kept))
        for alarm in kept.alarms:
            say(f"[red]{alarm.kind}[/] {escape(alarm.device)}: {escape(alarm.detail)}")

    collector.listeners.append(heard)
    try:
        asyncio.run(_serve(collector, host, port, say, stop, keep))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError("--host", "", f'"{host}" is not an address of this machine') from None
        if error.errno == errno.EADDRINUSE:
            hint = "stop it, or give --port 0 for a free one"
            raise UsageError("--port", str(port), "is in use by another program, perhaps a collector", hint) from None
        raise UsageError("--port", str(port), error.strerror or str(error), "give 0 for a free one") from None
    if lost:
        raise lost[0]


async def _serve(
    collector: Collector, host: str, port: int, say: Callable[[str], None], stop: asyncio.Event, keep: timedelta
) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # also when a shell started it with SIGINT ignored
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    printed: Counter[str] = Counter()
    async with listening(collector, host, port, keep) as bound:
        say(f"listening on coap://{host}:{bound}/r")
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _SUMMARY_S)
            _print_refusals(collector.refusals - printed, say)
            printed = collector.refusals.copy()
    _print_refusals(collector.refusals - printed, say)


def _print_refusals(refusals: Counter[str], say: Callable[[str], None]) -> None:
    """Prints one line with the number of refusals of each kind, if there are any."""
    if refusals:
        kinds = ", ".join(f"{count:,} {escape(kind)}" for kind, count in refusals.most_common())
        say(f"[yellow]refused[/] {refusals.total():,} datagrams: {kinds}")


def line(received: Received, kept: Kept) -> str:
    """The line for one report, as rich markup."""
    report = received.report
    cost = f", cost {report.cost_fen:,} fen" if report.cost_fen else ""
    order = f", order {report.counter}" if report.counter else ""
    refused = f", [red]{report.refused} orders refused[/]" if report.refused else ""
    traffic = f"packets {report.packets:,}, sessions {report.sessions:,}" if report.packets >= 0 else ""
    details = "".join(f", {part}" for part in (traffic, *evidence(report)) if part)
    mark = "" if kept.outcome is Outcome.NEW else f" [yellow]{kept.outcome.value}[/]"
    return (
        f"{received.received_at:%Y-%m-%d %H:%M:%S} {received.path:4} [bold]{escape(received.device)}[/] "
        f"{report.boot_id}/{report.seq} carried {report.cycle_carried_octets:,} "
        f"rated {report.cycle_rated_octets:,} ±{report.error_bound_octets:,} bytes, "
        f"{standing(report)}{cost}{order}{refused}{details}{mark}"
    )


def standing(report: Report) -> str:
    """Verdict and reasons of a report."""
    paths.use_firmware()
    from usageguard.core.policy import REASONS, VERDICTS

    verdict = VERDICTS[report.verdict] if report.verdict < len(VERDICTS) else str(report.verdict)
    return verdict + "".join(f" {code}" for code, bit, *_ in REASONS if report.reasons & bit)


def evidence(report: Report) -> Iterator[str]:
    """What a full report tells of the modem; nothing of what is not known, or has not happened."""
    if report.registration >= 0:
        yield f"+CEREG {report.registration}"
    if 0 <= report.rsrp < _NO_SIGNAL:
        yield f"RSRP {report.rsrp - 140} dBm"
    if 0 <= report.rsrq < _NO_SIGNAL:
        yield f"RSRQ {report.rsrq / 2 - 20:g} dB"
    if report.reject_cause > 0:
        yield f"EMM cause {report.reject_cause}"
    if report.cme > 0:
        yield f"session refused with CME {report.cme}"
    if report.modem_restarts > 0:
        yield f"{report.modem_restarts:,} modem restarts"
