"""One Quectel socket in buffer access mode (EC200U&EG915U TCP/IP Application Note 2.1.6 to 2.1.10)."""

from usageguard.at.digest import ERROR, OK
from usageguard.compat import const
from usageguard.modem.buffered import BufferedConnection
from usageguard.modem.connection import ENETDOWN, ETIMEDOUT, OPENING

_OPEN_MS = const(155_000)  # +QIOPEN comes within 150 s
_COMMAND_MS = const(5_000)
_CLOSE_MS = const(15_000)  # the modem waits 10 s for the peer's FIN

# Result codes of AT+QIOPEN (TCP 4) as errno; others are ECONNABORTED.
_ERRNO = {
    0: 0,
    561: ENETDOWN,  # PDP context opening failed
    565: 113,  # DNS failed: EHOSTUNREACH
    566: 111,  # connecting failed: ECONNREFUSED
    569: ETIMEDOUT,
    570: ENETDOWN,  # PDP context broken
}
_ECONNABORTED = const(103)
_IN_USE = const(563)
_TIMED_OUT = const(569)
# One command is under way at a time: the connections share these, and each puts its number in.
_SEND = (bytearray(b"AT+QISEND=0,1460\r"), _COMMAND_MS, None, 0x3E)
_READ = (bytearray(b"AT+QIRD=0,1500\r"), _COMMAND_MS, b"+QIRD:", 0)
_QUIT = (bytearray(b"AT+QICLOSE=0\r"), _CLOSE_MS, None, 0)
_STATE = (bytearray(b"AT+QISTATE=1,0\r"), 1_000, b"+QISTATE:", 0)
_CONNECTING = const(1)  # <socket_state>
_CONNECTED = const(2)
_QIGETERROR = (b"AT+QIGETERROR\r", 1_000, b"+QIGETERROR:", 0)


class QuectelConnection(BufferedConnection):
    LOOKUP = b'AT+QIDNSGIP=1,"%s"\r'  # answered within 60 s (TCP 2.1.17)

    def _connect(self, host, port):
        self._begin(host, port)

    # HOT

    def _start_send(self):
        modem = self.modem
        self._lay_out(_SEND, 10, self.index, self._segment)
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _start_read(self):
        self._lay_out(_READ, 8, self.index, self._asked)
        self.modem.channel.start(_READ, self, None, self._asked)

    # Opening and closing

    def _open(self):
        channel = self.modem.channel
        answer = _IN_USE
        if self._dirty:
            yield from self._quit_connection()
        if not (yield from self._find_address()):
            return
        kind = b"TCP" if self.tcp else b"UDP"
        text = b'AT+QIOPEN=1,%d,"%s","%s",%d,0,0\r' % (self.index, kind, self._address.encode(), self._port)
        for _ in range(2):
            self.answer = -1
            self._dirty = True
            channel.start((text, _COMMAND_MS, None, 0))
            yield True
            if channel.result == OK:
                yield from self._await(_OPEN_MS)
                answer = self.answer if self.answer >= 0 else _TIMED_OUT
            elif channel.result == ERROR:
                channel.start(_QIGETERROR)
                yield True
                answer = channel.number(0)
            else:
                answer = channel.error or _TIMED_OUT
            if self.state != OPENING or answer != _IN_USE:
                break
            yield from self._quit_connection()  # of an earlier life of ours, or its end was not heard
        self._settle(_ERRNO.get(answer, _ECONNABORTED))

    def _ask_state(self):
        channel = self.modem.channel
        _STATE[0][13] = 48 + self.index
        channel.start(_STATE)
        yield True
        if channel.result == OK and self.answer < 0:
            state = channel.number(5) if channel.info_length else -1
            if state != _CONNECTING:
                self.answer = 0 if state == _CONNECTED else _TIMED_OUT

    def count_unread(self):
        """The modem's own total has all that arrived."""
        if self._opened and self._dirty:
            channel = self.modem.channel
            self._start_total()
            yield True
            if channel.result == OK:
                self._count(channel.number(0) - self._counted)
            elif self._opened:  # no answer, or it knows no such connection: it has restarted, and nothing said so
                self.modem.listener.abandoned(self, 0)
                self._peer_closed = True  # once

    def _start_total(self):
        """A read of 0 octets gives +QIRD: <total>,<read>,<unread>."""
        self._lay_out(_READ, 8, self.index, 0)
        self.modem.channel.start(_READ)

    def _start_quit(self):
        _QUIT[0][11] = 48 + self.index
        self.modem.channel.start(_QUIT)
