"""Follows the time over the boundaries of days, for a plan that counts by the day. Loaded for such a plan.

As a period, a day begins once the lower bound of the time has passed its midnight by DELAY, with what had been used
when it was last certain that the day before had not ended: what is used between the two counts in both. Where that is
not known, the day has used what the period has.
"""

from usageguard.clock import DELAY, TOLERANCE, plus
from usageguard.compat import const
from usageguard.core.cycle import DAY_SECONDS
from usageguard.guard.periods import PeriodTracker

_STEP_BITS = const(10)  # what is stored of `_next` is a multiple of this power of two
_STEPS_MAX = const(0xFFFFFF)


class DailyPeriods(PeriodTracker):
    """A PeriodTracker that sets the limits of the day as well; `policy` is a DailyPolicy.

    The day is stored where a plan with a pool has its grant, and a `grant_cycle` of 0 says so: no grant has it.
    """

    def __init__(self, hal, cycle, ledger, policy, account, admission, *others):
        super().__init__(hal, cycle, ledger, policy, account, admission, *others)
        standing = account.standing
        if standing.grant_cycle or not standing.valid_day:
            standing.grant_cycle = 0
            standing.valid_day = standing.valid_second = 0  # the day is not known
            standing.granted = ledger.rated_base.value()
        self._next = standing.granted + (standing.valid_second << _STEP_BITS)  # the next day counts from here
        self._near_midnight = False
        self._start = -1  # what had been used of the period when the day began
        self._set_limits()

    def step(self, now):
        due = super().step(now)
        floor = self.clock.floor(now)
        day = self._cycle.local_day(*plus(floor, -DELAY))
        standing = self._account.standing
        if day != standing.valid_day:
            if day < standing.valid_day:  # a wrong clock had begun that one
                self._next = self._ledger.rated_base.value()
            if standing.valid_day:
                standing.granted = self._next
            standing.valid_day = day
            standing.valid_second = -1  # to be stored
            self._begin_day(now)
        self._mark(floor)
        self._obey(self._set_limits())
        into_day = (floor[1] + self._cycle.utc_offset_min * 60) % DAY_SECONDS
        left = DAY_SECONDS - (into_day - DELAY) % DAY_SECONDS
        certain = DAY_SECONDS - into_day - TOLERANCE - self.clock.slack - 1
        return min(due, (certain if 0 < certain < left else left) * 1000)

    def note_floor(self, now):
        super().note_floor(now)
        self._mark(self.clock.floor(now))

    def day_octets(self):
        """What the day has used, by the plan's rating."""
        return self._admission.used.value() - self._start

    def _begin_day(self, now):
        """Stores the day that has begun, with a floor of the time that lies in it."""
        self._admission.meter.forfeit()  # what was charged before pays for nothing in this one
        self._store()
        super().note_floor(now)
        self._admission.commit()

    def _mark(self, floor):
        """What was used until now is of this day for certain, if that has for certain not ended."""
        ahead = plus(floor, TOLERANCE + self.clock.slack)
        if self.clock.sure and self._cycle.local_day(*ahead) == self._account.standing.valid_day:
            self._near_midnight = False
            self._next = self._ledger.rated.value()
            self._store()
        elif not self._near_midnight:
            self._near_midnight = True
            self._admission.meter.forfeit()

    def _store(self):
        """Gives the ledger `_next`, which goes with its next record, if that is another one by now."""
        standing = self._account.standing
        steps = min(_STEPS_MAX, (self._next - standing.granted) >> _STEP_BITS)
        if steps != standing.valid_second:
            standing.valid_second = steps
            standing.store()

    def _set_limits(self):
        """Sets the day's limits, if they are others; returns the policy's actions."""
        used = self._admission.used
        start = used.value() - self._ledger.rated.value() + self._account.standing.granted
        start = max(0, start)  # what is in doubt is in no limit but the day's, which need not know since when
        if start == self._start:
            return 0
        self._start = start
        return self._policy.set_day(start, used)
