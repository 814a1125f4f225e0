"""What the collector takes in, beside what its database and a CoAP library would."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
from aiocoap.resource import Resource, Site

from host_tools.bench import kills, page_kills, reports, servers
from host_tools.bench.figures import Measured, figure
from host_tools.bench.processes import processor_s
from host_tools.bench.reports import Sent
from host_tools.collector.datagrams import listening
from host_tools.collector.intake import Collector, Exchange, Pending, Result
from host_tools.collector.store import Kept, Outcome, Store, newest_row, report_row
from host_tools.collector.verify import Report, decode_report

_BATCH = 500
_AT_ONCE = 20  # reports from a socket
_SOCKETS = 100  # for a process: a batch is read, another is stored, and a third is acknowledged meanwhile
_ROUNDS = 3
_DEVICES = 2_000


@contextmanager
def serving(collector: Collector) -> Iterator[int]:
    """The collector in a thread of its own; gives its port."""
    with _in_thread(lambda: listening(collector)) as port:
        yield port


@contextmanager
def _in_thread(serve: Callable[[], Any]) -> Iterator[int]:
    ready: list[Any] = []
    begun = threading.Event()

    async def run() -> None:
        stop = asyncio.Event()
        try:
            async with serve() as port:
                ready.extend((port, asyncio.get_running_loop(), stop))
                begun.set()
                await stop.wait()
        finally:
            begun.set()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    begun.wait()
    port, loop, stop = ready
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def sending(send: Callable[..., Sent], *arguments: Any) -> Sent:
    """What `send` returns, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as worker:
        return worker.submit(send, *arguments).result()


def _many(devices: Sequence[int], each: int, first: int = 1) -> list[bytes]:
    """Requests with reports of devices in turn, from the number `first` on; the tokens are the places in the list."""
    places = enumerate(itertools.product(range(first, first + each), devices))
    return [
        reports.request(reports.sealed(number, seq), place, place.to_bytes(4, "big")) for place, (seq, number) in places
    ]


def _steadily(port: int, devices: int, each: int, sockets: int, first: int = 1) -> Sent:
    requests = [_many(range(place, devices, sockets), each, first) for place in range(sockets)]
    return reports.steadily(port, requests, _AT_ONCE)


def _storm(port: int, devices: int, seconds: float) -> Sent:
    return reports.storm(port, _many(range(devices), 1), seconds, seed=1)


def introduce(store: Store, devices: int) -> None:
    """Adds the first report of each device."""
    collector = Collector(store, reports.keys(devices))
    for first in range(0, devices, _BATCH):
        some = range(first, min(first + _BATCH, devices))
        requests = [reports.request(reports.sealed(number, 0), number, b"") for number in some]
        taken = [collector.receive(each, None) for each in requests]
        collector.keep_all([each for each in taken if isinstance(each, Exchange)])


def _bare(store: Store, each: int) -> float:
    """Reports a second whose rows are inserted in batches, and nothing else is done."""
    introduce(store, _DEVICES)
    at = datetime.now(UTC).isoformat()
    rows, newest = [], []
    for seq, number in itertools.product(range(1, 1 + each), range(_DEVICES)):
        values = reports.fields(number, seq)
        payload = cbor2.dumps(values)
        report = decode_report(payload)
        rows.append(report_row(reports.name(number), 1, report, payload, at, "coap"))
        newest.append(newest_row(reports.name(number), 1, reports.life(number), report, 0))
    begun = time.perf_counter()
    for first in range(0, len(rows), _BATCH):
        store.write(rows[first : first + _BATCH], newest[first : first + _BATCH])
    return len(rows) / (time.perf_counter() - begun)


