"""A process that has the database to itself, and the others, which hand it the reports that they take.

For a SQLite file: of several processes that write it, each waits for the others, and reads again what they have
written. Each of the others is joined to this one by a pair of sockets. It sends a batch of reports, and what became of
each comes back, in their order, before it sends the next batch. As all are forked from one, messages need no version.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import msgspec

from host_tools.collector import retention
from host_tools.collector.database import UnavailableError
from host_tools.collector.intake import Collector, Intake, Pending, Result
from host_tools.collector.lives import KnownLives
from host_tools.collector.store import Kept, Received
from host_tools.collector.verify import BadMacError, Report
from host_tools.collector.writer import Batches

_LENGTH_OCTETS = 4  # of what precedes a message
_READ_OCTETS = 1 << 18  # more than a batch has
_T = TypeVar("_T")


class _Handed(msgspec.Struct, array_like=True, gc=False):
    """A Pending; `at` and `report` are None where it is not verified."""

    device: str
    payload: bytes
    brief: bool
    path: str
    at: datetime | None
    report: Any  # arrives as a list of its fields, whose defaults are not within the limits of what devices may send


class _Kept(msgspec.Struct, array_like=True, tag="kept", gc=False):
    """What became of a report; with the report where only this process could verify it."""

    kept: Kept
    acknowledgement: bytes
    opened: _Handed | None


class _Failed(msgspec.Struct, array_like=True, tag="failed", gc=False):
    problem: str
    is_forged: bool


_Told = _Kept | _Failed | None
"""None: what Intake.followed gives, as for nearly all."""

_encode = msgspec.msgpack.Encoder().encode
_decode_handed = msgspec.msgpack.Decoder(list[_Handed]).decode
_decode_told = msgspec.msgpack.Decoder(list[_Told]).decode


class RemoteIntake(Intake):
    """Takes reports in a process that does not have the database."""

    def __init__(
        self, keys: Mapping[str, bytes], lives: KnownLives, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(keys, now)
        self._lives = lives

    @property
    def lives(self) -> KnownLives:
        return self._lives

    @property
    def is_sure(self) -> bool:
        return False


@asynccontextmanager
async def handing_over(intake: RemoteIntake, to: socket.socket) -> AsyncIterator[Batches]:
    """Takes reports while the context is open, and hands them to the process at the other end of `to`. What was taken
    is answered at its end."""
    reader, writer = await asyncio.open_unix_connection(sock=to, limit=_READ_OCTETS)
    batches = _Handing(intake, reader, writer)
    try:
        yield batches
    finally:
        await batches.close()
        writer.close()


class _Handing(Batches):
    """Has another process store what it takes."""

    def __init__(self, intake: RemoteIntake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(intake)
        self._reader = reader
        self._writer = writer
        self._is_gone = False

    async def _keep(self, batch: list[Pending]) -> list[Result]:
        if not self._is_gone:
            try:
                _send(self._writer, [_handed(each) for each in batch])
                told = _decode_told(await _message(self._reader))
                return [self._result(each, what) for each, what in zip(batch, told, strict=True)]
            except (EOFError, ConnectionError):  # it was killed, and all are going to end
                self._is_gone = True
        return [_GONE] * len(batch)

    def _result(self, report: Pending, told: _Told) -> Result:
        if isinstance(told, _Failed):
            return BadMacError(report.device) if told.is_forged else UnavailableError(told.problem)
        if told and told.opened:
            opened = _pending(told.opened)
            report.received, report.payload = opened.received, opened.payload
        received = report.received
        assert received
        self._intake.lives.stored(received.device, received.report, report.payload)
        return (told.kept, told.acknowledgement) if told else self._intake.followed(report)


_GONE = UnavailableError("the database's process has ended")


async def store_for(collector: Collector, others: Iterable[socket.socket], keep: timedelta | None = None) -> None:
    """In the process that has the database: stores what others hand over, until each has closed its end of the link.
    `keep`: reports that arrived longer ago are reduced meanwhile."""
    arrived: _Arrived = asyncio.Queue()
    tasks: list[asyncio.Future[Any]] = [
        asyncio.gather(*(_serve(arrived, other) for other in others)),
        asyncio.create_task(_store(collector, arrived)),
    ]
    if keep:
        reducing = retention.go_on(_here, collector.store.database, keep, collector.refusals)
        tasks.append(asyncio.create_task(reducing))
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for each in done:
        each.result()  # raises what nobody expects, with which this process is to end, and so the others


_Arrived = asyncio.Queue[tuple[list[_Handed], asyncio.StreamWriter]]


async def _serve(arrived: _Arrived, other: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=other, limit=_READ_OCTETS)
    try:
        while True:
            arrived.put_nowait((_decode_handed(await _message(reader)), writer))
    except (EOFError, ConnectionError):  # it has ended, or was killed
        pass
    finally:
        writer.close()


async def _store(collector: Collector, arrived: _Arrived) -> None:
    """Has the disk write once for all the batches that have arrived. It waits for it in the thread that does all else:
    the others wait for their batches anyway, and to change between threads takes longer than to store some reports."""
    while True:
        batches = [await arrived.get()]
        while not arrived.empty():
            batches.append(arrived.get_nowait())
        handed = [each for batch, _ in batches for each in batch]
        reports = [_pending(each) for each in handed]
        told = map(_told, handed, reports, collector.keep_most(reports))
        for batch, other in batches:
            _send(other, [*islice(told, len(batch))])


async def _here(work: Callable[..., _T], *arguments: Any) -> _T:
    return work(*arguments)


def _told(handed: _Handed, report: Pending, result: Result | None) -> _Told:
    if result is None:
        return None
    if isinstance(result, Exception):
        return _Failed(str(result), isinstance(result, ValueError))
    kept, acknowledgement = result
    return _Kept(kept, acknowledgement, None if handed.at else _handed(report))


def _handed(report: Pending) -> _Handed:
    received = report.received
    at, verified = (received.received_at, received.report) if received else (None, None)
    return _Handed(report.device, report.payload, report.brief, report.path, at, verified)


def _pending(handed: _Handed) -> Pending:
    received = None
    if handed.at:
        received = Received(handed.device, handed.at, handed.path, Report(*handed.report))
    return Pending(handed.device, received, handed.payload, handed.brief, handed.path)


def _send(writer: asyncio.StreamWriter, message: list[Any]) -> None:
    """Waits for nobody: what the socket has no room for is kept, one message at the most."""
    octets = _encode(message)
    writer.write(len(octets).to_bytes(_LENGTH_OCTETS, "big") + octets)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """EOFError: there are no more."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_OCTETS), "big")
    return await reader.readexactly(length)
