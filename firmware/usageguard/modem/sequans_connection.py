"""One socket of a GM02S in command mode (GM02S AT commands reference manual, sockets)."""

from usageguard.at.digest import ABORTED, CME_ERROR, ERROR, OK, TIMEOUT
from usageguard.compat import const
from usageguard.modem.ahead import AheadConnection
from usageguard.modem.connection import ETIMEDOUT, OPENING

FIRST_ID = const(1)

_COMMAND_MS = const(5_000)
_CONNECT_MS = const(70_000)  # <connTo> is 60 s
_CLOSE_MS = const(15_000)
_ECONNREFUSED = const(111)
_TCP = const(0)  # <txProt>
_UDP = const(1)
# One command is under way at a time: the connections share these, and each puts its number in.
_SEND = (bytearray(b"AT+SQNSSENDEXT=1,1460\r"), _COMMAND_MS, None, 0x3E)
_READ = (bytearray(b"AT+SQNSRECV=1,1500\r"), _COMMAND_MS, b"+SQNSRECV:", 0, 1, None)
_STATE = (bytearray(b"AT+SQNSI=1\r"), _COMMAND_MS, b"+SQNSI:", 0)
_QUIT = (bytearray(b"AT+SQNSH=1\r"), _CLOSE_MS, None, 0)


class SequansConnection(AheadConnection):
    FULL = (ERROR, CME_ERROR)  # a socket that has ended says so by +SQNSH
    EMPTY = (ERROR, CME_ERROR)
    LOOKUP = b'AT+SQNDNSLKUP="%s",0\r'  # 0: IPv4
    LOOKUP_MS = 65_000
    LOOKUP_DECIDES = True

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self.dialling = False

    def _connect(self, host, port):
        self._begin(host, port)

    # HOT

    def _start_send(self):
        modem = self.modem
        self._lay_out(_SEND, 15, self.index + FIRST_ID, self._segment)
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _start_read(self):
        self._lay_out(_READ, 12, self.index + FIRST_ID, self._asked)
        self.modem.channel.start(_READ, self, None, self._asked)

    def _told(self, channel):
        """+SQNSRECV: <connId>,<octets>"""
        return channel.number(1)

    # Opening and closing

    def _open(self):
        channel = self.modem.channel
        if self._dirty:
            yield from self._quit_connection()
        if not (yield from self._find_address()):
            return
        number = FIRST_ID + self.index
        # 0,0,1: default way to close, any local port, command mode
        dial = b'AT+SQNSD=%d,%d,%d,"%s",0,0,1\r' % (
            number,
            _TCP if self.tcp else _UDP,
            self._port,
            self._address.encode(),
        )
        for _ in range(2):
            # <maxTo> 0: it is not ended for having been idle; <connTo> 60 s; <txTo> of no effect in command mode
            channel.start((b"AT+SQNSCFG=%d,1,300,0,600,50\r" % number, _COMMAND_MS, None, 0))
            yield True
            channel.start((b"AT+SQNSCFGEXT=%d,1,0,0,0,0\r" % number, _COMMAND_MS, None, 0))  # octets as they are
            yield True
            if self.state != OPENING:
                return
            self._dirty = self.dialling = True
            channel.start((dial, _CONNECT_MS, None, 0))
            yield True
            self.dialling = False
            if channel.result in (OK, TIMEOUT, ABORTED) or self.state != OPENING:
                break
            yield from self._quit_connection()  # of an earlier life of ours, or its end was not heard
        if channel.result == OK and self._dirty:
            self._settle(0)
        else:
            self.modem.doubt_context()
            self._settle(ETIMEDOUT if channel.result == TIMEOUT else _ECONNREFUSED)

    def count_unread(self):
        """+SQNSI: <connId>,<sent>,<received>,<waiting>,<unacknowledged>"""
        if self._opened and self._dirty:
            channel = self.modem.channel
            _STATE[0][9] = 48 + FIRST_ID + self.index
            channel.start(_STATE)
            yield True
            total = channel.number(2)
            unread = channel.number(3)
            if channel.result == OK and total >= 0 and unread >= 0:
                self._count_total(total, unread)
            elif self._opened:
                self.modem.listener.abandoned(self, 0)

    def _start_quit(self):
        _QUIT[0][9] = 48 + FIRST_ID + self.index
        self.modem.channel.start(_QUIT)
