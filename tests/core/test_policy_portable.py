from usageguard.config.limits import make_plan
from usageguard.core.cycle import CalendarCycle
from usageguard.core.octets import Octets
from usageguard.core.plan import Rating, TrafficClass
from usageguard.core.policy import (
    BIT,
    CARRIER_REFUSED,
    CARRIER_STOP,
    CODE,
    EVENTS,
    NEW_CYCLE,
    PACE,
    RAISED_BY,
    REASONS,
    SAVE,
    Policy,
    transition,
)

from tests.portable import without_heap

CLASSES = (TrafficClass("telemetry", 10), TrafficClass("report", 1, True))


def make(allowance, observe=False):
    policy = Policy(make_plan(allowance, CalendarCycle(1, 480), Rating()), CLASSES, observe)
    policy.cross(Octets(0))
    return policy


def test_a_plan_of_5_gb():
    policy = make(5 << 30)
    used = Octets((5 << 30) - (3 << 20))
    assert policy.cross(used) & SAVE, "all warnings"
    assert policy.verdict() == "warned", policy.verdict()
    assert policy.admits(0, used, 1 << 20), "1 MiB is left"
    assert not policy.admits(0, used, (1 << 20) + 1), "and no more"
    used.add(1 << 20)
    policy.cross(used)
    assert policy.names() == ["QUOTA_EXHAUSTED"], policy.names()
    assert not policy.admits(0, used, 1), "the quota is used up"
    assert policy.admits(1, used, 1 << 20), "the reserve is left"


def test_each_reason_has_a_bit_of_its_own():
    bits = {row[CODE]: row[BIT] for row in REASONS}
    assert len(set(bits.values())) == len(bits), bits
    for code, bit in bits.items():
        assert bit > 0, code
        assert not bit & (bit - 1), code
    assert bits["CARRIER_STOP"] == CARRIER_STOP, CARRIER_STOP


def test_illegal_event():
    policy = make(1 << 20)
    policy.apply(CARRIER_REFUSED)
    for event in (0, 60, -1, 1 << 28, None, "NEW_CYCLE", 1.5):
        try:
            policy.apply(event)
        except ValueError:
            assert policy.names() == ["CARRIER_STOP"], event
            continue
        raise AssertionError(event)


def test_the_table_here_too():
    every = 0
    for row in REASONS:
        every = transition(every, row[RAISED_BY])
        assert every & row[BIT], row
    for row in REASONS:
        own = [event for event in EVENTS if not transition(row[BIT], event)]
        for event in own:
            assert not transition(every, event) & row[BIT], row
        assert own, "a way back"


def test_a_days_budget():
    policy = make(5 << 30)
    used = Octets(3 << 30)
    policy.set_limit(PACE, (3 << 30) + 100, used)
    assert policy.admits(0, used, 100), "up to the mark"
    assert not policy.admits(0, used, 101), "and no further"
    policy.set_limit(PACE, 3 << 30, used)
    assert policy.names() == ["PACED"], policy.names()
    assert policy.admits(1, used, 1 << 20), "reports go"
    policy.set_limit(PACE, None, used)
    assert policy.verdict() == "warned", policy.verdict()


def test_hot_path_without_heap():
    used = Octets(0)
    open_policy, observing, refused = make(30 << 20), make(30 << 20, True), make(30 << 20)
    refused.apply(CARRIER_REFUSED)
    refused.apply(NEW_CYCLE)

    def send():
        count = 0
        while not open_policy.past_mark(used):
            for index in (0, 1):
                if open_policy.admits(index, used, 1500) and observing.admits(index, used, 1500):
                    used.add(1500)
                    count += 1
                assert not refused.admits(index, used, 1500)
        return count

    assert without_heap(send) == -(-15 * (1 << 20) // 1500), used.value()
