"""Finds which of a plan's counters octets are debited to. Loaded for a plan that has some (core.account.counters).

Where that is not certain it is the period's allowance: with a time that was not confirmed in this boot, about the
beginning and the end of the hours, and about the end of a period, as what is used then counts in both. Where it is not
certain that the SIM is at home, it is the counter of roaming as well.
"""

from usageguard.clock import DELAY, TOLERANCE
from usageguard.compat import const
from usageguard.core.account.counters import OwnCounter
from usageguard.core.cycle import DAY_SECONDS
from usageguard.core.ticks import ticks_diff

_HOME = const(1)  # <stat> of +CEREG
_ROAMING = const(5)
# Between two questions where the SIM is, as the unsolicited code may have been lost. There is one before each reading
# of the modem's counter too, but not every modem has one.
_ASK_MS = const(60_000)


def with_counters(base, plan):
    """The tracker class `base` for `plan`, which has HourTerms or RoamingTerms."""

    class CounterPeriods(base):
        def __init__(self, hal, cycle, ledger, policy, account, admission, modem, *others):
            super().__init__(hal, cycle, ledger, policy, account, admission, modem, *others)
            self._hours = self._abroad = self._unsure = None
            if plan.hours:
                self._hours = OwnCounter(policy.books.hours if plan.hours.octets else None, plan.hours.share)
            if plan.roaming:
                self._abroad = OwnCounter(policy.books.roaming, 0, True)
                self._unsure = OwnCounter(policy.books.roaming, 1000, True)
                admission.follow(modem, self._where, self._ask)
            self._asked_at = hal.ticks_ms()

        def step(self, now):
            due = super().step(now)
            if self._abroad is not None:
                self._obey(self._where())
                due = min(due, self._ask_again(now))
            if self._abroad is None or self._modem.registration == _HOME:
                due = min(due, self._look_at_hours(now))
            return due

        def _where(self):
            """Debits the counter of roaming unless the SIM is at home; returns actions."""
            registration = self._modem.registration
            admission = self._admission
            if registration == _HOME:
                debited = admission.debited
                return admission.debit(None if debited is None or debited.stops else debited)
            certain = registration == _ROAMING and self.clock.within_cycle(self._hal.ticks_ms())
            return admission.debit(self._abroad if certain else self._unsure)

        def _ask(self):
            """Has the modem asked where it is, before anything else."""
            self._modem._registration_due.set(self._modem.now, 0)
            self._modem.poked = True

        def _ask_again(self, now):
            """Has it asked from time to time; returns milliseconds until then."""
            left = _ASK_MS - ticks_diff(now, self._asked_at)
            if left <= 0:
                self._asked_at = now
                left = _ASK_MS
                if self._modem.online:  # otherwise nothing crosses, and the radio's evidence tells
                    self._ask()
            return left

        def _look_at_hours(self, now):
            """Debits the hours' counter while they last; returns milliseconds until that may change."""
            if self._hours is None:
                return DAY_SECONDS * 1000
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
            return left * 1000

    return CounterPeriods
