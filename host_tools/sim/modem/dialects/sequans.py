"""The dialect of Sequans' Monarch 2: GM02S (GM02S AT Commands Reference Manual; Walter's library; TinyGSM)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from host_tools.sim.modem.command import Part, Writer, command
from host_tools.sim.modem.data import UP, Context, Data
from host_tools.sim.modem.dialect import Dialect, Standard
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import NO_CARRIER, PENDING, Port, Power, Reply
from host_tools.sim.modem.power_saving import is_binary
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.sockets import Failure, Socket, Sockets, State

NOT_ALLOWED = 3
TCP, UDP = range(2)  # <txProt>
CLOSED, ACTIVE, WAITING = 0, 2, 3  # +SQNSS: closed, connected, connected with data that waits
_RING, _RING_AND_SIZE, _RING_AND_DATA = range(3)  # <srMode>
_CONNECT_100MS = 600


class Commands(Part):
    """What Sequans adds to 3GPP's commands for card and power."""

    settings = (Setting("+SQNEDRX", "(0-3),(4,5),(any),(any)", "0,4", "AT+SQNEDRX", "auto"),)

    def __init__(self, port: Port, standard: Standard, power: Power) -> None:
        super().__init__(port)
        self._standard, self._power = standard, power
        self._store_edrx = Writer(port, self.settings[0])

    @command("+SQNEDRX", WRITE)
    def _edrx(self, args: tuple[str, ...]) -> Reply:
        """AT+CEDRXS with the paging time window, at whose beginning the simulated network calls."""
        if len(args) > 3 and not is_binary(args[3], 4):
            raise self.port.bad_parameter()
        self._standard.power_saving.save_edrx(args[:3])
        self._store_edrx(args)
        return None

    @command("+SQNCCID", EXEC, test="", manual="AT+SQNCCID")
    @command("+SQNCCID", READ)
    def _iccid(self, args: tuple[str, ...]) -> Reply:
        self._standard.card_reader.require_card()
        return f'+SQNCCID: "{self._standard.card_reader.card.iccid}",""'

    @command("+SQNSSHDN", EXEC, test="", manual="AT+SQNSSHDN")
    def _shut_down(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.power_down)
        return None


class SequansSocket(Socket):
    """One <connId> that was dialled."""

    def __init__(self, number: int, context: Context, tcp: bool, local_port: int, ring: int) -> None:
        super().__init__(number, context, tcp=tcp, local_port=local_port)
        self.ring = ring
        self.signalled = False  # +SQNSRING was written and the buffer not drained since


