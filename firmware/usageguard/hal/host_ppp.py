"""MicroPython's `network.PPP`, `socket` and `select` as a port with lwIP has them, for the simulator, as far as the
firmware uses them. They ask the simulated board, whose `host_tools/sim/lwip.py` speaks PPP over its UART."""

from usageguard.compat import const

SOCK_STREAM = 1

_POLL = const(0)
_CONNECT = const(1)
_DISCONNECT = const(2)
_STREAM = const(3)
_STATUS = const(4)
_ADDRESSES = const(5)
_SOCKET = const(6)
_CONNECT_SOCKET = const(7)
_READ = const(8)
_WRITE = const(9)
_READY = const(10)
_CLOSE = const(11)
_BIND = const(12)
_DATA = const(1)
_END = const(2)
_ERROR = const(3)
_LONGEST = const(1460)
_EAGAIN = const(11)

_hal = None


class Parts:
    """See `hal.interface`. Every wait ends when something happens to a socket."""

    def __init__(self, hal):
        global _hal
        _hal = hal
        self.ppp = PPP()
        self.uart = hal
        self.socket = self.select = Modules()

    def listen(self, handler):
        pass

    def watch(self, socket, events):
        pass


class Modules:
    """What is used of `socket` and `select`."""

    AF_INET = 2
    SOCK_STREAM = SOCK_STREAM
    SOCK_DGRAM = 2

    def socket(self, family, kind):
        return Socket(kind == SOCK_STREAM)

    def poll(self):
        return Poll()


class PPP:
    def __init__(self):
        self._four = bytearray(4)
        self._one = bytearray(1)

    def config(self, stream):
        if stream is None:
            _hal._request(_STREAM, 0, None, 0, None)
        else:  # what a wait has brought along goes back to the UART, for lwIP
            unread = bytearray(_hal._ring.any())
            _hal._ring.readinto(unread, len(unread))
            _hal._request(_STREAM, 1, unread, len(unread), None)

    def connect(self):
        _hal._request(_CONNECT, 1, None, 0, self._one)
        if self._one[0]:
            raise OSError(self._one[0], "ppp")

    def disconnect(self):
        _hal._request(_DISCONNECT, 0, None, 0, None)

    def status(self):
        _hal._request(_STATUS, 0, None, 0, self._one)
        return self._one[0] - ((self._one[0] & 0x80) << 1)

    def poll(self):
        """Octets that it took from the UART."""
        if not _hal._waiting():
            return 0
        four = self._four
        _hal._request(_POLL, 0, None, 0, four)
        return four[0] | four[1] << 8

    def ifconfig(self):
        """(address, mask, gateway, name server)"""
        octets = bytearray(16)
        _hal._request(_ADDRESSES, 0, None, 0, octets)
        return tuple(["%d.%d.%d.%d" % tuple(octets[at : at + 4]) for at in range(0, 16, 4)])


class Socket:
    def __init__(self, tcp):
        number = bytearray(2)
        _hal._request(_SOCKET, 1 if tcp else 0, None, 0, number)
        self.number = number[0] | number[1] << 8
        self._four = bytearray(4)
        self._got = bytearray(1 + _LONGEST)

    def setblocking(self, flag):
        pass

    def bind(self, address):
        _hal._request(_BIND, self.number, _octets(address), 4, None)

    def connect(self, address):
        octets = _octets(address)
        one = bytearray(1)
        _hal._request(_CONNECT_SOCKET, self.number | address[1] << 16, octets, 4, one)
        if one[0]:
            raise OSError(one[0], "socket")

    def readinto(self, buf, n=-1):
        """Octets, 0 at the end, None where there is nothing yet."""
        got = self._got
        n = min(len(buf) if n < 0 else n, _LONGEST)
        n = _hal._request(_READ, self.number | n << 16, None, 0, got) - 1
        if got[0] == _DATA:
            for i in range(n):
                buf[i] = got[1 + i]
            return n
        if got[0] == _ERROR:
            raise OSError(got[1], "socket")
        return 0 if got[0] == _END else None

    def write(self, buf, off=0, n=-1):
        """Octets taken, None for none."""
        if n < 0:
            n = len(buf) - off
        four = self._four
        data = buf if not off else bytes(buf[off : off + n])
        _hal._request(_WRITE, self.number, data, n, four)
        taken = four[0] | four[1] << 8
        if four[3]:  # below zero: an error; of two octets, as four would be an object of the heap on a 32-bit VM
            taken = (1 << 16) - taken
            if taken == _EAGAIN:
                return None
            raise OSError(taken, "socket")
        return taken

    def close(self):
        _hal._request(_CLOSE, self.number, None, 0, None)


def _octets(address):
    return bytes([int(part) for part in address[0].split(".")])


class Poll:
    def __init__(self):
        self._of = []

    def register(self, socket, events):
        self._of.append((socket, events))

    def poll(self, ms):
        one = bytearray(1)
        found = []
        for socket, events in self._of:
            _hal._request(_READY, socket.number | events << 16, None, 0, one)
            if one[0]:
                found.append((socket, one[0]))
        return found
