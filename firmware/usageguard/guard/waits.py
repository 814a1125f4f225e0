"""`time`, `select` and `machine` whose waits guard, for applications and for the stock libraries that they import.

They stand in `sys.modules` before the system's own modules and fall back on them. A wait stays the system's own where
the guard cannot be stepped: in another thread, and in an interrupt's callback that came in the middle of a step.
"""

import sys

from usageguard.compat import const, get_ident
from usageguard.core.ticks import ticks_add, ticks_diff

_SHORT_MS = const(20)  # a shorter wait may be a driver's: the system's, which is exact, and a step now and then
_EXACT_US = const(1_000)  # below this nothing at all comes between
_LONGEST_MS = const(1 << 28)


class Waits:
    """Stands for any of the modules, or for a `select.poll()`: one class, as each takes heap."""

    def __init__(self, guard, real):
        self._guard = guard
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)

    def _may_step(self):
        return not self._guard.stepping and get_ident() == self._guard.thread

    def _attend(self):
        """A step, if it can be and none was made in the last 20 ms."""
        guard = self._guard
        now = guard.hal.ticks_ms()
        if ticks_diff(now, guard.stepped_at) >= _SHORT_MS and self._may_step():
            guard.step(now)

    # time

    def sleep(self, seconds):
        self.sleep_us(int(seconds * 1_000_000))

    def sleep_us(self, us):
        if us >= _SHORT_MS * 1000:
            self.sleep_ms(us // 1000)
        else:
            self._real.sleep_us(us)
            if us >= _EXACT_US:
                self._attend()

    def sleep_ms(self, ms):
        if ms >= _SHORT_MS and self._may_step():
            self._guard.sleep(ms)
        else:
            self._real.sleep_ms(ms)
            self._attend()

    # machine

    def idle(self):
        self._real.idle()
        self._attend()

    def lightsleep(self, *ms):
        """Waits awake: a chip that sleeps does not hear its modem. Without a time it is the system's."""
        if ms and self._may_step():
            self._guard.sleep(ms[0])
        else:
            self._real.lightsleep(*ms)

    def deepsleep(self, ms=0):
        if self._may_step():
            self._guard.deep_sleep(ms)
        self._real.deepsleep(ms)

    # select.poll()

    def ipoll(self, ms=-1, *flags):
        guard = self._guard
        hal = guard.hal
        until = ticks_add(hal.ticks_ms(), _LONGEST_MS if ms is None or ms < 0 else min(ms, _LONGEST_MS))
        while True:
            guard.polling = True
            try:
                found = self._real.poll(0, *flags)
            finally:
                guard.polling = False
            now = hal.ticks_ms()
            left = ticks_diff(until, now)
            if found or left <= 0:
                self._attend()
                return found
            if not self._may_step():
                return self._real.poll(left, *flags)
            guard.pump(ticks_add(now, min(left, hal.SLICE_MS)))  # what is not a socket of ours does not wake the guard

    poll = ipoll


def install(guard):
    """Replaces the modules for whatever is imported from now on, and for asyncio."""
    for name in ("time", "select", "machine"):
        try:
            real = __import__(name)
        except ImportError:  # a host has no `machine`
            continue
        sys.modules[name] = sys.modules["u" + name] = Waits(guard, real)
    machine = sys.modules.get("machine")
    if machine:
        machine.sleep = machine.lightsleep  # its former name
    select = sys.modules["select"]
    make = select._real.poll
    select.poll = lambda: Waits(guard, make())
    core = sys.modules.get("asyncio.core")
    if core:  # imported before, by `boot.py` for one
        core.select = select
        core.new_event_loop()
