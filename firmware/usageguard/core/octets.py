"""Counters of octets that never allocate: two integers, each a small int on a 32-bit board.

A small int on an ESP32 has 31 bits, so that a single integer would become a heap object at 1 GiB. A counter here goes
up to 2**54 - 1 octets (16 PiB) and stays there; it never wraps.
"""

from struct import pack_into, unpack_from

WIDTH = 7  # octets a stored counter takes: lo in 3, hi in 4, little-endian
MAX = (1 << 54) - 1
_BASE_BITS = 24
_LO_MAX = 0xFFFFFF
_HI_MAX = 0x3FFFFFFF
_STORED = "<HBI"  # lo in 3 octets, hi in 4


class Octets:
    """A count of octets, 0..MAX, equal to `hi * 2**24 + lo` (hi < 2**30, lo < 2**24).

    All methods except `__init__`, `value` and `unpack_from` are free of allocation.
    """

    def __init__(self, n=0):
        """Counts `n` octets, 0..MAX; ValueError outside."""
        if not 0 <= n <= MAX:
            raise ValueError("octets out of range")
        self.hi = n >> _BASE_BITS
        self.lo = n & _LO_MAX

    def value(self):
        """The count as one integer; a big int on a 32-bit board from 2**30 on."""
        return (self.hi << _BASE_BITS) | self.lo

    def set(self, other):
        """Sets the count to that of `other`."""
        self.hi = other.hi
        self.lo = other.lo

    def add(self, n):
        """Adds `n`, 0 <= n < 2**29. ValueError outside, as a negative count would be an under-count."""
        if not 0 <= n < 0x20000000:
            raise ValueError("octets out of range")
        n += self.lo
        if n <= _LO_MAX:
            self.lo = n
        else:
            self._carry(n, 0)

    def add_octets(self, other):
        """Adds the count of `other`."""
        self._carry(self.lo + other.lo, other.hi)

    def _carry(self, lo, hi):
        carry = lo >> _BASE_BITS
        if self.hi > _HI_MAX - hi - carry:
            self.hi = _HI_MAX
            self.lo = _LO_MAX
        else:
            self.hi += hi + carry
            self.lo = lo & _LO_MAX

    def sub(self, other):
        """Subtracts `other`. ValueError, and nothing is changed, if it is larger."""
        if self.less(other):
            raise ValueError("octets below zero")
        lo = self.lo - other.lo
        self.hi += (lo >> _BASE_BITS) - other.hi
        self.lo = lo & _LO_MAX

    def less(self, other):
        """Whether this count is less than that of `other`."""
        return self.lo < other.lo if self.hi == other.hi else self.hi < other.hi

    def diff(self, other):
        """`self - other`, clamped to +-(2**30 - 1), a small int on every board."""
        lo = self.lo - other.lo
        hi = self.hi - other.hi + (lo >> _BASE_BITS)
        if hi >= 64:
            return 0x3FFFFFFF
        if hi < -64 or (hi == -64 and not lo & _LO_MAX):
            return -0x3FFFFFFF
        return (hi << _BASE_BITS) + (lo & _LO_MAX)

    def pack_into(self, buf, off):
        """Stores WIDTH octets at buf[off:]: lo in 3, hi in 4, little-endian."""
        pack_into(_STORED, buf, off, self.lo & 0xFFFF, self.lo >> 16, self.hi)

    def unpack_from(self, buf, off):
        """Reads what `pack_into` stored. ValueError, and nothing is changed, if it exceeds MAX."""
        low, high, hi = unpack_from(_STORED, buf, off)
        if hi > _HI_MAX:
            raise ValueError("octets out of range")
        self.lo = low | high << 16
        self.hi = hi
