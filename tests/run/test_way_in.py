"""When an exchange with upstream passes while data is stopped altogether."""

from types import SimpleNamespace
from unittest import mock

from usageguard.core.meter import Meter
from usageguard.core.octets import Octets
from usageguard.core.plan import Rating
from usageguard.guard.way_in import OCTETS, WayIn

HOUR = 3_600_000
HORIZON = 1 << 30


class Stop:
    """A device whose stop is raised and lifted at will; what passes is over at once."""

    def __init__(self, now, block=0):
        self.deaf = False
        self.now = now
        self.at = []  # hours since the stop
        self.octets = []
        self.policy = SimpleNamespace(
            exchange=None, deaf=lambda: self.deaf, end_exchange=self.end, allow_exchange=self.allow
        )
        meter = Meter(Rating(session_round_octets=block))
        outbox = SimpleNamespace(reports_acked=0, waiting=False, hurry=lambda now: None)
        admission = SimpleNamespace(meter=meter, used=Octets())
        self.outbox = outbox
        self.way_in = WayIn(mock.Mock(), self.policy, admission, outbox, lambda actions: None, now % HORIZON)

    def allow(self, used, octets):
        self.policy.exchange = used
        self.at.append((self.now - self.since) // HOUR)
        self.octets.append(octets)
        self.outbox.reports_acked += 1

    def end(self):
        self.policy.exchange = None

    def stand(self, hours):
        self.since, self.at, self.deaf = self.now, [], True
        self.step(hours)
        return self.at

    def step(self, hours):
        for _ in range(hours * 60):
            self.now += 60_000
            self.way_in.step(self.now % HORIZON)

    def lift(self, hours):
        self.deaf = False
        self.step(hours)


def test_attempts_become_rarer_while_a_stop_stands_and_begin_anew_with_the_next():
    stop = Stop(HORIZON - 5 * HOUR)
    stop.step(5)
    assert stop.stand(41) == [1, 2, 4, 8, 16, 28, 40]
    stop.lift(30)
    assert stop.stand(5) == [1, 2, 4]


def test_however_often_data_stops_a_day_has_six_attempts():
    stop = Stop(0)
    hours = []
    for day in range(3):
        for _ in range(12):
            hours += [day] * len(stop.stand(1))
            stop.lift(1)
    assert max(hours.count(day) for day in range(3)) == 6


def test_where_sessions_are_rounded_up_a_whole_block_may_pass():
    stop = Stop(0, block=10_240)
    stop.stand(3)
    assert stop.octets == [10_240, 10_240]
    plain = Stop(0)
    plain.stand(3)
    assert plain.octets == [OCTETS, OCTETS]
