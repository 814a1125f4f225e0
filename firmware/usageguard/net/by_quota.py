"""Admission for classes that have quotas of their own. Loaded for a configuration with such a class."""

from usageguard.net.admission import Admission
from usageguard.net.by_class import AdmissionByClass


class AdmissionByQuota(AdmissionByClass):
    """Counts each class that has a Quota (core.account.quotas) by the prices of what it sends and receives. What the
    modem's counter, the carrier's figure or an order adds is of no class."""

    def __init__(self, hal, config, ledger, policy, window, asleep=False):
        self._begun = False  # the period is
        super().__init__(hal, config, ledger, policy, window, asleep)

    def by_class(self, classes):
        """Also, where a class has a quota, `quota_octets`, and `period_octets`, what it has used of the period by the
        plan's rating."""
        found = AdmissionByClass.by_class(self, classes)
        for i, each in enumerate(classes):
            if each.quota_octets:
                found[each.name]["quota_octets"] = each.quota_octets
                found[each.name]["period_octets"] = self._policy.books.quotas[i].used.value()
        return found

    def rebase(self):
        Admission.rebase(self)
        ledger = self._ledger
        self._policy.books.count_in(ledger.cycle_id, self.used.value() + ledger.doubt.value(), self._begun)

    def begin_cycle(self, cycle_id, again=False):
        self._begun = not again
        Admission.begin_cycle(self, cycle_id, again)
        self._begun = False

    def _take(self, traffic_class, asked):
        """HOT but for a lease."""
        policy = self._policy
        quota = policy.books.quotas[traffic_class]
        if quota is None or (asked and not policy.open >> traffic_class & 1):
            return AdmissionByClass._take(self, traffic_class, asked)
        price = self.meter.rated
        if not quota.holds(price):
            policy.used_up |= 1 << traffic_class
            self.crossed = True
            if asked and not policy.observe:
                self._refused[traffic_class] += 1
                self.denials += 1
                return False
        if quota.lease(price):
            self.commit()
        admitted = AdmissionByClass._take(self, traffic_class, asked)
        if admitted or not asked:
            quota.spend(price)
        return admitted
