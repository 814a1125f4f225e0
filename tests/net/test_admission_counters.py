"""Modem counters that reset, jump, go back, count in kilobytes or do not answer: never counted below the truth.

The real Admission, Meter, Policy and Ledger; the modem and the line are the test's, octet by octet.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.config import load as config
from usageguard.core.cycle import days_from_civil
from usageguard.core.octets import Octets
from usageguard.core.policy import Policy
from usageguard.modem.quectel import Quectel
from usageguard.net.admission import FOREVER_MS, SHIFT_MS, Admission
from usageguard.store.ledger import Ledger

from tests.store.memory import Blocks, Hal

SEGMENT = 1240
MARCH, APRIL = (days_from_civil(2026, month, 1) for month in (3, 4))
LINE_OCTETS_PER_S = 1_250_000
SLACK = 65_536


class Board(Hal):
    def __init__(self, cause=1):
        super().__init__(cause)
        self.ms = 0

    def ticks_ms(self):
        return self.ms % (1 << 30)

    def event(self, *_):
        """Nobody listens."""


def segments(payload):
    return [40 + min(SEGMENT, payload - at) for at in range(0, payload, SEGMENT)]


class Device:
    """A admission in a life of its own, and what really crossed. `crossed` counts the period that is charged."""

    def __init__(self, per_packet=0, margin=0, unit=1):
        plan = {
            "allowance_octets": 1 << 40,
            "rating": {"per_packet_octets": per_packet, "margin_permille": margin},
        }
        device = {"id": "admission", "key": "00" * 32}
        self.config = config.load({"device": device, "plan": plan, "modem": {"family": "quectel", "apn": "a"}})
        self.board, self.flash = Board(), Blocks()
        self.per_packet, self.margin, self.unit = per_packet, margin, unit
        self.crossed = self.packets = 0
        self.wrong = 0  # octets that the counter showed and nobody carried, as far as they look like retransmissions
        self.jumped = 0  # not read yet
        self.shown = [0, 0]  # the modem's counter: sent, received
        self.epoch = 1
        self.waiting = []  # charged and not yet crossed, with the time
        self.last = [0, 0]  # what the last reading was taken of
        self.unread = self.hidden = 0  # crossed, and wiped out by a reset: before any reading, for ever
        self.boot()
        self.ledger.new_cycle(MARCH)
        self.ledger.commit()
        self.admission.rebase()
        self.read()

    def boot(self):
        self.ledger = Ledger(self.board, self.flash)
        self.ledger.open()
        policy = Policy(self.config.plan, self.config.classes)
        self.admission = Admission(self.board, self.config, self.ledger, policy, Quectel.WINDOW)

    # what happens

    def send(self, payload):
        assert self.admission.transfer(0, True, payload)
        self.waiting += [(self.board.ms, 0, octets) for octets in segments(payload)]
        self.waiting += [(self.board.ms, 1, 40) for _ in segments(payload)]

    def receive(self, payload):
        for octets in segments(payload):
            self._cross(1, octets)
            self._cross(0, 40)
        self.admission.received(0, True, payload)

    def look_up(self, name, more):
        """An answer has `more` octets where it begins with a CNAME."""
        assert self.admission.open(0, False, name)
        self._cross(0, 46 + name)
        self._cross(1, 62 + name + more)
        self.admission.meter.looked_up(name)

    def _cross(self, way, octets):
        self.shown[way] += octets
        self.crossed += octets
        self.packets += 1

    def wait(self, seconds):
        self.board.ms += seconds * 1000
        self.leave()

    def leave(self):
        """What was to be sent has left the modem."""
        for _, way, octets in self.waiting:
            self._cross(way, octets)
        self.waiting = []

    def read(self):
        if sum(self.shown) >= sum(self.last):  # it has outgrown its last reading: nobody can tell that it was reset
            self.hidden += self.unread
        self.unread = 0
        self.last = list(self.shown)
        self.wrong += min(self.jumped, self.admission.meter.window)
        self.jumped = 0
        tx, rx = (octets // self.unit * self.unit for octets in self.shown)
        self.admission.counter(Octets(tx), Octets(rx), self.epoch, self.epoch == 1)

    def reset(self):
        """AT+QGDCNT=0, by a PDP context that came anew or by nobody knows whom."""
        self.unread += max(0, sum(self.shown) - sum(self.last))
        self.shown = [0, 0]

    def wrap(self):
        """A counter of 32 bits begins anew: nothing but the uplink's."""
        self.unread += max(0, self.shown[0] - self.last[0])
        self.shown[0] = 0

    def jump(self, octets):
        self.shown[1] += octets
        self.jumped += octets

    def back(self, octets):
        """One reading that is too low; the next is right again."""
        right = list(self.shown)
        self.shown = [max(0, each - octets) for each in right]
        self.read()
        self.shown = right

    def reboot(self):
        self.epoch += 1
        self.shown, self.last = [0, 0], [0, 0]
        self.unread = self.jumped = 0
        self.waiting = []

    def do(self, event):
        getattr(self, event[0])(*event[1:])

    # what must hold

    @property
    def carried(self):
        return self.ledger.carried.value() - self.ledger.carried_base.value()

    @property
    def bound(self):
        return self.admission.meter.bound() + self.ledger.carried_unsure.value()

    def hold(self):
        # Of a counter in units, what is below one is not shown yet, each way.
        assert self.carried >= self.crossed - self.hidden - 2 * (self.unit - 1), (
            f"{self.crossed - self.carried} octets too few"
        )
        assert self.carried - self.crossed <= self.bound + self.wrong, "above the bound"

    def settle(self):
        for _ in range(3):
            self.wait(30)
            self.read()


