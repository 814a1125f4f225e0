"""Applies orders to the account (SPEC.md, "Orders"). Loaded with the first order, as many devices never get one."""

from usageguard.core import policy as p
from usageguard.core.account import standing as o
from usageguard.core.cycle import DAY_SECONDS

_ID = (0, 0xFFFF)
_DAY = (0, 0xFFFF)
_OCTETS = (0, 1 << 50)
_FEN = (o.FEN_MIN, (1 << 30) - 1)
# Key: range of each part of its value; a value of more than one part is a list. The host reads this table too.
SHAPES = {
    o.STOP: ((0, 1),),
    o.LIMIT: (_OCTETS,),
    o.THROTTLE: ((0, (1 << 24) - 1),),
    o.EXPIRY: (_DAY,),
    o.BALANCE: (_ID, _FEN, _FEN),
    o.CARRIER_USED: (_ID, _OCTETS, _DAY, (0, DAY_SECONDS - 1), _OCTETS),
    o.GRANT: (_ID, _OCTETS, (1, 1 << 29), _OCTETS),
    o.SET_USED: (_ID, _OCTETS),
    o.ACCEPT: ((1, 1),),
    o.RELEASE: ((1, 1),),
    o.BILLING: ((1, 0xFFFF),),
    o.NEW_SIM: (_OCTETS,),
    o.ALLOWANCE: (_ID, _OCTETS, (0, 1)),
    o.HOLD: ((0, 0xFF),),
    o.DIAGNOSE: ((1, 1),),
    o.REPORT_NOW: ((1, 1),),
    o.OPERATOR: ((0, 999_999),),
}


def check(counter, orders):
    """ValueError unless `counter` and `orders` are valid as a whole: of an invalid order nothing may be applied."""
    if type(counter) is not int or not 0 < counter <= o.COUNTER_MAX or type(orders) is not dict:
        raise ValueError("no order")
    for key in orders:
        shape = SHAPES.get(key) if type(key) is int else None
        values = orders[key]
        if shape is None:
            raise ValueError("order: unknown key")
        if len(shape) == 1:
            values = (values,)
        elif type(values) is not list or len(values) != len(shape):
            raise ValueError("order: no such value")
        for i, (low, high) in enumerate(shape):
            if type(values[i]) is not int or not low <= values[i] <= high:
                raise ValueError("order: no such value")


class Ordered:
    """One order for `account`. After `carry_out` the caller has to do the following, in this sequence:

    charge `owed` rated octets before anything is stored; settle what is in doubt by `settled` (lifetime's rated octets
    then, octets of the doubt that were used) unless that is None; correct this period's usage to `set_used` unless that
    is None, and call `put_right`; give `late` (cycle id, octets) to the closed period unless it is None; clear a ledger
    fault if `accepted`; find the period again if `activated`; have a full report sent if `asked`, with the diagnosis if
    `diagnosed`; have the modem try `operator` unless it is None. `unheard` are keys for parts that the plan does not
    have, or classes that the configuration does not have: they were skipped, and the order is counted in `refused`.
    """

    def __init__(self, account):
        self._account = account
        self.owed = 0
        self.settled = self.set_used = self.late = self.operator = None
        self.accepted = self.activated = self.asked = self.diagnosed = False
        self.unheard = []

    def carry_out(self, counter, orders, used, rated, cycle_id, day, second, doubts=()):
        """Applies the order at this instant; `used` is the Octets of the present period, `rated` the lifetime's,
        `doubts` those of net.doubts.Doubts.each.
        Returns the policy's actions. An invalid order, or one older than the last, is counted in `refused` and changes
        nothing.
        """
        account = self._account
        standing, policy = account.standing, account.policy
        if counter == standing.counter:
            return 0
        try:
            check(counter, orders)
            if counter < standing.counter:
                raise ValueError("order: an old one")
        except ValueError:
            account.refused += 1
            return 0
        standing.counter = counter
        parts = {o.BALANCE: account.money, o.GRANT: account.pool, o.BILLING: account.life}
        actions = p.SAVE
        for key in sorted(orders):
            value = orders[key]
            if parts.get(key, self) is None:
                self.unheard.append(key)
            elif key == o.STOP:
                actions |= policy.apply(p.STOP_ORDERED if value else p.RESUME_ORDERED)
            elif key == o.LIMIT:
                standing.limit = value
                actions |= policy.set_limit(p.LOCAL, value or None, used)
                account.day = None  # the daily budget follows the limit
            elif key == o.THROTTLE:
                standing.throttle = value
                actions |= policy.apply(p.SLOW_ORDERED if value else p.SPEED_ORDERED)
            elif key == o.EXPIRY:
                standing.expiry_day = value
                actions |= policy.apply(p.RENEWED)
                account.day = None
            elif key == o.BALANCE:
                account.money.told(value, cycle_id)
                actions |= account.money.limit(account.plan, used, cycle_id)
            elif key == o.CARRIER_USED:
                if value[0] == cycle_id:
                    self.owed, confirmed = self._figures().told(value, used, rated, doubts)
                    self.settled = value[4], confirmed
                elif value[0] < cycle_id:
                    self.late = value[0], value[1]
            elif key == o.GRANT:
                if value[0] >= cycle_id:  # upstream's clock is ahead by DELAY
                    actions |= account.pool.told(value, used, day, second)
            elif key == o.SET_USED:
                if value[0] == cycle_id:
                    self.set_used = value[1]
            elif key == o.ACCEPT:
                self.accepted = True
            elif key == o.RELEASE:
                standing.held = 0
                actions |= policy.hold(0)
                if hasattr(policy, "renew"):
                    actions |= policy.renew()
            elif key == o.NEW_SIM:
                standing.sim = account.sim
                self.set_used = value
                actions |= policy.apply(p.SIM_ACCEPTED)
            elif key == o.ALLOWANCE:
                actions |= account.allow(value[0], value[1], value[2], used, cycle_id)
            elif key == o.HOLD:
                if value & ~policy.ordinary:
                    self.unheard.append(key)
                else:
                    standing.kept = value
                    actions |= policy.keep(value)
            elif key == o.DIAGNOSE:
                self.asked = self.diagnosed = True
            elif key == o.REPORT_NOW:
                self.asked = True
            elif key == o.OPERATOR:
                self.operator = value
            elif key == o.BILLING:
                account.begin_billing(value)
                self.activated = True
        if self.unheard:
            account.refused += 1
        return actions

    def put_right(self, rated, octets):
        """`set_used` has changed this period's usage by `octets`; `rated` is the lifetime's Octets before that."""
        self._figures().put_right(rated, octets)

    def _figures(self):
        account = self._account
        if account.figures is None:
            from usageguard.core.account.figures import Figures

            account.figures = Figures(account.standing)
        return account.figures
