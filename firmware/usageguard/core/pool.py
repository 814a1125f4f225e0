"""The SIM's share of a pool: granted from upstream, for a time. Where a plan has a pool."""

from usageguard.core import policy as p
from usageguard.core.cycle import DAY_SECONDS, seconds_since
from usageguard.core.octets import MAX

RETRY_S = 600  # a report with all its repetitions and one back-off: what RETRY_AND_TERMINATE waits for news


class Pool:
    """`plan.pool`'s; tells `policy`, and keeps its part of `standing`. `wants_report`: upstream should be asked."""

    def __init__(self, plan, policy, standing):
        self._first, self._holding_s, self._on_silence = plan.pool
        self._policy = policy
        self._standing = standing
        self._idle_from = None  # instant since which no application has used the grant
        self.wants_report = False

    def restore(self, cycle_id):
        """After a reset in this period, 0 where none is known: is what was granted for it?"""
        if self._standing.grant_cycle < cycle_id or not cycle_id:
            self._first_grant(cycle_id)

    def begin_cycle(self, cycle_id):
        """A period's first grant; one that upstream gave for it already stays."""
        if self._standing.grant_cycle != cycle_id:
            self._first_grant(cycle_id)

    def _first_grant(self, cycle_id):
        standing = self._standing
        standing.grant_cycle = cycle_id
        standing.granted = self._first
        standing.valid_day = standing.valid_second = 0

    def limit(self, used):
        """Sets what is granted; returns actions."""
        return self._policy.set_limit(p.GRANT, self._standing.granted, used)

    def told(self, value, used, day, second):
        """Takes over the parts of an order that came at this instant; returns actions."""
        standing = self._standing
        standing.grant_cycle, granted, valid_s, pool = value
        standing.granted = granted if pool else 0
        second += valid_s
        standing.valid_day = day + second // DAY_SECONDS
        standing.valid_second = second % DAY_SECONDS
        self._idle_from = None
        return self.limit(used)

    def told_time(self):
        """No instant before this one can be relied upon."""
        self._idle_from = None

    def lapse(self, day, second, used, active):
        """A grant's Quota-Holding-Time and Validity-Time: what comes after that without news is the plan's choice."""
        standing = self._standing
        self.wants_report = False
        if active or self._idle_from is None:
            self._idle_from = day, second
        elif self._holding_s and seconds_since(day, second, self._idle_from) >= self._holding_s:
            return self._policy.apply(p.GRANT_LAPSED)
        over = self._over_s(day, second) if standing.valid_day else -1
        if over < 0:
            return 0
        if self._on_silence == "continue":
            if not standing.granted:  # upstream's word that there is nothing
                return 0
            standing.valid_day = standing.valid_second = 0
            standing.granted = MAX >> 4
            return self.limit(used) | p.SAVE
        self.wants_report = self._on_silence == "retry_and_terminate" and over < RETRY_S
        return 0 if self.wants_report else self._policy.apply(p.GRANT_LAPSED)

    def due_s(self, day, second):
        """Seconds, 1 to a day, until `lapse` may have something new to say."""
        due = DAY_SECONDS
        if self._holding_s and self._idle_from:
            left = self._holding_s - seconds_since(day, second, self._idle_from)
            if left > 0:
                due = min(due, left)
        if self._standing.valid_day:
            left = -self._over_s(day, second)
            if left > 0:
                due = min(due, left)
            elif left > -RETRY_S:
                due = min(due, left + RETRY_S)
        return due

    def _over_s(self, day, second):
        return seconds_since(day, second, (self._standing.valid_day, self._standing.valid_second))
