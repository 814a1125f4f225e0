"""One Quectel socket in buffer access mode (EC200U&EG915U TCP/IP Application Note 2.1.6 to 2.1.10)."""

from usageguard.at.channel import FOREVER_MS
from usageguard.at.digest import ERROR, OK, SEND_FAIL, TIMEOUT, put_int
from usageguard.compat import const
from usageguard.modem.slot import (
    CLOSING,
    ECONNRESET,
    ENETDOWN,
    ETIMEDOUT,
    OPEN,
    OPENING,
    PEER_CLOSED,
    RX_OCTETS,
    Deadline,
    Slot,
)

_OPEN_MS = const(155_000)  # +QIOPEN comes within 150 s
_COMMAND_MS = const(5_000)
_CLOSE_MS = const(15_000)  # the modem waits 10 s for the peer's FIN
_READ_OCTETS = const(1_500)  # the most one AT+QIRD gives
_ROOM_OCTETS = const(1_024)  # a stream is not read before there is so much room: small reads cost more
# A notification may get lost beside a command. It is looked for when somebody waits, and when nobody does.
_SOON_MS = const(2_000)
_LATE_MS = const(600_000)
_SEND_RETRY_MS = const(250)  # SEND FAIL: the modem's buffer is full
_SEND_RETRIES = const(8)  # the last one after 32 s, 64 s in all

# Result codes of AT+QIOPEN (TCP 4) as errno; others are ECONNABORTED.
_ERRNO = {
    561: ENETDOWN,  # PDP context opening failed
    565: 113,  # DNS failed: EHOSTUNREACH
    566: 111,  # connecting failed: ECONNREFUSED
    569: ETIMEDOUT,
    570: ENETDOWN,  # PDP context broken
}
_ECONNABORTED = const(103)
_IN_USE = const(563)
_TIMED_OUT = const(569)
_QUIT_TRIES = const(3)
# One command is under way at a time: the connections share these, and each puts its number in.
_SEND = (bytearray(b"AT+QISEND=0,1460\r"), _COMMAND_MS, None, 0x3E)
_READ = (bytearray(b"AT+QIRD=0,1500\r"), _COMMAND_MS, b"+QIRD:", 0)
_QUIT = (bytearray(b"AT+QICLOSE=0\r"), _CLOSE_MS, None, 0)
_QIGETERROR = (b"AT+QIGETERROR\r", 1_000, b"+QIGETERROR:", 0)


