"""Quectel's modules where the line to them has flow control: a download comes without a command for each piece of it,
in direct push access mode (EC200U&EG915U TCP/IP Application Note 1.3, 2.1.12).

A connection begins in buffer access mode, and is read. Once its reads are full in a row the modem pushes, for one
connection at a time; what the application has no room for stays in the UART, and the line holds the modem. The
connection is read again when the application is slow or slowed down, when the stream ends, every other second, so that
a lost announcement shows, and before a limit of the plan: then no more than the modem's window arrives behind a stop.
"""

from usageguard.at.digest import ERROR, LINE_OCTETS, OK, TIMEOUT, int_field
from usageguard.at.push import PushChannel
from usageguard.compat import const
from usageguard.core.meter import SEGMENT
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.modem.connection import ECONNRESET, ETIMEDOUT, OPEN, RX_OCTETS
from usageguard.modem.quectel import Quectel
from usageguard.modem.quectel_connection import QuectelConnection

_FULL_READS = const(4)  # in a row: a download
_PIECE = const(512)  # with less room than this for what is pushed the line is held
_SLOW_MS = const(500)  # held for so long: the application is read for, from here on
_GIVE_UP_MS = const(10_000)  # held for so long: nothing else gets through, so the connection fails
# Rated octets to the next limit or mark. At 921,600 baud the line has carried them after 0.7 s, in which the modem
# answers one command of each connection and that which ends the push.
_ROOM = const(65_536)
_ON_THE_LINE = const(16_384)  # octets in the buffers of both UARTs, which a reset of the board loses

_SWITCH = (bytearray(b"AT+QISWTMD=0,0\r"), 5_000, None, 0)
_FLOW = (b"AT+IFC=2,2\r", 1_000, None, 0)  # V.250 6.2.12: RTS and CTS

# `phase`: what the next turn to read does
_READS = const(0)  # reads, or has the modem push
_PUSHED = const(1)  # has it stop
_CHECKS = const(2)  # asks whether all that the modem handed over came


class Gate:
    """The UART, as far as there is room for what is pushed. `held`: there was none at the last look."""

    def __init__(self, hal):
        self._hal = hal
        hal.deaf = False  # so that setting it allocates nothing
        self.pushed = None  # the connection whose payload is pushed
        self.held = False

    def uart_readinto(self, buf, n):
        pushed = self.pushed
        held = False
        if pushed is not None and pushed.state == OPEN:
            room = RX_OCTETS - pushed.rx.any()
            held = room < _PIECE
            n = min(n, room)
        if held != self.held:
            self.held = self._hal.deaf = held
        return 0 if held else self._hal.uart_readinto(buf, n)

    def uart_write(self, buf, n):
        self._hal.uart_write(buf, n)


class HeldChannel(PushChannel):
    """A PushChannel that leaves octets in the UART while there is no room for them. Deadlines stand still meanwhile:
    what they wait for may be behind."""

    def __init__(self, hal, max_line=LINE_OCTETS):
        self.gate = Gate(hal)
        PushChannel.__init__(self, self.gate, max_line)
        self._held_at = 0

    def pump(self, now):
        gate = self.gate
        was = gate.held
        if was:
            passed = ticks_diff(now, self._now)
            self._due = ticks_add(self._due, passed)
            self._lost_at = ticks_add(self._lost_at, passed)
        heard = PushChannel.pump(self, now)
        if gate.held:
            pushed = gate.pushed
            if heard or not was:
                self._held_at = now
                pushed.modem.poked = True  # so that `next_ms` is asked
            elif ticks_diff(now, self._held_at) >= _GIVE_UP_MS:
                pushed.fail(ECONNRESET)
            elif ticks_diff(now, self._held_at) >= _SLOW_MS:
                pushed.readable_hint = True
        return heard

    def next_ms(self, now):
        ms = PushChannel.next_ms(self, now)
        if self.gate.held:
            held_ms = ticks_diff(now, self._held_at)
            ms = min(ms, max((_SLOW_MS if held_ms < _SLOW_MS else _GIVE_UP_MS) - held_ms, 0))
        return ms


