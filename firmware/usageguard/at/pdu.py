"""SMS-SUBMIT with 8-bit user data, as a PDU for AT+CMGS (3GPP TS 23.040 9.2.2.2, TS 27.005 4.3)."""

from usageguard.compat import const

MAX_USER_OCTETS = const(140)  # 3GPP TS 23.040 9.2.3.24
_MAX_DIGITS = const(20)  # 3GPP TS 23.040 9.1.2.5
_HEX = b"0123456789ABCDEF"


def submit(number, octets):
    """A message of `octets` (0..140) to `number` (ASCII digits, a leading "+" for the international form).

    Returns (pdu, length): the PDU in hexadecimal ASCII, with an empty service centre address so that the
    SIM's own is taken, and the length that AT+CMGS wants, which leaves that address out. ValueError for
    anything else.
    """
    digits = number[1:] if number[:1] == "+" else number
    if not 1 <= len(digits) <= _MAX_DIGITS or any(c not in "0123456789" for c in digits):
        raise ValueError("SMS number: 1 to 20 digits, with a leading + for the international form")
    if len(octets) > MAX_USER_OCTETS:
        raise ValueError("SMS: more than 140 octets")
    tpdu = bytearray()
    tpdu.append(0x01)  # TP-MTI SMS-SUBMIT, no validity period, no status report
    tpdu.append(0)  # TP-MR: the modem numbers the message
    tpdu.append(len(digits))
    tpdu.append(0x91 if number[:1] == "+" else 0x81)  # international or unknown; ISDN numbering plan
    for i in range(0, len(digits), 2):  # semi-octets, low nibble first, filled with F
        high = int(digits[i + 1]) if i + 1 < len(digits) else 0xF
        tpdu.append(high << 4 | int(digits[i]))
    tpdu.append(0)  # TP-PID
    tpdu.append(0x04)  # TP-DCS: 8-bit data, no class (3GPP TS 23.038 4)
    tpdu.append(len(octets))
    tpdu.extend(octets)
    pdu = bytearray(b"00")
    for octet in tpdu:
        pdu.append(_HEX[octet >> 4])
        pdu.append(_HEX[octet & 15])
    return bytes(pdu), len(tpdu)
