"""One connection of a OneMO module. Payload waits until it is read, or comes unasked from a module that does not keep
it (OneMO TCP/IP user guide 3.3 to 3.8, 3.15, 3.20)."""

from usageguard.at.digest import CME_ERROR, ERROR, OK, TIMEOUT
from usageguard.compat import const
from usageguard.core.meter import SEGMENT
from usageguard.modem.buffered import BufferedConnection
from usageguard.modem.connection import ECONNRESET, ENETDOWN, ETIMEDOUT, OPENING

_OPEN_MS = const(65_000)  # it gives up after 60 s
_COMMAND_MS = const(5_000)
_SEND_MS = const(20_000)  # what came of the data is sent 10 s after the last of it
_QUIT_TRIES = const(3)
_CLOSE_MS = const(12_000)  # +MIPCLOSE comes within 10 s

# Results of AT+MIPOPEN (chapter 5) as errno; others are ECONNABORTED.
_ERRNO = {
    -1: ETIMEDOUT,  # nothing was told
    0: 0,
    557: 111,  # refused: ECONNREFUSED
    558: ETIMEDOUT,
    570: ENETDOWN,  # the data session is not up
    580: 113,  # no such name: EHOSTUNREACH
}
_ECONNABORTED = const(103)
_PARAMETER = const(50)  # to a mode that it does not know
_UNKNOWN = const(550)
_TIMED_OUT = const(558)
_MOST = const(65_535)  # octets that can arrive at once
# The second octet of the names of an event: rtcp, rudp, drop, disconn. Others, as ack and state, tell of no payload.
_U = const(117)
_R = const(114)
_I = const(105)
# One command is under way at a time: the connections share these, and each puts its number in.
_SEND = (bytearray(b"AT+MIPSEND=0,1460\r"), _SEND_MS, b"+MIPSEND:", 0x3E)
_READ = (bytearray(b"AT+MIPRD=0,2048\r"), _COMMAND_MS, b"+MIPRD:", 0, 2, b",")
_UNREAD = (bytearray(b"AT+MIPRD=0\r"), _COMMAND_MS, b"+MIPRD:", 0)
_TOTALS = (bytearray(b"AT+MIPSACK=0\r"), _COMMAND_MS, b"+MIPSACK:", 0)
_STATE = (bytearray(b"AT+MIPSTATE=0\r"), _COMMAND_MS, b"+MIPSTATE:", 0)
_QUIT = (bytearray(b"AT+MIPCLOSE=0\r"), 15_000, None, 0)
# What has arrived stays readable after the peer's end; and payload is raw.
_KEEP = (bytearray(b'AT+MIPCFG="autofree",0,1\r'), _COMMAND_MS, None, 0)
_RAW = (bytearray(b'AT+MIPCFG="encoding",0,0,0\r'), _COMMAND_MS, None, 0)


