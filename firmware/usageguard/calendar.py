"""Follows the time over the boundaries of billing periods: usage goes to the right one, none is granted twice."""

from usageguard.clock import Clock
from usageguard.compat import const
from usageguard.core import policy as rules
from usageguard.core.ticks import ticks_add, ticks_diff

_ACCOUNT_S = const(3600)
_PROBE_OCTETS = const(2048)  # a name, a report with all its repetitions, an acknowledgement
_PROBE_MS = const(21_600_000)  # at most 124 probes a month: 1/4 MB, and never beyond the allowance


class Calendar:
    """`guard`'s periods. Read only: `clock`; `closed`, the figures of the last complete period, None before."""

    def __init__(self, guard, now):
        ledger = guard.ledger
        self.clock = Clock(guard.config.plan.cycle, (ledger.floor_day, ledger.floor_second), ledger.cycle_id, now)
        self.closed = None
        self._guard = guard
        self._time_reading = 0
        self._probe_at = now
        self._near_boundary = False
        self._account_at = now

    def step(self, now):
        """Begins the next period when it is time; returns milliseconds until it has to look again."""
        guard, clock = self._guard, self.clock
        if self._time_reading != guard.modem.time_reading:
            self._time_reading = guard.modem.time_reading
            self._network_time(guard.modem.time_day, guard.modem.time_second, now)
        clock.step(now)
        if clock.cycle_id > guard.ledger.cycle_id:
            self._begin(clock.cycle_id, now)
        elif clock.within_cycle(now):
            guard.ledger.within_cycle()
            self._near_boundary = False
        elif not self._near_boundary:
            # From here on what is used may count in both periods: none of it is paid by the old one's surplus.
            self._near_boundary = True
            guard.gate.meter.forfeit()
        due = min(clock.next_ms(now), self._account(now))
        if not clock.suspects(now):
            self._probe_at = now  # kept near, inside the ticks' horizon
        elif not guard.policy.data_wanted():
            due = min(due, self._probe(now))
        return due

    def server_time(self, day, second, now):
        """The collector's time, authenticated and fresh."""
        if not self.clock.trusted:
            self._guard.hal.event("time-trusted", day, second)
            self._guard.obey(self._guard.account.told_time(day, second))
        self.clock.server(day, second, now)
        self._guard.hal.set_utc(day, second)
        self._account_at = now

    def note_floor(self, now):
        """Has the time that has passed for certain stored with the next record."""
        ledger = self._guard.ledger
        ledger.floor_day, ledger.floor_second = self.clock.floor(now)

    def look_again(self, now):
        """What the account says of this instant may be another thing now."""
        self._account_at = now

    def first_use(self, now):
        """The SIM begins its billing period with this day, if it has not."""
        day, second = self.clock.floor(now)
        self._guard.obey(self._guard.account.first_use(day, second, 0 if self.clock.trusted else 1))
        self.clock.recheck(now)
        self._account_at = now

    def _account(self, now):
        """Tells the account the time that has passed for certain; returns milliseconds until it is to hear it again."""
        guard = self._guard
        account = guard.account
        left = ticks_diff(self._account_at, now)
        if left <= 0:
            cycle_id = guard.ledger.cycle_id
            told = self.clock.now(now)
            day, second = told or self.clock.floor(now)
            guard.obey(account.expect_silence(day, second, cycle_id, told is not None))
            day, second = self.clock.floor(now)
            active, guard.gate.active = guard.gate.active, False
            guard.obey(account.time(day, second, guard.gate.used, guard.ledger.rated, cycle_id, active))
            left = min(account.due_s(day, second), _ACCOUNT_S) * 1000
            self._account_at = ticks_add(now, left)
        return left

    def _network_time(self, day, second, now):
        """The network's own time: it sets the system clock (for TLS), and is weighed for the period's."""
        self.clock.network(day, second, now)
        self._account_at = now
        best = None if self.clock.trusted else self.clock.now(now)
        if best:
            self._guard.hal.set_utc(best[0], best[1])

    def _probe(self, now):
        """The reserve is gone, and only the server can tell that a period has begun: one question, on the margin."""
        guard = self._guard
        wait = ticks_diff(self._probe_at, now)
        if wait <= 0:
            self._probe_at = ticks_add(now, _PROBE_MS)
            wait = _PROBE_MS
            guard.hal.event("probe")
            guard.obey(guard.policy.allow_probe(guard.gate.used, _PROBE_OCTETS))
        return wait

    def _begin(self, cycle_id, now):
        guard = self._guard
        before = guard.ledger.cycle_id
        if before and cycle_id == guard.config.plan.cycle.next_id(before):
            # Otherwise the clock has only now learnt which period it is.
            self.closed = {
                "cycle": guard.ledger.cycle_id,
                "carried_octets": guard.carried_octets(),
                "rated_octets": guard.gate.used.value(),
                "error_bound_octets": guard.error_bound_octets(),
                "cost_fen": guard.account.cost_fen(guard.gate.used),
                "billed_octets": None,  # the carrier's word, where it comes
            }
        guard.account.close_cycle(cycle_id, guard.gate.used)
        guard.gate.begin_cycle(cycle_id)
        guard.hal.event("cycle", cycle_id)
        guard.obey(guard.policy.apply(rules.NEW_CYCLE) | rules.SAVE)  # the warnings that outlast it too
        guard.obey(guard.account.begin_cycle(cycle_id, guard.gate.used))
        guard.judge()
        self._account_at = now
        guard.changed()
