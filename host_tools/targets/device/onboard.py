# type: ignore - MicroPython
"""The device's program under the bench on a board: what `main.py` does, started at the REPL in each boot.

What the bench has to know beyond the guard's own lines is said in the same form: `ug bench-… a b`.
"""

import json
import os
import sys
import time

import machine
from usageguard import app
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.filelog import FileLog
from usageguard.guard import Guard
from usageguard.hal.esp32 import Hal

FOLDER = "/bench"
_OVER = 0  # in place of a reset's cause: the bench has been forgotten, and the board goes back to what it ran before
_WATCHDOG_MS = 1000  # the shortest that an ESP32's takes
_SAID_MS = 50  # for a line to leave the chip before a reset


class BenchHal(Hal):
    """The board's, but for the modem's supply, which is the bench's, and the ledger: the board's own is not touched."""

    def __init__(self, bench):
        super().__init__(bench["board"])
        self.flash = FileLog((FOLDER + "/ledger-a", FOLDER + "/ledger-b"))
        self._strikes = [strike for strike in bench["strikes"] if strike[0] > bench["elapsed_ms"]]
        self._strike_at = ticks_add(bench["ticks"], self._strikes[0][0] - bench["elapsed_ms"])

    def wait(self, until_ms):
        left = ticks_diff(self._strike_at, self.ticks_ms())
        if left <= 0:
            self._strike(self._strikes[0][1])
        if ticks_diff(until_ms, self._strike_at) > 0:
            until_ms = self._strike_at
        super().wait(until_ms)

    def modem_power(self, on):
        self.event("bench-power", 1 if on else 0)

    def set_utc(self, day, second):
        super().set_utc(day, second)
        self.event("set-utc", day, second)

    def _strike(self, cause):
        """Resets the board here and now, in the middle of whatever it does: no `finally` runs."""
        if cause == _OVER:
            forget_maintenance()
        self.event("bench-reset", cause)
        time.sleep_ms(_SAID_MS)
        if cause == machine.WDT_RESET:
            machine.WDT(timeout=_WATCHDOG_MS)
            while True:
                pass
        if cause == machine.SOFT_RESET:
            machine.soft_reset()
        machine.reset()


def forget_maintenance():
    try:
        os.remove("/maintenance")
    except OSError:
        pass


def _load(name):
    with open(name) as file:
        return json.load(file)


def _run(elapsed_ms):
    from usageguard import config  # a local name, as in `start.py`

    bench = _load("bench.json")
    bench["elapsed_ms"] = elapsed_ms
    bench["ticks"] = time.ticks_ms()
    with open("bench.json", "w") as file:  # the application reads it too
        json.dump(bench, file)
    name = bench["app"]
    guard = Guard(BenchHal(bench), config.load(_load("config.json")))
    del config, bench
    app.run(guard, lambda guard: __import__(name).main(guard))


def main(elapsed_ms):
    """Runs what lies in the bench's folder, `elapsed_ms` after the scenario's beginning, until Ctrl-C or a reset."""
    print("ug bench-up", machine.reset_cause(), 0)
    try:
        _run(elapsed_ms)
    except SystemExit:  # a soft reset, on its way
        raise
    except BaseException as error:
        sys.print_exception(error)
        print("ug bench-ended 0 0")
