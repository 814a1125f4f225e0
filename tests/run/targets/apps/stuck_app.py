"""Waits beside the guard, as a driver of a sensor that never answers might: nobody feeds the watchdog."""

from usageguard.core.ticks import ticks_add


def main(guard):
    guard.sleep(60_000)
    while True:
        guard.hal.wait(ticks_add(guard.hal.ticks_ms(), 10_000))
