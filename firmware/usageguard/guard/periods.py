"""Follows the time over the boundaries of billing periods: usage counts in the right one, no quota is granted twice."""

from usageguard.clock import Clock
from usageguard.compat import const
from usageguard.core import policy as rules
from usageguard.core.cycle import DAY_SECONDS, SILENT, seconds_since
from usageguard.core.ticks import ticks_add, ticks_diff

_ACCOUNT_S = const(3600)
_MARK_S = const(900)  # seconds: all zones are whole multiples of it


def _mark(cycle, cycle_id):
    """16 bits, not 0, that another plan's period with the same first day would not have, unless it ends alike."""
    day, second = cycle.bounds(cycle_id)[1]
    return (day * (DAY_SECONDS // _MARK_S) + second // _MARK_S) % 0xFFFF + 1


class PeriodTracker:
    """The present billing period. `modem` has the network's time; `obey` carries out the policy's actions; `ntp`: the
    clock is told an NTP server's time as well.

    Read only: `clock`; `closed`, the figures of the last complete period, None before the first.
    """

    def __init__(self, hal, cycle, ledger, policy, account, admission, modem, obey, now, ntp=False):
        make = Clock
        if ntp:
            from usageguard.corroborated import CorroboratedClock

            make = CorroboratedClock
        floor = (ledger.floor_day, ledger.floor_second)
        if ledger.cycle_id > SILENT:
            changed = ledger.cycle_mark not in (0, _mark(cycle, ledger.cycle_id))
        else:
            changed = ledger.cycle_id > 0 and not hasattr(cycle, "test_end_day")
        self._replanned = changed
        if changed:
            from usageguard.guard.replan import follow

            hal.event("plan-changed", ledger.cycle_id)
            follow(make(cycle, floor, 0, now).cycle_id, ledger, account, admission)
        self.clock = make(cycle, floor, ledger.cycle_id, now)
        self.closed = None
        self._hal = hal
        self._cycle = cycle
        self._ledger = ledger
        self._policy = policy
        self._account = account
        self._admission = admission
        self._modem = modem
        self._obey = obey
        self._time_reading = 0
        self._near_boundary = False
        self._account_at = now

    def step(self, now):
        """Begins the next period when it is time; returns milliseconds until it has to be called again."""
        clock, ledger, modem = self.clock, self._ledger, self._modem
        if self._time_reading != modem.time_reading:
            self._time_reading = modem.time_reading
            self._network_time(modem.time_day, modem.time_second, now)
        clock.step(now)
        if clock.cycle_id > ledger.cycle_id:
            self._begin(clock.cycle_id, now)
        elif clock.cycle_id < ledger.cycle_id:
            self._reopen(clock.cycle_id, now)
        elif clock.within_cycle(now):
            ledger.within_cycle()
            self._near_boundary = False
        elif not self._near_boundary:
            # From here on what is used may count in both periods: none of it is paid by the old one's surplus.
            self._near_boundary = True
            self._admission.meter.forfeit()
        return min(clock.next_ms(now), self._account_step(now))

    def server_time(self, day, second, now):
        """Takes the collector's time, which is authenticated and fresh, but may be wrong."""
        first = not self.clock.trusted
        if not self.clock.server(day, second, now):
            self._hal.event("time-doubted", day, second)
            return
        if first:
            self._hal.event("time-trusted", day, second)
            self._obey(self._account.told_time(day, second))
        self._hal.set_utc(day, second)
        self._account_at = now

    def note_floor(self, now):
        """Gives the ledger the time that has certainly passed; it is stored with the next record."""
        ledger = self._ledger
        ledger.cycle_mark = _mark(self._cycle, ledger.cycle_id)
        ledger.floor_day, ledger.floor_second = self.clock.floor(now)

    def seconds_left(self, now):
        """Seconds, 0 or more, until the present period has certainly ended."""
        day, second = self.clock.floor(now)
        return max(0, -seconds_since(day, second, self._cycle.bounds(self._ledger.cycle_id)[1]))

    def look_again(self, now):
        """Has the account look at the time in the next step: something that it decides by has changed."""
        self._account_at = now

    def first_use(self, now):
        """Begins the SIM's billing with this day, if it has not begun."""
        day, second = self.clock.floor(now)
        self._obey(self._account.first_use(day, second, 0 if self.clock.trusted else 1))
        self.clock.recheck(now)
        self._account_at = now

    def billed(self, cycle_id, octets):
        """Notes what the carrier billed for the last complete period; of another one nothing is noted."""
        if self.closed and self.closed["cycle"] == cycle_id:
            self.closed["billed_octets"] = octets

    def _account_step(self, now):
        """Gives the account the time that has certainly passed; returns milliseconds until it wants it again."""
        account, admission = self._account, self._admission
        left = ticks_diff(self._account_at, now)
        if left <= 0:
            cycle_id = self._ledger.cycle_id
            known = self.clock.now(now)
            day, second = known or self.clock.floor(now)
            self._obey(account.expect_silence(day, second, cycle_id, known is not None))
            day, second = self.clock.floor(now)
            active = admission.take_active()
            self._obey(account.time(day, second, admission.used, self._ledger.rated, cycle_id, active))
            left = min(account.due_s(day, second), _ACCOUNT_S) * 1000
            self._account_at = ticks_add(now, left)
        return left

    def _network_time(self, day, second, now):
        """Takes the network's time: for the clock, and for the system's (TLS) until the server's is known."""
        self.clock.network(day, second, now)
        self._account_at = now
        best = None if self.clock.trusted else self.clock.now(now)
        if best:
            self._hal.set_utc(best[0], best[1])

    def _reopen(self, cycle_id, now):
        """Goes back to a period: the present one was begun by a clock that was wrong."""
        from usageguard.guard.reopen import reopen

        self.closed = None
        self._hal.event("cycle-reopened", cycle_id)
        self._obey(reopen(cycle_id, self._ledger, self._account, self._admission))
        self._account_at = now

    def _begin(self, cycle_id, now):
        account, admission = self._account, self._admission
        used = admission.used
        before = self._ledger.cycle_id
        if before and cycle_id == self._cycle.next_id(before):
            # Otherwise the clock has only now learnt which period it is.
            self.closed = {
                "cycle": before,
                "carried_octets": admission.carried_octets(),
                "rated_octets": used.value(),
                "error_bound_octets": admission.error_bound_octets(),
                "cost_fen": account.cost_fen(used),
                "billed_octets": None,  # until the carrier's figure comes
            }
        account.close_cycle(cycle_id, used)
        self._ledger.cycle_mark = _mark(self._cycle, cycle_id)
        admission.begin_cycle(cycle_id, self.clock.jumped or self._replanned)
        self._hal.event("cycle", cycle_id)
        self._obey(self._policy.apply(rules.NEW_CYCLE) | account.begin_cycle(cycle_id, used) | rules.SAVE)
        self._account_at = now
