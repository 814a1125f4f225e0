"""A pool of SIMs: shared allowance, caps, top-ups, and members that are only declared."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.carrier import Enforcement, Lifecycle, Rating, SimPlan, Tier, VirtualMembers
from host_tools.sim.network.packet import udp
from tests.sim.carrier.world import HOST, IMSI, OTHER, World

HOUR = 3600


class PoolWorld(World):
    """The world's SIM without a cap, and another one in the same pool."""

    def __init__(self, *pool, cap=0, lag_s=0, other_plan=None, **more):
        super().__init__(allowance=cap, pool=pool, rating=Rating(lag_s=lag_s), **more)
        self.carrier.add_sim(OTHER, other_plan or SimPlan(0, pool="p"))
        self.other = None

    def use_other(self, octets):
        if self.other is None or not self.other.active:
            self.other = self.carrier.activate(OTHER, print, lambda: None)
        self.other.send(udp((self.other.ip, 9), HOST, bytes(octets - 28)))


def test_members_share_and_all_stop_until_the_next_cycle():
    world = PoolWorld(10_000, lag_s=60)
    world.use(5_000)
    for _ in range(5):
        world.use_other(1_000)
    assert world.denies() == world.carrier.denies(OTHER) == ("pool_exhausted",)
    assert world.news().pool_remaining == 10_000, "not seen yet"
    world.run(60)
    assert world.carrier.stops(IMSI) == world.carrier.stops(OTHER) == ["pool_exhausted"]
    assert (world.news().pool_remaining, world.news().pool_members) == (0, 2)
    assert (world.news().card_status, world.news().stop_reason) == ("00", "000000000000")
    assert (world.deactivations, world.other.active) == (1, False)
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.denies() == world.carrier.denies(OTHER) == ()
    assert world.news().pool_remaining == 10_000
    assert world.told("pool-exhausted") == [("pool-exhausted", "pool_exhausted", "2025-03-10 00:01:00")]


def test_top_up_resumes_and_is_of_one_cycle():
    world = PoolWorld(10_000)
    world.use(10_000)
    world.run(0)
    world.carrier.stop(OTHER)
    world.carrier.top_up_pool("p", 500)
    assert (world.denies(), world.carrier.denies(OTHER)) == ((), ("manual",))
    assert world.news().pool_remaining == 500
    world.use(500)
    world.run(0)
    assert world.denies() == ("pool_exhausted",)
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.news().pool_remaining == 10_000


def test_top_up_that_unseen_usage_has_eaten_stops_again():
    world = PoolWorld(10_000, lag_s=600)
    world.use(10_000)
    world.run(300)
    world.use(1_000)
    world.run(300)
    assert world.news().stops == ("pool_exhausted",)
    world.carrier.top_up_pool("p", 900)
    assert (world.news().stops, world.denies()) == ((), ("pool_exhausted",))
    world.run(600)
    assert world.news().stops == ("pool_exhausted",)
    world.carrier.top_up_pool("p", 100)
    assert world.news().stops == ("pool_exhausted",), "exactly used up is used up"


def test_cap_stops_its_sim_alone():
    world = PoolWorld(10_000, cap=2_000)
    world.use(2_000)
    world.run(0)
    assert (world.denies(), world.carrier.denies(OTHER)) == (("capped",), ())
    assert (world.news().sim_cap, world.news().pool_remaining) == (2_000, 8_000)
    world.use_other(1_000)
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.denies() == ()


def test_new_cap_holds_at_once_unless_it_is_exceeded():
    world = PoolWorld(10_000, cap=2_000)
    world.use(2_000)
    world.run(0)
    world.carrier.set_cap(IMSI, 1_500)
    assert world.news().sim_cap == 2_000, "exceeded: from April"
    world.carrier.set_cap(IMSI, 3_000)
    assert (world.news().sim_cap, world.denies()) == (3_000, ())
    world.carrier.set_cap(IMSI, 2_500)
    world.use(500)
    world.run(0)
    assert world.denies() == ("capped",)
    world.carrier.set_cap(IMSI, 0)
    assert (world.news().sim_cap, world.denies()) == (None, ())
    world.carrier.set_cap(IMSI, 100)
    assert world.news().sim_cap is None
    world.use(100)
    world.run(0)
    assert world.denies() == ()
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.news().sim_cap == 100
    world.use(100)
    world.run(0)
    assert world.denies() == ("capped",)


