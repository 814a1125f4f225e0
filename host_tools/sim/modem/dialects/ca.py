"""The dialect of SIMCom's LTE Cat-M modules: SIM7070, SIM7080, SIM7090 (Series AT Command Manual V1.05)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.command import Part, Writer, command
from host_tools.sim.modem.data import UP, Context, Data, Definition
from host_tools.sim.modem.dialect import Dialect, Standard
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import PENDING, Port, Power, Reply
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.sockets import AFTER_OK_MS, Failure, Socket, Sockets, State

INDEXES = 4  # sessions 0..3; number n runs over the context of <cid> n + 1
NOT_ALLOWED = 3
READ_BY_HAND, PUSH = range(2)  # <recv_mode>
IP_VERSIONS = ("IPV4V6", "IP", "IPV6")  # <ip_type> of AT+CNCFG
_INPUT_MS = 5_000  # AT+CASEND: for the payload

# <result> of +CAOPEN (TinyGSM's SIM7080 client lists them).
_FAILURES = {
    Failure.NAME: 20,
    Failure.BIND: 12,
    Failure.CONNECT: 23,
    Failure.TIMEOUT: 27,
    Failure.CONTEXT: 21,
}
_PARAMETER = 4
_NOT_ACTIVE = 21


class Commands(Part):
    """What SIMCom adds to 3GPP's commands for card, radio, time and power."""

    settings = (
        Setting("+CLTS", "(0,1)", "0", "AT+CLTS", "auto"),
        Setting("+CNMP", "(2,13,38,51)", "2", "AT+CNMP", "auto"),
        Setting("+CMNB", "(1-3)", "3", "AT+CMNB", "auto"),
        Setting("+CSCLK", "(0,1)", "0", "AT+CSCLK"),
        Setting("+CBATCHK", "(0,1)", "0", "AT+CBATCHK", "auto"),
    )

    def __init__(self, port: Port, standard: Standard, power: Power) -> None:
        super().__init__(port)
        self._standard, self._power = standard, power
        self._store_clts = Writer(port, self.settings[0])

    def start(self) -> None:
        self._set_clock()

    def _set_clock(self) -> None:
        self.port.nvm.store("+CTZU", self.port.nvm.values["+CLTS"])

    def registered(self) -> None:
        """*PSUTTZ tells the network's time, in UTC."""
        if self.port.nvm.number("+CTZU"):
            radio = self._standard.radio
            now = self.clock.utc() + radio.time_error
            fields = f"{now.year},{now.month},{now.day},{now.hour},{now.minute},{now.second}"
            self.port.urc(f'*PSUTTZ: {fields},"{radio.zone:+}",0')

    @command("+CLTS", WRITE)
    def _local_time(self, args: tuple[str, ...]) -> Reply:
        self._store_clts(args)
        if self.profile.quirks["clts"] == "at once":
            self._set_clock()
        return None

    @command("+CCID", EXEC, test="", manual="AT+CCID")
    def _iccid(self, args: tuple[str, ...]) -> Reply:
        self._standard.card_reader.require_card()
        return self._standard.card_reader.card.iccid

    @command("+CPSI", READ, test="", manual="AT+CPSI")
    def _system(self, args: tuple[str, ...]) -> Reply:
        radio, model = self._standard.radio, self.profile.radio
        if not radio.registered:
            return "+CPSI: NO SERVICE,Online"
        plmn = self._standard.card_reader.card.operator_id
        return (
            f"+CPSI: LTE CAT-M1,Online,{plmn[:3]}-{plmn[3:]},0x{model.tac},{int(model.cell, 16)},1,EUTRAN-BAND3,"
            f"{model.channel},5,5,{radio.rsrq_db},{radio.rsrp_dbm},{radio.rssi_dbm},{radio.sinr_db}"
        )

    @command("+CPOWD", WRITE, manual="AT+CPOWD")
    def _power_down(self, args: tuple[str, ...]) -> Reply:
        self.port.integer(args, 0, 0, 1)
        self.port.after(self.profile.rate_change_ms, self._power.power_down)
        self.port.finish(None, None)  # that it is powered down is the answer
        return PENDING

    @command("+CREBOOT", EXEC, test="", manual="AT+CREBOOT")
    def _reboot(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.reboot)
        return None


