"""The promises of a back-off, in time that never wraps, against the whole history of its attempts."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.core.probe import DAY_MS, Probe

from tests.core.small import Small

PERIOD = 1 << 30
HORIZON = PERIOD // 2

periods = st.tuples(st.integers(1, DAY_MS) | st.sampled_from([1, 60_000, DAY_MS]), st.integers(1, DAY_MS)).map(sorted)
per_days = st.integers(1, 12)
starts = st.sampled_from([0, PERIOD - 1]) | st.integers(0, PERIOD - 1)
pauses = st.sampled_from([0, 1, 60_000, DAY_MS - 1, DAY_MS]) | st.integers(0, 4_000_000) | st.integers(0, HORIZON - 1)
TRY, FORCE, SERVE, ASK = range(4)
steps = st.lists(st.tuples(pauses, st.sampled_from([TRY, TRY, TRY, FORCE, SERVE, ASK])), max_size=60)


class History:
    """All that happened, and what follows from it by the letter of the promises."""

    def __init__(self, first, longest, per_day):
        self.first, self.longest, self.per_day = first, longest, per_day
        self.attempts: list[int] = []
        self.since_success = 0
        self.last: int | None = None

    def due(self, now):
        wait = 0
        if self.last is not None:
            gap = min(self.first << max(0, self.since_success - 1), self.longest)
            wait = max(0, self.last + gap - now)
        if len(self.attempts) >= self.per_day:
            wait = max(wait, self.attempts[-self.per_day] + DAY_MS - now)
        return wait

    def tried(self, now):
        self.attempts.append(now)
        self.since_success += 1
        self.last = now

    def succeeded(self, now):
        self.since_success = 0
        self.last = now


def live(period, per_day, at, steps, idles=None):
    """A life of these steps, each after its pause; asserts what each `due_ms` says. Returns the due attempts."""
    probe, history, due = Probe(*map(Small, period), per_day), History(*period, per_day), []
    for number, (pause, step) in enumerate(steps):
        at += pause
        now = Small(at % PERIOD)
        wait = probe.due_ms(now)
        assert 0 <= wait <= DAY_MS
        if idles is None:
            assert wait == history.due(at), number
        else:
            assert wait >= history.due(at), "too early"
            at += idles[number % len(idles)]
            now = Small(at % PERIOD)
        if step == FORCE or (step == TRY and not probe.due_ms(now)):
            probe.tried(now)
            history.tried(at)
            if step == TRY:
                due.append(at)
        elif step == SERVE:
            probe.succeeded(now)
            history.succeeded(at)
    return due, history


@given(periods, per_days, starts, steps)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_it_says_what_follows_from_the_history(period, per_day, start, steps):
    live(period, per_day, start, steps)


@given(periods, per_days, starts, steps, st.lists(st.integers(0, 1 << 33), min_size=1))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_after_any_silence_no_attempt_is_too_early(period, per_day, start, steps, idles):
    live(period, per_day, start, steps, idles)


@given(periods, per_days, starts, steps, st.lists(st.integers(0, 1 << 33), min_size=1) | st.none())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_in_any_day_no_more_attempts_than_the_budget(period, per_day, start, steps, idles):
    willing = [(pause, step) for pause, step in steps if step != FORCE]
    due, history = live(period, per_day, start, willing, idles)
    assert due == history.attempts
    for at in due:
        assert sum(at <= other < at + DAY_MS for other in due) <= per_day
    assert all(later - earlier >= period[0] for earlier, later in pairwise(due))


@given(periods, per_days, starts, st.lists(st.booleans(), min_size=1, max_size=40))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_the_most_eager_device_stays_within_the_bounds_and_never_waits_for_ever(period, per_day, start, serves):
    probe, at, attempts, run = Probe(*period, per_day), start, [], []
    for served in serves:
        wait = probe.due_ms(Small(at % PERIOD))
        assert wait <= DAY_MS
        at += int(wait)
        assert probe.due_ms(Small(at % PERIOD)) == 0, "due when it said"
        probe.tried(Small(at % PERIOD))
        attempts.append(at)
        run.append(at)
        for n, (earlier, later) in enumerate(pairwise(run)):
            assert later - earlier >= min(period[0] << n, period[1])
        if served:
            probe.succeeded(Small(at % PERIOD))
            run = []
    for at in attempts:
        assert sum(at <= other < at + DAY_MS for other in attempts) <= per_day
