"""Reports by way of an MQTT broker (SPEC.md, "MQTT exchange"), without a clock. Loaded where upstream has `mqtt`.

A connection for each report, as the SIM pays for all that keeps one open: a ping every few minutes, which an operator's
NAT demands, is more in an hour than such a connection. umqtt's client waits in its sockets; this one never does.
"""

from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.modem.connection import OPEN
from usageguard.upstream.coap import FAILED, SEND, WAIT
from usageguard.upstream.path import ReportPath

_TIMEOUT_MS = const(60_000)  # from the first octet to the answer; nothing is sent again on a connection
_LONGEST = const(512)  # octets of a packet that is of use

# MQTT 3.1.1: types of packets, with their flags
_CONNECT = b"\x10"
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBLISH_QOS1 = b"\x32"
_SUBSCRIBE = b"\x82"
_SUBACK = const(0x90)
_DISCONNECT = b"\xe0\x00"
_KEEP_ALIVE = b"\x00\x78"  # 120 s: after half as long again the broker forgets a device that is gone

_UNAUTHORIZED = const(0x81)  # as CoAP's 4.01: the broker has refused
_FORBIDDEN = const(0x83)

_IDLE = const(0)
_BEGUN = const(1)
_SENT = const(2)
_OVER = const(3)  # refused, not yet told to the caller


class Mqtt:
    """What upstream.coap.Coap is, for one report at a time over `path`: connects, subscribes to the answer and
    publishes in one segment, as 3.1.4 allows, and takes the answer. `code`: the broker has refused, else 0."""

    reply = b""

    def __init__(self, config, path):
        prefix, user, password = config.upstream.mqtt
        device = config.device_id
        self.out = b""
        self.out_n = 0
        self.code = 0
        self._path = path
        self._state = _IDLE
        self._deadline = 0
        self._topic = (prefix + "/r/" + device).encode()
        self._answers = (prefix + "/a/" + device).encode()
        self._login = [each.encode() for each in (device, user, password) if each]
        self._flags = 0x02 | (0x80 if user else 0) | (0x40 if password else 0)  # clean session
        self._in = b""

    @property
    def busy(self):
        """An exchange has begun and is neither answered nor failed."""
        return self._state != _IDLE

    def begin(self, now, payload):
        """Lays out the exchange for `payload` in out[0:out_n]; the next `step` says SEND. Ends a running one."""
        self._in = b""
        self.code = 0
        connect = b"\x00\x04MQTT\x04" + bytes((self._flags,)) + _KEEP_ALIVE
        connect += b"".join([_text(each) for each in self._login])
        subscribe = b"\x00\x01" + _text(self._answers) + b"\x00"  # the answer by QoS 0: a lost one is asked for again
        publish = _text(self._topic) + b"\x00\x02" + payload
        self.out = _packet(_CONNECT, connect) + _packet(_SUBSCRIBE, subscribe) + _packet(_PUBLISH_QOS1, publish)
        self.out_n = len(self.out)
        self._deadline = now
        self._state = _BEGUN

    def abort(self):
        """Forgets the running exchange, and its connection."""
        if self._state != _IDLE:
            self._state = _IDLE
            self._path.connection.close()

    def step(self, now):
        """WAIT, SEND or FAILED. HOT: allocates nothing."""
        if self._state == _BEGUN:
            self._state = _SENT
            self._deadline = ticks_add(now, _TIMEOUT_MS)
            return SEND
        if self._state == _IDLE or (self._state == _SENT and self.due_ms(now)):
            return WAIT
        self._state = _IDLE
        return FAILED

    def due_ms(self, now):
        """Milliseconds until `step` has something to say; -1 when idle."""
        if self._state == _IDLE:
            return -1
        if self._state != _SENT or (self._path.connection.state != OPEN and not self._path.arrived()):
            return 0
        return max(0, ticks_diff(self._deadline, now))

    def receive(self, now, buf, n):
        """Takes what arrived, buf[0:n]; returns the answer, which ends the exchange, or None."""
        if self._state != _SENT:
            return None
        data = self._in + bytes(buf[:n])
        while len(data) > 1:
            length = shift = 0
            at = 1
            while True:  # 2.2.3: seven bits an octet, the lowest first
                if at == len(data):
                    self._in = data
                    return None
                octet = data[at]
                length |= (octet & 0x7F) << shift
                shift += 7
                at += 1
                if octet < 0x80 or length > _LONGEST:
                    break
            if length > _LONGEST:
                self._state = _OVER
                return None
            if len(data) < at + length:
                break
            answer = self._packet(data[0], data[at : at + length])
            if answer is not None or self._state != _SENT:
                return answer
            data = data[at + length :]
        self._in = data
        return None

    def _packet(self, kind, body):
        """The answer, if that is what the packet has; else None."""
        if kind == _CONNACK and body[1:] != b"\x00":
            self.code = _UNAUTHORIZED
            self._state = _OVER
        elif kind == _SUBACK and body[2:] != b"\x00":
            self.code = _FORBIDDEN
            self._state = _OVER
        elif kind & ~1 == _PUBLISH and body.startswith(_text(self._answers)):  # the last bit: retained
            self._state = _IDLE
            return body[2 + len(self._answers) :]
        return None


class MqttPath(ReportPath):
    """A connection to the broker, for one exchange."""

    TCP = True
    HEADERS = 40

    def answered(self):
        """The exchange is over: leaves the broker in good order."""
        ReportPath.answered(self)
        connection = self.connection
        if connection.state == OPEN:
            connection.tx.write(_DISCONNECT, 0, 2)
        connection.finish(self._admission)


def _text(octets):
    return len(octets).to_bytes(2, "big") + octets


def _packet(kind, body):
    n = len(body)
    return kind + (bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7))) + body