class QuectelSlot(Slot):
    """From OPEN on, sending and receiving allocate nothing."""

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self._request = None
        self.answer = -1  # of +QIOPEN, -1 before it came
        self._asked = self._arrived = 0  # of a read
        self._peer_closed = False
        self._checking = False  # the next read looks for a lost notification
        self._open_due = Deadline()
        self._retry = Deadline()
        self._retries = 0
        self._soon = Deadline()
        self._late = Deadline()

    # Called by the modem's unsolicited codes and by the channel

    def closed_by_peer(self):
        """What it sent before may still wait in the modem: PEER_CLOSED only when that has been read."""
        self._peer_closed = True
        self.readable_hint = True

    def announced(self, octets):
        """The payload has crossed the air, whether or not it survives the way to us: counted here. HOT."""
        self._arrived = octets
        self.modem.account.received(self, octets)

    def payload(self, buf, at, span):
        self.rx.write(buf, at, span)

    def next_ms(self, now):
        if self.state == OPENING:
            return self._open_due.left(now)
        if self._segment and self._retry.armed:
            return self._retry.left(now)
        if self.state != OPEN:
            return FOREVER_MS
        if self.readable_hint:
            return 0 if self._room() and not self.held_up() else FOREVER_MS
        return min(self._late.left(now), self._soon.left(now)) if self.wanted else self._late.left(now)

    def _connect(self, host, port):
        self._peer_closed = self._checking = False
        self._retries = 0
        for deadline in (self._open_due, self._retry, self._soon, self._late):
            deadline.clear()
        kind = b"TCP" if self.tcp else b"UDP"
        text = b'AT+QIOPEN=1,%d,"%s","%s",%d,0,0\r' % (self.index, kind, host.encode(), port)
        self._request = (text, _COMMAND_MS, None, 0)

    def _run(self):
        while True:
            now = self.modem.now
            if self._retry.due(now):
                self._retry.clear()
            if self.state == OPEN and (self._late.due(now) or (self.wanted and self._soon.due(now))):
                self._soon.clear()
                self._late.clear()
                self.readable_hint = self._checking = True
            if self.state == OPENING:
                yield from self._open()
            elif (self._to_send or self._segment) and not self._retry.armed and self._take_segment():
                self._start_send()
                yield True
                self._sent(self.modem.channel.result)
            elif self._dirty and self.state >= CLOSING and not self._to_send and not self._segment:
                yield from self._close()
            elif self.state == OPEN and self.readable_hint and self._room() and not self.held_up():
                self._start_read()
                yield True
                self._was_read(self.modem.channel)
            yield False

    # Sending and receiving. HOT

    def _lay_out(self, command, at, n):
        """Puts the connection's digit at `at` into a command, and behind it the number `n`."""
        text = command[0]
        text[at] = 48 + self.index
        text[put_int(text, at + 2, n)] = 13

    def _start_send(self):
        modem = self.modem
        self._lay_out(_SEND, 10, self._segment)
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _sent(self, result):
        if result == OK:
            self._drop_segment()
            self._retries = 0
            self.tx_busy = self._to_send > 0
            self._soon.set(self.modem.now, _SOON_MS)
            if not self._late.armed:
                self._late.set(self.modem.now, _LATE_MS)
        elif result == SEND_FAIL and self._segment and self._retries < _SEND_RETRIES:
            self._retry.set(self.modem.now, _SEND_RETRY_MS << self._retries)
            self._retries += 1
        else:
            self.fail(ETIMEDOUT if result in (SEND_FAIL, TIMEOUT) else ECONNRESET)

    def _room(self):
        """What `rx` can take, 0 while that is too little to ask for."""
        held = self.rx.any()
        room = RX_OCTETS - held
        return 0 if room < _ROOM_OCTETS or (held and not self.tcp) else room

    def _start_read(self):
        self._asked = min(self._room(), _READ_OCTETS)
        self._lay_out(_READ, 8, self._asked)
        self.readable_hint = False
        self._arrived = 0
        self.modem.channel.start(_READ, self, None, self._asked)

    def _was_read(self, channel):
        arrived = self._arrived
        if channel.result != OK:
            if channel.result != ERROR or not self._peer_closed:  # with ERROR the modem says that nothing is left
                self.fail(ETIMEDOUT if channel.result == TIMEOUT else ECONNRESET)
        elif channel.digest.torn or channel.number(0) != arrived:
            self.fail(ECONNRESET)  # the stream has octets too many or too few
        else:
            now = self.modem.now
            self._late.set(now, _LATE_MS)
            self._soon.clear()
            if arrived:
                self._soon.set(now, _SOON_MS)
                self.wanted = False
                # A stream's read that gives less than asked for has emptied the modem's buffer, and what
                # comes next is notified again. Not so for datagrams; nor relied on once it proved wrong, or
                # at the end.
                if self._checking:
                    self.modem.short_read_drains = False
                short = arrived < self._asked and self.modem.short_read_drains
                if not (short and self.tcp) or self._peer_closed:
                    self.readable_hint = True
        self._checking = False
        if self._peer_closed and not self.readable_hint and self.state == OPEN:
            self.state = PEER_CLOSED

    # Opening and closing

    def _open(self):
        channel = self.modem.channel
        answer = _IN_USE
        if self._dirty:
            yield from self._quit_connection()
        for _ in range(2):
            self.answer = -1
            self._dirty = True
            channel.start(self._request)
            yield True
            if channel.result == OK:
                self._open_due.set(self.modem.now, _OPEN_MS)
                while self.state == OPENING and self.answer < 0 and not self._open_due.due(self.modem.now):
                    yield False
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
        if self.state == OPENING:
            if answer == 0:
                self.state = OPEN
                self._opened = True
                self.modem.account.opened(self)
            else:
                errno = _ERRNO.get(answer, _ECONNABORTED)
                self.fail(errno)
                if errno == ENETDOWN:
                    self.modem.doubt_context()

    def count_unread(self):
        """Generator: what arrived and was never read has been paid for all the same."""
        if self._opened and self._dirty:
            channel = self.modem.channel
            self._lay_out(_READ, 8, 0)
            channel.start(_READ)  # of 0 octets: +QIRD: <total>,<read>,<unread>
            yield True
            unread = channel.number(2)
            if channel.result == OK and unread > 0:
                self.modem.account.received(self, unread)

    def _close(self):
        """Ends the modem's connection; of one that FAILED too, or it would go on receiving."""
        yield from self.count_unread()
        yield from self._quit_connection()
        if self.state == CLOSING:
            self._free()

    def _quit_connection(self):
        channel = self.modem.channel
        for _ in range(_QUIT_TRIES):
            if not self._dirty:
                break
            _QUIT[0][11] = 48 + self.index
            channel.start(_QUIT)
            yield True
            if channel.result == OK:
                break
            yield False
        self._ended()
