"""What a plan allows in a day, beside the period: a cap, and octets beyond which the SIM is slowed down.

A day's count is a second counter over the octets that the period counts: what was used of the period when the day
began is all that it takes. So its limits are limits of the period, which move with each day, and nothing more is
compared for an octet. Loaded for a plan with such a counter.
"""

from usageguard.core import policy as p
from usageguard.core.octets import MAX, Octets
from usageguard.core.policy import Policy

DAY, DAY_RESERVE, DAY_SLOW = range(6, 9)  # limits, behind those of Policy


class DailyTerms:
    """The table `plan.daily`: octets of a day at which the carrier stops the SIM until the next one, and at which it
    slows the SIM down, each None where it does not. `margin_octets` of the cap stay unused, `reserve_octets` are kept
    for the class that reports."""

    def __init__(self, cap_octets, slow_octets, margin_octets, reserve_octets):
        self.cap_octets = cap_octets
        self.slow_octets = slow_octets
        self.margin_octets = margin_octets
        self.reserve_octets = reserve_octets


class DailyPolicy(Policy):
    """For a plan with DailyTerms. It has no limit of the day before the first `set_day`."""

    def __init__(self, plan, classes, observe=False):
        super().__init__(plan, classes, observe)
        self._terms = plan.daily
        self._limits += [Octets(MAX) for _ in range(3)]
        self._reached += [p.DAY_REACHED, p.RESERVE_REACHED, p.SLOW_REACHED]

    def set_day(self, start, used):
        """`start` octets of the period had been used when the day began; returns actions."""
        terms = self._terms
        local = report = slow = MAX
        if terms.cap_octets is not None:
            report = start + terms.cap_octets - terms.margin_octets
            local = report - terms.reserve_octets
        if terms.slow_octets is not None:
            slow = start + terms.slow_octets
        for kind, octets in ((DAY, local), (DAY_RESERVE, report), (DAY_SLOW, slow)):
            self._limits[kind].set(Octets(min(MAX, octets)))
        self._find_least()
        reasons = p.transition(self.reasons, p.DAY_BEGAN)
        if reasons & (p.RESERVE_EXHAUSTED | p.THROTTLED):  # by the day's limit; or by the period's: then found again
            reasons = p.transition(reasons, p.QUOTA_GRANTED)
        return self._judge(reasons, self.warned, used)

    def denied(self, index):
        limit = self._admit[index]
        if limit is not None and self.ordinary >> index & 1 and not (self.observe or limit.less(self._limits[DAY])):
            return self.apply(p.DAY_REACHED)
        return super().denied(index)

    def _find_least(self):
        super()._find_least()
        if len(self._limits) > DAY:  # not while it is made
            for i, least in enumerate(self._least):
                limit = self._limits[DAY_RESERVE if self._reserve >> i & 1 else DAY]
                if limit.less(least):
                    least.set(limit)
