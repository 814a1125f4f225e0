"""What the owner orders from upstream is carried out here (core.orders says what there is)."""

from usageguard.core import policy as rules


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
        actions = account.order(counter, orders, gate.used, ledger.rated, ledger.cycle_id, day, second)
        if not actions:
            if account.refused != refused:
                guard.hal.event("order-refused", account.refused)
            return
        gate.owe(account.owed)  # before the counter is stored: after a power cut the order comes again
        gate.meter.learn(account.standing.learned)
        if account.set_used is not None:
            self._set_used(account.set_used)
        if account.late and calendar.closed and calendar.closed["cycle"] == account.late[0]:
            calendar.closed["billed_octets"] = account.late[1]
        if account.accepted:
            ledger.lost = gate.broken = False
            actions |= guard.policy.apply(rules.LEDGER_SET)
        if account.activated:
            calendar.clock.recheck(now)
        guard.hal.event("order", counter)
        guard.obey(actions | guard.policy.cross(gate.used))
        calendar.look_again(now)

    def _set_used(self, octets):
        """An audited correction of this period's usage: the event says what it was."""
        guard = self._guard
        used = guard.gate.used.value()
        guard.hal.event("set-used", used & 0x3FFFFFFF, octets & 0x3FFFFFFF)
        guard.account.put_right(guard.ledger.rated, abs(octets - used))
        if octets >= used:
            guard.gate.owe(octets - used)
            return
        guard.ledger.correct(octets)
        guard.gate.rebase()
        guard.account.corrected(guard.gate.used)
