"""The clock's rules one by one, on both VMs."""

from usageguard.clock import RELEASED_DAY, Clock
from usageguard.core.cycle import CalendarCycle, days_from_civil
from usageguard.core.days import DayCycle
from usageguard.corroborated import CorroboratedClock

from tests.portable import without_heap

JAN, FEB, MAR = (days_from_civil(2026, month, 1) for month in (1, 2, 3))
HOUR = 3600
BOUNDARY = (days_from_civil(2026, 1, 31), 16 * HOUR)  # 1 February 00:00 at UTC+8


def before_boundary(seconds):
    second = BOUNDARY[1] - seconds
    return BOUNDARY[0] + second // 86400, second % 86400


def clock_at(floor, cycle_id=JAN, now=0):
    return CorroboratedClock(CalendarCycle(1, 480), floor, cycle_id, now)


def pass_time(clock, now, seconds):
    """Steps through `seconds`, an hour at a time; returns the ticks."""
    while seconds > 0:
        ms = min(seconds, HOUR) * 1000
        now = (now + ms) & 0x3FFFFFFF
        clock.step(now)
        seconds -= HOUR
    return now


def test_knows_nothing_at_first():
    clock = Clock(CalendarCycle(1, 480), (0, 0), 0, 7)
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


def test_only_times_of_the_20_years_after_the_release_are_heard():
    for day, second, heard in (
        (RELEASED_DAY, 0, True),
        (RELEASED_DAY - 1, 86399, False),
        (RELEASED_DAY + 7305, 86399, True),
        (RELEASED_DAY + 7306, 0, False),
        (RELEASED_DAY + 1, 86400, False),
        (RELEASED_DAY + 1, -1, False),
    ):
        clock = Clock(CalendarCycle(1, 480), (0, 0), 0, 7)
        clock.network(day, second, 7)
        assert clock.now(7) == ((day, second) if heard else None), (day, second)
        assert clock.server(day, second, 7) == heard, (day, second)
        assert clock.trusted == heard, (day, second)


def test_new_period_five_minutes_after_the_boundary():
    for seconds in (60, 100, 300, 511):
        clock = clock_at((0, 0))
        clock.server(*before_boundary(seconds), 0)
        clock.step(seconds * 1000 + 299_999)
        assert clock.cycle_id == JAN, ("before the delay was over", seconds)
        clock.step(seconds * 1000 + 300_000)
        assert clock.cycle_id == FEB, ("after the delay", seconds)


def test_a_server_may_be_five_minutes_before_the_period_that_is_charged():
    for seconds, used in ((-100, True), (100, True), (300, True), (301, False)):
        clock = clock_at((0, 0), FEB)
        assert clock.server(*before_boundary(seconds), 0) == used, seconds


def test_two_agreements_are_ten_minutes_apart_by_the_ticks():
    clock = clock_at((0, 0), JAN)
    true = before_boundary(10 * 86400)
    for seconds, source in ((7200, "network"), (7799, "network"), (7800, "corroborated")):
        clock.network(*later(true, seconds), seconds * 1000)
        clock.ntp(*later(true, seconds), seconds * 1000)
        assert clock.source == source, (seconds, clock.source)


def test_ticks_wrap():
    start = (1 << 30) - 1000
    clock = clock_at((0, 0), 0, start)
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
    clock = clock_at((0, 0))
    clock.server(*before_boundary(5000), 0)
    assert clock.next_ms(0) == 4_700_000, clock.next_ms(0)
    got = clock.within_cycle(4_699_999), clock.within_cycle(4_700_000)
    assert got == (True, False), "whatever the time of the boot"


def test_a_period_may_have_ended_while_the_device_slept():
    for before, period in ((301, JAN), (0, JAN), (-300, FEB)):
        clock = clock_at(before_boundary(86400))
        clock.woke(before_boundary(before), 0, True, 7)
        assert clock.cycle_id == period, before


def test_what_the_clock_may_be_late_by_makes_a_period_less_certain():
    for slack, certain in ((0, True), (60, False)):
        clock = clock_at(before_boundary(86400))
        clock.woke(before_boundary(301), slack, True, 7)
        assert clock.within_cycle(7) == certain, slack


def test_a_server_that_is_little_late_does_not_move_the_floor():
    clock = clock_at(BOUNDARY)
    assert clock.server(*before_boundary(200), 0)
    assert clock.floor(0) == BOUNDARY, clock.floor(0)
    assert clock.now(0) == BOUNDARY, clock.now(0)
    clock.step(205_000)
    assert clock.floor(205_000) == (BOUNDARY[0], BOUNDARY[1] + 5), "the server's time goes on"


