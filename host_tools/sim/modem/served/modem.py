"""A modem, its carrier and its internet, in real time behind a far end of its serial line."""

from __future__ import annotations

import contextlib
import os
import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol, TextIO

from host_tools.sim.carrier import Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.modem import tpdu
from host_tools.sim.modem.card import SimCard
from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.profile import Profile
from host_tools.sim.modem.served.actions import Actions, Timed
from host_tools.sim.modem.served.far_end import FarEnd
from host_tools.sim.modem.served.transcript import ACTION, CLIENT, MODEM, Writer
from host_tools.sim.network.bridge import BridgeHost
from host_tools.sim.network.hosts import Responder
from host_tools.sim.network.internet import Internet
from host_tools.sim.serial import SerialLine

IMSI = "460001234567890"
ICCID = "89860012345678901234"
NUMBER = "+8613912345678"
ALLOWANCE_OCTETS = 1 << 40  # more than anyone sends over a serial line
SMS_TURNAROUND_US = 2 * S
BOOT_S = 15  # until every shipped model has booted and registered

RESPONDER = "responder"
"""The name of a host that is there without any relay."""

_CHUNK = 8  # octets delivered at once: real time has no reason to wait for a FIFO to fill
_IDLE_S = 1.0
_BRIDGED_S = 0.01  # how often relayed sockets are looked at
_HOLD_WALL_S = 0.25  # a relayed peer is waited for no longer than this, for the line has to be served


class World:
    """A modem with its carrier and an internet, under one virtual clock; `line` is the modem's serial line."""

    def __init__(
        self, profile: Profile, *, baud: int, relays: dict[str, str], seed: int, start: datetime, power: bool = True
    ) -> None:
        self.clock = Clock(start)
        self.log = EventLog(self.clock)
        rng = random.Random(seed)
        self.internet = Internet(self.clock, rng)
        self.internet.add_host(RESPONDER, Responder())
        for name, to in relays.items():
            self.internet.add_host(name, BridgeHost(to, _HOLD_WALL_S))
        self.carrier = Carrier(self.clock, self.internet, Rating(), Enforcement(), self.log)
        self.carrier.add_sim(IMSI, SimPlan(allowance_octets=ALLOWANCE_OCTETS))
        self.carrier.on_sms = self._sms
        card = SimCard(iccid=ICCID, imsi=IMSI, msisdn=NUMBER)
        self.line = SerialLine(self.clock, baud, _CHUNK)
        self.modem = SimModem(self.clock, self.line, profile, self.carrier, card, rng, self.log)
        self.actions = Actions(self.modem, self.carrier, self.clock, self.skip, self.quit)

    def skip(self, seconds: float) -> None:
        """Lets virtual time jump ahead."""
        self.clock.run_until(self.clock.now_us + int(seconds * S))

    def quit(self) -> None:
        """Ends what serves the modem."""

    def _sms(self, imsi: str, unit: bytes) -> None:
        """The service centre: a message to the own number comes back, any other is taken and forgotten."""
        message = tpdu.parse(unit)
        self.log.add("carrier", "sms", to=message.number)
        own = (NUMBER.lstrip("+"), NUMBER.removeprefix("+86"))
        if message.number.lstrip("+") in own and not message.header:
            local = self.clock.utc() + timedelta(hours=8)
            answer = tpdu.deliver(NUMBER, message.coding, message.data, local)
            self.clock.after(SMS_TURNAROUND_US, self.actions.deliver, answer)


class Control(Protocol):
    """A further source of actions: descriptors to wait for, and what to do when they are ready."""

    def readers(self) -> list[int]: ...

    def serve(self, ready: Iterable[int], do: Callable[[str], str]) -> None: ...


