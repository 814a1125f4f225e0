"""Check sums of stored records, in 16-bit limbs: a 32-bit CRC is a heap object on a 32-bit board.

All functions are free of allocation. Indexes past the end of a buffer raise IndexError.
"""

# CRC of each nibble by the reflected IEEE 802.3 polynomial 0xEDB88320, split into its two limbs.
_HI = (
    0x0000, 0x1DB7, 0x3B6E, 0x26D9, 0x76DC, 0x6B6B, 0x4DB2, 0x5005,
    0xEDB8, 0xF00F, 0xD6D6, 0xCB61, 0x9B64, 0x86D3, 0xA00A, 0xBDBD,
)  # fmt: skip
_LO = (
    0x0000, 0x1064, 0x20C8, 0x30AC, 0x4190, 0x51F4, 0x6158, 0x713C,
    0x8320, 0x9344, 0xA3E8, 0xB38C, 0xC2B0, 0xD2D4, 0xE278, 0xF21C,
)  # fmt: skip

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
    hi ^= 0xFFFF
    lo ^= 0xFFFF
    out[at] = lo & 0xFF
    out[at + 1] = lo >> 8
    out[at + 2] = hi & 0xFF
    out[at + 3] = hi >> 8


def crc32_ok(buf, n, at):
    """Whether buf[at:at + 4] holds the CRC-32 of buf[0:n]."""
    crc32_into(buf, n, _sum, 0)
    return (
        _sum[0] == buf[at] and _sum[1] == buf[at + 1] and _sum[2] == buf[at + 2] and _sum[3] == buf[at + 3]
    )


def crc16(buf, n):
    """CRC-16 of buf[0:n]: polynomial 0x1021, start 0xFFFF, not reflected (CRC-16/IBM-3740)."""
    crc = 0xFFFF
    for i in range(n):
        octet = buf[i]
        # A nibble times 0x1021 carries nothing: its three copies do not overlap.
        crc = (crc << 4 & 0xFFFF) ^ (crc >> 12 ^ octet >> 4) * 0x1021
        crc = (crc << 4 & 0xFFFF) ^ (crc >> 12 ^ octet & 15) * 0x1021
    return crc
