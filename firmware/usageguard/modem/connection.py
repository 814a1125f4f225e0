"""One connection of the modem, as the socket facade sees it; the family's driver fills in how it is done."""

from usageguard.at.channel import FOREVER_MS
from usageguard.compat import RingIO, const
from usageguard.core.ticks import ticks_add, ticks_diff

FREE = const(0)
OPENING = const(1)
OPEN = const(2)
PEER_CLOSED = const(3)  # no more will arrive, and `rx` holds all that did
CLOSING = const(4)
FAILED = const(5)  # `errno` says why; close() frees the connection. From CLOSING on the connection has to go

# errno values as lwIP and MicroPython number them
EALREADY = const(114)
ECONNRESET = const(104)
ENETDOWN = const(100)
ETIMEDOUT = const(110)

RX_OCTETS = const(2048)
TX_OCTETS = const(1460)
# Nothing more comes of a stream that was silent for so long: a peer sends again what got lost after 3 s at the latest,
# if its first packet was lost too, or twice in succession (RFC 6298 2, 5.5, 5.7).
SILENT_MS = const(4_000)
# A full segment that comes unasked is seldom the last: what follows it within so long is taken to go on with it.
BURST_MS = const(1_000)


class Deadline:
    """A point in ticks, or none. Once due it stays due until it is set or cleared."""

    def __init__(self):
        self.armed = False
        self._at = 0

    def set(self, now, ms):
        """Due `ms` (below 2**29) after `now`."""
        self._at = ticks_add(now, ms)
        self.armed = True

    def clear(self):
        self.armed = False

    def due(self, now):
        return self.armed and ticks_diff(now, self._at) >= 0

    def left(self, now):
        """Milliseconds until it is due, FOREVER_MS if it is not set."""
        return max(ticks_diff(self._at, now), 0) if self.armed else FOREVER_MS


_UNUSED = RingIO(1)  # what a connection has that was never open: an application with one socket pays for one


class Connection:
    """States: FREE -open-> OPENING -> OPEN -> PEER_CLOSED; any of them -> FAILED; -close-> CLOSING -> FREE.

    `rx` holds the payload that arrived (TCP: a stream; UDP: one datagram, the next one only after that was
    taken whole); `tx` takes what flush() is to send. Whoever finds `rx` empty and waits sets `wanted`: then a
    notification that the modem lost is looked for after seconds instead of minutes.
    """

    SEND_OCTETS = TX_OCTETS  # the most that one command sends: of what flush() released, the rest follows
    incoming = False  # `rx` has a part of what is coming over the line, or of what failed to: nobody may take it
    spare = 0  # the listener's: see Meter.price_received; `open` makes it the connection's own

    def __init__(self, modem, index):
        self.modem = modem
        self.index = index
        self.rx = self.tx = _UNUSED
        self.state = FREE
        self.errno = 0
        self.tcp = True
        self.tx_busy = False  # from flush() until the modem has taken it all, or the connection failed
        self.readable_hint = False  # the modem holds payload for us, or may do so
        self.wanted = False
        self.owner = None  # the application's socket, until the connection is free; None for the guard's own
        self.traffic_class = 0
        self.continues = False  # the next payload may have come in the same segment as the last
        self._to_send = 0  # octets of `tx` that flush() released
        self._segment = 0  # octets of the shared segment buffer that are this connection's
        self._dirty = False  # the modem has a connection under our id
        self._opened = False

    def open(self, tcp, host, port):
        """Starts to connect, by TCP or else UDP, to `host` (name or address, ASCII); watch `state`.

        OSError(EALREADY) unless the connection is FREE. FAILED at once, with ENETDOWN, while the modem is offline.
        """
        if self.state != FREE:
            raise OSError(EALREADY, "connection in use")
        if self.rx is _UNUSED:
            rx, self.tx = RingIO(RX_OCTETS), RingIO(TX_OCTETS)
            self.rx = rx  # last: it says that both are there
        self.tcp = tcp
        online = self.modem.online
        if online:
            self._connect(host, port)  # first: if it finds no memory, nothing has begun
        self.errno = self.spare = 0
        self.state = OPENING
        self.modem.poked = True
        if not online:
            self.fail(ENETDOWN)

    def uncork(self, admission):
        """Hands what `tx` holds to a modem that is free to take it; False where `admission` does not admit it. HOT."""
        n = self.tx.any()
        if n and not self.tx_busy and self.state == OPEN and not self.held_up():
            if not admission.transfer(self.traffic_class, self.tcp, n):
                return False
            self.flush(n)
        return True

    def held_up(self):
        """Whether the SIM is slowed down, so that what applications send and read has to wait. HOT."""
        return self.modem.paused and self.owner is not None

    def finish(self, admission):
        """Sends all that `tx` holds, behind what is on its way already, then closes."""
        n = self.tx.any()
        more = n - self._to_send
        if more > 0 and self.state == OPEN and admission.transfer(self.traffic_class, self.tcp, more):
            self.flush(n)
        self.close()

    def flush(self, n):
        """Sends the first `n` octets of `tx`: as one segment, or one datagram. No effect unless OPEN."""
        if self.state == OPEN:
            self._to_send = n
            self.tx_busy = n > 0 or self._segment > 0
            self.modem.poked = True

    def close(self):
        """Sends what was flushed, then closes and frees the connection. The rest of `tx`, and `rx`, are dropped."""
        if self.state not in (FREE, CLOSING):
            idle = not self._dirty and self.state != OPENING  # what opens it takes its end in first
            self.state = CLOSING
            self.modem.poked = True
            if idle:
                self._free()

    def fail(self, errno):
        """The connection is of no use any more; one that is CLOSING goes on to do so."""
        self.modem.poked = True
        self.tx_busy = False
        self._to_send = 0
        self._drop_segment()
        if self.state not in (FREE, FAILED):
            self.errno = errno
            if self.state != CLOSING:
                self.state = FAILED

    def lost(self, errno, unseen):
        """As fail(), and the modem has forgotten the connection; `unseen`: with what it may have held for us."""
        if unseen and self._opened and self._dirty:
            self.modem.listener.abandoned(self, 0)
        self._ended()
        self.fail(errno)

    def next_ms(self, now):
        """Milliseconds until this connection has something to do by itself."""
        return FOREVER_MS

    def _take_segment(self):
        """Moves what is to be sent into the segment buffer; False while that is another connection's. HOT."""
        modem = self.modem
        if modem.segment_owner is self:
            return True
        if modem.segment_owner is not None:
            return False
        modem.segment_owner = self
        self._segment = self.tx.readinto(modem.segment, min(self._to_send, self.SEND_OCTETS)) or 0
        self._to_send -= self._segment
        return True

    def _drop_segment(self):
        self._segment = 0
        if self.modem.segment_owner is self:
            self.modem.segment_owner = None

    def _ended(self):
        """The modem has no connection under our id any more: nothing comes unasked."""
        self._dirty = False
        if self._opened:
            self._opened = False
            self.modem.listener.closed(self)

    def _free(self):
        self._ended()
        drain(self.rx)
        drain(self.tx)
        self.tx_busy = self.readable_hint = self.wanted = False
        self.owner = None
        self.continues = False
        self.state = FREE

    def _connect(self, host, port):
        raise NotImplementedError

    def _run(self):
        raise NotImplementedError


def drain(ring):
    """Empties a ring."""
    waste = bytearray(64)
    while ring.any():
        ring.readinto(waste, 64)
