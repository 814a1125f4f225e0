"""Days of a stopped SIM, worked out by hand."""

from usageguard.core.probe import DAY_MS, Probe
from usageguard.core.ticks import ticks_add

from tests.portable import without_heap

MIN = 60000
START = (1 << 30) - 5 * MIN  # ticks wrap early in each test


def attempts(probe, until, serves=False):
    """Minutes from START at which a device tries that never waits longer than it must, over `until` minutes."""
    at, minutes = 0, []
    while True:
        wait = probe.due_ms(ticks_add(START, at))
        if at + wait > until * MIN:
            return minutes
        at += wait
        if not wait:
            probe.tried(ticks_add(START, at))
            minutes.append(at // MIN)
            if serves:
                probe.succeeded(ticks_add(START, at))


def test_a_stop_of_days():
    probe = Probe(MIN, 240 * MIN, 100)
    assert attempts(probe, 1440) == [0, 1, 3, 7, 15, 31, 63, 127, 255, 495, 735, 975, 1215]


def test_the_budget():
    probe = Probe(MIN, 240 * MIN, 8)
    # The 9th waits until the first is a day old; from then on each for the one 8 before it, or for 4 hours.
    expected = [0, 1, 3, 7, 15, 31, 63, 127, 1440, 1680, 1920, 2160, 2400, 2640, 2880, 3120, 3360]
    assert attempts(probe, 3400) == expected


def test_one_that_serves_for_a_moment():
    probe = Probe(MIN, 240 * MIN, 5)
    assert attempts(probe, 1443, True) == [0, 1, 2, 3, 4, 1440, 1441, 1442, 1443]


def test_success_begins_anew():
    probe = Probe(MIN, 240 * MIN, 100)
    for _ in range(6):
        probe.tried(START)
    assert probe.due_ms(START) == 32 * MIN, probe.due_ms(START)
    probe.succeeded(ticks_add(START, 10 * MIN))
    assert probe.due_ms(ticks_add(START, 10 * MIN)) == MIN, "not at once"
    probe.tried(ticks_add(START, 11 * MIN))
    assert probe.due_ms(ticks_add(START, 11 * MIN)) == MIN
    probe.tried(ticks_add(START, 12 * MIN))
    assert probe.due_ms(ticks_add(START, 12 * MIN)) == 2 * MIN


def test_one_a_day():
    probe = Probe(MIN, MIN, 1)
    assert attempts(probe, 4320) == [0, 1440, 2880, 4320]


def test_a_time_read_before_the_last_attempt():
    probe = Probe(MIN, 240 * MIN, 1)
    probe.tried(START)
    assert probe.due_ms(ticks_add(START, -9 * MIN)) == DAY_MS, "no less than at the attempt"
    assert probe.due_ms(ticks_add(START, MIN)) == DAY_MS - MIN, "and it is not forgotten"


def test_months_of_silence():
    probe = Probe(MIN, 240 * MIN, 2)
    probe.tried(START)
    probe.tried(START)
    for days in (13, 100, 1000):
        now = START
        for _ in range(days):
            now = ticks_add(now, DAY_MS)
        assert 0 <= probe.due_ms(now) <= DAY_MS, days
        assert probe.due_ms(ticks_add(now, DAY_MS)) == 0, days


def test_rejects_what_is_out_of_range():
    for first, longest, per_day in ((0, 1, 1), (2, 1, 1), (1, DAY_MS + 1, 1), (1, 1, 0)):
        try:
            Probe(first, longest, per_day)
        except ValueError:
            continue
        raise AssertionError((first, longest, per_day))


def test_without_heap():
    probe = Probe(MIN, DAY_MS, 3)

    def probing():
        now, tried = START, 0
        while tried < 50:
            now = ticks_add(now, probe.due_ms(now))
            probe.tried(now)
            tried += 1
            if tried % 7 == 0:
                probe.succeeded(now)
        return tried

    assert without_heap(probing) == 50
