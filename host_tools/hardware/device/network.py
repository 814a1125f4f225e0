# type: ignore - MicroPython, which pyright takes for CPython
# ruff: noqa: SIM115
"""The virtual board's replacement for what the ESP32 port has of lwIP: `network.PPP`, and `socket` over it.

The supervisor does it (`host_tools.hardware.lwip`), over the descriptor that it names; the numbers of requests are
those of `host_tools/sim/lwip.py`. As far as the firmware uses it.
"""

import io
import os

AF_INET, SOCK_STREAM, SOCK_DGRAM = 2, 1, 2
_DATA, _END, _ERROR = 1, 2, 3
_POLL, _CLOSE = 3, 4  # stream requests of py/stream.h
_EAGAIN = 11

_link = open(int(os.getenv("BOARD_LWIP")), "r+b", 0)


def _request(what, arg=0, payload=b""):
    _link.write(bytes((what, len(payload) & 255, len(payload) >> 8)) + arg.to_bytes(4, "little") + payload)
    n = int.from_bytes(_link.read(2), "little")
    return _link.read(n) if n else b""


class PPP:
    def __init__(self, stream):
        self._stream = stream
        self._buffer = bytearray(256)

    def config(self, stream):
        self._stream = stream
        _request(3, 0 if stream is None else 1)

    def connect(self):
        error = _request(1, 1)[0]
        if error:
            raise OSError(error)

    def disconnect(self):
        _request(2)

    def status(self):
        status = _request(4)[0]
        return status - ((status & 0x80) << 1)

    def poll(self):
        total = 0
        while self._stream is not None:
            n = self._stream.readinto(self._buffer)
            if not n:
                break
            _request(0, 0, bytes(self._buffer[:n]))
            total += n
        return total

    def ifconfig(self):
        octets = _request(5)
        return tuple(".".join(str(octet) for octet in octets[at : at + 4]) for at in range(0, 16, 4))


def _octets(address):
    return bytes(int(part) for part in address[0].split("."))


class socket(io.IOBase):  # noqa: N801
    def __init__(self, family=AF_INET, kind=SOCK_STREAM):
        self._number = int.from_bytes(_request(6, 1 if kind == SOCK_STREAM else 0), "little")

    def setblocking(self, flag):
        pass

    def bind(self, address):
        _request(12, self._number, _octets(address))

    def connect(self, address):
        octets = _octets(address)
        error = _request(7, self._number | address[1] << 16, octets)[0]
        if error:
            raise OSError(error)

    def readinto(self, buf, n=-1):
        got = _request(8, self._number | (len(buf) if n < 0 else n) << 16)
        if got[0] == _DATA:
            buf[: len(got) - 1] = got[1:]
            return len(got) - 1
        if got[0] == _ERROR:
            raise OSError(got[1])
        return 0 if got[0] == _END else None

    def write(self, buf, off=0, n=-1):
        n = len(buf) - off if n < 0 else n
        taken = int.from_bytes(_request(9, self._number, bytes(buf[off : off + n])), "little")
        if taken & 0x80000000:
            if (1 << 32) - taken == _EAGAIN:
                return None
            raise OSError((1 << 32) - taken)
        return taken

    def ioctl(self, op, arg):
        if op == _POLL:
            return _request(10, self._number | arg << 16)[0]
        if op == _CLOSE:
            self.close()
        return 0

    def close(self):
        if self._number:
            number, self._number = self._number, 0
            _request(11, number)
