"""Encodes and decodes the part of CBOR (RFC 8949) that records need, in deterministic form (section 4.2.1).

Integers of -2**64 .. 2**64 - 1, bytes, ASCII str, list, dict, bool and None. Anything else, in a value or in octets,
raises ValueError, as input may come from anybody.
"""

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP = (major << 5 for major in range(6))
_SIMPLES = {0xF4: False, 0xF5: True, 0xF6: None}
_KEYS = (int, bytes, str)
_DEPTH = 8  # of nested arrays and maps; a board's stack is small


def encode(value):
    """The octets of `value`."""
    out = bytearray()
    _encode(out, value)
    return bytes(out)


def decode(octets):
    """The value in `octets`, which must contain exactly one. ValueError otherwise."""
    octets = bytes(octets)
    value, end = _decode(octets, 0, _DEPTH)
    if end != len(octets):
        raise ValueError("CBOR: left over")
    return value


def _encode(out, value):
    kind = type(value)  # an isinstance would take a bool for an int
    if kind is int:
        _head(out, *((_UINT, value) if value >= 0 else (_NINT, -1 - value)))
    elif kind is bytes:
        _head(out, _BYTES, len(value))
        out.extend(value)
    elif kind is str:
        octets = value.encode()
        if len(octets) != len(value):
            raise ValueError("CBOR: not ASCII")
        _head(out, _TEXT, len(octets))
        out.extend(octets)
    elif kind is list or kind is tuple:
        _head(out, _ARRAY, len(value))
        for item in value:
            _encode(out, item)
    elif kind is dict:
        _head(out, _MAP, len(value))
        keys = {}
        for key in value:
            if type(key) not in _KEYS:
                raise ValueError("CBOR: key type")
            keys[encode(key)] = key
        for octets in sorted(keys):
            out.extend(octets)
            _encode(out, value[keys[octets]])
    elif value is None or kind is bool:
        out.append(0xF6 if value is None else 0xF5 if value else 0xF4)
    else:
        raise ValueError("CBOR: type")


def _head(out, major, n):
    if n < 24:
        out.append(major | n)
        return
    for power in range(4):
        if n >> (8 << power) == 0:
            out.append(major | 24 + power)
            out.extend(n.to_bytes(1 << power, "big"))
            return
    raise ValueError("CBOR: beyond 64 bits")


def _decode(octets, at, depth):
    """The value at octets[at:], and the offset of its end."""
    if at >= len(octets):
        raise ValueError("CBOR: cut short")
    head = octets[at]
    at += 1
    if head in _SIMPLES:
        return _SIMPLES[head], at
    major = head & 0xE0
    n = head & 0x1F
    if major > _MAP:
        raise ValueError("CBOR: type")
    if n >= 24:
        n, at = _long(octets, at, n - 24)
    if major == _UINT:
        return n, at
    if major == _NINT:
        return -1 - n, at
    if major in (_BYTES, _TEXT):
        end = at + n
        if end > len(octets):
            raise ValueError("CBOR: cut short")
        value = octets[at:end]
        if major == _BYTES:
            return value, end
        if value and max(value) > 127:
            raise ValueError("CBOR: not ASCII")
        return value.decode(), end
    if not depth:
        raise ValueError("CBOR: too deep")
    if major == _ARRAY:
        items = []
        for _ in range(n):
            value, at = _decode(octets, at, depth - 1)
            items.append(value)
        return items, at
    table = {}
    last = b""
    for _ in range(n):
        key, end = _decode(octets, at, depth - 1)
        if type(key) not in _KEYS or octets[at:end] <= last:
            raise ValueError("CBOR: key order")
        last = octets[at:end]
        table[key], at = _decode(octets, end, depth - 1)
    return table, at


def _long(octets, at, power):
    """The argument in the 2**power octets at octets[at:], and the offset of its end."""
    end = at + (1 << power)
    if power > 3 or end > len(octets):
        raise ValueError("CBOR: cut short")
    n = int.from_bytes(octets[at:end], "big")
    if n < (1 << (4 << power) if power else 24):
        raise ValueError("CBOR: not shortest")
    return n, end
