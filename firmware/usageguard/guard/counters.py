"""Finds which of a plan's counters octets are debited to. Loaded for a plan that has some (core.account.counters).

Where that is not certain it is the period's allowance: with a time that was not confirmed in this boot, about the
beginning and the end of the hours, and about the end of a period, as what is used then counts in both.
"""

from usageguard.clock import DELAY, TOLERANCE
from usageguard.core.account.counters import Counter
from usageguard.core.cycle import DAY_SECONDS


def with_counters(base, plan):
    """The tracker class `base` for `plan`, which has HourTerms."""

    class CounterPeriods(base):
        def __init__(self, hal, cycle, ledger, policy, account, admission, *others):
            super().__init__(hal, cycle, ledger, policy, account, admission, *others)
            self._hours = Counter(policy.books.hours if plan.hours.octets else None, plan.hours.share)

        def step(self, now):
            due = super().step(now)
            clock, hours = self.clock, plan.hours
            into = (clock.floor(now)[1] + self._cycle.utc_offset_min * 60 - hours.start_s) % DAY_SECONDS
            left = hours.length_s - TOLERANCE - clock.slack - into
            counter = None
            if into < DELAY or left <= 0:
                left = (DELAY - into) % DAY_SECONDS
            elif clock.within_cycle(now):
                quota = self._hours.quota
                if quota is None or quota.holds(1):
                    counter = self._hours
            self._obey(self._admission.debit(counter))
            return min(due, left * 1000)

    return CounterPeriods