class CaSocket(Socket):
    """One <cid>."""

    def __init__(self, number: int, context: Context, tcp: bool, mode: int) -> None:
        super().__init__(number, context, tcp=tcp)
        self.mode = mode
        self.signalled = False  # +CADATAIND was written and the buffer not drained since


class CaSockets(Sockets[CaSocket]):
    """Sockets and the sessions that they run over."""

    def __init__(self, port: Port, card_reader: CardReader, data: Data, rng: random.Random) -> None:
        super().__init__(port, rng)
        self._card_reader, self._data = card_reader, data
        self._id = -1  # of AT+CACID

    def start(self) -> None:
        self._id = -1

    # --- sessions ---

    def _context(self, args: tuple[str, ...], at: int = 0) -> Context:
        return self._data.contexts[self.port.integer(args, at, 0, INDEXES - 1) + 1]

    @command(
        "+CNCFG", WRITE, test=f"(0-{INDEXES - 1}),(0-2),<APN>,<usename>,<password>,(0-3)", manual="AT+CNCFG"
    )
    def _configure(self, args: tuple[str, ...]) -> Reply:
        context = self._context(args)
        kind = IP_VERSIONS[self.port.integer(args, 1, 0, 2)]
        old = self._data.definitions.get(context.cid, Definition())
        apn = args[2] if len(args) > 2 else old.apn
        self._data.define(context.cid, replace(old, kind=kind, apn=apn))
        return None

    @command("+CGNAPN", EXEC, test="", manual="AT+CGNAPN", sim=True)
    def _network_apn(self, args: tuple[str, ...]) -> Reply:
        definition = self._data.definitions.get(1)
        return f'+CGNAPN: 1,"{definition.apn}"' if definition and definition.apn else '+CGNAPN: 0,""'

    @command("+CNACT", WRITE, test=f"(0-{INDEXES - 1}),(0-2)", manual="AT+CNACT")
    def _activate(self, args: tuple[str, ...]) -> Reply:
        context, index = self._context(args), args[0]
        self._card_reader.require()
        up = context.state == UP
        if not self.port.integer(args, 1, 0, 2):
            if not up:
                raise CmeError(NOT_ALLOWED)
            self._data.deactivate(context.cid)
            self.port.after(AFTER_OK_MS, self.port.urc, f"+APP PDP: {index},DEACTIVE")
            return None
        if up:
            raise CmeError(NOT_ALLOWED)
        refused = self._data.activate(context.cid)
        if refused and self.profile.quirks["refusal"] == "error":
            raise CmeError(refused)
        state = "DEACTIVE" if refused else "ACTIVE"
        self.port.after(AFTER_OK_MS, self.port.urc, f"+APP PDP: {index},{state}")
        return None

    @command("+CNACT", READ)
    def _active(self, args: tuple[str, ...]) -> Reply:
        contexts = [self._data.contexts[index + 1] for index in range(INDEXES)]
        return [f'+CNACT: {c.cid - 1},{int(c.state == UP)},"{c.ip}"' for c in contexts]

    @command("+CNII", WRITE, test=f"(0-{INDEXES - 1})", manual="AT+CNII")
    def _interface(self, args: tuple[str, ...]) -> Reply:
        """<index>,<mtu>,<received>,<sent>, packets and drops of both ways; packets are a guess from the octets."""
        context = self._context(args)
        if context.state != UP:
            raise CmeError(NOT_ALLOWED)
        sent, received = self._data.counter.octets
        packets = [octets // self.profile.sockets.mtu for octets in (received, sent)]
        return f"+CNII: {args[0]},{self.profile.sockets.mtu},{received},{sent},{packets[0]},{packets[1]},0,0"

    # --- opening ---

    def _number(self, args: tuple[str, ...]) -> int:
        return self.port.integer(args, 0, 0, self.profile.sockets.last)

    def _socket(self, args: tuple[str, ...]) -> CaSocket:
        socket = self.sockets.get(self._number(args))
        if socket is None:
            raise CmeError(NOT_ALLOWED)
        return socket

    @command("+CACID", WRITE, test="(0-{sockets.last})", manual="AT+CACID")
    def _choose(self, args: tuple[str, ...]) -> Reply:
        self._id = self._number(args)
        return None

    @command(
        "+CAOPEN",
        WRITE,
        test=f'(0-{{sockets.last}}),(0-{INDEXES - 1}),("TCP","UDP"),<server>,(0-65535),(0,1)',
        manual="AT+CAOPEN",
    )
    def _caopen(self, args: tuple[str, ...]) -> Any:
        number = self._number(args)
        if len(args) < 5 or number in self.sockets or (self.profile.quirks["cacid"] and number != self._id):
            raise CmeError(NOT_ALLOWED)
        context = self._context(args, 1)
        kind, host, port = args[2].upper(), args[3], self.port.integer(args, 4, 1, 65_535)
        if len(args) > 5 and not self.profile.quirks["recv_mode"]:
            raise self.port.bad_parameter()
        mode = self.port.integer(args, 5, READ_BY_HAND, PUSH, READ_BY_HAND)
        if kind not in ("TCP", "UDP") or not host:
            return self._result(number, _PARAMETER)
        if context.state != UP:
            return self._result(number, _NOT_ACTIVE)
        socket = CaSocket(number, context, kind == "TCP", mode)
        self.open(socket, host, port, self.profile.sockets.connect_timeout_ms)
        return None if self.profile.quirks["caopen"] == "after" else PENDING

    def _result(self, number: int, result: int) -> Any:
        """Writes +CAOPEN: <cid>,<result> after the OK, or before it, or instead of it before an ERROR."""
        line = f"+CAOPEN: {number},{result}"
        if self.profile.quirks["caopen"] == "after":
            self.port.after(AFTER_OK_MS, self.port.urc, line)
            return None
        self.port.after(0, self.port.finish, line, "ERROR" if result else "OK")
        return PENDING

    def opened(self, socket: CaSocket, failure: Failure | None) -> None:
        if failure:
            self.forget(socket)
        result = _FAILURES[failure] if failure else 0
        line = f"+CAOPEN: {socket.number},{result}"
        if self.profile.quirks["caopen"] == "after":
            self.port.urc(line)
        else:
            self.port.finish(line, "ERROR" if result else "OK")

    @command("+CASTATE", READ, test="", manual="AT+CASTATE")
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [
            f"+CASTATE: {number},{int(socket.state is State.CONNECTED)}"
            for number, socket in sorted(self.sockets.items())
            if socket.state is not State.OPENING
        ] or None

    def peer_closed(self, socket: CaSocket) -> None:
        self.port.urc(f"+CASTATE: {socket.number},0")

    def killed(self, socket: CaSocket) -> None:
        self.port.urc(f"+CASTATE: {socket.number},0")

    @command("+CDNSGIP", WRITE, test="<domain name>,(1-10),(5000-100000)", manual="AT+CDNSGIP")
    def _look_up(self, args: tuple[str, ...]) -> Reply:
        context = self._data.contexts[1]
        if context.state != UP:
            raise CmeError(NOT_ALLOWED)
        name = args[0]

        def report(ips: Sequence[str]) -> None:
            found = ",".join(f'"{ip}"' for ip in ips)
            self.port.urc(f'+CDNSGIP: 1,"{name}",{found}' if ips else "+CDNSGIP: 0,8")

        self.port.after(AFTER_OK_MS, self.resolver.resolve, context, name, report)
        return None

    # --- sending ---

    @command("+CASEND", WRITE, test="(0-{sockets.last}),(1-{sockets.max_send}),(0-5000)", manual="AT+CASEND")
    def _casend(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        if len(args) == 1:
            room = socket.connection.room if socket.connection else self.profile.sockets.send_octets
            return f"+CASEND: {min(room, self.profile.sockets.max_send)}"
        length = self.port.integer(args, 1, 1, self.profile.sockets.max_send)
        if socket.state is not State.CONNECTED:
            raise CmeError(NOT_ALLOWED)
        timeout_ms = self.port.integer(args, 2, 0, _INPUT_MS, _INPUT_MS)
        return self.port.prompt(
            lambda data: self._transmit(socket, data), length=length, timeout_ms=timeout_ms, text=b"\r\n>"
        )

    def _transmit(self, socket: CaSocket, data: bytes | None) -> None:
        if data is None or socket.state is not State.CONNECTED or not self.send(socket, data):
            raise CmeError(NOT_ALLOWED)
        self.port.finish()

    @command("+CAACK", WRITE, test="(0-{sockets.last})", manual="AT+CAACK")
    def _acknowledged(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        return f"+CAACK: {socket.sent},{socket.unacked}"

    # --- receiving ---

    def arrived(self, socket: CaSocket) -> None:
        if socket.mode == PUSH:
            self._push(socket)
        elif not socket.signalled:
            socket.signalled = True
            self.port.urc(f"+CADATAIND: {socket.number}")

    def _push(self, socket: CaSocket) -> None:
        data, source = self.read(socket, self.profile.sockets.max_read)
        while data:
            self.port.push(f'+CAURC: "recv",{socket.number},{len(data)},"{source[0]}",{source[1]}', data)
            data, source = self.read(socket, self.profile.sockets.max_read)

    @command("+CARECV", READ, test="(0-{sockets.last}),(1-{sockets.max_read})", manual="AT+CARECV")
    def _waiting(self, args: tuple[str, ...]) -> Reply:
        waiting = [f"+CARECV: {number},{s.unread}" for number, s in sorted(self.sockets.items()) if s.unread]
        return waiting or None

    @command("+CARECV", WRITE)
    def _carecv(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        data, _ = self.read(socket, self.port.integer(args, 1, 1, self.profile.sockets.max_read))
        if not socket.unread:
            socket.signalled = False
        number = f"{socket.number}," if self.profile.quirks["carecv"] == "numbered" else ""
        head = f"+CARECV: {number}{len(data)}"
        return head.encode() + b"," + data if data else head

    # --- closing ---

    @command("+CACLOSE", WRITE, test="(0-{sockets.last})", manual="AT+CACLOSE")
    def _caclose(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        done = self.close(socket, self.profile.sockets.close_timeout_ms, self.port.finish)
        return None if done else PENDING


class Ca(Dialect):
    """Sockets by AT+CA..., the counter by AT+CNII."""

    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {
        "caopen": ("after", "before"),  # +CAOPEN beside its OK
        "cacid": (False, True),  # whether AT+CAOPEN wants AT+CACID first; TinyGSM sends it to all
        "recv_mode": (False, True),  # whether AT+CAOPEN takes that parameter
        "carecv": ("bare", "numbered"),  # whether +CARECV begins with <cid>
        "refusal": ("urc", "error"),  # what AT+CNACT gets where the network refuses the session
        "clts": ("at once", "at boot"),  # when AT+CLTS=1 takes effect
    }
    powered_down = "NORMAL POWER DOWN"
    part_types = (Commands, CaSockets)
    commands: ClassVar[dict[str, str]] = {
        "open": "+CAOPEN*", "send": "+CASEND*", "read": "+CARECV=*", "close": "+CACLOSE*",
        "up": "+CNACT=0,1", "down": "+CNACT=0,0", "counter": "+CNII*",
    }  # fmt: skip
    light_sleep = ("+CSCLK", 1)
    news = "+CADATAIND"

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        super().__init__(port, standard, power, rng)
        self._commands = Commands(port, standard, power)
        self.sockets = CaSockets(port, standard.card_reader, standard.data, rng)
        self.parts = (self._commands, self.sockets)

    def registered(self) -> None:
        self._commands.registered()

    def context_broken(self, cid: int) -> None:
        if cid <= INDEXES:
            self._port.urc(f"+APP PDP: {cid - 1},DEACTIVE")
