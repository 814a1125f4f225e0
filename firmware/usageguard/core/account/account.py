"""The SIM's account as the device knows it: orders from upstream, and dates.

The policy compares octets with limits. Everything else that can stop or slow data is passed to it from here: orders,
the end of a package, and by parts that are loaded only for a plan that has them: the balance (account.money), the grant
of a pool (account.pool), the phases of a SIM's life (account.life), the daily budget and the forecast (core.forecast).

Pure: instants are (day, second) in UTC, `used` is the Octets of the present period, and methods return the policy's
actions.
"""

from usageguard.core import policy as p
from usageguard.core.account.standing import Standing
from usageguard.core.cycle import DAY_SECONDS, add_months


class Account:
    """For the Plan `plan`, with its Policy `policy`; `buf` is where the ledger stores the Standing.

    A stored first use moves the start of billing in `plan.cycle`. The attribute `plan` is the Plan of the present
    period, which in a test period is another one. `wants_report`: a report should ask upstream for news now. `refused`
    counts the orders since boot that were refused, or of which a key was skipped.

    Used by account.orders: `money`, `pool` and `life`, None where the plan has no such part; `figures`, None before the
    first; `day`, the local day for which `time` last ran, None to make it run again on the same day.
    """

    def __init__(self, plan, policy, buf):
        self.standing = standing = (policy.standing if plan.quotas else Standing)(buf)
        self.plan = self._own = plan
        self._bought = plan.allowance  # by the configuration
        self.policy = policy
        self.refused = 0
        self.sim = 0  # of the SIM in the modem, see guard.sim; `standing.sim` is the one that is counted
        self.forecast_day = None  # local day on which the ceiling will be reached
        self.wants_report = False
        self.day = self.figures = None
        self.money = self.pool = self.life = self._outlook = None
        if plan.tariff or plan.balance_fen is not None:
            from usageguard.core.account.money import Money

            self.money = Money(plan, policy, standing)
        if plan.pool:
            from usageguard.core.account.pool import Pool

            self.pool = Pool(plan, policy, standing)
        if hasattr(plan.cycle, "billing_day"):
            from usageguard.core.account.life import Life

            self.life = Life(plan, policy, standing)
        if plan.pace or plan.warn_forecast:
            from usageguard.core.forecast import Outlook

            self._outlook = Outlook(plan, policy)

    def restore(self, reasons, warned, used, cycle_id):
        """Restores the stored state, with the policy's `reasons` and `warned`; to be called once, before anything else.

        ValueError where the policy does not know one of the reasons: then everything but the two bitmaps is restored.
        """
        policy = self.policy
        if self.money:
            self.money.restore(cycle_id)
        if self.pool:
            self.pool.restore(cycle_id)
        self._set_limits(used, cycle_id)
        try:
            policy.restore(reasons, warned, used)
        finally:
            if self.life:
                self.life.restore(cycle_id)
            policy.hold(self.standing.held if self._own.burst else 0)
            policy.keep(self.standing.kept)
        # A reason that was stored under another plan may belong to a part that this plan does not have.
        own = self._own
        parts = (self.life, p.BILLING_BEGAN), (self.pool, p.POOL_GRANTED), (own.pace, p.DAY_GRANTED)
        for part, over in parts + ((own.hold_doubt, p.DOUBT_SETTLED), (own.roaming, p.ROAMING_GRANTED)):
            if not part:
                policy.apply(over)
        actions = p.REPORT | p.CLOSE if policy.level else 0
        return actions if policy.reasons == reasons and policy.warned == warned else actions | p.SAVE | p.REPORT

    def hold(self, classes):
        """Holds the classes of this bitmap, and no others, for the burst guard."""
        self.standing.held = classes
        return self.policy.hold(classes) | p.SAVE

    def begin_billing(self, local_day, guessed=0):
        """The SIM has been billed since this local day; `guessed` is 1 where the day is not certain."""
        if self.life and self.life.begin(local_day, guessed):
            self.day = None  # a package ends with another day now

    def first_use(self, day, second, guessed=0):
        """The SIM's first use was at this instant, so that billing begins; `guessed` is 1 for an uncertain instant."""
        self.begin_billing(self._own.cycle.local_day(day, second), guessed)
        return p.SAVE

    def told_time(self, day, second):
        """Called with the first trusted time since boot, which replaces a guessed one."""
        if self.pool:
            self.pool.told_time()
        return self.first_use(day, second) if self.standing.billing_guessed else 0

    def allow(self, told_in, octets, following, used, cycle_id):
        """An order changes the allowance to `octets`, 0 for the plan's: of the period `told_in` alone, or with
        `following` of all periods after it; returns actions."""
        standing = self.standing
        if following:
            standing.next_allowance = octets
        if told_in != cycle_id if not following else told_in >= cycle_id:
            return 0
        standing.allowance = octets
        self.day = None
        return self._set_limits(used, cycle_id) | self.policy.corrected(used, 0)

    def close_cycle(self, cycle_id, used):
        """The period of `used` has ended and `cycle_id` begins. The ledger stores this with the new period's record."""
        if self.money:
            self.money.close_cycle(cycle_id, self.cost_fen(used))
        if self.pool:
            self.pool.begin_cycle(cycle_id)
        self.day = None
        self.standing.allowance = self.standing.next_allowance
        self.standing.store()

    def begin_cycle(self, cycle_id, used):
        """Sets the limits of the new period; to be called after the policy's NEW_CYCLE."""
        actions = self._set_limits(used, cycle_id)
        if self.life:
            actions |= self.life.find_phase(cycle_id)
        return actions | self.policy.cross(used)

    def corrected(self, used, less):
        """The period's usage was corrected to `used`, by `less` octets; returns actions."""
        self.day = None
        return self.policy.corrected(used, less)

    def doubted(self):
        """The lifetime's rated octets have grown by some that are in doubt; returns actions."""
        self.wants_report = True
        if self._outlook:
            self._outlook.forget()
        return self.policy.apply(p.DOUBT_FOUND) if self._own.hold_doubt else 0

    def time(self, day, second, used, rated, cycle_id, active):
        """Applies dates up to this trusted instant; `active`: an application has used data since the last call."""
        plan, policy = self._own, self.policy
        actions = 0
        if self.pool:
            actions = self.pool.lapse(day, second, used, active)
            self.wants_report = self.wants_report or self.pool.wants_report
        local = plan.cycle.local_day(day, second)
        if local == self.day:
            return actions
        self.day = local
        expiry = max(self.standing.expiry_day, plan.expiry_day)  # whichever of order and plan is later
        if expiry:
            if local < expiry and policy.reasons & (p.EXPIRED | p.CANCELLED):
                actions |= policy.apply(p.RENEWED)
            if local >= add_months(expiry, plan.renew_months):
                actions |= policy.apply(p.WINDOW_CLOSED)
            elif local >= expiry:
                actions |= policy.apply(p.PACKAGE_EXPIRED)
            for i, days in enumerate(plan.warn_days):
                actions |= policy.warn(plan.days_bit + i, expiry - local <= days)
        if cycle_id and self._outlook:
            actions |= self._outlook.look(self.plan, day, second, used, rated, cycle_id)
            self.forecast_day = self._outlook.day
        return actions

    def expect_silence(self, day, second, cycle_id, told=False):
        """Stops data for the silent period, in which any use would start billing; returns actions.

        The instant may be a guess. Data stops shortly before the period and goes on a day after it, unless that is
        years ago: clocks that were never set have such defaults. A stop that came too early, by a wrong clock, is taken
        back by an instant that was `told` by network or server in this boot.
        """
        return self.life.expect_silence(day, second, cycle_id, told) if self.life else 0

    def due_s(self, day, second):
        """Seconds, 1 or more, until `time` has to be called again: at the next local midnight, or earlier for a
        part."""
        due = DAY_SECONDS - (second + self._own.cycle.utc_offset_min * 60) % DAY_SECONDS
        for part in (self.life, self.pool):
            if part:
                due = min(due, part.due_s(day, second))
        return due

    def cost_fen(self, used):
        """What usage beyond the plan has cost in this period."""
        return self.plan.cost_fen(used.value())

    def balance_fen(self, used, cycle_id):
        """The remaining balance by the device's own count, None where it is not known."""
        return self.money.left(self.cost_fen(used), cycle_id) if self.money else None

    def throttle(self):
        """(octets per second, burst octets) to which the SIM is slowed down, None where it is not."""
        reasons, terms, by_hand = self.policy.reasons, self._own.throttle, self.standing.throttle
        rate, burst = (terms.rate_octets_s, terms.burst_octets) if terms else (by_hand, 0)
        if reasons & p.THROTTLED_BY_HAND and by_hand:
            rate = min(rate, by_hand) if reasons & p.THROTTLED else by_hand
        elif not reasons & p.THROTTLED:
            return None
        return (rate, max(burst, 4096)) if rate else None

    def _set_limits(self, used, cycle_id):
        """Sets the limits of this period's plan, of an order, of the balance and of the grant; returns actions."""
        actions = 0
        octets = self.standing.allowance or self._bought
        if octets != self._own.allowance:
            from usageguard.core.account.allowance import set_allowance

            set_allowance(self._own, octets)
            self.policy.set_plan(self.plan)
        if self.life:
            self.plan = self.life.plan(cycle_id)
            self.policy.set_plan(self.plan)
        if self.standing.limit:
            actions = self.policy.set_limit(p.LOCAL, self.standing.limit, used)
        if self.money:
            actions |= self.money.limit(self.plan, used, cycle_id)
        if self.pool:
            actions |= self.pool.limit(used)
        return actions
