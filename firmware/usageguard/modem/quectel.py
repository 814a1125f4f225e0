"""Quectel LTE modules with the EC2x command set: EC200U, EC200, EC2x, EG9x, EC800, EC801E, BG95, BG96.

Manuals: EC2x&EG9x AT Commands (AT), EC200U&EG915U TCP/IP Application Note (TCP).
"""

from usageguard.at.digest import OK, TIMEOUT, int_field, octets_field, text_field
from usageguard.compat import const
from usageguard.core.octets import Octets
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.cellular import Cellular
from usageguard.modem.quectel_connection import QuectelConnection

_CONTEXT_MS = const(150_000)  # TCP 2.1.4: AT+QIACT, the longest
_QIACT = (b"AT+QIACT=1\r", _CONTEXT_MS, None, 0)
_CONTEXTS = (b"AT+QIACT?\r", 5_000, b"+QIACT:", 0)
_QIDEACT = (b"AT+QIDEACT=1\r", 40_000, None, 0)  # TCP 2.1.5
_QCCID = (b"AT+QCCID\r", 1_000, b"+QCCID:", 0)
_QGDCNT = (b"AT+QGDCNT?\r", 1_000, b"+QGDCNT:", 0)
_SAVE = (b"AT+QGDCNT=1\r", 1_000, None, 0)
# The counter outlives a power cut but for the last minute; more often wears the modem's flash.
_QAUGDCNT = (b"AT+QAUGDCNT=60\r", 1_000, None, 0)
_QLTS = (b"AT+QLTS=1\r", 1_000, b"+QLTS:", 0)


class Quectel(Cellular):
    CONNECTION = QuectelConnection
    WINDOW = 10_240  # assumed for the EC200U: the manuals do not say
    SETTINGS = (
        (b"AT+CMEE=1\r", 1_000, None, 0),
        (b"AT+CGEREP=2,1\r", 1_000, None, 0),
        (b"AT+CTZU=1\r", 1_000, None, 0),  # the network's time into the clock, as GMT
        # TCP 2.1.1: payload raw and on a line of its own, SEND OK, if another program has set up anything else. The
        # rarest is last: what a model does not know ends the line.
        (b'AT+QICFG="dataformat",0,0;+QICFG="viewmode",0;+QICFG="close/mode",0;+QICFG="sendinfo",0\r', 1_000, None, 0),
    )

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        # A stream's read that gives less than asked for empties the modem's buffer, until shown otherwise.
        self.short_read_drains = True
        self._sent = Octets()
        self._received = Octets()
        channel.on_urc(b"APP RDY", self._on_function)  # BG95 and BG96, which answer before
        channel.on_urc(b'+QIURC: "recv"', self._on_recv)
        channel.on_urc(b'+QIURC: "closed"', self._on_closed)
        channel.on_urc(b'+QIURC: "pdpdeact"', self._lose_context)
        channel.on_urc(b"+QIOPEN:", self._on_open)
        channel.on_urc(b'+QIURC: "dnsgip"', self._on_name)
        self._ttl_s = 0  # of the addresses that follow

    def _activate(self):
        apn = self.config.apn.encode()
        define = (b'AT+QICSGP=1,1,"' + apn + b'","","",0\r', 1_000, None, 0)  # TCP 2.1.1; 1: IPv4
        yield from self.ask(define)
        if (yield from self.ask(_QIACT)) == OK:
            return True
        yield from self._refused()
        yield from self._deactivate()  # a context that the network broke cannot be activated again before
        return False

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
        if (yield from self.ask(_QIDEACT)) != TIMEOUT and self.config.counter:
            yield from self.ask(_SAVE)  # it may be switched off next

    def _is_active(self):
        if (yield from self.ask(_CONTEXTS)) != OK:
            return True
        return self.channel.number(1) == 1  # <context_state>

    def _identify(self):
        self.iccid = yield from self._info(_QCCID)
        if self.config.counter:
            yield from self.ask(_QAUGDCNT)

    def _start_counter(self):
        if self.config.counter:
            self.channel.start(_QGDCNT)
        return self.config.counter

    def _counter_read(self):
        channel = self.channel
        if (
            channel.result == OK
            and octets_field(channel.info, channel.info_length, 0, self._sent)
            and octets_field(channel.info, channel.info_length, 1, self._received)
        ):
            self.listener.counter(self._sent, self._received)

    def _read_time(self):
        """+QLTS: "yyyy/MM/dd,hh:mm:ss+zz,d": GMT although it names a zone; "" before the network told it."""
        self._take_clock((yield from self._info(_QLTS)), False)

    def _connection(self, line, length, field):
        """The connection whose number a line gives; None where it names none."""
        index = int_field(line, length, field)
        return self.connections[index] if 0 <= index < CONNECTIONS else None

    def _on_recv(self, line, length):
        connection = self._connection(line, length, 1)
        if connection:
            connection.readable_hint = True

    def _on_closed(self, line, length):
        connection = self._connection(line, length, 1)
        if connection:
            connection.closed_by_peer()

    def _on_name(self, line, length):
        """+QIURC: "dnsgip",<err>[,<count>,<ttl>], then +QIURC: "dnsgip","<address>" for each address (TCP 2.1.17)."""
        error = int_field(line, length, 1)
        if error == 0:
            self._ttl_s = max(0, int_field(line, length, 3))
        else:
            self.name_found(text_field(line, length, 1) if error < 0 else b"", self._ttl_s)

    def _on_open(self, line, length):
        connection = self._connection(line, length, 0)
        if connection:
            connection.answer = int_field(line, length, 1)
