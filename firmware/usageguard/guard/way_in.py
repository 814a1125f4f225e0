"""Lets an exchange with upstream through now and then while data is stopped altogether, so that the order that lifts
the stop can arrive. Loaded when that first happens.

It costs 1 KiB an attempt at the most, whatever the plan has left: 68 attempts in 31 days, 68 KiB. Without losses an
exchange is some 400 octets. A device that keeps rebooting makes one attempt an hour.
"""

from usageguard.compat import const
from usageguard.core.probe import Probe
from usageguard.core.ticks import Countdown

OCTETS = const(1024)  # a name, a report with two repetitions, an acknowledgement with an order
_FIRST_MS = const(3_600_000)  # after the stop or the boot, and once more; then it doubles
_LONGEST_MS = const(43_200_000)
_PER_DAY = const(6)
_OPEN_MS = const(600_000)  # for a data session, and an exchange with its repetitions
_NEVER_MS = const(268_435_456)


class WayIn:
    """`obey` carries out the policy's actions. Read only: `tries`."""

    def __init__(self, hal, policy, admission, outbox, obey, now, tcp=False):
        self._hal = hal
        self._policy = policy
        self._admission = admission
        self._outbox = outbox
        self._obey = obey
        self._octets = OCTETS << tcp  # a connection has twice the packets
        self._acked = 0  # reports, when the exchange was let through
        self._left = Countdown()
        self.tries = Probe(_FIRST_MS, _LONGEST_MS, _PER_DAY)
        self.tries.succeeded(now)

    def step(self, now):
        """Begins or ends an attempt if that is due; returns milliseconds until it has to be called again."""
        policy, outbox = self._policy, self._outbox
        left = self._left.left_ms(now)
        if policy.exchange is not None:
            if left and policy.deaf() and (outbox.waiting or outbox.reports_acked == self._acked):
                return left
            self._obey(policy.end_exchange())
        if not policy.deaf():
            self.tries.succeeded(now)
            return _NEVER_MS
        due = self.tries.due_ms(now)
        if due:
            return due
        self.tries.tried(now)
        self._left.start(now, _OPEN_MS)
        self._acked = outbox.reports_acked
        self._hal.event("way-in")
        meter = self._admission.meter
        meter.begin_session()  # the exchange needs another one, which is perhaps rounded up
        self._obey(policy.allow_exchange(self._admission.used, meter.due(self._octets, False)))
        outbox.hurry(now)
        return _OPEN_MS
