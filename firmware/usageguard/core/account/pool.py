"""The SIM's share of a pool, which upstream grants for a limited time. Loaded for a plan with a pool."""

from usageguard.core import policy as p
from usageguard.core.cycle import DAY_SECONDS, seconds_since
from usageguard.core.octets import MAX

RETRY_S = 600  # RETRY_AND_TERMINATE: a report with all its retransmissions, and one more try


class PoolTerms:
    """The table `plan.pool`: octets granted at the start of a period, seconds after which an unused grant ends (0:
    never), and what the device does when a grant has ended without a new one, one of config.plan.SILENCES."""

    def __init__(self, first_grant_octets, holding_s, on_silence):
        self.first_grant_octets = first_grant_octets
        self.holding_s = holding_s
        self.on_silence = on_silence


class Pool:
    """Applies the PoolTerms of `plan` to `policy`; the grant is stored in `standing`.

    `wants_report`: a report should ask upstream for a new grant.
    """

    def __init__(self, plan, policy, standing):
        self._terms = plan.pool
        self._policy = policy
        self._standing = standing
        self._idle_from = None  # instant since which no application has used the grant
        self.wants_report = False

    def restore(self, cycle_id):
        """After a reset in this period (0 where it is not known): drops a stored grant of another period."""
        if self._standing.grant_cycle < cycle_id or not cycle_id:
            self._first_grant(cycle_id)

    def begin_cycle(self, cycle_id):
        """Sets the first grant of a period, unless upstream has already granted for it."""
        if self._standing.grant_cycle != cycle_id:
            self._first_grant(cycle_id)

    def _first_grant(self, cycle_id):
        standing = self._standing
        standing.grant_cycle = cycle_id
        standing.granted = self._terms.first_grant_octets
        standing.valid_day = standing.valid_second = 0

    def limit(self, used):
        """Sets the limit GRANT; returns actions."""
        return self._policy.set_limit(p.GRANT, self._standing.granted, used)

    def told(self, value, used, day, second):
        """Takes the parts of an order `grant` that arrived at this instant; returns actions."""
        standing = self._standing
        standing.grant_cycle, granted, valid_s, pool = value
        standing.granted = granted if pool else 0
        second += valid_s
        standing.valid_day = day + second // DAY_SECONDS
        standing.valid_second = second % DAY_SECONDS
        self._idle_from = None
        return self.limit(used)

    def told_time(self):
        """The first trusted time since boot: instants noted before it are not compared with it."""
        self._idle_from = None

    def lapse(self, day, second, used, active):
        """Ends the grant after its Quota-Holding-Time or Validity-Time (RFC 8506) as the plan says; returns actions."""
        standing = self._standing
        self.wants_report = False
        if active or self._idle_from is None:
            self._idle_from = day, second
        elif self._terms.holding_s and seconds_since(day, second, self._idle_from) >= self._terms.holding_s:
            return self._policy.apply(p.GRANT_LAPSED)
        over = self._over_s(day, second) if standing.valid_day else -1
        if over < 0:
            return 0
        if self._terms.on_silence == "continue":
            if not standing.granted:  # upstream granted nothing
                return 0
            standing.valid_day = standing.valid_second = 0
            standing.granted = MAX >> 4
            return self.limit(used) | p.SAVE
        self.wants_report = self._terms.on_silence == "retry_and_terminate" and over < RETRY_S
        return 0 if self.wants_report else self._policy.apply(p.GRANT_LAPSED)

    def due_s(self, day, second):
        """Seconds, 1 to a day, until `lapse` has to be called again."""
        due = DAY_SECONDS
        if self._terms.holding_s and self._idle_from:
            left = self._terms.holding_s - seconds_since(day, second, self._idle_from)
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