class MipConnection(BufferedConnection):
    """Counts what arrives when the modem tells of it: before it is read."""

    READ_OCTETS = 2_048
    FULL = (CME_ERROR,)  # 560 as a rule
    LOOKUP = b'AT+MDNSGIP="%s"\r'  # 3.17
    inbox = None  # of what comes unasked

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self._heard = self._passed = 0  # octets of payload that the modem told of, and that it has handed over

    def told(self, line, length, octets):
        """An event of the connection; so many octets have arrived. HOT."""
        if line[10] not in b"rd":
            return
        kind = line[11]
        if kind == _I:  # disconn
            self.closed_by_peer()
            return
        if kind != _U and 0 < octets <= _MOST:  # of a datagram nobody tells
            self._heard += octets
            if kind == _R:  # drop
                self._passed += octets
                if self.tcp:
                    self.fail(ECONNRESET)
            self._count(self._heard - self._counted)
            self.continues = octets >= SEGMENT and self._heard > self._passed  # a shorter one is a message's last
        self.readable_hint = True

    def pushed(self, octets):
        """Payload comes unasked: counted here, also of a connection that is given up. Returns what takes it. HOT."""
        if not self._opened:
            self.modem.listener.received(self, octets)
            return None
        self._passed += octets
        self.inbox.count(octets, self._passed - self._counted)
        return self.inbox.sink(octets)

    def announced(self, octets):
        self._arrived = octets
        self._passed += octets
        self._count(self._passed - self._counted)
        self.continues = self.continues and self._heard > self._passed

    def _told(self, channel):
        if channel.info_length:
            return channel.number(2)
        return 0 if not self.tcp or self._heard <= self._passed else -1  # it told of more: the answer was damaged

    def next_ms(self, now):
        return min(BufferedConnection.next_ms(self, now), self._open_due.left(now))

    def _connect(self, host, port):
        self._begin(host, port)
        self._heard = self._passed = 0
        if self.inbox:
            self.inbox.begin()

    def _ask(self, command, at):
        """Starts a command with the connection's number at `at`."""
        command[0][at] = 48 + self.index
        self.modem.channel.start(command)

    # HOT

    def _start_send(self):
        modem = self.modem
        self._lay_out(_SEND, 11, self.index, self._segment)
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _sent(self, result):
        channel = self.modem.channel
        if channel.info_length and channel.number(1) != self._segment:
            result = ERROR  # octets were lost on the way to the modem
        BufferedConnection._sent(self, result)

    def _start_read(self):
        self._lay_out(_READ, 9, self.index, self._asked if self.tcp else 1)
        self.modem.channel.start(_READ, self, None, self._asked)

    # Opening and closing

    def _open(self):
        modem = self.modem
        channel = modem.channel
        yield from self._find_address()
        self._open_due.clear()
        while self.state == OPENING and modem.opening not in (None, self) and modem.opening.state == OPENING:
            yield False
        if self.state != OPENING:
            return
        modem.opening = self
        for _ in range(_QUIT_TRIES):  # ends what is left of an earlier connection under this number
            self._ask(_STATE, 12)
            yield True
            if _is_state(channel, b'"INITIAL"'):
                break
            self._dirty = True
            yield from self._quit_connection()
        for command in (_KEEP, _RAW):
            self._ask(command, 21)
            yield True
        while self.state == OPENING:
            self._dirty = True
            self.answer = -1
            kind, mode = (b"TCP", 2) if self.tcp else (b"UDP", 3)
            if self.inbox:
                mode = 0
            text = b'AT+MIPOPEN=%d,"%s","%s",%d,60,%d\r' % (
                self.index, kind, self._address.encode(), self._port, mode
            )  # fmt: skip
            modem.channel.start((text, _COMMAND_MS, None, 0))
            yield True
            if modem.channel.result == OK:
                yield from self._await(_OPEN_MS)
            elif self.answer < 0:
                self.answer = max(modem.channel.error, 0) or _UNKNOWN
            if self.answer == _PARAMETER and not self.inbox:
                yield from _give_up_caches(modem)
                self.inbox.begin()
            else:
                self._settle(_ERRNO.get(self.answer, _ECONNABORTED))
        self._open_due.clear()
        modem.opening = None
        modem.poked = True

    def _ask_state(self):
        channel = self.modem.channel
        self._ask(_STATE, 12)
        yield True
        if channel.result == OK and self.answer < 0 and not _is_state(channel, b'"CONNECTING"'):
            self.answer = 0 if _is_state(channel, b'"CONNECTED"') else _TIMED_OUT

    def count_unread(self):
        """By the modem's total of what has arrived, and by what waits, as one that has ended has no total any more."""
        if self._opened and self._dirty:
            channel = self.modem.channel
            self._ask(_TOTALS, 11)
            yield True
            if channel.result == OK:
                self._count(channel.number(3) - self._counted)
            self._ask(_UNREAD, 9)
            yield True
            if channel.result == TIMEOUT:
                self.modem.listener.abandoned(self, 0)
            elif self.tcp and channel.info_length:
                self._count(self._passed + channel.number(1) - self._counted)

    def _quit_connection(self):
        """Until +MIPCLOSE tells that it is over: the peer may still send."""
        modem = self.modem
        for _ in range(_QUIT_TRIES):
            if not self._dirty:
                break
            self.answer = -1
            self._ask(_QUIT, 12)
            yield True
            if modem.channel.result == OK:
                self._open_due.set(modem.now, _CLOSE_MS)
                while self._dirty and self.answer < 0 and not self._open_due.due(modem.now):
                    yield False
                break
            yield False
        self._open_due.clear()
        self._ended()


def _is_state(channel, state):
    """Whether the answer to AT+MIPSTATE has that state, or there is none."""
    return channel.result != OK or state in bytes(channel.info[: channel.info_length])


def _give_up_caches(modem):
    """The modem does not know how to keep payload: what takes it as it comes is loaded now. Connections for which it
    does keep it end before: what tells of their payload looks as if it carried it."""
    from usageguard.modem.inbox import announced_in, take_pushes

    for connection in modem.connections:
        if connection.state != OPENING:
            connection.fail(ECONNRESET)
            yield from connection.count_unread()
            yield from connection._quit_connection()
    take_pushes(modem).pushes(b'+MIPURC: "r', announced_in(modem, 1), 2, True)
