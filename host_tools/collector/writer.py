"""Writes the reports that arrive, whichever way, in a thread of its own."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from host_tools.collector import retention
from host_tools.collector.database import StoreError, UnavailableError
from host_tools.collector.intake import Collector, Intake, Pending, Result

_MOST_WRITTEN = 500  # reports at once: meanwhile few others are read
_MOST_WAITING = 10_000  # reports waiting for the database; more are refused, and devices send them again
_AT_ONCE = 64  # answers
_OVERLOADED = UnavailableError("too many reports wait")
_T = TypeVar("_T")
_P = TypeVar("_P", bound=Pending)
_Batch = list[tuple[Pending, Callable[[Any, Result], None]]]


class Batches(ABC):
    """Reports that arrive while others are being stored are stored together. A slow database delays the
    acknowledgements of the reports that it stores, and no other answer."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Pending, Callable[[Any, Result], None]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    @abstractmethod
    async def _keep(self, batch: list[Pending]) -> list[Result]:
        """What became of each report."""

    async def drain(self) -> None:
        """Returns when every report that has arrived is answered."""
        if self._writing:
            await self._writing

    async def close(self) -> None:
        """To be called when nothing more can arrive."""
        await self.drain()

    def put(self, report: _P, answer: Callable[[_P, Result], None]) -> None:
        """Stores a report; calls `answer`, in the loop's thread, with the report and what became of it."""
        if len(self._waiting) >= _MOST_WAITING:
            self._intake.refusals[str(_OVERLOADED)] += 1
            answer(report, _OVERLOADED)
            return
        self._waiting.append((report, answer))
        if not self._writing or self._writing.done():
            self._writing = self._loop.create_task(self._write())

    async def _write(self) -> None:
        """Stores the next batch while what became of the one before is told."""
        storing = self._next()
        while storing:
            batch, results = await storing
            storing = self._next()
            for place, ((report, answer), result) in enumerate(zip(batch, results, strict=True)):
                if not place % _AT_ONCE:
                    await asyncio.sleep(0)  # what arrives is read meanwhile: a socket's buffer has room for few
                if isinstance(result, StoreError):
                    self._intake.refusals[f"not stored ({result})"] += 1
                answer(report, result)
            storing = storing or self._next()

    def _next(self) -> asyncio.Task[tuple[_Batch, list[Result]]] | None:
        """What stores the reports that wait; None where there are none."""
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_WRITTEN))]
        return self._loop.create_task(self._stored(batch)) if batch else None

    async def _stored(self, batch: _Batch) -> tuple[_Batch, list[Result]]:
        return batch, await self._keep([report for report, _ in batch])


class Writer(Batches):
    """Writes to a collector's store."""

    def __init__(self, collector: Collector) -> None:
        super().__init__(collector)
        self._collector = collector
        self._thread = ThreadPoolExecutor(1, "store")
        self._using = asyncio.Lock()  # the store

    async def close(self) -> None:
        await super().close()
        self._thread.shutdown()

    async def store(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """What `work` returns, or raises, in the thread that waits for the database."""
        async with self._using:
            return await self._loop.run_in_executor(self._thread, work, *arguments)

    async def _keep(self, batch: list[Pending]) -> list[Result]:
        """What became of each report. Those that continue what is known are made into rows in this thread, as two that
        compute take longer than one; the other one begins, writes and commits. What is left over it does alone."""
        try:
            async with self._using, self._waits_elsewhere(self._collector.at_once(batch)):
                continue_it = [self._collector.continues(each) for each in batch]
        except UnavailableError as error:
            return [error] * len(batch)
        except StoreError:  # one is to take no other with it
            continue_it = [False] * len(batch)
        left = [each for each, continues in zip(batch, continue_it, strict=True) if not continues]
        others = iter(await self.store(self._collector.keep_all, left) if left else ())
        return [
            self._collector.followed(each) if continues else next(others)
            for each, continues in zip(batch, continue_it, strict=True)
        ]

    @asynccontextmanager
    async def _waits_elsewhere(self, context: AbstractContextManager[None]) -> AsyncIterator[None]:
        """The context, which is entered and left in the thread that waits for the database."""
        await self._loop.run_in_executor(self._thread, context.__enter__)
        try:
            yield
        except BaseException as error:
            await self._loop.run_in_executor(self._thread, context.__exit__, type(error), error, error.__traceback__)
            raise
        await self._loop.run_in_executor(self._thread, context.__exit__, None, None, None)


@asynccontextmanager
async def writing(collector: Collector, keep: timedelta | None = None) -> AsyncIterator[Writer]:
    """Takes reports for a collector's store while the context is open; what was taken is answered at its end. `keep`:
    reports that arrived longer ago are reduced meanwhile."""
    writer = Writer(collector)
    reducing = None
    if keep:
        going_on = retention.go_on(writer.store, collector.store.database, keep, collector.refusals)
        reducing = asyncio.create_task(going_on)
    try:
        yield writer
    finally:
        if reducing:
            reducing.cancel()
        await writer.close()
