"""The collector as a server, and the lines that it prints."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from host_tools.base import extras, paths
from host_tools.base.errors import UsageError
from host_tools.base.terminal import OutputLost, out
from host_tools.collector.database import StoreError, is_url, shown
from host_tools.collector.database_process import RemoteIntake, handing_over, store_for
from host_tools.collector.datagrams import bound, rarely_collected, receiving
from host_tools.collector.intake import Collector, Intake
from host_tools.collector.keys import HINT, load_keys
from host_tools.collector.lives import KnownLives
from host_tools.collector.processes import together
from host_tools.collector.store import Kept, Outcome, Received, Store
from host_tools.collector.verify import Report
from host_tools.collector.writer import Batches, writing

_SUMMARY_S = 60
_MOST_LINES = 20  # a second; to print one takes longer than to store twenty reports
_DB_HINT = "name a new file, or the database of a collector"
_Show = Callable[[str], None]
_NO_SIGNAL = 255  # of <rsrp> and <rsrq>, 3GPP TS 27.007 8.69


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


@dataclass(frozen=True)
class Ways:
    """How reports come beside CoAP, and how long they are kept: for ever without `keep_days`."""

    mqtt: str = ""  # a broker's URL
    sms: Path | None = None  # the file of `webhook`
    sms_port: int = 0
    keep_days: int = 0

    @property
    def keep(self) -> timedelta | None:
        return timedelta(days=self.keep_days) if self.keep_days else None


def serve(
    port: int,
    db: str | Path,
    keys: str | Path,
    host: str = "127.0.0.1",
    console: Console | None = None,
    ways: Ways = Ways(),
    processes: int = 1,
) -> None:
    """Runs until Ctrl-C or SIGTERM; prints its address, what Log says of the reports, and once a minute a count of
    refusals. Of several processes each does so, and when one fails, all end.

    Raises UsageError for bad input, or when the port or the database is in use.
    """
    known = load_keys(keys)
    if not known:
        raise UsageError(str(keys), "", "has no keys", f"run `usageguard provision`, or {HINT}")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise UsageError("--host", "", f'"{host}" is not an IP address', "give one of this machine") from None
    if processes > 1 and sys.platform != "linux":
        problem = "several need Linux, which spreads over them what arrives at a port"
        raise UsageError("--processes", str(processes), problem, "leave it out")
    if ways.mqtt:
        extras.need("--mqtt", "mqtt")
        from host_tools.collector.mqtt import Broker

        Broker.parse(ways.mqtt)
    if ways.sms:
        extras.need("--sms", "sms")
        from host_tools.collector.webhook import Gateway

        Gateway.load(ways.sms)
    show = (console or out).print
    with ExitStack() as stack:
        if not is_url(db):
            stack.enter_context(_alone(Path(db)))
        store = stack.enter_context(closing(_opened(db)))
        with _named(host, "--port", port):
            udp = [stack.enter_context(each) for each in bound(host, port, processes)]
        tcp = None
        if ways.sms:
            with _named(host, "--sms-port", ways.sms_port):
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                tcp = stack.enter_context(socket.create_server((host, ways.sms_port), family=family))
        if processes == 1:
            collector = Collector(store, known)
            _run(partial(_serve, collector, writing(collector, ways.keep), _Sockets(udp[0], tcp), ways), show)
            return
        store.close()  # no connection outlives a fork
        sockets = [_Sockets(each, tcp) for each in udp]
        if is_url(db):
            _share_server(str(db), known, sockets, show, ways)
        else:
            _share_file(Path(db), known, store.known_lives, sockets, show, ways)


def _share_server(url: str, keys: Mapping[str, bytes], sockets: Sequence[_Sockets], show: _Show, ways: Ways) -> None:
    """Serves in as many processes as there are sockets, each with a connection to the database."""

    def work(number: int, told: int) -> None:
        with closing(_opened(url)) as store:
            collector = Collector(store, keys)
            storing = writing(collector, ways.keep if number == 0 else None)
            mine = replace(sockets[number], told=told)
            _run(partial(_serve, collector, storing, mine, ways, announces=number == 0), show)

    together(len(sockets), work)


def _share_file(
    db: Path, keys: Mapping[str, bytes], lives: KnownLives, sockets: Sequence[_Sockets], show: _Show, ways: Ways
) -> None:
    """The same with a file, which one process more has to itself."""
    links = [socket.socketpair() for _ in sockets]
    theirs, ours = zip(*links, strict=True)

    def leave(*mine: socket.socket) -> None:
        """Closes the others' ends, so that a link is closed when its process ends."""
        for each in chain(*links):
            if each not in mine:
                each.close()

    def work(number: int, told: int) -> None:
        if number == len(sockets):
            leave(*ours)
            with closing(_opened(db)) as store:
                _run(partial(_keep, Collector(store, keys), ours, ways), show)
            return
        leave(theirs[number])
        remote = RemoteIntake(keys, lives)
        mine = replace(sockets[number], told=told)
        _run(partial(_serve, remote, handing_over(remote, theirs[number]), mine, ways, announces=number == 0), show)

    together(len(sockets) + 1, work, begun=leave)


def _opened(db: str | Path) -> Store:
    try:
        return Store(db)
    except StoreError as error:
        raise UsageError(shown(db), "", f"is not a database: {error}", error.hint or _DB_HINT) from None