def test_lower_cap_that_only_unseen_usage_exceeds_holds_at_once():
    world = PoolWorld(10_000, cap=5_000, lag_s=60)
    world.use(2_000)
    world.carrier.set_cap(IMSI, 1_000)
    assert (world.news().sim_cap, world.denies(), world.news().stops) == (1_000, ("capped",), ())
    world.run(60)
    assert world.news().stops == ("capped",)


def test_virtual_members_use_their_octets_hour_by_hour():
    late = VirtualMembers(50, count=2, start_s=2 * HOUR, until_s=4 * HOUR)
    world = PoolWorld(1_000, VirtualMembers(100), late)
    assert world.news().pool_members == 5
    left = []
    for _ in range(6):
        world.run(HOUR)
        left.append(world.news().pool_remaining)
    assert left == [900, 800, 600, 400, 300, 200]
    world.run(2 * HOUR)
    assert world.news().stops == ("pool_exhausted",)
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.denies() == ()
    assert world.news().pool_remaining == 1_000, "the hour before midnight is March's"


def test_a_sim_in_its_test_period_has_data_of_its_own():
    life = Lifecycle(5_000, date(2025, 3, 20), billing_from=date(2025, 3, 20))
    world = PoolWorld(1_000, other_plan=SimPlan(0, pool="p", lifecycle=life))
    world.use(1_000)
    world.use_other(1_000)
    world.run(0)
    assert (world.denies(), world.carrier.denies(OTHER)) == (("pool_exhausted",), ())
    world.run_to("2025-03-20T00:00:00+08:00")
    assert world.carrier.stops(OTHER) == ["pool_exhausted"], "now it lives on the pool"
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.carrier.cycles(OTHER) == ["test", "2025-03-01", "2025-04-01"]
    assert world.carrier.denies(OTHER) == ()


def test_enforcement_none_stops_no_pool():
    world = PoolWorld(1_000, cap=500, kind="none")
    world.use(2_000)
    world.run(0)
    assert world.denies() == ()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(28, 1500), st.integers(0, 50_000)), max_size=60),
    st.integers(1, 30_000),
)
def test_remaining_is_the_allowance_less_what_both_used(steps, allowance):
    world = PoolWorld(allowance)
    used = {}
    for mine, octets, wait in steps:
        if not world.denies():
            (world.use if mine else world.use_other)(octets)
            month = world.today.replace(day=1)
            used[month] = used.get(month, 0) + octets
        world.run(wait)
        now = used.get(world.today.replace(day=1), 0)
        assert world.news().pool_remaining == max(allowance - now, 0)
        assert (world.news().stops == ("pool_exhausted",)) == (now >= allowance)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: World(pool=(0,)), "a pool's allowance_octets 0"),
        (lambda: World().carrier.add_sim(OTHER, SimPlan(1, pool="q")), "pool q is unknown; there are none"),
        (lambda: World(pool=(1,), kind="overage", tiers=(Tier(0, 1, 1),)), "no 'overage' there"),
        (lambda: PoolWorld(1, other_plan=SimPlan(0, 27, pool="p")), "billing cycles differ from those of pool p"),
        (lambda: World().carrier.set_cap(IMSI, 1), "is in no pool"),
        (lambda: World().carrier.top_up_pool("p", 1), "pool p is unknown"),
        (lambda: World(pool=(1,)).carrier.top_up_pool("p", 0), "octets 0 is not 1 or more"),
        (lambda: VirtualMembers(-1), "nothing negative"),
        (lambda: Enforcement("throttle"), "a throttle has 1 or more"),
    ],
)
def test_mistakes_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()
