"""A device that is given other plans grants nothing twice: what it counts is never less than what was used since the
present period of the plan in force began, by the standard library's calendar."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.clock import DELAY

from host_tools.sim.clock import Clock, S
from tests.policy.device import TELEMETRY, Device
from tests.policy.plans import MARGIN, RESERVE

ALLOWANCE = 50_000
LIMIT = ALLOWANCE - MARGIN - RESERVE
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAY = 86_400
PLANS = (
    {},
    {"cycle_start_day": 10},
    {"cycle_start_day": 20},
    {"cycle_start_day": 31},
    {"cycle_days": 7, "activated": "2026-01-05"},
    {"cycle_days": 30, "activated": "2026-03-01"},
    {"package": {"months": 12, "slice": "whole"}, "activated": "2026-02-05"},
    {"utc_offset_min": 0},
)


def start_of(plan, instant):
    """When the period of this instant began."""
    zone = timezone(timedelta(minutes=plan.get("utc_offset_min", 480)))
    today = instant.astimezone(zone).date()
    if "activated" in plan:
        begun = date.fromisoformat(plan["activated"])
        if "package" in plan:
            while (after := month_after(begun, 12)) <= today:
                begun = after
        else:
            begun += max(0, (today - begun).days // plan["cycle_days"]) * timedelta(days=plan["cycle_days"])
    else:
        begun = of_month(today.year, today.month, plan.get("cycle_start_day", 1))
        if begun > today:
            last = today.replace(day=1) - timedelta(days=1)
            begun = of_month(last.year, last.month, plan["cycle_start_day"])
    return datetime.combine(begun, datetime.min.time(), zone)


def of_month(year, month, day):
    following = date(year + month // 12, month % 12 + 1, 1)
    return min(date(year, month, 1) + timedelta(days=day - 1), following - timedelta(days=1))


def month_after(day, months):
    month = day.month - 1 + months
    return day.replace(year=day.year + month // 12, month=month % 12 + 1)


class Life:
    """One device; `plan` is the one in force."""

    def __init__(self, start, plan=0):
        self.clock = Clock(start)
        self.spent = []  # (instant, octets)
        self.stored = None
        self.trusts = True
        self.deploy(plan)

    def utc(self):
        since = self.clock.utc() - EPOCH
        return since.days, since.seconds

    def deploy(self, number):
        if self.stored:
            self.device.close()
            self.stored = self.device.ledger.stored
        self.plan = PLANS[number]
        raw = {"allowance_octets": ALLOWANCE, "margin_octets": MARGIN, "reserve_octets": RESERVE} | self.plan
        self.device = Device(self.clock, raw, self.utc, self.stored)
        self.stored = True
        if self.trusts:
            self.device.trust()
        self.device.step()

    def run(self, seconds):
        until = self.clock.now_us + seconds * S
        while self.clock.now_us < until:
            due = self.clock.now_us + self.device.step() * 1_000
            self.clock.run_until(min(max(due, self.clock.now_us + S), until))
        self.device.step()

    def spend(self, octets):
        while octets > 0 and self.device.take(TELEMETRY, min(octets, 500)):
            self.spent.append((self.clock.utc(), min(octets, 500)))
            octets -= 500
            self.device.step()

    @property
    def used(self):
        return self.device.admission.used.value()

    def since(self, start):
        return sum(octets for at, octets in self.spent if at >= start)

    def check(self):
        start = start_of(self.plan, self.clock.utc() - timedelta(seconds=DELAY))
        assert self.used >= self.since(start), f"granted again what was used since {start}"


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), st.integers(1, ALLOWANCE)),
        st.tuples(st.just("run"), st.integers(1, 40 * DAY)),
        st.tuples(st.just("run"), st.integers(1, 3 * DAY)),
        st.tuples(st.just("deploy"), st.integers(0, len(PLANS) - 1)),
    ),
    max_size=14,
)
STARTS = st.datetimes(datetime(2026, 3, 2), datetime(2026, 6, 30), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)


@given(STARTS, st.integers(0, len(PLANS) - 1), EVENTS)
@settings(derandomize=True, deadline=None, max_examples=120)
def test_no_plan_grants_what_another_has_granted(start, plan, events):
    life = Life(start, plan)
    for kind, value in events:
        getattr(life, kind)(value)
        life.check()


@given(STARTS, st.permutations(range(len(PLANS))), st.integers(0, 20 * DAY))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_deploying_alone_grants_nothing(start, plans, later):
    """Whichever of the plans is the carrier's."""
    life = Life(start, plans[0])
    life.run(later)
    life.spend(2 * ALLOWANCE)
    used = life.used
    assert used > LIMIT - 500
    life.deploy(plans[1])
    assert life.used >= used


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_corrected_billing_day_forgets_nothing_and_the_next_period_is_new(after):
    life = Life(datetime(2026, 3, 5, tzinfo=UTC))
    life.spend(20_000)
    life.run(10 * DAY)
    life.spend(20_000)
    life.deploy(after)
    assert life.used == 40_000, "since the earlier of the two starts, or since the life's"
    life.spend(ALLOWANCE)
    assert life.device.policy.names() == ["QUOTA_EXHAUSTED"]
    life.run(31 * DAY)
    assert life.used == 0
    assert life.device.policy.names() == []


def test_a_plan_that_is_put_right_again_counts_as_if_nothing_had_been():
    life = Life(datetime(2026, 2, 20, tzinfo=UTC))
    life.spend(30_000)
    life.run(15 * DAY)
    life.spend(7_000)
    life.deploy(2)
    assert life.used == 37_000, "since February the 20th"
    life.deploy(0)
    assert life.used == 7_000, "since March the 1st"


def test_a_plan_of_the_same_periods_changes_nothing():
    life = Life(datetime(2026, 3, 5, tzinfo=UTC))
    life.spend(7_000)
    for _ in range(2):
        life.deploy(0)
        life.run(DAY)
    assert life.used == 7_000
    life.run(31 * DAY)
    assert life.used == 0


def test_a_longer_period_than_the_ledger_remembers_counts_the_whole_life():
    life = Life(datetime(2026, 2, 10, tzinfo=UTC))
    for _ in range(3):
        life.spend(9_000)
        life.run(28 * DAY)
    assert life.used == 0
    life.deploy(6)
    assert life.used == 27_000
    assert life.device.admission.error_bound_octets() >= 27_000


def test_a_change_before_the_time_is_known():
    life = Life(datetime(2026, 3, 5, tzinfo=UTC))
    life.run(DAY)
    life.spend(9_000)
    life.trusts = False
    for plan in (1, 4, 2, 0):
        life.deploy(plan)
        assert life.used >= 9_000
        life.check()
