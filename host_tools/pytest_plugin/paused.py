"""A world that stands still while the test runs: it has a thread of its own, and only one of the two threads runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from host_tools.run.world import World
from host_tools.sim.clock import Timer

T = TypeVar("T")
Play = Callable[[Callable[[World], None]], Any]
"""Runs a world to its end and returns the outcome; calls its argument with the world before the device's first boot."""

_END_S = 90  # longer than the 60 s after which the target gives up a program that does not respond


class _Left(BaseException):
    """Ends the world's thread when the test ends before its world."""


class PausedWorld:
    """Runs a world in a thread. `call` runs a function in that thread, between two events of the world."""

    def __init__(self, play: Play) -> None:
        """Returns when the world exists, at its time 0. Raises what `play` raises before that."""
        self.world: World
        self.outcome: Any = None
        self.over = False
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()  # None: continue
        self._answers: SimpleQueue[tuple[bool, Any]] = SimpleQueue()  # (True, value) or (False, exception)
        self._paused = False
        self._leaving = False
        self._thread = threading.Thread(target=self._run, args=(play,), name="usageguard-bench", daemon=True)
        self._thread.start()
        self._wait()

    def call(self, act: Callable[[], T]) -> T:
        """Runs `act()` in the world's thread; returns its result or raises its exception."""
        if threading.current_thread() is self._thread:
            return act()
        self._calls.put(act)
        return self._answer()

    def go(self, until_us: int | None) -> None:
        """Advances the world to `until_us`, or to its end; raises what was raised in the world meanwhile."""
        timer = self.call(lambda: self.world.clock.at(until_us, self._pause)) if until_us is not None else None
        self._go(timer)

    def close(self) -> None:
        """Ends the world."""
        self._leaving = True
        if self._paused or self.over:
            self._calls.put(None)
        else:  # Ctrl-C came while it ran
            self.world.end_us = 0
            self.world.board.finish()
        self._thread.join(_END_S)

    def _go(self, timer: Timer | None) -> None:
        self._paused = False
        self._calls.put(None)
        try:
            self._wait()
        except BaseException:
            if timer:
                timer.cancel()
            raise

    def _wait(self) -> None:
        """Waits for the next pause or the end of the world."""
        self.over, self.outcome = self._answer()
        self._paused = not self.over

    def _answer(self) -> Any:
        succeeded, value = self._answers.get()
        if not succeeded:
            raise value
        return value

    # In the thread

    def _run(self, play: Play) -> None:
        try:
            self._answers.put((True, (True, play(self._started))))
        except _Left:
            return
        except BaseException as error:
            self.over = True
            self._answers.put((False, error))
        self._serve()

    def _started(self, world: World) -> None:
        self.world = world
        self._pause()

    def _pause(self) -> None:
        if self._leaving:
            raise _Left
        self._answers.put((True, (False, None)))
        self._serve()
        if self._leaving:
            raise _Left

    def _serve(self) -> None:
        """Runs the test's calls until it lets time continue."""
        while (act := self._calls.get()) is not None:
            try:
                answer = (True, act())
            except BaseException as error:
                answer = (False, error)
            self._answers.put(answer)
