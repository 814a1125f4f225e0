"""A pool is never granted twice: the division against a model of members that hear late, twice or never."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from host_tools.platforms.shares import Member, Offer, divide, filled

START = datetime(2026, 3, 1, tzinfo=UTC)
TOTAL = 1_000
VALID = timedelta(hours=6)
HOUR = timedelta(hours=1)


# --- what is fair ---


@given(st.integers(0, 1_000), st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(0, 400), max_size=6))
def test_shares_are_max_min_fair(amount, wanted):
    shares = filled(amount, wanted)
    assert shares.keys() == wanted.keys()
    assert all(0 <= shares[name] <= wanted[name] for name in wanted)
    assert sum(shares.values()) <= amount
    short = [shares[name] for name in wanted if shares[name] < wanted[name]]
    if short:  # all is given away but for a rest, and nobody has more than one who lacks something
        assert amount - sum(shares.values()) < len(wanted)
        assert max(shares.values()) - min(short) <= len(wanted)


def member(name, used=0, need=100, offers=(), silent=False, used_at=START):
    return Member(name, used, used_at, need, tuple(offers), silent)


def offer(octets, at=START, confirmed=True):
    return Offer(octets, VALID, at, confirmed)


def test_a_need_is_met_where_there_is_enough_and_shared_where_not():
    assert divide(1_000, 0, [member("a"), member("b", need=300)]) == {"a": 100, "b": 300}
    assert divide(300, 0, [member("a"), member("b", need=300)]) == {"a": 100, "b": 200}
    assert divide(300, 150, [member("a"), member("b", need=300)]) == {"a": 75, "b": 75}


def test_nobody_gives_back_what_nobody_needs():
    a = member("a", need=10, offers=[offer(800)])
    assert divide(1_000, 0, [a, member("b", need=200)]) == {"a": 800, "b": 200}
    assert divide(1_000, 0, [a, member("b", need=201)]) == {"a": 10, "b": 200}


def test_a_lower_grant_frees_nothing_before_it_is_confirmed():
    a = member("a", need=10, offers=[offer(800)])
    assert divide(1_000, 0, [a, member("b", need=500)]) == {"a": 10, "b": 200}
    both = member("a", need=10, offers=[offer(800), offer(10)])
    assert divide(1_000, 0, [both, member("b", need=500)]) == {"a": 10, "b": 200}
    confirmed = member("a", need=10, offers=[offer(10)])
    assert divide(1_000, 0, [confirmed, member("b", need=500)]) == {"a": 10, "b": 500}


def test_a_silent_member_gives_its_share_back_when_it_is_known_what_it_used():
    after = START + VALID + HOUR
    silent = member("a", used=50, offers=[offer(800)], silent=True)
    assert divide(1_000, 0, [silent, member("b", need=500)]) == {"b": 200}  # it may have used it all
    known = member("a", used=60, offers=[offer(800)], silent=True, used_at=after)
    assert divide(1_000, 0, [known, member("b", need=500)]) == {"b": 500}
    assert divide(1_000, 0, [known, member("b", need=999)]) == {"b": 940}


def test_a_grant_that_was_not_confirmed_may_come_again():
    after = START + VALID + HOUR
    silent = member("a", used=60, offers=[offer(800, confirmed=False)], silent=True, used_at=after)
    assert divide(1_000, 0, [silent, member("b", need=500)]) == {"b": 200}


def test_a_pool_that_is_overdrawn_grants_nothing_more():
    assert divide(100, 0, [member("a", used=90, offers=[offer(90)]), member("b", used=40)]) == {"a": 90, "b": 40}


# --- never more than there is ---


@dataclass
class Device:
    """A member as it is, which obeys the newest order that it has seen, while that is valid; and what the collector
    knows of it."""

    used: int = 0
    counter: int = 0
    granted: int = 0
    ends: datetime = START
    made: list = field(default_factory=list)  # its reports: (counter, used, when)
    answers: list = field(default_factory=list)  # under way: (counter, octets)
    heard: tuple = (0, 0, START)  # the newest report that arrived
    heard_at: datetime = START
    orders: list = field(default_factory=list)  # (counter, octets)
    sent: dict = field(default_factory=dict)  # counter -> when last
    figure: tuple = (0, START)  # the carrier's: octets, as of

    def may_use(self, now):
        """What it may have used by the end without another division."""
        valid = [self.granted] if now < self.ends else []
        coming = [octets for counter, octets in self.answers if counter > self.counter]
        return max([self.used, *valid, *coming])

    def obey(self, answer, now):
        counter, octets = answer
        if counter > self.counter:
            self.counter, self.granted, self.ends = counter, octets, now + VALID

    def told(self, report, now):
        """The collector takes a report, and answers with the order that waits."""
        if report[:2] >= self.heard[:2]:
            self.heard = (*report[:2], max(report[2], self.heard[2]))
        self.heard_at = now
        waiting = [order for order in self.orders if order[0] > self.heard[0]]
        if not waiting:
            return None
        self.sent[waiting[0][0]] = now
        return waiting[0]

    def member(self, name, need, silent):
        confirmed = [order for order in self.orders if order[0] <= self.heard[0]][-1:]
        later = [order for order in self.orders if order[0] > self.heard[0] and order[0] in self.sent]
        offers = tuple(
            Offer(octets, VALID, self.sent[counter], counter <= self.heard[0]) for counter, octets in confirmed + later
        )
        used, used_at = max(self.figure[0], self.heard[1]), max(self.figure[1], self.heard[2])
        return Member(name, used, used_at, need, offers, silent)

    def withdraw(self):
        """Cancels what was not sent."""
        self.orders = [each for each in self.orders if each[0] in self.sent]

    def order(self, octets):
        self.withdraw()
        self.orders.append((max([self.heard[0], *(counter for counter, _ in self.orders)]) + 1, octets))


DEVICES = st.integers(0, 2)


class PoolMachine(RuleBasedStateMachine):
    """Reports and answers are lost, late and doubled; figures are late. An answer is at most an hour on its way."""

    def __init__(self):
        super().__init__()
        self.now = START
        self.devices = [Device() for _ in range(3)]
        self.past = [(START, [0, 0, 0])]

    @rule(hours=st.integers(1, 7))
    def wait(self, hours):
        self.now += hours * HOUR
        self.past.append((self.now, [device.used for device in self.devices]))
        for device in self.devices:
            device.answers.clear()

    @rule(index=DEVICES, octets=st.sampled_from([1, 100, TOTAL]))
    def use(self, index, octets):
        device = self.devices[index]
        if self.now < device.ends:
            device.used = max(device.used, min(device.used + octets, device.granted))

    @rule(index=DEVICES, lost=st.sampled_from(["nothing", "report", "answer", "late answer"]))
    def exchange(self, index, lost):
        device = self.devices[index]
        report = (device.counter, device.used, self.now)
        device.made.append(report)
        if lost == "report":
            return
        answer = device.told(report, self.now)
        if answer and lost == "nothing":
            device.obey(answer, self.now)
        elif answer and lost == "late answer":
            device.answers.append(answer)

    @rule(index=DEVICES, back=st.integers(1, 3))
    def an_old_report_arrives(self, index, back):
        device = self.devices[index]
        if len(device.made) >= back and (answer := device.told(device.made[-back], self.now)):
            device.answers.append(answer)

    @rule(index=DEVICES)
    def an_answer_arrives(self, index):
        device = self.devices[index]
        if device.answers:
            device.obey(device.answers.pop(0), self.now)

    @rule(back=st.integers(1, 3))
    def figures_arrive(self, back):
        at, used = self.past[-min(back, len(self.past))]
        for device, octets in zip(self.devices, used, strict=True):
            if at > device.figure[1]:
                device.figure = (octets, at)

    @rule(needs=st.tuples(*[st.sampled_from([0, 10, 300, TOTAL])] * 3), silence=st.integers(1, 12))
    def divide(self, needs, silence):
        members = [
            device.member(index, need, self.now - device.heard_at > silence * HOUR)
            for index, (device, need) in enumerate(zip(self.devices, needs, strict=True))
        ]
        for member in members:
            if member.silent:
                self.devices[member.name].withdraw()
        for index, octets in divide(TOTAL, 0, members).items():
            self.devices[index].order(octets)

    @invariant()
    def never_more_than_there_is(self):
        assert sum(device.may_use(self.now) for device in self.devices) <= TOTAL


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.mark.proof
class TestPoolAtLength(PoolMachine.TestCase):
    settings = settings(max_examples=1000, stateful_step_count=50, deadline=None)
