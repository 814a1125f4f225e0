"""u-blox SARA-R5: sockets by AT+USO..., counter by AT+UGCNTRD.

Manual: SARA-R5 series AT commands manual (AT).
"""

from usageguard.at.digest import OK, int_field, octets_field, text_field
from usageguard.compat import const
from usageguard.core.octets import Octets
from usageguard.modem.cellular import Cellular
from usageguard.modem.usocr_connection import SOCKETS, UsocrConnection

_PAUSE_MS = const(20)  # AT 2.2.5.1: the least in which it tells what has waited for the result
_PROMPT_MS = const(51)  # between @ and the data: 50 at least (AT: AT+USOWR), which end within a tick
_UP_MS = const(150_000)
_POLL_MS = const(5_000)
_CONTEXT_UP = (b"AT+CGACT=1,1\r", _UP_MS, None, 0)  # TS 27.007 10.1.10: says why the network refuses it
_CONTEXT_DOWN = (b"AT+CGACT=0,1\r", _UP_MS, None, 0)
_IPV4 = (b"AT+UPSD=0,0,0\r", 1_000, None, 0)  # profile 0 of the internal stack has the context's type, and
_MAPPED = (b"AT+UPSD=0,100,1\r", 1_000, None, 0)  # runs over <cid> 1
_UP = (b"AT+UPSDA=0,3\r", _UP_MS, None, 0)
_DOWN = (b"AT+UPSDA=0,4\r", _UP_MS, None, 0)
_STATE = (b"AT+UPSND=0,8\r", 5_000, b"+UPSND:", 0)
_CCID = (b"AT+CCID\r", 1_000, b"+CCID:", 0)
_UGCNTRD = (b"AT+UGCNTRD\r", 1_000, None, 0)  # a line for each context, taken as unsolicited ones
_L = const(76)  # letters
_R = const(82)


class Usocr(Cellular):
    CONNECTION = UsocrConnection
    WINDOW = 10_240  # assumed: the manual does not say; the counter shows what is beyond
    SETTINGS = (
        (b"AT+CMEE=1\r", 1_000, None, 0),
        (b"AT+CGEREP=2,1\r", 1_000, None, 0),
        (b"AT+CTZU=1\r", 1_000, None, 0),  # the network's time into the clock
        (b'AT+CSGT=1,"RDY"\r', 1_000, None, 0),  # its greeting after a reboot
    )

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        self.short_read_drains = True
        channel.prompt_ms = _PROMPT_MS
        channel.pause_ms = _PAUSE_MS
        self._up = -1  # result of AT+UPSDA, 0: the profile is up; -1: not told
        self._awaited = False
        self._counted = False
        self._sent = Octets()
        self._received = Octets()
        channel.on_urc(b"+UUPSDA:", self._on_up)
        channel.on_urc(b"+UUPSDD:", self._lose_context)
        channel.on_urc(b"+UUSO", self._on_socket)
        channel.on_urc(b"+UDNSRN:", self._on_name)
        channel.on_urc(b"+UGCNTRD:", self._on_counter)

    def _activate(self):
        apn = self.config.apn.encode()
        yield from self.ask((b'AT+CGDCONT=1,"IP","' + apn + b'"\r', 1_000, None, 0))
        if (yield from self.ask(_CONTEXT_UP)) != OK:
            yield from self._refused()
            return False
        yield from self.ask(_IPV4)
        yield from self.ask(_MAPPED)
        self._up = -1
        if (yield from self.ask(_UP)) == OK:
            if self._up < 0:
                self._awaited = True
                yield from self._sleep(_POLL_MS)
                self._awaited = False
            if self._up == 0 or (yield from self._is_active()):  # +UUPSDA may get lost
                yield from self._read_now()  # it began with the session: before the first octet
                return True
        yield from self._refused()
        yield from self._deactivate()
        return False

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
        yield from self._read_now()  # it may begin anew with the next session
        yield from self.ask(_DOWN)
        yield from self.ask(_CONTEXT_DOWN)

    def _is_active(self):
        """+UPSND: <profile>,8,<state>"""
        return (yield from self.ask(_STATE)) != OK or self.channel.number(2) == 1

    def _identify(self):
        self.iccid = yield from self._info(_CCID)

    def _start_counter(self):
        self._counted = False
        if self.config.counter:
            self.channel.start(_UGCNTRD)
        return self.config.counter

    def _counter_read(self):
        if self.channel.result == OK and self._counted:
            self.listener.counter(self._sent, self._received)

    def _on_counter(self, line, length):
        """+UGCNTRD: <cid>,<sent>,<received> of the session,<sent>,<received> in all. That of our context counts, or of
        the only one there is, as modems have shown <cid> 31 for it."""
        if not self._counted or int_field(line, length, 0) == 1:
            self._counted = octets_field(line, length, 3, self._sent) and octets_field(line, length, 4, self._received)

    def _on_up(self, line, length):
        """+UUPSDA: <result>[,<address>]"""
        self._up = int_field(line, length, 0)
        if self._awaited:
            self._pause.set(self.now, 0)

    def _on_name(self, line, length):
        """+UDNSRN: <address>"""
        self.name_found(text_field(line, length, 0))

    def close_strays(self):
        """Generator: closes what no connection of ours has."""
        ours = [connection.socket for connection in self.connections]
        for number in range(SOCKETS):
            if number not in ours:
                self.channel.start((b"AT+USOCL=%d\r" % number, 5_000, None, 0))
                yield True

    def _on_socket(self, line, length):
        """+UUSORD: <socket>,<octets>, of datagrams +UUSORF; +UUSOCL: <socket>. HOT."""
        number = int_field(line, length, 0)
        for connection in self.connections:
            if connection.socket == number >= 0:
                if line[5] == _R:
                    connection.readable_hint = True
                elif line[6] == _L:
                    connection.closed_by_peer()
