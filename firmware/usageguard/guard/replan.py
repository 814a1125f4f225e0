"""Takes over the count from a period of another plan. Loaded at the boot that finds the plan changed.

By the new plan, with another billing day or kind of periods, the present period began earlier or later than the one
that is counted. It inherits what was used since the earlier of the two starts: a plan that is deployed grants nothing
that was granted before. Where that is too much, the owner sets it right (order `set_used`).
"""

from usageguard.core.cycle import SILENT
from usageguard.store import reopen


def follow(cycle_id, ledger, account, admission):
    """By the new plan, the time that has certainly passed is in the period `cycle_id`."""
    if cycle_id <= SILENT:
        cycle_id = ledger.cycle_id  # a SIM that has been billed is not tested again
    reopen.inherit(ledger, cycle_id)
    admission.rebase()
    standing = account.standing
    if account.money and standing.balance_cycle > ledger.cycle_id:  # no cost of this period was taken off the balance
        standing.balance_cycle, standing.balance_cost = ledger.cycle_id, 0
        account.wants_report = True
    standing.store()
    admission.commit()
