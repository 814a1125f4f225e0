"""A ledger for octets of which the plan's allowance counts none for hours (core.account.counters)."""

from usageguard.store.ledger import Ledger

_MUCH = 1 << 29


class ApartLedger(Ledger):
    """While `apart`, settable, only carried octets are leased ahead: a power cut is not to charge the allowance what it
    does not count, and what it has left says nothing about the size of a lease."""

    apart = False
    _least = 0

    def set_remaining(self, n):
        super().set_remaining(_MUCH if self.apart else n)

    def _extend(self, n):
        self._least = n
        super()._extend(n)

    def _aim(self, lease):
        if not self.apart:
            return super()._aim(lease)
        return max(self._rated.lease(self._least), self._carried.lease(lease))
