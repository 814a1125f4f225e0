"""Admission for a plan with counters beside its allowance (core.account.counters). Loaded for such a plan."""

from usageguard.compat import const
from usageguard.core.meter import IP_TCP, SEGMENT

_CLOSE = const(208)  # octets of a connection's end, which were charged when it began


def with_counters(base):
    """The admission class `base` for such a plan."""

    class CounterAdmission(base):
        """Read only: `debited`, the Counter that is debited now, None for the period's allowance alone.

        Of what is debited to it the ledger counts the share of the allowance. What an order, the carrier's figure or a
        doubt adds is the allowance's.
        """

        def __init__(self, *args):
            self.debited = None
            self._own = False  # what is spent next is the counter's
            self._before = 0  # so many rated octets may have crossed before it was debited
            self._anew = False  # so may what the next reading shows
            self._open = 0  # connections
            self._actions = 0
            super().__init__(*args)

        def debit(self, counter):
            """Debits `counter` from now on; returns actions. To be called when that is certain, and while it is."""
            if counter is self.debited:
                return 0
            if self.debited is not None:
                self._pay_waiting()
            self.debited = counter
            ledger = self._ledger
            ledger.apart = counter is not None and not counter.share
            ledger.set_remaining(0)  # until the guard knows better
            self._before = self._headroom_rated + self._closed_rated
            self._anew = True
            return self._policy.set_free(ledger.apart, self.used)

        def _pay_waiting(self):
            """Takes out of the allowance what may not have crossed yet, and lets no other charge pay for what will."""
            meter = self.meter
            waiting = meter.excess
            meter.trim()
            if meter.counted:
                self.owe(meter._pending_rated)
            else:
                self.owe(meter.worst(waiting + (waiting // SEGMENT + 1) * 2 * IP_TCP + self._open * _CLOSE))

        def hours(self):
            """Whether the counter of the hours is debited now, and what it has of this period; None where it has no
            end."""
            quota = self._policy.books.hours if self._policy.books else None
            return {"now": self.debited is not None, "octets": quota and quota.used.value()}

        def judge(self):
            actions = self._actions
            self._actions = 0
            return actions | super().judge()

        def hold(self, tcp, sign, paid=False):
            self._open += sign
            base.hold(self, tcp, sign, paid)

        def _take(self, traffic_class, asked):
            """HOT but for a lease."""
            counter = self.debited
            if counter is not None:
                quota = counter.quota
                if quota is None or quota.holds(self.meter.rated):
                    self._own = True
                else:
                    self._used_up()
            admitted = base._take(self, traffic_class, asked)
            self._own = False
            return admitted

        def _anchor(self, total, found_on, credit, credit_rated):
            """What crossed since the last reading before a reset is the allowance's: nobody knows when it did."""
            ledger = self._ledger
            short = 0
            if found_on and ledger.counter_known and not total.less(ledger.modem_counter):
                grown = total.diff(ledger.modem_counter)
                if grown <= ledger.lost_carried:  # otherwise it is charged all the same
                    short = max(0, self.meter.worst(grown) - ledger.lost_rated)
            base._anchor(self, total, found_on, credit, credit_rated)
            self.owe(short)

        def _spend_reading(self, delta, now, doubtful):
            self._own = self.debited is not None and not self._anew
            self._anew = False
            base._spend_reading(self, delta, now, doubtful)

        def _spend(self, carried, rated):
            if self._own:
                self._own = False
                rated = self._debit(rated)
            base._spend(self, carried, rated)

        def _debit(self, rated):
            """Debits the counter; what of `rated` octets the allowance is debited with. HOT but for a lease."""
            before = min(self._before, rated)
            self._before -= before
            rated -= before
            counter = self.debited
            quota = counter.quota
            if quota is not None:
                if not quota.holds(rated):
                    self._used_up()
                    return before + rated
                if quota.lease(rated):
                    self.commit()
                quota.spend(rated)
            return before + (rated * counter.share + 999) // 1000

        def _used_up(self):
            """What follows is the allowance's until the next period, also what would still fit: the carrier counts
            what is used in order."""
            quota = self.debited.quota
            quota.set_used(quota.octets.value())
            self._actions |= self.debit(None)
            self.crossed = True

    return CounterAdmission
