"""Carries out orders from upstream (core.account.orders says which there are). Loaded with the first one."""

from usageguard.core.account.orders import Ordered
from usageguard.core.octets import MAX


class OrderHandler:
    """`obey` carries out the policy's actions."""

    def __init__(self, hal, ledger, policy, account, admission, periods, outbox, obey, modem):
        self._hal = hal
        self._ledger = ledger
        self._policy = policy
        self._account = account
        self._admission = admission
        self._periods = periods
        self._outbox = outbox
        self._obey = obey
        self._modem = modem

    def order(self, counter, orders, now):
        """Carries out an order; it and its counter are stored in one record."""
        hal, account, admission, periods = self._hal, self._account, self._admission, self._periods
        periods.step(now)  # the order may be for the period that the time beside it begins
        day, second = periods.clock.floor(now)
        refused = account.refused
        done = Ordered(account)
        rated, cycle_id = self._ledger.rated, self._ledger.cycle_id
        doubts = admission.doubts.each if admission.doubts else ()
        actions = done.carry_out(counter, orders, admission.used, rated, cycle_id, day, second, doubts)
        if not actions:
            if account.refused != refused:
                hal.event("order-refused", account.refused)
            return
        admission.owe(done.owed)  # before the counter is stored: after a power cut the order comes again
        if done.settled:
            actions |= admission.settle(*done.settled)
        admission.meter.learn(account.standing.learned)
        if done.set_used is not None:
            actions |= admission.settle(MAX, 0)
            self._set_used(done)
        if done.late:
            periods.billed(done.late[0], done.late[1])
        if done.accepted:
            actions |= admission.accept_loss()
        if done.activated:
            periods.clock.recheck(now)
        hal.event("order", counter)
        for key in done.unheard:
            hal.event("order-without-part", key)
        self._obey(actions | self._policy.cross(admission.used))
        if done.asked:
            self._outbox.tell_all(now, done.diagnosed)
        if done.operator is not None:
            from usageguard.modem.operator import order

            order(self._modem, done.operator)
        periods.look_again(now)

    def _set_used(self, done):
        """Sets this period's usage to an audited figure. The event has the figure before, and the new one."""
        admission = self._admission
        octets = done.set_used
        used = admission.used.value()
        self._hal.event("set-used", used & 0x3FFFFFFF, octets & 0x3FFFFFFF)
        done.put_right(self._ledger.rated, abs(octets - used))
        admission.meter.trim()  # what was charged too much before pays for nothing that is used from now on
        if octets >= used:
            admission.owe(octets - used)
            return
        self._ledger.correct(octets)
        admission.rebase()
        self._account.corrected(admission.used, used - octets)