class ServedModem(World):
    """Serves `end` from `run` until `stop`. `where` is what a client opens.

    `relays` maps host names to `address:port` of loopback services, for TCP and UDP of any port of that host;
    without them no octet leaves the process. The dialogue goes to the file `log`. `seed` makes what is random the same.
    """

    def __init__(
        self,
        profile: Profile,
        end: FarEnd,
        *,
        baud: int = 115_200,
        relays: dict[str, str] | None = None,
        seed: int | None = None,
        log: TextIO | None = None,
        control: Control | None = None,
    ) -> None:
        seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        super().__init__(profile, baud=baud, relays=relays or {}, seed=seed, start=datetime.now(UTC))
        self._end, self._control, self._bridged = end, control, bool(relays)
        self.where = end.where
        about = {
            "profile": profile.name,
            "seed": str(seed),
            "baud": str(baud),
            "started": self.clock.start.isoformat(),
            "relays": ", ".join(relays or {}) or "none",
        }
        self._log = Writer(log, about) if log is not None else None
        self.line.to_host.deliver = self._to_client
        self._wake_read, self._wake_write = os.pipe()
        self._calls: deque[Callable[[], None]] = deque()
        self._stopped = False
        self.modem.power(True)
        self._zero_us = time.monotonic_ns() // 1000

    @property
    def path(self) -> str:
        """`where`, of a pseudo-terminal."""
        return self.where

    def skip(self, seconds: float) -> None:
        """Lets virtual time jump ahead, past the boot for one."""
        self._zero_us -= int(seconds * S)
        super().skip(seconds)

    def schedule(self, script: Iterable[Timed]) -> None:
        """Does the actions of a script at their times. One that fails then is left out, and named in the event log."""
        for at_s, line in script:
            self.clock.after(at_s * S, self._do_scripted, line)

    def _do_scripted(self, line: str) -> None:
        try:
            self.do(line)
        except ValueError as error:
            self.log.add("bench", "script-failed", line=line, error=str(error))

    def do(self, line: str) -> str:
        """Does an action (see `actions`), in the thread that runs `run`. ValueError for what is none."""
        if self._log is not None and line.split()[:1] not in (["state"], ["help"], ["quit"]):
            self._log.add(self.clock.now_us, ACTION, line.encode())
        return self.actions.do(line)

    def ask(self, line: str) -> str:
        """`do` from another thread."""
        done, answer = threading.Event(), [""]
        failed: list[ValueError] = []

        def call() -> None:
            try:
                answer[0] = self.do(line)
            except ValueError as error:
                failed.append(error)
            done.set()

        self._calls.append(call)
        os.write(self._wake_write, b"\0")
        if not done.wait(10):
            raise TimeoutError("the modem does not run")
        if failed:
            raise failed[0]
        return answer[0]

    def run(self) -> None:
        """Serves until `stop()`."""
        end, control = self._end, self._control
        while not self._stopped:
            if self._bridged:
                self.internet.settle()
            self._catch_up()
            due = self.clock.next_us()
            wait = _BRIDGED_S if self._bridged else _IDLE_S
            if due is not None:
                wait = min(wait, max(due - self._now_us(), 0) / S)
            controls = control.readers() if control is not None else []
            readers = [self._wake_read, *end.readers(), *controls]
            ready, writable, _ = select.select(readers, end.writers(), [], wait)
            if ready:
                self._catch_up()  # what came, comes now, not when the queue was last looked at
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                while self._calls:
                    self._calls.popleft()()
            data = end.read(ready)
            if data:
                self._log_octets(CLIENT, data)
                self.line.to_modem.write(data)
            if writable:
                end.write(b"")
            if control is not None and not set(ready).isdisjoint(controls):
                control.serve(ready, self.do)
            if not ready and self._log is not None:
                self._log.settle(self.clock.now_us)

    def _now_us(self) -> int:
        return time.monotonic_ns() // 1000 - self._zero_us

    def _catch_up(self) -> None:
        self.clock.run_until(self._now_us())

    def stop(self) -> None:
        """Ends `run`; callable from another thread and from a signal handler."""
        self._stopped = True
        os.write(self._wake_write, b"\0")

    def quit(self) -> None:
        self.stop()

    def close(self) -> None:
        """Ends the world and closes the far end; not while `run` runs."""
        if self._log is not None:
            self._log.flush()
        self._end.close()
        for fd in (self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.internet.close()

    def _to_client(self, data: bytes) -> None:
        self._log_octets(MODEM, data)
        self._end.write(data)

    def _log_octets(self, who: str, data: bytes) -> None:
        if self._log is not None:
            self._log.add(self.clock.now_us, who, data)
