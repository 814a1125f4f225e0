"""PPP as the bearer: any family's driver, with lwIP's sockets in place of the modem's.

The modem's line belongs to the AT channel or to PPP. While PPP has it the channel is silent; for a command the driver
escapes with DTR or +++ and comes back with ATO, which takes one or three seconds in which no packet passes. So commands
wait for each other, and the counter is read seldom (net.ppp).
"""

from usageguard.at.digest import ERROR, OK
from usageguard.compat import const
from usageguard.modem.connection import Deadline
from usageguard.modem.ppp_connection import SCRATCH, PppConnection
from usageguard.modem.ppp_link import UP, Link

# Whose the line is: up to _FRAMES the AT channel's
_COMMANDS = const(0)
_ESCAPING = const(1)
_FRAMES = const(2)
_LEAVING = const(3)  # PPP's, and no socket is used

_DIAL_MS = const(150_000)  # as for the activation of a context
_UP_MS = const(30_000)  # LCP gives up after 10 requests, 3 s apart
_SILENCE_MS = const(10_000)  # three of them without an answer: the call has ended, and lwIP took NO CARRIER for a frame
_LOOK_MS = const(20)
_DOWN_MS = const(1_500)  # LCP's end; the peer's answer takes one round trip
_FREE_MS = const(8_000)  # the end of one without an answer: two requests, 3 s apart
_QUIET_MS = const(700)  # a delayed acknowledgement, and what it has the peer send
_LOUD_MS = const(5_000)
_GUARD_MS = const(1_050)  # V.250's de facto guard time of 1 s, and what may still be in the UART
_TRIES = const(2)
_ESCAPED = (b"", 2_500, None, 0)  # nothing is sent: +++ has no end of line, and DTR is a wire
_HUNG_UP = (b"", 1_500, None, 0)  # it says NO CARRIER by itself, and until then takes a command for a frame
_DTR_ESCAPES = (b"AT&D1\r", 1_000, None, 0)  # V.250 6.2.9
_PROBE = (b"AT\r", 1_000, None, 0)
# The context's own number: with another some modems open a second one, which is billed apart.
_DIAL = (b"ATD*99***1#\r", _DIAL_MS, None, 0)  # TS 27.007 10.2.1.1
_RESUME = (b"ATO\r", 10_000, None, 0)  # V.250 6.3.7
_HANG_UP = (b"ATH\r", 20_000, None, 0)  # V.250 6.3.6
_ACTIVATE = (b"AT+CGACT=1,1\r", 150_000, None, 0)  # TS 27.007 10.1.10
_DEACTIVATE = (b"AT+CGACT=0,1\r", 150_000, None, 0)
_CONTEXTS = (b"AT+CGACT?\r", 5_000, b"+CGACT: 1,", 0)


class _Sips:
    """The UART for a command that ends in CONNECT: octet by octet, as what follows that line is PPP's."""

    def __init__(self, hal):
        self._readinto = hal.uart_readinto
        self.uart_write = hal.uart_write

    def uart_readinto(self, buf, _):
        return self._readinto(buf, 1)


