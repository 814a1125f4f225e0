"""The one billing period of an allowance that is for the life of a SIM."""

from usageguard.core.cycle import BillingCycle

NEVER = 0xFFFF  # in the year 2179; the largest day that is stored


class EndlessCycle(BillingCycle):
    """One period, which begins on the local day `first_day` and does not end. `length`, in months, is the time for
    which it is planned ahead: ten years."""

    def __init__(self, first_day, utc_offset_min):
        super().__init__(120, first_day, utc_offset_min)

    def start_on(self, local_day):
        return self.first_day

    def start_after(self, local_day):
        return NEVER