@contextmanager
def _command(database: str, processes: int) -> Iterator[tuple[int, Callable[[], float]]]:
    """`usageguard collector` in so many processes; its port, and the seconds of a processor that it has taken."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder, "keys.json")
        keys.write_text(json.dumps({name: key.hex() for name, key in reports.keys(_DEVICES).items()}))
        options = ["--port", "0", "--db", database, "--keys", str(keys), "--processes", str(processes)]
        command = [sys.executable, "-m", "host_tools", "collector", *options]
        with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout
                port = int(process.stdout.readline().rpartition(b":")[2].removesuffix(b"/r\n"))
                threading.Thread(target=process.stdout.read).start()  # its lines, which a pipe has no room for
                yield port, lambda: processor_s(process.pid)
            finally:
                process.terminate()


def _sustained(database: str, each: int, processes: int) -> tuple[float, float, float]:
    """Reports a second that the collector takes from its sockets, verifies, stores and acknowledges: of time, and of
    processor time; and of the sender's processor time."""
    with closing(Store(database)) as store:
        introduce(store, _DEVICES)
    with _command(database, processes) as (port, taken_s):
        before = taken_s()
        sent = sending(_steadily, port, _DEVICES, each, _SOCKETS * processes)
        by_processor = sent.acknowledged / (taken_s() - before)
        return sent.a_second, by_processor, sent.acknowledged / sent.processor_s


def beside_bare(new: Callable[[], str], processes: int, each: int = 10, rounds: int = _ROUNDS) -> Measured:
    """The reports a second of a collector in so many processes, in percent of a bare insert's; each is the best of some
    rounds in turn."""
    bare = 0.0
    best = 0.0, 0.0, 0.0
    for _ in range(rounds):
        with closing(Store(new())) as store:
            bare = max(bare, _bare(store, each))
        best = tuple(map(max, best, _sustained(new(), each, processes)))
    names = "reports/s", "reports/s of processor time", "sender, reports/s of processor time"
    beside = {"processes": processes, **dict(zip(names, best, strict=True)), "bare, reports/s": bare}
    return Measured(100 * best[0] / bare, beside)


@figure("collector.sqlite", "% of a bare batched insert's reports/s, SQLite", least=30, portable=False)
def _sqlite() -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        names = (str(Path(folder, f"{number}.sqlite")) for number in itertools.count())
        return beside_bare(lambda: next(names), os.cpu_count() or 1)


@figure("collector.postgresql", "% of a bare batched insert's reports/s, PostgreSQL", least=30, portable=False)
def _postgresql() -> Measured:
    with servers.postgresql() as server:
        return beside_bare(server.new, os.cpu_count() or 1)


class _Fixed(Collector):
    """Answers every report alike, with neither MAC nor database: what is left is the front."""

    def _verified(self, blob: bytes, brief: bool) -> tuple[str, Report, bytes]:
        return reports.name(0), _REPORT, blob

    def at_once(self, exchanges: Sequence[Pending]) -> AbstractContextManager[None]:
        return nullcontext()

    def continues(self, exchange: Pending) -> bool:
        return True

    def followed(self, exchange: Pending) -> Result:
        return _KEPT, _ANSWER


_REPORT = Report(*reports.fields(0, 1))
_KEPT = Kept(Outcome.NEW)
_ANSWER = bytes(30)  # as long as an acknowledgement


class _Fixture(Resource):
    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(code=aiocoap.CHANGED, payload=_ANSWER)


@asynccontextmanager
async def _library() -> AsyncIterator[int]:
    """The same answer by aiocoap's server."""
    site = Site()
    site.add_resource(["r"], _Fixture())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bound, transports = ("127.0.0.1", port), ["simplesocketserver"]
    context = await aiocoap.Context.create_server_context(site, bind=bound, transports=transports)
    try:
        yield port
    finally:
        await context.shutdown()


def front(each: int = 3, devices: int = 1000) -> Measured:
    """Requests a second of processor time, in the thin front and in aiocoap's."""
    with closing(Store()) as store:
        collector = _Fixed(store, {})
        mine = _a_second(lambda: listening(collector), devices, each)
    theirs = _a_second(_library, devices, each)
    return Measured(mine / theirs, {"thin, requests/s": mine, "aiocoap, requests/s": theirs})


