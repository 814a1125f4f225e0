"""When a report goes as a short message; loaded where the configuration has a number to send it to."""

from usageguard.compat import const
from usageguard.core.ticks import Countdown
from usageguard.modem.messenger import FAILED, SENT

_UNANSWERED_MS = const(600_000)  # registered, and nothing acknowledged for so long: no data path
_GAP_MS = const(3_600_000)
_AGAIN_MS = const(60_000)  # after the first one that was not taken; doubles
_LONGEST_MS = const(86_400_000)  # a network that refuses for good is asked once a day


class ShortMessages:
    """Sends one short message for each change, none for the interval alone, never two within an hour.

    Only where no datagram gets through: data is stopped, or nothing was acknowledged for 10 minutes on the network. One
    that is refused is made again, as another report, after 1 min, then after twice as long each time up to a day.
    `upstream` has `sms_number` and `max_sms_per_cycle`; the others are the Outbox's.
    """

    def __init__(self, upstream, ledger, admission, path, now):
        self._upstream = upstream
        self._ledger = ledger
        self._admission = admission
        self._path = path
        self._tried = False  # since boot
        self._reported = False  # by a short message, all that waits to be reported
        self._under_way = False
        self._again_ms = _AGAIN_MS
        self._unanswered = Countdown()
        self._hold = Countdown()
        self._unanswered.start(now, _UNANSWERED_MS)
        # A device that keeps rebooting must not send one at each boot.
        self._hold.start(now, _GAP_MS)

    def step(self, now):
        """To be called at least every 2**29 ms."""
        self._hold.left_ms(now)
        self._unanswered.left_ms(now)
        if not self._path.registered:
            self._unanswered.start(now, _UNANSWERED_MS)
        if self._under_way and not self._path.sms.busy:
            self._under_way = False
            self._ended(now)

    def raised(self, now, news, stopped, first):
        """A reason to report was raised: a change (`news`), that data is `stopped`; `first`: no report was waiting."""
        if first:
            self._unanswered.start(now, _UNANSWERED_MS)
        if news:
            self._reported = False
        if stopped:  # the first one at once; a later one does not wait for a day
            self._hold.start(now, min(self._hold.left_ms(now), _GAP_MS) if self._tried else 0)

    def hurry(self, now):
        """The owner asks for a report: it does not wait for an hour after the last one."""
        self._hold.start(now, 0)

    def acknowledged(self, now):
        """A report was acknowledged."""
        self._reported = False
        self._unanswered.start(now, _UNANSWERED_MS)

    def due(self, now, stopped):
        """Whether the report that waits is to go as a short message; `stopped`: no datagram can."""
        if stopped:  # restarts the time without an acknowledgement, which says nothing while data is stopped
            self._unanswered.start(now, _UNANSWERED_MS)
        return (
            (stopped or not self._unanswered.left_ms(now))
            and not self._reported
            and not self._under_way
            and not self._hold.left_ms(now)
            and self._path.registered
            and self._ledger.sms < self._upstream.max_sms_per_cycle
        )

    def send(self, now, octets):
        """Sends a report; whether it is on its way. Its reason still waits: a short message is not acknowledged."""
        taken = self._path.sms.send(self._upstream.sms_number, octets)
        self._hold.start(now, _GAP_MS if taken else _AGAIN_MS)
        if taken:
            self._under_way = self._tried = self._reported = True
            # Counted before it leaves: the count has to survive a device that reboots while it sends.
            self._count(1)
        return taken

    def _ended(self, now):
        """The message was sent or refused, or nobody knows: then it stays counted, as the carrier may bill it."""
        state = self._path.sms.state
        if state == SENT:
            self._again_ms = _AGAIN_MS
            return
        if state == FAILED:
            self._count(-1)
        self._reported = False
        self._hold.start(now, self._again_ms)
        self._again_ms = min(self._again_ms << 1, _LONGEST_MS)

    def _count(self, n):
        self._ledger.sms = max(0, self._ledger.sms + n)
        self._admission.commit()
