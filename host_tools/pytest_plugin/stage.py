"""A world that stands still while a test thinks: it lives in a thread of its own, and only one of the two runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from host_tools.bench import World
from host_tools.sim.clock import Timer

T = TypeVar("T")
Play = Callable[[Callable[[World], None]], Any]
"""Runs a world to its end and returns the outcome; calls its argument with the world before the device starts."""

_END_S = 90  # a program that computes is given up by the bench after 60 s


class _Left(BaseException):
    """The test is over before its world is."""


class Stage:
    """The thread. All that concerns the world happens in it: `call` has a function run there, between two events."""

    def __init__(self, play: Play) -> None:
        """Returns when the world is there, at its time 0. Raises what `play` raises until then."""
        self.world: World
        self.outcome: Any = None
        self.over = False
        self._orders: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()  # None: go on
        self._answers: SimpleQueue[tuple[bool, Any]] = SimpleQueue()  # (done well, value or exception)
        self._paused = False
        self._leaving = False
        self._thread = threading.Thread(target=self._run, args=(play,), name="usageguard-bench", daemon=True)
        self._thread.start()
        self._wait()

    def call(self, act: Callable[[], T]) -> T:
        """The result of `act()`, or its exception."""
        if threading.current_thread() is self._thread:
            return act()
        self._orders.put(act)
        return self._answer()

    def go(self, until_us: int | None) -> None:
        """Lets time pass up to `until_us`, or to the end; raises what happened on the way."""
        timer = self.call(lambda: self.world.clock.at(until_us, self._pause)) if until_us is not None else None
        self._go(timer)

    def close(self) -> None:
        """Ends the world wherever it is."""
        self._leaving = True
        if self._paused or self.over:
            self._orders.put(None)
        else:  # Ctrl-C came while it ran
            self.world.end_us = 0
            self.world.board.finish()
        self._thread.join(_END_S)

    def _go(self, timer: Timer | None) -> None:
        self._paused = False
        self._orders.put(None)
        try:
            self._wait()
        except BaseException:
            if timer:
                timer.cancel()
            raise

    def _wait(self) -> None:
        """For the next pause, or the end."""
        self.over, self.outcome = self._answer()
        self._paused = not self.over

    def _answer(self) -> Any:
        well, value = self._answers.get()
        if not well:
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
        """Does what the test asks for until it lets time go on."""
        while (act := self._orders.get()) is not None:
            try:
                answer = (True, act())
            except BaseException as error:
                answer = (False, error)
            self._answers.put(answer)
