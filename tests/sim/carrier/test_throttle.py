"""How the carrier slows a bearer, and what slows it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.carrier import Enforcement, Rating
from host_tools.sim.carrier.shaper import Shaper
from host_tools.sim.clock import Clock, S
from host_tools.sim.network.packet import udp
from tests.sim.carrier.world import HOST, IMSI, World


def test_data_is_slow_from_a_threshold_on_and_stops_when_it_is_used_up():
    world = World(allowance=5_000, plan={"slow_from_octets": 3_000}, rate_octets_s=100_000, rating=Rating(lag_s=60))
    world.use(2_999)
    world.run(60)
    assert world.news().slowed_to_octets_per_s is None
    world.use(28)
    world.run(59)
    assert world.news().slowed_to_octets_per_s is None, "the platform sees it late"
    world.run(1)
    assert (world.news().slowed_to_octets_per_s, world.carrier.stops(IMSI)) == (100_000, [])
    world.carrier.top_up(IMSI, 1_000)
    assert world.news().slowed_to_octets_per_s is None
    world.use(2_972)
    world.run(61)
    assert world.news().slowed_to_octets_per_s == 100_000
    assert world.carrier.stops(IMSI) == []
    world.use(28)
    world.run(61)
    assert world.carrier.stops(IMSI) == ["exhausted"]
    world.run(31 * 86_400)
    assert (world.news().slowed_to_octets_per_s, world.carrier.stops(IMSI)) == (None, [])


def packet(length):
    return udp(("10.0.0.1", 9), HOST, bytes(length - 28))


class Line:
    """A shaper, and when what came out of it."""

    def __init__(self, rate, burst=3_000, queue=10_000):
        self.clock = Clock(World().clock.start)
        self.out = []
        self.shaper = Shaper(self.clock, self.passed, burst, queue)
        self.shaper.set_rate(rate)

    def passed(self, packet):
        self.out.append((self.clock.now_us, packet.length))

    def run_to_s(self, seconds):
        self.clock.run_until(round(seconds * S))


def test_bucket_lets_its_burst_pass_and_then_the_rate():
    line = Line(1_000)
    for _ in range(5):
        line.shaper.offer(packet(1_000))
    line.run_to_s(10)
    assert line.out == [(0, 1000), (0, 1000), (0, 1000), (1 * S, 1000), (2 * S, 1000)]
    for _ in range(4):
        line.shaper.offer(packet(1_500))
    line.run_to_s(20)
    assert line.out[5:] == [(10 * S, 1500), (10 * S, 1500), (11_500_000, 1500), (13 * S, 1500)]


def test_queue_drops_what_it_cannot_hold():
    line = Line(1_000, burst=1_500, queue=2_000)
    for _ in range(5):
        line.shaper.offer(packet(1_000))
    assert line.shaper.dropped == 2, "one passed, two wait"
    line.run_to_s(10)
    assert line.out == [(0, 1000), (500_000, 1000), (1_500_000, 1000)]
    line.shaper.offer(packet(1_000))
    assert line.shaper.dropped == 2


def test_a_new_rate_holds_for_what_waits_and_lifting_it_lets_it_go_in_order():
    line = Line(100, burst=1_500)
    for length in (1_500, 1_000, 1_200, 40):
        line.shaper.offer(packet(length))
    line.run_to_s(2)
    line.shaper.set_rate(400)  # 200 octets were saved up; 800 more take two seconds
    line.run_to_s(5)
    assert line.out == [(0, 1500), (4 * S, 1000)]
    line.shaper.set_rate(None)
    assert line.out[2:] == [(5 * S, 1200), (5 * S, 40)]
    line.shaper.offer(packet(1_500))
    line.run_to_s(60)
    assert line.out[4:] == [(5 * S, 1500)]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(28, 1500)), min_size=1, max_size=60),
    rate=st.integers(1, 5_000),
    burst=st.integers(1_500, 6_000),
    queue=st.integers(1_500, 9_000),
)
def test_no_span_of_time_carries_more_than_burst_and_rate_and_none_waits_without_need(steps, rate, burst, queue):
    line = Line(rate, burst, queue)
    taken, offered = [], 0
    for wait, length in steps:
        line.clock.run_until(line.clock.now_us + wait)
        dropped = line.shaper.dropped
        waiting = offered - sum(length for _, length in line.out)
        line.shaper.offer(packet(length))
        assert (line.shaper.dropped > dropped) == (waiting + length > queue)
        if line.shaper.dropped == dropped:
            taken.append((line.clock.now_us, length))
            offered += length
    line.clock.run_until(line.clock.now_us + offered * S // rate + S)
    assert [length for _, length in line.out] == [length for _, length in taken]
    for i, (begin, _) in enumerate(line.out):
        total = 0
        for end, length in line.out[i:]:
            total += length
            assert total * S <= burst * S + (end - begin) * rate
    # A packet leaves when it comes, or at the first microsecond at which the bucket holds it: one earlier it did not,
    # whichever of the packets before it one counts from.
    level, then, free = burst * S, 0, 0
    for (came, length), (left, _) in zip(taken, line.out, strict=True):
        ready = max(came, free)
        level = min(burst * S, level + (ready - then) * rate)
        wait = max(0, -(-(length * S - level) // rate))
        assert left == ready + wait
        level, then, free = min(burst * S, level + wait * rate) - length * S, left, left


def test_exhaustion_slows_both_ways_until_the_next_cycle():
    world = World(kind="throttle", rate_octets_s=1_000, burst_octets=1_500)
    world.use(10_000)
    world.run(0)
    assert world.denies() == ()
    assert (world.news().slowed_to_octets_per_s, world.news().throttle_octets_per_s) == (1_000, None)
    assert world.deactivations == 0
    world.run(60)
    for _ in range(2):
        world.up(1_500)
        world.down(1_500)
    world.run(1)
    assert world.figures()["ip_octets"] == 13_000, "the second of each has not passed"
    world.run(1)
    assert world.figures()["ip_octets"] == 16_000
    assert len(world.got) == 2
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.news().slowed_to_octets_per_s is None
    assert world.told() == [
        ("throttled", "exhausted", "2025-03-10 00:00:00"),
        ("unthrottled", "exhausted", "2025-04-01 00:00:00"),
    ]


def test_by_hand_it_outlives_the_cycle_and_the_slower_holds():
    world = World(kind="throttle", rate_octets_s=1_000)
    world.carrier.throttle(IMSI, 4_000)
    world.use(10_000)
    world.run(60)
    assert (world.news().slowed_to_octets_per_s, world.news().throttle_octets_per_s) == (1_000, 4_000)
    world.carrier.throttle(IMSI, None)
    assert world.news().slowed_to_octets_per_s == 1_000, "the exhaustion's stays"
    world.carrier.throttle(IMSI, 500)
    world.run_to("2025-04-01T00:00:00+08:00")
    assert (world.news().slowed_to_octets_per_s, world.news().throttle_octets_per_s) == (500, 500)
    world.carrier.throttle(IMSI, None)
    assert world.news().slowed_to_octets_per_s is None
    with pytest.raises(ValueError, match="octets_per_s 0 is not 1 or more"):
        world.carrier.throttle(IMSI, 0)


def test_a_new_bearer_is_as_slow_and_what_waits_is_lost_with_the_old():
    world = World(allowance=1 << 20, queue_octets=2_000)
    world.carrier.throttle(IMSI, 100)
    world.activate()
    for _ in range(5):
        world.up(1_500)
    assert world.bearer.dropped == 2
    assert world.figures()["ip_octets"] == 3_000, "what waits has not passed, nor what was dropped"
    world.activate()
    world.run(3_600)
    assert world.figures()["ip_octets"] == 3_000
    for _ in range(3):
        world.up(1_500)
    assert world.figures()["ip_octets"] == 6_000
    world.carrier.throttle(IMSI, None)
    assert world.figures()["ip_octets"] == 7_500


def test_a_bucket_holds_a_packet():
    with pytest.raises(ValueError, match="must hold a packet: 1500"):
        Enforcement(burst_octets=1_499)
