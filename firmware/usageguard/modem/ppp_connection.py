"""A connection over one of lwIP's sockets."""

from usageguard.compat import const
from usageguard.core.meter import SEGMENT
from usageguard.modem.connection import (
    BURST_MS,
    CLOSING,
    ECONNRESET,
    ETIMEDOUT,
    FAILED,
    OPEN,
    OPENING,
    PEER_CLOSED,
    RX_OCTETS,
    SILENT_MS,
    Connection,
    Deadline,
)

SCRATCH = const(1460)  # octets: a datagram, or what is taken at once of a stream
_POLLIN = const(1)
_POLLOUT = const(4)
_BROKEN = const(8 | 16)  # POLLERR, POLLHUP
_IN_PROGRESS = (115, 119)  # EINPROGRESS, as Linux and as ESP-IDF's newlib number it
_ECONNREFUSED = const(111)
_EHOSTUNREACH = const(113)
_CONNECT_MS = const(75_000)
_LINGER_MS = const(20_000)  # for the modem to take what was handed over before a close
_POLL_MS = const(100)


class PppConnection(Connection):
    """See Connection. lwIP keeps what arrives until `rx` has room for it."""

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self._socket = None
        self._host = None
        self._port = 0
        self._watched = 0
        self._written = 0  # octets of the segment that lwIP has taken
        self._late = False  # lwIP may hold what came before the last look
        self._burst = Deadline()
        self._due = Deadline()
        self._until = Deadline()

    def told(self, *_):
        """What a family's driver has for connections of its own kind: the modem has none."""

    arrived = closed_by_peer = taken = told

    def next_ms(self, now):
        return self._due.left(now)

    def _connect(self, host, port):
        self._host, self._port = host, port

    def _run(self):
        while True:
            if self.state == OPENING:
                if self.modem.flowing:
                    yield from self._open()
            elif self._socket is not None:
                if self.state == CLOSING:
                    yield from self._close()
                elif self.state == FAILED:
                    self._release()
                elif self.modem.flowing and not self.held_up():
                    self._move()
                else:
                    self._late = True
            elif self.state == CLOSING:
                self._free()
            yield False

    # Opening

    def _open(self):
        modem = self.modem
        address = modem.names.address(self._host, modem.now)
        if address is None:
            from usageguard.modem.ppp_names import look_up

            address = yield from look_up(self, self._host)
        if address is None or self.state != OPENING:
            self._refuse(_EHOSTUNREACH)
            return
        try:
            self._socket = socket = modem.link.socket(self.tcp)
            modem.sockets += 1
            self._dirty = True
            socket.connect((address, self._port))
        except OSError as error:
            if error.args[0] not in _IN_PROGRESS:
                self._refuse(error.args[0])
                return
        if self.tcp:
            self._until.set(modem.now, _CONNECT_MS)
            while True:
                ready = modem.link.ready(socket, _POLLOUT)
                if self.state != OPENING or ready & _BROKEN:
                    self._refuse(_ECONNREFUSED)
                    return
                if ready:
                    break
                if self._until.due(modem.now):
                    self._refuse(ETIMEDOUT)
                    return
                yield from self.pause(_POLL_MS)
        self._written = 0
        self.state = OPEN
        self._opened = True
        self._watch(_POLLIN)
        modem.listener.opened(self)

    def pause(self, ms):
        """Generator: `ms`, or until something comes."""
        self._due.set(self.modem.now, ms)
        yield False
        self._due.clear()

    def _refuse(self, errno):
        if self.state == OPENING:
            self.modem.names.drop(self._host)
            if errno in (ETIMEDOUT, _EHOSTUNREACH):
                self.modem.doubt_context()
        self.fail(errno)
        self._release()
        if self.state == CLOSING:
            self._free()

    # While it is open

    def _watch(self, events):
        if events != self._watched:
            self._watched = events
            self.modem.link.watch(self._socket, events)

    def _move(self):
        """Sends what was released, takes what has come. HOT."""
        waits = 0
        try:
            if self.tx_busy and not self._send():
                waits = _POLLOUT
            if self.state == OPEN and self._receive():
                waits |= _POLLIN
        except OSError as error:
            self.fail(error.args[0] or ECONNRESET)
            self._release()
            return
        self._watch(waits)

    def _send(self):
        """False where lwIP has no room now. HOT."""
        while self._take_segment():
            if not self._segment:
                self._drop_segment()
                self.tx_busy = self._to_send > 0
                if not self.tx_busy:
                    return True
                continue
            segment = self.modem.segment
            n = self._socket.write(segment, self._written, self._segment - self._written)
            if not n:
                return False
            self._written += n
            if self._written == self._segment:
                self._written = 0
                self._drop_segment()
                self.tx_busy = self._to_send > 0
                self.modem.poked = True
                if not self.tx_busy:
                    return True
        return True

    def _receive(self):
        """Whether there is room for more. HOT."""
        scratch, rx = self.modem.scratch, self.rx
        late = self._late
        self._late = True
        while True:
            room = RX_OCTETS - rx.any()
            if not self.tcp:
                room = SCRATCH if not rx.any() else 0
            if not room:
                return False
            asked = min(room, SCRATCH)
            n = self._socket.readinto(scratch, asked)
            if n is None:
                self._late = False
                return True
            if not n:
                if self.tcp:
                    self.state = PEER_CLOSED
                    self.modem.poked = True
                return False
            rx.write(scratch, 0, n)
            self._counted(n, asked, late)
            late = True
            self.modem.poked = True

    def _counted(self, n, asked, late):
        """Counts `n` octets of `asked`: more, or a full segment, is the last only if nothing follows it soon.

        lwIP acknowledges a segment when it comes, or when it is read, as that opens the window by a quarter. It may do
        both where it was not read at once: `late`. Then half a segment's price is due for each, one acknowledgement.
        """
        now = self.modem.now
        if self._burst.due(now):
            self.continues = False
        self._burst.set(now, BURST_MS)
        if late and self.tcp:
            self.spare = (self.spare if self.continues else 0) - (n >> 1)
            self.continues = True
        self.modem.listener.received(self, n)
        self.continues = self.tcp and (n == asked or n >= SEGMENT)

    # Closing

    def _close(self):
        modem = self.modem
        self._until.set(modem.now, _LINGER_MS)
        try:
            while (self._to_send or self._segment) and not self._until.due(modem.now):
                if modem.flowing and self._send():
                    break
                yield from self.pause(_POLL_MS)
            if self.tcp and not modem.config.counter and self._opened:
                yield from self._watch_unread()
        except OSError:
            pass
        self._drop_segment()
        self._to_send = 0
        self._release()
        self._free()

    def _watch_unread(self):
        """Where only we count: what still comes, until nothing has for SILENT_MS."""
        modem = self.modem
        self._until.set(modem.now, _LINGER_MS)
        while True:
            n = self._socket.readinto(modem.scratch, SCRATCH) if modem.flowing else None
            if n == 0:
                return
            if n:
                self._counted(n, SCRATCH, True)
                continue
            seen = modem.link.octets
            yield from self.pause(SILENT_MS)
            if seen == modem.link.octets:
                return
            if self._until.due(modem.now):
                modem.listener.abandoned(self, 0)
                return

    def _release(self):
        """Closes the socket."""
        socket = self._socket
        if socket is not None:
            self._watch(0)
            self._socket = None
            self.modem.sockets -= 1
            self._written = 0
            self._due.clear()
            self._ended()
            try:
                socket.close()
            except OSError:
                pass