def later(instant, seconds):
    second = instant[1] + seconds
    return instant[0] + second // 86400, second % 86400


def test_a_server_that_contradicts_the_ticks_is_not_used():
    for error in (-40 * 86400, -3600, -310, 310, 3600, 40 * 86400, 3650 * 86400):
        clock = clock_at((0, 0), 0)
        true = before_boundary(10 * 86400)
        assert clock.server(*true, 0)
        assert not clock.server(*later(true, 3600 + error), 3_600_000), error
        assert (clock.now(3_600_000), clock.cycle_id, clock.doubted) == (later(true, 3600), JAN, 1), error
        assert clock.server(*later(true, 7200), 7_200_000), "the right one still is"


def test_a_drift_of_the_ticks_is_no_contradiction():
    clock = clock_at((0, 0), 0)
    true = before_boundary(20 * 86400)
    assert clock.server(*true, 0)
    now = pass_time(clock, 0, 5 * 86400)
    assert clock.server(*later(true, 5 * 86400 + 600), now), "10 minutes in 5 days"


def test_no_instant_is_beyond_what_is_stored():
    clock = clock_at((0, 0), 0)
    for day, second in ((65535, 0), (1 << 29, 0), (-1, 0), (0, 0), (JAN, 86400), (JAN, -1)):
        for now in range(0, 4 * 86_400_000, 21_600_000):
            assert not clock.server(day, second, now), (day, second)
    assert not clock.trusted


def test_a_doubtful_server_that_keeps_to_its_time_is_used_after_two_days():
    clock = clock_at((0, 0), 0)
    true = before_boundary(10 * 86400)
    clock.server(*true, 0)
    wrong = later(true, 35 * 86400)
    now = 0
    for hours in range(1, 60):
        now = pass_time(clock, now, HOUR)
        used = clock.server(*later(wrong, hours * HOUR), now)
        assert used == (hours > 48), hours  # the first claim was made after an hour
    assert clock.cycle_id == FEB, clock.cycle_id


def test_two_servers_that_take_turns_are_both_doubted():
    clock = clock_at((0, 0), 0)
    true = before_boundary(10 * 86400)
    clock.server(*true, 0)
    now = 0
    for hours in range(1, 100):
        now = pass_time(clock, now, HOUR)
        error = 35 * 86400 if hours % 2 else 36 * 86400
        assert not clock.server(*later(true, error + hours * HOUR), now), hours


def test_the_network_confirms_a_doubtful_server():
    for hear in (CorroboratedClock.network, CorroboratedClock.ntp):
        clock = clock_at((0, 0), 0)
        wrong = before_boundary(-40 * 86400)  # March
        clock.server(*wrong, 0)
        assert clock.cycle_id == MAR, clock.cycle_id
        true = before_boundary(10 * 86400)
        hear(clock, *later(true, 100), 0)
        assert clock.server(*later(true, 60), 60_000)
        assert (clock.cycle_id, clock.now(60_000)) == (JAN, later(true, 60)), "what it had begun too early is undone"


def test_a_floor_in_the_future_is_undone_once_the_network_says_so_too():
    true = before_boundary(10 * 86400)
    clock = clock_at(before_boundary(-40 * 86400), MAR)
    assert not clock.server(*true, 0)
    assert (clock.cycle_id, clock.trusted) == (MAR, False), clock.cycle_id
    clock.ntp(*true, 1000)
    assert clock.server(*later(true, 2), 2000)
    assert (clock.cycle_id, clock.floor(2000)) == (JAN, later(true, 2)), clock.cycle_id
    assert clock.jumped


def test_a_first_answer_beyond_the_networks_time_and_any_zone_is_doubtful():
    true = before_boundary(10 * 86400)
    for ahead, used in ((26 * HOUR, True), (26 * HOUR + 1, False), (-26 * HOUR, True), (-26 * HOUR - 1, False)):
        clock = clock_at(before_boundary(20 * 86400))
        clock.network(*true, 0)
        assert clock.server(*later(true, ahead), 0) == used, ahead
    clock = clock_at(before_boundary(20 * 86400))
    assert clock.server(*later(true, 3650 * 86400), 0), "whoever hears nobody else has to believe it"


