# type: ignore - MicroPython
"""What an octet costs on its way through the guard: each case runs `n` rounds, for its instructions to be counted.

Two modems: one that takes and gives payload at once, and a Quectel's dialogue on a UART that answers at once. Without
metering, admission says yes and counts nothing; all else is as it is.
"""

import json

from usageguard.at.digest import FINAL, Digest
from usageguard.compat import RingIO
from usageguard.core.octets import Octets
from usageguard.core.ticks import ticks_add
from usageguard.modem.base import ONLINE, Modem
from usageguard.modem.connection import OPEN, OPENING, Connection

PAYLOAD = 512
_DATA = bytes(PAYLOAD)
_HEADERS = 80  # of a segment and of its acknowledgement
_SECTOR = 4096


class Flash:
    """The ledger's block device, in RAM."""

    def __init__(self):
        self._data = memoryview(bytearray(b"\xff" * (3 * _SECTOR)))

    def readblocks(self, block, buf, off=0):
        at = block * _SECTOR + off
        buf[:] = self._data[at : at + len(buf)]

    def writeblocks(self, block, buf, off=0):
        at = block * _SECTOR + off
        self._data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 6:
            self._data[arg * _SECTOR : (arg + 1) * _SECTOR] = b"\xff" * _SECTOR
        return {4: 3, 5: _SECTOR}.get(op, 0)


class Hal:
    """Time moves by a wait alone; `answers` has what the UART says to a command, by its beginning."""

    SLICE_MS = 20
    files = flow_control = False

    def __init__(self):
        self.flash = Flash()
        self.answers = ()
        self.inbox = RingIO(2048)
        self._now = 0

    def ticks_ms(self):
        return self._now

    def wait(self, until_ms):
        if not self.inbox.any():
            self._now = until_ms

    def uart_readinto(self, buf, n):
        return self.inbox.readinto(buf, n) or 0

    def uart_write(self, buf, n):
        for begins, answer in self.answers:
            if buf.startswith(begins):
                self.inbox.write(answer)
                return

    def uart_rate(self, baud):
        return 115_200

    def retained_read(self, buf):
        pass

    def retained_write(self, buf):
        pass

    def reset_cause(self):
        return 1

    def unique_id(self):
        return b"device"

    def random(self, n):
        return bytes(range(n))

    def watchdog_feed(self, timeout_ms):
        pass

    def set_utc(self, day, second):
        pass

    def modem_power(self, on):
        return ()

    def reset(self):
        raise SystemExit

    def event(self, code, a=0, b=0):
        pass

    def status(self, text):
        pass


class _NullConnection(Connection):
    def _connect(self, host, port):
        pass

    def _run(self):
        while True:
            if self.state == OPENING:
                self._dirty = self._opened = True
                self.state = OPEN
                self.modem.listener.opened(self)
            elif self._to_send and self._take_segment():
                self.modem.sent.add(self._segment + _HEADERS)
                self._drop_segment()
                self.tx_busy = False
            yield False

    def arrive(self, data, n):
        """`n` octets of payload come in."""
        self.modem.received.add(n + _HEADERS)
        self.modem.listener.received(self, n)
        self.rx.write(data, 0, n)


class Null(Modem):
    """A modem that takes what it is given and counts it."""

    CONNECTION = _NullConnection
    COUNTER = True
    WINDOW = 10_240

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        self.sent = Octets()
        self.received = Octets()
        self.state = ONLINE
        self.online = True
        self.read_counter()

    def _run(self):
        while True:
            if self.counter_wanted:
                self.counter_wanted = False
                self.listener.counter(self.sent, self.received)
            yield False


_OK = b"\r\nOK\r\n"
_QUECTEL = (
    (b"\x00", b"\r\nSEND OK\r\n"),  # the data of the cases, and a message of umqtt
    (b"0", b"\r\nSEND OK\r\n"),
    (b"AT+QISEND", b"\r\n> "),
    (b"AT+QIRD=1,0", b"\r\n+QIRD: 0,0,0\r\n" + _OK),
    (b"AT+QIRD", b"\r\n+QIRD: %d\r\n" % PAYLOAD + _DATA + b"\r\n" + _OK),
    (b"AT+QGDCNT?", b"\r\n+QGDCNT: 0,0\r\n" + _OK),
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n" + _OK),
    (b"AT+CEREG?", b"\r\n+CEREG: 2,1\r\n" + _OK),
    (b"AT+QIACT?", _OK),
    (b"AT+QIOPEN", _OK + b"\r\n+QIOPEN: 1,0\r\n"),
    (b"AT", _OK),
)
_ARRIVED = b'\r\n+QIURC: "recv",1\r\n'


def _guard(driver):
    from usageguard.config import load
    from usageguard.guard import guard

    if driver == "null":
        guard.driver_of = lambda family: Null
    with open("config.json") as file:
        config = load.load(json.load(file))
    hal = Hal()
    hal.answers = _QUECTEL
    made = guard.Guard(hal, config)
    made.bind_sockets()
    return made


def _opened(guard):
    """A socket whose connection is open, with all that was due at the start done."""
    from usageguard.net.sockets import socket

    for _ in range(100):
        guard.pump(ticks_add(guard.hal.ticks_ms(), 1_000))
    sock = socket()
    sock.connect(("192.0.2.1", 80))
    for _ in range(10):
        guard.pump(ticks_add(guard.hal.ticks_ms(), 100))
    sock.setblocking(False)
    return sock


