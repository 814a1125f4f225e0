"""The dialect of u-blox's SARA-R5 (SARA-R5 series AT commands manual, UBX-19047455)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from host_tools.sim.clock import MS
from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.data import UP, Context, Data
from host_tools.sim.modem.dialect import Dialect, Standard
from host_tools.sim.modem.errors import AtError, CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import PENDING, Port, Power, Reply
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.sockets import AFTER_OK_MS, Failure, Socket, Sockets, State

NOT_ALLOWED = 3
TCP, UDP = 6, 17  # <protocol>, as IANA numbers them
PROMPT_MS = 50  # data that comes sooner after the prompt is not taken in order
_ACTIVATE, _DEACTIVATE = 3, 4  # <action> of AT+UPSDA
_PROTOCOL_TAG, _MAPPING_TAG = 0, 100  # <param_tag> of AT+UPSD
_ESTABLISHED, _CLOSE_WAIT = 4, 7  # of AT+USOCTL=<socket>,10

# What AT+USOER gives: errno values as BSD numbers them.
_FAILURES = {
    Failure.NAME: 113,
    Failure.BIND: 98,
    Failure.CONNECT: 111,
    Failure.TIMEOUT: 110,
    Failure.CONTEXT: 100,
}
_NO_NETWORK = 100
_NO_BUFFERS = 105
_NOT_CONNECTED = 107


class Commands(Part):
    """What u-blox adds to 3GPP's commands for card, counter and power."""

    settings = (
        Setting("+CSGT", '(0,1),(any)', '0,""', "AT+CSGT", "auto"),
        Setting("+UMNOPROF", "(0-201)", "0", "AT+UMNOPROF", "auto"),
        Setting("+UPSV", "(0-4)", "0", "AT+UPSV", "auto"),
    )

    def __init__(self, port: Port, standard: Standard, power: Power) -> None:
        super().__init__(port)
        self._standard, self._power = standard, power

    def start(self) -> None:
        self.port.after(self.profile.boot.uart_ready_ms + 1, self._greet)

    def _greet(self) -> None:
        mode, _, text = self.port.nvm.values["+CSGT"].partition(",")
        if mode == "1":
            self.port.urc(text.strip('"'))

    @command("+CCID", EXEC, test="", manual="AT+CCID")
    @command("+CCID", READ)
    def _iccid(self, args: tuple[str, ...]) -> Reply:
        self._standard.card_reader.require_card()
        return f"+CCID: {self._standard.card_reader.card.iccid}"

    @command("+UGCNTRD", EXEC, test="", manual="AT+UGCNTRD")
    def _counter(self, args: tuple[str, ...]) -> Reply:
        sent, received = self._standard.data.counter.octets
        line = f"{sent},{received},{sent},{received}"
        other = "+UGCNTRD: 31,0,0,7,9"
        shown = {
            "1": [f"+UGCNTRD: 1,{line}"],
            "31": [f"+UGCNTRD: 31,{line}"],
            "both": [f"+UGCNTRD: 1,{line}", other],
        }
        return shown[str(self.profile.quirks["ugcntrd"])]

    @command("+UGCNTSET", WRITE, test="(1-8),(0),(0)", manual="AT+UGCNTSET")
    def _reset_counter(self, args: tuple[str, ...]) -> Reply:
        self.port.integer(args, 0, 1, 8)
        self._standard.data.counter.octets = [0, 0]
        return None

    @command("+CPWROFF", EXEC, test="", manual="AT+CPWROFF")
    def _power_down(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.power_down)
        return None


class UsocrSocket(Socket):
    """One <socket>; connected by AT+USOCO after it was created."""

    def __init__(self, number: int, context: Context, tcp: bool, local_port: int) -> None:
        super().__init__(number, context, tcp=tcp, local_port=local_port)
        self.state = State.FAILED  # not connected
        self.signalled = False  # what waits was told, and nothing was read since


