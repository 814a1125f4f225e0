"""One confirmable CoAP POST at a time (RFC 7252), without a socket and without a clock.

Octets and ticks go in, octets to be sent come out; the caller owns the datagram path. The request goes to the
resource "r" (SPEC.md, "CoAP exchange"); a response may be piggybacked or separate, confirmable or not.
"""

from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff

# What `step` asks of the caller.
WAIT = const(0)  # nothing now; again in `due_ms`
SEND = const(1)  # send out[0:out_n]
REPLY = const(2)  # send reply[0:4], the empty message that settles what the server sent
FAILED = const(3)  # this exchange is over without a response: said once

# RFC 7252 4.8: ACK_TIMEOUT, ACK_RANDOM_FACTOR 1.5, MAX_RETRANSMIT, MAX_TRANSMIT_WAIT.
_ACK_TIMEOUT_MS = const(2000)
_RANDOM_MS = const(1000)
_TRANSMISSIONS = const(5)
_SEPARATE_MS = const(93000)

_CON = const(0)
_ACK = const(2)
_RST = const(3)
_POST = const(0x02)
_TOKEN_AT = const(4)
_HEAD = const(9)  # header 4, token 2, Uri-Path "r" 2, payload marker 1

_IDLE = const(0)
_SENDING = const(1)  # being (re)transmitted
_ACCEPTED = const(2)  # the server took the request and answers separately
_OVER = const(3)  # refused or reset, not yet told to the caller


class Coap:
    """The client's side of one exchange.

    `random(n)` gives n random octets. `max_payload` octets fit into the preallocated request. `code` is the
    code octet of the last response (0x44 = 2.04 Changed, 0x81 = 4.01 Unauthorized), 0 when there was none.
    """

    def __init__(self, random, max_payload):
        self._random = random
        self.out = bytearray(_HEAD + max_payload)
        self.out_n = 0
        self.reply = bytearray(4)
        self.code = 0
        self._state = _IDLE
        self._reply_due = False
        self._tries = 0
        self._timeout_ms = 0
        self._deadline = 0
        seed = random(2)
        self._message_id = seed[0] << 8 | seed[1]

    @property
    def busy(self):
        """An exchange has begun and is neither answered nor failed."""
        return self._state != _IDLE

    def begin(self, now, payload):
        """Lays out the request for `payload` in out[0:out_n]; the next `step` says SEND. Ends a running one.

        ValueError when the payload is longer than `max_payload`.
        """
        out = self.out
        n = len(payload)
        if _HEAD + n > len(out):
            raise ValueError("payload too long")
        self._message_id = (self._message_id + 1) & 0xFFFF
        # Two random octets only pair a response with its request; whom to believe the MAC inside settles.
        token = self._random(3)
        out[0] = 0x42  # version 1, CON, token of 2 octets
        out[1] = _POST
        out[2] = self._message_id >> 8
        out[3] = self._message_id & 0xFF
        out[4] = token[0]
        out[5] = token[1]
        out[6] = 0xB1  # option 11, Uri-Path, of 1 octet
        out[7] = 0x72  # "r"
        out[8] = 0xFF
        out[_HEAD : _HEAD + n] = payload
        self.out_n = _HEAD + n
        self.code = 0
        self._tries = 0
        self._timeout_ms = _ACK_TIMEOUT_MS + _RANDOM_MS * token[2] // 255
        self._deadline = now
        self._state = _SENDING

    def abort(self):
        """Forgets the running exchange; a late response will be reset."""
        self._state = _IDLE

    def step(self, now):
        """WAIT, SEND, REPLY or FAILED. HOT: allocates nothing."""
        if self._reply_due:
            self._reply_due = False
            return REPLY
        if self._state == _IDLE or (self._state != _OVER and ticks_diff(now, self._deadline) < 0):
            return WAIT
        if self._state == _SENDING and self._tries < _TRANSMISSIONS:
            self._tries += 1
            self._deadline = ticks_add(now, self._timeout_ms)
            self._timeout_ms <<= 1
            return SEND
        self._state = _IDLE
        return FAILED

    def due_ms(self, now):
        """Milliseconds until `step` has something to say; -1 when idle."""
        if self._reply_due or self._state == _OVER:
            return 0
        if self._state == _IDLE:
            return -1
        return max(0, ticks_diff(self._deadline, now))

    def receive(self, now, buf, n):
        """Takes the datagram buf[0:n]. The payload of a successful response to this exchange ends it and is
        returned as bytes; anything else gives None (and where the server refused, `step` says FAILED)."""
        if n < 4 or buf[0] >> 6 != 1:
            return None
        kind = buf[0] >> 4 & 3
        code = buf[1]
        out = self.out
        running = self._state == _SENDING or self._state == _ACCEPTED
        acked = running and kind >= _ACK and buf[2] == out[2] and buf[3] == out[3]
        if not code:
            if acked and kind == _RST:
                self._state = _OVER
            elif acked and self._state == _SENDING:
                self._state = _ACCEPTED
                self._deadline = ticks_add(now, _SEPARATE_MS)
            elif kind == _CON:
                self._settle(_RST, buf)  # a ping (RFC 7252 4.3)
            return None
        if kind == _RST or (kind == _ACK and not acked):
            return None
        at = _payload_at(buf, n) if running and self._is_response(buf, n) else -1
        if kind == _CON:
            # A reset also ends the repeats of a response that was taken already.
            self._settle(_RST if at < 0 else _ACK, buf)
        if at < 0:
            return None
        self.code = code
        if code >> 5 != 2:
            self._state = _OVER
            return None
        self._state = _IDLE
        return bytes(memoryview(buf)[at:n])

    def _is_response(self, buf, n):
        out = self.out
        return (
            n >= 6
            and buf[0] & 0x0F == 2
            and buf[4] == out[_TOKEN_AT]
            and buf[5] == out[_TOKEN_AT + 1]
            and buf[1] >> 5 >= 2
        )

    def _settle(self, kind, buf):
        self.reply[0] = 0x40 | kind << 4
        self.reply[2] = buf[2]
        self.reply[3] = buf[3]
        self._reply_due = True


def _payload_at(buf, n):
    """Where the payload of a response with a token of 2 octets starts (n: it has none); -1 when the options
    are malformed or one is critical, which this client knows none of (RFC 7252 3.1, 5.4.1)."""
    at = 6
    number = 0
    while at < n:
        if buf[at] == 0xFF:
            return at + 1 if at + 1 < n else -1
        delta = buf[at] >> 4
        length = buf[at] & 0x0F
        delta_octets = max(0, delta - 12)
        length_octets = max(0, length - 12)
        at += 1
        if delta == 15 or length == 15 or at + delta_octets + length_octets > n:
            return -1
        number += _extended(delta, buf, at)
        if number & 1:
            return -1
        at += delta_octets + length_octets + _extended(length, buf, at + delta_octets)
    return n if at == n else -1


def _extended(nibble, buf, at):
    """The value of an option's delta or length, which goes on at buf[at] from 13 up."""
    if nibble == 13:
        return 13 + buf[at]
    if nibble == 14:
        return 269 + (buf[at] << 8 | buf[at + 1])
    return nibble
