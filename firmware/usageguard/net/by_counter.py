"""Admission for a plan with counters beside its allowance (core.account.counters). Loaded for such a plan."""

from usageguard.compat import const
from usageguard.core.meter import IP_TCP, MOST, SEGMENT
from usageguard.core.policy import ROAMING_EXHAUSTED, ROAMING_GRANTED, ROAMING_REACHED

_CLOSE = const(208)  # octets of a connection's end, which were charged when it began


def with_counters(base):
    """The admission class `base` for such a plan."""

    class CounterAdmission(base):
        """Read only: `debited`, the OwnCounter that is debited now, None for the period's allowance alone.

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
            self._modem = self._where = self._ask = None
            self._registration = -1  # as of a modem that has not said anything
            self._asked = False  # where it is, since the last reading
            self._due = False  # Admission.crossed
            super().__init__(*args)

        def follow(self, modem, where, ask):
            """Has `where` called, which debits another counter, as soon as `modem` is registered elsewhere; and `ask`,
            which asks it, before each reading that is due: its unsolicited code may have been lost."""
            self._modem = modem
            self._where = where
            self._ask = ask

        def reading_ms(self, now, online):
            left = base.reading_ms(self, now, online)
            if not left and not self._asked and self._ask is not None:
                self._asked = True
                self._ask()
            return left

        @property
        def crossed(self):
            """Also where the modem has registered elsewhere. HOT."""
            return self._due or (self._modem is not None and self._modem.registration != self._registration)

        @crossed.setter
        def crossed(self, due):
            self._due = due

        def debit(self, counter):
            """Debits `counter` from now on; returns actions. To be called when that is certain, and while it is. One
            that stops is the stricter: to be called when it may be that."""
            before = self.debited
            policy = self._policy
            stops = counter is not None and counter.stops
            if counter is not before:
                if before is not None and before.share < (1000 if counter is None else counter.share):
                    self._pay_waiting()
                self.debited = counter
                ledger = self._ledger
                ledger.apart = counter is not None and not counter.share
                ledger.set_remaining(0)  # until the guard knows better
                self._anew = True
                # A connection's end gives back more than was held for it where a ratio was learned meanwhile.
                self._before = max(0, ledger.held_rated + self._closed_rated)
                if stops and (before is None or not before.stops):  # what was sent, and what may have arrived by now
                    waiting = self._waiting()
                    self._take_from(counter.quota, waiting + self._before)
                if policy.free != ledger.apart and self.denied >= 0:
                    self.take_denied()  # by limits that do not bind now, or bind again and will deny again
                self._actions |= policy.set_free(ledger.apart, self.used)
            stopped = stops and not counter.quota.holds(1)
            if stopped != (policy.reasons & ROAMING_EXHAUSTED > 0):
                self._actions |= policy.apply(ROAMING_REACHED if stopped else ROAMING_GRANTED)
            actions = self._actions
            self._actions = 0
            return actions

        def _take_from(self, quota, rated):
            """HOT but for a lease."""
            if quota.lease(rated):
                self.commit()
            quota.spend(rated)

        def _waiting(self):
            """Rated octets that were charged, and may cross from now on. No other charge pays for what does."""
            meter = self.meter
            meter.trim()
            return meter.worst(max(meter.window, meter.excess()))

        def _pay_waiting(self):
            """Takes out of the allowance what may not have crossed yet, and lets no other charge pay for what will."""
            meter = self.meter
            waiting = meter.excess()
            meter.trim()
            if meter.counted:
                self.owe(meter._pending_rated)
            else:
                self.owe(meter.worst(waiting + (waiting // SEGMENT + 1) * 2 * IP_TCP + self._open * _CLOSE))

        def apart(self):
            """What the counters have debited in this period, None where there is no such or it has no end; and which
            of them is debited now."""
            books, counter = self._policy.books, self.debited
            hours, roaming = (books.hours, books.roaming) if books else (None, None)
            return {
                "now": counter and ("roaming" if counter.stops else "hours"),
                "hours_octets": hours and hours.used.value(),
                "roaming_octets": roaming and roaming.used.value(),
            }

        def judge(self):
            self._look()
            actions = self._actions
            self._actions = 0
            return actions | super().judge()

        def _look(self):
            """HOT while the modem is registered where it was."""
            modem = self._modem
            if modem is not None and modem.registration != self._registration:
                self._registration = modem.registration
                self._actions |= self._where()
                self._due = True

        def hold(self, tcp, sign, paid=False):
            self._open += sign
            base.hold(self, tcp, sign, paid)

        def _take(self, traffic_class, asked):
            """HOT but for a lease."""
            self._look()
            counter = self.debited
            if counter is not None:
                quota = counter.quota
                if quota is None or quota.holds(self.meter.rated) or (counter.stops and not asked):
                    self._own = True
                else:
                    self._used_up()
            admitted = base._take(self, traffic_class, asked)
            self._own = False
            return admitted

        def counter(self, tx, rx, epoch, found_on):
            self._asked = False
            self._look()
            # What was leased for connections that the modem has lost may have arrived where it was.
            self._own = epoch != self._epoch and self.debited is not None and self.debited.stops
            base.counter(self, tx, rx, epoch, found_on)
            self._own = False

        def _anchor(self, total, found_on, credit, credit_rated):
            """What crossed since the last reading before a reset is the allowance's: nobody knows when it did."""
            ledger = self._ledger
            short = 0
            if found_on and ledger.counter_known and not total.less(ledger.modem_counter):
                grown = total.diff(ledger.modem_counter)
                if grown <= ledger.lost_carried:  # otherwise it is charged all the same
                    short = max(0, self.meter.worst(grown) - ledger.lost_rated)
            base._anchor(self, total, found_on, credit, credit_rated)
            if self.debited is not None and self.debited.stops:
                self.meter.trim()  # what the allowance was charged with for the reset pays for nothing there
            self.owe(short)

        def _spend_reading(self, delta, now, doubtful):
            self._own = self.debited is not None
            before = self._before
            if self._anew:
                self._anew = False
                self._before = MOST
            base._spend_reading(self, delta, now, doubtful)
            self._before = before

        def _spend(self, carried, rated):
            if self._own:
                self._own = False
                rated = self._debit(rated)
            base._spend(self, carried, rated)

        def _debit(self, rated):
            """Debits the counter; what of `rated` octets the allowance is debited with. HOT but for a lease."""
            before = min(self._before, rated)
            self._before -= before
            counter = self.debited
            quota = counter.quota
            if counter.stops:
                self._take_from(quota, rated)
            rated -= before
            if quota is not None and not counter.stops:
                if not quota.holds(rated):
                    self._used_up()
                    return before + rated
                self._take_from(quota, rated)
            return before + (rated * counter.share + 999) // 1000

        def _used_up(self):
            """What follows is the allowance's until the next period, or nobody's, also what would still fit: the
            carrier counts what is used in order."""
            counter = self.debited
            quota = counter.quota
            quota.set_used(max(quota.octets.value(), quota.used.value()))
            self._actions |= self.debit(counter if counter.stops else None)
            self.crossed = True

    return CounterAdmission
