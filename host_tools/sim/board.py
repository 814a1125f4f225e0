"""The simulated ESP32 board, which the firmware's HAL talks to: flash, retained memory, UART, resets and power.

`handle` answers one request of the protocol in `firmware/usageguard/hal/host.py`; the numbers below are that file's.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from host_tools.sim.clock import MS, Clock, S, Timer
from host_tools.sim.events import EventLog
from host_tools.sim.lwip import STREAM, Lwip
from host_tools.sim.serial import SerialLine

TICKS_PERIOD = 1 << 30
UART_BUFFER = 8192
"""Octets the UART driver's receive buffer holds; what arrives beyond it is lost, as on a board."""
RETAINED = 2048
"""Octets of the memory that outlives a deep sleep."""
WAIT_OCTETS = 512
"""Octets of it that come with a wait's reply at the most."""

_HANG_US = 60 * S
_FOREVER_US = 1 << 60

PWRON, HARD, WDT, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5
CAUSE_NAMES = {PWRON: "power-on", HARD: "hard", WDT: "watchdog", DEEPSLEEP: "deep-sleep", SOFT: "soft"}


class PowerLoss(Exception):
    """The device's power went, or it was reset: nothing of the running program may have any effect any more."""

    def __init__(self, cause: int, off_us: int = 0) -> None:
        super().__init__(CAUSE_NAMES[cause])
        self.cause = cause
        self.off_us = off_us


class Finished(Exception):
    """The run is over."""


class BlockMemory(Protocol):
    sectors: int
    sector_size: int

    def read(self, address: int, n: int) -> bytes: ...
    def program(self, address: int, data: bytes) -> None: ...
    def erase(self, sector: int) -> None: ...


class PoweredModem(Protocol):
    """What a board does to its modem."""

    def power(self, on: bool) -> None: ...