class QuectelPushConnection(QuectelConnection):
    """What is pushed is counted when the modem announces it."""

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self.phase = _READS
        self._switching = False  # to push
        self._full = 0  # reads in a row that gave all that was asked for

    def pushed(self, octets):
        """So many octets follow; returns what takes them. HOT."""
        modem = self.modem
        listener = modem.listener
        if self._opened:
            self._counted += octets
            self.continues = octets >= SEGMENT
        listener.received(self, octets)
        if listener.policy.room < _ROOM:
            self.readable_hint = True
        return self

    def payload(self, buf, at, span):
        if self.state == OPEN and (self.rx.write(buf, at, span) or 0) < span:
            self.fail(ECONNRESET)

    def torn(self):
        """Octets of what was announced did not come."""
        self.modem.pushes = False
        self.fail(ECONNRESET)

    def _begin(self, host, port):
        QuectelConnection._begin(self, host, port)
        self._full = 0

    def _ended(self):
        self._pushed_no_more(_READS)
        QuectelConnection._ended(self)

    def _pushed_no_more(self, phase):
        gate = self.modem.channel.gate
        if gate.pushed is self:
            gate.pushed = None
        self.phase = phase
        self._switching = False
        self._full = 0

    # HOT

    def _room(self):
        return 1 if self.phase else QuectelConnection._room(self)

    def _switch(self, mode):
        command = _SWITCH[0]
        command[11] = 48 + self.index
        command[13] = 48 + mode
        self.modem.channel.start(_SWITCH)

    def _start_read(self):
        modem = self.modem
        self.incoming = False  # what is pushed may be taken meanwhile
        if self.phase == _PUSHED:
            self._switch(0)
        elif self.phase == _CHECKS:
            self._start_total()
        elif self._full >= _FULL_READS and modem.may_push():
            self.phase = _PUSHED
            self._switching = True
            modem.channel.gate.pushed = self
            self._switch(1)
        else:
            self.incoming = True
            QuectelConnection._start_read(self)

    def _was_read(self, channel):
        result = channel.result
        if not self.phase:
            QuectelConnection._was_read(self, channel)
            self._full = self._full + 1 if self._arrived and self.continues else 0
            return
        self._checking = False
        if result not in (OK, ERROR):
            self.fail(ETIMEDOUT if result == TIMEOUT else ECONNRESET)
        elif self._switching and result == OK:
            self._switching = False
        elif self._switching:
            self.modem.pushes = False  # it does not know how
            self._pushed_no_more(_READS)
            self.readable_hint = True
        elif self.phase == _PUSHED:
            self._pushed_no_more(_CHECKS)
            self.readable_hint = True
        else:
            self.phase = _READS
            self.readable_hint = True
            # Of the modem's total, what does not wait was handed over; where more was, an announcement was lost.
            missing = channel.number(0) - channel.number(2) - self._counted if result == OK else 0
            if missing > 0:
                self._count(missing)
                self.torn()

    # Closing

    def count_unread(self):
        if self._opened and self._dirty and self.phase == _PUSHED:
            self._switch(0)
            yield True
            self._pushed_no_more(_READS)
        yield from QuectelConnection.count_unread(self)


class QuectelPush(Quectel):
    """Read only: `pushes`, whether it may push: it keeps to flow control, and nothing that was pushed got lost. Not
    without its counter: only that shows what it pushed while the board was off."""

    CONNECTION = QuectelPushConnection
    CHANNEL = HeldChannel
    WINDOW = Quectel.WINDOW + _ON_THE_LINE
    # 2.1.1: +QIURC: "recv" has a length only where the payload follows.
    SETTINGS = Quectel.SETTINGS + ((b'AT+QICFG="recvind",0\r', 1_000, None, 0),)

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        self.pushes = False
        channel.digest.pushes(b'+QIURC: "recv"', self._on_recv, 2)

    def may_push(self):
        """Whether a connection may have its payload pushed now. HOT."""
        return (
            self.pushes
            and not self.paused
            and self.channel.gate.pushed is None
            and self.listener.policy.room >= _ROOM
        )

    def pause(self, on):
        Quectel.pause(self, on)
        pushed = self.channel.gate.pushed
        if on and pushed is not None:
            pushed.readable_hint = True

    def _activate(self):
        self.pushes = self.config.counter and (yield from self.ask(_FLOW)) == OK
        return (yield from Quectel._activate(self))

    def _on_recv(self, line, length):
        """+QIURC: "recv",<n>[,<octets>]: HOT."""
        octets = int_field(line, length, 2)
        if octets <= 0:
            return Quectel._on_recv(self, line, length)
        connection = self._connection(line, length, 1)
        if connection is None:
            return None
        if not self.channel.digest.payload_left:  # no modem pushes so many: the number was damaged
            return connection.torn()
        return connection.pushed(octets)
