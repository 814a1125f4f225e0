"""The phases of a SIM's life: test, silent, billing. Loaded for a plan with a lifecycle."""

from usageguard.core import policy as p
from usageguard.core.cycle import DAY_SECONDS, PHASE_BILLING, PHASE_SILENT, PHASE_TEST, SILENT

_SILENCE_OVER_DAYS = 1096  # three years; a device that was stored for longer needs Guard.activate
_SILENCE_LEAD_S = 600  # twice what a clock may be off


class Life:
    """For a `plan` whose `cycle` is a Lifecycle. A first use that is stored in `standing` moves the start of
    billing."""

    def __init__(self, plan, policy, standing):
        self._plan = plan
        self._policy = policy
        self._standing = standing
        if standing.billing_day:
            self.begin(standing.billing_day, standing.billing_guessed)

    def begin(self, local_day, guessed=0):
        """Starts billing on this local day, unless it has begun already. Only a day that changes something is stored,
        so that the next boot gives the same result. Returns whether anything has changed."""
        cycle = self._plan.cycle
        begun = cycle.begin_billing(*cycle.midnight(local_day), guessed)
        if begun:
            self._standing.billing_day, self._standing.billing_guessed = local_day, guessed
        return begun

    def plan(self, cycle_id):
        """The Plan of a period: the test period's, or the SIM's own."""
        plan = self._plan
        return plan.test if plan.test and plan.cycle.phase(cycle_id) == PHASE_TEST else plan

    def restore(self, cycle_id):
        """Called after Policy.restore: checks whether the stop for the silent period is still right."""
        # The stop begins shortly before the period does, and no clock is trusted yet that could take it back.
        if cycle_id >= SILENT or not self._plan.hold_silent:
            self.find_phase(cycle_id)

    def find_phase(self, cycle_id):
        """Applies to the policy whether this period is silent; returns actions."""
        silent = self._plan.hold_silent and self._plan.cycle.phase(cycle_id) == PHASE_SILENT
        return self._policy.apply(p.SILENCE_BEGAN if silent else p.BILLING_BEGAN)

    def expect_silence(self, day, second, cycle_id, told):
        """See Account.expect_silence."""
        cycle = self._plan.cycle
        if not self._plan.hold_silent or cycle_id > SILENT:
            return 0
        soon = cycle.phase(cycle.cycle_id(day, second + _SILENCE_LEAD_S))
        if soon == PHASE_SILENT:
            return self._policy.apply(p.SILENCE_BEGAN)
        over = cycle.phase(cycle.cycle_id(day - 1, second)) == PHASE_BILLING
        over = over and day <= cycle.billing_day + _SILENCE_OVER_DAYS
        over = over or (told and cycle_id < SILENT and soon == PHASE_TEST)
        return self._policy.apply(p.BILLING_BEGAN) if over else 0

    def due_s(self, day, second):
        """Seconds, 1 to a day, until `expect_silence` has to be called again."""
        cycle = self._plan.cycle
        if self._plan.hold_silent and cycle.phase(cycle.cycle_id(day, second)) == PHASE_TEST:
            left = cycle.seconds_left(day, second) - _SILENCE_LEAD_S
            if left > 0:
                return min(DAY_SECONDS, left)
        return DAY_SECONDS
