"""What the firmware takes from MicroPython, for where there is none: on CPython."""


def const(value):
    """MicroPython's compile-time constant; the identity elsewhere."""
    return value


class RingIO:
    """The part of `micropython.RingIO` that the firmware uses."""

    def __init__(self, size):
        self._size = size
        self._data = bytearray()

    def any(self):
        """Octets that can be read."""
        return len(self._data)

    def write(self, buf, off, n):
        """Appends up to `n` octets of `buf` from `off`; returns how many fitted."""
        n = min(n, self._size - len(self._data), len(buf) - off)
        self._data += buf[off : off + n]
        return n

    def readinto(self, buf, n):
        """Moves up to `n` octets to the start of `buf`; returns how many, None when empty."""
        data = self._data
        if not data:
            return None
        n = min(n, len(data), len(buf))
        buf[:n] = data[:n]
        del data[:n]
        return n or None