@contextmanager
def _named(host: str, option: str, port: int) -> Iterator[None]:
    """Names the option with an address or a port that cannot be had."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError("--host", "", f'"{host}" is not an address of this machine') from None
        problem, hint = error.strerror or str(error), f"give {option} 0 for a free one"
        if error.errno == errno.EADDRINUSE:
            problem, hint = "is in use by another program, perhaps a collector", f"stop it, or {hint}"
        raise UsageError(option, str(port), problem, hint) from None


@dataclass(frozen=True)
class _Sockets:
    """What a process reads: reports, requests of an SMS gateway, and `told`, a descriptor that can be read when it is
    to end."""

    udp: socket.socket
    tcp: socket.socket | None = None
    told: int | None = None


def _run(story: Callable[[_Show, asyncio.Event], Coroutine[Any, Any, None]], show: _Show) -> None:
    """Runs a story, which is given what prints, and an event that is set when nobody reads that any more."""
    stop = asyncio.Event()
    lost: list[OutputLost] = []

    def say(text: str) -> None:
        try:
            show(text)
        except OutputLost as error:  # the report is stored, and the device still gets its acknowledgement
            lost.append(error)
            stop.set()

    asyncio.run(story(say, stop))
    if lost:
        raise lost[0]


async def _serve(
    intake: Intake,
    storing: AbstractAsyncContextManager[Batches],
    sockets: _Sockets,
    ways: Ways,
    say: _Show,
    stop: asyncio.Event,
    announces: bool = True,
) -> None:
    """`announces`: prints where it listens."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):  # also when a shell started it with SIGINT ignored
        loop.add_signal_handler(number, stop.set)
    if (told := sockets.told) is not None:

        def end() -> None:
            loop.remove_reader(told)
            stop.set()

        loop.add_reader(told, end)
    log = Log(say)
    intake.listeners.append(log.heard)
    refused = _teller(intake.refusals, say)

    def summary() -> None:
        log.rest()
        refused()

    async with (
        storing as writer,
        receiving(intake, sockets.udp, writer),
        _beside(intake, sockets.tcp, writer, ways, say, stop),
    ):
        if announces:
            say(f"listening on coap://{_address(sockets.udp)}/r")
            if sockets.tcp:
                say(f"listening on http://{_address(sockets.tcp)} for an SMS gateway")
        await _each_minute(summary, stop)
    summary()


async def _keep(
    collector: Collector, links: Sequence[socket.socket], ways: Ways, say: _Show, stop: asyncio.Event
) -> None:
    """What the process does that has a file to itself: it ends when the others have."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: None)
    with rarely_collected():
        storing = asyncio.create_task(store_for(collector, links, ways.keep))
        storing.add_done_callback(lambda _: stop.set())
        refused = _teller(collector.refusals, say)
        await _each_minute(refused, stop)
        await storing
        refused()


async def _each_minute(summary: Callable[[], None], stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _SUMMARY_S)
        summary()


def _teller(refusals: Counter[str], say: _Show) -> Callable[[], None]:
    """What prints how many refusals there were since it was called before."""
    printed: Counter[str] = Counter()

    def tell() -> None:
        nonlocal printed
        _print_refusals(refusals - printed, say)
        printed = refusals.copy()

    return tell


def _address(bound: socket.socket) -> str:
    host, port, *_ = bound.getsockname()
    return f"{host}:{port}"


@asynccontextmanager
async def _beside(
    intake: Intake, tcp: socket.socket | None, writer: Batches, ways: Ways, say: _Show, stop: asyncio.Event
) -> AsyncIterator[None]:
    """What the collector does beside CoAP. What fails there ends it, with the error: an operator is to learn of it, and
    a service manager starts it again."""
    tasks = []
    if ways.mqtt:
        from host_tools.collector import mqtt

        tasks.append(asyncio.create_task(mqtt.receive(mqtt.Broker.parse(ways.mqtt), intake, writer, say)))
        tasks[-1].add_done_callback(lambda task: stop.set())
    async with AsyncExitStack() as stack:
        if ways.sms and tcp:
            from host_tools.collector import webhook

            gateway = webhook.Gateway.load(ways.sms)
            await stack.enter_async_context(webhook.receiving(gateway, intake, tcp, writer))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result


def _print_refusals(refusals: Counter[str], say: _Show) -> None:
    """Prints one line with the number of refusals of each kind, if there are any."""
    if refusals:
        kinds = ", ".join(f"{count:,} {escape(kind)}" for kind, count in refusals.most_common())
        say(f"[yellow]refused[/] {refusals.total():,} datagrams: {kinds}")


class Log:
    """Prints a line for each report, up to _MOST_LINES in a second, and how many more there were; and every alarm."""

    def __init__(self, say: _Show) -> None:
        self._say = say
        self._second = 0
        self._printed = self._more = 0

    def heard(self, received: Received, kept: Kept) -> None:
        """A listener of a collector's."""
        second = int(received.received_at.timestamp())
        if second != self._second:
            self.rest()
            self._second, self._printed = second, 0
        if self._printed < _MOST_LINES:
            self._printed += 1
            self._say(line(received, kept))
        else:
            self._more += 1
        for alarm in kept.alarms:
            self._say(f"[red]{alarm.kind}[/] {escape(alarm.device)}: {escape(alarm.detail)}")

    def rest(self) -> None:
        """Prints how many reports were left out since this was last said."""
        if self._more:
            self._say(f"and {self._more:,} more reports in this second")
            self._more = 0


def line(received: Received, kept: Kept) -> str:
    """The line for one report, as rich markup."""
    report = received.report
    cost = f", cost {report.cost_fen:,} fen" if report.cost_fen else ""
    order = f", order {report.counter}" if report.counter else ""
    refused = f", [red]{report.refused} orders refused[/]" if report.refused else ""
    traffic = ""
    if report.packets >= 0:  # the rest of the line is of the period
        traffic = f"since the boot packets {report.packets:,}, sessions {report.sessions:,}"
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
