"""The HAL on a host: every piece of hardware lives in the simulator, behind one link.

A request is 8 octets (op, 8-bit argument, 16-bit payload length, 32-bit argument, little-endian) and its payload. A
reply, where the op has one, is 8 octets (ticks, UART octets that can be read, payload length) and its payload.
Ticks stand still between replies, because virtual time moves only while the device waits: so `ticks_ms` and an
empty `uart_readinto` cost no round trip. The link is a file descriptor (`FdLink`) or the simulator itself (a direct
call, for property tests).
"""

from array import array

from usageguard.compat import RingIO, const
from usageguard.core.ticks import ticks_add

OP_HELLO = const(0)  # -> reset cause 1, flash sectors 2 (0 = no flash), flow control 1, unique id
OP_WAIT = const(1)  # 0 or 1 for deaf, until (ticks) -> what the UART has, up to 512 octets; nothing where deaf
OP_UART_READ = const(2)  # how many at most -> octets
OP_UART_WRITE = const(3)  # octets, no reply
OP_FLASH_READ = const(4)  # address, payload: 2 octets count -> octets
OP_FLASH_WRITE = const(5)  # address, octets -> ()
OP_FLASH_ERASE = const(6)  # sector -> ()
OP_RETAINED_READ = const(7)  # how many -> octets
OP_RETAINED_WRITE = const(8)  # octets, no reply
OP_RANDOM = const(9)  # how many -> octets
OP_WATCHDOG = const(10)  # time-out in ms, no reply
OP_SET_UTC = const(11)  # second of the day, payload: day 2 octets, no reply
OP_MODEM_POWER = const(12)  # on, no reply
OP_RESET = const(13)  # -> never answered
OP_EVENT = const(14)  # payload: a 4, b 4, ASCII code, no reply
OP_STATUS = const(15)  # payload: JSON, no reply
OP_UART_RATE = const(16)  # baud, 0 for the line's own -> the line's own, 4 octets
OP_RTC = const(17)  # -> seconds, 4 octets
OP_DEEP_SLEEP = const(18)  # ms, 0 for no end -> never answered
OP_PPP = const(19)  # a: the request of `hal.host_ppp` -> its answer
OP_DTR = const(20)  # 1 gives the modem its DTR, 0 takes it away -> whether it is wired, 1 octet

SECTOR_OCTETS = const(4096)
_INBOX = const(512)


def _put32(buf, at, value):
    buf[at] = value & 255
    buf[at + 1] = (value >> 8) & 255
    buf[at + 2] = (value >> 16) & 255
    buf[at + 3] = (value >> 24) & 255


class FdLink:
    """The link over a blocking socket's descriptor: a read fills its buffer, or the bench is gone.

    `tell` makes a request, `answer` then takes its reply, where the op has one, into a buffer and returns how many
    octets it had. `ticks` and `rx_any`, the UART octets that can be read, are those of the last reply.
    """

    in_process = False

    def __init__(self, fd):
        self.ticks = self.rx_any = 0
        self._head = bytearray(8)
        self._reply = bytearray(8)
        self._file = open(fd, "r+b", 0)  # noqa: SIM115 - open for the life of the device
        try:
            from micropython import heap_lock  # noqa: F401 - MicroPython's streams take (buf, n)

            self._send = self._file.write
            self._readinto = self._file.readinto
        except ImportError:
            self._send = self._send_cpython
            self._readinto = self._readinto_cpython

    def _send_cpython(self, buf, n):
        self._file.write(memoryview(buf)[:n])

    def _readinto_cpython(self, buf, n):
        view = memoryview(buf)[:n]
        done = 0
        while done < n:
            got = self._file.readinto(view[done:])
            if not got:
                return done
            done += got
        return done

    def _receive(self, buf, n):
        """Fills `buf[0:n]`; SystemExit when the bench closed the link."""
        if self._readinto(buf, n) != n:
            raise SystemExit(0)

    def tell(self, op, a, arg, payload, n):
        head = self._head
        head[0] = op
        head[1] = a
        head[2] = n & 255
        head[3] = n >> 8
        _put32(head, 4, arg)
        self._send(head, 8)
        if n:
            self._send(payload, n)

    def answer(self, into):
        reply = self._reply
        self._receive(reply, 8)
        self.ticks = reply[0] | reply[1] << 8 | reply[2] << 16 | reply[3] << 24
        self.rx_any = reply[4] | reply[5] << 8
        got = reply[6] | reply[7] << 8
        if got:
            self._receive(into, got)
        return got


class Flash:
    """The ledger's block device, by MicroPython's protocol: erased octets read 0xFF, programming clears bits."""

    def __init__(self, hal, sectors):
        self._hal = hal
        self._sectors = sectors
        self._count = bytearray(2)

    def readblocks(self, block, buf, off=0):
        n = len(buf)
        self._count[0] = n & 255
        self._count[1] = n >> 8
        self._hal._ask(OP_FLASH_READ, 0, block * SECTOR_OCTETS + off, self._count, 2, buf)

    def writeblocks(self, block, buf, off=0):
        self._hal._ask(OP_FLASH_WRITE, 0, block * SECTOR_OCTETS + off, buf, len(buf), None)

    def ioctl(self, op, arg):
        if op == 4:
            return self._sectors
        if op == 5:
            return SECTOR_OCTETS
        if op == 6:
            self._hal._ask(OP_FLASH_ERASE, 0, arg, None, 0, None)
        return 0


