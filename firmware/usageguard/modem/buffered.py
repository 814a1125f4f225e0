"""A connection whose payload the modem keeps until it is read: what the dialects with such sockets share."""

from usageguard.at.channel import FOREVER_MS
from usageguard.at.digest import CME_ERROR, ERROR, OK, SEND_FAIL, TIMEOUT, put_int
from usageguard.compat import const
from usageguard.modem.connection import (
    CLOSING,
    ECONNRESET,
    ENETDOWN,
    ETIMEDOUT,
    FREE,
    OPEN,
    OPENING,
    PEER_CLOSED,
    RX_OCTETS,
    SILENT_MS,
    Connection,
    Deadline,
)

_ROOM_OCTETS = const(1_024)  # a stream is not read before there is so much room: small reads cost more
# A notification may get lost beside a command. It is looked for when somebody waits, and when nobody does.
_SOON_MS = const(2_000)
_LATE_MS = const(600_000)
_SEND_RETRY_MS = const(250)  # the modem's buffer is full
_SEND_RETRIES = const(8)  # the last one after 32 s, 64 s in all
_QUIT_TRIES = const(3)
_ENDINGS = const(4)
_ASK_MS = const(20_000)
_COMMAND_MS = const(5_000)
_LOOKUP_MS = const(65_000)
_ASKED_AGAIN = const(48)  # and twice the name: what the resolver asks again, less the answer that was charged
_EHOSTUNREACH = const(113)
_RENEWED_AFTER = const(4)  # connections without an answer; then after 8, 16, ...


