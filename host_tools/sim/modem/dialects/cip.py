"""SIMCom's dialect of A7670, A7672, A7608, SIM7670G and SIM7600: sockets by AT+NETOPEN and AT+CIP...

A76XX Series AT Command Manual V1.09 (A76), SIM7500_SIM7600 Series AT Command Manual V3.00.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.data import UP, Context
from host_tools.sim.modem.dialect import Dialect, Standard
from host_tools.sim.modem.errors import ERROR
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import PENDING, Port, Power, Reply
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.sockets import AFTER_OK_MS, Failure, Socket, Sockets, State, is_ip

_CID = 1  # AT+CSOCKSETPN, which is not offered, would change it
# <err> of +CIPOPEN (A76 11.3)
_NETWORK_FAILURE, _NOT_OPENED, _WRONG_PARAMETER, _NOT_SUPPORTED, _IN_USE = 1, 2, 3, 4, 9
_FAILURES = {
    Failure.NAME: 11,
    Failure.BIND: 6,
    Failure.CONNECT: _NETWORK_FAILURE,
    Failure.TIMEOUT: 10,
    Failure.CONTEXT: _NETWORK_FAILURE,
}
_NOT_CONNECTED = 4  # <err> of +CIPCLOSE and +CIPERROR
_PEER = 1  # <reason> of +IPCLOSE
_UNKNOWN_NAME = 10


class Link(Socket):
    """One <link_num>."""

    def __init__(self, number: int, context: Context, *, tcp: bool, local_port: int = 0) -> None:
        super().__init__(number, context, tcp=tcp, local_port=local_port, any_peer=not tcp)
        self.signalled = False  # +CIPRXGET: 1 was written, and nothing read since
        self.wanted = False  # its number is to be opened again when it has ended


class Links(Sockets[Link]):
    """The network, its links and names."""

    settings = (
        Setting("+CIPSENDMODE", "(0,1)", "0", "A76: AT+CIPSENDMODE"),
        Setting("+CIPMODE", "(0,1)", "0", "A76: AT+CIPMODE"),
        Setting("+CIPHEAD", "(0,1)", "1", "A76: AT+CIPHEAD"),
        Setting("+CIPSRIP", "(0,1)", "1", "A76: AT+CIPSRIP"),
        Setting("+CSCLK", "(0-2)", "0", "A76: AT+CSCLK"),
        Setting("+CTCPKA", "(0,1),(1-120),(1-10),(0,1)", "0,120,9,1", "A76: AT+CTCPKA"),
    )

    def __init__(self, port: Port, standard: Standard, rng: random.Random) -> None:
        super().__init__(port, rng)
        self._data, self._card_reader = standard.data, standard.card_reader
        self.network = False  # AT+NETOPEN was done
        self._manual = False  # AT+CIPRXGET=1

    def start(self) -> None:
        self.network = self._manual = False

    def _refuse(self, line: str) -> Any:
        """Ends the command with an ERROR behind a line that says why."""
        self.port.finish(line, ERROR)
        return PENDING

    def _later(self, line: str) -> None:
        self.port.after(AFTER_OK_MS, self.port.urc, line)

    # --- the network ---

    @command("+NETOPEN", EXEC, manual="A76 11.1: AT+NETOPEN", sim=True)
    def _open_network(self, args: tuple[str, ...]) -> Reply:
        if self.network:
            if self.profile.quirks["reopen"] == "ok":
                self._later("+NETOPEN: 0")
                return None
            return self._refuse("+IP ERROR: Network is already opened")
        for link in list(self.sockets.values()):
            self.forget(link)
        self.network = not self._data.activate(_CID)
        self._later(f"+NETOPEN: {int(not self.network)}")
        return None

    @command("+NETOPEN", READ)
    def _network_state(self, args: tuple[str, ...]) -> Reply:
        return f"+NETOPEN: {int(self.network)}"

    @command("+NETCLOSE", EXEC, test="", manual="A76 11.2: AT+NETCLOSE")
    def _close_network(self, args: tuple[str, ...]) -> Reply:
        if not self.network:
            return self._refuse("+NETCLOSE: 2")
        self.network = False
        for link in list(self.sockets.values()):
            link.state = State.CLOSING
            if link.connection is not None:
                link.connection.abort()
            self.forget(link)
        self._later("+NETCLOSE: 0")
        return None

    @command("+IPADDR", EXEC, test="", manual="A76: AT+IPADDR")
    def _address(self, args: tuple[str, ...]) -> Reply:
        if not self.network:
            return self._refuse("+IP ERROR: Network not opened")
        return f"+IPADDR: {self._data.contexts[_CID].ip}"

    def context_down(self, cid: int, forget: bool) -> None:
        super().context_down(cid, forget)
        if cid != _CID:
            return
        if self.profile.quirks["rest_after_close"] == "lost":
            self.sockets.clear()
        if self.network:
            self.network = False
            self.port.urc("+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY")

    # --- names ---

    @command("+CDNSGIP", WRITE, test="", manual="A76: AT+CDNSGIP")
    def _name(self, args: tuple[str, ...]) -> Reply:
        context = self._data.contexts[_CID]
        if not args[0]:
            raise self.port.bad_parameter()
        if context.state != UP:
            return self._refuse("+CDNSGIP: 0,4")
        later = self.profile.quirks["name_result"] == "after OK"

        def found(ips: Sequence[str]) -> None:
            line = f'+CDNSGIP: 1,"{args[0]}","{ips[0]}"' if ips else f"+CDNSGIP: 0,{_UNKNOWN_NAME}"
            if later:
                self.port.urc(line)
            else:
                self.port.finish(line, "OK" if ips else ERROR)

        self.port.after(AFTER_OK_MS, self.resolver.resolve, context, args[0], found)
        return None if later else PENDING

    # --- opening and closing ---

    def _number(self, args: tuple[str, ...], at: int = 0) -> int:
        return self.port.integer(args, at, 0, self.profile.sockets.last)

    @command("+CIPOPEN", READ, test='(0-{sockets.last}),("TCP","UDP")', manual="A76 11.3: AT+CIPOPEN")
    def _rows(self, args: tuple[str, ...]) -> Reply:
        return [self._row(number) for number in range(self.profile.sockets.count)]

    def _row(self, number: int) -> str:
        link = self.sockets.get(number)
        if link is None or link.state is not State.CONNECTED:
            return f"+CIPOPEN: {number}"
        if not link.tcp:
            return f'+CIPOPEN: {number},"UDP",,,{link.local_port}'
        return f'+CIPOPEN: {number},"TCP","{link.remote[0]}",{link.remote[1]},-1'

    @command("+CIPOPEN", WRITE)
    def _open_link(self, args: tuple[str, ...]) -> Reply:
        number = self._number(args)
        kind = args[1].upper() if len(args) > 1 else ""
        old = self.sockets.get(number)
        if not self.network:
            return self._refuse(f"+CIPOPEN: {number},{_NOT_OPENED}")
        told = old.when_closed if old is not None and old.state is State.CLOSING else None
        refused = self.profile.quirks["reuse"] == "refused"
        if old is not None and (old.state is not State.CLOSING or old.wanted or (told is not None and refused)):
            return self._refuse(f"+CIPOPEN: {number},{_IN_USE}")
        if kind not in ("TCP", "UDP"):
            return self._refuse(f"+CIPOPEN: {number},{_NOT_SUPPORTED}")
        host = args[2] if len(args) > 2 else ""
        if (kind == "TCP" and (not host or len(args) < 4)) or (kind == "UDP" and len(args) < 5):
            return self._refuse(f"+CIPOPEN: {number},{_WRONG_PARAMETER}")
        port = self.port.integer(args, 3 if kind == "TCP" else 4, 1, 65_535)
        if old is not None and told is not None:

            def ended() -> None:
                told()
                self._start(number, kind, host, port)

            old.when_closed, old.wanted = ended, True
            return None
        if old is not None:
            self.forget(old)
        self._start(number, kind, host, port)
        return None

    def _start(self, number: int, kind: str, host: str, port: int) -> None:
        context = self._data.contexts[_CID]
        timeout_ms = self.profile.sockets.connect_timeout_ms
        if kind == "TCP":
            self.open(Link(number, context, tcp=True), host, port, timeout_ms)
        else:
            self.open(Link(number, context, tcp=False, local_port=port), "", 0, timeout_ms)

    def opened(self, socket: Link, failure: Failure | None) -> None:
        self.port.urc(f"+CIPOPEN: {socket.number},{_FAILURES[failure] if failure else 0}")
        if failure:
            self.forget(socket)

    def peer_closed(self, socket: Link) -> None:
        colon = ":" if self.profile.quirks["ipclose_colon"] else ""
        self.port.urc(f"+IPCLOSE{colon} {socket.number},{_PEER}")
        if self.profile.quirks["rest_after_close"] == "lost":
            self.forget(socket)

    @command("+CIPCLOSE", READ, test="(0-{sockets.last})", manual="A76 11.5: AT+CIPCLOSE")
    def _states(self, args: tuple[str, ...]) -> Reply:
        links = [self.sockets.get(number) for number in range(self.profile.sockets.count)]
        return "+CIPCLOSE: " + ",".join(
            str(int(link is not None and link.state is State.CONNECTED)) for link in links
        )

    @command("+CIPCLOSE", WRITE)
    def _close_link(self, args: tuple[str, ...]) -> Reply:
        number = self._number(args)
        link = self.sockets.get(number)
        if link is None or link.state is State.CLOSING:
            if link is not None and link.when_closed is None:
                self.forget(link)
            return self._refuse(f"+CIPCLOSE: {number},{_NOT_CONNECTED}")
        timeout_ms = self.profile.sockets.close_timeout_ms
        if self.close(link, timeout_ms, lambda: self.port.urc(f"+CIPCLOSE: {number},0")):
            self._later(f"+CIPCLOSE: {number},0")
        return None

    # --- sending ---

    @command("+CIPSEND", WRITE, test="(0-{sockets.last}),(1-{sockets.max_send})", manual="A76 11.4: AT+CIPSEND")
    def _send(self, args: tuple[str, ...]) -> Reply:
        number = self._number(args)
        link = self.sockets.get(number)
        length = self.port.integer(args, 1, 1, self.profile.sockets.max_send, 0)
        if link is None or link.state is not State.CONNECTED:
            return self._refuse(f"+CIPERROR: {_NOT_CONNECTED}")
        remote = link.remote
        if not link.tcp:
            if len(args) < 4 or not is_ip(args[2]):
                raise self.port.bad_parameter()
            remote = (args[2], self.port.integer(args, 3, 1, 65_535))
        return self.port.prompt(
            lambda data: self._sent(link, remote, data),
            length=length,
            timeout_ms=_PROMPT_MS,
            text=b"\r\n>",
        )

    def _sent(self, link: Link, remote: tuple[str, int], data: bytes | None) -> None:
        if data is None:
            self.port.finish(None, ERROR)
            return
        taken = -1
        if link.state is State.CONNECTED and self.sockets.get(link.number) is link:
            taken = len(data) if self.send(link, data, remote) else 0
        line = f"+CIPSEND: {link.number},{len(data)},{taken}"
        if taken < 0:
            self.port.finish(line, ERROR)
        elif self.profile.quirks["send_result"] == "before OK":
            self.port.finish(line)
        else:
            self.port.finish()
            self._later(line)

    @command("+CIPACK", WRITE, test="(0-{sockets.last})", manual="A76: AT+CIPACK")
    def _totals(self, args: tuple[str, ...]) -> Reply:
        link = self.sockets.get(self._number(args))
        if link is None or not link.tcp:
            return self._refuse(f"+CIPERROR: {_NOT_CONNECTED}")
        received = link.read_octets
        if self.profile.quirks["totals"] == "arrived":
            received += link.unread
        return f"+CIPACK: {link.sent},{link.sent - link.unacked},{received}"

    # --- receiving ---

    def arrived(self, socket: Link) -> None:
        if not self._manual:
            self._push(socket)
        elif not socket.signalled:
            socket.signalled = True
            self.port.urc(f"+CIPRXGET: 1,{socket.number}")

    def _push(self, link: Link) -> None:
        if self.port.prompting:
            self.port.after(_PUSH_RETRY_MS, self._push, link)
            return
        data, source = self.read(link, self.profile.sockets.max_read)
        while data:
            if self.port.nvm.number("+CIPSRIP"):
                self.port.urc(f"RECV FROM:{source[0]}:{source[1]}")
            self.port.push(f"+IPD{len(data)}", data)
            data, source = self.read(link, self.profile.sockets.max_read)

    @command("+CIPRXGET", READ, test="(0-4),(0-{sockets.last}),(1-{sockets.max_read})", manual="A76 11.6: AT+CIPRXGET")
    def _mode(self, args: tuple[str, ...]) -> Reply:
        return f"+CIPRXGET: {int(self._manual)}"

    @command("+CIPRXGET", WRITE)
    def _get(self, args: tuple[str, ...]) -> Any:
        mode = self.port.integer(args, 0, 0, 4)
        if mode < 2:
            self._manual = mode == 1
            return None
        number = self._number(args, 1)
        link = self.sockets.get(number)
        if link is None:
            return self._refuse(f"+CIPERROR: {_NOT_CONNECTED}")
        if not self._manual:
            return self._refuse("+IP ERROR: Data is pushed")
        if mode == 4:
            return f"+CIPRXGET: 4,{number},{link.unread}"
        max_read = self.profile.sockets.max_read
        data, _ = self.read(link, self.port.integer(args, 2, 1, max_read, max_read))
        link.signalled = False
        if not data:
            return self._refuse("+IP ERROR: No data")
        header = f"+CIPRXGET: {mode},{number},{len(data)},{link.unread}\r\n"
        return header.encode() + (data.hex().upper().encode() if mode == 3 else data)


_PROMPT_MS = 120_000
_PUSH_RETRY_MS = 20


class Timeouts(Part):
    """What SIM7600 modules have beside."""

    settings = (
        Setting(
            "+CIPCCFG",
            "(0-10),(0-1000),(0),(0,1),(0,1),(0,1),(500-120000)",
            "10,0,0,0,1,0,120000",
            "SIM7600: AT+CIPCCFG",
        ),
        Setting(
            "+CIPTIMEOUT",
            "(3000-120000),(3000-120000),(3000-120000)",
            "120000,120000,120000",
            "SIM7600: AT+CIPTIMEOUT",
        ),
    )


class Commands(Part):
    """Card, cell and power. The name server of AT+CDNSCFG is kept, and that of the network asked."""

    settings = (Setting("+CDNSCFG", "(any),(any)", '"0.0.0.0","0.0.0.0"', "A76: AT+CDNSCFG"),)

    def __init__(self, port: Port, standard: Standard, power: Power) -> None:
        super().__init__(port)
        self._standard, self._power = standard, power

    @command("+CICCID", EXEC, test="", manual="A76: AT+CICCID")
    def _iccid(self, args: tuple[str, ...]) -> Reply:
        self._standard.card_reader.require_card()
        return f"+ICCID: {self._standard.card_reader.card.iccid}"

    @command("+CPSI", READ, test="", manual="A76: AT+CPSI")
    def _cell(self, args: tuple[str, ...]) -> Reply:
        radio, model = self._standard.radio, self.profile.radio
        if not radio.registered:
            return "+CPSI: NO SERVICE,Online"
        plmn = self._standard.card_reader.card.operator_id
        return (
            f"+CPSI: LTE,Online,{plmn[:3]}-{plmn[3:]},0x{model.tac},{int(model.cell, 16)},1,{model.band},"
            f"{model.channel},5,5,{10 * radio.rsrq_db},{10 * radio.rsrp_dbm},{10 * radio.rssi_dbm},{radio.sinr_db}"
        )

    @command("+CPOF", EXEC, test="", manual="A76: AT+CPOF")
    def _power_down(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.power_down)
        return None

    @command("+CRESET", EXEC, test="", manual="A76: AT+CRESET")
    def _reset(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.reboot)
        return None


class Cip(Dialect):
    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {
        "send_result": ("after OK", "before OK"),  # +CIPSEND; both are in open drivers
        "ipclose_colon": (True, False),  # "+IPCLOSE: 0,1"; at_device reads "+IPCLOSE 0,1"
        "reopen": ("error", "ok"),  # AT+NETOPEN when it is open
        "name_result": ("before OK", "after OK"),  # +CDNSGIP
        "rest_after_close": ("kept", "lost"),  # payload that was not read when the peer closed; not documented
        "reuse": ("waits", "refused"),  # AT+CIPOPEN of a link whose end is under way; not documented
        "totals": ("arrived", "read"),  # the third of +CIPACK; not documented
        "timeouts": (False, True),  # AT+CIPCCFG and AT+CIPTIMEOUT
        "last_pdn": (False, True),  # whether LTE refuses to give the only PDN connection up: CME 171
    }
    part_types = (Commands, Links, Timeouts)
    commands: ClassVar[dict[str, str]] = {
        "open": "+CIPOPEN*", "send": "+CIPSEND=*", "read": "+CIPRXGET=2*", "close": "+CIPCLOSE=*",
        "up": "+NETOPEN", "down": "+NETCLOSE",
    }  # fmt: skip
    light_sleep = ("+CSCLK", 1)
    news = "+CIPRXGET"

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        super().__init__(port, standard, power, rng)
        quirks = port.profile.quirks
        standard.data.last_pdn = bool(quirks["last_pdn"])
        links = Links(port, standard, rng)
        self.sockets = links
        self.parts = (Commands(port, standard, power), links)
        if quirks["timeouts"]:
            self.parts += (Timeouts(port),)

    def card_moved(self, inserted: bool) -> None:
        if not inserted:
            self._port.urc("+SIMCARD: NOT AVAILABLE")
