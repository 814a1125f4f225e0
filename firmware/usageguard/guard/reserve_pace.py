"""Spreads the reserve over what is left of the period while data is stopped. Loaded when that first happens."""

from usageguard.compat import const
from usageguard.core.policy import RESERVE, RESTRICTED

_EXCHANGE = const(512)  # octets: a report of full length, its acknowledgement with an order, a lookup now and then
_DAY_S = const(86_400)
_HALF_A_DAY_S = const(43_200)
_YEAR_S = const(31_622_400)
_LONGEST_S = const(518_400)  # inside the horizon of the ticks


def interval_s(octets, seconds):
    """Seconds between two reports of which the last one comes 12 hours before the end of a period that lasts `seconds`
    more, with `octets` left for all of them.

    As it is found again with what each report has left, the reserve lasts whatever a report costs.
    """
    many = octets // _EXCHANGE
    if seconds > _DAY_S:  # the last day has one of its own
        return (seconds - _HALF_A_DAY_S) // max(1, many - 1)
    return seconds // max(1, many)


class ReservePace:
    """Sets the interval of `outbox` by what `admission` has left of the reserve."""

    def __init__(self, policy, admission, outbox, periods):
        self._policy = policy
        self._admission = admission
        self._outbox = outbox
        self._periods = periods
        self._sent = -1  # reports, at the last look
        self._interval_s = 0
        self._next_at = 0  # seconds before the period's end at which the next report is due

    def step(self, now):
        """To be called before the outbox's step, and at least every 6 hours."""
        policy, outbox = self._policy, self._outbox
        limit = policy.limit(RESERVE)
        if policy.level < RESTRICTED or limit is None:
            if self._sent >= 0:
                self._sent = -1
                outbox.pace(now, 0, 0)
            return
        seconds = self._periods.seconds_left(now)
        if outbox.reports_sent != self._sent or seconds > self._next_at + self._interval_s:  # or another period
            self._sent = outbox.reports_sent
            left = max(0, limit - self._admission.used.value())
            # Nobody waits for the end of a period of years: somebody buys more, and orders that.
            self._interval_s = interval_s(left, min(seconds, _YEAR_S))
            self._next_at = seconds - self._interval_s
        left_s = max(0, seconds - self._next_at)
        outbox.pace(now, min(self._interval_s, _LONGEST_S) * 1000, min(left_s, _LONGEST_S) * 1000)
