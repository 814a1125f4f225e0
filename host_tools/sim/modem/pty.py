"""The simulated modem on a pseudo-terminal, in real time, for any AT client."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import time
import tty
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from host_tools.sim.carrier import Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.modem import tpdu
from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.profile import Profile, load
from host_tools.sim.modem.sim import SimCard
from host_tools.sim.network.bridge import BridgeHost
from host_tools.sim.network.hosts import Responder
from host_tools.sim.network.internet import Internet
from host_tools.sim.serial import SerialLine

IMSI = "460001234567890"
NUMBER = "+8613912345678"
ALLOWANCE_OCTETS = 1 << 40  # more than anyone sends over a serial line
SMS_TURNAROUND_US, SMS_RETRY_US = 2 * S, 60 * S

_CHUNK = 8  # octets delivered at once: real time has no reason to wait for a FIFO to fill
_IDLE_S = 1.0
_BRIDGED_S = 0.01  # how often relayed sockets are looked at
_HOLD_WALL_S = 0.25  # a relayed peer is waited for no longer than this, for the line has to be served
_BACKLOG = 65_536  # octets kept for a client that does not read; a wire would keep none


class PtyModem:
    """A modem, its carrier and its internet behind a pty. `path` is what a client opens.

    `relays` maps host names to `address:port` of loopback services; without them no octet leaves the process.
    Raises ValueError with one clear line when `link` cannot be made.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        link: str | None = None,
        baud: int = 115_200,
        relays: dict[str, str] | None = None,
    ) -> None:
        self.clock = Clock(datetime.now(UTC))
        self.log = EventLog(self.clock)
        rng = random.Random()
        self.internet = Internet(self.clock, rng)
        self.internet.add_host("responder", Responder())
        for name, to in (relays or {}).items():
            self.internet.add_host(name, BridgeHost(to, _HOLD_WALL_S))
        self._bridged = bool(relays)
        self.carrier = Carrier(self.clock, self.internet, Rating(), Enforcement(), self.log)
        self.carrier.add_sim(IMSI, SimPlan(allowance_octets=ALLOWANCE_OCTETS))
        self.carrier.on_sms = self._sms
        card = SimCard(iccid="89860012345678901234", imsi=IMSI, msisdn=NUMBER)
        self.line = SerialLine(self.clock, baud, _CHUNK)
        self.line.to_host.deliver = self._to_client
        self.modem = SimModem(self.clock, self.line, profile, self.carrier, card, rng, self.log)
        self._master, self._slave = (
            os.openpty()
        )  # ours stays open, or reading fails whenever no client is there
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._wake_read, self._wake_write = os.pipe()
        self._backlog = bytearray()
        self._stopped = False
        self._link: Path | None = None
        if link is not None:
            try:
                self._link = _make_link(link, self.path)
            except ValueError:
                self.close()
                raise
        self.modem.power(True)
        self._zero_us = time.monotonic_ns() // 1000

    def skip(self, seconds: float) -> None:
        """Lets virtual time jump ahead, past the boot for one."""
        self._zero_us -= int(seconds * S)
        self.clock.run_until(self.clock.now_us + int(seconds * S))

    def run(self) -> None:
        """Serves until `stop()`."""
        master = self._master
        while not self._stopped:
            if self._bridged:
                self.internet.settle()
            now = time.monotonic_ns() // 1000 - self._zero_us
            self.clock.run_until(now)
            due = self.clock.next_us()
            wait = _BRIDGED_S if self._bridged else _IDLE_S
            if due is not None:
                wait = min(wait, max(due - now, 0) / S)
            writers = [master] if self._backlog else []
            readable, writable, _ = select.select([master, self._wake_read], writers, [], wait)
            if master in readable:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(master, 4096)
                    # What the client wrote arrives now, not when the queue was last looked at.
                    self.clock.run_until(time.monotonic_ns() // 1000 - self._zero_us)
                    self.line.to_modem.write(data)
            if writable:
                self._flush()

    def stop(self) -> None:
        """Ends `run`; callable from another thread and from a signal handler."""
        self._stopped = True
        os.write(self._wake_write, b"\0")

    def close(self) -> None:
        """Removes the link and closes the pty."""
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == self.path:
            self._link.unlink()
        for fd in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(fd)

    def _to_client(self, data: bytes) -> None:
        self._backlog += data
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            written = os.write(self._master, self._backlog)
            del self._backlog[:written]
        if len(self._backlog) > _BACKLOG:
            del self._backlog[: len(self._backlog) - _BACKLOG]

    def _sms(self, imsi: str, unit: bytes) -> None:
        """The service centre: a message to the own number comes back, any other is taken and forgotten."""
        message = tpdu.parse(unit)
        self.log.add("carrier", "sms", to=message.number)
        if (
            message.number.lstrip("+") in (NUMBER.lstrip("+"), NUMBER.removeprefix("+86"))
            and not message.header
        ):
            local = self.clock.utc() + timedelta(hours=8)
            answer = tpdu.deliver(NUMBER, message.coding, message.data, local)
            self.clock.after(SMS_TURNAROUND_US, self._deliver_sms, answer)

    def _deliver_sms(self, unit: bytes) -> None:
        if not self.modem.sms.deliver(unit):
            self.clock.after(SMS_RETRY_US, self._deliver_sms, unit)


def serve(
    profile: str,
    link: str | None = None,
    baud: int = 115_200,
    relays: dict[str, str] | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serves the profile on a pty until SIGINT or SIGTERM; `announce` gets the path a client opens.

    Raises ValueError with one clear line for an unknown profile, a bad rate or relay, an impossible link.
    """
    if not 300 <= baud <= 4_000_000:
        raise ValueError(f"--baud {baud}: give a rate from 300 to 4000000")
    server = PtyModem(load(profile), link=link, baud=baud, relays=relays)
    old = [
        (number, signal.signal(number, lambda *_: server.stop()))
        for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        announce(link or server.path)
        server.run()
    finally:
        for number, handler in old:
            signal.signal(number, handler)
        server.close()


def _make_link(link: str, target: str) -> Path:
    path = Path(link)
    if path.is_symlink() and not os.path.exists(path):
        path.unlink()  # left by a run that was killed
    try:
        path.symlink_to(target)
    except FileExistsError:
        raise ValueError(f"--link {link}: exists already; remove it or give another path") from None
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise ValueError(
            f"--link {link}: {problem}; give a path in a directory that exists and is writable"
        ) from None
    return path