TRAFFIC = [
    st.tuples(st.just("send"), st.integers(1, 4_000)),
    st.tuples(st.just("receive"), st.integers(1, 4_000)),
    st.tuples(st.just("look_up"), st.integers(1, 60), st.sampled_from([0, 28])),
    st.tuples(st.just("wait"), st.sampled_from([1, 25, 900, 86_400])),
    st.just(("read",)),  # any that fails is one that is not there
]
FAULTS = [
    st.just(("reset",)),
    st.just(("wrap",)),
    st.just(("reboot",)),
    st.tuples(st.just("back"), st.sampled_from([1, 1_000, 1 << 20])),
    st.tuples(st.just("jump"), st.sampled_from([1, 700, 60_000, 1 << 20, 3 << 30, 1 << 40])),
]
LIVES = st.lists(st.one_of(*TRAFFIC, *TRAFFIC, *FAULTS), max_size=60)


@given(LIVES, st.sampled_from([1, 1, 1024]), st.sampled_from([0, 14, 50]))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_whatever_the_counter_does_usage_is_not_below_what_was_carried_and_above_by_no_more_than_the_bound(
    events, unit, per_packet
):
    device = Device(per_packet, unit=unit)
    for event in events:
        device.do(event)
        device.hold()
    device.settle()
    device.hold()


