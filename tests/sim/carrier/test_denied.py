"""What passes although the policy denies it, because the platform knows too late."""

from host_tools.sim.carrier import Rating
from tests.sim.carrier.world import IMSI, World


def test_what_passes_beyond_the_plan_until_the_platform_knows():
    world = World(allowance=3_000, rating=Rating(lag_s=60))
    world.activate()
    for octets in (1_000, 1_500, 700):  # the last one crosses the limit and was admitted within it
        world.up(octets)
    assert world.carrier.denied_octets(IMSI) == 0
    world.up(400)
    world.down(300)
    assert world.carrier.denied_octets(IMSI) == 700
    world.run(61)
    assert world.carrier.stops(IMSI) == ["exhausted"]
    world.up(500)  # over a bearer that is gone
    assert world.carrier.denied_octets(IMSI) == 700
    world.run_to("2025-04-01T00:00:01+08:00")
    world.activate()
    world.up(1_500)
    world.up(1_499)
    world.up(100)
    assert world.carrier.denied_octets(IMSI) == 700
    world.up(100)
    assert world.carrier.denied_octets(IMSI) == 800, "of all cycles together"


def test_where_nothing_is_denied_there_is_nothing_to_count():
    world = World(allowance=3_000, kind="none")
    world.activate()
    for _ in range(9):
        world.up(1_000)
    assert world.carrier.denied_octets(IMSI) == 0