class UsocrSockets(Sockets[UsocrSocket]):
    """Sockets, and profile 0 of the internal stack that they run over."""

    def __init__(self, port: Port, data: Data, rng: random.Random) -> None:
        super().__init__(port, rng)
        self._data = data
        self._cid = 1  # that the profile is mapped to
        self._up = False
        self._error = 0  # of AT+USOER

    def start(self) -> None:
        self._cid, self._up, self._error = 1, False, 0

    def _fail(self, error: int) -> CmeError:
        self._error = error
        return CmeError(NOT_ALLOWED)

    # --- the profile ---

    @command("+UPSD", WRITE, test="(0-6),(0,100),<value>", manual="AT+UPSD")
    def _configure(self, args: tuple[str, ...]) -> Reply:
        self.port.integer(args, 0, 0, 6)
        tag = self.port.integer(args, 1, 0, 100)
        if tag not in (_PROTOCOL_TAG, _MAPPING_TAG):
            raise self.port.bad_parameter()
        if len(args) == 2:
            return f"+UPSD: {args[0]},{tag},{self._cid if tag == _MAPPING_TAG else 0}"
        if tag == _MAPPING_TAG:
            self._cid = self.port.integer(args, 2, 1, 7)
        return None

    @command("+UPSDA", WRITE, test="(0-6),(0-4)", manual="AT+UPSDA", sim=True)
    def _act(self, args: tuple[str, ...]) -> Reply:
        self.port.integer(args, 0, 0, 6)
        action = self.port.integer(args, 1, 0, 4)
        context = self._data.contexts[self._cid]
        if action == _ACTIVATE:
            if self._up:
                raise CmeError(NOT_ALLOWED)
            if self._data.activate(self._cid):
                raise AtError  # AT+CEER has the cause
            self._up = True
            self.port.after(AFTER_OK_MS, self.port.urc, f'+UUPSDA: 0,"{context.ip}"')
        elif action == _DEACTIVATE:
            if not self._up:
                raise CmeError(NOT_ALLOWED)
            self._up = False
            super().context_down(self._cid, True)
        return None

    @command("+UPSND", WRITE, test="(0-6),(0,8)", manual="AT+UPSND")
    def _state(self, args: tuple[str, ...]) -> Reply:
        self.port.integer(args, 0, 0, 6)
        if self.port.integer(args, 1, 0, 8) == 8:
            return f"+UPSND: 0,8,{int(self._up)}"
        return f'+UPSND: 0,0,"{self._data.contexts[self._cid].ip}"' if self._up else None

    def context_down(self, cid: int, forget: bool) -> None:
        super().context_down(cid, forget)
        if cid == self._cid:
            self._up = False

    # --- opening ---

    def _socket(self, args: tuple[str, ...]) -> UsocrSocket:
        socket = self.sockets.get(self.port.integer(args, 0, 0, self.profile.sockets.last))
        if socket is None:
            raise self._fail(9)  # EBADF
        return socket

    @command("+USOCR", WRITE, test="(6,17),(1-65535)", manual="AT+USOCR")
    def _create(self, args: tuple[str, ...]) -> Reply:
        protocol = self.port.integer(args, 0, TCP, UDP)
        local_port = self.port.integer(args, 1, 1, 65_535, 0)
        free = [number for number in range(self.profile.sockets.count) if number not in self.sockets]
        if protocol not in (TCP, UDP):
            raise self.port.bad_parameter()
        if not free:
            raise self._fail(_NO_BUFFERS)
        context = self._data.contexts[self._cid]
        self.sockets[free[0]] = UsocrSocket(free[0], context, protocol == TCP, local_port)
        return f"+USOCR: {free[0]}"

    @command(
        "+USOCO", WRITE, test="(0-{sockets.last}),<remote_addr>,(1-65535)", manual="AT+USOCO"
    )
    def _usoco(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        if len(args) < 3 or not args[1]:
            raise self.port.bad_parameter()
        port = self.port.integer(args, 2, 1, 65_535)
        if not self._up or socket.context.state != UP:
            raise self._fail(_NO_NETWORK)
        if socket.state is State.CONNECTED:
            raise self._fail(106)  # EISCONN
        socket.state = State.OPENING
        self.open(socket, args[1], port, self.profile.sockets.connect_timeout_ms)
        return PENDING

    def opened(self, socket: UsocrSocket, failure: Failure | None) -> None:
        if failure:
            self.port.fail(self._fail(_FAILURES[failure]))
        else:
            self.port.finish()

    @command("+USOER", EXEC, test="", manual="AT+USOER")
    def _last_error(self, args: tuple[str, ...]) -> Reply:
        error, self._error = self._error, 0
        return f"+USOER: {error}"

    @command("+UDNSRN", WRITE, test="(0,1),<domain_ip_string>", manual="AT+UDNSRN")
    def _look_up(self, args: tuple[str, ...]) -> Any:
        self.port.integer(args, 0, 0, 0)
        context = self._data.contexts[self._cid]
        if not self._up or context.state != UP:
            raise self._fail(_NO_NETWORK)

        def report(ips: Sequence[str]) -> None:
            if ips:
                self.port.finish(f'+UDNSRN: "{ips[0]}"')
            else:
                self.port.fail(self._fail(_FAILURES[Failure.NAME]))

        self.port.after(0, self.resolver.resolve, context, args[1], report)
        return PENDING

    # --- sending ---

    @command("+USOWR", WRITE, test="(0-{sockets.last}),(0-{sockets.max_send})", manual="AT+USOWR")
    def _usowr(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        length = self.port.integer(args, 1, 1, self.profile.sockets.max_send)
        if socket.state is not State.CONNECTED:
            raise self._fail(_NOT_CONNECTED)
        ready_us = self.clock.now_us + PROMPT_MS * MS
        return self.port.prompt(
            lambda data: self._transmit(socket, data, ready_us), length=length, timeout_ms=10_000, text=b"\r\n@"
        )

    def _transmit(self, socket: UsocrSocket, data: bytes | None, ready_us: int) -> None:
        if data is None or self.clock.now_us < ready_us:
            raise CmeError(NOT_ALLOWED)
        if socket.state is not State.CONNECTED:
            raise self._fail(_NOT_CONNECTED)
        taken = len(data)
        if not self.send(socket, data):
            if self.profile.quirks["full"] == "error" or not socket.tcp:
                raise self._fail(_NO_BUFFERS)
            room = socket.connection.room if socket.connection is not None else 0
            taken = min(room, len(data) - 1)
            if taken:
                self.send(socket, data[:taken])
        self.port.finish(f"+USOWR: {socket.number},{taken}" if self.profile.quirks["usowr"] == "told" else None)

    # --- receiving ---

    def arrived(self, socket: UsocrSocket) -> None:
        if not socket.signalled:
            self._tell(socket)

    def _tell(self, socket: UsocrSocket) -> None:
        """Tells how much can be read; after new data, and after a read that left some."""
        socket.signalled = True
        name = "+UUSORD" if socket.tcp or self.profile.quirks["datagrams"] == "+UUSORD" else "+UUSORF"
        waiting = socket.unread if socket.tcp else len(socket.datagrams[0][0])
        self.port.urc(f"{name}: {socket.number},{waiting}")

    @command("+USORD", WRITE, test="(0-{sockets.last}),(0-{sockets.max_read})", manual="AT+USORD")
    def _usord(self, args: tuple[str, ...]) -> Any:
        return self._take(self._socket(args), args, "+USORD")

    @command("+USORF", WRITE, test="(0-{sockets.last}),(0-{sockets.max_read})", manual="AT+USORF")
    def _usorf(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        if socket.tcp:
            raise CmeError(NOT_ALLOWED)
        return self._take(socket, args, "+USORF")

    def _take(self, socket: UsocrSocket, args: tuple[str, ...], name: str) -> Any:
        limit = self.port.integer(args, 1, 0, self.profile.sockets.max_read)
        if not limit:
            return f"{name}: {socket.number},{socket.unread}"
        data, source = self.read(socket, limit)
        if not data:
            return f'{name}: {socket.number},""'
        socket.signalled = False
        if socket.unread:
            self.port.after(AFTER_OK_MS, self._tell_rest, socket)
        sender = f'"{source[0]}",{source[1]},' if name == "+USORF" else ""
        return f'{name}: {socket.number},{sender}{len(data)},"'.encode() + data + b'"'

    def _tell_rest(self, socket: UsocrSocket) -> None:
        if socket.unread and not socket.signalled:
            self._tell(socket)

    # --- state and end ---

    @command("+USOCTL", WRITE, test="(0-{sockets.last}),(0-4,10,11)", manual="AT+USOCTL")
    def _control(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        what = self.port.integer(args, 1, 0, 11)
        received = socket.read_octets
        if self.profile.quirks["usoctl"] == "arrived":
            received += socket.unread
        values = {
            0: TCP if socket.tcp else UDP,
            1: self._error,
            2: socket.sent,
            3: received,
            4: f'"{socket.remote[0]}",{socket.remote[1]}',
            10: _ESTABLISHED if socket.state is State.CONNECTED else _CLOSE_WAIT,
            11: socket.unacked,
        }
        if what not in values:
            raise self.port.bad_parameter()
        return f"+USOCTL: {socket.number},{what},{values[what]}"

    def peer_closed(self, socket: UsocrSocket) -> None:
        self.port.urc(f"+UUSOCL: {socket.number}")

    def killed(self, socket: UsocrSocket) -> None:
        self.port.urc(f"+UUSOCL: {socket.number}")

    @command("+USOCL", WRITE, test="(0-{sockets.last})", manual="AT+USOCL")
    def _usocl(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        done = self.close(socket, self.profile.sockets.close_timeout_ms, self.port.finish)
        return None if done else PENDING


class Usocr(Dialect):
    """Sockets by AT+USO..., the counter by AT+UGCNTRD."""

    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {
        "usowr": ("told", "bare"),  # whether +USOWR tells how much was taken (ubxlib has seen a bare OK)
        "full": ("error", "partial"),  # what a send gets that the buffer has no room for
        "usoctl": ("arrived", "read"),  # what the total of received octets has
        "ugcntrd": ("1", "31", "both"),  # the context's number there (ModemManager's tests have 31), or a line more
        "datagrams": ("+UUSORF", "+UUSORD"),  # the URC of datagrams
    }
    part_types = (Commands, UsocrSockets)
    commands: ClassVar[dict[str, str]] = {
        "open": "+USOCO*", "send": "+USOWR*", "read": "+USORD=?,1*", "close": "+USOCL*",
        "up": "+UPSDA=0,3", "down": "+UPSDA=0,4", "counter": "+UGCNTRD*",
    }  # fmt: skip
    light_sleep = ("+UPSV", 3)
    news = "+UUSORD"

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        super().__init__(port, standard, power, rng)
        self.sockets = UsocrSockets(port, standard.data, rng)
        self.parts = (Commands(port, standard, power), self.sockets)

    def context_broken(self, cid: int) -> None:
        self._port.urc("+UUPSDD: 0")
