"""The account: orders, money, time, pool, the carrier's figure; by hand, and after every reset."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.core.account.figures import LEARNED_MAX
from usageguard.core.octets import MAX, Octets
from usageguard.core.policy import BALANCE, GRANT, LEDGER_FAILED, LOCAL, PACE

from host_tools.base import paths
from tests.core.sim_account import MB, OTA, REPORTS, TELEMETRY, Sim, number, utc
from tests.core.test_orders import KEYS

MARCH, APRIL, MAY = number("2026-03-01"), number("2026-04-01"), number("2026-05-01")
# 29 fen for each started MB beyond the plan, at most 20 MB of them: 580 fen
OVERAGE = {"tiers": [{"block_octets": MB, "fen": 29}], "cost_cap_fen": 580}
PREPAID = {"on_exhaustion": "overage", "overage": OVERAGE, "account": {"balance_fen": 100, "fee_fen": 30}}
PACKAGE = {"activated": "2026-03-01", "package": {"months": 3, "slice": "month"}}
LIFE = {
    "test_octets": 2 * MB,
    "test_until": "2026-03-10",
    "billing_from": "2026-07-01",
}


class TestOrder:
    def test_stop_and_resume(self):
        sim = Sim()
        sim.order({1: 1})
        assert (sim.names(), sim.may(), sim.may(REPORTS)) == (["STOPPED_BY_HAND"], False, True)
        sim.until("2026-05-02")
        assert sim.names() == ["STOPPED_BY_HAND"]
        sim.order({1: 0})
        assert (sim.names(), sim.may()) == ([], True)

    def test_limit(self):
        sim = Sim()
        sim.spend(3 * MB)
        sim.order({2: 5 * MB})
        assert (sim.names(), sim.policy.limit(LOCAL)) == ([], 5 * MB)
        sim.spend(2 * MB)
        assert sim.names() == ["QUOTA_EXHAUSTED"]
        sim.until("2026-04-01")
        assert (sim.names(), sim.policy.limit(LOCAL)) == ([], 5 * MB), "each period anew"
        sim.spend(5 * MB)
        sim.order({2: 0})
        assert (sim.names(), sim.policy.limit(LOCAL)) == ([], sim.plan.local_limit)

    def test_throttle(self):
        sim = Sim()
        sim.order({3: 500})
        assert (sim.names(), sim.account.throttle()) == (["THROTTLED_BY_HAND"], (500, 4096))
        sim.order({3: 0})
        assert (sim.names(), sim.account.throttle()) == ([], None)

    def test_two_throttles_leave_the_slower_one(self):
        sim = Sim(on_exhaustion="throttle", throttle={"rate_octets_s": 16000})
        assert sim.account.throttle() is None
        sim.spend(30 * MB)
        assert (sim.names(), sim.policy.verdict(), sim.may()) == (["THROTTLED"], "throttled", True)
        assert sim.account.throttle() == (16000, 64000)
        sim.order({3: 500})
        assert sim.account.throttle() == (500, 64000)
        sim.order({3: 20000})
        assert sim.account.throttle() == (16000, 64000)
        sim.until("2026-04-01")
        assert sim.account.throttle() == (20000, 64000), "the owner's outlives the period"

    def test_release(self):
        sim = Sim(burst={})
        sim.obey(sim.account.hold(1 << OTA))
        assert (sim.names(), sim.may(OTA), sim.may(TELEMETRY)) == (["BURST"], False, True)
        sim.boot()
        assert not sim.may(OTA), "a reset is no way out"
        sim.order({10: 1})
        assert (sim.names(), sim.may(OTA)) == ([], True)
        sim.boot()
        assert sim.may(OTA), "a reset does not undo it"

    def test_hold(self):
        sim = Sim()
        sim.order({14: 1 << OTA})
        assert (sim.names(), sim.may(OTA), sim.may(TELEMETRY)) == (["HELD_BY_HAND"], False, True)
        sim.boot()
        sim.until("2026-04-01")
        assert (sim.names(), sim.may(OTA)) == (["HELD_BY_HAND"], False), "neither a reset nor a new period ends it"
        sim.order({14: 1 << TELEMETRY})
        assert (sim.may(OTA), sim.may(TELEMETRY)) == (True, False), "the last order says which"
        sim.order({14: 0})
        assert (sim.names(), sim.may(TELEMETRY)) == ([], True)

    @pytest.mark.parametrize("classes", [1 << REPORTS, 1 << 7 | 1 << OTA])
    def test_a_hold_of_a_class_that_cannot_be_held_is_skipped(self, classes):
        sim = Sim()
        sim.order({14: classes, 2: 5 * MB})
        assert (sim.done.unheard, sim.account.refused, sim.names()) == ([14], 1, [])
        assert sim.account.standing.limit == 5 * MB, "but not what came with it"

    def test_what_is_asked_for_is_told(self):
        sim = Sim()
        for keys, asked in (({15: 1}, (True, True)), ({16: 1}, (True, False)), ({1: 0}, (False, False))):
            sim.order(keys)
            assert (sim.done.asked, sim.done.diagnosed) == asked

    def test_set_used(self):
        sim = Sim(pool={"first_grant_octets": 4 * MB})
        sim.spend(6 * MB)
        assert sim.names() == ["POOL_EXHAUSTED"]
        sim.order({8: [MARCH, 3 * MB]})
        assert (sim.used, sim.names(), sim.may()) == (3 * MB, [], True)
        sim.order({8: [APRIL, 0]})
        assert (sim.used, sim.done.set_used) == (3 * MB, None), "another period's"

    def test_accept(self):
        sim = Sim()
        sim.order({9: 1})
        assert sim.done.accepted
        sim.order({1: 0})
        assert not sim.done.accepted, "said once"

    def test_several_at_once_are_one_change(self):
        sim = Sim()
        sim.order({1: 1, 2: 5 * MB, 3: 700, 4: number("2026-04-20")})
        assert sim.names() == ["STOPPED_BY_HAND", "THROTTLED_BY_HAND"]
        standing = sim.account.standing
        assert (standing.counter, standing.limit, standing.throttle, standing.expiry_day) == (
            *(1, 5 * MB, 700, number("2026-04-20")),
        )

    @pytest.mark.parametrize(
        ("plan", "has"),
        [
            ({}, set()),
            ({"account": {}}, {5}),
            ({"on_exhaustion": "overage", "overage": OVERAGE}, {5}),
            ({"pool": {}}, {7}),
            ({"lifecycle": LIFE}, {11}),
            ({"burst": {}, "pace": True} | PACKAGE, set()),
        ],
    )
    def test_keys_for_a_part_that_the_plan_does_not_have_are_passed_over(self, plan, has):
        """The others of the order are obeyed, and its counter is taken."""
        sim = Sim(**plan)
        unsaid = bytes(sim.buf)
        parts = {5: [sim.cycle_id, -1, 0], 7: [sim.cycle_id, 0, 3600, 0], 11: number("2026-03-01")}
        assert sim.order(parts | {10: 1}, 8)
        assert sim.done.unheard == sorted(parts.keys() - has)
        assert sim.done.activated == (11 in has)
        assert (sim.account.standing.counter, sim.account.refused) == (8, 1), "in part"
        assert sim.names() == {5: ["ARREARS"], 7: ["POOL_EXHAUSTED"]}.get(*has or [0], [])
        sim.account.standing.store()
        assert (bytes(sim.buf[4:]) == unsaid[4:]) == (not has)
        sim.order({**parts, 1: 1}, 9)
        assert "STOPPED_BY_HAND" in sim.names()

    @pytest.mark.parametrize(
        ("plan", "keys", "reason"),
        [
            ({"account": {}}, {5: [MARCH, -1, 0]}, "ARREARS"),
            ({"pool": {}}, {7: [MARCH, 0, 60, 0]}, "POOL_EXHAUSTED"),
            ({"pool": {"on_silence": "terminate"}}, {7: [MARCH, MB, 1, MB]}, "GRANT_EXPIRED"),
            ({"lifecycle": LIFE}, {}, "SILENT_PERIOD"),
        ],
    )
    def test_a_part_that_a_plan_has_no_more_leaves_no_stop(self, plan, keys, reason):
        sim = Sim(**plan)
        sim.order(keys | {3: 900})
        if reason == "SILENT_PERIOD":
            sim.until("2026-03-10")
        sim.pass_time(5)
        assert reason in sim.names()
        sim.boot({})
        assert sim.names() == ["THROTTLED_BY_HAND"]
        sim.boot()
        sim.pass_time(days=1)
        assert sim.names() == ["THROTTLED_BY_HAND"]

    def test_the_same_again_changes_nothing(self):
        sim = Sim()
        sim.order({2: 5 * MB}, 7)
        before = sim.admission()
        assert sim.order({2: 6 * MB, 1: 1}, 7) == 0
        assert (sim.admission(), sim.account.refused) == (before, 0)

    @pytest.mark.parametrize(
        ("counter", "keys"),
        [
            *((6, {1: 1}), (1, {1: 1}), (0, {1: 1}), (-1, {1: 1}), (1 << 30, {1: 1}), ("8", {1: 1})),
            *((8, {1: 1, 99: 1}), (8, {1: 1, 2: -1}), (8, {1: 1, 5: [0]}), (8, [1, 1]), (8, None)),
        ],
    )
    def test_what_is_refused_is_counted_and_changes_nothing(self, counter, keys):
        sim = Sim()
        sim.order({2: 5 * MB}, 7)
        before, stored = sim.admission(), bytes(sim.buf)
        assert sim.order(keys, counter) == 0
        sim.account.standing.store()
        assert (sim.admission(), bytes(sim.buf), sim.account.refused) == (before, stored, 1)
        assert sim.account.standing.counter == 7
        assert sim.order({1: 1}, 8)
        assert sim.names() == ["STOPPED_BY_HAND"], "the next good one is taken"


def test_what_is_in_doubt_is_reported():
    sim = Sim()
    sim.account.wants_report = False
    sim.obey(sim.account.doubted())
    assert sim.account.wants_report


class TestMoney:
    """100 fen, 29 a MB beyond 30 MB: 3 MB are 87 fen, a 4th would be 116."""

    def test_the_balance_stops_before_it_is_overdrawn(self):
        sim = Sim(**PREPAID)
        assert sim.policy.limit(BALANCE) == 33 * MB
        sim.spend(31 * MB)
        assert (sim.account.plan.cost_fen(sim.used), sim.balance()) == (29, 71)
        sim.spend(2 * MB - 1)
        assert (sim.names(), sim.balance()) == ([], 13)
        sim.spend(1)
        assert (sim.names(), sim.balance(), sim.may(REPORTS)) == (["ARREARS"], 13, True)

    def test_a_period_takes_its_cost_and_the_next_ones_fee(self):
        sim = Sim(**PREPAID)
        sim.spend(31 * MB)
        sim.until("2026-04-01")
        assert sim.balance() == 100 - 29 - 30
        assert sim.policy.limit(BALANCE) == 31 * MB, "41 fen are one MB"
        assert (sim.used, sim.names()) == (0, [])
        sim.until("2026-05-01")
        assert sim.balance() == 41 - 30
        sim.until("2026-06-01")
        assert (sim.balance(), sim.names()) == (11 - 30, ["ARREARS"])

    def test_arrears_outlive_the_period_and_a_recharge_ends_them(self):
        sim = Sim(**PREPAID)
        sim.order({5: [MARCH, -1, 0]})
        assert sim.names() == ["ARREARS"]
        sim.until("2026-04-01")
        assert sim.names() == ["ARREARS"]
        sim.order({5: [APRIL, 0, 0]})
        assert (sim.names(), sim.policy.limit(BALANCE)) == ([], 30 * MB)

    def test_the_platforms_balance_counts_with_what_it_took_off_already(self):
        sim = Sim(**PREPAID)
        sim.spend(32 * MB)  # 58 fen, of which the platform knows 29
        sim.order({5: [MARCH, 171, 29]})
        assert sim.balance() == 171 - 29
        assert sim.policy.limit(BALANCE) == (30 + 200 // 29) * MB, "what is left after March's first MB is 200 in all"
        sim.until("2026-04-01")
        assert sim.balance() == 171 - 29 - 30

    def test_a_late_balance_of_the_last_period_has_taken_nothing_off_this_one(self):
        sim = Sim(**PREPAID)
        sim.until("2026-04-01")
        sim.spend(31 * MB)
        sim.order({5: [MARCH, 200, 58]})
        assert sim.balance() == 200 - 29
        sim.until("2026-05-01")
        assert sim.balance() == 200 - 29 - 30

    def test_off_for_months_costs_each_months_fee(self):
        sim = Sim(**PREPAID)
        sim.now = datetime(2026, 6, 2)
        sim.boot()
        sim.pass_time(0)
        assert (sim.balance(), sim.names()) == (100 - 3 * 30, [])

    def test_the_first_period_that_is_known_was_paid_before(self):
        sim = Sim(cycle_known=False, **PREPAID)
        sim.boot()
        sim.pass_time(0)
        assert (sim.cycle_id, sim.balance()) == (MARCH, 100)

    def test_a_package_that_is_over_takes_no_fee(self):
        sim = Sim(**PREPAID, **PACKAGE)
        sim.until("2026-08-02")
        assert sim.balance() == 100 - 2 * 30, "April's and May's"
        sim.order({4: number("2026-12-01")})
        sim.until("2026-09-01")
        assert sim.balance() == 100 - 3 * 30

    def test_a_silent_period_has_no_fee(self):
        sim = Sim(lifecycle=LIFE, **PREPAID)
        sim.until("2026-03-10")
        assert (sim.names(), sim.balance()) == (["SILENT_PERIOD"], 100)
        sim.until("2026-07-01")
        assert sim.balance() == 70

    def test_a_debt_beyond_any_sum_stays_storable(self):
        tiers = [{"block_octets": 1, "fen": 1 << 30}]
        sim = Sim(on_exhaustion="overage", overage={"tiers": tiers}, account={})
        sim.spend(40 * MB)
        sim.until("2026-04-01")
        sim.boot()
        assert (sim.balance(), sim.names()) == (-(1 << 30), ["ARREARS"])

    def test_where_nobody_told_it_is_not_known(self):
        sim = Sim(on_exhaustion="overage", overage=OVERAGE)
        assert (sim.balance(), sim.policy.limit(BALANCE)) == (None, None)
        sim.order({5: [MARCH, 60, 0]})
        assert (sim.balance(), sim.policy.limit(BALANCE)) == (60, 32 * MB)

    def test_where_usage_costs_nothing_a_balance_has_no_octets(self):
        sim = Sim(account={"balance_fen": 7})
        assert (sim.balance(), sim.policy.limit(BALANCE)) == (7, None)
        sim.order({5: [MARCH, 5, 0]})
        assert (sim.balance(), sim.policy.limit(BALANCE)) == (5, None)
        sim.order({5: [MARCH, -1, 0]})
        assert sim.names() == ["ARREARS"]

    def test_the_cost_cap(self):
        sim = Sim(on_exhaustion="overage", overage=OVERAGE)
        assert sim.plan.ceiling == 50 * MB
        sim.spend(sim.plan.local_limit)
        assert sim.names() == ["COST_CAP"]
        assert sim.account.cost_fen.__self__.plan.cost_fen(sim.used) <= 580


class TestPackage:
    def test_off_until_long_after_its_window(self):
        sim = Sim(**PACKAGE)
        sim.now = datetime(2026, 9, 20)
        sim.pass_time(0)
        assert "CANCELLED" in sim.names()

    def test_a_day_is_looked_at_once_unless_a_figure_was_corrected(self):
        sim = Sim(**PACKAGE)
        sim.until("2026-03-05")
        assert sim.account.day == number("2026-03-05")
        sim.account.corrected(Octets(0), 0)
        assert sim.account.day is None

    def test_reminders_expiry_window_and_renewal(self):
        sim = Sim(**PACKAGE)
        seen = {}
        while sim.now < datetime(2026, 9, 5):
            seen.setdefault((sim.policy.warned >> sim.plan.days_bit, tuple(sim.names())), sim.now.date().isoformat())
            sim.pass_time(days=1)
        assert seen == {
            (0b000, ()): "2026-03-01",
            (0b001, ()): "2026-05-02",
            (0b011, ()): "2026-05-25",
            (0b111, ()): "2026-05-31",
            (0b111, ("EXPIRED",)): "2026-06-01",
            (0b111, ("CANCELLED", "EXPIRED")): "2026-09-01",
        }
        sim.order({4: number("2026-12-01")})
        assert (sim.names(), sim.policy.warned, sim.may()) == ([], 0, True)

    def test_the_day_is_a_local_one(self):
        sim = Sim(**PACKAGE)
        sim.until("2026-05-31", 23)
        assert sim.names() == []
        sim.pass_time(3599)
        assert (sim.names(), sim.account.due_s(*utc(sim.now))) == ([], 1)
        sim.pass_time(1)
        assert sim.names() == ["EXPIRED"]

    def test_a_renewal_that_is_over_too_lifts_nothing(self):
        sim = Sim(**PACKAGE)
        sim.until("2026-06-02")
        sim.order({4: number("2026-06-02")})
        assert sim.names() == ["EXPIRED"]
        sim.boot()
        assert sim.names() == ["EXPIRED"]

    def test_renewed_in_time_it_never_expires(self):
        sim = Sim(**PACKAGE)
        sim.until("2026-05-20")
        sim.order({4: number("2026-09-01")})
        sim.until("2026-08-31", 23)
        assert sim.names() == []
        sim.pass_time(hours=1)
        assert sim.names() == ["EXPIRED"]

    def test_a_longer_package_that_was_configured_since_counts(self):
        sim = Sim(**PACKAGE)
        sim.order({4: number("2026-06-02")})
        sim.until("2026-06-02")
        assert sim.names() == ["EXPIRED"]
        sim.boot(PACKAGE | {"package": PACKAGE["package"] | {"months": 12}})
        sim.pass_time(0)
        assert (sim.names(), sim.may()) == ([], True)

    def test_without_a_window(self):
        sim = Sim(activated="2026-03-01", package={"months": 1, "slice": "month", "renew_months": 0})
        sim.until("2026-04-01")
        assert sim.names() == ["CANCELLED"]

    def test_a_period_leaves_it(self):
        sim = Sim(cycle_start_day=15, **PACKAGE)
        sim.until("2026-06-16")
        assert sim.names() == ["EXPIRED"]


class TestPool:
    FIRST = 2 * MB

    def sim(self, on_silence="retry_and_terminate", **pool):
        return Sim(pool={"first_grant_octets": self.FIRST, "on_silence": on_silence} | pool)

    def test_the_first_grant_of_each_period(self):
        sim = self.sim()
        assert sim.policy.limit(GRANT) == self.FIRST
        sim.spend(self.FIRST)
        assert sim.names() == ["POOL_EXHAUSTED"]
        sim.until("2026-04-01")
        assert (sim.names(), sim.policy.limit(GRANT)) == ([], self.FIRST)

    def test_before_the_period_is_known_there_is_one_too(self):
        sim = Sim(cycle_known=False, pool={"first_grant_octets": self.FIRST})
        sim.boot()
        assert (sim.names(), sim.may()) == ([], True)

    def test_a_share(self):
        sim = self.sim()
        sim.spend(self.FIRST)
        sim.order({7: [MARCH, 5 * MB, 3600, 100 * MB]})
        assert (sim.names(), sim.policy.limit(GRANT)) == ([], 5 * MB)
        sim.order({7: [MARCH, 9 * MB, 3600, 0]})
        assert (sim.names(), sim.may(REPORTS)) == (["POOL_EXHAUSTED"], True), "the whole pool is used up"

    def test_an_earlier_periods_share_is_none_and_the_next_ones_is_kept_for_it(self):
        sim = self.sim()
        sim.order({7: [MARCH - 28, 5 * MB, 3600, MB]})
        assert sim.policy.limit(GRANT) == self.FIRST
        sim.until("2026-03-31", 23)
        sim.order({7: [APRIL, 5 * MB, 7200, MB]})
        sim.boot()
        sim.pass_time(hours=1)
        assert (sim.cycle_id, sim.names(), sim.policy.limit(GRANT)) == (APRIL, [], 5 * MB)

    def test_without_a_pool_there_is_no_share(self):
        sim = Sim()
        sim.order({7: [MARCH, 0, 3600, 0]})
        assert (sim.names(), sim.may(), sim.done.unheard) == ([], True, [7])

    def test_terminate(self):
        sim = self.sim("terminate")
        sim.order({7: [MARCH, 5 * MB, 90_000, MB]})
        sim.pass_time(89_999)
        assert sim.names() == []
        sim.pass_time(1)
        assert (sim.names(), sim.account.wants_report) == (["GRANT_EXPIRED"], False)
        sim.order({7: [MARCH, 6 * MB, 60, MB]})
        assert sim.names() == []

    def test_retry_and_terminate(self):
        sim = self.sim()
        sim.order({7: [MARCH, 5 * MB, 7200, MB]})
        sim.pass_time(7199)
        assert not sim.account.wants_report
        sim.pass_time(1)
        assert (sim.account.wants_report, sim.names()) == (True, [])
        sim.pass_time(599)
        assert sim.names() == []
        sim.pass_time(1)
        assert sim.names() == ["GRANT_EXPIRED"]

    def test_an_answer_in_time_ends_the_retry(self):
        sim = self.sim()
        sim.order({7: [MARCH, 5 * MB, 7200, MB]})
        sim.pass_time(7300)
        sim.order({7: [MARCH, 5 * MB, 7200, MB]})
        sim.pass_time(7100)
        assert sim.names() == []

    def test_continue(self):
        sim = self.sim("continue")
        sim.order({7: [MARCH, 5 * MB, 7200, MB]})
        sim.spend(5 * MB)
        assert sim.names() == ["POOL_EXHAUSTED"]
        sim.pass_time(7200)
        assert (sim.names(), sim.may()) == ([], True)
        sim.boot()
        sim.pass_time(days=2)
        assert (sim.names(), sim.may()) == ([], True)
        sim.order({7: [MARCH, 4 * MB, 60, MB]})
        assert sim.names() == ["POOL_EXHAUSTED"], "news counts again"

    def test_continue_does_not_refill_a_pool_that_was_said_to_be_empty(self):
        sim = self.sim("continue")
        sim.order({7: [MARCH, 5 * MB, 7200, 0]})
        sim.pass_time(days=3)
        assert sim.names() == ["POOL_EXHAUSTED"]

    def test_what_nobody_uses_is_given_back(self):
        sim = self.sim("terminate", holding_s=1000)
        for _ in range(10):
            sim.pass_time(900)
            sim.active = True
        assert sim.names() == []
        sim.pass_time(999)
        assert sim.names() == []
        sim.pass_time(1001)
        assert sim.names() == ["GRANT_EXPIRED"]
        sim.boot()
        assert sim.names() == ["GRANT_EXPIRED"], "a reset grants nothing"
        sim.order({7: [MARCH, 5 * MB, 86_400, MB]})
        assert (sim.names(), sim.may()) == ([], True)


class TestCarriersFigure:
    """`then` is the device's own lifetime count when the carrier counted."""

    def test_what_we_did_not_see_is_owed(self):
        sim = Sim()
        sim.spend(1000)
        then = sim.rated
        sim.spend(500)
        sim.order({6: [MARCH, 1100, 9500, 0, then]})
        assert (sim.done.owed, sim.used) == (100, 1600)

    def test_what_we_saw_and_it_did_not_stays(self):
        sim = Sim()
        sim.spend(1000)
        sim.order({6: [MARCH, 900, 9500, 0, sim.rated]})
        assert (sim.done.owed, sim.used) == (0, 1000)

    def test_figures_hours_late_are_not_charged_twice(self):
        """Each hour one of 6 hours ago; the carrier sees 5 % more than the device."""
        sim = Sim()
        own, seen = [], []
        billed = 0
        for hour in range(200):
            sim.spend(20_000)
            billed += 21_000
            own.append(sim.rated)
            seen.append(billed)
            if hour >= 6:
                sim.order({6: [MARCH, seen[hour - 6], 9500, 0, own[hour - 6]]})
                # behind by what the carrier added in the 6 hours that it has not told of, never ahead
                assert 0 <= billed - sim.used <= 6 * 1000, hour

    @pytest.mark.parametrize("boot", [False, True])
    def test_the_same_figure_again_charges_nothing_more(self, boot):
        sim = Sim()
        sim.spend(MB)
        then = sim.rated
        sim.order({6: [MARCH, 5 * MB, 9500, 0, then]})
        sim.spend(1000)
        if boot:
            sim.boot()
        sim.order({6: [MARCH, 5 * MB + 1, 9500, 0, then]})
        assert sim.used == 5 * MB + 1001

    @pytest.mark.parametrize("boot", [False, True])
    @pytest.mark.parametrize(
        ("audited", "figure", "used"),
        [(3 * MB, 2 * MB, 3 * MB), (12 * MB, 4 * MB, 12 * MB), (MB, 2 * MB, 2 * MB), (12 * MB, 13 * MB, 21 * MB)],
    )
    def test_an_audit_outlives_the_figures_from_before_it(self, boot, audited, figure, used):
        """What an audit added or took off was not used since the figure; one above what was known then is charged."""
        sim = Sim()
        sim.spend(2 * MB)
        then = sim.rated
        sim.spend(8 * MB)
        sim.order({8: [MARCH, audited]})
        if boot:
            sim.boot()
        sim.order({6: [MARCH, figure, 9500, 0, then]})
        assert sim.used == used

    @pytest.mark.parametrize(
        ("figure", "own", "permille"),
        [
            (1_100_000, 1_000_000, 100),
            (1_100_001, 1_000_000, 101),
            (1_000_000, 1_000_000, 0),
            (900_000, 1_000_000, 0),
            (5_000_000, 1_000_000, LEARNED_MAX),
            (500_000, 262_143, 0),
            (262_145, 262_144, 1),
        ],
    )
    def test_what_is_learned(self, figure, own, permille):
        sim = Sim()
        sim.spend(own)
        sim.order({6: [MARCH, figure, 9500, 0, sim.rated]})
        assert sim.account.standing.learned == permille
        sim.boot()
        assert sim.account.standing.learned == permille

    def test_what_was_learned_is_part_of_our_figure(self):
        sim = Sim()
        sim.spend(1_000_000)
        sim.order({6: [MARCH, 1_100_000, 9500, 0, sim.rated]})
        sim.spend(1_100_000)  # a million as the meter now rates it
        sim.order({6: [MARCH, 2_200_000, 9500, 0, sim.rated]})
        assert (sim.done.owed, sim.account.standing.learned) == (0, 100)
        sim.spend(2_200_000)
        sim.order({6: [MARCH, 4_000_000, 9500, 0, sim.rated]})
        assert sim.account.standing.learned == 0, "it comes down again: 4.0 of the 4.4 that we have"

    def test_a_late_figure_of_the_closed_period(self):
        sim = Sim()
        sim.until("2026-04-01")
        sim.spend(1000)
        sim.order({6: [MARCH, 7000, 9500, 0, sim.rated]})
        assert (sim.done.late, sim.done.owed, sim.used) == ((MARCH, 7000), 0, 1000)
        sim.order({6: [MAY, 7000, 9500, 0, sim.rated]})
        assert (sim.done.late, sim.done.owed) == (None, 0)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 150), st.integers(0, 12)), max_size=40))
    def test_never_below_what_the_carrier_told_never_far_above(self, steps):
        """Whatever the delays: no less than the newest figure, no more than the device and all that was added."""
        sim = Sim()
        own, seen, newest = [sim.rated], [0], 0
        carried = 0
        for octets, permille, late in steps:
            sim.spend(octets)
            carried += octets
            own.append(sim.rated)
            seen.append(seen[-1] + octets + octets * permille // 1000)
            at = max(newest, len(seen) - 1 - late)  # figures do not go back
            newest = at
            sim.order({6: [MARCH, seen[at], 9500, 0, own[at]]})
            assert sim.used >= seen[at]
            assert sim.used <= carried + max(0, seen[at] - (own[at] - own[0])) + sum(
                owed for _, owed in sim.account.figures.charged
            )


class TestLife:
    def sim(self, **plan):
        return Sim(lifecycle=LIFE, cycle_days=30, **plan)

    def test_a_test_period_has_its_own_octets_then_silence_then_billing(self):
        sim = self.sim()
        assert (sim.cycle_id, sim.account.plan) == (1, sim.plan.test)
        sim.spend(2 * MB)
        assert sim.names() == ["RESERVE_EXHAUSTED", "TEST_EXHAUSTED"]
        sim.boot()
        assert sim.names() == ["RESERVE_EXHAUSTED", "TEST_EXHAUSTED"]
        sim.until("2026-03-10")
        assert (sim.cycle_id, sim.names(), sim.may(REPORTS)) == (2, ["SILENT_PERIOD"], False)
        sim.boot()
        assert sim.names() == ["SILENT_PERIOD"]
        sim.until("2026-07-01")
        assert (sim.names(), sim.may(), sim.account.plan) == ([], True, sim.plan)

    def test_a_test_period_larger_than_the_plan_survives_a_reset(self):
        sim = Sim(lifecycle=LIFE | {"test_octets": 100 * MB})
        sim.spend(60 * MB)
        before = sim.admission()
        sim.boot()
        assert (sim.names(), sim.admission()) == ([], before)

    def test_charged_beyond_the_tests_octets(self):
        life = LIFE | {"on_test_exhausted": "charge"}
        sim = Sim(lifecycle=life, overage=OVERAGE)
        sim.spend(3 * MB)
        assert (sim.names(), sim.account.plan.cost_fen(sim.used)) == ([], 29)
        sim.spend(19 * MB)
        assert "COST_CAP" in sim.names()

    @pytest.mark.parametrize("ordered", [False, True])
    def test_the_first_use_begins_billing_and_only_the_first(self, ordered):
        sim = self.sim()
        sim.until("2026-04-05")
        day = number("2026-04-05")
        if ordered:
            sim.order({11: day})
            assert sim.done.activated
        else:
            sim.account.first_use(*utc(sim.now))
            sim.pass_time(0)
        assert (sim.cycle_id, sim.names(), sim.may()) == (day, [], True)
        sim.until("2026-04-20")
        for again in (number("2026-04-20"), 5):
            sim.order({11: again})
            sim.account.first_use(*utc(sim.now))
            sim.account.standing.store()
            bounds = sim.plan.cycle.bounds(day)
            sim.boot()
            sim.pass_time(0)
            assert (sim.cycle_id, sim.plan.cycle.bounds(day)) == (day, bounds)
        sim.until("2026-05-05")
        assert sim.cycle_id == day + 30

    @pytest.mark.parametrize("boot", [False, True])
    def test_a_first_use_at_an_unknown_time_begins_on_the_day_that_is_told_next(self, boot):
        sim = self.sim()
        sim.until("2026-04-05")
        guess = number("2025-01-01")
        for day in (guess, guess + 3):  # the application says so at each boot
            sim.obey(sim.account.first_use(day, 0, 1))
            assert sim.plan.cycle.billing_day == guess
            if boot:
                sim.boot()
        sim.obey(sim.account.told_time(*utc(sim.now)))
        assert sim.plan.cycle.billing_day == number("2026-04-05")
        sim.until("2026-04-20")
        sim.boot()
        sim.obey(sim.account.told_time(*utc(sim.now)))
        sim.obey(sim.account.first_use(guess, 0, 1))
        assert sim.plan.cycle.bounds(sim.cycle_id)[0] == utc(datetime(2026, 4, 5)), "only the first time that is told"

    def test_a_guess_of_the_first_use_is_told_to_have_been_after_its_latest_day(self):
        sim = self.sim()
        latest = sim.plan.cycle.billing_day
        sim.obey(sim.account.first_use(number("2025-01-01"), 0, 1))
        sim.obey(sim.account.told_time(latest + 40, 0))
        assert sim.plan.cycle.billing_day == sim.plan.cycle.cycle.first_day == latest
        sim.boot()
        assert sim.plan.cycle.billing_day == latest

    def test_using_the_silence(self):
        sim = Sim(lifecycle=LIFE | {"on_silence": "use"})
        sim.until("2026-03-11")
        assert (sim.cycle_id, sim.names(), sim.may()) == (2, [], True)

    def test_warnings_keep_their_numbers_through_the_test_period(self):
        sim = Sim(lifecycle=LIFE, warn_forecast=True, package={"months": 3, "slice": "month"})
        assert (sim.plan.test.days_bit, sim.plan.test.forecast_bit) == (sim.plan.days_bit, sim.plan.forecast_bit)


class TestPaceAndForecast:
    def test_a_days_budget_carries_over(self):
        """31 days; one day's share is there from the start."""
        sim = Sim(pace=True)
        limit = sim.plan.local_limit
        head = limit * 86400 // (31 * 86400)
        assert sim.policy.limit(PACE) == head + (limit - head) // 31
        sim.spend(sim.policy.limit(PACE))
        assert (sim.names(), sim.may(OTA), sim.may(TELEMETRY), sim.may(REPORTS)) == (["PACED"], False, True, True)
        sim.boot()
        assert (sim.names(), sim.may(OTA)) == (["PACED"], False)
        sim.pass_time(0)
        assert sim.names() == ["PACED"]
        sim.until("2026-03-02")
        assert (sim.names(), sim.policy.limit(PACE)) == ([], head + (limit - head) * 2 // 31)
        sim.until("2026-03-31")
        assert sim.policy.limit(PACE) == limit
        sim.until("2026-04-01")
        head = limit * 86400 // (30 * 86400)
        assert (sim.names(), sim.policy.limit(PACE)) == ([], head + (limit - head) // 30)

    def test_the_owners_limit_moves_it_at_once(self):
        sim = Sim(pace=True)
        before = sim.policy.limit(PACE)
        sim.order({2: 3 * MB})
        assert sim.policy.limit(PACE) < before // 9

    def test_switched_off_it_holds_nothing(self):
        sim = Sim(pace=True)
        sim.spend(20 * MB)
        assert sim.names() == ["PACED"]
        sim.boot({})
        assert sim.names() == []

    def test_a_forecast_warns_and_takes_it_back(self):
        """30 MB a month, 2 MB a day: over on the 15th day. Then nothing: the month will do."""
        sim = Sim(warn_forecast=True)
        bit = sim.plan.forecast_bit
        for _ in range(5):
            sim.pass_time(hours=12)
            sim.spend(2 * MB)
            sim.pass_time(hours=12)
        assert sim.policy.warned >> bit & 1
        ends = datetime(2026, 3, 1) + timedelta(days=sim.plan.local_limit / (2 * MB))
        assert sim.account.forecast_day == number(ends.date().isoformat())
        sim.pass_time(days=12)
        assert (sim.policy.warned >> bit & 1, sim.account.forecast_day) == (0, None)

    def test_before_the_period_is_known_there_is_nothing_to_tell(self):
        sim = Sim(cycle_known=False, warn_forecast=True, pace=True, lifecycle={"billing_from": "2026-07-01"})
        sim.cycle_id = 0
        sim.boot()
        sim.account.time(*utc(sim.now), *[type(sim.policy.next_mark)(0)] * 2, 0, False)
        assert (sim.policy.limit(PACE), sim.account.forecast_day) == (None, None)


LOADED = """
import json, sys
from usageguard.config.load import load
from usageguard.core.account.account import Account
from usageguard.core.policy import Policy
config = load(json.loads(sys.argv[1]))
Account(config.plan, Policy(config.plan, config.classes), bytearray(124))
print(*(name.rpartition(".")[2] for name in sys.modules if name.startswith("usageguard.core.")))
"""


@pytest.mark.parametrize(
    ("plan", "parts"),
    [
        ({}, {"forecast"}),
        ({"warn_forecast": False}, set()),
        ({"warn_forecast": False, "pace": True}, {"forecast"}),
        ({"warn_forecast": False, "account": {}}, {"money"}),
        ({"warn_forecast": False, "overage": OVERAGE}, {"money"}),
        ({"warn_forecast": False, "pool": {}}, {"pool"}),
        ({"warn_forecast": False, "lifecycle": LIFE}, {"life"}),
        ({"warn_forecast": False, "burst": {}} | PACKAGE, set()),
    ],
)
def test_a_part_is_loaded_where_a_plan_has_it(plan, parts):
    config = {"device": {"id": "a", "key": "00" * 32}, "modem": {"family": "quectel", "apn": "x"}}
    config["plan"] = {"allowance_octets": 30 * MB} | plan
    command = [sys.executable, "-c", LOADED, json.dumps(config)]
    done = subprocess.run(command, cwd=paths.firmware(), capture_output=True, text=True, check=True)
    assert {"money", "pool", "life", "forecast", "ordered", "figure"} & set(done.stdout.split()) == parts


@pytest.mark.parametrize("reasons", [1 << 23, 1 << 24])
def test_a_reason_of_a_newer_firmware_is_refused_but_the_standing_kept(reasons):
    sim = Sim(pool={"first_grant_octets": MB}, **PREPAID)
    sim.order({5: [MARCH, -5, 0], 2: MB})
    sim.boot()
    sim.reasons |= reasons
    sim.policy.apply(LEDGER_FAILED)
    with pytest.raises(ValueError):
        sim.boot()
    assert "ARREARS" in sim.names()
    assert sim.policy.limit(LOCAL) == MB


EVERYTHING = {
    **PREPAID,
    "package": {"months": 3, "slice": "month"},
    "pace": True,
    "warn_cost_fen": [58, 290],
    "pool": {"first_grant_octets": 20 * MB, "holding_s": 40_000},
    "burst": {},
    "throttle": {"rate_octets_s": 9000},
    "lifecycle": {"test_octets": 9 * MB, "test_until": "2026-03-05", "billing_from": "2026-03-20"},
}
PLANS = (
    {},
    PREPAID,
    PACKAGE | {"cycle_days": 7},
    {"pool": {"first_grant_octets": MB, "on_silence": "continue"}, "pace": True},
    {"on_exhaustion": "throttle", "throttle": {"rate_octets_s": 9000}, "burst": {}},
    EVERYTHING,
    EVERYTHING | {"on_exhaustion": "none"},
)


@st.composite
def orders(draw):
    drawn = st.sampled_from([key for key in KEYS if key not in (11, 12)])
    keys = draw(st.lists(drawn, min_size=1, max_size=3, unique=True))
    octets = st.one_of(st.integers(0, 60 * MB), st.just(1 << 50))
    fen = st.integers(-50, 900)
    made = {
        1: st.integers(0, 1),
        2: octets,
        3: st.integers(0, 20_000),
        4: st.integers(number("2026-03-01"), number("2026-09-01")),
        5: st.tuples(st.none(), fen, st.integers(0, 300)).map(list),
        6: st.tuples(st.none(), st.integers(0, 60 * MB), st.just(9500), st.just(0), st.none()).map(list),
        7: st.tuples(st.none(), octets, st.integers(1, 500_000), st.integers(0, 3)).map(list),
        8: st.tuples(st.none(), st.integers(0, 40 * MB)).map(list),
        9: st.just(1),
        10: st.just(1),
        13: st.tuples(st.none(), octets, st.integers(0, 1)).map(list),
        14: st.integers(0, 7),
        15: st.just(1),
        16: st.just(1),
        17: st.just(1),
    }
    return {key: draw(made[key]) for key in keys}


STEPS = st.one_of(
    orders(),
    st.integers(0, 10 * MB),
    st.sampled_from(["hour", "day", "week", "burst", "hand back"]),
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(PLANS), st.lists(STEPS, max_size=14))
def test_after_a_reset_all_is_as_it_was(plan, steps):
    """At any moment: what may be sent, by the ledger's octets alone, is what could be sent before."""
    sim = Sim(**plan)
    skipped = 0
    for step in steps:
        if isinstance(step, dict):
            for value in step.values():
                if isinstance(value, list):
                    value[0] = sim.cycle_id
                    if value[-1] is None:
                        value[-1] = sim.rated
            sim.order(step)
            skipped += bool(sim.done.unheard)
        elif isinstance(step, int):
            sim.spend(step)
        elif step == "burst":
            if sim.plan.burst:
                sim.obey(sim.account.hold(1 << OTA))
        elif step != "hand back":
            sim.pass_time(hours={"hour": 1, "day": 24, "week": 168}[step])
        sim.pass_time(0)
        before, balance, throttle = sim.admission(), sim.balance(), sim.account.throttle()
        refused = sim.account.refused
        sim.boot()
        assert before[0] == sim.policy.reasons, "before the clock is read"
        sim.pass_time(0)
        assert (sim.admission(), sim.balance(), sim.account.throttle()) == (before, balance, throttle)
        assert refused == skipped
        skipped = 0
        assert 0 <= sim.policy.next_mark.value() <= MAX


class TestSilence:
    """What a clock that proves nothing may do to a silent period."""

    LIFE = {"lifecycle": {"test_until": "2026-03-10", "test_octets": 2 * MB, "billing_from": "2026-10-01"}}

    @pytest.mark.parametrize(
        ("guess", "names"),
        [
            ("2026-03-09 23:49", []),  # told this boot: not yet
            ("2026-03-09 23:50", ["SILENT_PERIOD"]),
            ("2026-10-01 23:59", ["SILENT_PERIOD"]),
            ("2026-10-02 00:00", []),
            ("2029-10-01 00:00", []),
            ("2029-10-03 00:00", ["SILENT_PERIOD"]),
            ("2036-02-07 14:28", ["SILENT_PERIOD"]),
            ("2080-01-06 00:00", ["SILENT_PERIOD"]),
        ],
    )
    def test_a_guess(self, guess, names):
        sim = Sim(datetime(2026, 3, 9, 12), **self.LIFE)
        assert sim.account.due_s(*utc(sim.now)) == 11 * 3600 + 50 * 60, "10 minutes before the test period ends"
        day, second = utc(datetime(2026, 5, 1))
        sim.obey(sim.account.expect_silence(day, second, sim.cycle_id))
        assert sim.names() == ["SILENT_PERIOD"]
        sim.boot()
        assert sim.names() == ["SILENT_PERIOD"], "nothing has taken it back"
        sim.obey(sim.account.expect_silence(*utc(datetime.fromisoformat(guess)), sim.cycle_id, True))
        assert sim.names() == names
