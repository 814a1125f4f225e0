"""How long the fleet's pages take for 100,000 devices with a report a day for a month, beside the bare SQL in them."""

from __future__ import annotations

import asyncio
import atexit
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from host_tools.bench import fleets
from host_tools.bench.figures import Measured, figure
from host_tools.fleet.accounts import Role
from host_tools.fleet.desk import Desk
from host_tools.fleet.serve import Listen, bound_to, server
from host_tools.fleet.watch import Terms
from host_tools.fleet.web.app import make
from host_tools.fleet.web.security import Line

DEVICES = 100_000
_ROUNDS = 15  # at the least
_SPAN_S = 5.0
_MOST_MS = 300.0
_PASSWORD = "only for the bench"
PAGES = {
    "first-page": "/",
    "filter": "/?state=4&sort=used",
    "search": "/?q=r-0012",
    "search-miss": "/?q=nothing",
    "device-page": f"/devices/{fleets.name(1)}",
    "hourly-device-page": f"/devices/{fleets.HOURLY}",
    "bill": "/bill",
}


class Site:
    """A page that runs on a fleet whose bills are explained, and a connection to it that is kept, as a browser's is."""

    def __init__(self, db: Path, desk: Desk, address: tuple[str, int]) -> None:
        self._db = db
        self._desk = desk
        self._address = address
        self._connection = socket.create_connection(address, 60)
        cookie = f"{Line().cookie}={desk.accounts.log_in('bench')}"
        self._rest = f" HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()

    def get(self, path: str) -> bytes:
        """The body of a page. The client does little, so that its time is the page's."""
        try:
            return self._asked(path)
        except ConnectionError:  # the server has closed it, as it does after some idle seconds
            self.close()
            self._connection = socket.create_connection(self._address, 60)
            return self._asked(path)

    def close(self) -> None:
        self._connection.close()

    def _asked(self, path: str) -> bytes:
        self._connection.sendall(b"GET " + path.encode() + self._rest)
        head, length, body = b"", -1, b""
        while len(body) != length:
            got = self._connection.recv(1 << 20)
            if not got:
                raise ConnectionError(f"{path} is answered with {head!r} and {len(body)} octets")
            body += got
            if length < 0 and b"\r\n\r\n" in body:
                head, _, body = body.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{path} is answered with {head!r}")
        return body

    def forget(self) -> None:
        """What the page counted once: the next one counts it anew, as after each change."""
        self._desk.reader.forget()

    def statements(self, path: str) -> list[tuple[bool, str]]:
        """The SQL of a page that remembers nothing, with its values; whether each is of the index, not the store."""
        said: list[tuple[bool, str]] = []
        self.forget()
        connections = ((True, self._desk.reader.raw), (False, self._desk.store.database.raw))
        for of_index, connection in connections:
            connection.set_trace_callback(lambda text, of_index=of_index: said.append((of_index, text)))
        self.get(path)
        for _, connection in connections:
            connection.set_trace_callback(None)
        return [(of_index, text) for of_index, text in said if text.startswith("SELECT")]

    def bare(self, statements: list[tuple[bool, str]]) -> float:
        """Milliseconds that they take on connections of their own, with all rows fetched."""
        with closing(sqlite3.connect(self._db)) as store, closing(sqlite3.connect(self._desk.reader.path)) as index:
            for connection in (store, index):  # the first statement reads the schema
                connection.execute("SELECT COUNT(*) FROM sqlite_schema")
            begun = time.perf_counter()
            for of_index, text in statements:
                (index if of_index else store).execute(text).fetchall()
            return 1000 * (time.perf_counter() - begun)


@contextmanager
def serving(devices: int) -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, "reports.sqlite")
        now = datetime.now(UTC)
        fleets.fill(db, devices, now)
        fleets.fill_hourly(db, now)
        with closing(bound_to(Listen(port=0))) as bound, closing(Desk(db, Terms(rating=fleets.RATING))) as desk:
            desk.accounts.add("bench", _PASSWORD, Role.ADMIN, "bench")
            asyncio.run(desk.refresh(inf))
            serves = server(desk, make(desk, Line()), Listen())
            thread = threading.Thread(target=serves.run, kwargs={"sockets": [bound]}, daemon=True)
            thread.start()
            try:
                while not serves.started and thread.is_alive():
                    time.sleep(0.01)
                with closing(Site(db, desk, bound.getsockname())) as site:
                    yield site
            finally:
                serves.should_exit = True
                thread.join()


_open = ExitStack()
atexit.register(_open.close)


@cache
def _site() -> Site:
    """One for all figures of a process, as making it takes a minute."""
    return _open.enter_context(serving(DEVICES))


def measured(site: Site, path: str, span_s: float = 0.0) -> tuple[float, float]:
    """Milliseconds of a page that remembers nothing, and of its bare SQL; each the best of the rounds, taken in turn,
    that fit in `span_s` seconds: whatever else the computer does only adds to them."""
    statements = site.statements(path)
    pages, bare = [], []
    end = time.monotonic() + span_s
    while len(pages) < _ROUNDS or time.monotonic() < end:
        site.forget()
        begun = time.perf_counter()
        site.get(path)
        pages.append(1000 * (time.perf_counter() - begun))
        bare.append(site.bare(statements))
    return min(pages), min(bare)


@cache
def _times(name: str) -> tuple[float, float]:
    return measured(_site(), PAGES[name], _SPAN_S)


def _beside_bare(name: str) -> Callable[[], Measured]:
    def measure() -> Measured:
        page, bare = _times(name)
        return Measured(page / bare, {"page, ms": page, "bare SQL, ms": bare})

    return measure


for each in PAGES:
    figure(f"fleet.{each}", "x the bare SQL of the page, 100,000 devices", most=3, portable=False)(_beside_bare(each))


@figure("fleet.slowest", "ms of the slowest page, 100,000 devices", most=_MOST_MS, portable=False)
def _slowest() -> Measured:
    times: dict[str, Any] = {name: _times(name)[0] for name in PAGES}
    _site.cache_clear()
    _open.close()
    return Measured(max(times.values()), times)
