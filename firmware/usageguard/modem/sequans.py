"""Sequans Monarch 2 modules: GM02S, as on the Walter board. Sockets by AT+SQNS..., no counter.

Manual: GM02S AT commands reference manual (AT).
"""

from usageguard.at.digest import int_field, text_field
from usageguard.compat import const
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.connection import OPENING
from usageguard.modem.generic import Generic
from usageguard.modem.sequans_connection import FIRST_ID, SequansConnection

_H = const(72)  # letters
_R = const(82)
_SQNCCID = (b"AT+SQNCCID\r", 1_000, b"+SQNCCID:", 0)


class Sequans(Generic):
    CONNECTION = SequansConnection
    WINDOW = 16_384  # assumed: the manual does not say
    SETTINGS = Generic.SETTINGS + ((b"AT+CFUN=1\r", 15_000, None, 0),)  # without automatic attachment it boots with 0

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        self.short_read_drains = True
        channel.pause_ms = 0
        channel.on_urc(b"+SYSSTART", self._on_ready)
        channel.on_urc(b"+SHUTDOWN", self._on_ready)
        channel.on_urc(b"+SQNS", self._on_socket)
        channel.on_urc(b"+SQNDNSLKUP:", self._on_name)
        channel.on_urc(b"NO CARRIER", self._on_no_carrier)

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
            yield from connection._quit_connection()
        yield from Generic._deactivate(self)

    def _identify(self):
        self.iccid = yield from self._info(_SQNCCID)

    def _on_socket(self, line, length):
        """+SQNSRING: <connId>[,<octets>]; +SQNSH: <connId>. HOT."""
        index = int_field(line, length, 0) - FIRST_ID
        if 0 <= index < CONNECTIONS:
            connection = self.connections[index]
            if line[5] == _R:
                connection.readable_hint = True
            elif line[5] == _H:
                connection.closed_by_peer()

    def _on_name(self, line, length):
        """+SQNDNSLKUP: <name>,<address>[,<address>]"""
        self.name_found(text_field(line, length, 1))

    def _on_no_carrier(self, line, length):
        """V.250's end of a dialled connection, which some firmware gives instead of an error."""
        for connection in self.connections:
            if connection.state == OPENING and connection.dialling:
                connection.dialling = False
                self.channel.abort()
