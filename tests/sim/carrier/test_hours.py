"""Hours of each day that the carrier debits to a counter of their own."""

import pytest

from host_tools.sim.carrier import Bearer, Daily, Hours, Rating
from tests.sim.carrier.world import IMSI, World

HOUR = 3_600


class Counted(World):
    """A SIM of 10,000 octets a month, from 22:00 of 10 March on in China; by default 5,000 from 23:00 to 07:00."""

    def __init__(self, hours=None, rating=None, plan=None, **enforcement):
        plan = {"hours": hours or Hours(23 * 60, 7 * 60, 5_000), **(plan or {})}
        super().__init__("2025-03-10T22:00:00+08:00", 10_000, 1, rating, plan, **enforcement)
        self.activate()

    @property
    def cycle(self):
        return self.carrier._sim(IMSI).account.cycle


def test_the_allowance_counts_what_is_used_outside_the_hours_or_beyond_their_octets():
    world = Counted()
    world.use(1_000)
    world.run(HOUR - 1)
    world.use(1_000)
    world.run(1)
    world.use(4_900)
    assert (world.news().used_octets, world.cycle.hours.octets) == (2_000, 4_900)
    world.use(1_000)
    assert (world.news().used_octets, world.cycle.hours.octets, world.cycle.ip_octets) == (2_900, 5_000, 7_900)
    world.run(8 * HOUR)
    world.use(100)
    assert world.news().used_octets == 3_000


def test_a_sim_that_is_used_up_is_served_in_the_hours_until_their_octets_are():
    world = Counted()
    world.use(10_000)
    world.run(0)
    assert (world.denies(), world.carrier.stops(IMSI)) == (("exhausted",), ["exhausted"])
    world.run(HOUR)
    assert (world.denies(), world.carrier.stops(IMSI)) == ((), [])
    assert isinstance(world.activate(), Bearer)
    world.use(4_999)
    world.run(0)
    assert world.denies() == ()
    world.use(1_000)
    assert world.denies() == ("exhausted",)
    world.run(0)
    assert world.activate() == 33


@pytest.mark.parametrize("hour", [HOUR, 9 * HOUR])
def test_the_hours_end_and_begin_at_their_minutes(hour):
    world = Counted(Hours(23 * 60, 7 * 60))
    world.use(10_000)
    world.run(hour - 1)
    before = bool(world.carrier.stops(IMSI))
    world.run(1)
    assert before != bool(world.carrier.stops(IMSI)) == bool(world.denies())


def test_a_share_of_what_is_used_in_the_hours_comes_out_of_the_allowance():
    world = Counted(Hours(22 * 60, 7 * 60, 3_000, 333))
    for _ in range(10):
        world.use(100)
    assert world.news().used_octets == 333
    world.use(9_000 - 1_000)
    assert world.news().used_octets == 999 + 6_000
    world.use(10_000 - 6_999)
    world.run(0)
    assert world.carrier.stops(IMSI) == ["exhausted"], "the hours are not free"


def test_the_hours_octets_are_rated_and_begin_anew_with_each_cycle():
    world = Counted(Hours(22 * 60, 7 * 60, 3_000), Rating(per_packet_octets=50, permille=200))
    world.use(2_400)  # in two packets
    assert (world.cycle.hours.octets, world.news().used_octets) == (2_500, 0)
    world.use(50)
    assert (world.cycle.hours.octets, world.news().used_octets) == (2_500, 120)
    world.run(22 * 24 * HOUR)
    assert world.cycle.hours.octets == 0


def test_a_slowed_sim_is_fast_in_the_hours():
    world = Counted(kind="throttle", rate_octets_s=100)
    world.use(10_000)
    world.run(HOUR - 1)
    assert world.news().slowed_to_octets_per_s == 100
    world.run(1)
    assert world.news().slowed_to_octets_per_s is None
    world.run(8 * HOUR)
    assert world.news().slowed_to_octets_per_s == 100


def test_a_new_cycle_within_the_hours_has_octets_of_its_own():
    world = Counted()
    world.run(20 * 24 * HOUR + 90 * 60)  # 23:30 of the 30th
    world.use(3_000)
    world.run(24 * HOUR)
    world.use(1_000)
    world.run(HOUR)  # 0:30 of the 1st
    world.use(4_000)
    assert (world.cycle.hours.octets, world.news().used_octets) == (4_000, 0)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((60, 60), "begin and end at different minutes"),
        ((1440, 60), "begin and end at different minutes"),
        ((60, 120, 0), "allowance_octets 0 of the hours is not 1 or more"),
        ((60, 120, 1, 1000), "charged_permille 1000 is not 0 to 999"),
    ],
)
def test_hours_that_cannot_be(given, problem):
    with pytest.raises(ValueError, match=problem):
        Hours(*given)


def test_what_does_not_go_with_hours():
    with pytest.raises(ValueError, match="do not go with a pool, a lifecycle or daily counters"):
        Counted(plan={"daily": Daily(1)})
    with pytest.raises(ValueError, match="sessions that are rounded up"):
        Counted(rating=Rating(session_round_octets=1024))
