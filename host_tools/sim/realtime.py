"""A world's clock paced by wall time, for devices that are not simulated."""

from __future__ import annotations

import time

from host_tools.sim.clock import Clock, S


class Pace:
    """Lets `clock` go on with wall time from now; it stands still until `catch_up` is called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._zero_us = time.monotonic_ns() // 1000 - clock.now_us

    def catch_up(self) -> None:
        """Runs what has become due."""
        self._clock.run_until(time.monotonic_ns() // 1000 - self._zero_us)

    def left_s(self, longest_s: float) -> float:
        """Seconds until something is due, `longest_s` at the most."""
        due = self._clock.next_us()
        if due is None:
            return longest_s
        return min(longest_s, max(0.0, (due + self._zero_us - time.monotonic_ns() // 1000) / S))
