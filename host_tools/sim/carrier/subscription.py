"""One SIM at the carrier: its lifecycle phase, billing cycles, balance, stops in force, rate limits and bearer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

from host_tools.sim.carrier.account import Account, CycleUsage, OwnCounter
from host_tools.sim.carrier.bearer import Bearer
from host_tools.sim.carrier.cycles import Cycles, add_months, midnight
from host_tools.sim.carrier.plan import Daily, Enforcement, Rating, SimPlan, cost
from host_tools.sim.carrier.pool import Pool
from host_tools.sim.carrier.stops import (
    ARREARS,
    BY_HAND,
    CANCELLED,
    CAPPED,
    DAY_CAPPED,
    EXHAUSTED,
    EXPIRED,
    FREE_HOURS,
    HOME,
    MANUAL,
    NEW_CAP,
    NEXT_CYCLE,
    NEXT_DAY,
    NEXT_PHASE,
    POOL_EXHAUSTED,
    REFILL,
    RENEWAL,
    ROAMED,
    SOFT,
    STOP_REASONS,
    TEST_EXHAUSTED,
)
from host_tools.sim.clock import Clock, S, Timer
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import Packet

TEST, SILENT, BILLING = "test", "silent", "billing"  # phases; "test" and "silent" also label the usage of their periods
THRESHOLD = "threshold"  # the reason of the throttling before the allowance is used up
REMINDERS = (30, 7, 1)  # days before a package expires


class Subscription:
    """The carrier's record of one SIM. `log(what, **fields)` adds an event to the carrier's log.

    `charge` schedules what it causes (stops, rate limits, costs) and never does it at once, so a packet that the
    device sends never ends its bearer inside the call.
    """

    def __init__(
        self,
        clock: Clock,
        rating: Rating,
        enforcement: Enforcement,
        log: Callable[..., None],
        imsi: str,
        plan: SimPlan,
        pool: Pool | None,
    ) -> None:
        self.clock = clock
        self.rating = rating
        self.enforcement = enforcement
        self.imsi = imsi
        self.plan = plan
        self.pool = pool
        self.account = Account(clock, rating, plan.zone)
        self.stops: set[str] = set()
        self.refusal = 0  # EMM cause with which registration is rejected; 0 = accepted
        self.session_refusal = 0  # ESM cause with which data sessions are rejected; 0 = accepted
        self.roams = False
        self.denied_octets = 0  # carried although the policy denied them, over all cycles
        self.bearer: Bearer | None = None
        self.cap_octets = plan.allowance_octets  # of the present cycle; without a pool the plan's allowance
        self.balance_fen = plan.funds.balance_fen if plan.funds else None
        self.expires: date | None = None
        self.reminded: tuple[int, ...] = ()
        self.billing_since: date | None = None
        self.cycles: Cycles | None = None
        self._log = log
        self._next_cap_octets = self.cap_octets
        self._rates: dict[str, int] = {}  # reason -> octets per second
        self._before_today = 0, 0  # billed octets of the cycle when the day began: all, and those that are not late
        self._first_day = self.today  # of the present cycle
        self._fee_paid = True  # for the present cycle
        self._phase_end: Timer | None = None
        self._expiry: list[Timer] = []
        if plan.activated and plan.lifecycle is None and plan.activated > self.today:
            raise ValueError(f"activated {plan.activated} is after the start, {self.today}")
        if pool is not None:
            pool.join(self, plan.cycles(self.today), plan.zone)
        self.phase = BILLING
        self._begin_lifecycle()
        if plan.daily is not None:
            self._at(self.today + timedelta(days=1), self._new_day)
        if rating.session_round_octets and (plan.hours or plan.roaming_octets is not None):
            raise ValueError("hours or roaming of their own and sessions that are rounded up exclude each other")
        if plan.hours is not None:
            for minute in (plan.hours.begin, plan.hours.end):
                self._daily_at(minute, self._look_at_counters)

    # --- time ---

    @property
    def today(self) -> date:
        return self.clock.utc().astimezone(self.plan.zone).date()

    def _at(self, day: date, what: Any, *args: Any) -> Timer:
        """Schedules `what` for 00:00 of a local day."""
        return self.clock.at(self.clock.us_of(midnight(day, self.plan.zone)), what, *args)

    def _daily_at(self, minute: int, what: Callable[[], None]) -> None:
        """Calls `what` at this minute of each local day."""
        local = self.clock.utc().astimezone(self.plan.zone)
        due = midnight(local.date(), self.plan.zone) + timedelta(minutes=minute)
        if due <= local:
            due += timedelta(days=1)

        def come() -> None:
            what()
            self._daily_at(minute, what)

        self.clock.at(self.clock.us_of(due), come)

    # --- lifecycle ---

    def _begin_lifecycle(self) -> None:
        lifecycle = self.plan.lifecycle
        if lifecycle is None:
            self._begin_billing(self.today, new=False)
        elif lifecycle.test_until is not None and self.today < lifecycle.test_until:
            self.phase = TEST
            charged = lifecycle.on_test_exhausted == "charge"
            tiers = self.enforcement.tiers
            if charged and not tiers:
                raise ValueError("a test period that is charged needs the tiers of a tariff")
            self.account.open(TEST, lifecycle.test_octets, tiers if charged else ())
            self._phase_end = self._at(lifecycle.test_until, self._begin_silence)
            self.log("phase", reason=TEST)
        else:
            self._begin_silence()

    def _begin_silence(self) -> None:
        lifecycle = self.plan.lifecycle
        assert lifecycle is not None
        forced_on = lifecycle.forced_on(self.today)
        if self.today >= forced_on:
            self._begin_billing(forced_on, new=self.phase == TEST)
            return
        self.phase = SILENT
        self._close(self.account.open(SILENT, 0))
        self._phase_end = self._at(forced_on, self._begin_billing, forced_on, True)
        self.log("phase", reason=SILENT)
        self._on_period_change(NEXT_PHASE, NEXT_CYCLE)

    def _begin_billing(self, since: date, new: bool) -> None:
        """Starts the billing period. `since`: first billed day; `new`: it is today, so the fee is due."""
        if self._phase_end is not None:
            self._phase_end.cancel()
            self._phase_end = None
        self.phase = BILLING
        self.billing_since = since
        self.cycles = self.plan.cycles(since)
        self._open_cycle(self.cycles.first_day(self.today))
        if self.plan.lifecycle is not None:
            self.log("phase", reason=BILLING)
        self._on_period_change(NEXT_PHASE, NEXT_CYCLE)
        if self.pool is None:
            self._at(self.cycles.after(self._first_day), self._new_cycle)
        elif self.pool.exhausts():
            self.clock.after(0, self.pool_exhausted)
        package = self.plan.package
        if package is not None:
            self.expires = add_months(self.plan.activated or since, package.months)
            self._watch_expiry()
        if new:
            self._take_fee()
        self.clock.after(0, self._stop_if_in_arrears)

    # --- cycles ---

    def _open_cycle(self, first_day: date) -> None:
        self._first_day = first_day
        self.cap_octets = self._next_cap_octets
        allowance, tiers = self.plan.allowance_octets, ()
        if self.pool is not None:
            allowance = self.cap_octets or self.pool.allowance_octets
        elif self.enforcement.kind == "overage":
            tiers = self.enforcement.tiers
        self._close(self.account.open(first_day.isoformat(), allowance, tiers))
        hours = self.plan.hours
        if hours is not None:
            self.account.cycle.hours = OwnCounter(self.rating, hours.allowance_octets, hours.charged_permille)
        if self.plan.roaming_octets is not None:
            self.account.cycle.roaming = OwnCounter(self.rating, self.plan.roaming_octets, closed=True)

    def _close(self, cycle: CycleUsage | None) -> None:
        """Schedules the late usage records of a closed cycle."""
        if cycle is not None and not cycle.complete:
            self.clock.after(self.rating.late_s * S, self._late_records, cycle)

    def _on_period_change(self, *events: str) -> None:
        """Lifts the stops that these events end, and marks the new cycle as stopped by those that remain."""
        for event in events:
            self.lift_by(event)
        self._set_rate(EXHAUSTED.code, None)
        self._set_rate(DAY_CAPPED.code, None)
        self._set_rate(THRESHOLD, None)
        self._before_today = 0, 0
        if self.plan.roaming_octets is not None:
            self._check_roaming()
        for code in STOP_REASONS:
            if code in self.stops:
                self._mark_stopped(code)

    def _new_cycle(self) -> None:
        assert self.cycles is not None
        self._open_cycle(self.cycles.after(self._first_day))
        self._at(self.cycles.after(self._first_day), self._new_cycle)
        self._on_period_change(NEXT_CYCLE)
        self._new_fee()

    def _new_day(self) -> None:
        cycle = self.account.cycle
        self._before_today = cycle.billed_octets, cycle.in_time.billed
        self._at(self.today + timedelta(days=1), self._new_day)
        self.lift_by(NEXT_DAY)
        self._set_rate(DAY_CAPPED.code, None)

    def pool_cycle(self, first_day: date) -> None:
        """Called when the pool's cycle ends: this SIM's cycle ends with it."""
        if self.phase == BILLING:
            self._open_cycle(first_day)
            self._on_period_change(NEXT_CYCLE)
            self._new_fee()

    def _late_records(self, cycle: CycleUsage) -> None:
        late = cycle.tally.billed - cycle.in_time.billed
        cycle.complete = True
        if late:
            self.log("late-records", reason="closed", cycle=cycle.label, octets=late)
            self._post(cycle, cycle.cost_fen)

    # --- usage ---

    def activate(
        self, internet: Internet, ip: str, deliver: Callable[[Packet], None], deactivated: Callable[[], None]
    ) -> Bearer:
        """Opens a bearer with the address `ip`; one that is still open is closed first."""
        if self.bearer is not None:
            self.bearer.close()
        self.bearer = Bearer(
            self.clock,
            internet,
            ip,
            burst_octets=self.enforcement.burst_octets,
            queue_octets=self.enforcement.queue_octets,
            charge=self.charge,
            released=self.released,
            deliver=deliver,
            deactivated=deactivated,
        )
        self.bearer.set_rate(self.rate_limit)
        self.bearer.barred = bool(self.stops)
        return self.bearer

    def charge(self, octets: int) -> None:
        """Counts one packet of `octets` at the present time."""
        if any(self.denied()):
            self.denied_octets += octets
        if self.phase == SILENT:
            self._begin_billing(self.today, new=True)
        cycle = self.account.cycle
        billed, in_time = cycle.billed_octets, cycle.in_time.billed
        counter = self._counter()
        self.account.charge(octets, counter)
        if counter is not None and not counter.left:
            for check in (self._check_quota, self._check_slow, self._check_roaming):
                self.clock.after(self.rating.lag_s * S, check)
        if self.pool is not None and self.phase == BILLING:
            self.pool.add(cycle.billed_octets - billed, cycle.in_time.billed - in_time)
        limit = self._limit(cycle)
        lag_us = self.rating.lag_s * S
        if limit is not None and in_time < limit <= cycle.in_time.billed:
            self.clock.after(lag_us, self._check_quota)
        slow = self._slow_from
        if slow is not None and in_time < slow <= cycle.in_time.billed:
            self.clock.after(lag_us, self._check_slow)
        if self.plan.daily is not None:
            self._look_at_day(self.plan.daily, in_time, cycle.in_time.billed)
        if cycle.tiers and cycle.in_time.billed > cycle.allowance_octets:
            fen = cost(cycle.tiers, cycle.in_time.billed - cycle.allowance_octets)
            if fen > cycle.accrued_fen:
                cycle.accrued_fen = fen
                self.clock.after(lag_us, self._post, cycle, fen)

    def released(self) -> None:
        """Called when the bearer has ended."""
        self.bearer = None
        self.account.end_session()

    # --- counters of their own ---

    def _counter(self) -> OwnCounter | None:
        """The counter that is debited with what is used now, before the plan's allowance."""
        if self.roams and self.account.cycle.roaming is not None:
            return self.account.cycle.roaming
        hours, counter = self.plan.hours, self.account.cycle.hours
        if hours is None or counter is None or not counter.left:
            return None
        now = self.clock.utc().astimezone(self.plan.zone)
        return counter if hours.hold(now.hour * 60 + now.minute) else None

    @property
    def _free(self) -> bool:
        """Whether nothing that is used now is debited to the plan's allowance."""
        counter = self._counter()
        return counter is not None and not counter.charged

    def roam(self, away: bool) -> None:
        """Called when the SIM has registered."""
        if away == self.roams:
            return
        self.roams = away
        if self.plan.roaming_octets is not None:
            self._look_at_counters()

    def _check_roaming(self) -> None:
        """Ends data in another network once nothing is left for it."""
        counter = self.account.cycle.roaming
        if self.roams and counter is not None and not counter.left:
            self.stop(ROAMED.code)
        else:
            self.lift_by(HOME)

    def _look_at_counters(self) -> None:
        """Lets data flow where the allowance does not count it any more, or again enforces what is used up."""
        if self._free:
            self.lift_by(FREE_HOURS)
            self._set_rate(EXHAUSTED.code, None)
        else:
            self._check_quota()
        self._check_slow()
        self._check_roaming()

    def _limit(self, cycle: CycleUsage) -> int | None:
        """Octets at which this cycle's quota is used up; None when reaching it has no effect."""
        kind = self.enforcement.kind
        if self.phase == SILENT or kind == "none" or cycle.tiers:
            return None
        if self.phase == TEST:
            return cycle.allowance_octets
        if self.pool is not None:
            return self.cap_octets or None
        return cycle.allowance_octets

    @property
    def _slow_from(self) -> int | None:
        """Octets from which this cycle is slow. What was bought beyond the plan is as fast as the plan's."""
        if not self.plan.slow_from_octets or self.phase != BILLING:
            return None
        return self.plan.slow_from_octets + self.account.cycle.allowance_octets - self.plan.allowance_octets

    def _check_slow(self) -> None:
        """Slows data down, or lets it be fast, by the usage that the platform has seen of the present cycle."""
        slow = self._slow_from
        slowed = slow is not None and self.account.seen() >= slow and not self._free
        self._set_rate(THRESHOLD, self.enforcement.rate_octets_s if slowed else None)

    def _look_at_day(self, daily: Daily, before: int, after: int) -> None:
        """Schedules what the day's counters cause when the cycle's octets go from `before` to `after`."""
        start = self._before_today[1]
        if any(limit and before - start < limit <= after - start for limit in (daily.cap_octets, daily.slow_octets)):
            self.clock.after(self.rating.lag_s * S, self._check_day, daily, self.account.cycle, self.today)

    def _check_day(self, daily: Daily, cycle: CycleUsage, day: date) -> None:
        """Enforces the counters of the day on the usage the platform has seen of it, unless it is over."""
        if cycle is not self.account.cycle or day != self.today:
            return
        seen = self.account.seen() - self._before_today[1]
        if daily.slow_octets and seen >= daily.slow_octets:
            self._set_rate(DAY_CAPPED.code, self.enforcement.rate_octets_s)
        if daily.cap_octets and seen >= daily.cap_octets:
            self.stop(DAY_CAPPED.code)

    @property
    def day_octets(self) -> int:
        """Billed octets of the present day, whether the platform has seen them or not."""
        return self.account.cycle.billed_octets - self._before_today[0]

    def _quota_reason(self) -> str:
        if self.phase == TEST:
            return TEST_EXHAUSTED.code
        return EXHAUSTED.code if self.pool is None else CAPPED.code

    def _check_quota(self) -> None:
        """Enforces the quota on the usage the platform has seen of the present cycle."""
        limit = self._limit(self.account.cycle)
        if limit is None or self.account.seen() < limit or self._free:
            return
        if self.phase == BILLING and self.enforcement.kind == "throttle" and self.pool is None:
            self._set_rate(EXHAUSTED.code, self.enforcement.rate_octets_s)
        else:
            self.stop(self._quota_reason())

    def pool_exhausted(self) -> None:
        """Called when the pool is used up. A SIM in its test period is not stopped: it has a quota of its own."""
        if self.phase == BILLING:
            self.stop(POOL_EXHAUSTED.code)

    def set_cap(self, octets: int) -> None:
        """Sets the cap (0 = none); a cap that is already exceeded takes effect with the next cycle."""
        if self.pool is None:
            raise ValueError(f"SIM {self.imsi} is in no pool: it has no cap")
        self._next_cap_octets = octets
        now = self.phase != BILLING or not octets or self.account.seen() < octets
        self.log("cap", reason="by_hand", octets=octets, takes_effect="now" if now else "next cycle")
        if not now:
            return
        self.cap_octets = octets
        if self.phase == BILLING:
            cycle = self.account.cycle
            cycle.allowance_octets = octets or self.pool.allowance_octets
            self.lift_by(NEW_CAP)
            if octets and cycle.in_time.billed >= octets:  # by usage the platform has not seen yet
                self.clock.after(self.rating.lag_s * S, self._check_quota)

    def top_up(self, octets: int) -> None:
        """Adds to the allowance of the present cycle. Where that is more than was seen, data flows again."""
        if self.phase != BILLING or self.pool is not None:
            raise ValueError(f"SIM {self.imsi} has no allowance of its own to top up now")
        cycle = self.account.cycle
        cycle.allowance_octets += octets
        self.log("topped-up", reason="by_hand", octets=octets, allowance_octets=cycle.allowance_octets)
        if self.account.seen() < cycle.allowance_octets:
            self.lift_by(REFILL)
            self._set_rate(EXHAUSTED.code, None)
            self._check_slow()

    # --- money ---

    def _new_fee(self) -> None:
        """Takes a new cycle's fee, unless the package has expired."""
        self._fee_paid = False
        if self.expires is None or self._first_day < self.expires:
            self._take_fee()
            self._stop_if_in_arrears()

    def _take_fee(self) -> None:
        self._fee_paid = True
        if self.balance_fen is not None and self.plan.funds is not None and self.plan.funds.fee_fen:
            self.balance_fen -= self.plan.funds.fee_fen
            self.log("charged", reason="fee", fen=self.plan.funds.fee_fen, balance_fen=self.balance_fen)

    def _post(self, cycle: CycleUsage, fen: int) -> None:
        """Debits a cycle's out-of-plan cost, which is `fen` so far, less what was debited before."""
        due = fen - cycle.posted_fen
        if due <= 0:
            return
        cycle.posted_fen = fen
        if self.balance_fen is not None:
            self.balance_fen -= due
            self._stop_if_in_arrears()

    def _stop_if_in_arrears(self) -> None:
        if self.balance_fen is not None and self.balance_fen < 0:
            self.stop(ARREARS.code)

    def recharge(self, fen: int) -> None:
        """Adds to the balance. Does not lift any stop."""
        if self.balance_fen is None:
            raise ValueError(f"SIM {self.imsi} has no balance")
        self.balance_fen += fen
        self.log("recharged", reason="by_hand", fen=fen, balance_fen=self.balance_fen)

    def true_balance_fen(self) -> int | None:
        """The balance if the platform had seen all usage; None without an account."""
        if self.balance_fen is None:
            return None
        cycles = (*self.account.closed, self.account.cycle)
        return self.balance_fen - sum(cycle.cost_fen - cycle.posted_fen for cycle in cycles)

    # --- expiry ---

    def _watch_expiry(self) -> None:
        """Schedules the reminders, the expiry and the cancellation of the package that ends on `expires`."""
        assert self.expires is not None
        assert self.plan.package is not None
        for timer in self._expiry:
            timer.cancel()
        self.reminded = ()
        days = {n: self.expires - timedelta(days=n) for n in REMINDERS}
        self._expiry = [self._at(day, self._remind, n) for n, day in days.items() if day >= self.today]
        self._expiry.append(self._at(self.expires, self._expire))
        over = add_months(self.expires, self.plan.package.renew_months)
        self._expiry.append(self._at(over, self._cancel))

    def _remind(self, days: int) -> None:
        assert self.expires is not None
        self.reminded += (days,)
        self.log("reminded", reason="expiry", days=days, expires=self.expires.isoformat())

    def _expire(self) -> None:
        self.stop(EXPIRED.code)

    def _cancel(self) -> None:
        self.stop(CANCELLED.code)

    def renew(self, months: int) -> bool:
        """Adds months to the package, counted from its end; False when refused."""
        package = self.plan.package
        if package is None:
            raise ValueError(f"SIM {self.imsi} has no package")
        refused = ""
        expires = add_months(self.expires or self.today, months)
        if CANCELLED.code in self.stops:
            refused = CANCELLED.code
        elif self.expires is None:
            refused = "not_begun"
        elif self.plan.whole and months % package.months:
            refused = "no_multiple"
        elif expires <= self.today:
            refused = "too_short"
        if refused:
            self.log("refused", reason=refused, order="renew", months=months)
            return False
        self.expires = expires
        self._watch_expiry()
        self.log("renewed", reason="by_hand", months=months, expires=expires.isoformat())
        self.lift_by(RENEWAL)
        if not self._fee_paid:
            self._take_fee()
            self._stop_if_in_arrears()
        return True

    # --- stops ---

    def stop(self, reason: str) -> None:
        if reason in self.stops:
            return
        self.stops.add(reason)
        self._mark_stopped(reason)
        self.log("stopped", reason=reason, billed_octets=self.account.cycle.billed_octets)
        if self.bearer is not None:
            if self.enforcement.stop_cause == SOFT:
                self.bearer.barred = True
            else:
                self.bearer.deactivate()

    def lift_by(self, event: str) -> None:
        """Lifts the stops that this event ends, and no others."""
        for reason in STOP_REASONS.values():
            if event in reason.lifted_by:
                self._lift(reason.code)

    def resume(self, reason: str | None) -> None:
        """Lifts the stop `reason`, or all that can be lifted by hand. Refused for arrears until they are paid."""
        for code in (MANUAL.code, ARREARS.code) if reason is None else (reason,):
            if BY_HAND not in STOP_REASONS[code].lifted_by:
                raise ValueError(f"stop {code!r} is not lifted by hand")
            if code == ARREARS.code and code in self.stops and (self.balance_fen or 0) < 0:
                self.log("refused", reason=ARREARS.code, order="resume", balance_fen=self.balance_fen)
            else:
                self._lift(code)

    def _lift(self, reason: str) -> None:
        if reason in self.stops:
            self.stops.discard(reason)
            if self.bearer is not None:
                self.bearer.barred = bool(self.stops)
            self.log("restored", reason=reason)

    def _mark_stopped(self, reason: str) -> None:
        cycle = self.account.cycle
        if cycle.stopped_at is None:
            cycle.stopped_at = self.clock.utc()
            cycle.stop_reason = reason

    def denied(self) -> Iterator[str]:
        """Why data would be denied now if the platform had no lag, in the order of `STOP_REASONS`."""
        denied = set(self.stops)
        cycle = self.account.cycle
        limit = self._limit(cycle)
        slows = self.enforcement.kind == "throttle" and self.pool is None and self.phase == BILLING
        if limit is not None and not slows and cycle.billed_octets >= limit and not self._free:
            denied.add(self._quota_reason())
        if self.roams and cycle.roaming is not None and not cycle.roaming.left:
            denied.add(ROAMED.code)
        if self.plan.daily and 0 < self.plan.daily.cap_octets <= self.day_octets:
            denied.add(DAY_CAPPED.code)
        if self.pool is not None and self.phase == BILLING and self.pool.used_up:
            denied.add(POOL_EXHAUSTED.code)
        if (self.true_balance_fen() or 0) < 0:
            denied.add(ARREARS.code)
        if self.expires is not None and self.today >= self.expires:
            denied.add(EXPIRED.code)
        return filter(denied.__contains__, STOP_REASONS)

    # --- throttle ---

    @property
    def rate_limit(self) -> int | None:
        """The lowest rate limit in force, octets per second; None without one."""
        return min(self._rates.values(), default=None)

    @property
    def throttle_by_hand(self) -> int | None:
        """The rate limit that the customer set, octets per second."""
        return self._rates.get(MANUAL.code)

    def throttle(self, octets_per_s: int | None) -> None:
        """Sets the customer's own rate limit; None lifts it."""
        self._set_rate(MANUAL.code, octets_per_s)

    def _set_rate(self, reason: str, octets_per_s: int | None) -> None:
        if self._rates.get(reason) == octets_per_s:
            return
        if octets_per_s is None:
            del self._rates[reason]
            self.log("unthrottled", reason=reason)
        else:
            self._rates[reason] = octets_per_s
            self.log("throttled", reason=reason, octets_per_s=octets_per_s)
        if self.bearer is not None:
            self.bearer.set_rate(self.rate_limit)

    def log(self, what: str, **fields: Any) -> None:
        self._log(what, imsi=self.imsi, **fields)
