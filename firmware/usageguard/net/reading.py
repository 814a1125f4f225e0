"""Reading whole things out of a socket: for convenience, and so with allocations."""

import io

from usageguard.compat import const
from usageguard.modem.connection import RX_OCTETS

EAGAIN = const(11)
SEGMENT = const(1460)  # octets in one AT+QISEND, and in the cork


def error(code):
    """What a socket raises: an OSError with that errno, on CPython too."""
    return OSError(code, "socket")


class Reading(io.IOBase):
    """What a socket offers besides `readinto`. It provides `_fill`, and `_peer`, the address it is connected to."""

    def __init__(self):
        self._peer = None
        self._one = bytearray(1)

    def _fill(self, buf, n):
        """Up to `n` octets into `buf`; 0 at the end, None where there is nothing yet and no waiting."""
        raise NotImplementedError

    def recv(self, n):
        n = min(n, RX_OCTETS)  # there is never more
        buf = bytearray(n)
        got = self._fill(buf, n)
        if got is None:
            raise error(EAGAIN)
        return bytes(memoryview(buf)[:got])

    def recvfrom(self, n):
        return self.recv(n), self._peer

    def read(self, n=-1):
        """Exactly `n` octets, or all until the end; fewer at the end; None: nothing yet on a non-blocking socket."""
        whole = bytearray()
        piece = bytearray(min(n, SEGMENT) if n >= 0 else 256)
        while n < 0 or len(whole) < n:
            want = len(piece) if n < 0 else min(len(piece), n - len(whole))
            got = self._fill(piece, want)
            if got is None:
                return bytes(whole) if whole else None
            if not got:
                break
            whole.extend(memoryview(piece)[:got])
        return bytes(whole)

    def readline(self, n=-1):
        """A line with its end, or what there is before the connection's end; None: nothing yet, as in `read`."""
        line = bytearray()
        while n < 0 or len(line) < n:
            got = self._fill(self._one, 1)
            if got is None and not line:
                return None
            if not got:
                break
            line.extend(self._one)
            if self._one[0] == 10:
                break
        return bytes(line)
