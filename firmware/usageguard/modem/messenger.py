"""Short messages over a modem, one at a time; loaded where the configuration has a number to send them to."""

from usageguard.at.digest import OK, TIMEOUT
from usageguard.at.pdu import submit
from usageguard.compat import const

# `Messenger.state`
IDLE = const(0)
QUEUED = const(1)
SENDING = const(2)
SENT = const(3)
FAILED = const(4)  # refused; `error`: the CMS or CME code, 0 for none
UNCERTAIN = const(5)  # no answer came: it may have been sent

_PDU_MODE = (b"AT+CMGF=0\r", 1_000, None, 0)  # TS 27.005 3.2.3
_CMGS_MS = const(120_000)
_PROMPT = const(0x3E)
_CTRL_Z = b"\x1a"  # TS 27.005 4.3: sends the message
_ESCAPE = b"\x1b"  # and this gives it up


class Messenger:
    """Sends what `send` was given as soon as `modem` is registered. Read only: `state`, `error`, `waiting`."""

    def __init__(self, modem):
        self.state = IDLE
        self.error = 0
        self._modem = modem
        self._message = None
        modem.messenger = self

    @property
    def waiting(self):
        return self.state == QUEUED

    @property
    def busy(self):
        """Whether a message is queued or under way."""
        return self.state in (QUEUED, SENDING)

    def send(self, number, octets):
        """Queues one message of 0..140 octets; watch `state`. False while one is under way.

        ValueError for a number or a length that no message can have.
        """
        if self.busy:
            return False
        self._message = submit(number, octets)
        self.state = QUEUED
        self._modem.poked = True
        return True

    def run(self):
        """Generator of the modem's: sends what is queued."""
        modem = self._modem
        self.state = SENDING
        pdu, length = self._message
        yield from modem.ask(_PDU_MODE)
        data = pdu + _CTRL_Z
        result = yield from modem.ask((b"AT+CMGS=%d\r" % length, _CMGS_MS, b"+CMGS:", _PROMPT), data)
        if result == TIMEOUT:
            modem.hal.uart_write(_ESCAPE, 1)  # in case it still waits for the message
        self.error = modem.channel.error
        self.state = SENT if result == OK else UNCERTAIN if result == TIMEOUT else FAILED

    def gone(self):
        """The modem restarted: what was being sent may have left."""
        if self.state == SENDING:
            self.state = UNCERTAIN
