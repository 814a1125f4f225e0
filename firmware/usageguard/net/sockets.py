"""A `socket` module over the modem's sockets: metered, and only for what the policy admits. `guard.install()` puts it
in `sys.modules`.

A blocking call waits by pumping the guard, so that guarding goes on meanwhile. Small writes are corked: they are sent
at a read, a poll, any wait, close, or when a segment is full. An MQTT publish of four writes is one segment instead
of four, which saves three headers and three acknowledgements, 240 octets.

Differences from a stock socket: the modem resolves a name when it connects (`getaddrinfo` returns it unchanged); there
is no `bind`, `listen` or `accept`; what the policy does not admit raises OSError(EDQUOT); a socket that is not closed
keeps its connection, of which an application has three.
"""

from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.modem.connection import FREE, OPEN, OPENING, PEER_CLOSED, drain
from usageguard.net.reading import EAGAIN, SEGMENT, Reading, error

# What applications and asyncio read in `socket`
__all__ = (
    "AF_INET", "IPPROTO_TCP", "IPPROTO_UDP", "SOCK_DGRAM", "SOCK_STREAM", "SOL_SOCKET", "SO_REUSEADDR",
    "getaddrinfo", "socket",
)  # fmt: skip

AF_INET = 2
SOCK_STREAM = 1
SOCK_DGRAM = 2
IPPROTO_TCP = 6
IPPROTO_UDP = 17
SOL_SOCKET = 1
SO_REUSEADDR = 4

ENETDOWN = const(100)
ENOTCONN = const(107)
ENOBUFS = const(105)
EBADF = const(9)
EISCONN = const(106)
ETIMEDOUT = const(110)
ECONNRESET = const(104)
EINVAL = const(22)
EAFNOSUPPORT = const(97)
EMSGSIZE = const(90)
EINPROGRESS = const(115)
EDQUOT = const(122)  # the plan's quota, for this traffic class

_LONGEST_MS = const(1 << 28)
_PATIENCE_MS = const(60_000)  # how long a connect waits for the modem to be online, and for a connection
_REFUSED_MS = const(20)  # how long a refused call waits
_NAME_OCTETS = const(253)  # RFC 1035

# MicroPython's stream protocol (py/stream.h)
_POLL = const(3)
_CLOSE = const(4)
_POLL_RD = const(1)
_POLL_WR = const(4)
_POLL_ERR = const(8)
_POLL_HUP = const(16)

_bound = None


def bind(hal, modem, admission, loop):
    """Gives the sockets that are made from now on what they use.

    `loop` has `pump(until)`, one wait; `wake()`, to be called when the modem was asked for something; `polling`,
    whether a poll that waits by itself asks; and `traffic_class`, the index of the class of a socket that is made now.
    """
    global _bound
    _bound = hal, modem, admission, loop


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    """One entry, whose address is (host, port): the modem resolves the name when it connects."""
    return [(AF_INET, type or SOCK_STREAM, proto, "", (host, port))]


def _is_host(host):
    """Whether it may stand between quotes in a command to the modem."""
    for char in host:
        if not "!" <= char <= "~" or char == '"':
            return False
    return 0 < len(host) <= _NAME_OCTETS


