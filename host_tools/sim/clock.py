"""Virtual time of one world and the queue of what is going to happen in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any

MS = 1_000
S = 1_000_000


class Timer:
    """One scheduled call; `cancel()` makes it void."""

    __slots__ = ("args", "fn", "t_us")

    def __init__(self, t_us: int, fn: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.t_us = t_us
        self.fn: Callable[..., None] | None = fn
        self.args = args

    def cancel(self) -> None:
        self.fn = None


class Clock:
    """Integer microseconds since the world's start. Equal times run in the order in which they were scheduled."""

    def __init__(self, start: datetime) -> None:
        self.start = start.astimezone(UTC)
        self.now_us = 0
        self._queue: list[tuple[int, int, Timer]] = []
        self._order = 0

    def at(self, t_us: int, fn: Callable[..., None], *args: Any) -> Timer:
        """Calls `fn(*args)` when time reaches `t_us`; a past time means now."""
        if t_us < self.now_us:
            t_us = self.now_us
        timer = Timer(t_us, fn, args)
        self._order = order = self._order + 1
        heappush(self._queue, (t_us, order, timer))
        return timer

    def after(self, delay_us: int, fn: Callable[..., None], *args: Any) -> Timer:
        return self.at(self.now_us + delay_us, fn, *args)

    @property
    def scheduled(self) -> int:
        """How many calls were scheduled so far: a measure of the work that a world is."""
        return self._order

    def utc(self) -> datetime:
        return self.start + timedelta(microseconds=self.now_us)

    def us_of(self, instant: datetime) -> int:
        """The virtual time of a calendar instant (negative before the start)."""
        return (instant.astimezone(UTC) - self.start) // timedelta(microseconds=1)

    def next_us(self) -> int | None:
        """When the next live timer is due, or None."""
        while self._queue and self._queue[0][2].fn is None:
            heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def run_until(self, t_us: int, stop: Callable[[], bool] | None = None) -> bool:
        """Runs what is due up to and including `t_us`; True when `stop()` held first, with time left at that event."""
        queue = self._queue
        while queue and queue[0][0] <= t_us:
            due, _, timer = heappop(queue)
            fn = timer.fn
            if fn is None:
                continue
            self.now_us = due
            timer.fn = None
            fn(*timer.args)
            if stop is not None and stop():
                return True
        self.now_us = max(self.now_us, t_us)
        return False
