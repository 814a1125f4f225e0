# type: ignore - MicroPython
"""The device's program under the bench on a board: what `main.py` does, started at the REPL in each boot.

Beyond the guard's own lines it prints `ug bench-… a b` for the host (`host_tools.run.targets.wired`).
"""

import json
import os
import sys
import time

import machine
from usageguard import app
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.guard.guard import Guard
from usageguard.hal.esp32 import Hal
from usageguard.store.filelog import FileLog

FOLDER = "/bench"
_OVER = 0  # in place of a reset cause: the run ended without its host, and the deployed program starts again
_WATCHDOG_MS = 1000  # the minimum of an ESP32
_FLUSH_MS = 50  # for a printed line to leave the chip before a reset


class BenchHal(Hal):
    """The board's HAL, with the modem's supply simulated by the host, and a ledger in files of its own."""

    def __init__(self, bench):
        super().__init__(bench["board"])
        self.flash = FileLog((FOLDER + "/ledger-a", FOLDER + "/ledger-b"))
        self._resets = [each for each in bench["resets"] if each[0] > bench["elapsed_ms"]]
        self._reset_at = ticks_add(bench["ticks"], self._resets[0][0] - bench["elapsed_ms"])

    def wait(self, until_ms):
        left = ticks_diff(self._reset_at, self.ticks_ms())
        if left <= 0:
            self._reset_by(self._resets[0][1])
        if ticks_diff(until_ms, self._reset_at) > 0:
            until_ms = self._reset_at
        super().wait(until_ms)

    def modem_power(self, on):
        self.event("bench-power", 1 if on else 0)
        return ()

    def set_utc(self, day, second):
        super().set_utc(day, second)
        self.event("set-utc", day, second)

    def _reset_by(self, cause):
        """Resets the board at once; no `finally` runs."""
        if cause == _OVER:
            forget_maintenance()
        self.event("bench-reset", cause)
        time.sleep_ms(_FLUSH_MS)
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
    from usageguard.config import load as config  # a local name, as in `start.py`

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
    """Runs the program in `/bench` from `elapsed_ms` of the scenario on, until Ctrl-C or a reset."""
    print("ug bench-up", machine.reset_cause(), 0)
    try:
        _run(elapsed_ms)
    except SystemExit:  # a soft reset
        raise
    except BaseException as error:
        sys.print_exception(error)
        print("ug bench-ended 0 0")
