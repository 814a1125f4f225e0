"""Crashes with an OSError after telling when it was started, in seconds of the device's ticks."""


def main(guard):
    guard.hal.event("app-start", 0, guard.hal.ticks_ms() // 1000)
    raise OSError(104, "ECONNRESET")
