"""The HAL on an ESP32 under stock MicroPython >= 1.24. Not yet run on hardware: written against its documentation
and stubs.

`board` is the device's `board.json`: {"uart": 1, "tx": 26, "rx": 27, "baud": 115200, "pwrkey": 4, "pwrkey_active": 1,
"on_pulse_ms": 100, "off_pulse_ms": 3000, "power": 12 or null}. The ledger lies on a data partition named "ledger".
"""

import os
import time

import machine
from esp32 import Partition

_RX_OCTETS = 8192  # an AT+QIRD of 1,500 octets, and an erase's 50 ms at 921,600 baud
_TX_OCTETS = 2048
_RETAINED = 64
_DATA = Partition.TYPE_DATA


class Hal:
    """See `usageguard.hal` for the interface."""

    SLICE_MS = 20  # asyncio's own poll does not pump the guard: the longest that input may lie in the UART's buffer

    def __init__(self, board):
        self._uart = machine.UART(
            board["uart"],
            baudrate=board["baud"],
            tx=board["tx"],
            rx=board["rx"],
            rxbuf=_RX_OCTETS,
            txbuf=_TX_OCTETS,
            timeout=0,
            timeout_char=0,
        )
        self._board = board
        self._rtc = machine.RTC()
        self._watchdog = None
        found = Partition.find(_DATA, label="ledger")
        self.flash = found[0] if found else None
        # Bound once: looking a method up allocates, and these run for every octet.
        self.ticks_ms = time.ticks_ms
        self._any = self._uart.any
        self._readinto = self._uart.readinto
        self._write = self._uart.write

    def wait(self, until_ms):
        """Until ticks `until_ms`, or until the UART has something; the chip idles meanwhile."""
        while time.ticks_diff(until_ms, time.ticks_ms()) > 0 and not self._any():
            time.sleep_ms(1)

    def uart_readinto(self, buf, n):
        if not self._any():
            return 0
        return self._readinto(buf, n) or 0

    def uart_write(self, buf, n):
        # Every MicroPython stream takes (buf, n); the stubs know only (buf).
        self._write(buf, n)  # pyright: ignore[reportCallIssue]

    def uart_baud(self, rate):
        self._uart.init(baudrate=rate)

    def retained_read(self, buf):
        stored = self._rtc.memory()[: len(buf)]
        buf[: len(stored)] = stored

    def retained_write(self, buf):
        self._rtc.memory(buf)

    def reset_cause(self):
        return machine.reset_cause()

    def unique_id(self):
        return machine.unique_id()

    def random(self, n):
        return os.urandom(n)

    def watchdog_feed(self, timeout_ms):
        if self._watchdog is None:
            self._watchdog = machine.WDT(timeout=timeout_ms)
        self._watchdog.feed()

    def set_utc(self, day, second):
        """Sets the RTC; ESP32's epoch is 2000-01-01, as the guard's day 0."""
        utc = time.gmtime(day * 86400 + second)
        self._rtc.datetime((utc[0], utc[1], utc[2], utc[6], utc[3], utc[4], utc[5], 0))

    def modem_power(self, on):
        """The supply, where the board switches it, and a pulse on PWRKEY."""
        board = self._board
        if board.get("power") is not None and on:
            machine.Pin(board["power"], machine.Pin.OUT, value=1)
        if board.get("pwrkey") is not None:
            active = board["pwrkey_active"]
            key = machine.Pin(board["pwrkey"], machine.Pin.OUT, value=1 - active)
            key.value(active)
            time.sleep_ms(board["on_pulse_ms"] if on else board["off_pulse_ms"])
            key.value(1 - active)
        if board.get("power") is not None and not on:
            machine.Pin(board["power"], machine.Pin.OUT, value=0)

    def reset(self):
        machine.reset()

    def event(self, code, a=0, b=0):
        print("ug", code, a, b)

    def status(self, text):
        print("ug", text)