def _a_second(serve: Callable[[], Any], devices: int, each: int) -> float:
    with _in_thread(serve) as port:
        sending(_steadily, port, 10, 1, 1)  # what a first request loads
        before = time.process_time()
        sent = sending(_steadily, port, devices, each, 3)
        return sent.datagrams / (time.process_time() - before)


@figure("collector.front", "x the requests of aiocoap's server in the same processor time", least=5, portable=False)
def _front() -> Measured:
    return front()


def growth(count: int, devices: int = _DEVICES) -> Measured:
    """MB that the process grows by in the second half of so many reports."""
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder, "reports.sqlite"))) as store:
        introduce(store, devices)
        collector = Collector(store, reports.keys(devices))
        half = 0.0
        with serving(collector) as port:
            for part in range(1, 1 + _PARTS):
                each = count // devices // _PARTS
                sending(_steadily, port, devices, each, _SOCKETS, 1 + each * (part - 1))
                if part == _PARTS // 2:
                    half = _resident_mb()
            return Measured(_resident_mb() - half, {"reports": count, "MB at half": half})


_PARTS = 10


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@figure("collector.memory", "MB more after 1,000,000 reports than after half of them", most=10, portable=False)
def _memory() -> Measured:
    return growth(1_000_000)


def lost_in_storm(devices: int, seconds: float) -> Measured:
    """Reports lost of devices that all start within some time, and repeat as CoAP does."""
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder, "reports.sqlite"))) as store:
        introduce(store, devices)
        with serving(Collector(store, reports.keys(devices))) as port:
            sent = sending(_storm, port, devices, seconds)
        stored = store.database.execute("SELECT COUNT(*) FROM report WHERE seq = 1")[0][0]
    lost = devices - min(stored, sent.acknowledged)
    return Measured(lost, {"reports/s": sent.a_second, "repeated": sent.datagrams - devices})


@figure("collector.kills", "acknowledged reports lost or doubled by kills, 10,000 devices", most=0, portable=False)
def _kills() -> Measured:
    return killed(postgresql=True)


@figure("collector.kills-sqlite", "the same with one collector on SQLite", most=0, portable=False)
def _kills_sqlite() -> Measured:
    return killed(postgresql=False)


@figure("collector.kills-processes", "the same with collectors of two processes", most=0, portable=False)
def _kills_processes() -> Measured:
    return killed(postgresql=True, processes=2)


@figure("collector.kills-sqlite-processes", "the same with a collector of two on SQLite", most=0, portable=False)
def _kills_sqlite_processes() -> Measured:
    return killed(postgresql=False, processes=2)


def killed(postgresql: bool, processes: int = 1) -> Measured:
    """Reports of 10,000 devices that are lost or doubled while collectors, their processes, broker and database are
    killed 30 times."""
    result = kills.run(devices=10_000, each=2, kills=30, seed=1, postgresql=postgresql, processes=processes)
    beside = {"acknowledged": result.acknowledged, "kills": result.kills, "sent": result.sent}
    return Measured(result.lost + result.doubled, beside)


@figure("collector.page-kills", "orders or alerts lost or doubled by kills", most=0, portable=False)
def _page_kills() -> Measured:
    return killed_with_page(postgresql=True)


@figure("collector.page-kills-sqlite", "the same on SQLite", most=0, portable=False)
def _page_kills_sqlite() -> Measured:
    return killed_with_page(postgresql=False)


def killed_with_page(postgresql: bool) -> Measured:
    """30 devices, each with an order and an alert, in whose midst page and collector are killed."""
    killed = page_kills.run(devices=30, seed=1, postgresql=postgresql)
    beside = {"orders": killed.orders, "alerts": killed.alerts, "kills": killed.kills.total()}
    return Measured(len(killed.lost) + len(killed.doubled), beside)


@figure("collector.storm", "reports lost of 100,000 devices that start within 60 s", most=0, portable=False)
def _restart() -> Measured:
    return lost_in_storm(100_000, 60)
