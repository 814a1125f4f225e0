"""The SIM's balance by the device's own count: fees and costs are taken off, and data stops when it is used up.

Loaded for a plan with a balance or a tariff. Sums are in fen (1/100 yuan).
"""

from usageguard.core import policy as p
from usageguard.core.account.standing import FEN_MIN
from usageguard.core.cycle import PHASE_BILLING


class Money:
    """For `plan`; sets the limit BALANCE of `policy`. The balance is stored in `standing`. In all methods `cost` is
    what usage beyond the plan has cost in the present period."""

    def __init__(self, plan, policy, standing):
        self._plan = plan
        self._policy = policy
        self._standing = standing

    def restore(self, cycle_id):
        """Starts with the plan's balance where no order has set one."""
        standing = self._standing
        if not standing.balance_known and self._plan.balance_fen is not None:
            standing.balance_known = 1
            standing.balance = self._plan.balance_fen
            standing.balance_cycle = cycle_id

    def told(self, value, cycle_id):
        """Takes the parts of the order `balance`; call `limit` after it."""
        standing = self._standing
        standing.balance_known = 1
        standing.balance_cycle, standing.balance, standing.balance_cost = value
        if value[0] < cycle_id:  # nothing of this period's cost was taken off
            standing.balance_cycle, standing.balance_cost = cycle_id, 0

    def close_cycle(self, cycle_id, cost):
        """`cycle_id` begins: takes off the `cost` of the period before, and the fee of every period since that is
        billed and begins before the package ends. Where no period was known, nothing is taken off."""
        standing, plan = self._standing, self._plan
        known = standing.balance_cycle
        if standing.balance_known and known < cycle_id:
            if known:
                standing.balance -= max(0, cost - standing.balance_cost)
                expiry = standing.expiry_day or plan.expiry_day
                while known < cycle_id:
                    known = plan.cycle.next_id(known)
                    if plan.cycle.phase(known) == PHASE_BILLING and not 0 < expiry <= known:
                        standing.balance -= plan.fee_fen
            standing.balance = max(FEN_MIN, standing.balance)
            standing.balance_cost = 0
            standing.balance_cycle = cycle_id

    def left(self, cost, cycle_id):
        """The remaining balance by the device's own count, None where it is not known."""
        return self._standing.balance - max(0, cost - self._taken(cycle_id)) if self._standing.balance_known else None

    def limit(self, plan, used, cycle_id):
        """Sets the limit at which the balance is used up, by the `plan` of the period; returns actions.

        Where usage costs nothing, the limit is 0 for a negative balance, and else there is none.
        """
        standing = self._standing
        limit = None
        if standing.balance_known:
            left = standing.balance + self._taken(cycle_id)
            if standing.balance < 0 or left < 0:
                limit = 0
            elif plan.tariff:
                free = plan.tariff.octets_for(left)
                limit = None if free is None else plan.allowance + free
        return self._policy.set_limit(p.BALANCE, limit, used)

    def _taken(self, cycle_id):
        """The part of the present period's cost that the balance already includes."""
        return self._standing.balance_cost if self._standing.balance_cycle == cycle_id else 0
