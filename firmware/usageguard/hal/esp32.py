"""The HAL on an ESP32, S3 or C3 under stock MicroPython >= 1.24. Not yet run on hardware: written against the
documentation, the stubs and the port's sources.

`board` is the device's `board.json`, which `host_tools.hardware.boards` makes of a `board.toml`: GPIO numbers, and the
levels (0 or 1) at which a pin does what it is named after. Only the first line must be there, anything else may be
missing or null.
  uart, tx, rx, baud
  rts, cts                                flow control is on where both are given
  power, power_active                     the modem's supply, where the board switches it by a pin
  axp2101                                 [sda, scl, DC3 in mV, BLDO1 in mV], where such a chip switches it
  reset, reset_active, reset_pulse_ms
  pwrkey, pwrkey_active, on_pulse_ms, off_pulse_ms
  status, status_active                   tells whether the modem is on
  reserve                                 [uart, tx, rx] of one that nothing is connected to: firmware/reserve.py
  hold                                    [[pin, level], ...]: levels that the modem needs while it works, such as DTR's
  dtr                                     [pin, level] of that: taken away, a data call is left, or the modem may sleep
"""

import os
import select
import sys
import time

import esp32
import machine

# Octets that the line may bring while nobody reads: 0.7 s at 115,200 baud. One AT+QIRD of 1,500 and an erase fit in.
_RX_OCTETS = 8192
_TX_OCTETS = 2048  # an AT+QISEND's 1,460 leave while Python goes on; a longer write waits for the line


