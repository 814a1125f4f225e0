"""When a report goes as a short message; loaded where the configuration has a number to send it to."""

from usageguard.compat import const
from usageguard.core.ticks import Countdown

_UNHEARD_MS = const(600_000)  # registered, and nothing acknowledged for so long: no data path
_GAP_MS = const(3_600_000)
_AGAIN_MS = const(60_000)  # after one that was not taken


class ShortMessages:
    """One tells of each change, none of the interval alone, never two within an hour.

    They go only where no datagram gets through: data is stopped, or nothing was acknowledged for 10 minutes on the
    network. `upstream` has `sms_number` and `max_sms_per_cycle`; `guard` and `path` are as the Outbox has them.
    """

    def __init__(self, upstream, guard, path, now):
        self._upstream = upstream
        self._guard = guard
        self._path = path
        self._sent = False
        self._told = False  # of all that waits to be reported
        self._unheard = Countdown()
        self._hold = Countdown()
        self._unheard.start(now, _UNHEARD_MS)
        # A device that boots over and over must not send one each time.
        self._hold.start(now, _GAP_MS)

    def step(self, now):
        """To be called at least every 2**29 ms."""
        self._hold.left_ms(now)
        self._unheard.left_ms(now)
        if not self._path.registered:
            self._unheard.start(now, _UNHEARD_MS)

    def raised(self, now, news, stopped, first):
        """There is a reason to report: `news`, even that data is `stopped`; `first`: nothing waited for an answer."""
        if first:
            self._unheard.start(now, _UNHEARD_MS)
        if news:
            self._told = False
        if stopped and not self._sent:
            self._hold.start(now, 0)

    def heard(self, now):
        """A report was acknowledged."""
        self._told = False
        self._unheard.start(now, _UNHEARD_MS)

    def due(self, now, stopped):
        """Whether the report that waits is to go as a short message; `stopped`: it is known that no datagram can."""
        if stopped:  # known, and no news for the time in which nothing is heard
            self._unheard.start(now, _UNHEARD_MS)
        return (
            (stopped or not self._unheard.left_ms(now))
            and not self._told
            and not self._hold.left_ms(now)
            and self._path.registered
            and self._guard.ledger.sms < self._upstream.max_sms_per_cycle
        )

    def send(self, now, octets):
        """Whether it was taken. Its reason goes on waiting: a short message is not acknowledged."""
        taken = self._path.sms(self._upstream.sms_number, octets)
        if taken:
            self._sent = self._told = True
            self._guard.ledger.sms += 1
            self._guard.gate.commit()  # at once: a device that boots over and over must not forget it
        self._hold.start(now, _GAP_MS if taken else _AGAIN_MS)
        return taken
