# type: ignore - MicroPython
"""What `usageguard.hal.esp32` uses of a board's `machine`, with nothing connected to it."""

import io

_NAME = b"\x24\x0a\xc4\x00\x00\x01"


class UART(io.IOBase):  # a stream: the guard polls it
    def __init__(self, number, **settings):
        pass

    def ioctl(self, op, arg):
        return 0

    def init(self, **settings):
        pass

    def any(self):
        return 0

    def readinto(self, buf, n):
        return None

    def write(self, buf, n):
        return n


class RTC:
    stored = b""

    def memory(self, *data):
        if not data:
            return RTC.stored
        RTC.stored = bytes(data[0])
        return None

    def datetime(self, *now):
        pass


class WDT:
    def __init__(self, timeout):
        pass

    def feed(self):
        pass


class Pin:
    OUT = 3

    def __init__(self, number, mode, value, hold=None):
        pass

    def value(self, level):
        pass


def reset_cause():
    return 1


def unique_id():
    return _NAME
