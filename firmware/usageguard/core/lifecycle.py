"""The periods of a SIM that is first tested, then silent, and then billed."""

from usageguard.core.cycle import SILENT, TEST, BillingCycle, CalendarCycle


class Lifecycle(BillingCycle):
    """A SIM's life: TEST, then SILENT, then the periods of `cycle`, one of the other kinds.

    The test period ends with the start of the local day `test_end_day`, None if there is none. Billing begins
    with that of `billing_day` at the latest: the same day if there is no silent period. Where that is inside
    a calendar month, the first period's nominal start is before it.
    """

    def __init__(self, cycle, test_end_day, billing_day):
        self.cycle = cycle
        self.utc_offset_min = cycle.utc_offset_min
        self.test_end_day = test_end_day
        self.billing_day = self._latest = billing_day
        self._in_use = False

    def begin_billing(self, day, second, guessed=False):
        """The SIM's first use: billing begins with the local day of this instant, unless it has begun already.

        Periods that count from activation count from that day. Returns whether anything has changed: this happens once,
        and after a `guessed` day once more, with the first day that is not guessed.
        """
        local_day = min(self.local_day(day, second), self._latest)
        begun = self.billing_day < self._latest  # by a guess, unless `_in_use`
        if self._in_use or (guessed if begun else local_day == self._latest):
            return False
        self._in_use = not guessed
        self.billing_day = local_day
        if not isinstance(self.cycle, CalendarCycle):  # calendar months do not depend on it
            self.cycle.first_day = local_day
        return True

    def bounds(self, cycle_id):
        """((day, second), (day, second)): its first instant, and the first one after it."""
        start = (0, 0)
        if cycle_id == SILENT and self.test_end_day is not None:
            start = self.midnight(min(self.test_end_day, self.billing_day))
        elif cycle_id > SILENT:
            start = self.midnight(cycle_id)
        return start, self.midnight(self._end(cycle_id))

    def next_id(self, cycle_id):
        """Id of the period after it."""
        return self.start_on(self._end(cycle_id))

    def _end(self, cycle_id):
        """The local day with which a period ends."""
        if cycle_id > SILENT:
            return self.cycle.start_after(cycle_id)
        if cycle_id == TEST and self.test_end_day is not None:
            return min(self.test_end_day, self.billing_day)
        return self.billing_day

    def start_on(self, local_day):
        if local_day >= self.billing_day:
            return self.cycle.start_on(local_day)
        return SILENT if self.test_end_day is None or local_day >= self.test_end_day else TEST