class socket(Reading):  # noqa: N801 - the name that applications know
    """A stream (TCP) or datagram (UDP) socket of the traffic class in force when it was made (`guard.traffic`)."""

    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0):
        if af != AF_INET or type not in (SOCK_STREAM, SOCK_DGRAM):
            raise error(EAFNOSUPPORT)
        super().__init__()
        self._hal, self._modem, self._admission, self._loop = _bound
        self._tcp = type == SOCK_STREAM
        self._class = self._loop.traffic_class
        self._connection = None
        self._timeout = -1  # ms; -1 waits for ever, 0 never
        self._deadline = 0
        self._failed = 0

    # Waiting

    def _begin(self):
        timeout = self._timeout
        self._deadline = ticks_add(self._hal.ticks_ms(), _LONGEST_MS if timeout < 0 else timeout)

    def _wait(self):
        """One wait of the guard; False when the socket's time-out has passed. HOT."""
        if not self._connection.wanted:
            self._connection.wanted = True  # has the driver check for data sooner if a notification was lost
            self._loop.wake()
        return self._wait_until(ticks_add(self._hal.ticks_ms(), _LONGEST_MS))

    def _may_wait(self):
        """As `_wait`; False on a non-blocking socket, ETIMEDOUT when the time-out has passed."""
        if self._timeout == 0:
            self._loop.pump(ticks_add(self._hal.ticks_ms(), 1))
            return False
        if not self._wait():
            raise error(ETIMEDOUT)
        return True

    def _opened(self, connection):
        """Waits for the end of OPENING, on a socket that was not blocking when it began; False where it may not."""
        self._begin()
        while connection.state == OPENING:
            if not self._may_wait():
                return False
        return True

    def _wait_until(self, ticks):
        """One wait until `ticks` at the most; False when the socket's time-out has passed. HOT."""
        if self._timeout > 0:
            if ticks_diff(self._deadline, self._hal.ticks_ms()) <= 0:
                return False
            if ticks_diff(self._deadline, ticks) < 0:
                ticks = self._deadline
        self._loop.pump(ticks)
        return True

    def _wait_or_fail(self, patience, code):
        """One wait until ticks `patience`; OSError(`code`) where they, or the socket's time-out, have passed."""
        if ticks_diff(patience, self._hal.ticks_ms()) <= 0 or not self._wait_until(patience):
            raise self._refusal(code)

    def _refusal(self, code):
        """The OSError for a call that is refused, after one wait of the guard: an application that tries again at once
        must not keep it from working. EDQUOT names the reasons."""
        self._loop.wake()
        self._loop.pump(ticks_add(self._hal.ticks_ms(), _REFUSED_MS))
        return OSError(code, self._admission.stopped_by()) if code == EDQUOT else error(code)

    # Connecting

    def connect(self, address):
        """Connects to (host, port); the modem resolves a host name. OSError: EDQUOT, ETIMEDOUT, the modem's error.

        A non-blocking socket waits too, a minute at the most: until the modem is online (ENETDOWN), until a throttled
        SIM may send (ENETDOWN), and for a connection that is being closed if no other is free (ENOBUFS).
        """
        if self._failed:
            raise error(self._failed)
        if self._connection is not None:
            raise error(EISCONN)
        host, port = address[0], address[1]
        if not _is_host(host) or not 0 < port < 65_536:
            raise error(EINVAL)
        modem, admission = self._modem, self._admission
        self._begin()
        patience = ticks_add(self._hal.ticks_ms(), _PATIENCE_MS)
        self._wait_for_rate(patience)
        while not modem.online:
            if not admission.admits(self._class):
                raise self._refusal(EDQUOT)
            self._wait_or_fail(patience, ENETDOWN)
        while (connection := modem.free_connection(1)) is None:  # the first one is for reports
            if not modem.closing():
                raise self._refusal(ENOBUFS)
            self._wait_or_fail(patience, ENOBUFS)
        if not admission.open(self._class, self._tcp, modem.name_octets(host)):
            raise self._refusal(EDQUOT)
        connection.open(self._tcp, host, port)
        connection.traffic_class = self._class
        connection.owner = self
        self._loop.wake()
        self._connection = connection
        self._peer = (host, port)
        if self._timeout == 0:
            raise self._refusal(EINPROGRESS)
        while connection.state == OPENING and self._wait():
            pass
        if connection.state != OPEN:
            self._connection = None
            code = connection.errno or ETIMEDOUT
            connection.close()
            raise error(code)

    def _wait_for_rate(self, patience):
        """Waits until a throttled SIM may send: `close` sends what is corked without waiting for that."""
        while True:
            now = self._hal.ticks_ms()
            slow = self._admission.slowed_ms(now)
            if not slow:
                return
            if not self._admission.admits(self._class):
                raise self._refusal(EDQUOT)
            if self._timeout == 0 and ticks_diff(patience, now) <= 0:
                raise self._refusal(ENETDOWN)
            if not self._wait_until(ticks_add(now, min(slow, _PATIENCE_MS))):
                raise error(ETIMEDOUT)

    # The cork

    def _end(self, code):
        """Ends the socket: closes its connection, and every later call raises OSError(`code`)."""
        if not self._failed:
            self._failed = code
            if self._connection is not None:
                self._connection.close()
                self._loop.wake()

    def _fail(self, code):
        self._end(code)
        raise self._refusal(code)

    def _check_open(self, connection):
        if connection.state != OPEN:
            self._fail(connection.errno or ECONNRESET)

    def _live(self):
        connection = self._connection
        if self._failed:
            raise self._refusal(self._failed)
        if connection is None:
            raise self._refusal(ENOTCONN)
        return connection

    def _push(self, connection):
        """Hands what is corked to the modem if it is free to take it. HOT."""
        if connection.tx.any():
            if not connection.uncork(self._admission):
                self._fail(EDQUOT)
            self._loop.wake()

    def _flush(self, connection):
        """Waits until the cork has room again; False on a non-blocking socket, ETIMEDOUT when its time is up. HOT."""
        self._begin()
        while True:
            self._push(connection)
            if connection.tx.any() < SEGMENT:
                return True
            self._check_open(connection)
            if not self._may_wait():
                return False

    def write(self, buf, n=-1):
        """Writes `buf` (or its first `n` octets); returns how many were taken, None for none on a non-blocking
        socket. HOT."""
        connection = self._live()
        if connection.state == OPENING and not self._opened(connection):
            return None
        self._check_open(connection)
        if isinstance(buf, str):
            buf = buf.encode()
        if n < 0 or n > len(buf):
            n = len(buf)
        if not self._tcp:
            return self._send_datagram(connection, buf, n)
        done = 0
        while done < n:
            room = min(SEGMENT - connection.tx.any(), n - done)
            if room > 0:
                connection.tx.write(buf, done, room)
                done += room
            if connection.tx.any() >= SEGMENT and not self._flush(connection):
                return done or None
        self._loop.wake()
        return n

    def send(self, data):
        done = self.write(data)
        if done is None:
            raise error(EAGAIN)
        return done

    def sendall(self, data):
        done = self.write(data)
        if done != len(data):
            raise error(EAGAIN)

    def sendto(self, data, address):
        """Sends one datagram. A datagram socket keeps the peer of its first one; another address opens it again."""
        if self._peer != tuple(address):
            if self._connection is not None:
                self._connection.close()
                self._connection = self._peer = None
            self.connect(address)
        return self.send(data)

    def _send_datagram(self, connection, buf, n):
        if n > SEGMENT:
            raise error(EMSGSIZE)
        self._begin()
        while connection.state == OPEN and (connection.tx_busy or connection.tx.any()):
            if not self._may_wait():
                return None
        self._check_open(connection)
        connection.tx.write(buf, 0, n)
        self._push(connection)
        return n

    # Reading

    def _fill(self, buf, n):
        """Up to `n` octets into `buf`; 0 at the end, None where there is nothing yet and no waiting. HOT."""
        connection = self._live()
        if n == 0:
            return 0
        self._begin()
        tried = False
        while True:
            self._push(connection)
            got = None if connection.incoming else connection.rx.readinto(buf, n)
            if got:
                if connection.rx.any() and not self._tcp:
                    drain(connection.rx)  # the rest of the datagram
                if connection.readable_hint:
                    self._loop.wake()  # there is room for more now
                return got
            if connection.state == PEER_CLOSED or connection.state == FREE:
                return 0
            if connection.state != OPEN and connection.state != OPENING:
                self._fail(connection.errno or ECONNRESET)
            if not self._admission.admits(self._class):
                self._fail(EDQUOT)
            if self._timeout == 0:
                if tried:
                    return None
                # Virtual time only passes in waits: a caller that polls without waiting would stop it.
                tried = True
                self._loop.pump(ticks_add(self._hal.ticks_ms(), 1))
            else:
                self._may_wait()

    def readinto(self, buf, n=-1):
        """Reads what there is, at least one octet, up to the size of `buf`; 0 at the end, None: nothing yet. HOT."""
        size = len(buf)
        if n < 0 or n > size:
            n = size
        return self._fill(buf, n)

    # The rest of the protocol

    def ioctl(self, op, arg):
        """Poll and close, for `select.poll`, asyncio and TLS."""
        if op != _POLL:
            if op == _CLOSE:
                self.close()
            return 0
        ready = self.poll_ready(arg)
        if not ready and not self._loop.polling:  # as in `_fill`
            self._loop.pump(ticks_add(self._hal.ticks_ms(), 1))
            ready = self.poll_ready(arg)
        return ready

    def poll_ready(self, wanted):
        """What of `wanted` (POLLIN, POLLOUT) would not wait now, and POLLHUP, POLLERR; does not wait itself."""
        connection = self._connection
        if connection and not self._failed and not connection.uncork(self._admission):
            self._end(EDQUOT)  # raised by the next call: a poll of many sockets must not fail for one
        if self._failed or connection is None:
            return wanted & (_POLL_RD | _POLL_WR) | _POLL_ERR
        if connection.state == OPENING:
            return 0
        if connection.state != OPEN:
            return wanted & _POLL_RD | _POLL_HUP
        ready = 0
        if connection.rx.any() and not connection.incoming:
            ready = _POLL_RD
        if connection.tx.any() < SEGMENT:
            ready |= _POLL_WR
        return wanted & ready

    def settimeout(self, seconds):
        """None waits for ever, 0 never, otherwise at most so long."""
        if seconds is None:
            self._timeout = -1
        else:
            self._timeout = int(min(max(seconds, 0), _LONGEST_MS // 1000) * 1000) or (1 if seconds > 0 else 0)

    def setblocking(self, flag):
        self._timeout = -1 if flag else 0

    def setsockopt(self, level, option, value):
        """Accepted and without effect: the modem's sockets have no options of their own."""

    def makefile(self, mode="rb", buffering=0):
        return self

    def close(self):
        """Sends what is corked, then closes; the modem does it in the background."""
        connection = self._connection
        if connection is not None and not self._failed:
            connection.finish(self._admission)
            self._loop.wake()
        self._failed = EBADF
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