@given(st.lists(st.one_of(*TRAFFIC), max_size=40), st.sampled_from([14, 50]), st.sampled_from([0, 20]))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_by_a_counter_without_fault_the_rated_figure_is_not_below_the_bill(events, per_packet, margin):
    device = Device(per_packet, margin)
    for event in events:
        device.do(event)
    device.settle()
    billed = -(-(device.crossed + device.packets * per_packet) * (1000 + margin) // 1000)
    # Headers are told into packets in whole ones, and each reading rounds for itself.
    assert device.admission.used.value() >= billed - per_packet * (1000 + margin) // 1000


@given(LIVES, LIVES)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_no_surplus_of_one_period_pays_for_the_next(before, after):
    device = Device()
    for event in before:
        device.do(event)
    device.leave()
    device.ledger.within_cycle()  # for certain; from here on usage counts in both
    device.admission.meter.forfeit()
    device.crossed = 0
    device.admission.begin_cycle(APRIL)
    for event in after:
        device.do(event)
        assert device.carried >= device.crossed - device.hidden, f"{device.crossed - device.carried} octets too few"


def test_a_surplus_that_a_reset_left_pays_for_nothing_in_a_period_that_begins_later():
    """A boot without time: what the counter gives back of the old period is not spent in the new one."""
    device = Device()
    device.send(4_000)
    device.ledger.within_cycle()
    device.ledger.counter_read(Octets(sum(device.shown)))
    device.send(4_000)
    device.waiting = []  # lost with the socket: charged, never carried
    device.ledger.within_cycle()
    device.board.cause = 3
    device.boot()
    device.admission.meter.forfeit()  # the time is not certain
    device.read()
    device.admission.begin_cycle(APRIL)
    device.crossed = 0
    for _ in range(3):
        device.receive(2_000)
        assert device.carried >= device.crossed


def test_what_a_reset_may_have_hidden_is_charged_and_stated_as_unsure():
    device = Device()
    device.receive(1_000)
    device.settle()
    device.ledger.counter_known = False
    device.ledger.commit()
    device.board.cause = 3
    device.boot()
    device.read()
    assert device.carried >= Quectel.WINDOW + 1_000
    assert device.carried - device.crossed <= device.bound


def test_what_perhaps_arrived_is_no_payload_that_hides_packets():
    """10 KiB that never came must not be taken from the headers by which packets are told."""
    device = Device(per_packet=50)
    device.admission.abandoned(True, 0)
    device.settle()
    before = device.admission.used.value()
    for _ in range(200):
        device.receive(1)
        device.settle()
    billed = device.crossed + 50 * device.packets
    assert before + billed - Quectel.WINDOW * 5 <= device.admission.used.value()
    assert device.admission.used.value() >= billed


@pytest.mark.parametrize("octets", [1 << 29, 3 << 30, 1 << 45])
@pytest.mark.parametrize("hours", [0, 1, 100])
def test_a_jump_beyond_all_that_is_taken_at_once_is_taken_in_pieces_and_stated_as_unsure(octets, hours):
    device = Device(per_packet=50, margin=1000)
    device.wait(hours * 3600)
    device.jump(octets)
    device.read()
    assert device.admission.jumps == 1
    assert not device.admission.broken
    assert device.carried - device.crossed <= device.bound


def test_a_reading_that_goes_back_once_is_charged_and_stated_as_unsure():
    device = Device()
    device.receive(500_000)
    device.settle()
    device.back(1_000)
    assert device.carried - device.crossed <= device.bound
    device.settle()
    assert device.carried - device.crossed <= device.bound


@pytest.mark.parametrize("octets", [100, 20_000])
def test_what_a_counter_shows_after_its_reset_is_charged_whoever_sent_it(octets):
    device = Device()
    device.receive(20_000)
    device.settle()
    device.reset()
    device._cross(0, octets)  # retransmissions: no price has them
    device.read()
    device.hold()


def test_a_reading_after_one_that_was_too_low_is_unsure_even_where_the_model_has_a_price_for_it():
    device = Device()
    device.receive(500_000)
    device.settle()
    device.back(1_000)
    device.receive(2_000)
    device.read()
    device.settle()
    assert device.carried - device.crossed <= device.bound


def test_what_a_reset_charged_to_the_old_period_pays_for_nothing_in_the_new_one():
    device = Device()
    device.ledger.counter_read(Octets(sum(device.shown)))
    for _ in range(5):
        device.send(4_000)
    device.waiting = []  # lost with the socket: charged, never carried
    device.ledger.within_cycle()
    device.ledger.commit()
    device.board.cause = 3
    device.boot()
    device.admission.meter.forfeit()
    device.admission.begin_cycle(APRIL)  # before the counter was read
    device.read()
    device.crossed = 0
    for _ in range(5):
        device.receive(2_000)
        assert device.carried >= device.crossed


def test_packets_and_sessions_are_those_of_the_period():
    device = Device()
    meter = device.admission.meter
    for session in (1, 2):
        device.admission.session()
        device.send(1000)
        assert (meter.packets, meter.sessions) == (2 * session, session)
    device.admission.begin_cycle(APRIL)
    device.send(100)
    assert (meter.packets, meter.sessions) == (2, 1), "the last session goes on"
    device.admission.session()
    assert meter.sessions == 2


@pytest.mark.parametrize("then", ["read", "reboot", "cut"])
def test_what_arrives_while_a_connection_is_closed_stays_leased_until_the_counter_shows_it(then):
    """The modem's total for the connection was asked for before."""
    device = Device()
    device.admission.hold(True, 1)
    device.admission.hold(True, -1)
    device._cross(1, 8_000)
    assert device.ledger.held_carried > 8_000
    assert device.admission.reading_ms(device.board.ticks_ms(), True) == 0
    if then == "reboot":
        device.reboot()
    elif then == "cut":
        device.boot()
        device.hold()
        return
    device.read()
    device.hold()
    assert device.ledger.held_carried == 0
    assert device.admission.reading_ms(device.board.ticks_ms(), True) == FOREVER_MS


def test_what_was_paid_when_the_modem_lost_it_is_not_leased_any_more():
    device = Device()
    device.admission.hold(True, 1)
    device.admission.hold(True, -1, True)
    assert device.ledger.held_carried == 0
    assert device.admission.reading_ms(device.board.ticks_ms(), True) == FOREVER_MS


@pytest.mark.parametrize("per_packet", [0, 50])
def test_what_a_closed_connection_leased_is_given_back_with_the_next_reading(per_packet, monkeypatch):
    device = Device(per_packet)
    ledger, left = device.ledger, []
    monkeypatch.setattr(ledger, "give_back", lambda: left.append((ledger.held_rated, ledger.held_carried)))
    device.admission.hold(True, 1)
    device.admission.give_back()
    device.admission.hold(True, -1)
    device.read()
    device.admission.give_back()
    (rated, carried), nothing = left
    assert carried > 0
    assert (rated > carried) == (per_packet > 0)
    assert nothing == (0, 0)


@pytest.mark.parametrize("connections", [1, 3, 20])
def test_what_is_queued_for_a_slowed_sim_is_leased_until_the_counter_stands_still(connections):
    device = Device()
    admission = device.admission
    admission.slow_down((500, 4_000))
    for sign in (1,) * connections + (-1,) * connections:
        admission.hold(True, sign)
    leased = device.ledger.held_carried
    for _ in range(4):
        device._cross(1, 1_000)  # behind the close
        assert device.carried + device.ledger.held_carried >= device.crossed
        device.read()
        assert device.ledger.held_carried == min(leased, SLACK)
        due = admission.reading_ms(device.board.ticks_ms(), True)
        assert due == SHIFT_MS
        device.wait(due // 1_000)
    device.read()
    assert device.ledger.held_carried == 0
    assert admission.reading_ms(device.board.ticks_ms(), True) == FOREVER_MS


def wake(device, lookups, reset_after=None):
    """The modem was switched off after a reading that showed everything; its counter begins at zero, and may be reset
    again, unnoticed, after so many `lookups`."""
    device.reboot()
    device.admission.settled = True
    device.read()
    for n in range(lookups):
        if n == reset_after:
            device.shown = [0, 0]
        device.look_up(9, 0)
    device.admission.reading_ms(device.board.ticks_ms(), True)
    device.wait(25)
    device.read()


LOOKUP = 126
SURPLUS = 28  # of a lookup: its answer might have begun with a CNAME


@pytest.mark.parametrize("hidden", range(5))
@pytest.mark.parametrize("seed", range(4))
def test_a_counter_that_begins_at_zero_costs_a_few_surpluses_and_a_few_hidden_resets_hide_nothing(hidden, seed):
    """Whenever those resets are, before what was paid for them in advance or after it."""
    rng = random.Random(seed)
    device = Device(per_packet=14)
    wakes = [(rng.randrange(2, 7), 1) for _ in range(hidden)] + [(rng.randrange(1, 7), None) for _ in range(60)]
    rng.shuffle(wakes)
    for lookups, reset_after in wakes:
        wake(device, lookups, reset_after)
    over = device.carried - device.crossed
    assert 0 <= over <= device.bound
    assert over <= 6 * (6 * SURPLUS + LOOKUP)
    assert device.admission.used.value() >= device.crossed + 14 * device.packets


def test_a_counter_that_was_seen_to_be_reset_is_paid_for_anew():
    device = Device()
    for _ in range(20):
        wake(device, 3)
    over = device.carried - device.crossed
    wake(device, 3)
    assert device.carried - device.crossed == over, "all is paid for"
    device.reset()
    device._cross(0, 50)
    device.read()
    for _ in range(20):
        wake(device, 3)
    assert device.carried - device.crossed >= over + 4 * 3 * SURPLUS


def test_a_reset_that_was_seen_is_not_only_suspected():
    """No surplus is kept while as much may arrive unseen as the headroom of the open connection has."""
    device = Device()
    device.receive(5_000)
    device.settle()
    device.admission.meter.cover = device.admission.meter.cover_rated = 1_000_000  # for resets that were suspected
    device.admission.hold(True, 1)
    device.reset()
    device._cross(0, 50)
    device.read()
    assert device.admission.meter.cover == device.admission.meter.cover_rated == 0, "this one was paid by them"
    for _ in range(12):
        device.look_up(9, 0)
        device.admission.reading_ms(device.board.ticks_ms(), True)
        device.wait(25)
        device.read()
    assert device.admission.meter.cover == 0
    assert device.admission.meter.excess() == 0


def test_each_period_pays_for_hidden_resets_anew():
    device = Device()
    for _ in range(10):
        wake(device, 12)
    device.ledger.within_cycle()
    device.admission.begin_cycle(APRIL)
    device.crossed = 0
    wake(device, 12)
    for _ in range(4):
        wake(device, 2, reset_after=1)
    assert device.carried >= device.crossed
