"""`time` and `select` in virtual time, for applications and asyncio on a host: every wait becomes the guard's own.

To be installed before the application or asyncio is imported. On a board nothing of this exists: there the system's own
`time` and `select` do, and `guard.run()` pumps.
"""

import sys
import time as _time

from usageguard.core.ticks import ticks_add, ticks_diff

POLLIN = 1
POLLOUT = 4
POLLERR = 8
POLLHUP = 16
_LONGEST_MS = 1 << 28
_AHEAD_MS = 1 << 40


class _Module:
    """Stands in `sys.modules` before a module of the system, and falls back on it."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)


class Time(_Module):
    """Ticks here go on from the system's own and far ahead of them, without the HAL's wrap: the scheduler in C
    stamps a task that is ready at once with the system's ticks, which then lie before any ticks of ours."""

    def __init__(self, guard, real):
        super().__init__(real)
        self._guard = guard
        self._last = guard.hal.ticks_ms()
        self._ticks = real.ticks_ms() + _AHEAD_MS if hasattr(real, "ticks_ms") else self._last

    def sleep(self, seconds):
        self._guard.sleep(int(seconds * 1000))

    def sleep_ms(self, ms):
        self._guard.sleep(ms)

    def sleep_us(self, us):
        self._guard.sleep((us + 999) // 1000)

    def ticks_ms(self):
        now = self._guard.hal.ticks_ms()
        self._ticks += ticks_diff(now, self._last)
        self._last = now
        return self._ticks

    def ticks_us(self):
        return self.ticks_ms() * 1000

    def ticks_add(self, ticks, delta):
        return ticks + delta

    def ticks_diff(self, end, start):
        return end - start


class Poll:
    """`select.poll` over objects with `ioctl`; waits in the guard."""

    def __init__(self, guard):
        self._guard = guard
        self._objects = {}

    def register(self, obj, mask=POLLIN | POLLOUT):
        self._objects[id(obj)] = [obj, mask]

    def modify(self, obj, mask):
        self._objects[id(obj)][1] = mask

    def unregister(self, obj):
        self._objects.pop(id(obj), None)

    def _ready(self):
        found = []
        for obj, mask in list(self._objects.values()):
            ready = obj.poll_ready(mask)
            if ready:
                found.append((obj, ready))
        return found

    def poll(self, timeout_ms=-1):
        guard = self._guard
        deadline = ticks_add(guard.hal.ticks_ms(), _LONGEST_MS if timeout_ms < 0 else timeout_ms)
        while True:
            found = self._ready()
            left = ticks_diff(deadline, guard.hal.ticks_ms())
            if found or left <= 0:
                return found
            guard.pump(deadline)

    def ipoll(self, timeout_ms=-1, flags=0):
        return iter(self.poll(timeout_ms))


class Select(_Module):
    POLLIN, POLLOUT, POLLERR, POLLHUP = POLLIN, POLLOUT, POLLERR, POLLHUP

    def __init__(self, guard):
        super().__init__(None)
        self._guard = guard

    def poll(self):
        return Poll(self._guard)


def install(guard):
    """Replaces `time` and `select` for whatever is imported from now on."""
    clock = Time(guard, _time)
    for name in ("time", "utime"):
        sys.modules[name] = clock
    if sys.implementation.name == "micropython":  # CPython's own asyncio needs its own select
        for name in ("select", "uselect"):
            sys.modules[name] = Select(guard)
