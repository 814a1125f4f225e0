"""Extracts the report from a short message: 8-bit user data in a single part (3GPP TS 23.040 9.2.2)."""

from __future__ import annotations

_DELIVER = 0
_SUBMIT = 1
# Length of TP-VP by TP-VPF: none, enhanced, relative, absolute (TS 23.040 9.2.3.3).
_VALIDITY_OCTETS = (0, 7, 1, 7)
_TIMESTAMP_OCTETS = 7


def user_data(tpdu: bytes) -> bytes:
    """The user data of an SMS-SUBMIT (sent to the network) or an SMS-DELIVER (received from it).

    Raises ValueError for another type, data that is not 8-bit, or a wrong length.
    """
    if not tpdu:
        raise ValueError("the TPDU is empty")
    first = tpdu[0]
    if first & 0x03 == _SUBMIT:
        address, after_coding = 2, _VALIDITY_OCTETS[first >> 3 & 0x03]
    elif first & 0x03 == _DELIVER:
        address, after_coding = 1, _TIMESTAMP_OCTETS
    else:
        raise ValueError(f"TPDU type {first & 0x03} cannot carry a report")
    try:
        coding_at = address + 2 + (tpdu[address] + 1) // 2 + 1  # after the semi-octets and TP-PID
        coding = tpdu[coding_at]
        length_at = coding_at + 1 + after_coding
        length = tpdu[length_at]
    except IndexError:
        raise ValueError("the TPDU is truncated") from None
    # TS 23.038 4: 00x0 01xx uncompressed 8-bit, 1111 x1xx 8-bit with a class.
    if coding & 0xEC != 0x04 and coding & 0xF4 != 0xF4:
        raise ValueError(f"TP-DCS 0x{coding:02x} is not 8-bit data")
    data = tpdu[length_at + 1 :]
    if len(data) != length:
        raise ValueError(f"TP-UDL is {length}, but {len(data)} bytes follow")
    has_header = first & 0x40  # TP-UDHI
    return data[1 + data[0] :] if has_header and data else data
