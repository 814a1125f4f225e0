"""What the owner orders from upstream is carried out here (core.orders says what there is)."""

from usageguard.core import policy as rules
from usageguard.core.ordered import Ordered


class Owner:
    """Carries orders out on `guard`."""

    def __init__(self, guard):
        self._guard = guard

    def order(self, counter, orders, now):
        """Carries out an order from upstream; it and its counter are stored in one record."""
        guard = self._guard
        account, ledger, gate, calendar = guard.account, guard.ledger, guard.gate, guard.calendar
        calendar.step(now)  # the order may be for the period that the time beside it begins
        day, second = calendar.clock.floor(now)
        refused = account.refused
        done = Ordered(account)
        actions = done.carry_out(counter, orders, gate.used, ledger.rated, ledger.cycle_id, day, second)
        if not actions:
            if account.refused != refused:
                guard.hal.event("order-refused", account.refused)
            return
        gate.owe(done.owed)  # before the counter is stored: after a power cut the order comes again
        gate.meter.learn(account.standing.learned)
        if done.set_used is not None:
            self._set_used(done)
        if done.late and calendar.closed and calendar.closed["cycle"] == done.late[0]:
            calendar.closed["billed_octets"] = done.late[1]
        if done.accepted:
            ledger.lost = gate.broken = False
            actions |= guard.policy.apply(rules.LEDGER_SET)
        if done.activated:
            calendar.clock.recheck(now)
        guard.hal.event("order", counter)
        for key in done.unheard:
            guard.hal.event("order-without-part", key)
        guard.obey(actions | guard.policy.cross(gate.used))
        calendar.look_again(now)

    def _set_used(self, done):
        """An audited correction of this period's usage: the event says what it was."""
        guard = self._guard
        octets = done.set_used
        used = guard.gate.used.value()
        guard.hal.event("set-used", used & 0x3FFFFFFF, octets & 0x3FFFFFFF)
        done.put_right(guard.ledger.rated, abs(octets - used))
        if octets >= used:
            guard.gate.owe(octets - used)
            return
        guard.ledger.correct(octets)
        guard.gate.rebase()
        guard.account.corrected(guard.gate.used)
