"""Billing periods of so many days."""

from usageguard.core.cycle import BillingCycle


class DayCycle(BillingCycle):
    """Periods of `length` (1 or more) days; `first_day` is as in MonthCycle."""

    def start_on(self, local_day):
        return max(self.first_day, local_day - (local_day - self.first_day) % self.length)

    def start_after(self, local_day):
        if local_day < self.first_day:
            return self.first_day
        return local_day - (local_day - self.first_day) % self.length + self.length
