"""The dialect of SIMCom's SIM7000 (and SIM800 before it), which Luat's AT firmware for Air720, Air724 and Air780E took
over: AT+CIPSTART.

SIM: SIM7000 Series AT Command Manual V1.06; AD: RT-Thread at_device, classes sim76xx, air720 and air724.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from host_tools.sim.modem.command import Part, Writer, command
from host_tools.sim.modem.data import UP, Context
from host_tools.sim.modem.dialect import Dialect, Standard
from host_tools.sim.modem.errors import AtError, CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import PENDING, Port, Power, Reply
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.sockets import AFTER_OK_MS, Failure, Pushes, Socket, Sockets, State
from host_tools.sim.network.packet import Address

NOT_ALLOWED = 3
# <state> of AT+CIPSTATUS, SIM 8.2.13
INITIAL, START, ACTIVE, STATUS, DEACTIVATED = "IP INITIAL", "IP START", "IP GPRSACT", "IP STATUS", "PDP DEACT"
PROCESSING = "IP PROCESSING"
_PUSH_OCTETS = 1_460


class CipSocket(Socket):
    """One <n>. `signalled`: its payload was reported and not drained since."""

    signalled = False
    ended = False  # by the peer, which is told behind the payload


class CipSockets(Sockets[CipSocket]):
    """Multi-IP connections (AT+CIPMUX=1): the single connection without a number is not offered, nor a server."""

    settings = (
        Setting("+CIPQSEND", "(0,1)", "0", "SIM 8.2.4"),
        Setting("+CIPHEAD", "(0,1)", "0", "SIM 8.2.19"),
    )

    def __init__(self, port: Port, standard: Standard, rng: random.Random) -> None:
        super().__init__(port, rng)
        self._data, self._card_reader = standard.data, standard.card_reader
        self.state = INITIAL
        self._multi = self._manual = False
        self._pushes = Pushes(port, self._push)

    def start(self) -> None:
        self.state = INITIAL
        self._multi = self._manual = False
        self._pushes.start()

    def _quirk(self, name: str) -> Any:
        return self.profile.quirks[name]

    @property
    def _context(self) -> Context:
        return self._data.contexts[1]

    # --- the session, whose order is fixed ---

    @command("+CIPMUX", READ, test="(0,1)", manual="SIM 8.2.1")
    def _is_multi(self, args: tuple[str, ...]) -> Reply:
        return f"+CIPMUX: {int(self._multi)}"

    @command("+CIPMUX", WRITE)
    def _set_multi(self, args: tuple[str, ...]) -> Reply:
        self._only_in(INITIAL)
        self._multi = bool(self.port.integer(args, 0, 0, 1))
        return None

    def _only_in(self, *states: str) -> None:
        if self.state not in states:
            raise CmeError(NOT_ALLOWED)

    @command("+CSTT", EXEC, manual="SIM 8.2.10")
    @command("+CSTT", WRITE)
    def _define(self, args: tuple[str, ...]) -> Reply:
        self._only_in(INITIAL)
        if args and args[0]:  # AT+CSTT="" leaves the choice to the network
            self._data.define(1, self._data.definitions[1].__class__(apn=args[0]))
        self.state = START
        return None

    @command("+CIICR", EXEC, test="", manual="SIM 8.2.11", sim=True)
    def _bring_up(self, args: tuple[str, ...]) -> Reply:
        self._only_in(START)
        code = self._data.activate(1)
        if code:
            self.state = DEACTIVATED
            raise CmeError(code) if self._quirk("refusal") == "number" else AtError
        self.state = ACTIVE
        return None

    @command("+CIFSR", EXEC, test="", manual="SIM 8.2.12")
    def _address(self, args: tuple[str, ...]) -> Reply:
        if self.state not in (ACTIVE, STATUS):
            raise AtError
        self.state = STATUS
        if self.port.more_follows or self._quirk("cifsr") == "ok":
            return self._context.ip
        self.port.finish(self._context.ip, None)  # the address alone is the answer
        return PENDING

    @command("+CIPSHUT", EXEC, test="", manual="SIM 8.2.9")
    def _shut(self, args: tuple[str, ...]) -> Reply:
        self.state = INITIAL
        self._data.deactivate(1)
        self.port.finish(None, "SHUT OK")
        return PENDING

    def context_broken(self) -> None:
        if self.state in (ACTIVE, STATUS):
            self.state = DEACTIVATED
            self.port.urc("+PDP: DEACT")

    @command("+CIPSTATUS", EXEC, test="", manual="SIM 8.2.13")
    def _status(self, args: tuple[str, ...]) -> Reply:
        self.port.after(AFTER_OK_MS, self._tell_status)
        return None

    def _tell_status(self) -> None:
        state = PROCESSING if self.state == STATUS and self._multi else self.state
        self.port.urc(f"STATE: {state}")
        for number in range(self.profile.sockets.count):
            self.port.urc(f"C: {self._row(number)}")

    @command("+CIPSTATUS", WRITE)
    def _one_status(self, args: tuple[str, ...]) -> Reply:
        return f"+CIPSTATUS: {self._row(self._number(args))}"

    def _row(self, number: int) -> str:
        socket = self.sockets.get(number)
        if socket is None:
            return f'{number},,"","","","INITIAL"'
        ip, port = socket.remote
        kind = "TCP" if socket.tcp else "UDP"
        state = _STATES[socket.state]
        if socket.state is State.CLOSING and socket.when_closed is None:
            state = "CLOSED"
        return f'{number},0,"{kind}","{ip}","{port}","{state}"'

    # --- opening, SIM 8.2.2 ---

    def _number(self, args: tuple[str, ...], at: int = 0) -> int:
        return self.port.integer(args, at, 0, self.profile.sockets.last)

    @command(
        "+CIPSTART",
        WRITE,
        test='(0-{sockets.last}),("TCP","UDP"),("(0-255).(0-255).(0-255).(0-255)"),(1-65535)',
        manual="SIM 8.2.2",
    )
    def _cipstart(self, args: tuple[str, ...]) -> Reply:
        number = self._number(args)
        kind, host = (*args[1:3], "", "")[:2]
        remote_port = self.port.integer(args, 3, 1, 65_535)
        if kind.upper() not in ("TCP", "UDP") or not host:
            raise self.port.bad_parameter()
        if not self._multi or self.state != STATUS or self._context.state != UP:
            raise CmeError(NOT_ALLOWED)
        old = self.sockets.get(number)
        if old is not None and (old.state is not State.CLOSING or old.when_closed is not None):
            self.port.after(AFTER_OK_MS, self.port.urc, f"{number}, ALREADY CONNECT")
            return None
        if old is not None:
            self.forget(old)  # what it had left is gone
        socket = CipSocket(number, self._context, tcp=kind.upper() == "TCP")
        self.open(socket, host, remote_port, self.profile.sockets.connect_timeout_ms)
        return None

    def opened(self, socket: CipSocket, failure: Failure | None) -> None:
        if failure is not None:
            self.forget(socket)
        self.port.urc(f"{socket.number}, CONNECT {'FAIL' if failure else 'OK'}")

    def _socket(self, args: tuple[str, ...], at: int = 0) -> CipSocket:
        socket = self.sockets.get(self._number(args, at))
        if socket is None:
            raise CmeError(NOT_ALLOWED)
        return socket

    # --- sending, SIM 8.2.3 to 8.2.5 ---

    @command("+CIPSEND", READ, test="(0-{sockets.last}),(1-{sockets.max_send})", manual="SIM 8.2.3")
    def _room(self, args: tuple[str, ...]) -> Reply:
        rows = [
            f"+CIPSEND: {number},{self.profile.sockets.max_send}"
            for number, socket in sorted(self.sockets.items())
            if socket.state is State.CONNECTED
        ]
        return rows or None

    @command("+CIPSEND", WRITE)
    def _cipsend(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        if socket.state is not State.CONNECTED:
            raise CmeError(NOT_ALLOWED)
        length = self.port.integer(args, 1, 1, self.profile.sockets.max_send, 0)
        return self.port.prompt(lambda data: self._send(socket, data), length=length)

    def _send(self, socket: CipSocket, data: bytes | None) -> None:
        if data is None:
            self.port.finish()
            return
        number = socket.number
        if self.sockets.get(number) is not socket or socket.state is not State.CONNECTED:
            raise CmeError(NOT_ALLOWED)
        if not self.send(socket, data):
            self.port.finish(None, f"{number}, SEND FAIL")
        elif self.port.nvm.number("+CIPQSEND"):
            self.port.finish(None, f"DATA ACCEPT:{number},{len(data)}")
        else:
            self.port.finish(None, f"{number}, SEND OK")

    @command("+CIPACK", WRITE, test="(0-{sockets.last})", manual="SIM 8.2.5")
    def _acknowledged(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        return f"+CIPACK: {socket.sent},{socket.sent - socket.unacked},{socket.unacked}"

    # --- receiving, SIM 8.2.26; by +RECEIVE unless AT+CIPRXGET=1 ---

    def arrived(self, socket: CipSocket) -> None:
        if not self._manual:
            self._pushes.soon()
        elif not socket.signalled:
            socket.signalled = True
            self.port.urc(f"+CIPRXGET: 1,{socket.number}")

    def _push(self) -> int:
        if self._manual:
            return 0
        for socket in list(self.sockets.values()):
            data, _ = self.read(socket, _PUSH_OCTETS)
            if socket.ended and not socket.unread and self.sockets.get(socket.number) is socket:
                socket.ended = False
                self.port.after(AFTER_OK_MS, self.port.urc, f"{socket.number}, CLOSED")
            if data:
                self.port.push(f"+RECEIVE,{socket.number},{len(data)}:", data)
                return len(data)
        return 0

    @command("+CIPRXGET", READ, test="(0-4),(0-{sockets.last}),(1-{sockets.max_read})", manual="SIM 8.2.26")
    def _is_manual(self, args: tuple[str, ...]) -> Reply:
        self._need_ciprxget()
        return f"+CIPRXGET: {int(self._manual)}"

    def _need_ciprxget(self) -> None:
        if not self._quirk("ciprxget"):
            raise AtError

    @command("+CIPRXGET", WRITE)
    def _ciprxget(self, args: tuple[str, ...]) -> Any:
        self._need_ciprxget()
        mode = self.port.integer(args, 0, 0, 4)
        if mode < 2:
            self._manual = bool(mode)
            self._pushes.soon()
            return None
        if not self._manual:
            raise CmeError(NOT_ALLOWED)
        socket = self._socket(args, 1)
        if mode == 4:
            return f"+CIPRXGET: 4,{socket.number},{socket.unread}"
        limit = self.port.integer(args, 2, 1, self.profile.sockets.max_read)
        data, _ = self._take(socket, limit)
        head = f"+CIPRXGET: {mode},{socket.number},{len(data)},{socket.unread}"
        return head.encode() + b"\r\n" + (data.hex().upper().encode() if mode == 3 else data) if data else head

    def _take(self, socket: CipSocket, limit: int) -> tuple[bytes, Address]:
        data, source = self.read(socket, limit)
        if not socket.unread:
            socket.signalled = False
        return data, source

    # --- ending, SIM 8.2.8 ---

    def peer_closed(self, socket: CipSocket) -> None:
        if self._manual or not socket.unread:
            self.port.urc(f"{socket.number}, CLOSED")
        else:
            socket.ended = True

    @command("+CIPCLOSE", WRITE, test="(0-{sockets.last}),(0,1)", manual="SIM 8.2.8")
    def _cipclose(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        self.port.integer(args, 1, 0, 1, 0)
        if socket.when_closed is not None:
            raise CmeError(NOT_ALLOWED)
        if self.close(socket, self.profile.sockets.close_timeout_ms, lambda: self._report_closed(socket)):
            self._report_closed(socket)
        return PENDING

    def _report_closed(self, socket: CipSocket) -> None:
        self.port.finish(None, f"{socket.number}, CLOSE OK")

    # --- names, SIM 8.2.14, 8.2.15 ---

    @command("+CDNSGIP", WRITE, test="", manual="SIM 8.2.15")
    def _look_up(self, args: tuple[str, ...]) -> Reply:
        if self._context.state != UP or not args[0]:
            raise CmeError(NOT_ALLOWED)
        name = args[0]
        self.port.after(
            AFTER_OK_MS, self.resolver.resolve, self._context, name, lambda ips: self._report_name(name, ips)
        )
        return None

    def _report_name(self, name: str, ips: Sequence[str]) -> None:
        if ips:
            self.port.urc(f'+CDNSGIP: 1,"{name}"' + "".join(f',"{ip}"' for ip in ips[:2]))
        else:
            self.port.urc("+CDNSGIP: 0,8")


class Commands(Part):
    """Identity, clock, power, and the bearer of HTTP, which the sockets do without."""

    settings = (
        Setting("+CLTS", "(0,1)", "0", "SIM 3.2.44", "auto"),
        Setting("+CSCLK", "(0,1)", "0", "SIM 3.2.24"),
        Setting("+CBATCHK", "(0,1)", "0", "TG SIM70xx", "auto"),
    )

    def __init__(self, port: Port, standard: Standard, power: Power) -> None:
        super().__init__(port)
        self._card_reader, self._power = standard.card_reader, power
        self._radio, self._data = standard.radio, standard.data
        self._bearers: dict[int, bool] = {}
        self._store_clts = Writer(port, self.settings[0])

    def start(self) -> None:
        self._bearers.clear()

    @command("+CLTS", WRITE)
    def _local_time(self, args: tuple[str, ...]) -> Reply:
        self._store_clts(args)
        self.port.nvm.store("+CTZU", self.port.nvm.values["+CLTS"])
        return None

    @command("+SAPBR", WRITE, test='(0-4),(1-3),"ConParamTag","ConParamValue"', manual="SIM 9.2.1")
    def _bearer(self, args: tuple[str, ...]) -> Reply:
        """0 closes, 1 opens, 2 asks, 3 sets and 4 gets a parameter."""
        what, cid = self.port.integer(args, 0, 0, 4), self.port.integer(args, 1, 1, 3)
        if what == 1 and not self._radio.registered:
            raise AtError
        if what < 2:
            self._bearers[cid] = bool(what)
        elif what == 2:
            status = 1 if self._bearers.get(cid) else 3  # connected, closed
            return f'+SAPBR: {cid},{status},"{self._data.contexts[1].ip}"'
        elif what == 3 and len(args) != 4:
            raise AtError
        return None

    def _iccid(self, luat: bool) -> str:
        if (self.profile.quirks["iccid"] == "+ICCID") != luat:
            raise AtError
        self._card_reader.require_card()
        return self._card_reader.card.iccid

    @command("+CCID", EXEC, test="", manual="SIM 3.2.32")
    def _ccid(self, args: tuple[str, ...]) -> Reply:
        return self._iccid(False)

    @command("+ECSIMSLEEP", WRITE, test="(0,1)", manual="lpac 397")
    def _card_sleep(self, args: tuple[str, ...]) -> Reply:
        """Whether the card sleeps between commands: no command finds it asleep here."""
        if self.profile.quirks["iccid"] != "+ICCID":  # of Luat's alone
            raise AtError
        self.port.integer(args, 0, 0, 1)
        return None

    @command("+ICCID", EXEC, manual="AD air720")
    def _luat_iccid(self, args: tuple[str, ...]) -> Reply:
        return f"+ICCID: {self._iccid(True)}"

    @command("+CPOWD", WRITE, test="(0,1)", manual="SIM 3.2.1")
    def _power_down(self, args: tuple[str, ...]) -> Reply:
        self.port.integer(args, 0, 0, 1)
        self.port.after(self.profile.rate_change_ms, self._power.power_down)
        self.port.finish(None, None)  # that it is powered down is the answer
        return PENDING


class Cipstart(Dialect):
    """Sockets by AT+CIPSTART over a session that AT+CSTT, AT+CIICR and AT+CIFSR bring up in that order; no counter."""

    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {
        "ciprxget": (True, False),  # whether it has AT+CIPRXGET; without, payload is pushed
        "cifsr": ("bare", "ok"),  # what stands behind the address
        "refusal": ("number", "error"),  # AT+CIICR that the network refuses: +CME ERROR or ERROR
        "iccid": ("+CCID", "+ICCID"),  # the command that reads it
    }
    powered_down = "NORMAL POWER DOWN"
    part_types = (Commands, CipSockets)
    commands: ClassVar[dict[str, str]] = {
        "open": "+CIPSTART*", "send": "+CIPSEND*", "read": "+CIPRXGET=2*", "close": "+CIPCLOSE*",
        "up": "+CIICR", "down": "+CIPSHUT",
    }  # fmt: skip
    light_sleep = ("+CSCLK", 1)
    news = "+CIPRXGET"

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        super().__init__(port, standard, power, rng)
        self._cip = CipSockets(port, standard, rng)
        self.sockets = self._cip
        self.parts = (Commands(port, standard, power), self._cip)

    def context_broken(self, cid: int) -> None:
        if cid == 1:
            self._cip.context_broken()


_STATES = {
    State.OPENING: "CONNECTING", State.CONNECTED: "CONNECTED", State.FAILED: "CLOSED", State.CLOSING: "CLOSING",
}  # fmt: skip
