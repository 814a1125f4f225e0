"""The SIM's account, as far as the device knows it: what upstream orders, and what the calendar brings.

Of octets there is the policy; this is all the rest that it has to be told of: stops by hand, the package's end, and by
parts that only a plan which has them loads: the balance (core.money), the share of a pool (core.pool), the phases of a
SIM's life (core.life), pacing and forecasts (core.forecast). Pure: instants are (day, second) in UTC, `used` is the
Octets of the present period, and methods return the policy's actions.
"""

from usageguard.core import policy as p
from usageguard.core.cycle import DAY_SECONDS, add_months
from usageguard.core.orders import Standing


class Account:
    """`plan` is the Plan in force, `policy` the Policy to be told, `buf` where the ledger stores the Standing.

    A stored first use moves the beginning of `plan.cycle`'s billing. `plan` becomes that in force in this period.
    `wants_report`: upstream should be asked now. Orders are core.ordered's.

    For it: `money`, `pool`, `life`, None where the plan has no such part; `figures`, None before the first; `day`, the
    local day that `time` last saw, None to have it look again.
    """

    def __init__(self, plan, policy, buf):
        self.standing = standing = Standing(buf)
        self.plan = self._own = plan
        self.policy = policy
        self.refused = 0
        self.forecast_day = None  # local day on which the ceiling will be reached
        self.wants_report = False
        self.day = self.figures = None
        self.money = self.pool = self.life = self._outlook = None
        if plan.tariff or plan.balance_fen is not None:
            from usageguard.core.money import Money

            self.money = Money(plan, policy, standing)
        if plan.pool:
            from usageguard.core.pool import Pool

            self.pool = Pool(plan, policy, standing)
        if hasattr(plan.cycle, "billing_day"):
            from usageguard.core.life import Life

            self.life = Life(plan, policy, standing)
        if plan.pace or plan.warn_forecast:
            from usageguard.core.forecast import Outlook

            self._outlook = Outlook(plan, policy)

    def restore(self, reasons, warned, used, cycle_id):
        """Takes over what was stored, the policy's `reasons` and `warned` too; to be called once, first.

        ValueError, with all but those bitmaps taken over, where the policy does not know them.
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
        # What was stored under another plan may stand for a part that this one does not have.
        for part, over in ((self.life, p.BILLING_BEGAN), (self.pool, p.POOL_GRANTED), (self._own.pace, p.DAY_GRANTED)):
            if not part:
                policy.apply(over)
        actions = p.REPORT | p.CLOSE if policy.level else 0
        return actions if policy.reasons == reasons and policy.warned == warned else actions | p.SAVE | p.REPORT

    def hold(self, classes):
        """The burst guard holds the classes of this bitmap, and no other."""
        self.standing.held = classes
        return self.policy.hold(classes) | p.SAVE

    def begin_billing(self, local_day, guessed=0):
        """The SIM is in its billing period since this day, or since one that is `guessed` (1)."""
        if self.life and self.life.begin(local_day, guessed):
            self.day = None  # a package ends with another day now

    def first_use(self, day, second, guessed=0):
        """The SIM's first use, at this instant, or at one that is `guessed` (1): its billing begins."""
        self.begin_billing(self._own.cycle.local_day(day, second), guessed)
        return p.SAVE

    def told_time(self, day, second):
        """The first time since the boot that can be relied upon: takes the place of a guess."""
        if self.pool:
            self.pool.told_time()
        return self.first_use(day, second) if self.standing.billing_guessed else 0

    def close_cycle(self, cycle_id, used):
        """The period in which `used` was used is over and `cycle_id` begins. Stored with the record that begins it."""
        if self.money:
            self.money.close_cycle(cycle_id, self.cost_fen(used))
        if self.pool:
            self.pool.begin_cycle(cycle_id)
        self.day = None
        self.standing.store()

    def begin_cycle(self, cycle_id, used):
        """The limits of the period that has begun; after the policy's NEW_CYCLE."""
        actions = self._set_limits(used, cycle_id)
        if self.life:
            actions |= self.life.find_phase(cycle_id)
        return actions | self.policy.cross(used)

    def corrected(self, used):
        """`used` was put right, to less than it was; returns actions."""
        self.day = None
        return self.policy.corrected(used)

    def time(self, day, second, used, rated, cycle_id, active):
        """What this instant, which has passed for certain, brings; `active`: an application has used data since."""
        plan, policy = self._own, self.policy
        actions = 0
        if self.pool:
            actions = self.pool.lapse(day, second, used, active)
            self.wants_report = self.pool.wants_report
        local = plan.cycle.local_day(day, second)
        if local == self.day:
            return actions
        self.day = local
        expiry = max(self.standing.expiry_day, plan.expiry_day)  # one that was put in by hand since counts too
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
        """What this instant, which may be a guess, says of the silent period: any use in it would begin the billing.

        Data stops before it begins, and begins again when it is over by a day, though not by years: so far off lie the
        defaults of clocks that were never set.
        One that stopped data before its time is taken back by an instant that somebody `told` this boot.
        """
        return self.life.expect_silence(day, second, cycle_id, told) if self.life else 0

    def due_s(self, day, second):
        """Seconds, 1 or more, until `time` may have something new to say: the next local midnight, or a part's time."""
        due = DAY_SECONDS - (second + self._own.cycle.utc_offset_min * 60) % DAY_SECONDS
        for part in (self.life, self.pool):
            if part:
                due = min(due, part.due_s(day, second))
        return due

    def cost_fen(self, used):
        """What this period has cost beyond the plan."""
        return self.plan.cost_fen(used.value())

    def balance_fen(self, used, cycle_id):
        """What the balance has left by the device's own count, None where it is not known."""
        return self.money.left(self.cost_fen(used), cycle_id) if self.money else None

    def throttle(self):
        """(octets per second, burst octets) that the SIM is slowed to, None where it is not."""
        reasons = self.policy.reasons
        rate, burst = self._own.throttle or (self.standing.throttle, 0)
        if reasons & p.THROTTLED_BY_HAND and self.standing.throttle:
            rate = min(rate, self.standing.throttle) if reasons & p.THROTTLED else self.standing.throttle
        elif not reasons & p.THROTTLED:
            return None
        return (rate, max(burst, 4096)) if rate else None

    def _set_limits(self, used, cycle_id):
        """The plan's that holds in this period, and those that are not a plan's own."""
        actions = 0
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
