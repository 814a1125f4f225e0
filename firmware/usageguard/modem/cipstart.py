"""SIMCom SIM7000 and Luat Air780E, Air724 and their kin: sockets by AT+CIPSTART, without a data counter.

Manuals: SIM7000 Series AT Commands V1.06 (AT), Luat LTE AT commands (LUAT).
"""

from usageguard.at.digest import OK, SEND_FAIL, TIMEOUT, int_field, text_field
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.cellular import Cellular
from usageguard.modem.cipstart_connection import CipstartConnection

_SHUT = (b"AT+CIPSHUT\r", 65_000, None, 0)  # AT 8.2.9
_MULTI = (b"AT+CIPMUX=1\r", 1_000, None, 0)  # AT 8.2.1; before the session only
_QUICK = (b"AT+CIPQSEND=1\r", 1_000, None, 0)  # AT 8.2.4: accepted is enough
_BUFFER = (b"AT+CIPRXGET=1\r", 1_000, None, 0)  # AT 8.2.26
_BEGIN = (b"AT+CIICR\r", 85_000, None, 0)  # AT 8.2.11
# AT 8.2.12: the address comes without a result; the second command has one.
_ADDRESS = (b"AT+CIFSR;E0\r", 5_000, b"", 0)
_CCID = (b"AT+CCID\r", 1_000, b"", 0)
_ICCID = (b"AT+ICCID\r", 1_000, b"+ICCID:", 0)  # LUAT

# What ends a command beside 3GPP's results, behind the number of a connection or without one (AT 8.2).
_FAILED = b"SEND FAIL"
_FINALS = (b"SEND OK", _FAILED, b"CLOSE OK", b"SHUT OK", b"DATA ACCEPT")


class Cipstart(Cellular):
    CONNECTION = CipstartConnection
    COUNTER = False
    WINDOW = 16_384  # assumed: the manuals do not say
    SETTINGS = (
        (b"AT+CMEE=1\r", 1_000, None, 0),
        (b"AT+CGEREP=2,1\r", 1_000, None, 0),
        (b"AT+CLTS=1\r", 1_000, None, 0),  # AT 3.2.44: the network's time into the clock, as local time
        (b"AT+CTZU=1\r", 1_000, None, 0),  # LUAT: likewise
    )

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        # A stream's read that gives less than asked for empties the modem's buffer, until shown otherwise.
        self.short_read_drains = True
        self.pushes = False  # the modem hands payload over as it arrives
        self.accepted = -1  # octets of the data of the last command; -1: not told
        channel.digest.final = self._on_final
        channel.on_urc(b"NORMAL POWER DOWN", self._on_ready)
        channel.on_urc(b"+PDP: DEACT", self._lose_context)
        channel.on_urc(b"+CIPRXGET: 1", self._on_data)
        channel.on_urc(b"+CDNSGIP:", self._on_name)
        for connection in self.connections:
            channel.on_urc(b"%d, " % connection.index, connection.told)
        channel.on_urc(b"+RECEIVE,", self._on_payload)

    def _activate(self):
        multi = yield from self.ask(_MULTI)
        yield from self.ask(_QUICK)
        buffer = yield from self.ask(_BUFFER)
        if buffer not in (OK, TIMEOUT) and not self.pushes:
            self._take_pushes()
        apn = self.config.apn.encode()
        yield from self.ask((b'AT+CSTT="' + apn + b'"\r', 1_000, None, 0))
        shaped = multi == OK and buffer != TIMEOUT  # else no connection could be opened, or be read
        if shaped and (yield from self.ask(_BEGIN)) == OK and (yield from self.ask(_ADDRESS)) == OK:
            return True
        yield from self._refused()
        yield from self._deactivate()  # the order begins anew
        return False

    def _take_pushes(self):
        """The modem does not know how to keep payload: what takes it as it comes is loaded now."""
        from usageguard.modem.inbox import take_pushes

        take_pushes(self).pushes(b"+RECEIVE,", self._on_payload, 1)
        self.pushes = True

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
        yield from self.ask(_SHUT)

    def _is_active(self):
        return (yield from self.ask(_ADDRESS)) in (OK, TIMEOUT)

    def _identify(self):
        self.iccid = (yield from self._info(_CCID)) or (yield from self._info(_ICCID))

    def _connection(self, line, length, field):
        """The connection whose number a line gives; None where it names none."""
        index = int_field(line, length, field)
        return self.connections[index] if 0 <= index < CONNECTIONS else None

    def _on_data(self, line, length):
        """+CIPRXGET: 1,<n>"""
        connection = self._connection(line, length, 1)
        if connection:
            connection.readable_hint = True

    def _on_final(self, line, length):
        at = 3 if line.find(b", ", 0, 3) == 1 else 0
        for text in _FINALS:
            if line.find(text, at, at + len(text)) == at:
                digest = self.channel.digest
                digest.result = SEND_FAIL if text is _FAILED else OK
                digest.error = 0
                self.accepted = int_field(line, length, 1)  # DATA ACCEPT:<n>,<octets>
                return True
        return False

    def _on_payload(self, line, length):
        """+RECEIVE,<n>,<octets>: HOT."""
        connection = self._connection(line, length, 0)
        return connection.pushed(int_field(line, length, 1)) if connection else None

    def _on_name(self, line, length):
        """+CDNSGIP: 1,"<name>","<address>"[,...] or +CDNSGIP: 0,<error> (AT 8.2.14)"""
        self.name_found(text_field(line, length, 2) if int_field(line, length, 0) == 1 else b"")