class HostHal:
    """See `hal.interface` for the methods; `link` is a `FdLink`, or has what that has."""

    SLICE_MS = 60_000  # virtual time: every wait pumps the guard
    files = False  # a boot's folder is a new one

    def __init__(self, link):
        self.in_process = link.in_process  # in the simulator's own `import socket` must stay the system's
        self._link = link  # its methods are called on it: to call one that was bound allocates, with so many arguments
        self.deaf = False
        self._inbox = bytearray(_INBOX)  # what came with a wait's reply, so that reading it costs no round trip
        self._ring = RingIO(_INBOX)
        hello = bytearray(12)
        self._ask(OP_HELLO, 0, 0, None, 0, hello)
        self._cause = hello[0]
        sectors = hello[1] | hello[2] << 8
        self.flow_control = hello[3] > 0
        self._id = bytes(hello[4:])
        self.flash = Flash(self, sectors) if sectors else None

    def _ask(self, op, a, arg, payload, n, into):
        self._link.tell(op, a, arg, payload, n)
        return self._link.answer(into)

    def ticks_ms(self):
        return self._link.ticks

    def wait(self, until_ms):
        """Returns at `until_ms`, or as soon as the UART has something to read."""
        if self.deaf:
            self._ask(OP_WAIT, 1, until_ms, None, 0, None)
        elif not self._link.rx_any and not self._ring.any():
            self._link.tell(OP_WAIT, 0, until_ms, None, 0)
            got = self._link.answer(self._inbox)
            if got:
                self._ring.write(self._inbox, 0, got)

    def uart_readinto(self, buf, n):
        """Moves up to `n` octets to the start of `buf`; returns how many, 0 where there are none."""
        got = self._ring.readinto(buf, n)
        if got:
            return got
        if not self._link.rx_any:
            return 0
        self._link.tell(OP_UART_READ, 0, n, None, 0)
        return self._link.answer(buf)

    def uart_write(self, buf, n):
        """Sends `buf[0:n]` (n <= 4096)."""
        self._link.tell(OP_UART_WRITE, 0, 0, buf, n)

    def uart_rate(self, baud):
        own = bytearray(4)
        self._ask(OP_UART_RATE, 0, baud, None, 0, own)
        return own[0] | own[1] << 8 | own[2] << 16

    def retained_read(self, buf):
        self._ask(OP_RETAINED_READ, 0, len(buf), None, 0, buf)

    def retained_write(self, buf):
        octets = 4 * len(buf) if isinstance(buf, array) else len(buf)
        self._link.tell(OP_RETAINED_WRITE, 0, 0, buf, octets)

    def reset_cause(self):
        return self._cause

    def unique_id(self):
        return self._id

    def random(self, n):
        out = bytearray(n)
        self._ask(OP_RANDOM, 0, n, None, 0, out)
        return bytes(out)

    def watchdog_feed(self, timeout_ms):
        self._link.tell(OP_WATCHDOG, 0, timeout_ms, None, 0)

    def set_utc(self, day, second):
        self._link.tell(OP_SET_UTC, 0, second, bytes((day & 255, day >> 8)), 2)

    def modem_power(self, on):
        self._link.tell(OP_MODEM_POWER, 1 if on else 0, 0, None, 0)
        return ()

    def modem_dtr(self):
        wired = bytearray(1)

        def dtr(on):
            self._ask(OP_DTR, 1 if on else 0, 0, None, 0, wired)

        dtr(True)
        return dtr if wired[0] else None

    def rtc_s(self):
        seconds = bytearray(4)
        self._ask(OP_RTC, 0, 0, None, 0, seconds)
        return int.from_bytes(seconds, "little")

    def deep_sleep(self, ms):
        self._ask(OP_DEEP_SLEEP, 0, ms, None, 0, None)

    def ppp(self):
        from usageguard.hal.host_ppp import Parts

        return Parts(self)

    def _waiting(self):
        """Octets that the UART has. HOT."""
        return self._link.rx_any

    def _request(self, what, arg, payload, n, into):
        """A request of `hal.host_ppp`; the length of its answer."""
        return self._ask(OP_PPP, what, arg, payload, n, into)

    def reset(self):
        self._ask(OP_RESET, 0, 0, None, 0, None)

    def event(self, code, a=0, b=0):
        """Tells the bench that something happened: an ASCII code and two integers."""
        data = bytearray(8)
        _put32(data, 0, a)
        _put32(data, 4, b)
        data += code.encode()
        self._link.tell(OP_EVENT, 0, 0, data, len(data))

    def status(self, text):
        """Tells the bench the guard's status, as JSON (under 64 KiB)."""
        data = text.encode()
        self._link.tell(OP_STATUS, 0, 0, data, len(data))


def block(hal, ms):
    """Lets `ms` (below 2**29) pass as a C function that does not return would: nobody reads the UART or steps."""
    hal._ask(OP_WAIT, 1, ticks_add(hal.ticks_ms(), ms), None, 0, None)