class Board:
    """One board's hardware through all its boots. `settle` runs before the clock moves (bridged peers)."""

    simulated = True
    """False for a stand-in of a real board: it has no flash figures, and cannot be reset from here."""

    @property
    def can_cut_power(self) -> bool:
        """Whether `cut_power` takes the device's power away."""
        return True

    def __init__(
        self,
        clock: Clock,
        line: SerialLine,
        flash: BlockMemory | None,
        modem: PoweredModem,
        rng: random.Random,
        log: EventLog,
        settle: Callable[[], None] | None = None,
    ) -> None:
        self.clock, self.line, self.flash, self.modem, self.rng, self.log = clock, line, flash, modem, rng, log
        self.settle = settle
        self.unique_id = rng.randbytes(8)
        self.retained = bytearray(RETAINED)
        self.cause = PWRON
        self.boots = 0
        self.status: dict[str, Any] = {}
        self.on_tally: list[Callable[[str, int, int], None]] = []
        self.on_status: Callable[[dict[str, Any]], None] | None = None
        self.feeds_modem = True  # otherwise the modem hangs on the same mains, and the board cannot switch it
        self.feeds_asleep = True  # the modem, while the board sleeps deeply
        self._asleep = False
        self._rx = bytearray()
        self._boot_us = 0
        self._loss: Exception | None = None
        self._dead = True
        self._watchdog: Timer | None = None
        self._lwip: Lwip | None = None
        self.dtr: Callable[[bool], None] | None = None  # the modem's, where it is wired
        self._baud = line.to_modem.baud
        line.to_host.deliver = self._receive

    # What the bench does to the board

    def wifi_connects(self) -> None:
        """See Lwip."""
        if self._lwip is not None:
            self._lwip.wifi_connects()

    def boot(self, cause: int) -> None:
        """Starts a boot: the program runs from its beginning, ticks from 0."""
        self.cause = cause
        self.line.to_modem.baud = self._baud
        if cause == PWRON:
            self.retained[:] = self.rng.randbytes(64) * (RETAINED // 64)
        self._rx.clear()
        self._hold_back()
        if self._lwip is not None:
            self._lwip.stop()
            self._lwip = None
        if self.dtr is not None:
            self.dtr(True)
        self._boot_us = self.clock.now_us
        self._loss = None
        self._dead = False
        self.boots += 1
        self.log.add("device", "boot", cause=CAUSE_NAMES[cause])

    def cut_power(self, off_us: int, modem_too: bool = True) -> None:
        """Takes the power away now, for `off_us`; with the modem's, where it hangs on the same supply."""
        if modem_too:
            self.modem.power(False)
        self._stop(PowerLoss(PWRON, off_us))

    def reset(self, cause: int) -> None:
        self._stop(PowerLoss(cause))

    def finish(self) -> None:
        """Ends the run: the next request raises Finished."""
        self._stop(Finished())

    def hang(self, place: str) -> NoReturn:
        """The program computes on, at `place`, and asks for nothing more: lets time pass until something ends the boot,
        as a rule the watchdog (PowerLoss)."""
        self.log.add("bench", "program-hangs", place=place)
        while self._loss is None:
            self._pass(self.clock.now_us + _HANG_US, self._lost)
        self._dead = True
        raise self._loss

    def _stop(self, loss: Exception) -> None:
        if self._watchdog:
            self._watchdog.cancel()
            self._watchdog = None
        if not self._dead or self._asleep:
            self._loss = loss

    def stay_off(self, loss: PowerLoss, end_us: int) -> Exception | None:
        """Lets the time pass in which the board is off for `loss`, up to `end_us`; what came meanwhile to one that
        sleeps."""
        self._loss = None
        self._asleep = loss.cause == DEEPSLEEP
        self.clock.run_until(min(end_us, self.clock.now_us + loss.off_us), self._lost)
        self._asleep = False
        return self._loss

    def deep_sleep(self, us: int) -> None:
        """The program goes to sleep, or is sent to: for so long, or with 0 for ever."""
        if not self.feeds_asleep and self.feeds_modem:
            self.modem.power(False)
        self.log.add("device", "deep-sleep", s=us // S)
        self._stop(PowerLoss(DEEPSLEEP, us or _FOREVER_US))

    # What the program asks of the board

    def ticks(self) -> int:
        return (self.clock.now_us - self._boot_us) // MS % TICKS_PERIOD

    @property
    def rx_any(self) -> int:
        """Octets that the UART's buffer holds."""
        return len(self._rx)

    def _receive(self, data: bytes) -> None:
        room = UART_BUFFER - len(self._rx)
        if self._dead or self.line.to_host.baud != self.line.to_modem.baud:  # framing errors
            return
        if len(data) > room:
            self.log.add("bench", "uart-overflow", octets=len(data) - room)
        self._rx += data[:room]
        self._hold_back()

    def _hold_back(self) -> None:
        """Sets RTS, where it is wired, by the room for one piece more."""
        line = self.line
        if line.flow_control:
            line.to_host.hold(UART_BUFFER - len(self._rx) < line.to_host.chunk)

    def _woken(self) -> bool:
        return bool(self._rx) or self._loss is not None or (self._lwip is not None and self._lwip.stirred)

    def _lost(self) -> bool:
        return self._loss is not None

    def _wait(self, until: int, woken: Callable[[], bool]) -> None:
        """Lets time pass up to ticks `until`, or until `woken()`."""
        now_us = self.clock.now_us
        now_ms = (now_us - self._boot_us) // MS
        ahead = (until - now_ms + (TICKS_PERIOD >> 1)) % TICKS_PERIOD - (TICKS_PERIOD >> 1)
        # Ticks are whole milliseconds since boot: wake on the tick itself, not a fraction before it.
        self._pass(self._boot_us + (now_ms + ahead) * MS if ahead > 0 else now_us, woken)

    def _pass(self, deadline: int, woken: Callable[[], bool]) -> None:
        if self.settle is None:
            self.clock.run_until(deadline, woken)
            return
        while not woken():
            self.settle()
            due = self.clock.next_us()
            if due is None or due > deadline:
                if self.clock.now_us >= deadline:
                    return
                due = deadline
            self.clock.run_until(due, woken)

    def handle(self, op: int, a: int, arg: int, payload: bytes) -> bytes | None:
        """Carries out one request; the reply's payload, None for an op without. PowerLoss ends the boot."""
        if self._dead:
            raise PowerLoss(HARD)
        answer = self._ops[op](self, a, arg, payload)
        if self._loss is not None:
            self._dead = True
            raise self._loss
        return answer

    def reply(self, payload: bytes) -> bytes:
        """The reply as it goes over the link."""
        return struct.pack("<IHH", self.ticks(), self.rx_any, len(payload)) + payload

    def _op_hello(self, a: int, arg: int, payload: bytes) -> bytes:
        return struct.pack(
            "<BHB", self.cause, self.flash.sectors if self.flash else 0, self.line.flow_control
        ) + self.unique_id

    def _op_wait(self, a: int, arg: int, payload: bytes) -> bytes:
        if a:
            self._wait(arg, self._lost)
            return b""
        if not self._woken():
            self._wait(arg, self._woken)
        if self._lwip is not None:
            self._lwip.stirred = False
            if self._lwip.streaming:
                return b""  # what the UART has is for PPP
        return self._op_uart_read(a, WAIT_OCTETS, b"")

    def _op_uart_read(self, a: int, arg: int, payload: bytes) -> bytes:
        if not self._rx:
            return b""
        data = bytes(self._rx[:arg])
        del self._rx[:arg]
        self._hold_back()
        return data

    def _op_uart_write(self, a: int, arg: int, payload: bytes) -> None:
        self.line.to_modem.write(payload)

    def _op_uart_rate(self, a: int, arg: int, payload: bytes) -> bytes:
        self.line.to_modem.baud = arg or self._baud
        return struct.pack("<I", self._baud)

    def _op_flash_read(self, a: int, arg: int, payload: bytes) -> bytes:
        return self._memory().read(arg, int.from_bytes(payload, "little"))

    def _op_flash_write(self, a: int, arg: int, payload: bytes) -> bytes:
        self._memory().program(arg, payload)
        return b""

    def _op_flash_erase(self, a: int, arg: int, payload: bytes) -> bytes:
        self._memory().erase(arg)
        return b""

    def _memory(self) -> BlockMemory:
        if self.flash is None:
            raise RuntimeError("the program used a flash that this board does not have")
        return self.flash

    def _op_retained_read(self, a: int, arg: int, payload: bytes) -> bytes:
        return bytes(self.retained[:arg])

    def _op_retained_write(self, a: int, arg: int, payload: bytes) -> None:
        self.retained[:] = payload.ljust(RETAINED, b"\0")

    def _op_random(self, a: int, arg: int, payload: bytes) -> bytes:
        return self.rng.randbytes(arg)

    def _op_watchdog(self, a: int, arg: int, payload: bytes) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        self._watchdog = self.clock.after(arg * MS, self.reset, WDT)

    def _op_set_utc(self, a: int, arg: int, payload: bytes) -> None:
        self.log.add("device", "set-utc", day=int.from_bytes(payload, "little"), second=arg)

    def _op_modem_power(self, a: int, arg: int, payload: bytes) -> None:
        if self.feeds_modem:
            self.modem.power(bool(a))

    def _op_rtc(self, a: int, arg: int, payload: bytes) -> bytes:
        return struct.pack("<I", self.clock.now_us // S % TICKS_PERIOD)

    def _op_deep_sleep(self, a: int, arg: int, payload: bytes) -> bytes:
        self.deep_sleep(arg * MS)
        return b""

    def _op_ppp(self, a: int, arg: int, payload: bytes) -> bytes:
        if self._lwip is None:
            self._lwip = Lwip(self.clock, self.rng, self.line.to_modem.write, self._take_all)
        if a == STREAM:  # what the HAL had of the UART, and not read
            self._rx[:0] = payload
        return self._lwip.handle(a, arg, payload)

    def _take_all(self) -> bytes:
        return self._op_uart_read(0, len(self._rx), b"")

    def _op_dtr(self, a: int, arg: int, payload: bytes) -> bytes:
        if self.dtr is None:
            return b"\0"
        self.dtr(bool(a))
        return b"\1"

    def _op_reset(self, a: int, arg: int, payload: bytes) -> bytes:
        self.reset(HARD)
        return b""

    def _op_event(self, a: int, arg: int, payload: bytes) -> None:
        first, second = struct.unpack_from("<ii", payload)
        self.take_event(payload[8:].decode("ascii"), first, second)

    def take_event(self, code: str, a: int, b: int) -> None:
        """An event of the device's: one for counting, whose code begins with "~", goes to `on_tally`, another to the
        log."""
        if code.startswith("~"):
            for listener in self.on_tally:
                listener(code[1:], a, b)
        else:
            self.log.add("device", code, a=a, b=b)

    def _op_status(self, a: int, arg: int, payload: bytes) -> None:
        self.status = json.loads(payload)
        if self.on_status:
            self.on_status(self.status)

    _ops: tuple[Callable[..., bytes | None], ...] = (
        _op_hello,
        _op_wait,
        _op_uart_read,
        _op_uart_write,
        _op_flash_read,
        _op_flash_write,
        _op_flash_erase,
        _op_retained_read,
        _op_retained_write,
        _op_random,
        _op_watchdog,
        _op_set_utc,
        _op_modem_power,
        _op_reset,
        _op_event,
        _op_status,
        _op_uart_rate,
        _op_rtc,
        _op_deep_sleep,
        _op_ppp,
        _op_dtr,
    )
