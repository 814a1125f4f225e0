"""The clock's rules one by one, on both VMs."""

from usageguard.clock import RELEASED_DAY, Clock
from usageguard.core.cycle import Cycle, days_from_civil

from tests.portable import without_heap

JAN, FEB, MAR = (days_from_civil(2026, month, 1) for month in (1, 2, 3))
HOUR = 3600
BOUNDARY = (days_from_civil(2026, 1, 31), 16 * HOUR)  # 1 February 00:00 at UTC+8


def before_boundary(seconds):
    second = BOUNDARY[1] - seconds
    return BOUNDARY[0] + second // 86400, second % 86400


def clock_at(floor, cycle_id=JAN, now=0):
    return Clock(Cycle(1, 480), floor, cycle_id, now)


def pass_time(clock, now, seconds):
    """Steps through `seconds`, an hour at a time; returns the ticks."""
    while seconds > 0:
        ms = min(seconds, HOUR) * 1000
        now = (now + ms) & 0x3FFFFFFF
        clock.step(now)
        seconds -= HOUR
    return now


def test_knows_nothing_at_first():
    clock = Clock(Cycle(1, 480), (0, 0), 0, 7)
    assert clock.now(7) is None, clock.now(7)
    assert (clock.source, clock.trusted) == ("none", False), clock.source
    assert clock.floor(7) == (RELEASED_DAY, 0), clock.floor(7)
    # 2025-01-01 00:00 UTC is 08:00 in the plan's zone
    assert clock.cycle_id == days_from_civil(2025, 1, 1), clock.cycle_id


def test_server_time_is_believed_and_carried_on():
    clock = clock_at((0, 0), 0)
    clock.server(*before_boundary(HOUR), 5)
    assert clock.cycle_id == JAN, clock.cycle_id
    assert clock.now(5) == before_boundary(HOUR), clock.now(5)
    assert clock.now(10_005) == before_boundary(HOUR - 10), clock.now(10_005)


def test_new_period_five_minutes_after_the_boundary():
    clock = clock_at((0, 0))
    clock.server(*before_boundary(60), 0)
    clock.step(359_999)
    assert clock.cycle_id == JAN, "before the delay was over"
    clock.step(360_000)
    assert clock.cycle_id == FEB, "after the delay"


def test_ticks_wrap():
    start = (1 << 30) - 1000
    clock = clock_at((0, 0), JAN, start)
    clock.server(*before_boundary(40 * 86400), start)
    now = pass_time(clock, start, 40 * 86400)
    assert clock.now(now) == BOUNDARY, clock.now(now)
    assert clock.cycle_id == JAN, clock.cycle_id
    pass_time(clock, now, 300)
    assert clock.cycle_id == FEB, clock.cycle_id


def test_reboot_without_time_goes_on_charging_the_old_period():
    clock = clock_at(before_boundary(86400))
    clock.step(HOUR * 1000)
    assert (clock.cycle_id, clock.source) == (JAN, "none"), clock.source
    assert not clock.within_cycle(HOUR * 1000), "nobody knows"


def test_the_bound_alone_proves_that_a_period_ended():
    clock = clock_at(before_boundary(2 * HOUR))
    now = pass_time(clock, 0, 2 * HOUR + 299)
    assert clock.cycle_id == JAN, "before it was certain"
    pass_time(clock, now, 1)
    assert clock.cycle_id == FEB, "two hours of ticks after the floor"
    assert clock.now(now) is None, "a lower bound is not a time"


def test_within_the_period():
    clock = clock_at((0, 0))
    clock.server(*before_boundary(HOUR), 0)
    assert clock.within_cycle(0), "an hour before the boundary"
    assert clock.within_cycle(3_299_999), "5 minutes and a bit before it"
    assert not clock.within_cycle(3_300_000), "too near to be certain"
    assert not clock.within_cycle(3_700_000), "over, and not yet switched"
    clock.step(3_900_000)
    assert clock.within_cycle(3_900_000), "the next one"


def test_the_floor_never_goes_back():
    clock = clock_at(BOUNDARY)
    clock.server(*before_boundary(HOUR), 0)
    assert clock.floor(0) == BOUNDARY, clock.floor(0)
    assert clock.now(0) == BOUNDARY, clock.now(0)
    clock.step(HOUR * 1000 + 5000)
    assert clock.floor(HOUR * 1000 + 5000) == (BOUNDARY[0], BOUNDARY[1] + 5), "the server's time goes on"


