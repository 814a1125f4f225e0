"""Sequans Monarch 2 modules: GM02S, as on the Walter board. Sockets by AT+SQNS..., no counter.

Manual: GM02S AT commands reference manual (AT).
"""

from usageguard.at.digest import int_field, text_field
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.connection import OPENING
from usageguard.modem.generic import Generic
from usageguard.modem.sequans_connection import FIRST_ID, SequansConnection

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
        channel.on_urc(b"+SQNSRING:", self._on_data)
        channel.on_urc(b"+SQNSH:", self._on_closed)
        channel.on_urc(b"+SQNDNSLKUP:", self._on_name)
        channel.on_urc(b"NO CARRIER", self._on_no_carrier)

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
            yield from connection._quit_connection()
        yield from Generic._deactivate(self)

    def _identify(self):
        self.iccid = yield from self._info(_SQNCCID)

    def _connection(self, line, length):
        """The connection that a line names; None where it names none."""
        index = int_field(line, length, 0) - FIRST_ID
        return self.connections[index] if 0 <= index < CONNECTIONS else None

    def _on_data(self, line, length):
        connection = self._connection(line, length)
        if connection:
            connection.readable_hint = True

    def _on_closed(self, line, length):
        connection = self._connection(line, length)
        if connection:
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
