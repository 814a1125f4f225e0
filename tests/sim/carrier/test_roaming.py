"""What a SIM may use while it roams, beside its allowance."""

import pytest

from host_tools.sim.carrier import Bearer, Rating
from tests.sim.carrier.world import IMSI, World

DAY = 86_400


class Roaming(World):
    """A SIM of 10,000 octets a month, and 2,000 while it roams."""

    def __init__(self, octets=2_000, rating=None, **enforcement):
        super().__init__("2025-03-10T22:00:00+08:00", 10_000, 1, rating, {"roaming_octets": octets}, **enforcement)
        self.activate()

    @property
    def counter(self):
        return self.carrier._sim(IMSI).account.cycle.roaming

    def roam(self, away):
        self.carrier.roam(IMSI, away)
        self.run(0)


def test_each_counts_what_is_used_where_it_applies():
    world = Roaming()
    world.use(1_000)
    world.roam(True)
    world.use(1_500)
    world.roam(False)
    world.use(100)
    assert (world.news().used_octets, world.counter.octets) == (1_100, 1_500)


def test_data_is_denied_abroad_from_the_last_octet_on_and_flows_at_home():
    world = Roaming()
    world.roam(True)
    world.use(1_999)
    assert world.denies() == ()
    world.use(28)
    assert world.denies() == ("roamed",)
    world.run(0)
    assert (world.carrier.stops(IMSI), world.activate()) == (["roamed"], 33)
    assert world.news().used_octets == 0
    world.roam(False)
    assert (world.denies(), world.carrier.stops(IMSI)) == ((), [])
    assert isinstance(world.activate(), Bearer)


def test_with_nothing_for_roaming_no_session_is_given():
    world = Roaming(0)
    world.roam(True)
    assert (world.denies(), world.activate()) == (("roamed",), 33)
    world.run(30 * DAY)
    assert world.activate() == 33, "a new cycle has nothing either"


def test_a_new_cycle_has_octets_again():
    world = Roaming()
    world.roam(True)
    world.use(2_000)
    world.run(0)
    assert world.carrier.stops(IMSI) == ["roamed"]
    world.run(30 * DAY)
    assert (world.carrier.stops(IMSI), world.counter.octets) == ([], 0)


def test_what_passes_beyond_because_the_stop_is_late_is_not_the_allowances():
    world = Roaming(rating=Rating(lag_s=600))
    world.roam(True)
    world.use(2_900)
    assert (world.denies(), world.carrier.stops(IMSI)) == (("roamed",), [])
    world.run(600)
    assert world.carrier.stops(IMSI) == ["roamed"]
    assert (world.news().used_octets, world.counter.octets) == (0, 2_900)


def test_a_sim_that_is_used_up_at_home_is_served_abroad():
    world = Roaming()
    world.use(10_000)
    world.run(0)
    assert world.carrier.stops(IMSI) == ["exhausted"]
    world.roam(True)
    assert (world.denies(), world.carrier.stops(IMSI)) == ((), [])
    world.roam(False)
    assert world.carrier.stops(IMSI) == ["exhausted"]


def test_without_such_a_counter_the_allowance_counts_it_all():
    world = World("2025-03-10T22:00:00+08:00", 10_000, 1)
    world.carrier.roam(IMSI, True)
    world.activate()
    world.use(1_000)
    assert world.news().used_octets == 1_000


def test_what_does_not_go_with_it():
    with pytest.raises(ValueError, match="roaming_octets -1 is negative"):
        Roaming(-1)
    with pytest.raises(ValueError, match="sessions that are rounded up"):
        Roaming(rating=Rating(session_round_octets=1024))
