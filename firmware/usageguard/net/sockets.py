"""A `socket` module over the modem's sockets: metered, gated, corked. `guard.install()` puts it in `sys.modules`.

A blocking call waits by pumping the guard, so that guarding goes on meanwhile. Small writes are corked: they leave
at a read, a poll, any wait, close, or when a segment is full; an MQTT publish of four writes is one segment instead
of four, which saves three headers and three acknowledgements, 240 octets.

Differences from a stock socket: a name is resolved by the modem when it connects (`getaddrinfo` returns it as it
is), there is no `bind`, `listen` or `accept`, what the policy does not admit raises OSError(EDQUOT), and a socket that
is not closed is not free again: an application has three.
"""

from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.modem.slot import FREE, OPEN, OPENING, PEER_CLOSED, drain
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
_PATIENCE_MS = const(60_000)  # how long a connect waits for the modem to be online, and for a slot
_NAME_OCTETS = const(253)  # RFC 1035

# MicroPython's stream protocol (py/stream.h)
_POLL = const(3)
_CLOSE = const(4)
_POLL_RD = const(1)
_POLL_WR = const(4)
_POLL_ERR = const(8)
_POLL_HUP = const(16)

_guard = None


def bind_guard(guard):
    """Makes `guard` the one that every socket made from now on belongs to."""
    global _guard
    _guard = guard


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
        self._guard = _guard
        self._tcp = type == SOCK_STREAM
        self._class = _guard.traffic_class
        self._slot = None
        self._timeout = -1  # ms; -1 waits for ever, 0 never
        self._deadline = 0
        self._failed = 0

    # Waiting

    def _begin(self):
        timeout = self._timeout
        self._deadline = ticks_add(self._guard.hal.ticks_ms(), _LONGEST_MS if timeout < 0 else timeout)

    def _wait(self):
        """One wait of the guard; False when the socket's time-out has passed. HOT."""
        self._slot.wanted = True  # a notification that got lost is looked for sooner
        return self._wait_until(ticks_add(self._guard.hal.ticks_ms(), _LONGEST_MS))

    def _may_wait(self):
        """As `_wait`; False on a non-blocking socket, ETIMEDOUT when the time-out has passed."""
        if self._timeout == 0:
            return False
        if not self._wait():
            raise error(ETIMEDOUT)
        return True

    def _opened(self, slot):
        """Waits for the end of OPENING, on a socket that was not blocking when it began; False where it may not."""
        self._begin()
        while slot.state == OPENING:
            if not self._may_wait():
                return False
        return True

    def _wait_until(self, ticks):
        """One wait until `ticks` at the most; False when the socket's time-out has passed. HOT."""
        guard = self._guard
        if self._timeout > 0:
            if ticks_diff(self._deadline, guard.hal.ticks_ms()) <= 0:
                return False
            if ticks_diff(self._deadline, ticks) < 0:
                ticks = self._deadline
        guard.pump(ticks)
        return True

    def _wait_or_fail(self, patience, code):
        """One wait until ticks `patience`; OSError(`code`) where they, or the socket's time-out, have passed."""
        if ticks_diff(patience, self._guard.hal.ticks_ms()) <= 0 or not self._wait_until(patience):
            raise error(code)

    # Connecting

    def connect(self, address):
        """Connects to (host, port); a host name is resolved by the modem. OSError: EDQUOT, ETIMEDOUT, the modem's
        error.

        On a SIM that is slowed down it waits until something may be sent, if non-blocking a minute at the most.
        While the modem is not online it waits for that, a minute at the most (ENETDOWN), on a non-blocking socket too;
        so it does for a connection that is still being closed, where no other is free (ENOBUFS).
        """
        if self._failed:
            raise error(self._failed)
        if self._slot is not None:
            raise error(EISCONN)
        host, port = address[0], address[1]
        if not _is_host(host) or not 0 < port < 65_536:
            raise error(EINVAL)
        guard = self._guard
        self._begin()
        patience = ticks_add(guard.hal.ticks_ms(), _PATIENCE_MS)
        self._keep_pace(patience)
        while not guard.modem.online:
            if not guard.admits(self._class):
                raise error(EDQUOT)
            self._wait_or_fail(patience, ENETDOWN)
        while (slot := guard.modem.free_slot(1)) is None:  # the first one is the reports'
            if not guard.modem.closing():
                raise error(ENOBUFS)
            self._wait_or_fail(patience, ENOBUFS)
        name_octets = 0 if host.replace(".", "").isdigit() else len(host)
        if not guard.gate.open(self._class, self._tcp, name_octets):
            raise error(EDQUOT)
        slot.open(self._tcp, host, port)
        slot.traffic_class = self._class
        slot.owner = self
        guard.work = True
        self._slot = slot
        self._peer = (host, port)
        if self._timeout == 0:
            raise error(EINPROGRESS)
        while slot.state == OPENING and self._wait():
            pass
        if slot.state != OPEN:
            self._slot = None
            code = slot.errno or ETIMEDOUT
            slot.close()
            raise error(code)

    def _keep_pace(self, patience):
        """Waits while the SIM is slowed down: who closes sends at once, and would not be slowed by that alone."""
        guard = self._guard
        while guard.shaper.slowed_ms():
            now = guard.hal.ticks_ms()
            if not guard.admits(self._class):
                raise error(EDQUOT)
            if self._timeout == 0 and ticks_diff(patience, now) <= 0:
                raise error(ENETDOWN)
            if not self._wait_until(ticks_add(now, min(guard.shaper.slowed_ms(), _PATIENCE_MS))):
                raise error(ETIMEDOUT)

    # The cork

    def _end(self, code):
        """The socket is of no use any more; every later call raises OSError(`code`)."""
        if not self._failed:
            self._failed = code
            if self._slot is not None:
                self._slot.close()
                self._guard.work = True

    def _fail(self, code):
        self._end(code)
        raise error(code)

    def _check_open(self, slot):
        if slot.state != OPEN:
            self._fail(slot.errno or ECONNRESET)

    def _live(self):
        slot = self._slot
        if self._failed:
            raise error(self._failed)
        if slot is None:
            raise error(ENOTCONN)
        return slot

    def _push(self, slot):
        """Hands what is corked to the modem if it is free to take it. HOT."""
        if slot.tx.any():
            if not slot.uncork(self._guard.gate):
                self._fail(EDQUOT)
            self._guard.work = True

    def _flush(self, slot):
        """Waits until the cork has room again; False on a non-blocking socket, ETIMEDOUT when its time is up. HOT."""
        self._begin()
        while True:
            self._push(slot)
            if slot.tx.any() < SEGMENT:
                return True
            self._check_open(slot)
            if not self._may_wait():
                return False

    def write(self, buf, n=-1):
        """Writes `buf` (or its first `n` octets); returns how many were taken, None for none on a non-blocking
        socket. HOT."""
        slot = self._live()
        if slot.state == OPENING and not self._opened(slot):
            return None
        self._check_open(slot)
        if isinstance(buf, str):
            buf = buf.encode()
        if n < 0 or n > len(buf):
            n = len(buf)
        if not self._tcp:
            return self._send_datagram(slot, buf, n)
        done = 0
        while done < n:
            room = SEGMENT - slot.tx.any()
            if room > n - done:
                room = n - done
            if room > 0:
                done += slot.tx.write(buf, done, room)
            if slot.tx.any() >= SEGMENT and not self._flush(slot):
                return done or None
        self._guard.work = True
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
            if self._slot is not None:
                self._slot.close()
                self._slot = self._peer = None
            self.connect(address)
        return self.send(data)

    def _send_datagram(self, slot, buf, n):
        if n > SEGMENT:
            raise error(EMSGSIZE)
        self._begin()
        while slot.state == OPEN and (slot.tx_busy or slot.tx.any()):
            if not self._may_wait():
                return None
        self._check_open(slot)
        slot.tx.write(buf, 0, n)
        self._push(slot)
        return n

    # Reading

    def _fill(self, buf, n):
        """Up to `n` octets into `buf`; 0 at the end, None where there is nothing yet and no waiting. HOT."""
        slot = self._live()
        if n == 0:
            return 0
        self._begin()
        tried = False
        while True:
            self._push(slot)
            got = slot.rx.readinto(buf, n)
            if got:
                if slot.rx.any() and not self._tcp:
                    drain(slot.rx)  # the rest of the datagram
                self._guard.work = True  # there is room for more now
                return got
            if slot.state == PEER_CLOSED or slot.state == FREE:
                return 0
            if slot.state != OPEN and slot.state != OPENING:
                self._fail(slot.errno or ECONNRESET)
            if not self._guard.admits(self._class):
                self._fail(EDQUOT)
            if self._timeout == 0:
                if tried:
                    return None
                # A caller that polls without waiting would stop the clock: a fruitless read costs a millisecond.
                tried = True
                self._guard.pump(ticks_add(self._guard.hal.ticks_ms(), 1))
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
        if not ready:  # as in `_fill`: a fruitless poll costs a millisecond
            self._guard.pump(ticks_add(self._guard.hal.ticks_ms(), 1))
            ready = self.poll_ready(arg)
        return ready

    def poll_ready(self, wanted):
        """What of `wanted` (POLLIN, POLLOUT) would not wait now, and POLLHUP, POLLERR; does not wait itself."""
        slot = self._slot
        if slot and not self._failed and not slot.uncork(self._guard.gate):
            self._end(EDQUOT)  # raised by the next call: who polls many sockets must not fail for one
        if self._failed or slot is None:
            return wanted & (_POLL_RD | _POLL_WR) | _POLL_ERR
        if slot.state == OPENING:
            return 0
        if slot.state != OPEN:
            return wanted & _POLL_RD | _POLL_HUP
        ready = 0
        if slot.rx.any():
            ready = _POLL_RD
        if slot.tx.any() < SEGMENT:
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
        slot = self._slot
        if slot is not None and not self._failed:
            slot.finish(self._guard.gate)
            self._guard.work = True
        self._failed = EBADF
        self._slot = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
