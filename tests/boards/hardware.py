"""An ESP32's modules as `usageguard.hal.esp32` imports them; what is done to pins, and how long, goes into `log`."""

import importlib.util
import sys
import time as host_time
from types import ModuleType, SimpleNamespace

from host_tools import paths

EPOCH_2000 = 946_684_800
TICKS = 1 << 30


class Bench:
    """One board: `log` has ("pin", GPIO, level) and ("sleep", ms); `inputs` are the levels of its inputs."""

    def __init__(self, cause=1, partitions=()):
        self.cause = cause
        self.partitions = partitions
        self.log = []
        self.inputs = {}
        self.ticks = 0
        self.polls = []
        self.uarts = []
        self.received = b""
        self.memory = b""
        self.utc = None
        self.watchdogs = []
        self.fed = 0

    def levels(self):
        """The level that each driven pin has now."""
        return {pin: level for kind, pin, level in (each for each in self.log if each[0] == "pin")}

    def modules(self):
        """What stands in `sys.modules` while the adapter is imported."""
        bench = self

        class Pin:
            IN, OUT = 1, 3

            def __init__(self, number, mode, value=None):
                self.number, self.mode = number, mode
                if mode == Pin.OUT:
                    bench.log.append(("pin", number, value))

            def value(self, level=None):
                if self.mode == Pin.IN:
                    return bench.inputs[self.number]
                return bench.log.append(("pin", self.number, level))

        class Uart:
            RTS, CTS = 1, 2

            def __init__(self, number, **settings):
                self.number, self.settings = number, settings
                bench.uarts.append(self)

            def init(self, **settings):
                self.settings |= settings

            def any(self):
                return len(bench.received)

            def readinto(self, buf, n):
                taken, bench.received = bench.received[:n], bench.received[n:]
                buf[: len(taken)] = taken
                return len(taken) or None

            def write(self, buf, n):
                return n

        class Rtc:
            def memory(self, *data):
                if data:
                    bench.memory = bytes(data[0])
                return bench.memory

            def datetime(self, utc):
                bench.utc = utc

        class Wdt:
            def __init__(self, timeout):
                bench.watchdogs.append(timeout)

            def feed(self):
                bench.fed += 1

        class Poll:
            def register(self, stream, events):
                assert stream in bench.uarts

            def ipoll(self, ms):
                bench.polls.append(ms)

        class Partition:
            TYPE_DATA = 1

            @staticmethod
            def find(kind, label):
                return [label] if kind == 1 and label in bench.partitions else []

        def gmtime(seconds):
            utc = host_time.gmtime(seconds + EPOCH_2000)
            return (*utc[:6], utc.tm_wday, utc.tm_yday)

        return {
            "machine": SimpleNamespace(
                Pin=Pin, UART=Uart, RTC=Rtc, WDT=Wdt, HARD_RESET=2, reset_cause=lambda: bench.cause
            ),
            "esp32": SimpleNamespace(Partition=Partition),
            "select": SimpleNamespace(POLLIN=1, poll=Poll),
            "time": SimpleNamespace(
                ticks_ms=lambda: bench.ticks,
                ticks_diff=lambda end, start: (end - start + TICKS // 2) % TICKS - TICKS // 2,
                sleep_ms=lambda ms: bench.log.append(("sleep", ms, None)),
                gmtime=gmtime,
            ),
        }

    def adapter(self, monkeypatch) -> ModuleType:
        """The module a board would import, bound to this one."""
        spec = importlib.util.spec_from_file_location("hal_of_a_board", paths.firmware() / "usageguard/hal/esp32.py")
        module = importlib.util.module_from_spec(spec)
        with monkeypatch.context() as patch:
            for name, fake in self.modules().items():
                patch.setitem(sys.modules, name, fake)
            spec.loader.exec_module(module)
        return module
