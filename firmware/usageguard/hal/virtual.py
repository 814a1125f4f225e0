"""`time` and `machine` in virtual time: what a chip has in C, for a host.

A wait lets the simulated time pass and does nothing else, as on a chip: no step of the guard, nobody reads the UART.
The guard's waits (`guard.waits`) are installed above them, as on a board. In another thread a wait is the host's.
"""

import sys
import time as _time

from usageguard.compat import get_ident
from usageguard.core.ticks import ticks_diff
from usageguard.hal.host import block

_LONGEST_MS = 1 << 28
_AHEAD_MS = 1 << 40
_READS = 100  # of the ticks at one instant, before they cost a millisecond: a loop that waits for them ends


class _Module:
    """Stands in `sys.modules` before a module of the system, and falls back on it."""

    def __init__(self, hal, real):
        self._hal = hal
        self._real = real
        self._thread = get_ident()

    def __getattr__(self, name):
        return getattr(self._real, name)

    def _block(self, ms):
        if get_ident() != self._thread:  # the link to the bench is the main thread's, and so is virtual time
            _time.sleep(0.001)
            return
        while ms > 0:
            step = min(ms, _LONGEST_MS)
            block(self._hal, step)
            ms -= step


class Time(_Module):
    """Ticks here go on from the system's own and far ahead of them, without the HAL's wrap: the scheduler in C
    stamps a task that is ready at once with the system's ticks, which then lie before any ticks of ours."""

    def __init__(self, hal, real):
        super().__init__(hal, real)
        self._last = hal.ticks_ms()
        self._ticks = real.ticks_ms() + _AHEAD_MS if hasattr(real, "ticks_ms") else self._last
        self._reads = 0

    def sleep(self, seconds):
        self._block(int(seconds * 1000))

    def sleep_ms(self, ms):
        self._block(ms)

    def sleep_us(self, us):
        self._block((us + 999) // 1000)

    def ticks_ms(self):
        now = self._hal.ticks_ms()
        if now == self._last:
            self._reads += 1
            if self._reads >= _READS:
                self._block(1)
                now = self._hal.ticks_ms()
        if now != self._last:
            self._reads = 0
            self._ticks += ticks_diff(now, self._last)
            self._last = now
        return self._ticks

    def ticks_us(self):
        return self.ticks_ms() * 1000

    def ticks_add(self, ticks, delta):
        return ticks + delta

    def ticks_diff(self, end, start):
        return end - start


class Machine(_Module):
    def idle(self):
        self._block(1)

    def lightsleep(self, ms=_LONGEST_MS):
        self._block(ms)

    def deepsleep(self, ms=0):
        self._hal.deep_sleep(ms)


def install(hal):
    """Replaces `time` and `machine` for whatever is imported from now on."""
    try:
        real = __import__("machine")
    except ImportError:
        real = None
    sys.modules["time"] = sys.modules["utime"] = Time(hal, _time)
    sys.modules["machine"] = sys.modules["umachine"] = Machine(hal, real)
