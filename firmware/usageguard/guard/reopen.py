"""Goes back to a billing period that a wrong clock had ended too early. Loaded when that happens."""

from usageguard.core.policy import SAVE
from usageguard.store import reopen as store


def reopen(cycle_id, ledger, account, admission):
    """Makes an earlier period the present one; returns the policy's actions, which store that.

    Fees that were taken off the balance stay off: it is too low, never too high, until an order states it, which
    upstream is asked for.
    """
    store.reopen(ledger, cycle_id)
    admission.rebase()
    if ledger.lost:
        admission.broken = True
    standing = account.standing
    if account.money and standing.balance_cycle > cycle_id:
        standing.balance_cycle, standing.balance_cost = cycle_id, 0
        account.wants_report = True
    if account.pool:
        account.pool.begin_cycle(cycle_id)
    account.day = None
    standing.store()
    return account.begin_cycle(cycle_id, admission.used) | SAVE