def test_a_stored_period_is_kept():
    clock = clock_at((0, 0), MAR)
    clock.server(*before_boundary(0), 0)
    assert clock.cycle_id == MAR, clock.cycle_id


def test_network_time_alone_changes_no_period():
    for hear in (Clock.network, Clock.ntp):
        clock = clock_at(before_boundary(86400))
        for minutes in range(0, 100, 7):
            hear(clock, BOUNDARY[0] + 3, 0, minutes * 60_000)
        assert (clock.cycle_id, clock.source) == (JAN, "network"), clock.source
        assert clock.now(98 * 60_000) == (BOUNDARY[0] + 3, 0), "good enough for certificates"


def agree(clock, day, second, now):
    clock.network(day, second, now)
    clock.ntp(day, second + 200, now)


def test_two_agreements_move_on_by_one_period():
    clock = clock_at(before_boundary(86400))
    agree(clock, BOUNDARY[0] + 1, 0, 0)
    assert clock.cycle_id == JAN, "one agreement"
    agree(clock, BOUNDARY[0] + 1, 599, 599_000)
    assert clock.cycle_id == JAN, "two agreements, too near in time"
    agree(clock, BOUNDARY[0] + 1, 660, 600_000)
    assert (clock.cycle_id, clock.source) == (FEB, "corroborated"), clock.source
    agree(clock, BOUNDARY[0] + 40, 0, 700_000)
    agree(clock, BOUNDARY[0] + 40, 700, 1_400_000)
    assert clock.cycle_id == FEB, "the second period takes the server"
    again = clock_at(clock.floor(1_400_000), clock.cycle_id)
    agree(again, BOUNDARY[0] + 40, 0, 0)
    agree(again, BOUNDARY[0] + 40, 700, 700_000)
    assert again.cycle_id == FEB, "in the next boot as well"


def test_agreements_must_fit_the_ticks():
    clock = clock_at(before_boundary(86400))
    agree(clock, BOUNDARY[0] + 1, 0, 0)
    agree(clock, BOUNDARY[0] + 1, 0, 700_000)
    assert (clock.cycle_id, clock.source) == (JAN, "network"), "a clock that stands still"


def test_an_agreement_takes_two_new_answers():
    clock = clock_at(before_boundary(86400))
    agree(clock, BOUNDARY[0] + 1, 0, 0)
    clock.ntp(BOUNDARY[0] + 1, 700, 700_000)
    assert clock.cycle_id == JAN, "NITZ was heard only once"
    clock.network(BOUNDARY[0] + 1, 700, 700_000)
    assert clock.cycle_id == FEB, "now both were heard twice"


def test_two_periods_at_once_take_the_server():
    clock = clock_at(before_boundary(86400))
    for now in (0, 700_000):
        agree(clock, BOUNDARY[0] + 40, now // 1000, now)
    assert clock.cycle_id == JAN, clock.cycle_id


def test_nonsense_is_not_heard():
    clock = clock_at(before_boundary(86400))
    for day, second in ((0, 0), (-7305, 0), (29219, 0), (BOUNDARY[0], 86400), (BOUNDARY[0], -1)):
        clock.network(day, second, 0)
        assert clock.now(0) is None, (day, second)


def test_networks_are_not_asked_once_the_server_spoke():
    clock = clock_at((0, 0))
    clock.server(*before_boundary(HOUR), 0)
    for now in (0, 700_000):
        agree(clock, BOUNDARY[0] + 1, now // 1000, now)
    assert (clock.cycle_id, clock.source) == (JAN, "server"), clock.source


def test_says_when_to_look_again():
    clock = clock_at((0, 0))
    clock.server(*before_boundary(HOUR), 0)
    now = clock.next_ms(0)
    assert clock.within_cycle(now - 1000), "before the first change"
    assert not clock.within_cycle(now), "the first change: it may be over"
    now += clock.next_ms(now)
    clock.step(now - 1000)
    assert clock.cycle_id == JAN, "before the second change"
    clock.step(now)
    assert clock.cycle_id == FEB, "the second change: a new period"
    assert clock.next_ms(now) < 1 << 29, "inside the horizon of the ticks"


def test_step_allocates_nothing():
    clock = clock_at((0, 0))
    clock.server(*before_boundary(10 * 86400), 0)

    def steps():
        now = 0
        for _ in range(500):
            now += 1234
            clock.step(now)
            clock.within_cycle(now)
            clock.next_ms(now)

    without_heap(steps)
