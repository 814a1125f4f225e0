"""An ESP32's modules as `usageguard.hal.esp32` imports them; what is done to pins, and how long, goes into `log`."""

import importlib.util
import sys
import time as host_time
from types import ModuleType, SimpleNamespace

from host_tools.base import paths

EPOCH_2000 = 946_684_800
TICKS = 1 << 30


class BoardRig:
    """One board: `log` has ("pin", GPIO, level), `times` the ticks of each; `inputs` are the levels of its inputs."""

    def __init__(self, cause=1, partitions=()):
        self.cause = cause
        self.partitions = partitions
        self.log = []
        self.times = []
        self.inputs = {}
        self.registers = None
        self.bus = None
        self.ticks = 0
        self.polls = []
        self.uarts = []
        self.received = b""
        self.sent = b""
        self.line_held = False
        self.memory = b""
        self.utc = None
        self.watchdogs = []
        self.fed = 0

    def levels(self):
        """The level that each driven pin has now."""
        return {pin: level for kind, pin, level in self.log if kind == "pin"}

    def _drive(self, pin, level):
        self.log.append(("pin", pin, level))
        self.times.append(self.ticks)

    def modules(self):
        """What stands in `sys.modules` while the adapter is imported."""
        rig = self

        class Pin:
            IN, OUT = 1, 3

            def __init__(self, number, mode=None, value=None, hold=None):
                self.number, self.mode = number, mode
                if hold:
                    rig.log.append(("hold", number, hold))
                if mode == Pin.OUT:
                    rig._drive(number, value)

            def value(self, level=None):
                if self.mode == Pin.IN:
                    return rig.inputs[self.number]
                return rig._drive(self.number, level)

        class Uart:
            RTS, CTS = 1, 2

            def __init__(self, number, **settings):
                self.number, self.settings = number, settings
                rig.uarts.append(self)

            def init(self, **settings):
                self.settings |= settings

            def any(self):
                return len(rig.received)

            def readinto(self, buf, n):
                taken, rig.received = rig.received[:n], rig.received[n:]
                buf[: len(taken)] = taken
                return len(taken) or None

            def write(self, buf, n):
                rig.sent += bytes(buf[:n])
                return n

            def txdone(self):
                return not rig.line_held

        class SoftI2C:
            """With the registers of a chip at 0x34, where there is one."""

            def __init__(self, scl, sda):
                rig.bus = (sda.number, scl.number)

            def readfrom_mem(self, address, register, n):
                if address != 0x34 or rig.registers is None:
                    raise OSError(19, "ENODEV")
                return bytes(rig.registers[register : register + n])

            def writeto_mem(self, address, register, data):
                rig.registers[register : register + len(data)] = data
                rig.log.append(("register", register, data[0]))
                rig.times.append(rig.ticks)

        class Rtc:
            def memory(self, *data):
                if data:
                    rig.memory = bytes(data[0])
                return rig.memory

            def datetime(self, utc):
                rig.utc = utc

        class Wdt:
            def __init__(self, timeout):
                rig.watchdogs.append(timeout)

            def feed(self):
                rig.fed += 1

        class Poll:
            def register(self, stream, events):
                assert stream in rig.uarts

            def ipoll(self, ms):
                rig.polls.append(ms)
                if not rig.received:
                    rig.ticks = (rig.ticks + ms) % TICKS

        class Partition:
            TYPE_DATA = 1

            @staticmethod
            def find(kind, label):
                return [label] if kind == 1 and label in rig.partitions else []

        def gmtime(seconds):
            utc = host_time.gmtime(seconds + EPOCH_2000)
            return (*utc[:6], utc.tm_wday, utc.tm_yday)

        return {
            "machine": SimpleNamespace(
                Pin=Pin, UART=Uart, SoftI2C=SoftI2C, RTC=Rtc, WDT=Wdt, HARD_RESET=2, reset_cause=lambda: rig.cause,
                deepsleep=lambda ms: rig.log.append(("sleep", ms, None)),
            ),
            "esp32": SimpleNamespace(
                Partition=Partition, gpio_deep_sleep_hold=lambda on: rig.log.append(("hold", "all", on))
            ),
            "select": SimpleNamespace(POLLIN=1, poll=Poll),
            "time": SimpleNamespace(
                ticks_ms=lambda: rig.ticks,
                ticks_diff=lambda end, start: (end - start + TICKS // 2) % TICKS - TICKS // 2,
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
