"""What the octets of a TCP connection are for, by the protocols that show what they are: MQTT, WebSocket and TLS.

Each parser takes the octets of one direction in order, in pieces of any size, and yields (cause, octets). In TLS only
the records show, so that keep-alives inside are payload.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

PAYLOAD, HANDSHAKES, TLS, KEEPALIVES = "payload", "handshakes", "tls", "keepalives"

Share = tuple[str, int]
Parser = Generator[None, bytes, None]
"""Takes the stream's octets by `send`; tells shares by the callable that it was made with."""
Tell = Callable[[str, int], None]

_MQTT_SETS_UP = {1, 2, 8, 9, 10, 11, 14}  # CONNECT, CONNACK, SUBSCRIBE to UNSUBACK, DISCONNECT: OASIS MQTT 3.1.1, 2.2.1
_MQTT_PINGS = {12, 13}
_CHANGE_CIPHER, _ALERT, _HANDSHAKE, _DATA = range(20, 24)  # RFC 8446 5.1
_SERVER_HELLO = 2
_SUPPORTED_VERSIONS = 43
_CHACHA = range(0xCCA8, 0xCCAF)  # RFC 7905
_RECORD_HEADER = 5
_AEAD_1_3 = 17  # tag and type of content
_AEAD_1_2 = 24  # explicit nonce and tag, as of AES-GCM and AES-CCM
_CHACHA_1_2 = 16
_MOST_HEAD = 8192  # octets of an HTTP request's or answer's head


class Conversation:
    """Both directions of one TCP connection. What it is, the first octets of the client say.

    `take(side, octets)` takes octets in order, of the client (0) or the server (1); returns their shares.
    """

    def __init__(self) -> None:
        self._parsers: list[_Side] | None = None
        self._early = bytearray()  # of the client, until they say what it is
        self.modern = False  # TLS 1.3
        self.suite = 0
        self.finished = False  # TLS 1.3: the client's handshake is over
        self.upgrades = False  # an HTTP request asked for a WebSocket

    def take(self, side: int, octets: bytes) -> list[Share]:
        if self._parsers is None:
            if side:  # a server that speaks first: nothing here knows it
                return [(PAYLOAD, len(octets))]
            self._early += octets
            kind = _kind(self._early)
            if kind is None:
                return []
            octets, self._early = bytes(self._early), bytearray()
            self._parsers = [_Side(partial(kind, self, each)) for each in (0, 1)]
        return self._parsers[side].take(octets)

    def rest(self, side: int) -> int:
        """Octets that were taken and are of no share yet."""
        if self._parsers is None:
            return 0 if side else len(self._early)
        return self._parsers[side].unshared


class _Side:
    def __init__(self, parser: Callable[[Tell], Parser]) -> None:
        self._shares: list[Share] = []
        self.unshared = 0
        self._parser = parser(self._tell)
        next(self._parser)

    def _tell(self, cause: str, octets: int) -> None:
        self._shares.append((cause, octets))
        self.unshared -= octets

    def take(self, octets: bytes) -> list[Share]:
        self._shares = []
        self.unshared += len(octets)
        self._parser.send(octets)
        return self._shares


def _kind(start: bytearray) -> Callable[[Conversation, int, Tell], Parser] | None:
    """The parser of a connection whose client begins with `start`; None as long as that is too short."""
    if start[:1] == b"\x16":
        return _tls if start[1:2] in (b"", b"\x03") else _plain
    if start[:1] == b"\x10":
        named = b"MQTT" in start[:12] or b"MQIsdp" in start[:14]
        return _mqtt if named else (_plain if len(start) > 14 else None)
    if b"GET ".startswith(start[:4]) or start[:4] == b"GET ":
        if b"\r\n\r\n" not in start and len(start) < _MOST_HEAD:
            return None
        return _websocket if b"upgrade: websocket" in bytes(start).lower() else _plain
    return _plain


def _plain(_: Conversation, side: int, tell: Tell) -> Parser:
    while True:
        octets = yield
        if octets:
            tell(PAYLOAD, len(octets))


def _skip(buffer: bytearray, n: int, cause: str, tell: Tell) -> Parser:
    """Shares `n` octets, as they come."""
    while n:
        if not buffer:
            buffer += yield
            continue
        part = min(n, len(buffer))
        del buffer[:part]
        tell(cause, part)
        n -= part


def _need(buffer: bytearray, n: int) -> Parser:
    while len(buffer) < n:
        buffer += yield


def _mqtt(_: Conversation, side: int, tell: Tell) -> Parser:
    buffer = bytearray()
    while True:
        length = shift = 0
        at = 1
        while True:  # the remaining length, MQTT 3.1.1 2.2.3
            yield from _need(buffer, at + 1)
            length |= (buffer[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not buffer[at - 1] & 0x80 or at > 4:
                break
        kind = buffer[0] >> 4
        cause = HANDSHAKES if kind in _MQTT_SETS_UP else KEEPALIVES if kind in _MQTT_PINGS else PAYLOAD
        yield from _skip(buffer, at + length, cause, tell)


def _websocket(_: Conversation, side: int, tell: Tell) -> Parser:
    buffer = bytearray()
    while b"\r\n\r\n" not in buffer and len(buffer) < _MOST_HEAD:
        buffer += yield
    yield from _skip(buffer, buffer.find(b"\r\n\r\n") + 4, HANDSHAKES, tell)
    while True:  # RFC 6455 5.2
        yield from _need(buffer, 2)
        opcode, length = buffer[0] & 0xF, buffer[1] & 0x7F
        more = {126: 2, 127: 8}.get(length, 0)
        yield from _need(buffer, 2 + more)
        if more:
            length = int.from_bytes(buffer[2 : 2 + more], "big")
        masked = 4 if buffer[1] & 0x80 else 0
        cause = {8: HANDSHAKES, 9: KEEPALIVES, 10: KEEPALIVES}.get(opcode, PAYLOAD)
        yield from _skip(buffer, 2 + more + masked + length, cause, tell)


def _tls(of: Conversation, side: int, tell: Tell) -> Parser:
    buffer = bytearray()
    while True:
        yield from _need(buffer, _RECORD_HEADER)
        kind, length = buffer[0], int.from_bytes(buffer[3:5], "big")
        if kind == _HANDSHAKE and side and not of.suite:
            yield from _need(buffer, _RECORD_HEADER + length)
            _read_server_hello(of, buffer[_RECORD_HEADER : _RECORD_HEADER + length])
        encrypted_handshake = of.modern and not of.finished
        if kind != _DATA or encrypted_handshake:
            yield from _skip(buffer, _RECORD_HEADER + length, TLS, tell)
            if kind == _DATA and not side:
                of.finished = True
            continue
        overhead = _AEAD_1_3 if of.modern else _CHACHA_1_2 if of.suite in _CHACHA else _AEAD_1_2
        overhead = min(overhead, length)
        yield from _skip(buffer, _RECORD_HEADER + overhead, TLS, tell)
        yield from _skip(buffer, length - overhead, PAYLOAD, tell)


def _read_server_hello(of: Conversation, hello: bytearray) -> None:
    """RFC 8446 4.1.3; the version of TLS 1.3 is an extension."""
    if len(hello) < 39 or hello[0] != _SERVER_HELLO:
        return
    at = 39 + hello[38]
    of.suite = int.from_bytes(hello[at : at + 2], "big")
    at += 5
    while at + 4 <= len(hello):
        extension, length = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
        if extension == _SUPPORTED_VERSIONS:
            of.modern = hello[at + 4 : at + 6] == b"\x03\x04"
        at += 4 + length