def test_a_period_is_not_left_for_the_one_before_the_first_bill():
    from usageguard.core.lifecycle import Lifecycle

    cycle = Lifecycle(CalendarCycle(1, 480), JAN + 10, FEB)
    clock = CorroboratedClock(cycle, (0, 0), 0, 0)
    clock.server(*before_boundary(-86400), 0)
    assert clock.cycle_id == FEB, clock.cycle_id
    clock.network(*before_boundary(25 * 86400), 0)
    assert clock.server(*before_boundary(25 * 86400), 0)
    assert clock.cycle_id == FEB, "the SIM has been used"


def test_a_stored_period_is_kept():
    clock = clock_at((0, 0), MAR)
    assert not clock.server(*before_boundary(0), 0), "earlier than the period that is charged"
    assert clock.cycle_id == MAR, clock.cycle_id


def test_network_time_alone_changes_no_period():
    for hear in (CorroboratedClock.network, CorroboratedClock.ntp):
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
    assert clock.cycle_id == FEB, "the ticks contradict it"
    again = clock_at(clock.floor(1_400_000), clock.cycle_id)
    agree(again, BOUNDARY[0] + 70, 0, 0)
    agree(again, BOUNDARY[0] + 70, 700, 700_000)
    assert again.cycle_id == FEB, "two periods at once"


def test_an_agreement_is_carried_on_over_the_next_boundary():
    clock = clock_at((0, 0), days_from_civil(2025, 1, 1))
    start = before_boundary(40 * 86400)
    agree(clock, *start, 0)
    agree(clock, *later(start, 700), 700_000)
    assert clock.source == "corroborated", clock.source
    assert clock.cycle_id == days_from_civil(2025, 12, 1), "no period was known before"
    assert clock.within_cycle(700_000)
    now = pass_time(clock, 700_000, 40 * 86400 - 700 - 300)
    assert (clock.cycle_id, clock.within_cycle(now)) == (JAN, False), "too near the boundary to be certain"
    now = pass_time(clock, now, 600)
    assert (clock.cycle_id, clock.within_cycle(now)) == (FEB, True), clock.cycle_id
    assert (clock.trusted, clock.wants_ntp(now)) == (False, False)


def test_periods_that_only_the_ticks_have_begun_are_not_known():
    for cycle in (CalendarCycle(1, 0), CalendarCycle(1, 480), DayCycle(1, RELEASED_DAY, 0)):
        clock = CorroboratedClock(cycle, (0, 0), 0, 0)
        now = pass_time(clock, 0, 2 * 86400)
        agree(clock, *BOUNDARY, now)
        agree(clock, *later(BOUNDARY, 700), now + 700_000)
        assert clock.source == "corroborated", clock.source
        assert clock.cycle_id == cycle.cycle_id(*later(BOUNDARY, 400)), clock.cycle_id


def test_an_agreement_of_two_days_is_believed_whatever_it_says():
    for ahead in (70, -40):
        clock = clock_at(before_boundary(20 * 86400) if ahead > 0 else (0, 0), JAN if ahead > 0 else MAR)
        told = later(BOUNDARY, ahead * 86400)
        known = clock.cycle_id
        now = 0
        for hours in range(50):
            agree(clock, *later(told, hours * HOUR), now)
            assert (clock.cycle_id != known) == (hours >= 48), hours
            assert clock.jumped == (hours == 48), "it may undo what a wrong clock has begun"
            now = pass_time(clock, now, HOUR)
        assert clock.now(now)[0] == later(told, 50 * HOUR)[0], clock.now(now)


def test_ntp_is_wanted_where_it_may_decide_something():
    clock = clock_at(before_boundary(20 * 86400))
    assert not clock.wants_ntp(0), "alone it proves nothing"
    clock.network(*before_boundary(20 * 86400 - HOUR), 0)
    assert not clock.wants_ntp(0), "the network's time is near what is known"
    clock.network(*before_boundary(18 * 86400), 1000)
    assert clock.wants_ntp(1000), "a day has passed"
    clock.server(*before_boundary(18 * 86400), 1000)
    assert not clock.wants_ntp(1000)
    clock.server(*before_boundary(-86400), 2000)
    assert clock.wants_ntp(2000), "the server's time is doubtful"
    clock = clock_at(before_boundary(600))
    clock.network(*before_boundary(-400), 0)
    assert clock.wants_ntp(0), "another period"


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


def test_two_periods_at_once_take_the_server_or_two_days():
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