class BufferedConnection(Connection):
    """From OPEN on, sending and receiving allocate nothing.

    A dialect provides, without stubs here, which would cost heap:
    _connect(host, port): prepares, and calls `_begin`
    _open(): generator; connects to `_address` (where there is a LOOKUP, after `_find_address`), and ends in `_settle`
    _start_send(), _start_read(): start to send the segment, to read up to `_asked` octets. HOT
    _ask_state(): generator; asks for the state of a connection whose opening was not answered, and sets `answer` by it
    _start_quit(): starts to end the modem's connection
    count_unread(): generator; what arrived has been paid for, also if it was never read, or the answer that had it was
    late or lost: counts it by what the modem says, or else as abandoned
    """

    READ_OCTETS = 1_500  # the most that one read gives
    FULL = (SEND_FAIL,)  # results of a send that mean a full buffer, so that it is tried again
    LOOKUP_MS = _COMMAND_MS  # until its final result, which may come after what it finds
    LOOKUP = None  # the command that looks a name up, with %s for it; what it finds goes to Modem.name_found
    LOOKUP_DECIDES = False  # whether an error to it means that there is no such name, so that no socket need look it up
    EMPTY = ()  # results of a read that mean that there is nothing, beside OK without octets

    # `_begin` sets these: a connection that was never open takes less of the heap
    _host = _address = None  # the address once it is known
    _port = 0
    answer = -1  # what the modem told of opening, 0: it is open; -1 before it did
    _asked = _arrived = 0  # of a read
    _counted = 0  # octets of payload, since it was opened
    _peer_closed = False
    _checking = False  # the next read looks for a lost notification
    _retries = 0

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self._open_due = Deadline()
        self._retry = Deadline()
        self._soon = Deadline()
        self._late = Deadline()

    def _told(self, channel):
        """The octets that the answer to a read announced. HOT."""
        return channel.number(0)

    # Called by the modem's unsolicited codes and by the channel

    def closed_by_peer(self):
        """What it sent before may still wait in the modem: PEER_CLOSED only when that has been read."""
        self._peer_closed = True
        self.readable_hint = True

    def announced(self, octets):
        """The payload has crossed the air, whether or not it survives the way to us: counted here. HOT."""
        self._arrived = octets
        self._counted += octets
        self.modem.listener.received(self, octets)
        self.continues = self.tcp and octets == self._asked  # until it is seen that there was no more

    def payload(self, buf, at, span):
        self.rx.write(buf, at, span)

    def next_ms(self, now):
        if self.state == OPENING:
            return min(self._open_due.left(now), self._soon.left(now))
        if self._segment and self._retry.armed:
            return self._retry.left(now)
        if self.state != OPEN:
            return self._soon.left(now) if self._ending else FOREVER_MS
        if self.readable_hint:
            return 0 if self._room() else FOREVER_MS
        return min(self._late.left(now), self._soon.left(now)) if self.wanted else self._late.left(now)

    def _begin(self, host, port):
        """Forgets what an earlier use of this connection left."""
        self._host, self._port = host, port
        self._address = self.modem.names.address(host, self.modem.now)  # now: what a lookup costs was decided
        self._peer_closed = self._checking = self.incoming = False
        self._retries = self._counted = self._asked = self._arrived = 0
        self.answer = -1
        for deadline in (self._open_due, self._retry, self._soon, self._late):
            deadline.clear()

    def _run(self):
        self._ending = False
        while True:
            if self.state == FREE and not self._dirty:
                yield False
                continue
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
            elif self.state >= CLOSING and (self._dirty or self.state == CLOSING) and not self._segment + self._to_send:
                yield from self._close()
            elif self.state == OPEN and self.readable_hint and self._room():
                self._asked = min(self._room(), self.READ_OCTETS)
                self.readable_hint = False
                self._arrived = 0
                self.incoming = True
                self._start_read()
                yield True
                self._was_read(self.modem.channel)
                self.incoming = self.state > PEER_CLOSED  # what came of a read that failed may have a gap
            yield False

    # Sending and receiving. HOT

    def _lay_out(self, command, at, number, n):
        """Puts the digit `number` at `at` into a command, and behind it `n`."""
        command[0][at] = 48 + number
        command[0][put_int(command[0], at + 2, n)] = 13

    def _sent(self, result):
        if result == OK:
            self._drop_segment()
            self._retries = 0
            self.tx_busy = self._to_send > 0
            self._soon.set(self.modem.now, _SOON_MS)
            if not self._late.armed:
                self._late.set(self.modem.now, _LATE_MS)
        elif result in self.FULL and self._segment and self._retries < _SEND_RETRIES:
            self._retry.set(self.modem.now, _SEND_RETRY_MS << self._retries)
            self._retries += 1
        else:
            self.fail(ETIMEDOUT if result == TIMEOUT or result in self.FULL else ECONNRESET)

    def _room(self):
        """What `rx` can take, 0 while that is too little to ask for, or the SIM is slowed down."""
        held = self.rx.any()
        room = RX_OCTETS - held
        return 0 if room < _ROOM_OCTETS or (held and not self.tcp) or self.held_up() else room

    def _was_read(self, channel):
        arrived = self._arrived
        result = channel.result
        nothing = not arrived and result in self.EMPTY
        if result != OK and not nothing:
            # With an error the modem says that nothing is left of what the peer sent before it closed.
            if not self._peer_closed or result not in (ERROR, CME_ERROR):
                self.fail(ETIMEDOUT if result == TIMEOUT else ECONNRESET)
        elif channel.digest.torn or (not nothing and self._told(channel) != arrived):
            self.fail(ECONNRESET)  # the stream has octets too many or too few
        else:
            now = self.modem.now
            self._late.set(now, _LATE_MS)
            self._soon.clear()
            if not arrived:
                self.continues = False
            else:
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

    def _find_address(self):
        """Generator: `_address` becomes that of the host. False where there is none, or the connection was closed."""
        while self.state == OPENING and self._address is None:
            self._address = yield from self._look_up(self._host)
            if self._address is None:
                self._settle(_EHOSTUNREACH)
                self.modem.listener.abandoned(self, _ASKED_AGAIN + 2 * len(self._host))
        return self.state == OPENING

    def _look_up(self, host):
        """Generator: has the modem look `host` up. Returns its address; the name itself if the modem refuses; None if
        there is no answer."""
        modem, names = self.modem, self.modem.names
        while (left := names.left(modem.now)) and self.state == OPENING:  # its answer may name no host: one at a time
            self._open_due.set(modem.now, left)
            yield False
        if self.state != OPENING:
            return None
        names.begin(host, modem.now, _LOOKUP_MS)
        modem.channel.start((self.LOOKUP % host.encode(), self.LOOKUP_MS, None, 0))
        yield True
        if modem.channel.result == TIMEOUT:
            return None
        if modem.channel.result != OK and names.pending is host:
            names.pending = None
            return None if self.LOOKUP_DECIDES else host
        self._open_due.set(modem.now, _LOOKUP_MS)
        while names.pending is host and names.left(modem.now) and self.state == OPENING:
            yield False
        return names.address(host, modem.now)

    def _await(self, ms):
        """Generator: until the `answer` of an opening is there, or `ms` have passed. It may have got lost: so the state
        is asked for."""
        self._open_due.set(self.modem.now, ms)
        self._soon.set(self.modem.now, _ASK_MS)
        while self.state == OPENING and self.answer < 0 and not self._open_due.due(self.modem.now):
            if self._soon.due(self.modem.now):
                self._soon.set(self.modem.now, _ASK_MS)
                yield from self._ask_state()
            yield False
        self._soon.clear()

    def _settle(self, errno):
        """It is OPEN, or FAILED with `errno`."""
        if self.state == OPENING:
            if not errno:
                self.state = OPEN
                self._opened = True
                if self.tcp and self.modem.unanswered > 0:  # by UDP nobody has to answer
                    self.modem.unanswered = 0
                self.modem.listener.opened(self)
            else:
                self.fail(errno)
                self.modem.names.drop(self._host)
                if errno in (ENETDOWN, _EHOSTUNREACH):
                    self.modem.doubt_context()
                if self.modem.unanswered >= 0 and errno in (ETIMEDOUT, _EHOSTUNREACH):
                    self.modem.unanswered = n = self.modem.unanswered + 1
                    if n >= _RENEWED_AFTER and not n & (n - 1):
                        self.modem.renew_session()

    def _count(self, octets):
        """Counts payload that was never announced to us, if there is any."""
        if octets > 0:
            self._counted += octets
            self.modem.listener.received(self, octets)
            self.continues = False

    def _close(self):
        """Ends the modem's connection; of one that FAILED too, or it would go on receiving."""
        yield from self.count_unread()
        if self._opened and self.tcp and not self._peer_closed and not self.modem.config.counter:
            yield from self._see_end()
        yield from self._quit_connection()
        if self.state == CLOSING:
            self._free()

    def _see_end(self):
        """Waits until nothing more arrives. What comes behind the close no total shows, nor what waits in the modem for
        octets before it that got lost; and here no counter does."""
        for _ in range(_ENDINGS):
            counted = self._counted
            self._soon.set(self.modem.now, SILENT_MS)
            self._ending = True
            while self._dirty and not self._soon.due(self.modem.now):
                yield False
            self._ending = False
            yield from self.count_unread()
            if self._counted == counted:
                return
        self.modem.listener.abandoned(self, 0)

    def _quit_connection(self):
        channel = self.modem.channel
        for _ in range(_QUIT_TRIES):
            if not self._dirty:
                break
            self._start_quit()
            yield True
            if channel.result == OK:
                break
            yield False
        self._ended()
