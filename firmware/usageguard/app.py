"""The supervisor: runs the application beside the guard, reports its crash, starts it again with back-off.

An application is a module with `main(guard)`, of one of three kinds:

    blocking     def main(guard): uses sockets and pauses with `time.sleep` or `guard.sleep(ms)`
    asyncio      async def main(guard): `asyncio.create_task(guard.run())` is done for it
    own loop     def main(guard): calls `guard.step_now()` at least every `guard.WATCHDOG_MS` milliseconds

Guarding goes on inside every wait of the first two, and while a crashed application is being held back. Only the
guard's main loop feeds the watchdog: an application that computes for longer than `WATCHDOG_MS` (5 minutes) without
waiting is reset.
"""

import gc
import sys

import usageguard
from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff

FIRST_BACKOFF_MS = const(1_000)
LONGEST_BACKOFF_MS = const(300_000)
HEALTHY_MS = const(600_000)  # a run this long makes the next crash a first one again


def crash_code(error):
    """What ended the application as a small integer: an OSError's errno, else 1000 + a hash of the type's name."""
    if isinstance(error, OSError) and error.args and isinstance(error.args[0], int):
        return error.args[0] & 0x3FF
    code = 0
    for char in type(error).__name__:
        code = (code * 31 + ord(char)) % 8999
    return 1000 + code


def _print(error):
    try:
        sys.print_exception(error)  # MicroPython
    except AttributeError:
        import traceback

        traceback.print_exception(error)


def _run_once(guard, main):
    running = main(guard)
    if hasattr(running, "send"):
        from usageguard.guard.aio import run_beside

        run_beside(guard.run(), running)


def _guard_for(guard, ms):
    """Guards for `ms`, also while the application's globals leave no memory."""
    until = ticks_add(guard.hal.ticks_ms(), ms)
    while ticks_diff(until, guard.hal.ticks_ms()) > 0:
        try:
            guard.pump(until)
        except MemoryError:
            gc.collect()
            guard.hal.wait(ticks_add(guard.hal.ticks_ms(), FIRST_BACKOFF_MS))


def supervise(guard, main):
    """Runs `main` until it returns by itself. An Exception of its own never leaves here."""
    backoff = FIRST_BACKOFF_MS
    while True:
        started = guard.hal.ticks_ms()
        try:
            _run_once(guard, main)
            guard.hal.event("app-ended")
            return
        except Exception as error:
            gc.collect()
            try:
                try:
                    _print(error)
                finally:
                    guard.crashed(crash_code(error))
            except MemoryError:
                guard.hal.event("no-memory")
        if ticks_diff(guard.hal.ticks_ms(), started) >= HEALTHY_MS:
            backoff = FIRST_BACKOFF_MS
        _guard_for(guard, backoff)
        backoff = min(2 * backoff, LONGEST_BACKOFF_MS)


def forget_configuration():
    """Gives back what only the reading of a configuration needs."""
    for name in list(sys.modules):
        if name.startswith("usageguard.config"):
            del sys.modules[name]
    if hasattr(usageguard, "config"):
        del usageguard.config
    gc.collect()


def run(guard, main):
    """What a device does from boot on: guards, runs `main` under supervision, and guards on when it has returned."""
    guard.install()
    boot = sys.modules.pop("usageguard_boot", None)  # of a release build: what only a start needs
    if boot:
        boot.done()
        del boot
    forget_configuration()
    if hasattr(gc, "threshold"):  # MicroPython: has the heap collected before it is full, so it stays in one piece
        gc.threshold(gc.mem_free() // 4)
    supervise(guard, main)
    while True:
        _guard_for(guard, LONGEST_BACKOFF_MS)
