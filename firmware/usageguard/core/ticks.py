"""Millisecond ticks: integers modulo 2**30 on every HAL, as on an ESP32.

Compare only with `ticks_diff`. The horizon is 2**29 ms (6.2 days): a longer time-out is calendar time, or counts down
in steps.
"""

_MASK = (1 << 30) - 1
# Adding half a period, modulo the period, inverts the top bit: so no sum exceeds the small ints of an ESP32.
_HALF = 1 << 29


def ticks_add(ticks, delta_ms):
    """`ticks` moved by `delta_ms` (|delta_ms| < 2**29), in [0, 2**30)."""
    return ((ticks - _HALF + delta_ms) & _MASK) ^ _HALF


def ticks_diff(end, start):
    """Signed milliseconds from `start` to `end`, in [-2**29, 2**29)."""
    return (((end - start) & _MASK) ^ _HALF) - _HALF


class Countdown:
    """A time-out that stays expired; `left_ms` has to be called at least once in 2**29 ms."""

    def __init__(self):
        self._from = 0
        self._left = 0

    def start(self, now, ms):
        self._from = now
        self._left = ms

    def left_ms(self, now):
        if self._left:
            self._left = max(0, self._left - ticks_diff(now, self._from))
            self._from = now
        return self._left
