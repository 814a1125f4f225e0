"""The simulated modem on a pseudo-terminal, in real time, for any AT client."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import signal
import time
import tty
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from host_tools.sim.carrier import Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.modem import tpdu
from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.profile import Profile, load
from host_tools.sim.modem.sim import SimCard
from host_tools.sim.network.bridge import BridgeHost, parse_target
from host_tools.sim.network.hosts import Responder
from host_tools.sim.network.internet import Internet
from host_tools.sim.serial import SerialLine

IMSI = "460001234567890"
NUMBER = "+8613912345678"
ALLOWANCE_OCTETS = 1 << 40  # more than anyone sends over a serial line
SMS_TURNAROUND_US, SMS_RETRY_US = 2 * S, 60 * S

RESPONDER = "responder"
"""The name of a host that is there without any relay."""

# RFC 1123 section 2.1: labels of letters, digits and hyphens; one of digits alone at the end is an address.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_PTY = re.compile(r"/dev/(?:pts/|ttys)[0-9]+")  # as Linux and as macOS names them
_CHUNK = 8  # octets delivered at once: real time has no reason to wait for a FIFO to fill
_IDLE_S = 1.0
_BRIDGED_S = 0.01  # how often relayed sockets are looked at
_HOLD_WALL_S = 0.25  # a relayed peer is waited for no longer than this, for the line has to be served
_BACKLOG = 65_536  # octets kept for a client that does not read; a wire would keep none


class PtyModem:
    """A modem, its carrier and its internet behind a pty. `path` is what a client opens.

    `relays` maps host names to `address:port` of loopback services, for TCP and UDP of any port of that host;
    without them no octet leaves the process.
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
        self.internet.add_host(RESPONDER, Responder())
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
        self.internet.close()

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
    """Serves the profile on a pty until SIGINT or SIGTERM; `announce` gets one line: its path, the hosts reachable.

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
        where = f"{link} ({server.path})" if link else server.path
        announce(f"the modem is at {where}; reachable: {', '.join(server.internet.names)}; Ctrl-C ends")
        server.run()
    finally:
        for number, handler in old:
            signal.signal(number, handler)
        server.close()


def parse_relays(given: Iterable[str]) -> dict[str, str]:
    """Host name to `address:port` from texts as "reports.example.com=127.0.0.1:5683".

    Raises ValueError with one clear line for a text that is none, and for a name that is there already.

    >>> parse_relays(["Reports.example.com.=127.0.0.1:5683"])
    {'reports.example.com': '127.0.0.1:5683'}
    """
    relays: dict[str, str] = {}
    for text in given:
        name, separator, target = text.partition("=")
        name = name.lower().removesuffix(".")
        where = f"--relay {text}"
        if not separator:
            raise ValueError(f"{where}: leads nowhere; write NAME=127.0.0.1:PORT")
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f'{where}: "{name}" is no host name; write it as in "reports.example.com=127.0.0.1:5683"')
        if name == RESPONDER or name in relays:
            raise ValueError(f'{where}: "{name}" is there already; give each name once')
        try:
            parse_target(target)
        except ValueError:
            hint = "write NAME=127.0.0.1:PORT or NAME=[::1]:PORT"
            raise ValueError(f'{where}: "{target}" is no address and port of this machine; {hint}') from None
        relays[name] = target
    return relays


def drop_stale_link(link: Path) -> None:
    """Removes a link that one who was killed has left: it dangles, or its pty's number is another's by now.

    A pty that was made after the link is another: it changes its inode (`st_ctime`) at its birth alone.
    OSError: it cannot be removed.
    """
    if not link.is_symlink():
        return
    try:
        born_ns = link.stat().st_ctime_ns
    except FileNotFoundError:
        link.unlink()
        return
    if _PTY.fullmatch(os.path.realpath(link)) and born_ns > link.lstat().st_mtime_ns:
        link.unlink()


def _make_link(link: str, target: str) -> Path:
    path = Path(link)
    try:
        drop_stale_link(path)
        path.symlink_to(target)
    except FileExistsError:
        raise ValueError(f"--link {link}: exists already; remove it or give another path") from None
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise ValueError(
            f"--link {link}: {problem}; give a path in a directory that exists and is writable"
        ) from None
    return path
