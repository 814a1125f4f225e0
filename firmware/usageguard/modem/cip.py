"""SIMCom modules with AT+NETOPEN and AT+CIPOPEN: A7670, A7672, A7608, SIM7670G and SIM7600.

Manuals: A76XX Series AT Command Manual V1.09 (A76), SIM7500_SIM7600 Series AT Command Manual V3.00 (7600).
"""

from usageguard.at.digest import OK, int_field, text_field
from usageguard.compat import const
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.cellular import Cellular
from usageguard.modem.cip_connection import CipConnection

_UP_MS = const(75_000)  # 7600: +NETOPEN comes within 75 s, unless it gets lost
_DOWN_MS = const(20_000)
_POLL_MS = const(15_000)
_NETWORK = (b"AT+NETOPEN?\r", 5_000, b"+NETOPEN:", 0)
_LAST_PDN = const(171)  # TS 27.007 9.2.2: the last PDN connection of an LTE device cannot be given up alone
_CAUSES = const(101)  # the least CME error that is a cause of the network's
_C = const(67)  # letters
_E = const(69)
_O = const(79)
_R = const(82)
_S = const(83)
_V = const(86)
_CLOCK = const(17)  # characters of a time without its zone


class Cip(Cellular):
    CONNECTION = CipConnection
    COUNTER = False
    # Assumed, as the manuals do not say: what ML307 modules on a chip like the A7670's have. Never above 65,535, what
    # TCP has without window scaling.
    WINDOW = 64_240
    SETTINGS = (
        (b"AT+CMEE=1;+CGEREP=2,1\r", 1_000, None, 0),
        (b"AT+CIPRXGET=1\r", 1_000, None, 0),  # payload waits until it is read
        # The network's time into the clock, as local time; its zone is told too, as some clocks do not show it.
        (b"AT+CTZU=1;+CTZR=1\r", 1_000, None, 0),
        (b"AT+CIPCCFG=10,0,0,0,1,0,75000;+CIPTIMEOUT=75000,15000,15000\r", 1_000, None, 0),  # 7600 only
    )

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        # A stream's read that gives less than asked for empties the modem's buffer, until shown otherwise.
        self.short_read_drains = True
        self.nothing = False  # the modem said that it has no payload
        self._network = -1  # what +NETOPEN or +NETCLOSE told; -1: nothing
        self._awaited = False
        self._zone = b"+00"  # told at registration only: until then off by a zone, enough to contradict a server
        channel.on_urc(b"*ATREADY", self._on_ready)
        channel.on_urc(b"+CTZV:", self._on_zone)
        channel.on_urc(b"+NET", self._on_network)
        channel.on_urc(b"+CDNSGIP:", self._on_name)
        channel.on_urc(b"+CIP", self._on_link)
        channel.on_urc(b"+IP", self._on_ip)

    def _activate(self):
        yield from self.ask((b'AT+CGDCONT=1,"IP","' + self.config.apn.encode() + b'"\r', 1_000, None, 0))
        # The default bearer may be up already, and refuse in words of its own; the cause of a refusal is a CME error.
        yield from self.ask((b"AT+CGACT=1,1\r", 150_000, None, 0))  # TS 27.007 10.1.10
        if self.channel.error < _CAUSES:
            self._network = -1
            opening = (yield from self.ask((b"AT+NETOPEN\r", 10_000, None, 0))) == OK
            for _ in range(0, _UP_MS if opening else _POLL_MS, _POLL_MS):
                if opening:
                    yield from self._await(_POLL_MS)
                if self._network < 0 and (yield from self.ask(_NETWORK)) == OK and self.channel.number(0) == 1:
                    self._network = 0  # +NETOPEN got lost, or it was open already
                if self._network >= 0:
                    break
            if self._network == 0:
                return True
        yield from self._refused()
        yield from self._deactivate()
        return False

    def _await(self, ms):
        """Until the modem tells of its network."""
        self._awaited = True
        if self._network < 0:
            yield from self._sleep(ms)
        self._awaited = False

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
        self._network = -1
        if (yield from self.ask((b"AT+NETCLOSE\r", 10_000, None, 0))) == OK:
            yield from self._await(_DOWN_MS)
        yield from self.ask((b"AT+CGACT=0,1\r", 40_000, None, 0))
        if self.channel.error == _LAST_PDN:
            yield from self.ask((b"AT+CGATT=0\r", 40_000, None, 0))  # TS 27.007 10.1.9
            yield from self.ask((b"AT+CGATT=1\r", 75_000, None, 0))

    def _is_active(self):
        return (yield from self.ask(_NETWORK)) != OK or self.channel.number(0) == 1

    def _identify(self):
        self.iccid = yield from self._info((b"AT+CICCID\r", 1_000, b"+ICCID:", 0))

    def _read_time(self):
        text = yield from self._info((b"AT+CCLK?\r", 1_000, b"+CCLK:", 0))  # TS 27.007 8.15
        self._take_clock(text + self._zone if len(text) == _CLOCK else text)

    # Unsolicited codes

    def _on_zone(self, line, length):
        """+CTZV: <zone in quarter hours, with its sign>[,...]"""
        self._zone = text_field(line, length, 0)

    def _on_network(self, line, length):
        """+NETOPEN: <error>, +NETCLOSE: <error>"""
        self._network = max(int_field(line, length, 0), 0)
        if self._awaited:
            self._pause.set(self.now, 0)

    def _on_name(self, line, length):
        """+CDNSGIP: 1,<name>,<address>[,<address>], or 0,<error>"""
        self.name_found(text_field(line, length, 2) if int_field(line, length, 0) == 1 else b"")

    def _on_link(self, line, length):
        """+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY; +CIPOPEN: <link>,<error>; +CIPRXGET: 1,<link>; +CIPSEND: <link>,
        <octets>,<taken, or -1 where it is not connected>. HOT."""
        kind = line[4]
        index = int_field(line, length, 1 if kind == _R else 0)
        if kind == _E and line[5] == _V:
            self._lose_context()
        elif 0 <= index < CONNECTIONS:
            connection = self.connections[index]
            if kind == _R:
                connection.arrived()
            elif kind == _S:
                connection.taken(int_field(line, length, 1), int_field(line, length, 2))
            elif kind == _O:
                connection.answer = int_field(line, length, 1)

    def _on_ip(self, line, length):
        """+IP ERROR: No data; +IPCLOSE: <link>,<reason>, from some modems without the colon"""
        self.nothing = line.startswith(b"+IP ERROR: No")
        if line[3] == _C:
            at = 8
            while at < length and not 48 <= line[at] < 48 + CONNECTIONS:
                at += 1
            if at < length:
                self.connections[line[at] - 48].closed_by_peer()
