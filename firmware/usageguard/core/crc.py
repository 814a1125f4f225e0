"""CRC-32 of stored records, its low 4 bits and its high 28 apart: a 32-bit integer would be a heap object on a 32-bit
board.

All functions are free of allocation. An access past the end of a buffer raises an error.
"""

from struct import pack_into

# What a nibble makes of the CRC by the reflected IEEE 802.3 polynomial: bits 0 to 3, and the others.
_LO = []
_HI = []
for n in range(16):
    for _ in range(4):
        n = n >> 1 ^ (n & 1) * 0xEDB88320
    _LO.append(n & 15)
    _HI.append(n >> 4)

_sum = bytearray(4)


def crc32_into(buf, n, out, at):
    """Stores the IEEE CRC-32 of buf[0:n] as 4 octets, little-endian, at out[at:]."""
    low, high = _LO, _HI  # locals: no look-up for each octet
    lo = 15
    hi = 0xFFFFFFF
    for i in range(n):
        octet = buf[i]
        k = (lo ^ octet) & 15
        lo = (hi ^ low[k] ^ octet >> 4) & 15
        hi = hi >> 4 ^ high[k]
        k = lo
        lo = (hi ^ low[k]) & 15
        hi = hi >> 4 ^ high[k]
    pack_into("<HH", out, at, lo ^ 15 | (hi & 0xFFF ^ 0xFFF) << 4, hi >> 12 ^ 0xFFFF)


def crc32_ok(buf, n, at):
    """Whether buf[at:at + 4] holds the CRC-32 of buf[0:n]."""
    crc32_into(buf, n, _sum, 0)
    for i in range(4):  # noqa: SIM110 - a generator would be an allocation
        if _sum[i] != buf[at + i]:
            return False
    return True
