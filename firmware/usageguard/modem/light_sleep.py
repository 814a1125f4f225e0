"""Light sleep of the modem between its uses: registered, its session and its sockets open, its serial line off.

Loaded where the configuration asks for it. The modem may sleep while it has no DTR, and what it is sent then is lost.
So DTR is given before a command, which waits until the line is on. What comes unasked wakes the modem by itself, and
the line with it; the board's UART never sleeps, so it is heard.
"""

from usageguard.at.channel import Channel
from usageguard.compat import const
from usageguard.modem.base import BOOTING
from usageguard.modem.connection import Deadline

_IDLE_MS = const(5_000)  # since the last answer: an exchange with a server has shorter pauses
# What has DTR decide, and milliseconds from DTR until the line is on, at least twice what is documented: Quectel's GSM
# modules need 600 (UART Application Note 6.2), and the LTE manuals tell no figure; SARA-R5 15 (System Integration
# Manual 1.9.1), Air780E 50, SIM802 40; the ML307's manual has none, and a driver of it waits 20.
_FAMILIES = {
    "quectel": (b"AT+QSCLK=1\r", 1_200),
    "cip": (b"AT+CSCLK=1\r", 100),
    "cipstart": (b"AT+CSCLK=1\r", 100),
    "ca": (b"AT+CSCLK=1\r", 100),
    "mip": (b'AT+MLPMCFG="sleepmode",2,0\r', 100),
    "usocr": (b"AT+UPSV=3\r", 100),
}


def over(driver, hal, family):
    """The class of the family's modem, which lets it sleep. RuntimeError where the board has no pin for DTR."""
    command, wake_ms = _FAMILIES[family]
    dtr = hal.modem_dtr()
    if dtr is None:
        raise RuntimeError("modem.light_sleep: the board's file names no pin for the modem's DTR")

    class LightSleep(driver):
        SLEEPS = (command, 5_000, None, 0)

        def __init__(self, hal, channel, config, listener):
            driver.__init__(self, hal, channel, config, listener)
            self.dozing = True  # for all we know: we may have let it, and have been reset
            self._used = False
            self._idle_due = Deadline()
            self._deadlines += (self._idle_due,)
            channel.start = self._start  # a driver that goes over to another channel takes it along

        def step(self, now):
            """As the driver's, and lets the modem sleep when it was not used for a while. HOT."""
            driver.step(self, now)
            if self.channel.busy:
                self._used = True
            elif self._used:
                self._used = False
                self._idle_due.set(now, _IDLE_MS)
            elif self._idle_due.due(now):
                self._idle_due.clear()
                if self.state > BOOTING:
                    self.doze()

        def doze(self):
            """Lets the modem sleep until it is used again."""
            dtr(False)
            self.dozing = True

        def _start(self, command, sink=None, data=None, n=0):
            """In place of the channel's: a modem that may sleep is woken first. HOT."""
            channel = self.channel
            if self.dozing:
                self.dozing = False
                dtr(True)
                channel.pause(self.hal.ticks_ms(), wake_ms)
            Channel.start(channel, command, sink, data, n)

    return LightSleep