class SequansSockets(Sockets[SequansSocket]):
    """Connections 1..6 in command mode. Listening and online mode are not offered."""

    def __init__(self, port: Port, data: Data, rng: random.Random) -> None:
        super().__init__(port, rng)
        self._data = data
        self._connect_ms: dict[int, int] = {}
        self._cids: dict[int, int] = {}
        self._rings: dict[int, int] = {}
        self._digits: dict[int, bool] = {}

    def start(self) -> None:
        self._connect_ms, self._cids, self._rings, self._digits = {}, {}, {}, {}

    def _number(self, args: tuple[str, ...]) -> int:
        return self.port.integer(args, 0, 1, self.profile.sockets.count)

    def _socket(self, args: tuple[str, ...]) -> SequansSocket:
        socket = self.sockets.get(self._number(args))
        if socket is None:
            raise CmeError(NOT_ALLOWED)
        return socket

    @command(
        "+SQNSCFG",
        WRITE,
        test="(1-{sockets.count}),(1-16),(0-1500),(0-65535),(10-1200),(0-255)",
        manual="AT+SQNSCFG",
    )
    def _configure(self, args: tuple[str, ...]) -> Reply:
        number = self._number(args)
        self._cids[number] = self.port.integer(args, 1, 1, 7)
        self._connect_ms[number] = 100 * self.port.integer(args, 4, 10, 1200, _CONNECT_100MS)
        return None

    @command(
        "+SQNSCFGEXT", WRITE, test="(1-{sockets.count}),(0-2),(0,1),(0-240),(0,1),(0,1)", manual="AT+SQNSCFGEXT"
    )
    def _configure_more(self, args: tuple[str, ...]) -> Reply:
        number = self._number(args)
        if self.port.integer(args, 2, 0, 1, 0):
            raise self.port.bad_parameter()  # what arrives is not offered in hexadecimal
        self._rings[number] = self.port.integer(args, 1, _RING, _RING_AND_DATA)
        self._digits[number] = self.port.integer(args, 5, 0, 1, 0) == 1
        return None

    # --- opening ---

    @command(
        "+SQNSD",
        WRITE,
        test='(1-{sockets.count}),(0,1),(1-65535),<IPaddr>,(0,1,255),(0-65535),(0,1),(0,1)',
        manual="AT+SQNSD",
    )
    def _dial(self, args: tuple[str, ...]) -> Any:
        number = self._number(args)
        kind = self.port.integer(args, 1, TCP, UDP)
        port = self.port.integer(args, 2, 1, 65_535)
        if len(args) < 4 or not args[3]:
            raise self.port.bad_parameter()
        local_port = self.port.integer(args, 5, 0, 65_535, 0)
        if not self.port.integer(args, 6, 0, 1, 0):
            raise self.port.bad_parameter()  # online mode is not offered
        context = self._data.contexts[self._cids.get(number, 1)]
        if number in self.sockets or context.state != UP:
            raise CmeError(NOT_ALLOWED)
        ring = self._rings.get(number, _RING)
        socket = SequansSocket(number, context, kind == TCP, local_port, ring)
        self.open(socket, args[3], port, self._connect_ms.get(number, 100 * _CONNECT_100MS))
        return PENDING

    def opened(self, socket: SequansSocket, failure: Failure | None) -> None:
        if failure is None:
            self.port.finish()
            return
        self.forget(socket)
        if self.profile.quirks["refusal"] == NO_CARRIER:
            self.port.finish(None, NO_CARRIER)
        else:
            self.port.fail(CmeError(NOT_ALLOWED))

    @command("+SQNDNSLKUP", WRITE, test="<hostname>,(0,1)", manual="AT+SQNDNSLKUP")
    def _look_up(self, args: tuple[str, ...]) -> Any:
        context = self._data.contexts[1]
        if context.state != UP or not args[0]:
            raise CmeError(NOT_ALLOWED)

        def report(ips: Sequence[str]) -> None:
            if ips:
                self.port.finish(f'+SQNDNSLKUP: "{args[0]}","{ips[0]}"')
            else:
                self.port.fail(CmeError(NOT_ALLOWED))

        self.port.after(0, self.resolver.resolve, context, args[0], report)
        return PENDING

    # --- sending ---

    @command(
        "+SQNSSENDEXT", WRITE, test="(1-{sockets.count}),(1-{sockets.max_send})", manual="AT+SQNSSENDEXT"
    )
    def _sqnssendext(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        length = self.port.integer(args, 1, 1, self.profile.sockets.max_send)
        if socket.state is not State.CONNECTED:
            raise CmeError(NOT_ALLOWED)
        return self.port.prompt(
            lambda data: self._transmit(socket, data),
            length=length,
            timeout_ms=10_000,
            digits=self._digits.get(socket.number, False),
        )

    def _transmit(self, socket: SequansSocket, data: bytes | None) -> None:
        if data is None or socket.state is not State.CONNECTED or not self.send(socket, data):
            raise CmeError(NOT_ALLOWED)
        self.port.finish()

    # --- receiving ---

    def arrived(self, socket: SequansSocket) -> None:
        if socket.signalled:
            return
        socket.signalled = True
        waiting = socket.unread if socket.tcp else len(socket.datagrams[0][0])
        size = "" if socket.ring == _RING else f",{waiting}"
        self.port.urc(f"+SQNSRING: {socket.number}{size}")

    @command("+SQNSRECV", WRITE, test="(1-{sockets.count}),(1-{sockets.max_read})", manual="AT+SQNSRECV")
    def _sqnsrecv(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        data, _ = self.read(socket, self.port.integer(args, 1, 1, self.profile.sockets.max_read))
        if not socket.unread:
            socket.signalled = False
        if not data:
            if self.profile.quirks["empty"] == "error":
                raise CmeError(NOT_ALLOWED)
            return f"+SQNSRECV: {socket.number},0"
        return f"+SQNSRECV: {socket.number},{len(data)}\r\n".encode() + data

    # --- state and end ---

    @command("+SQNSI", WRITE, test="(1-{sockets.count})", manual="AT+SQNSI")
    def _information(self, args: tuple[str, ...]) -> Reply:
        socket = self.sockets.get(self._number(args))
        if socket is None:
            return f"+SQNSI: {args[0]},0,0,0,0"
        received = socket.read_octets
        if self.profile.quirks["sqnsi"] == "arrived":
            received += socket.unread
        return f"+SQNSI: {socket.number},{socket.sent},{received},{socket.unread},{socket.unacked}"

    @command("+SQNSS", EXEC, test="", manual="AT+SQNSS")
    @command("+SQNSS", READ)
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [self._row(number) for number in range(1, self.profile.sockets.count + 1)]

    def _row(self, number: int) -> str:
        socket = self.sockets.get(number)
        if socket is None or socket.state is not State.CONNECTED:
            return f"+SQNSS: {number},{CLOSED}"
        ip, port = socket.remote
        state = WAITING if socket.unread else ACTIVE
        return f"+SQNSS: {number},{state},{socket.context.ip},{socket.local_port},{ip},{port}"

    def peer_closed(self, socket: SequansSocket) -> None:
        self.port.urc(f"+SQNSH: {socket.number}")

    def killed(self, socket: SequansSocket) -> None:
        self.port.urc(f"+SQNSH: {socket.number}")

    @command("+SQNSH", WRITE, test="(1-{sockets.count})", manual="AT+SQNSH")
    def _sqnsh(self, args: tuple[str, ...]) -> Any:
        socket = self.sockets.get(self._number(args))
        if socket is None:
            return None
        done = self.close(socket, self.profile.sockets.close_timeout_ms, self.port.finish)
        return None if done else PENDING


class Sequans(Dialect):
    """Sockets by AT+SQNS..., no counter."""

    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {
        "refusal": ("error", NO_CARRIER),  # what AT+SQNSD ends with that got no connection
        "empty": ("error", "zero"),  # what AT+SQNSRECV gets where nothing waits
        "sqnsi": ("arrived", "read"),  # what <received> of +SQNSI has
    }
    powered_down = "+SHUTDOWN"
    part_types = (Commands, SequansSockets)
    commands: ClassVar[dict[str, str]] = {
        "open": "+SQNSD=*", "send": "+SQNSSENDEXT*", "read": "+SQNSRECV*", "close": "+SQNSH*",
        "up": "+CGACT=1,1", "down": "+CGACT=0,1",
    }  # fmt: skip
    news = "+SQNSRING"

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        super().__init__(port, standard, power, rng)
        self.sockets = SequansSockets(port, standard.data, rng)
        self.parts = (Commands(port, standard, power), self.sockets)
