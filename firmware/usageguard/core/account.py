"""The SIM's account, as far as the device knows it: what upstream orders, and what the calendar brings.

Of octets there is the policy; this is all the rest that it has to be told of: stops by hand, the package's end, the
balance, the share of a pool, the carrier's own figure, pacing and forecasts. Pure: instants are (day, second) in UTC,
`used` is the Octets of the present period, and every method returns the policy's actions.
"""

from usageguard.core import orders as o
from usageguard.core import policy as p
from usageguard.core.cycle import DAY_SECONDS, PHASE_BILLING, PHASE_SILENT, PHASE_TEST, SILENT, add_months
from usageguard.core.octets import MAX

LEARNED_MAX = 500  # permille: what carriers were seen to add is below 300
_LEAST_TAUGHT = 262144  # octets: a figure of less says more of its rounding than of a ratio
_CHARGES = 8  # remembered: the carriers' figures are hours late, and come hourly at the most
_SILENCE_OVER_DAYS = 1096  # three years; a device that lay for longer is told (Guard.activate)
_SILENCE_LEAD_S = 600  # twice what a clock may be off
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
        self._recent = []  # (day, second, lifetime rated octets) of the last days
        self._charged = o.pairs(self.standing.charged)  # (lifetime rated octets before, octets charged then)
        self._idle_from = None  # instant since which no application has used the grant
        self._clear()
        if self.standing.billing_day:
            self._begin_billing(self.standing.billing_day, self.standing.billing_guessed)

    def _begin_billing(self, local_day, guessed=0):
        """The first word of it counts: one that changes nothing must change nothing after the next boot either."""
        cycle = self._own.cycle
        if hasattr(cycle, "begin_billing") and cycle.begin_billing(*cycle.midnight(local_day), guessed):
            self.standing.billing_day, self.standing.billing_guessed = local_day, guessed
            self._day = None  # a package ends with another day now

    def _clear(self):
        self.owed = 0
        self.set_used = self.late = None
        self.accepted = self.activated = False

    def restore(self, reasons, warned, used, cycle_id):
        """Takes over what was stored, the policy's `reasons` and `warned` too; to be called once, first.

        ValueError, with all but those bitmaps taken over, where the policy does not know them.
        """
        standing, policy, plan = self.standing, self._policy, self._own
        if not standing.balance_known and plan.balance_fen is not None:
            standing.balance_known = 1
            standing.balance = plan.balance_fen
            standing.balance_cycle = cycle_id
        if plan.pool and (standing.grant_cycle < cycle_id or not cycle_id):
            self._first_grant(cycle_id)
        self._set_plan(cycle_id)
        self._set_limits(used, cycle_id)
        try:
            policy.restore(reasons, warned, used)
        finally:
            # Ahead of the silent period's id its stop may stand already, and no clock says yet that it should not.
            if cycle_id >= SILENT or not plan.hold_silent:
                self._find_phase(cycle_id)
            policy.hold(standing.held if plan.burst else 0)
        if not plan.pool:
            policy.apply(p.POOL_GRANTED)
        if not plan.pace:
            policy.apply(p.DAY_GRANTED)
        actions = p.REPORT | p.CLOSE if policy.level else 0
        return actions if policy.reasons == reasons and policy.warned == warned else actions | p.SAVE | p.REPORT

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
                self._day = None  # the days' shares are others now
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
                if value[0] < cycle_id:  # nothing of this period's cost was taken off
                    standing.balance_cycle, standing.balance_cost = cycle_id, 0
                actions |= self._balance_limit(used, cycle_id)
            elif key == o.CARRIER_USED:
                self._figure(value, used, rated, cycle_id)
            elif key == o.GRANT and self._own.pool and value[0] >= cycle_id:  # upstream's clock is ahead by DELAY
                actions |= self._grant(value, used, day, second)
            elif key == o.SET_USED and value[0] == cycle_id:
                self.set_used = value[1]
            elif key == o.ACCEPT:
                self.accepted = True
            elif key == o.RELEASE:
                standing.held = 0
                actions |= policy.hold(0)
            elif key == o.BILLING:
                self._begin_billing(value)
                self.activated = True
        return actions

    def hold(self, classes):
        """The burst guard holds the classes of this bitmap, and no other."""
        self.standing.held = classes
        return self._policy.hold(classes) | p.SAVE

    def first_use(self, day, second, guessed=0):
        """The SIM's first use, at this instant, or at one that is `guessed` (1): its billing begins."""
        self._begin_billing(self._own.cycle.local_day(day, second), guessed)
        return p.SAVE

    def told_time(self, day, second):
        """The first time since the boot that can be relied upon: takes the place of a guess."""
        self._idle_from = None
        return self.first_use(day, second) if self.standing.billing_guessed else 0

    def close_cycle(self, cycle_id, used):
        """The period in which `used` was used is over and `cycle_id` begins: what it cost is taken off the balance, and
        the fee of each period that has begun since, but of none that the package is over for. Where no period was known
        there is none that cost anything.

        Stored with the record that begins the period.
        """
        standing, plan = self.standing, self._own
        known = standing.balance_cycle
        if standing.balance_known and known < cycle_id:
            if known:
                standing.balance -= max(0, self.plan.cost_fen(used.value()) - standing.balance_cost)
                expiry = standing.expiry_day or plan.expiry_day
                while known < cycle_id:
                    known = plan.cycle.next_id(known)
                    if plan.cycle.phase(known) == PHASE_BILLING and not 0 < expiry <= known:
                        standing.balance -= plan.fee_fen
            standing.balance = max(o.FEN_MIN, standing.balance)
            standing.balance_cost = 0
            standing.balance_cycle = cycle_id
        if plan.pool and standing.grant_cycle != cycle_id:
            self._first_grant(cycle_id)
        self._day = None
        standing.store()

    def begin_cycle(self, cycle_id, used):
        """The limits of the period that has begun; after the policy's NEW_CYCLE."""
        self._set_plan(cycle_id)
        return self._set_limits(used, cycle_id) | self._find_phase(cycle_id) | self._policy.cross(used)

    def corrected(self, used):
        """`used` was put right, to less than it was; returns actions."""
        self._day = None
        return self._policy.corrected(used)

    def time(self, day, second, used, rated, cycle_id, active):
        """What this instant, which has passed for certain, brings; `active`: an application has used data since."""
        plan, policy = self._own, self._policy
        actions = self._lapse(day, second, used, active) if plan.pool else 0
        local = plan.cycle.local_day(day, second)
        if local == self._day:
            return actions
        self._day = local
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
        if cycle_id and (plan.pace or plan.warn_forecast):
            actions |= self._look_ahead(day, second, used, rated, cycle_id)
        return actions

    def expect_silence(self, day, second, cycle_id, told=False):
        """What this instant, which may be a guess, says of the silent period: any use in it would begin the billing.

        Data stops before it begins, and begins again when it is over by a day, though not by years: so far off lie the
        defaults of clocks that were never set.
        One that stopped data before its time is taken back by an instant that somebody `told` this boot.
        """
        plan = self._own
        if not plan.hold_silent or cycle_id > SILENT:
            return 0
        phase = plan.cycle.phase
        soon = phase(plan.cycle.cycle_id(day, second + _SILENCE_LEAD_S))
        if soon == PHASE_SILENT:
            return self._policy.apply(p.SILENCE_BEGAN)
        over = phase(plan.cycle.cycle_id(day - 1, second)) == PHASE_BILLING
        over = over and day <= plan.cycle.billing_day + _SILENCE_OVER_DAYS
        over = over or (told and cycle_id < SILENT and soon == PHASE_TEST)
        return self._policy.apply(p.BILLING_BEGAN) if over else 0

    def due_s(self, day, second):
        """Seconds, 1 or more, until `time` may have something new to say: the next local midnight, or a grant's end."""
        due = DAY_SECONDS - (second + self._own.cycle.utc_offset_min * 60) % DAY_SECONDS
        cycle = self._own.cycle
        if self._own.hold_silent and cycle.phase(cycle.cycle_id(day, second)) == PHASE_TEST:
            left = cycle.seconds_left(day, second) - _SILENCE_LEAD_S
            if left > 0:
                due = min(due, left)
        if self._own.pool and self._own.pool[1] and self._idle_from:
            left = self._own.pool[1] - _gap(day, second, self._idle_from)
            if left > 0:
                due = min(due, left)
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

    def _set_plan(self, cycle_id):
        """Tells the policy which plan holds: that of the test period, or the SIM's own."""
        plan = self._own
        self.plan = plan.test if plan.test and plan.cycle.phase(cycle_id) == PHASE_TEST else plan
        self._policy.set_plan(self.plan)

    def _set_limits(self, used, cycle_id):
        """Those that are not the plan's own."""
        standing, policy = self.standing, self._policy
        actions = self._balance_limit(used, cycle_id)
        if standing.limit:
            actions |= policy.set_limit(p.LOCAL, standing.limit, used)
        if self._own.pool:
            actions |= policy.set_limit(p.GRANT, standing.granted, used)
        return actions

    def _find_phase(self, cycle_id):
        plan = self._own
        silent = plan.hold_silent and plan.cycle.phase(cycle_id) == PHASE_SILENT
        return self._policy.apply(p.SILENCE_BEGAN if silent else p.BILLING_BEGAN)

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
        # What was owed by an earlier figure, and charged after that report, was not used since: it makes good for it.
        own = used.value() - since + sum(owed for before, owed in self._charged if before >= rated_then)
        self.owed = max(0, figure - min(own, used.value()))
        if self.owed:
            self.put_right(rated, self.owed)
        if own >= _LEAST_TAUGHT:
            learned = -(-figure * (1000 + self.standing.learned) // own) - 1000
            self.standing.learned = max(0, min(LEARNED_MAX, learned))

    def put_right(self, rated, octets):
        """A word from upstream adds `octets` to this period's usage, or takes them off: they are not used since."""
        self._charged.append((rated.value(), octets))
        if len(self._charged) > _CHARGES:
            (before, owed), (_, more) = self._charged.pop(0), self._charged.pop(0)
            self._charged.insert(0, (before, owed + more))  # as the older one: never too little
        self.standing.charged = o.packed(self._charged)

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
        self.wants_report = False
        if active or self._idle_from is None:
            self._idle_from = day, second
        elif holding_s and _gap(day, second, self._idle_from) >= holding_s:
            return self._policy.apply(p.GRANT_LAPSED)
        over = _gap(day, second, (standing.valid_day, standing.valid_second)) if standing.valid_day else -1
        if over < 0:
            return 0
        if on_silence == "continue":
            if not standing.granted:  # upstream's word that there is nothing
                return 0
            standing.valid_day = standing.valid_second = 0
            standing.granted = MAX >> 4
            return self._policy.set_limit(p.GRANT, standing.granted, used) | p.SAVE
        self.wants_report = on_silence == "retry_and_terminate" and over < RETRY_S
        return 0 if self.wants_report else self._policy.apply(p.GRANT_LAPSED)

    def _look_ahead(self, day, second, used, rated, cycle_id):
        from usageguard.core import forecast

        plan, policy = self.plan, self._policy
        start, end = plan.cycle.bounds(cycle_id)
        elapsed = max(0, _gap(day, second, start))
        period = _gap(end[0], end[1], start)
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
            recent.append((day, second, rated.value()))
            if len(recent) > 4:
                recent.pop(0)
            first = recent[0]
            rate = forecast.burn_rate(used.value(), elapsed, recent[-1][2] - first[2], _gap(day, second, first))
            due = forecast.exhausts_in(used.value(), limit, rate)
            soon = due is not None and due < left
            self.forecast_day = plan.cycle.local_day(day, second + due) if soon else None
            actions |= policy.warn(self._own.forecast_bit, soon)
        return actions


def _gap(day, second, since):
    """Seconds from the instant `since`; a small int for 34 years."""
    return (day - since[0]) * DAY_SECONDS + second - since[1]
