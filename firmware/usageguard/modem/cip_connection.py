"""One link of a SIMCom module, whose payload is read by AT+CIPRXGET (A76XX and SIM7600 manuals, chapter 11)."""

from usageguard.at.digest import ERROR, OK, PENDING, SEND_FAIL, TIMEOUT
from usageguard.compat import const
from usageguard.modem.buffered import BufferedConnection
from usageguard.modem.connection import ENETDOWN, ETIMEDOUT, OPENING

_OPEN_MS = const(130_000)  # +CIPOPEN comes within 120 s
_COMMAND_MS = const(5_000)
_TAKEN_MS = const(5_000)  # from the OK of a send to +CIPSEND, unless that gets lost
_BUSY_MS = const(1_000)
_TRIES = const(16)  # of opening a link that is still being closed: that waits for the peer's FIN

# Results of AT+CIPOPEN as errno; others are ECONNABORTED.
_ERRNO = {
    0: 0,
    1: 111,  # network failure: ECONNREFUSED
    2: ENETDOWN,  # network not opened
    10: ETIMEDOUT,
    11: 113,  # no such name: EHOSTUNREACH
}
_ECONNABORTED = const(103)
_IN_USE = const(9)
_TIMED_OUT = const(10)
_UNKNOWN = const(12)
_FIRST_PORT = const(49_152)  # RFC 6335 6
_PORTS = const(16_384)
# One command is under way at a time: the connections share these, and each puts its number in. A datagram's has the
# address behind the length.
_SEND = (bytearray(b"AT+CIPSEND=0,1460\r") + bytearray(25), _COMMAND_MS, None, 0x3E)
_READ = (bytearray(b"AT+CIPRXGET=2,0,1460\r"), _COMMAND_MS, b"+CIPRXGET: 2,", 0, 2, None)
_UNREAD = (bytearray(b"AT+CIPRXGET=4,0\r"), _COMMAND_MS, b"+CIPRXGET: 4,", 0)
_TOTALS = (bytearray(b"AT+CIPACK=0\r"), _COMMAND_MS, b"+CIPACK:", 0)  # sent, acknowledged, received
_QUIT = (bytearray(b"AT+CIPCLOSE=0\r"), _COMMAND_MS, None, 0)


