"""Cycles of each kind, held against a walk over the calendar day by day."""

from calendar import monthrange
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.carrier import Package, SimPlan
from host_tools.sim.carrier.cycles import CalendarMonths, RollingDays, RollingMonths, add_months
from tests.sim.carrier.world import IMSI, World

DAYS = st.dates(date(2020, 1, 1), date(2040, 12, 31))


def is_start(day, of):
    """Whether a month's cycle begins here: on its day, or on the last one of a month that has no such day."""
    return day.day == min(of, monthrange(day.year, day.month)[1])


@settings(derandomize=True, deadline=None)
@given(DAYS, st.integers(1, 31))
def test_calendar_months(day, start_day):
    cycles = CalendarMonths(start_day)
    back = day
    while not is_start(back, start_day):
        back -= timedelta(days=1)
    ahead = back + timedelta(days=1)
    while not is_start(ahead, start_day):
        ahead += timedelta(days=1)
    assert (cycles.first_day(day), cycles.after(back)) == (back, ahead)


@settings(derandomize=True, deadline=None)
@given(DAYS, st.integers(1, 400), st.integers(0, 1500))
def test_rolling_days(activated, length, later):
    cycles, day = RollingDays(length, activated), activated + timedelta(days=later)
    first = activated
    while (day - first).days >= length:
        first += timedelta(days=length)
    assert (cycles.first_day(day), cycles.after(first) - first) == (first, timedelta(days=length))


@settings(derandomize=True, deadline=None)
@given(DAYS, st.sampled_from([1, 2, 3, 6, 12]), st.integers(0, 1500))
def test_rolling_months(activated, length, later):
    cycles, day = RollingMonths(length, activated), activated + timedelta(days=later)
    starts, walk, months = [activated], activated, 0
    while walk <= day + timedelta(days=400):
        walk += timedelta(days=1)
        if is_start(walk, activated.day):
            months += 1
            if months % length == 0:
                starts.append(walk)
    held = max(start for start in starts if start <= day)
    assert (cycles.first_day(day), cycles.after(held)) == (held, starts[starts.index(held) + 1])


@pytest.mark.parametrize(
    ("day", "months", "then"),
    [
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 11, 30), 3, date(2024, 2, 29)),
        (date(2025, 12, 31), 0, date(2025, 12, 31)),
        (date(2025, 12, 1), 13, date(2027, 1, 1)),
    ],
)
def test_months_are_clamped(day, months, then):
    assert add_months(day, months) == then


@pytest.mark.parametrize(
    ("offset_min", "before", "at"),
    [
        (480, "2025-03-31T15:59:59.999999+00:00", "2025-03-31T16:00:00+00:00"),
        (0, "2025-03-31T23:59:59.999999+00:00", "2025-04-01T00:00:00+00:00"),
        (-570, "2025-04-01T09:29:59.999999+00:00", "2025-04-01T09:30:00+00:00"),
        (345, "2025-03-31T18:14:59.999999+00:00", "2025-03-31T18:15:00+00:00"),
    ],
)
def test_midnight_is_that_of_the_zone(offset_min, before, at):
    world = World(plan={"utc_offset_min": offset_min})
    world.use(10_000)
    world.run_to(before)
    assert world.denies() == ("exhausted",)
    world.run_to(at)
    assert world.denies() == ()
    assert world.carrier.cycles(IMSI) == ["2025-03-01", "2025-04-01"]


def test_rolling_cycle_restores_after_its_days():
    world = World("2025-03-10T00:00:00+08:00", plan={"cycle_days": 30, "activated": date(2025, 1, 31)})
    assert world.news().cycle_label == "2025-03-02"
    world.use(10_000)
    world.run_to("2025-03-31T23:59:59+08:00")
    assert world.denies() == ("exhausted",)
    world.run(1)
    assert world.denies() == ()
    assert world.news().cycle_label == "2025-04-01"


def test_an_endless_cycle_gets_more_only_where_more_is_bought():
    world = World(allowance=5_000, plan={"endless": True, "activated": date(2020, 2, 29)})
    world.use(5_000)
    world.run(400 * 86_400)
    assert (world.news().cycle_label, world.carrier.stops(IMSI)) == ("2020-02-29", ["exhausted"])
    world.carrier.stop(IMSI)
    world.carrier.top_up(IMSI, 2_000)
    assert world.carrier.stops(IMSI) == ["manual"]
    world.carrier.resume(IMSI)
    world.use(1_999)
    assert world.denies() == ()
    world.use(28)
    world.run(0)
    assert world.carrier.stops(IMSI) == ["exhausted"]
    world.carrier.top_up(IMSI, 10)
    assert world.carrier.stops(IMSI) == ["exhausted"], "which is less than was used"


def test_a_top_up_ends_the_throttling_of_its_cycle_alone():
    world = World(allowance=1_000, kind="throttle", rate_octets_s=100)
    world.use(1_000)
    world.run(0)
    assert world.news().slowed_to_octets_per_s == 100
    world.carrier.top_up(IMSI, 500)
    assert world.news().slowed_to_octets_per_s is None
    world.run(31 * 86_400)
    world.use(1_000)
    world.run(0)
    assert world.news().slowed_to_octets_per_s == 100


@pytest.mark.parametrize("more", [{"cycle_days": 3}, {"package": Package(3)}])
def test_an_endless_plan_has_no_other_cycle(more):
    with pytest.raises(ValueError, match="excludes"):
        SimPlan(1, endless=True, activated=date(2025, 3, 1), **more)


def test_no_zone_lies_beyond_the_earths():
    with pytest.raises(ValueError, match="utc_offset_min 841"):
        World(plan={"utc_offset_min": 841})
