"""Payload that comes unasked, from modems that do not keep it until it is read; loaded for these alone."""

from usageguard.at.digest import int_field
from usageguard.at.push import pushing
from usageguard.compat import RingIO
from usageguard.core.meter import SEGMENT
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.connection import BURST_MS, ECONNRESET, OPEN, PEER_CLOSED, RX_OCTETS, Deadline, drain

_PIECE = bytearray(64)


def take_pushes(modem):
    """From now on the modem's connections have an `inbox`; returns the digest, which has to be told what announces."""
    modem.channel = channel = pushing(modem.hal, modem.channel)
    for connection in modem.connections:
        connection.inbox = Inbox(connection)
        connection.closed_by_peer = connection.inbox.closed_by_peer
        connection._room = _no_room
    channel.inboxes = [connection.inbox for connection in modem.connections]
    return channel.digest


def announced_in(modem, field):
    """Handler of lines that have the connection's number in `field`, and its octets in the next."""

    def announced(line, length):
        index = int_field(line, length, field)
        if not 0 <= index < CONNECTIONS:
            return None
        return modem.connections[index].pushed(int_field(line, length, field + 1))

    return announced


def _no_room():
    """Of a connection from which nothing is read."""
    return 0


class Inbox:
    """One connection's: the sink of its payload, and the datagrams that wait behind the one in `rx`."""

    SIZE = RX_OCTETS  # octets of datagrams, with two more for each, that wait for the first one to be taken

    def __init__(self, connection):
        self._connection = connection
        self._note_end = connection.closed_by_peer
        self._later = None
        self._skipped = False  # the datagram that comes finds no room
        self._deferred = False  # it goes to `_later`
        self._left = 0  # octets of it that are still to come
        self._burst = Deadline()

    def begin(self):
        """The connection is opened."""
        self._skipped = self._deferred = False
        self._left = 0
        if self._later is not None:
            drain(self._later)
        elif not self._connection.tcp:
            self._later = RingIO(self.SIZE)

    def closed_by_peer(self):
        """Nothing waits in the modem."""
        connection = self._connection
        self._note_end()
        if connection.state == OPEN:
            connection.state = PEER_CLOSED

    def count(self, octets, more):
        """So many octets follow, of which `more` were not told of before. HOT."""
        connection = self._connection
        now = connection.modem.now
        if self._burst.due(now):
            connection.continues = False
        connection._count(more)
        connection.continues = connection.tcp and octets >= SEGMENT
        self._burst.set(now, BURST_MS)

    def sink(self, octets):
        """So many octets follow; returns what takes them. HOT."""
        connection = self._connection
        if not connection.tcp:
            self._deferred = connection.rx.any() > 0 or (self._later is not None and self._later.any() > 0)
            self._skipped = self._deferred and not self._defer(octets)
            self._left = octets
            connection.incoming = not self._deferred
        return self

    def _defer(self, octets):
        """Makes room for a datagram behind the one in `rx`; False if there is none."""
        later = self._later
        if later is None or self.SIZE - later.any() < octets + 2:
            return False
        _PIECE[0] = octets >> 8
        _PIECE[1] = octets & 255
        later.write(_PIECE, 0, 2)
        return True

    def payload(self, buf, at, span):
        connection = self._connection
        ring = connection.rx
        if not connection.tcp:
            self._left -= span
            if not self._left:
                connection.incoming = False
            if self._skipped:
                return
            if self._deferred:
                ring = self._later
        if (ring.write(buf, at, span) or 0) < span:
            connection.fail(ECONNRESET)  # the application reads more slowly than the modem hands over

    def torn(self):
        """Octets of what was announced did not come."""
        connection = self._connection
        if connection.incoming:
            connection.incoming = False
            drain(connection.rx)
        self._left = 0
        connection.fail(ECONNRESET)

    def waits(self):
        """Whether a datagram waits, and its place is free. HOT."""
        connection = self._connection
        if self._later is None or not self._later.any() or self._left:
            return False
        return not connection.rx.any() and connection.state == OPEN

    def take(self):
        """Moves the next one that waits into the empty `rx`. HOT."""
        later = self._later
        rx = self._connection.rx
        later.readinto(_PIECE, 2)
        left = _PIECE[0] << 8 | _PIECE[1]
        while left:
            n = later.readinto(_PIECE, min(left, 64))
            rx.write(_PIECE, 0, n)
            left -= n
