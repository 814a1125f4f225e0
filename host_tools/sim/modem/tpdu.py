"""SMS TPDUs and their alphabets (3GPP TS 23.040, TS 23.038), as far as text mode needs them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
}
_EXTENSION[0x65] = "€"
_TO_BASIC = {char: code for code, char in enumerate(_BASIC)}
_TO_EXTENSION = {char: code for code, char in _EXTENSION.items()}
ESCAPE = 0x1B

DELIVER, SUBMIT = 0, 1  # TP-MTI
GSM7, OCTETS, UCS2 = 0, 4, 8  # TP-DCS, general data coding group without class
_DIGITS = "0123456789*#abc"


@dataclass(slots=True)
class Message:
    """What text mode shows of a TPDU."""

    kind: int
    number: str
    first: int = 0
    reference: int = 0
    protocol: int = 0
    coding: int = GSM7
    validity: int = 0
    stamp: str = ""  # "yy/MM/dd,hh:mm:ss±zz" of a DELIVER
    header: bytes = b""  # user data header with its length octet
    data: bytes = b""  # user data behind the header: septets, one an octet, where the coding is GSM7

    @property
    def alphabet(self) -> int:
        """GSM7, OCTETS or UCS2 (TS 23.038 clause 4)."""
        if self.coding & 0xF0 == 0xF0:
            return OCTETS if self.coding & 4 else GSM7
        return self.coding & 0x0C if self.coding & 0xC0 == 0 else GSM7

    def text(self) -> str:
        if self.alphabet == GSM7:
            return from_septets(self.data)
        if self.alphabet == UCS2:
            return self.data.decode("utf-16-be", "replace")
        return self.data.hex().upper()


def to_septets(text: str) -> bytes:
    """The GSM 7-bit default alphabet, one septet an octet; ValueError for a character that is not in it."""
    out = bytearray()
    for char in text:
        code = _TO_BASIC.get(char)
        if code is None:
            code = _TO_EXTENSION.get(char)
            if code is None:
                raise ValueError(f"{char!r} is not in the GSM alphabet")
            out.append(ESCAPE)
        out.append(code)
    return bytes(out)


def from_septets(data: bytes) -> str:
    out: list[str] = []
    escaped = False
    for code in data:
        if code == ESCAPE and not escaped:
            escaped = True
            continue
        out.append(_EXTENSION.get(code, " ") if escaped else _BASIC[code & 0x7F])
        escaped = False
    return "".join(out)


def pack_septets(data: bytes, fill: int = 0) -> bytes:
    """Septets in octets (TS 23.038 6.1.2.1), after `fill` bits."""
    bits = sum((septet & 0x7F) << (fill + 7 * at) for at, septet in enumerate(data))
    return bits.to_bytes((fill + 7 * len(data) + 7) // 8, "little")


def unpack_septets(data: bytes, count: int, fill: int = 0) -> bytes:
    bits = int.from_bytes(data, "little") >> fill
    return bytes((bits >> (7 * at)) & 0x7F for at in range(count))


def pack_address(number: str) -> bytes:
    """A number, + for an international one, as TP-DA (TS 23.040 9.1.2.5); ValueError if it is none."""
    digits = number.lstrip("+")
    if not 1 <= len(digits) <= 20 or any(char not in _DIGITS for char in digits.lower()):
        raise ValueError(f"{number!r} is not a telephone number")
    return bytes((len(digits), 0x91 if number.startswith("+") else 0x81)) + semi_octets(digits)


def semi_octets(digits: str) -> bytes:
    nibbles = [_DIGITS.index(char) for char in digits.lower()]
    if len(nibbles) % 2:
        nibbles.append(15)
    return bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _from_semi_octets(data: bytes) -> str:
    return "".join((_DIGITS + "f")[n] for octet in data for n in (octet & 15, octet >> 4)).rstrip("f")


def parse(data: bytes) -> Message:
    """Reads a DELIVER or SUBMIT; ValueError when it is neither or malformed."""
    try:
        return _parse(data)
    except IndexError:
        raise ValueError("truncated TPDU") from None


def _parse(data: bytes) -> Message:
    first = data[0]
    message = Message(first & 3, "", first)
    if message.kind not in (DELIVER, SUBMIT):
        raise ValueError(f"TP-MTI {message.kind} is neither DELIVER nor SUBMIT")
    at = 1
    if message.kind == SUBMIT:
        message.reference = data[at]
        at += 1
    digits, kind = data[at], data[at + 1]
    end = at + 2 + (digits + 1) // 2
    if digits > 20 or end > len(data):
        raise ValueError("malformed address")
    if kind & 0x70 == 0x50:  # alphanumeric
        message.number = from_septets(unpack_septets(data[at + 2 : end], digits * 4 // 7))
    else:
        message.number = ("+" if kind & 0x70 == 0x10 else "") + _from_semi_octets(data[at + 2 : end])
    message.protocol, message.coding = data[end], data[end + 1]
    at = end + 2
    if message.kind == DELIVER:
        message.stamp = _stamp(data[at : at + 7])
        at += 7
    elif first & 0x18:  # TP-VPF: relative has one octet, the others seven
        size = 1 if first & 0x18 == 0x10 else 7
        message.validity = data[at] if size == 1 else 0
        at += size
    length, body = data[at], data[at + 1 :]
    header = body[: body[0] + 1] if first & 0x40 and body else b""
    message.header = header
    if message.alphabet == GSM7:
        fill = -len(header) * 8 % 7
        skipped = (len(header) * 8 + fill) // 7
        if len(body) < (length * 7 + 7) // 8 or skipped > length:
            raise ValueError("truncated user data")
        message.data = unpack_septets(body[len(header) :], length - skipped, fill)
    else:
        if len(body) < length or len(header) > length:
            raise ValueError("truncated user data")
        message.data = body[len(header) : length]
    return message


def _stamp(data: bytes) -> str:
    two = [f"{octet & 15}{octet >> 4}" for octet in data]
    if len(two) < 7:
        raise IndexError
    zone = (data[6] & 7) * 10 + (data[6] >> 4)
    sign = "-" if data[6] & 8 else "+"
    return f"{two[0]}/{two[1]}/{two[2]},{two[3]}:{two[4]}:{two[5]}{sign}{zone:02}"


def _user_data(coding: int, data: bytes) -> bytes:
    septets = Message(SUBMIT, "", coding=coding).alphabet == GSM7
    if len(data) > (160 if septets else 140):
        raise ValueError("user data too long for one message")
    return bytes((len(data),)) + (pack_septets(data) if septets else data)


def submit(message: Message) -> bytes:
    """An SMS-SUBMIT of a message without user data header. `data` is septets for GSM7, octets otherwise."""
    validity = bytes((message.validity,)) if message.first & 0x18 == 0x10 else b""
    return (
        bytes((message.first & ~3 | SUBMIT, message.reference))
        + pack_address(message.number)
        + bytes((message.protocol, message.coding))
        + validity
        + _user_data(message.coding, message.data)
    )


def deliver(sender: str, coding: int, data: bytes, when: datetime, zone: int = 32) -> bytes:
    """An SMS-DELIVER as the service centre sends it; `when` is local time, `zone` its quarter hours."""
    stamp = semi_octets(f"{when:%y%m%d%H%M%S}") + bytes(
        (abs(zone) % 10 << 4 | abs(zone) // 10 | (8 if zone < 0 else 0),)
    )
    return bytes((0x04,)) + pack_address(sender) + bytes((0, coding)) + stamp + _user_data(coding, data)