class CipConnection(BufferedConnection):
    LOOKUP = b'AT+CDNSGIP="%s"\r'
    LOOKUP_MS = 60_000  # the answer comes before the OK
    READ_OCTETS = 1_460
    EMPTY = (ERROR,)  # behind "+IP ERROR: No data"

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self._tail = b""  # of a datagram's command: the address
        self._total = 0  # octets that the modem took
        self._result = PENDING  # of the send, as +CIPSEND tells
        self._asking = False  # the modem has the segment, but +CIPSEND did not come yet
        self._rest = False  # payload was announced, and its end not seen
        self._unread = 0  # octets that were counted, and are still unread
        self._doubted = False  # an answer with payload may have got lost

    def _connect(self, host, port):
        self._begin(host, port)
        self._total = self._unread = 0
        self._asking = self._rest = self._doubted = False

    # What the modem tells. HOT

    def arrived(self):
        self._rest = self.readable_hint = True

    def taken(self, requested, taken):
        """The modem took so many octets of the segment: all, none for want of room, or it is not connected."""
        if requested == self._segment:
            self._result = OK if taken == requested else ERROR if taken else SEND_FAIL
            if self._asking:
                self._asking = False
                self._retry.clear()
                self._sent(OK)

    # Sending and receiving. HOT

    def _start_send(self):
        modem = self.modem
        if self._asking:  # +CIPSEND got lost
            _TOTALS[0][10] = 48 + self.index
            modem.channel.start(_TOTALS)
            return
        self._result = PENDING
        self._lay_out(_SEND, 11, self.index, self._segment)
        if not self.tcp:
            text = _SEND[0]
            at = text.find(b"\r")
            for octet in self._tail:
                text[at] = octet
                at += 1
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _sent(self, result):
        if self._asking:
            self._asking = False
            if result == OK and self.tcp and self.modem.channel.number(0) < self._total + self._segment:
                result = SEND_FAIL
            elif not self.tcp and result != TIMEOUT:
                result = OK
        elif result == OK and self._result == PENDING:
            self._asking = True
            self._retry.set(self.modem.now, _TAKEN_MS)
            return
        elif result == OK:
            result = self._result
        if result == OK:
            self._total += self._segment
        BufferedConnection._sent(self, result)

    def _start_read(self):
        self._lay_out(_READ, 14, self.index, self._asked)
        self.modem.nothing = False
        self.modem.channel.start(_READ, self, None, self._asked)

    def _told(self, channel):
        return channel.number(2)

    def _was_read(self, channel):
        more = self.readable_hint
        result = channel.result
        if result == ERROR:
            if not self.modem.nothing:  # there is no such link: +IPCLOSE got lost
                self._peer_closed = True
            elif not self._peer_closed:
                self._rest = more
        elif result != OK or channel.digest.torn or channel.number(2) != self._arrived:
            self._doubted = True
        else:
            remains = channel.number(3)
            self._rest = more = more or remains > 0
            self.continues = self.continues and remains > 0
        BufferedConnection._was_read(self, channel)
        if result == OK and not self._peer_closed:
            self.readable_hint = more

    # Opening and closing

    def _open(self):
        modem, channel = self.modem, self.modem.channel
        if self._dirty:
            yield from self._quit_connection()
        if not (yield from self._find_address()):
            return
        if self.tcp:
            text = b'AT+CIPOPEN=%d,"TCP","%s",%d\r' % (self.index, self._address.encode(), self._port)
        else:
            port = _FIRST_PORT + modem.now % _PORTS  # hardly one of before: nothing comes that was meant for another
            text = b'AT+CIPOPEN=%d,"UDP",,,%d\r' % (self.index, port)
            self._tail = b',"%s",%d\r' % (self._address.encode(), self._port)
        answer = _UNKNOWN
        for _ in range(_TRIES):
            self.answer = -1
            self._dirty = True
            channel.start((text, _COMMAND_MS, None, 0))
            yield True
            if channel.result == OK:
                yield from self._await(_OPEN_MS)
                answer = _TIMED_OUT
            elif channel.result == TIMEOUT:
                answer = _TIMED_OUT
            if self.answer >= 0:  # some tell it before the OK, or before an ERROR
                answer = self.answer
            if self.state != OPENING or answer != _IN_USE:
                break
            yield from self._quit_connection()  # of an earlier life of ours, or its end was not heard
            self._open_due.set(modem.now, _BUSY_MS)
            while self.state == OPENING and not self._open_due.due(modem.now):
                yield False
        self._settle(_ERRNO.get(answer, _ECONNABORTED))

    def _ask_state(self):
        channel = self.modem.channel
        channel.start((b"AT+CIPCLOSE?\r", _COMMAND_MS, b"+CIPCLOSE:", 0))  # of each link, 1: open
        yield True
        if channel.result == OK and self.answer < 0 and channel.number(self.index) == 1:
            self.answer = 0

    def count_unread(self):
        """By what the modem still has and, of a stream, by its total, which may be that of what arrived or of what was
        read."""
        if self._opened and self._dirty:
            channel = self.modem.channel
            _UNREAD[0][14] = 48 + self.index
            channel.start(_UNREAD)
            yield True
            lost = channel.result == TIMEOUT
            unread = channel.number(2) if channel.result == OK else -1
            total = -1
            if self.tcp:
                _TOTALS[0][10] = 48 + self.index
                channel.start(_TOTALS)
                yield True
                lost = lost or channel.result == TIMEOUT
                total = channel.number(2) if channel.result == OK else -1
            missing = max(total - self._counted + self._unread, 0)
            if unread > missing:
                missing += unread
            elif unread > 0 and self._doubted:  # what got lost may be as much: then the total is without the unread
                self.modem.listener.abandoned(self, unread)
                self._doubted = False
            self._count(missing - self._unread)
            self._unread = max(missing, self._unread)
            if lost or (total < 0 and (self._doubted or (unread < 0 and self._rest))):
                self.modem.listener.abandoned(self, 0)
                self._rest = self._doubted = False

    def _start_quit(self):
        _QUIT[0][12] = 48 + self.index
        self.modem.channel.start(_QUIT)
