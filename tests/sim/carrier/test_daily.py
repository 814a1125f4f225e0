"""The carrier's counters of a day, beside that of the cycle."""

from datetime import date

import pytest

from host_tools.sim.carrier import Bearer, Daily, Lifecycle, Rating
from tests.sim.carrier.world import IMSI, World

HOUR = 3_600


class Counted(World):
    """A SIM of 100,000 octets a month, from 22:00 of 10 March on in China; by default 5,000 of a day."""

    def __init__(self, cap=5_000, slow=0, rating=None, plan=None, **enforcement):
        plan = {"daily": Daily(cap, slow), **(plan or {})}
        super().__init__("2025-03-10T22:00:00+08:00", 100_000, 1, rating, plan, **enforcement)
        self.activate()

    def day(self):
        return self.carrier._sim(IMSI).day_octets


def test_a_day_that_is_used_up_stops_the_sim_until_midnight():
    world = Counted()
    world.use(4_999)
    world.run(0)
    assert (world.denies(), world.carrier.stops(IMSI)) == ((), [])
    world.use(28)
    assert world.denies() == ("day_capped",)
    world.run(0)
    assert (world.carrier.stops(IMSI), world.bearer.active) == (["day_capped"], False)
    world.run(2 * HOUR - 1)
    assert world.activate() == 33
    world.run(1)
    assert (world.carrier.stops(IMSI), world.day(), world.news().used_octets) == ([], 0, 5_027)
    assert isinstance(world.activate(), Bearer)
    world.use(1_000)
    assert (world.day(), world.denies()) == (1_000, ())


def test_the_months_quota_counts_all_days():
    world = Counted()
    for _ in range(20):
        assert isinstance(world.activate(), Bearer)
        world.use(4_990)
        world.run(24 * HOUR)
    assert world.carrier.stops(IMSI) == []
    world.activate()
    world.use(200)
    world.run(0)
    assert world.carrier.stops(IMSI) == ["exhausted"]
    assert world.day() == 200


def test_what_the_platform_sees_a_day_late_stops_nothing():
    world = Counted(rating=Rating(lag_s=HOUR))
    world.run(HOUR + 1)
    world.use(6_000)  # at 23:00:01: seen at 00:00:01
    assert world.denies() == ("day_capped",)
    world.run(2 * HOUR)
    assert (world.carrier.stops(IMSI), world.denies()) == ([], ())
    world.use(5_000)
    world.run(HOUR - 1)
    assert world.carrier.stops(IMSI) == []
    world.run(1)
    assert world.carrier.stops(IMSI) == ["day_capped"]


def test_beyond_what_is_fast_the_day_is_slow():
    world = Counted(cap=0, slow=2_000, rate_octets_s=500)
    world.use(2_000)
    world.run(0)
    assert (world.news().slowed_to_octets_per_s, world.denies()) == (500, ())
    world.run(2 * HOUR)
    assert world.news().slowed_to_octets_per_s is None


def test_a_session_that_goes_on_over_midnight_is_counted_in_each_day_as_it_is_billed():
    world = Counted(rating=Rating(session_round_octets=1_024))
    world.use(1_000)
    assert world.day() == 1_024
    world.run(2 * HOUR)
    world.use(20 + 28)
    assert world.day() == 1_024  # a block more
    world.use(900)
    assert world.day() == 1_024


def test_a_billing_period_that_begins_in_the_middle_of_a_day_begins_its_count():
    silent = {"lifecycle": Lifecycle(billing_from=date(2025, 6, 1))}
    world = Counted(plan=silent)
    world.use(4_000)
    assert (world.news().phase, world.day()) == ("billing", 4_000)


@pytest.mark.parametrize(("cap", "slow"), [(0, 0), (-1, 5), (5, -1)])
def test_a_day_without_a_limit_is_refused(cap, slow):
    with pytest.raises(ValueError, match="cap_octets or slow_octets"):
        Daily(cap, slow)


def test_a_pools_sim_has_none():
    with pytest.raises(ValueError, match="no daily counters"):
        World(pool=(5_000,), plan={"daily": Daily(1)})
