"""Quotas of their own, of a period: for a class of traffic, or for another part of the octets. Loaded for a plan that
has one.

Each is counted as the ledger counts the whole: nothing is spent beyond a ceiling that is stored. So a reset charges it
what was left of its own lease, and nothing where nothing was debited to it since the boot.
"""

from struct import pack_into

from usageguard.compat import const
from usageguard.core import policy as p
from usageguard.core.account.standing import Standing
from usageguard.core.octets import Octets

_STATE = const(76)  # where they lie in the stored Standing: in place of the third pair of `charged`
_STATE_OCTETS = const(14)  # 4 for each of 3 quotas, and the period
_HOURS = const(8)  # the last of them, so that it stays where it is when a class gets one
_ROAMING = const(4)
_CYCLE = const(12)
_CHARGED_BITS = const(224)  # of the two pairs that are left
_PAIR_BITS = const(112)
_LEASE_MIN = const(1024)
_LEASE_MAX = const(65536)
_SHARE_BITS = const(6)  # a lease is a 64th of the quota
_STORED_MAX = const(0xFF)  # of Octets.hi


class Quota:
    """`octets` of a period; `state` is where its ceiling is stored. Read only: `octets` and `used`, Octets."""

    def __init__(self, octets, state):
        self.octets = Octets(octets)
        self.used = Octets(state[0] | state[1] << 8 | state[2] << 16 | state[3] << 24)
        self._state = state
        self._step = max(_LEASE_MIN, min(_LEASE_MAX, octets >> _SHARE_BITS))
        self._left = 0  # of the lease

    def set_used(self, octets):
        self.used = Octets(octets)
        self.give_back()

    def give_back(self):
        """Leases nothing; to be stored before a sleep, and with whatever else is."""
        self._lease(0)

    # HOT

    def holds(self, n):
        """Whether `n` octets more may be used."""
        return self.octets.diff(self.used) >= n

    def lease(self, n):
        """Leases `n` octets, 0 <= n < 2**29; true where that has to be stored before they are spent."""
        if self._left >= n:
            return False
        self._lease(max(n, self._step))
        return True

    def spend(self, n):
        """Counts `n` octets that were leased."""
        self.used.add(n)
        self._left -= n

    def _lease(self, n):
        self._left = n
        lo = self.used.lo + n
        hi = self.used.hi + (lo >> 24)
        if hi > _STORED_MAX:
            hi = _STORED_MAX
        pack_into("<HBB", self._state, 0, lo & 0xFFFF, lo >> 16 & 0xFF, hi)


class QuotaStanding(Standing):
    """A Standing with room for two pairs of `charged`, and for `quotas`: by class, None for one that has none; and for
    those of `hours` and `roaming` (core.account.counters), None without."""

    def __init__(self, buf, classes, hours=None, roaming=None):
        super().__init__(buf)
        self.charged &= (1 << _CHARGED_BITS) - 1
        self.quotas = []
        at = _STATE
        for each in classes:
            quota = None
            if each.quota_octets:
                quota = Quota(each.quota_octets, buf[at : at + 4])
                at += 4
            self.quotas.append(quota)
        self._apart = hours is not None or roaming is not None
        self.hours = None
        if hours and hours.octets:
            self._share = hours.share
            self.hours = Quota(hours.octets, buf[_STATE + _HOURS : _STATE + _CYCLE])
        self.roaming = None
        if roaming:
            self.roaming = Quota(roaming.octets, buf[_STATE + _ROAMING : _STATE + _HOURS])

    def store(self):
        for quota in self.quotas + [self.hours, self.roaming]:
            if quota is not None:
                quota.give_back()
        state = bytes(self._buf[_STATE : _STATE + _STATE_OCTETS])
        while self.charged >> _CHARGED_BITS:
            self.charged >>= _PAIR_BITS  # the oldest one
        super().store()
        self._buf[_STATE : _STATE + _STATE_OCTETS] = state

    def corrected(self, less):
        """The period's usage was corrected by `less` octets. So many may have been debited to the hours, and not to the
        allowance, where that was not certain."""
        quota = self.hours
        if quota is not None:
            debited_apart = 1000 - self._share
            most = (1000 * less + debited_apart - 1) // debited_apart
            quota.set_used(min(quota.octets.value(), quota.used.value() + most))

    def count_in(self, cycle_id, used, begun):
        """The quotas are those of the period `cycle_id`, which has used `used` octets: no class has used more, but for
        what was debited to the hours or to roaming.

        Where they were another's, a class may have used all of it; if the period has just `begun`, of what it had. What
        the others have used is not in `used`, but for what was used about the beginning of the period.
        """
        known = cycle_id ^ 0xFFFF  # which no pair of `charged` has there
        at = _STATE + _CYCLE
        same = self._buf[at] | self._buf[at + 1] << 8 == known
        for quota in self.quotas:
            if quota is not None:
                was, most = quota.used.value(), used
                if self._apart and not begun:
                    most = was if same else quota.octets.value()
                quota.set_used(min(was, most) if same or begun else most)
        for quota in (self.hours, self.roaming):
            if quota is not None and not same:
                quota.set_used(min(used, quota.used.value()) if begun else quota.octets.value())
        pack_into("<H", self._buf, at, known)


def with_quotas(base):
    """The policy class `base` for quotas."""

    class QuotaPolicy(base):
        """`used_up`: bitmap of the classes that have used up their quotas; settable, with `cross` to be called then.
        Read only: `books`, the QuotaStanding."""

        def __init__(self, plan, classes, observe=False):
            self.used_up = 0
            self.books = None
            super().__init__(plan, classes, observe)

        def standing(self, buf):
            """The QuotaStanding in `buf`."""
            self.books = QuotaStanding(buf, self._classes, self._plan.hours, self._plan.roaming)
            return self.books

        def renew(self):
            """Gives the classes that have used up their quotas the same once more; returns actions."""
            for i, quota in enumerate(self.books.quotas):
                if self.used_up >> i & 1:
                    quota.set_used(0)
            self.used_up = 0
            return self._become(self.reasons, self.warned, 0) | p.SAVE

        def apply(self, event):
            if event == p.NEW_CYCLE:
                self.used_up = 0
            return super().apply(event)

        def corrected(self, used, less):
            self.used_up = 0
            self.books.corrected(less)
            return super().corrected(used, less)

        def _judge(self, reasons, warned, used):
            for i, quota in enumerate(self.books.quotas):
                if quota is not None and not quota.holds(1):
                    self.used_up |= 1 << i
            return super()._judge(reasons, warned, used)

        def _become(self, reasons, warned, shed):
            reasons = p.transition(reasons, p.CLASS_REACHED if self.used_up else p.CLASS_GRANTED)
            return super()._become(reasons, warned, shed | self.used_up)

    return QuotaPolicy
