# type: ignore - MicroPython, which pyright takes for CPython
# ruff: noqa: SIM115, UP031
"""The virtual board's replacement for the ESP32 port's `machine`, as far as the firmware uses it.

`power_on` imports it in each boot, while the host's files are still accessible. For what needs the hardware (a reset,
the watchdog) it sends a line to the supervisor, which kills the process at any point, as a reset would.
"""

import io
import os
import select
import termios
import time

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
_RETAINED = 2048  # size of the RTC memory in the ESP32 port
_VMIN, _VTIME = 6, 5  # in c_cc, on Linux

_control = open(int(os.getenv("BOARD_CONTROL")), "wb", 0)
_cause = int(os.getenv("BOARD_CAUSE"))
_id = bytes.fromhex(os.getenv("BOARD_ID"))
_memory = open(os.getenv("BOARD_FOLDER") + "/retained.bin", "r+b")


def _open_line(path):
    line = open(path, "r+b", 0)
    termios.setraw(line.fileno())
    attributes = termios.tcgetattr(line.fileno())
    attributes[6][_VMIN] = attributes[6][_VTIME] = 0  # a read returns what is available
    termios.tcsetattr(line.fileno(), termios.TCSANOW, attributes)
    return line


_line = _open_line(os.getenv("BOARD_UART"))


def notify(text):
    """Sends a line to the supervisor."""
    _control.write(text + "\n")


def reset():
    notify("reset")
    while True:
        time.sleep(1)


def deepsleep(ms=0):
    notify("sleep %d" % ms)
    while True:
        time.sleep(1)


def soft_reset():
    notify("soft")
    while True:
        time.sleep(1)


def reset_cause():
    return _cause


def unique_id():
    return _id


def idle():
    time.sleep_ms(1)


class WDT:
    def __init__(self, id=0, timeout=5000):
        self._timeout = timeout
        self.feed()

    def feed(self):
        notify("watchdog %d" % self._timeout)


class RTC:
    def memory(self, data=None):
        _memory.seek(0)
        if data is not None:
            data = bytes(data)  # of any buffer, such as an array of words
            if len(data) > _RETAINED:
                raise ValueError("buffer too long")
            _memory.write(len(data).to_bytes(2, "little") + data)
            return None
        stored = _memory.read()
        return stored[2 : 2 + int.from_bytes(stored[:2], "little")]

    def datetime(self, when=None):
        """The host's time; setting it has no effect."""
        if when is None:
            now = time.gmtime()
            return (now[0], now[1], now[2], now[6], now[3], now[4], now[5], 0)
        return None


class Pin:
    """Stores its level; nothing is connected."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    _levels = {}

    def __init__(self, id, mode=-1, pull=-1, value=None, **_):
        self._id = id
        if value is not None:
            self._levels[id] = value

    def value(self, level=None):
        if level is None:
            return self._levels.get(self._id, 0)
        self._levels[self._id] = level
        return None

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


class UART(io.IOBase):
    """The line to the tty that `--uart` names. Baud rate and buffer sizes have no effect on a pseudo-terminal."""

    RTS, CTS = 1, 2
    IRQ_RXIDLE = 4096
    _GET_FILENO = 10  # stream requests of py/stream.h
    _POLL = 3

    def __init__(self, id, **_):
        self._poll = select.poll()
        self._poll.register(_line, select.POLLIN)

    def init(self, **_):
        pass

    def irq(self, handler, trigger):
        """There is no interrupt: whoever waits polls."""

    def ioctl(self, op, arg):
        if op == self._GET_FILENO:
            return _line.fileno()
        return arg if op == self._POLL else 0

    def txdone(self):
        return True

    def any(self):
        for ready in self._poll.ipoll(0):
            return ready[1] & select.POLLIN
        return 0

    def readinto(self, buf, n=-1):
        try:
            return _line.readinto(buf, len(buf) if n < 0 else n) or None
        except OSError:  # the other end was closed
            return None

    def write(self, buf, n=-1):
        n = len(buf) if n < 0 else n
        try:
            return _line.write(buf, n)
        except OSError:
            return n
