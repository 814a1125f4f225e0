"""The SIM's account, as far as the device knows it: what upstream orders, and what the calendar brings.

Of octets there is the policy; this is all the rest that it has to be told of: stops by hand, the package's end, the
balance, the share of a pool, the carrier's own figure, pacing and forecasts. Pure: instants are (day, second) in UTC,
`used` is the Octets of the present period, and every method returns the policy's actions.
"""

from usageguard.core import orders as o
from usageguard.core import policy as p
from usageguard.core.cycle import DAY_SECONDS, PHASE_SILENT, PHASE_TEST, add_months
from usageguard.core.octets import MAX

LEARNED_MAX = 500  # permille: what carriers were seen to add is below 300
_LEAST_TAUGHT = 262144  # octets: a figure of less says more of its rounding than of a ratio
RETRY_S = 600  # a report with all its repetitions and one back-off: what RETRY_AND_TERMINATE waits for news


class Account:
    """`plan` is the Plan in force, `policy` the Policy to be told, `buf` where the ledger stores the Standing.

    A stored first use moves the beginning of `plan.cycle`'s billing. `plan` becomes that in force in this period.

    After `order` the caller does what was found out: charges `owed` rated octets before it stores anything; then, if
    not None, corrects this period's usage to `set_used`, puts `late` (cycle id, octets) to the closed period; settles
    a lost ledger if `accepted`; begins billing if `activated`. `wants_report`: upstream should be asked now.
    """

    def __init__(self, plan, policy, buf):
        self.standing = o.Standing(buf)
        self.plan = self._own = plan
        self.refused = 0
        self.forecast_day = None  # local day on which the ceiling will be reached
        self.wants_report = False
        self._policy = policy
        self._day = None  # local day that `time` last saw
        self._recent = []  # lifetime rated octets at the ends of the last days
        self._idle_from = None  # instant since which no application has used the grant
        self._clear()
        if self.standing.billing_day:
            self._begin_billing()

    def _begin_billing(self):
        cycle = self._own.cycle
        if hasattr(cycle, "begin_billing"):
            cycle.begin_billing(*cycle.midnight(self.standing.billing_day))

    def _clear(self):
        self.owed = 0
        self.set_used = self.late = None
        self.accepted = self.activated = False

    def restore(self, used, cycle_id):
        """Takes over what was stored; to be called once, after the policy's own."""
        standing, policy, plan = self.standing, self._policy, self._own
        actions = self._phase(cycle_id)
        if not standing.balance_known and plan.balance_fen is not None:
            standing.balance_known = 1
            standing.balance = plan.balance_fen
        if plan.pool and (not standing.grant_cycle or standing.grant_cycle != cycle_id):
            self._first_grant(cycle_id)
        if standing.limit:
            actions |= policy.set_limit(p.LOCAL, standing.limit, used)
        if plan.pool:
            actions |= policy.set_limit(p.GRANT, standing.granted, used)
        return actions | policy.hold(standing.held) | self._balance_limit(used, cycle_id)

    def order(self, counter, orders, used, rated, cycle_id, day, second):
        """Carries out an order at this instant; `rated` is the lifetime's Octets. One that is none, or is older than
        the last, is counted in `refused` and changes nothing."""
        standing, policy = self.standing, self._policy
        self._clear()
        if counter == standing.counter:
            return 0
        try:
            o.check(counter, orders)
            if counter < standing.counter:
                raise ValueError("order: an old one")
        except ValueError:
            self.refused += 1
            return 0
        standing.counter = counter
        actions = p.SAVE
        for key in sorted(orders):
            value = orders[key]
            if key == o.STOP:
                actions |= policy.apply(p.STOP_ORDERED if value else p.RESUME_ORDERED)
            elif key == o.LIMIT:
                standing.limit = value
                actions |= policy.set_limit(p.LOCAL, value or None, used)
            elif key == o.THROTTLE:
                standing.throttle = value
                actions |= policy.apply(p.SLOW_ORDERED if value else p.SPEED_ORDERED)
            elif key == o.EXPIRY:
                standing.expiry_day = value
                actions |= policy.apply(p.RENEWED)
                self._day = None
            elif key == o.BALANCE:
                standing.balance_known = 1
                standing.balance_cycle, standing.balance, standing.balance_cost = value
                actions |= self._balance_limit(used, cycle_id)
            elif key == o.CARRIER_USED:
                self._figure(value, used, rated, cycle_id)
            elif key == o.GRANT and value[0] == cycle_id:
                actions |= self._grant(value, used, day, second)
            elif key == o.SET_USED and value[0] == cycle_id:
                self.set_used = value[1]
            elif key == o.ACCEPT:
                self.accepted = True
            elif key == o.RELEASE:
                standing.held = 0
                actions |= policy.hold(0)
            elif key == o.BILLING:
                standing.billing_day = value
                self._begin_billing()
                self.activated = True
        return actions

    def hold(self, classes):
        """The burst guard holds the classes of this bitmap, and no other."""
        self.standing.held = classes
        return self._policy.hold(classes) | p.SAVE

    def first_use(self, day, second):
        """The SIM's first use, at this instant: its billing begins."""
        self.standing.billing_day = self._own.cycle.local_day(day, second)
        self._begin_billing()

    def close_cycle(self, cycle_id, used):
        """The period in which `used` was used is over and `cycle_id` begins: what it cost is taken off the balance.

        Stored with the record that begins the period.
        """
        standing, plan = self.standing, self._own
        if standing.balance_known and standing.balance_cycle != cycle_id:
            standing.balance -= max(0, self.plan.cost_fen(used.value()) - standing.balance_cost) + plan.fee_fen
            standing.balance_cost = 0
            standing.balance_cycle = cycle_id
        if plan.pool and standing.grant_cycle != cycle_id:
            self._first_grant(cycle_id)
        self._day = None
        standing.store()

    def begin_cycle(self, cycle_id, used):
        """The limits of the period that has begun; after the policy's NEW_CYCLE."""
        standing, policy = self.standing, self._policy
        actions = self._phase(cycle_id)
        if standing.limit:
            actions |= policy.set_limit(p.LOCAL, standing.limit, used)
        if self._own.pool:
            actions |= policy.set_limit(p.GRANT, standing.granted, used)
        return actions | self._balance_limit(used, cycle_id)

    def time(self, day, second, used, rated, cycle_id, active):
        """What this instant, which has passed for certain, brings; `active`: an application has used data since."""
        plan, policy = self._own, self._policy
        actions = self._lapse(day, second, used, active) if plan.pool else 0
        local = plan.cycle.local_day(day, second)
        if local == self._day:
            return actions
        self._day = local
        expiry = self.standing.expiry_day or plan.expiry_day
        if expiry:
            if local >= add_months(expiry, plan.renew_months):
                actions |= policy.apply(p.WINDOW_CLOSED)
            elif local >= expiry:
                actions |= policy.apply(p.PACKAGE_EXPIRED)
            for i, days in enumerate(plan.warn_days):
                actions |= policy.warn(plan.days_bit + i, expiry - local <= days)
        if plan.pace or plan.warn_forecast:
            actions |= self._look_ahead(day, second, used, rated, cycle_id)
        return actions

    def due_s(self, day, second):
        """Seconds until `time` may have something new to say: the next local midnight, or a grant's end."""
        due = DAY_SECONDS - (second + self._own.cycle.utc_offset_min * 60) % DAY_SECONDS
        standing = self.standing
        if standing.valid_day:
            left = (standing.valid_day - day) * DAY_SECONDS + standing.valid_second - second
            if left > 0:
                due = min(due, left)
            elif left > -RETRY_S:
                due = min(due, left + RETRY_S)
        return due

    def cost_fen(self, used):
        """What this period has cost beyond the plan."""
        return self.plan.cost_fen(used.value())

    def balance_fen(self, used, cycle_id):
        """What the balance has left by the device's own count, None where it was never told."""
        standing = self.standing
        if not standing.balance_known:
            return None
        taken = standing.balance_cost if standing.balance_cycle == cycle_id else 0
        return standing.balance - max(0, self.cost_fen(used) - taken)

    def throttle(self):
        """(octets per second, burst octets) that the SIM is slowed to, None where it is not."""
        reasons = self._policy.reasons
        rate, burst = self._own.throttle or (self.standing.throttle, 0)
        if reasons & p.THROTTLED_BY_HAND and self.standing.throttle:
            rate = min(rate, self.standing.throttle) if reasons & p.THROTTLED else self.standing.throttle
        elif not reasons & p.THROTTLED:
            return None
        return (rate, max(burst, 4096)) if rate else None

    def _phase(self, cycle_id):
        """Tells the policy which plan holds: that of the test period, or the SIM's own."""
        plan, policy = self._own, self._policy
        phase = plan.cycle.phase(cycle_id)
        self.plan = plan.test if plan.test and phase == PHASE_TEST else plan
        policy.set_plan(self.plan)
        if phase == PHASE_SILENT and plan.hold_silent:
            return policy.apply(p.SILENCE_BEGAN)
        return policy.apply(p.BILLING_BEGAN)

    def _balance_limit(self, used, cycle_id):
        """Octets at which the balance is spent; where usage costs nothing, whether it is negative."""
        standing, plan = self.standing, self.plan
        limit = None
        if standing.balance_known:
            taken = standing.balance_cost if standing.balance_cycle == cycle_id else 0
            left = standing.balance + taken
            if standing.balance < 0 or left < 0:
                limit = 0
            elif plan.tariff:
                free = plan.tariff.octets_for(left)
                limit = None if free is None else plan.allowance + free
        return self._policy.set_limit(p.BALANCE, limit, used)

    def _figure(self, value, used, rated, cycle_id):
        """The carrier's own figure: what it is above ours is owed, and teaches how much it adds."""
        figure_cycle, figure, _, _, rated_then = value
        if figure_cycle != cycle_id:
            if figure_cycle < cycle_id:
                self.late = (figure_cycle, figure)
            return
        since = max(0, rated.value() - rated_then)
        own = used.value() - since
        self.owed = max(0, figure - own)
        if own >= _LEAST_TAUGHT:
            learned = -(-figure * (1000 + self.standing.learned) // own) - 1000
            self.standing.learned = max(0, min(LEARNED_MAX, learned))

    def _first_grant(self, cycle_id):
        standing = self.standing
        standing.grant_cycle = cycle_id
        standing.granted = self._own.pool[0]
        standing.valid_day = standing.valid_second = 0

    def _grant(self, value, used, day, second):
        standing = self.standing
        standing.grant_cycle, granted, valid_s, pool = value
        standing.granted = granted if pool else 0
        second += valid_s
        standing.valid_day = day + second // DAY_SECONDS
        standing.valid_second = second % DAY_SECONDS
        self._idle_from = None
        return self._policy.set_limit(p.GRANT, standing.granted, used)

    def _lapse(self, day, second, used, active):
        """A grant's Quota-Holding-Time and Validity-Time: what comes after that without news is the plan's choice."""
        standing = self.standing
        _, holding_s, on_silence = self._own.pool
        if active or self._idle_from is None:
            self._idle_from = day, second
        elif holding_s and _gap(day, second, self._idle_from) >= holding_s:
            return self._policy.apply(p.GRANT_LAPSED)
        over = _gap(day, second, (standing.valid_day, standing.valid_second)) if standing.valid_day else -1
        if over < 0:
            return 0
        if on_silence == "continue":
            standing.valid_day = standing.valid_second = 0
            standing.granted = MAX >> 4
            return self._policy.set_limit(p.GRANT, None, used) | p.SAVE
        self.wants_report = on_silence == "retry_and_terminate" and over < RETRY_S
        return 0 if self.wants_report else self._policy.apply(p.GRANT_LAPSED)

    def _look_ahead(self, day, second, used, rated, cycle_id):
        from usageguard.core import forecast

        plan, policy = self.plan, self._policy
        start, end = plan.cycle.bounds(cycle_id)
        elapsed = max(0, (day - start[0]) * DAY_SECONDS + second - start[1])
        period = (end[0] - start[0]) * DAY_SECONDS + end[1] - start[1]
        left = period - elapsed
        actions = 0
        limit = policy.limit(p.LOCAL)
        if limit is None:
            limit = plan.allowance
        if self._own.pace:
            head = limit * DAY_SECONDS // period  # one day's share, for whenever a day is a busy one
            actions |= policy.set_limit(p.PACE, forecast.pace_mark(limit, elapsed, period, head), used)
        if self._own.warn_forecast:
            recent = self._recent
            recent.append(rated.value())
            if len(recent) > 4:
                recent.pop(0)
            days = len(recent) - 1
            rate = forecast.burn_rate(used.value(), elapsed, recent[-1] - recent[0], days * DAY_SECONDS)
            due = forecast.exhausts_in(used.value(), limit, rate)
            soon = due is not None and due < left
            self.forecast_day = plan.cycle.local_day(day, second + due) if soon else None
            actions |= policy.warn(plan.forecast_bit, soon)
        return actions


def _gap(day, second, since):
    """Seconds from the instant `since`; a small int for 34 years."""
    return (day - since[0]) * DAY_SECONDS + second - since[1]