def over(driver):
    """The class of the family's modem with PPP as its bearer. Its context is number 1, which is dialled."""

    class Ppp(driver):
        CONNECTION = PppConnection
        WINDOW = Link.WINDOW

        def __init__(self, hal, channel, config, listener):
            self.line = _COMMANDS
            self.sockets = 0  # of connections
            self.scratch = bytearray(SCRATCH)
            self._dtr = False  # taking DTR away leaves the call
            self.link = Link(hal)
            self._gathering = False
            self._loud = Deadline()
            super().__init__(hal, channel, config, listener)
            channel = self.channel  # the family may have made another
            self._others_final = channel.digest.final
            channel.digest.final = self._final
            self._talk = channel.pump
            channel.pump = self._pump

        def name_octets(self, host):
            """A lookup is charged when it is made, as it is our own."""
            return 0

        def admits_datagram(self, connection, n):
            """Charges a datagram of `n` octets before it is sent for a connection; whether it may be."""
            raise NotImplementedError

        def count_datagram(self, connection, n):
            """Counts one that has arrived for it."""
            raise NotImplementedError

        @property
        def flowing(self):
            """Whether sockets may be used. HOT."""
            return self.line == _FRAMES

        def _pump(self, now):
            """In place of the channel's: the line is read by whom it belongs to. HOT."""
            if self.line < _FRAMES:
                return self._talk(now)
            return self.link.poll() > 0 or self.sockets > 0

        def _final(self, line, length):
            """Whether it ends the running command: the results of a call, V.250 table 1."""
            result = 0
            if (length == 7 and line.startswith(b"CONNECT")) or line.startswith(b"CONNECT "):
                result = OK
            elif length == 10 and line.startswith(b"NO CARRIER"):
                result = ERROR
            elif self._others_final is not None:
                return self._others_final(line, length)
            if result and self.channel.busy:
                self.channel.digest.result = result
                self.channel.digest.error = 0
                return True
            return False

        # The line's changes of hands

        def ask(self, command, data=b""):
            if self.line != _COMMANDS:
                yield from self._escape()
            return (yield from super().ask(command, data))

        def _escape(self):
            """Takes the line for commands, from a call that goes on."""
            self.line = _LEAVING
            yield from self._fall_silent()
            self.link.suspend()
            self.line = _ESCAPING
            self.channel.digest.resync()
            for _ in range(_TRIES):
                # It may have hung up unheard, and have taken +++ for the beginning of a command.
                if (yield from self._leave()) == OK or (yield from super().ask(_PROBE)) == OK:
                    break
            self.line = _COMMANDS

        def _leave(self):
            """Asks the modem for its command mode: its result. DTR spares the silences, where it is wired."""
            if self._dtr:
                yield from self._sleep(1)  # the channel takes the time from what it reads
                self.link.dtr(False)
                self._dtr = (yield from super().ask(_ESCAPED)) == OK
                self.link.dtr(True)
                if self._dtr:
                    return OK
            yield from self._sleep(_GUARD_MS)
            self.hal.uart_write(b"+++", 3)
            return (yield from super().ask(_ESCAPED))

        def _fall_silent(self):
            """Until nothing has come for a while: what comes in the guard time is lost, and sent again."""
            self._loud.set(self.now, _LOUD_MS)
            heard = self.link.octets
            while not self._loud.due(self.now):
                yield from self._sleep(_QUIET_MS)
                if heard == self.link.octets:
                    return
                heard = self.link.octets

        def _call(self, command):
            """Its result; it ends with CONNECT."""
            channel = self.channel
            channel._hal = _Sips(self.hal)
            try:
                return (yield from super().ask(command))
            finally:
                channel._hal = self.hal

        def _return(self):
            """Gives the line back to the call."""
            if (yield from self._call(_RESUME)) == OK:
                self.link.resume()
                self.line = _FRAMES
            else:
                self._lose_context()

        def _serve(self):
            serving = super()._serve()
            while True:
                if self.line == _FRAMES:
                    if self.link.status() != UP:
                        self._lose_context()
                    elif self.counter_wanted and self.config.counter:
                        yield from self._escape()
                started = next(serving)
                if not started and self.line == _COMMANDS and self.online and not self._gathering:
                    yield from self._return()
                else:
                    yield started

        def _gather(self):
            self._gathering = True
            yield from super()._gather()
            self._gathering = False

        # Boot and data session

        def _boot(self, silent):
            """The call may have outlived our reset: then the modem takes no command."""
            self.line = _COMMANDS
            self._gathering = False
            self.link.suspend()
            if not silent:
                yield from self._sleep(_GUARD_MS)
                self.hal.uart_write(b"+++", 3)
                yield from self._sleep(_GUARD_MS)
            yield from super()._boot(silent)

        def _gone(self):
            self.line = _COMMANDS
            self.link.suspend()
            super()._gone()

        def _go_online(self):
            # While no call has to be left for it
            if self._evidence_due.due(self.now):
                yield from self._gather()
                self._context_doubted = False
            if self.counter_wanted:
                yield from self._read_now()
            self.counter_wanted = False
            if self.kept:  # and with it the call: LCP begins anew over it
                self.kept = yield from self._dial(_RESUME)
            yield from super()._go_online()

        def _activate(self):
            yield from super().ask((b'AT+CGDCONT=1,"IP","' + self.config.apn.encode() + b'"\r', 1_000, None, 0))
            # First the context alone: a call that is refused names no cause.
            if (yield from super().ask(_ACTIVATE)) == OK:
                yield from self._read_now()  # it may have begun with the context
                if (yield from self._dial(_DIAL)):
                    return True
            yield from self._refused()
            yield from super().ask(_DEACTIVATE)
            return False

        def _dial(self, command):
            """Whether the call is up, with an address."""
            if self.link.dtr and not self._dtr:
                self._dtr = (yield from super().ask(_DTR_ESCAPES)) == OK
            if not (yield from self._until(Link.idle, _FREE_MS)) or (yield from self._call(command)) != OK:
                return False
            self.line = _LEAVING
            if (
                self.link.connect()
                and (yield from self._until(Link.settled, _UP_MS, _SILENCE_MS))
                and self.link.status() == UP
            ):
                self.line = _FRAMES
                return True
            self.hal.event("ppp-failed", self.link.status())
            yield from self._hang_up()
            return False

        def _until(self, condition, ms, silence_ms=_DIAL_MS):
            """Whether it holds within `ms`, without the line falling silent for so long."""
            self._loud.set(self.now, ms)
            heard = -1
            while not condition(self.link):
                if heard != self.link.octets:
                    heard, left = self.link.octets, silence_ms // _LOOK_MS
                left -= 1
                if self._loud.due(self.now) or not left:
                    return False
                yield from self._sleep(_LOOK_MS)
            return True

        def _deactivate(self):
            yield from self._hang_up()
            yield from super().ask(_DEACTIVATE)

        def _hang_up(self):
            """Ends the call; no failure if there is none."""
            if self.line != _COMMANDS:
                self.line = _LEAVING
                self.link.disconnect()
                ended = yield from self._until(Link.idle, _DOWN_MS)
                self.link.suspend()
                self.line = _COMMANDS
                self.channel.digest.resync()
                if ended:
                    yield from self._sleep(1)  # as in `_leave`
                    yield from super().ask(_HUNG_UP)
                else:
                    yield from self._leave()
            yield from super().ask(_HANG_UP)
            self.link.disconnect()

        def _is_active(self):
            if (yield from self.ask(_CONTEXTS)) != OK:
                return True
            return self.channel.info_length > 0 and self.channel.number(1) == 1

    return Ppp
