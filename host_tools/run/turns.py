"""Worlds that share something take turns: each runs for a window of virtual time, then what they share is exchanged.

A world's program blocks while its clock runs, so each has a thread; one runs at a time. What happens does not depend on
how threads are scheduled: a world knows of the others only what was exchanged at the end of a window.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from host_tools.sim.clock import Clock, S

WINDOW_US = 60 * S


class PacedClock(Clock):
    """A clock that runs up to `limit_us`, and asks `pause` for the next limit there."""

    def __init__(self, start: datetime, pause: Callable[[], int]) -> None:
        super().__init__(start)
        self.limit_us = 0
        self.until_us = 0
        """What `run_until` was asked for."""
        self._pause = pause

    def run_until(self, t_us: int, stop: Callable[[], bool] | None = None) -> bool:
        while t_us >= self.limit_us:
            if super().run_until(self.limit_us - 1, stop):
                return True
            self.until_us = t_us
            self.limit_us = self._pause()
        return super().run_until(t_us, stop)

    def skip(self, t_us: int) -> None:
        """Moves to `t_us`, before which nothing is due."""
        super().run_until(t_us)

    @property
    def due_us(self) -> int:
        """When its world has something to do next."""
        next_us = self.next_us()
        return self.until_us if next_us is None else min(self.until_us, next_us)


class Turn:
    """One world's side: `live(clock)` runs it to its end. `on_turn` is called in its thread when it goes on."""

    def __init__(self, start: datetime, live: Callable[[PacedClock], None]) -> None:
        self.clock = PacedClock(start, self._pause)
        self.on_turn: Callable[[], None] = lambda: None
        self.over = False
        self._live = live
        self._limit_us = 0
        self._error: BaseException | None = None
        self._go, self._back = threading.Lock(), threading.Lock()  # each is released by the other side
        self._go.acquire()
        self._back.acquire()
        threading.Thread(target=self._run, daemon=True).start()

    def take(self, limit_us: int) -> None:
        """Lets the world run up to `limit_us`. Raises what it raises."""
        self._limit_us = limit_us
        self._go.release()
        self._back.acquire()
        if self._error:
            raise self._error

    def _pause(self) -> int:
        self._back.release()
        self._go.acquire()
        self.on_turn()
        return self._limit_us

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._live(self.clock)
        except BaseException as error:  # raised where the turn was given
            self._error = error
        self.over = True
        self._back.release()


def take_turns(turns: Sequence[Turn], exchange: Callable[[], None], window_us: int = WINDOW_US) -> int:
    """Runs all worlds to their ends, in windows that have something to do; `exchange()` is called after each, with all
    clocks at its end. Returns how many turns were taken."""
    taken = 0
    for turn in turns:
        turn.take(0)  # to the start
    while left := [turn for turn in turns if not turn.over]:
        limit_us = (min(turn.clock.due_us for turn in left) // window_us + 1) * window_us
        for turn in left:
            if turn.clock.due_us < limit_us:
                taken += 1
                turn.take(limit_us)
            else:
                turn.clock.skip(limit_us - 1)
        exchange()
    return taken
