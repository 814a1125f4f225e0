"""CRC-32 of stored records, in two 16-bit halves: a 32-bit integer would be a heap object on a 32-bit board.

All functions are free of allocation. An access past the end of a buffer raises an error.
"""

from struct import pack_into

# The CRC of each nibble by the reflected IEEE 802.3 polynomial, split into its two halves.
_HI = []
_LO = []
for n in range(16):
    for _ in range(4):
        n = n >> 1 ^ (n & 1) * 0xEDB88320
    _HI.append(n >> 16)
    _LO.append(n & 0xFFFF)

_sum = bytearray(4)


def crc32_into(buf, n, out, at):
    """Stores the IEEE CRC-32 of buf[0:n] as 4 octets, little-endian, at out[at:]."""
    hi = lo = 0xFFFF
    for i in range(n):
        lo ^= buf[i]
        k = lo & 15
        lo = (lo >> 4 | (hi & 15) << 12) ^ _LO[k]
        hi = hi >> 4 ^ _HI[k]
        k = lo & 15
        lo = (lo >> 4 | (hi & 15) << 12) ^ _LO[k]
        hi = hi >> 4 ^ _HI[k]
    pack_into("<HH", out, at, lo ^ 0xFFFF, hi ^ 0xFFFF)


def crc32_ok(buf, n, at):
    """Whether buf[at:at + 4] holds the CRC-32 of buf[0:n]."""
    crc32_into(buf, n, _sum, 0)
    for i in range(4):  # noqa: SIM110 - a generator would be an allocation
        if _sum[i] != buf[at + i]:
            return False
    return True