class Hal:
    """See `usageguard.hal` for the interface. `flash` is the partition named "ledger", which a stock image lacks."""

    files = True  # littlefs
    flow_control = deaf = False
    SLICE_MS = 20  # asyncio's own poll does not pump the guard: the longest that input may lie in the UART's buffer

    def __init__(self, board):
        self._board = board
        self._supply(True)  # at once: some boards reset when it stays off (a battery feeds them through it)
        self._uart = uart = machine.UART(
            board["uart"],
            baudrate=board["baud"],
            tx=board["tx"],
            rx=board["rx"],
            rxbuf=_RX_OCTETS,
            txbuf=_TX_OCTETS,
            timeout=0,
            timeout_char=0,
        )
        if board.get("rts") is not None and board.get("cts") is not None:
            self.flow_control = True
            uart.init(rts=board["rts"], cts=board["cts"], flow=machine.UART.RTS | machine.UART.CTS)
            # What was sent before was answered or given up. It is still here where a modem that hangs holds the line: a
            # write for which the buffer has no room would wait for that until the watchdog bites.
            write, done = uart.write, uart.txdone
            self.uart_write = lambda buf, n: write(buf, n) if done() else None  # pyright: ignore[reportCallIssue]
        # A poll idles by FreeRTOS ticks, 10 ms in a stock image; time.sleep_ms(1) would burn them.
        self._poll = select.poll()
        self._poll.register(uart, select.POLLIN)
        self._poll.ipoll(0)  # the first one allocates what all share
        self._rtc = machine.RTC()
        self._watchdog = None
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="ledger")
        self.flash = found[0] if found else None
        self.reserve = sys.modules.get("reserve")
        # Bound once: looking a method up allocates, and these run for every octet.
        self.ticks_ms = time.ticks_ms
        self._any = uart.any
        self._readinto = uart.readinto
        self._write = uart.write

    def wait(self, until_ms):
        """Until ticks `until_ms`, up to 10 ms late, or until the UART has something; the chip idles meanwhile."""
        left = time.ticks_diff(until_ms, time.ticks_ms())
        if left > 0 and self.deaf:
            time.sleep_ms(left)
        elif left > 0:
            self._poll.ipoll(left)  # as poll(), without a list of the answers

    def uart_readinto(self, buf, n):
        if not self._any():
            return 0
        return self._readinto(buf, n) or 0

    def uart_write(self, buf, n):
        # Every MicroPython stream takes (buf, n); the stubs know only (buf).
        self._write(buf, n)  # pyright: ignore[reportCallIssue]

    def uart_rate(self, baud):
        own = self._board["baud"]
        self._uart.init(baudrate=baud or own)
        return own

    # RTC().memory() holds up to 2048 octets on each of the three chips and outlives every reset but power-on, brown-out
    # and EN. It is one value: an application that writes it as well overwrites the guard's, whose checks then say so.

    def retained_read(self, buf):
        stored = self._rtc.memory()[: len(buf)]
        buf[: len(stored)] = stored

    def retained_write(self, buf):
        self._rtc.memory(buf)

    def reset_cause(self):
        """machine's constants are the interface's, but for 0: a cause unknown to it, such as a reset over USB."""
        return machine.reset_cause() or machine.HARD_RESET

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
        """Generator: switches the modem on or off; yields how many milliseconds the levels have to stay as they are.

        On: supply, reset pulse, PWRKEY pulse, as the boards' makers do it: a modem that hangs ignores PWRKEY. PWRKEY
        toggles the modem, so there is no pulse if the status pin shows that the modem is in the wanted state. An
        application that keeps the guard from stepping makes a pulse longer.
        """
        board = self._board
        if on:
            self._supply(True)
            yield from self._pulse("reset", board.get("reset_pulse_ms"))
            if self._is_on() is not True:
                yield from self._pulse("pwrkey", board.get("on_pulse_ms"))
        else:
            if self._is_on() is not False:
                yield from self._pulse("pwrkey", board.get("off_pulse_ms"))
            self._supply(False)

    def _supply(self, on):
        board = self._board
        if board.get("power") is not None:
            active = board["power_active"]
            machine.Pin(board["power"], machine.Pin.OUT, value=active if on else 1 - active, hold=False)  # pyright: ignore[reportCallIssue]
        if board.get("axp2101"):
            self._switch_axp2101(on, *board["axp2101"])
        if on:
            for pin, level in board.get("hold") or ():
                machine.Pin(pin, machine.Pin.OUT, value=level, hold=False)  # `deep_sleep` holds it  # pyright: ignore[reportCallIssue]

    def _switch_axp2101(self, on, sda, scl, dc3_mv, bldo1_mv):
        from usageguard.hal.axp2101 import switch

        try:
            switch(machine.SoftI2C(scl=machine.Pin(scl), sda=machine.Pin(sda)), dc3_mv, bldo1_mv, on)
        except OSError as error:
            self.event("axp2101", error.errno or 0)

    def _pulse(self, name, ms):
        """Generator: puts the pin at its active level for `ms`, then back; nothing if the board has no such pin."""
        board = self._board
        if board.get(name) is None:
            return
        active = board[name + "_active"]
        pin = machine.Pin(board[name], machine.Pin.OUT, value=1 - active)
        pin.value(active)
        yield ms
        pin.value(1 - active)

    def _is_on(self):
        """What the status pin says; None where there is none."""
        board = self._board
        if board.get("status") is None:
            return None
        return machine.Pin(board["status"], machine.Pin.IN).value() == board["status_active"]

    def modem_dtr(self):
        if not self._board.get("dtr"):
            return None
        number, level = self._board["dtr"]
        pin = machine.Pin(number, machine.Pin.OUT, value=level)
        return lambda on: pin.value(level if on else 1 - level)

    def rtc_s(self):
        return time.time() & 0x3FFFFFFF

    def deep_sleep(self, ms):
        """In the deep sleep of the chip a pin is an input unless it is held, as the modem's supply has to be."""
        board = self._board
        for pin, _ in [(board.get("power"), 1)] + list(board.get("hold") or ()):
            if pin is not None:
                machine.Pin(pin, hold=True)  # pyright: ignore[reportCallIssue]
        esp32.gpio_deep_sleep_hold(True)  # pyright: ignore[reportAttributeAccessIssue]
        machine.deepsleep(ms)

    def ppp(self):
        from usageguard.hal.esp32_ppp import Parts

        return Parts(self._uart, self._poll)

    def reset(self):
        machine.reset()

    def event(self, code, a=0, b=0):
        print("ug", code, a, b)

    def status(self, text):
        print("ug", text)
