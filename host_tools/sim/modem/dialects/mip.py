"""The dialect of China Mobile's OneMO LTE modules: ML307R, ML307A, ML305A, ML302A, ML307G and their kin.

UG: OneMO TCP/IP user guide; EX: OneMO extended AT commands V1.7.4.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from host_tools.sim.modem.command import Part, Writer, command
from host_tools.sim.modem.data import CONTEXTS, UP, Context
from host_tools.sim.modem.dialect import Dialect, Standard
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import Port, Power, Reply
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.sockets import AFTER_OK_MS, Failure, Pushes, Socket, Sockets, State

NORMAL, TRANSPARENT, STREAM_CACHE, PACKET_CACHE = range(4)  # <access_mode>, UG 3.3
RAW, HEX, ESCAPED = range(3)  # <send_format>, UG 3.1
NOT_IN_USE, IN_USE, NOT_CONNECTED = 551, 552, 553  # UG 5
NOT_WRITTEN, NO_SESSION, NO_NAME = 560, 570, 580
_INLINE_OCTETS = 1_460  # UG 3.5
_PUSH_OCTETS = 1_460
_KEEP_ALIVE = (0, 90, 75, 3)  # UG 3.2


class MipSocket(Socket):
    """One <connect_id>. `told`: octets whose arrival was reported; `acked`: whose acknowledgement was."""

    ended = False  # by the peer, which is told behind the payload that is pushed

    def __init__(self, number: int, context: Context, *, tcp: bool, mode: int, local_port: int, host: str) -> None:
        super().__init__(number, context, tcp=tcp, local_port=local_port)
        self.mode, self.host, self.told, self.acked = mode, host, 0, 0


class MipSockets(Sockets[MipSocket]):
    """Connections 0 to 5, names, and the data session that they run over.

    A server is not offered (it is the MR880A's), nor transparent mode.
    """

    most_datagrams = 256  # UG 3.6

    def __init__(self, port: Port, standard: Standard, rng: random.Random) -> None:
        super().__init__(port, rng)
        self._data = standard.data
        self._card_reader = standard.card_reader
        self._options: dict[str, list[tuple[int, ...]]] = {}
        self._alive: list[tuple[int, ...]] = []
        self._pushes = Pushes(port, self._push)
        self._called = False  # AT+MIPCALL=1, or the modem by itself
        self._booted = False
        self._name_servers_first = 1

    def start(self) -> None:
        self._options = {name: [default] * self.profile.sockets.count for name, (default, _) in _OPTIONS.items()}
        self._alive = [_KEEP_ALIVE] * self.profile.sockets.count
        self._called = self._booted = False
        self._pushes.start()

    def _quirk(self, name: str) -> Any:
        return self.profile.quirks[name]

    # --- the data session, EX 4.17 ---

    def registered(self) -> None:
        """As a rule the session comes up by itself after the boot."""
        if not self._booted and self._quirk("dials_at_boot"):
            self._booted = True
            if self._data.activate(1) == 0:
                self._up()

    def _up(self) -> None:
        self._called = True
        self.port.urc(self._session(1))

    def _session(self, state: int) -> str:
        space = " " if self._quirk("space_behind_mipcall") else ""
        address = f',"{self._data.contexts[1].ip}"' if state else ""
        return f"+MIPCALL:{space}1,{state}{address}"

    @command("+MIPCALL", READ, test="(0,1),(1-7)", manual="EX 4.17", sim=True)
    def _is_called(self, args: tuple[str, ...]) -> Reply:
        up = self._called and self._data.contexts[1].state == UP
        return self._session(int(up)) if up or self._quirk("mipcall_shows_down") else None

    @command("+MIPCALL", WRITE, sim=True)
    def _call(self, args: tuple[str, ...]) -> Reply:
        on = self.port.integer(args, 0, 0, 1)
        self.port.integer(args, 1, 1, CONTEXTS, 1)
        if not on:
            self._hang_up()
            return None
        if self._called and self._data.contexts[1].state == UP:
            if self._quirk("refuses_second_call"):
                raise self.port.bad_parameter()
            return None
        code = self._data.activate(1)
        if code and not self._quirk("tells_refusal_later"):
            raise CmeError(code)
        self.port.after(AFTER_OK_MS, self.port.urc if code else self._up, *([self._session(0)] if code else []))
        return None

    def _hang_up(self) -> None:
        self._called = False
        if not self._quirk("keeps_context"):
            self._data.deactivate(1)
            return
        for socket in list(self.sockets.values()):
            if socket.connection is not None:
                socket.connection.drop()
            self.forget(socket)

    def context_broken(self) -> None:
        """The network has ended the session."""
        if self._called:
            self._called = False
            self.port.urc(self._session(0))

    def killed(self, socket: MipSocket) -> None:
        if self._called:
            self.port.urc(f'+MIPURC: "disconn",{socket.number},3')

    # --- options, UG 3.1, 3.2 ---

    def _number(self, args: tuple[str, ...], at: int = 0) -> int:
        return self.port.integer(args, at, 0, self.profile.sockets.last)

    @command("+MIPCFG", WRITE, test='"encoding","timeout","autofree","sndbuf","rcvbuf","ackmode"', manual="UG 3.1")
    def _configure(self, args: tuple[str, ...]) -> Reply:
        name = args[0].lower()
        if name not in _OPTIONS:
            raise self.port.bad_parameter()
        values = self._options[name]
        if len(args) == 1:
            return [self._option(name, number) for number in range(len(values))]
        number = self._number(args, 1)
        if len(args) == 2:
            return self._option(name, number)
        default, limits = _OPTIONS[name]
        given = [
            self.port.integer(args, 2 + i, low, high, old)
            for i, ((low, high), old) in enumerate(zip(limits, values[number], strict=True))
        ]
        if len(args) > 2 + len(default):
            raise self.port.bad_parameter()
        values[number] = tuple(given)
        return None

    def _option(self, name: str, number: int) -> str:
        return f'+MIPCFG: "{name}",{number},{",".join(map(str, self._options[name][number]))}'

    @command("+MDNSCFG", WRITE, test='"priority",(0,1)', manual="UG 3.16")
    def _name_options(self, args: tuple[str, ...]) -> Reply:
        if args[0].lower() != "priority":  # all that an ML307R knows
            raise self.port.bad_parameter()
        if len(args) == 1:
            return f'+MDNSCFG: "priority",{self._name_servers_first}'
        self._name_servers_first = self.port.integer(args, 1, 0, 1)
        return None

    # --- opening, UG 3.3 ---

    @command(
        "+MIPOPEN",
        WRITE,
        test="(0-{sockets.last}),,,(0-65535),(1-120),(0-3),(0-65535)",
        manual="UG 3.3",
    )
    def _mipopen(self, args: tuple[str, ...]) -> Reply:
        number = self._number(args)
        kind, host = (*args[1:3], "", "")[:2]
        remote_port = self.port.integer(args, 3, 0, 65_535)
        seconds = self.port.integer(args, 4, 1, 120, self.profile.sockets.connect_timeout_ms // 1000)
        mode = self.port.integer(args, 5, NORMAL, PACKET_CACHE, NORMAL)
        local_port = self.port.integer(args, 6, 0, 65_535, 0)
        tcp = kind.upper() == "TCP"
        cached = mode == (STREAM_CACHE if tcp else PACKET_CACHE)
        if (not tcp and kind.upper() != "UDP") or not host or not (cached or mode == NORMAL):
            raise self.port.bad_parameter()
        if cached and not self._quirk("caches"):
            raise self.port.bad_parameter()
        context = self._data.contexts[1]
        if context.state != UP or not self._called:
            raise CmeError(NO_SESSION)
        if number in self.sockets:
            raise CmeError(IN_USE)
        socket = MipSocket(number, context, tcp=tcp, mode=mode, local_port=local_port, host=host)
        self.open(socket, host, remote_port, seconds * 1000)
        return None

    def opened(self, socket: MipSocket, failure: Failure | None) -> None:
        if failure is None:
            if socket.connection is not None and self._options["ackmode"][socket.number][0]:
                socket.connection.on_acked = lambda: self._tell_acked(socket)
            self.port.urc(f"+MIPOPEN: {socket.number},0")
            return
        self.forget(socket)
        code = _FAILURES[failure]
        if self._quirk("names_no_connection"):
            self.port.urc(f"+CME ERROR: {code}")
        else:
            self.port.urc(f"+MIPOPEN: {socket.number},{code}")

    def _tell_acked(self, socket: MipSocket) -> None:
        """UG 3.1, 3.20: "ackmode"."""
        acked = socket.sent - socket.unacked
        fresh, socket.acked = acked - socket.acked, acked
        if fresh > 0:
            self.port.urc(f'+MIPURC: "ack",{socket.number},{fresh}')

    @command("+MIPTKA", READ, test="(0-{sockets.last}),(0,1),(30-7200),(30-600),(1-9)", manual="UG 3.2")
    def _keep_alives(self, args: tuple[str, ...]) -> Reply:
        return [self._shown_keep_alive(number) for number in range(self.profile.sockets.count)]

    @command("+MIPTKA", WRITE)
    def _keep_alive(self, args: tuple[str, ...]) -> Reply:
        """Keeps what is set; no probe is sent."""
        number = self._number(args)
        if len(args) == 1:
            return self._shown_keep_alive(number)
        limits = ((0, 1), (30, 7200), (30, 600), (1, 9))
        if len(args) > 1 + len(limits):
            raise self.port.bad_parameter()
        self._alive[number] = tuple(
            self.port.integer(args, 1 + i, low, high, old)
            for i, ((low, high), old) in enumerate(zip(limits, self._alive[number], strict=True))
        )
        return None

    def _shown_keep_alive(self, number: int) -> str:
        on, *timing = self._alive[number]
        return f"+MIPTKA: {number},{on}" + "".join(f",{each}" for each in timing if on)

    def _socket(self, args: tuple[str, ...]) -> MipSocket:
        socket = self.sockets.get(self._number(args))
        if socket is None:
            raise CmeError(NOT_IN_USE)
        return socket

    # --- sending, UG 3.5, 3.15 ---

    @command("+MIPSEND", WRITE, test="(0-{sockets.last}),(0-{sockets.max_send}),,(0-2),(1-255)", manual="UG 3.5")
    def _mipsend(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        if socket.state is not State.CONNECTED:
            raise CmeError(NOT_CONNECTED)
        length = self.port.integer(args, 1, 0, self.profile.sockets.max_send, 0)
        if len(args) > 2 and args[2]:
            data = self._decoded(socket, args[2])
            if len(data) > _INLINE_OCTETS or (length and length != len(data)):
                raise self.port.bad_parameter()
            self._transmit(socket, data)
            return f"+MIPSEND: {socket.number},{len(data)}"
        return self.port.prompt(
            lambda data: self._send(socket, data),
            length=length,
            timeout_ms=self._options["timeout"][socket.number][0] * 1000,
            text=b"\r\n>",
            partial=True,
        )

    def _decoded(self, socket: MipSocket, text: str) -> bytes:
        if self._options["encoding"][socket.number][0] != HEX:
            return text.encode("latin-1")
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise self.port.bad_parameter() from None

    def _send(self, socket: MipSocket, data: bytes | None) -> None:
        if data is None:
            self.port.finish()
            return
        if self.sockets.get(socket.number) is not socket or socket.state is not State.CONNECTED:
            raise CmeError(NOT_CONNECTED)
        self._transmit(socket, data)
        counted = self._quirk("counts_what_was_prompted")
        self.port.finish(f"+MIPSEND: {socket.number},{len(data)}" if counted else None)

    def _transmit(self, socket: MipSocket, data: bytes) -> None:
        if not self.send(socket, data):
            raise CmeError(NOT_WRITTEN)

    @command("+MIPSACK", WRITE, test="(0-{sockets.last})", manual="UG 3.15")
    def _totals(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        if socket.state is not State.CONNECTED:
            raise CmeError(NOT_CONNECTED)
        waiting = socket.unacked if socket.tcp else socket.sent
        received = socket.read_octets if self._quirk("totals_what_was_read") else socket.read_octets + socket.unread
        return f"+MIPSACK: {socket.sent},{socket.sent - waiting},{waiting},{received}"

    # --- receiving, UG 3.6, 3.7, 3.20 ---

    def arrived(self, socket: MipSocket) -> None:
        total = socket.read_octets + socket.unread
        fresh, socket.told = total - socket.told, total
        if socket.mode == NORMAL:
            self._pushes.soon()
        elif socket.tcp:
            self.port.urc(f'+MIPURC: "rtcp",{socket.number},{fresh},{socket.unread}')
        else:
            self.port.urc(f'+MIPURC: "rudp",{socket.number},{len(socket.datagrams)}')

    def dropped(self, socket: MipSocket, octets: int) -> None:
        self.port.urc(f'+MIPURC: "drop",{socket.number},{octets}')

    def _push(self) -> int:
        for socket in list(self.sockets.values()):
            if socket.mode != NORMAL:
                continue
            data, _ = self.read(socket, _PUSH_OCTETS)
            if socket.ended and not socket.unread and self.sockets.get(socket.number) is socket:
                socket.ended = False
                self.port.after(AFTER_OK_MS, self._tell_end, socket)
            if data:
                name, text = "rtcp" if socket.tcp else "rudp", self._encoded(socket, data)
                self.port.push(f'+MIPURC: "{name}",{socket.number},{len(data)}', text, b",")
                return len(text)
        return 0

    def _encoded(self, socket: MipSocket, data: bytes) -> bytes:
        return data.hex().upper().encode() if self._options["encoding"][socket.number][1] == HEX else data

    @command("+MIPRD", WRITE, test="(0-{sockets.last}),(0-{sockets.max_read})", manual="UG 3.6")
    def _miprd(self, args: tuple[str, ...]) -> Any:
        self._need_cache()
        socket = self._socket(args)
        if len(args) == 1:
            return f"+MIPRD: {socket.number},{socket.unread if socket.tcp else len(socket.datagrams)}"
        most = self.profile.sockets.max_read if socket.tcp else 256
        n = self.port.integer(args, 1, 0, most) or most
        answers = []
        for _ in range(1 if socket.tcp else n):
            data, _source = self.read(socket, n if socket.tcp else self.profile.sockets.max_read)
            if not data:
                break
            left = socket.unread if socket.tcp else len(socket.datagrams)
            head = f"+MIPRD: {socket.number},{left},{len(data)},".encode()
            answers.append(head + self._encoded(socket, data))
        return b"\r\n".join(answers) or None

    @command("+MIPMODE", WRITE, test="(0-{sockets.last}),(0,2,3)", manual="UG 3.7")
    def _mipmode(self, args: tuple[str, ...]) -> Reply:
        self._need_cache()
        socket = self._socket(args)
        if len(args) == 1:
            return f"+MIPMODE: {socket.number},{socket.mode}"
        mode = self.port.integer(args, 1, NORMAL, PACKET_CACHE)
        if mode not in (NORMAL, STREAM_CACHE if socket.tcp else PACKET_CACHE):
            raise self.port.bad_parameter()
        socket.mode = mode
        if mode == NORMAL:
            self._pushes.soon(AFTER_OK_MS)
        return None

    def _need_cache(self) -> None:
        if not self._quirk("caches"):
            raise CmeError(self.profile.errors.unknown_command)

    # --- ending, UG 3.4, 3.8 ---

    def peer_closed(self, socket: MipSocket) -> None:
        if socket.mode == NORMAL and socket.unread:
            socket.ended = True
        else:
            self._tell_end(socket)

    def _tell_end(self, socket: MipSocket) -> None:
        if self.sockets.get(socket.number) is not socket:
            return
        reset = socket.connection is not None and not socket.connection.peer_closed
        self.port.urc(f'+MIPURC: "disconn",{socket.number},{2 if reset else 1}')
        if not self._options["autofree"][socket.number][0]:
            self.close(socket, self.profile.sockets.close_timeout_ms, _nothing)

    @command("+MIPCLOSE", WRITE, test="(0-{sockets.last})", manual="UG 3.4")
    def _mipclose(self, args: tuple[str, ...]) -> Reply:
        socket = self.sockets.get(self._number(args))
        if socket is None:
            if self._quirk("closes_what_is_not_open"):
                return None
            raise CmeError(NOT_IN_USE)
        if socket.when_closed is None and self.close(
            socket, self.profile.sockets.close_timeout_ms, lambda: self._report_closed(socket)
        ):
            self.port.after(AFTER_OK_MS, self._report_closed, socket)
        return None

    def _report_closed(self, socket: MipSocket) -> None:
        self.port.urc(f"+MIPCLOSE: {socket.number}")

    @command("+MIPSTATE", READ, test="(0-{sockets.last})", manual="UG 3.8")
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [self._state(number) for number in range(self.profile.sockets.count)]

    @command("+MIPSTATE", WRITE)
    def _one_state(self, args: tuple[str, ...]) -> Reply:
        return self._state(self._number(args))

    def _state(self, number: int) -> str:
        socket = self.sockets.get(number)
        if socket is None:
            return f'+MIPSTATE: {number},,,,"INITIAL"'
        state = _STATES[socket.state]
        if socket.state is State.CLOSING and socket.when_closed is None:
            state = "CLOSED"
        kind = "TCP" if socket.tcp else "UDP"
        return f'+MIPSTATE: {number},"{kind}","{socket.host}",{socket.remote[1]},"{state}"'

    # --- names, UG 3.17 ---

    @command("+MDNSGIP", WRITE, test="", manual="UG 3.17")
    def _look_up(self, args: tuple[str, ...]) -> Reply:
        context = self._data.contexts[1]
        if context.state != UP:
            raise CmeError(NO_SESSION)
        name = args[0]
        if not name or len(name) > 255:
            raise CmeError(NO_NAME)
        self.port.after(
            AFTER_OK_MS, self.resolver.resolve, context, name, lambda ips: self._report_name(name, ips)
        )
        return None

    def _report_name(self, name: str, ips: Sequence[str]) -> None:
        self.port.urc(f'+MDNSGIP: "{name}"' + "".join(f',"{ip}"' for ip in ips[:4]))


_SLEEPS_BY_DTR = 2  # <mode> of "sleepmode"


class Commands(Part):
    """What else the maker adds: identity, power."""

    settings = (Setting("+MLPMCFG", '("sleepmode","delaysleep","wakeupin"),(0-255),(0,1)', '"sleepmode",0,0', "EX"),)

    def __init__(self, port: Port, standard: Standard, power: Power) -> None:
        super().__init__(port)
        self._card_reader, self._power = standard.card_reader, power
        self._store_sleep = Writer(port, self.settings[0])
        self.sleep_mode = 0

    def start(self) -> None:
        self.sleep_mode = 0

    @command("+MLPMCFG", WRITE)
    def _configure_sleep(self, args: tuple[str, ...]) -> Reply:
        self._store_sleep(args)
        if args[0] == "sleepmode":
            self.sleep_mode = self.port.integer(args, 1, 0, 2, self.sleep_mode)
        return None

    @command("+MCCID", EXEC, test="", manual="EX")
    @command("+MCCID", READ)
    def _iccid(self, args: tuple[str, ...]) -> Reply:
        self._card_reader.require_card()
        return f"+MCCID: {self._card_reader.card.iccid}"

    @command("+GSN", WRITE, test="(0-3)", manual="EX")
    def _serial(self, args: tuple[str, ...]) -> Reply:
        self.port.integer(args, 0, 1, 1)
        return f"+GSN: {self.profile.imei}"

    @command("+MREBOOT", EXEC, test="(0,1)", manual="EX")
    @command("+MREBOOT", WRITE)
    def _reboot(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.reboot)
        return None

    @command("+MPOF", EXEC, test="", manual="EX")
    @command("+MPOF", WRITE)
    def _power_down(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.power_down)
        return None


class Mip(Dialect):
    """Sockets by AT+MIP..., the data session by AT+MIPCALL; no counter."""

    errors: ClassVar[dict[int, str]] = {
        50: "Incorrect parameters",
        550: "TCP/IP unknown error",
        551: "TCP/IP not used",
        552: "TCP/IP already used",
        553: "TCP/IP not connected",
        557: "SOCKET connection refused",
        558: "SOCKET connect timeout",
        560: "SOCKET write failed",
        570: "PDP not activated",
        580: "DNS parse failed",
    }
    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {
        "dials_at_boot": (True, False),  # EX 4.17; some modules wait for AT+MIPCALL=1
        "space_behind_mipcall": (True, False),
        "mipcall_shows_down": (True, False),  # False: AT+MIPCALL? without a session answers with OK alone
        "refuses_second_call": (False, True),  # AT+MIPCALL=1 with the session up: OK by the manual, error 50 as seen
        "tells_refusal_later": (False, True),  # OK, then +MIPCALL: 1,0
        "keeps_context": (False, True),  # AT+MIPCALL=0 ends the sockets, and leaves the PDP context up
        "names_no_connection": (False, True),  # a failed open is a +CME ERROR without the connection's number
        "counts_what_was_prompted": (False, True),  # +MIPSEND behind prompted data as well
        "totals_what_was_read": (False, True),  # <received> of AT+MIPSACK
        "closes_what_is_not_open": (False, True),  # with OK
        "caches": (True, False),  # False: knows no <access_mode> 2 or 3, and pushes all payload
    }
    part_types = (Commands, MipSockets)
    commands: ClassVar[dict[str, str]] = {
        "open": "+MIPOPEN*", "send": "+MIPSEND*", "read": "+MIPRD*", "close": "+MIPCLOSE*",
        "up": "+MIPCALL*", "down": "+MIPCALL*",
    }  # fmt: skip
    news = "+MIPURC"

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        super().__init__(port, standard, power, rng)
        self.sockets = self._sockets = MipSockets(port, standard, rng)
        self._commands = Commands(port, standard, power)
        self.parts = (self._commands, self.sockets)

    @property
    def sleeps_without_dtr(self) -> bool:
        return self._commands.sleep_mode == _SLEEPS_BY_DTR

    def registered(self) -> None:
        self._sockets.registered()

    def context_broken(self, cid: int) -> None:
        if cid == 1:
            self._sockets.context_broken()


def _nothing() -> None:
    pass


_STATES = {
    State.OPENING: "CONNECTING", State.CONNECTED: "CONNECTED", State.FAILED: "CLOSED", State.CLOSING: "CLOSING",
}  # fmt: skip
_FAILURES = {
    Failure.NAME: 580, Failure.BIND: 555, Failure.CONNECT: 557, Failure.TIMEOUT: 558, Failure.CONTEXT: 570,
}  # fmt: skip

# AT+MIPCFG: name -> defaults, and the limits of each (UG 3.1)
_OPTIONS: dict[str, tuple[tuple[int, ...], tuple[tuple[int, int], ...]]] = {
    "encoding": ((RAW, RAW), ((RAW, ESCAPED), (RAW, HEX))),
    "timeout": ((10,), ((1, 120),)),
    "autofree": ((0,), ((0, 1),)),
    "sndbuf": ((1460,), ((1, 8192),)),
    "rcvbuf": ((65_535,), ((1, 65_535),)),  # no effect on TCP
    "ackmode": ((0,), ((0, 1),)),
    "ssl": ((0, 0), ((0, 1), (0, 5))),
}