def _admit(traffic_class, tcp, n):
    return True


def _ignore(traffic_class, tcp, n, spare):
    pass


def _unmeter(guard):
    guard.admission.transfer, guard.admission.received = _admit, _ignore


def _path(direction, driver, metered, n):
    guard = _guard(driver)
    sock = _opened(guard)
    connection = sock._connection
    hal = guard.hal
    if not metered:
        _unmeter(guard)
    if direction == "send":
        return _send(guard, hal, sock, connection, n)
    if direction == "receive":
        return _receive(guard, hal, sock, connection, n, driver == "null")
    return _idle(guard, hal, n)


def _send(guard, hal, sock, connection, n):
    for _ in range(n):
        sock.write(_DATA)
        guard.step(hal.ticks_ms())
        while connection.tx_busy:
            guard.step(hal.ticks_ms())


def _receive(guard, hal, sock, connection, n, null):
    buf = bytearray(PAYLOAD)
    for _ in range(n):
        if null:
            connection.arrive(_DATA, PAYLOAD)
        else:
            hal.inbox.write(_ARRIVED)
        guard.step(hal.ticks_ms())
        got = 0
        while got < PAYLOAD:
            while not connection.rx.any():
                guard.step(hal.ticks_ms())
            got += sock.readinto(buf)


def _idle(guard, hal, n):
    guard.step(hal.ticks_ms())
    for _ in range(n):
        guard.step(hal.ticks_ms())


class _Sink:
    """A socket that takes all at once."""

    def write(self, data, n=-1):
        return len(data) if n < 0 else n


_READING = b"t" * 100


def _publish(driver, metered, n):
    """A message of umqtt, on the guard's sockets or without the guard, by `driver` "alone"."""
    from umqtt.simple import MQTTClient

    client = MQTTClient("tracker-001", "broker.example")
    if driver == "alone":
        client.sock = _Sink()
        for _ in range(n):
            client.publish(b"fleet/tracker-001", _READING)
        return
    guard = _guard(driver)
    client.sock = _opened(guard)
    connection, now = client.sock._connection, guard.hal.ticks_ms
    if not metered:
        _unmeter(guard)
    for _ in range(n):
        client.publish(b"fleet/tracker-001", _READING)
        guard.step(now())
        while connection.tx_busy:
            guard.step(now())


# Digesting, and the same by what drivers usually do: lines of a stream's `readline`, and octet by octet

_URCS = (b"+CEREG:", b"+CGEV:", b"+CPIN:", b"+CFUN:", b"RDY", b"+QIURC:")
_WINDOW = 480


def _digest(stream, expect, payload, n):
    digest = Digest()
    for prefix in _URCS:
        digest.register(prefix, prefix)
    window = bytearray(_WINDOW)
    command = (b"AT+CSQ\r", 300, expect, 0)
    for _ in range(n):
        digest.arm(command, payload)
        for at in range(0, len(stream), _WINDOW):
            piece = min(_WINDOW, len(stream) - at)
            window[:piece] = stream[at : at + piece]
            digest.feed(window, piece)
            for event in digest.found:
                if not event:  # NEED
                    break
                if event == FINAL:
                    digest.arm(command, payload)


def _by_readline(stream, expect, payload, n):
    import io

    for _ in range(n):
        source = io.BytesIO(stream)
        found = None
        while line := source.readline():
            line = line.strip()
            if not line:
                continue
            if line in (b"OK", b"ERROR") or line.startswith(b"+CME ERROR:"):
                found = None
            elif line.startswith(expect):
                found = line
                if payload:
                    source.read(payload)
            else:
                for prefix in _URCS:
                    if line.startswith(prefix):
                        break
    return found


def _by_octet(stream, expect, payload, n):
    import io

    for _ in range(n):
        source = io.BytesIO(stream)
        line = b""
        left = 0
        data = b""
        while octet := source.read(1):
            if left:
                data += octet
                left -= 1
                continue
            line += octet
            if not line.endswith(b"\r\n"):
                continue
            line = line.strip()
            if line.startswith(expect) and payload:
                left = payload
                data = b""
            line = b""
    return data


_LINES = b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n\r\n+CEREG: 1\r\n" * 40
_PAYLOAD = b"\r\n+QIRD: 1460\r\n" + bytes(range(1, 10)) * 162 + b"\x00\x00\r\n\r\nOK\r\n"
_STYLES = {"digest": _digest, "readline": _by_readline, "octet": _by_octet}


def main(case, n):
    """`case`: send, receive, idle or publish, then null or quectel, then metered or bare; or publish alone; or digest,
    readline or octet, then lines or payload."""
    kind = case.split()
    if kind[0] in _STYLES:
        lines = kind[1] == "lines"
        stream, expect, payload = (_LINES, b"+CSQ:", 0) if lines else (_PAYLOAD, b"+QIRD:", 1460)
        _STYLES[kind[0]](stream, expect, payload, n)
    elif kind[0] == "publish":
        _publish(kind[1], kind[-1] == "metered", n)
    else:
        _path(kind[0], kind[1], kind[2] == "metered", n)
