from usageguard.config.limits import make_plan
from usageguard.core.account.account import Account
from usageguard.core.account.orders import Ordered, check
from usageguard.core.account.pool import PoolTerms
from usageguard.core.account.standing import FIELDS, Standing
from usageguard.core.cycle import CalendarCycle
from usageguard.core.octets import Octets
from usageguard.core.plan import Rating, TrafficClass
from usageguard.core.policy import BALANCE, GRANT, LOCAL, Policy
from usageguard.core.tariff import Tariff

CLASSES = (TrafficClass("telemetry", 10), TrafficClass("report", 1, True))
GIB = 1 << 30
MARCH, NOON = 9556, (9560, 14400)  # 2026-03-01; the 5th, 12:00 in UTC+8


def make(buf):
    """5 GiB and 29 fen a MiB beyond them, at most 290; a pool, 1 GiB of it to begin with."""
    plan = make_plan(5 * GIB, CalendarCycle(1, 480), Rating(), "overage", tariff=Tariff(((0, 1 << 20, 29),), 290))
    plan.pool = PoolTerms(GIB, 0, "terminate")
    plan.balance_fen = 100
    plan.pace = plan.warn_forecast = True
    policy = Policy(plan, CLASSES)
    return Account(plan, policy, buf), policy


def order(account, counter, keys, used=2 * GIB):
    lifetime = Octets((1 << 40) + used)
    return Ordered(account).carry_out(counter, keys, Octets(used), lifetime, MARCH, NOON[0], NOON[1])


def test_orders():
    account, policy = make(bytearray(124))
    account.restore(0, 0, Octets(0), MARCH)
    assert policy.limit(GRANT) == GIB, policy.limit(GRANT)
    assert policy.limit(BALANCE) == 5 * GIB + 3 * (1 << 20), policy.limit(BALANCE)
    policy.cross(Octets(2 * GIB))
    assert policy.names() == ["POOL_EXHAUSTED"], policy.names()
    assert order(account, 1, {2: 3 * GIB, 7: [MARCH, 4 * GIB, 1 << 29, 1 << 40]}), "taken"
    assert policy.names() == [], policy.names()
    assert (policy.limit(LOCAL), policy.limit(GRANT)) == (3 * GIB, 4 * GIB), "limits"
    assert not order(account, 1, {1: 1}), "the same"
    for counter, keys in ((0, {1: 1}), (2, {1: 2}), (2, {13: 1}), (1 << 30, {1: 1}), (None, None)):
        assert not order(account, counter, keys), keys
    assert account.refused == 5, account.refused
    assert order(account, (1 << 30) - 1, {1: 1, 5: [MARCH, -(1 << 30), (1 << 30) - 1]}), "the last one"
    assert policy.names() == ["STOPPED_BY_HAND", "ARREARS"], policy.names()


def test_a_reset():
    buf = bytearray(124)
    account, policy = make(buf)
    used = Octets(2 * GIB)
    account.restore(0, 0, used, MARCH)
    order(account, 7, {1: 1, 2: 3 * GIB, 3: 900, 5: [MARCH, -300, 29], 7: [MARCH, 4 * GIB, 90000, 5]})
    account.time(NOON[0], NOON[1], used, Octets(1 << 41), MARCH, True)
    account.standing.store()
    after, policy_after = make(buf)
    after.restore(policy.reasons, policy.warned, used, MARCH)
    after.time(NOON[0], NOON[1], used, Octets(1 << 41), MARCH, True)
    assert policy_after.names() == policy.names(), policy_after.names()
    assert [policy_after.limit(kind) for kind in range(6)] == [policy.limit(kind) for kind in range(6)], "limits"
    assert (policy_after.open, policy_after.level) == (policy.open, policy.level), "admission"
    assert after.throttle() == account.throttle() == (900, 4096), after.throttle()


def test_the_carriers_figure():
    account, _ = make(bytearray(124))
    account.restore(0, 0, Octets(0), MARCH)
    lifetime = (1 << 40) + 2 * GIB
    done = Ordered(account)
    used = Octets(2 * GIB), Octets(lifetime)
    assert done.carry_out(1, {6: [MARCH, 2 * GIB + 5000, NOON[0], 0, lifetime]}, used[0], used[1], MARCH, NOON[0], 0)
    assert done.owed == 5000, done.owed
    assert account.standing.learned == 1, account.standing.learned


def test_what_is_stored():
    standing = Standing(bytearray(124))
    for i, (name, octets) in enumerate(FIELDS):
        setattr(standing, name, (1 << 8 * octets - 2) - i)
    standing.balance, standing.balance_cost = -(1 << 30), -1
    standing.store()
    again = Standing(standing._buf)
    for name, _ in FIELDS:
        assert getattr(again, name) == getattr(standing, name), name


def test_the_greatest_order():
    check((1 << 30) - 1, {2: 1 << 50, 6: [0xFFFF, 1 << 50, 0xFFFF, 86399, 1 << 50], 7: [0xFFFF, 1 << 50, 1 << 29, 0]})
