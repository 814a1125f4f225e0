"""Counters beside the period's allowance: octets that are debited to one of their own, by the hour of the day or by the
network. Loaded for a plan that has one.

Each is a Rating-Group of RFC 8506 in the one stream of octets. While one is debited in full, the limits of the period's
octets do not bind: what is used then does not come out of the allowance.
"""

from usageguard.core import policy as p
from usageguard.core.octets import MAX, Octets

_NEVER = Octets(MAX)


class HourTerms:
    """The table `plan.hours`: from `start_s` of each local day, for `length_s`, up to `octets` of the period (0: all)
    are debited to a counter of their own, and `share` permille of them to the allowance."""

    def __init__(self, start_s, length_s, octets, share):
        self.start_s = start_s
        self.length_s = length_s
        self.octets = octets
        self.share = share


class RoamingTerms:
    """The table `plan.roaming`: while the SIM is with another operator, up to `octets` of the period are debited to a
    counter of their own. When it is used up, nothing passes there. The carrier has `margin` more: a reply may be on its
    way then."""

    def __init__(self, octets, margin=0):
        self.octets = octets
        self.margin = margin


class OwnCounter:
    """What octets are debited to: the Quota `quota`, None for one without an end, and `share` permille of them the
    period's allowance. What is beyond is the allowance's, or where it `stops` nobody's."""

    def __init__(self, quota, share, stops=False):
        self.quota = quota
        self.share = share
        self.stops = stops


def with_free(base):
    """The policy class `base` for a plan with such counters."""

    class FreePolicy(base):
        """Read only: `free`, whether the limits of the period's octets do not bind now; `books`, the QuotaStanding,
        None where nothing has a quota."""

        free = False
        books = None

        def set_free(self, free, used):
            """Returns actions."""
            if free == self.free:
                return 0
            self.free = free
            self.shed = 0
            self._find_least()
            reasons = p.transition(self.reasons, p.QUOTA_GRANTED)
            if free:  # otherwise it was not found
                reasons = p.transition(reasons, p.DAY_GRANTED)
            return self._judge(reasons, self.warned, used)

        def denied(self, index):
            return self._bound(base.denied, index)

        def _find_least(self):
            self._bound(base._find_least)

        def _judge(self, reasons, warned, used):
            return self._bound(base._judge, reasons, warned, used)

        def _bound(self, method, *args):
            """Calls `method` with the limits that bind: while `free`, those of money."""
            if not self.free:
                return method(self, *args)
            limits, sheds = self._limits, self._sheds
            self._limits = [limit if kind == p.BALANCE else _NEVER for kind, limit in enumerate(limits)]
            self._sheds = [_NEVER for _ in sheds]
            try:
                return method(self, *args)
            finally:
                self._limits, self._sheds = limits, sheds

    return FreePolicy
