"""Grants through the collector's own order book: a fleet whose members are dead, deaf or greedy, on one pool."""

import random
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import cbor2
import pytest

from host_tools.base.days import day_number
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from host_tools.platforms.grants import Terms, share
from host_tools.platforms.interface import Package, Usage
from host_tools.platforms.ledger import CarrierLedger
from tests.collector.sealed import full
from tests.platforms.carrier_world import CHINA

START = date(2026, 3, 1)
MARCH = day_number(START)
BEGIN = datetime(2026, 3, 1, tzinfo=CHINA).astimezone(UTC)
TERMS = Terms(1_000, timedelta(days=2), timedelta(hours=30), 20)
HOUR = timedelta(hours=1)


@pytest.fixture
def store():
    with closing(Store()) as made:
        yield made


def pool(total, used):
    return [Package("pool", total, used, total - used)]


def report(store, device, at, used, seq=0, counter=0, path="coap"):
    values = full(cycle_id=MARCH, seq=seq, counter=counter, carried_octets=used, rated_octets=used)
    store.add(device, Report(*values), cbor2.dumps(values), at, path)


def test_everybody_gets_an_even_share_at_first_and_nobody_more_than_there_is(store):
    now = BEGIN + HOUR
    for device in "abc":
        report(store, device, now, 0)
    found = share(store, [*"abc"], pool(310_000, 0), TERMS, START, now)
    even = 310_000 * 98 // 100 // 3
    assert found.granted == dict.fromkeys("abc", round(even * (78 / 24 / 31)))
    order = store.book.pending("a")
    assert (order.grant.cycle_id, order.grant.valid_s, order.grant.pool_octets) == (MARCH, 172_800, 310_000)
    assert share(store, [*"abc"], pool(310_000, 0), TERMS, START, now).granted == {}  # they wait already
    small = share(store, [*"abc"], pool(3_300, 0), TERMS, START, now)
    assert sum(small.granted.values()) <= 3_234


def test_what_members_report_until_the_end_is_set_aside(store):
    terms = Terms(1_000, timedelta(days=2), timedelta(hours=30), 20, reports_a_day=500)
    for days, total in ((1, 98_000 - 3 * 30 * 500), (30, 98_000 - 3 * 500), (31, 98_000)):
        assert share(store, [*"abc"], pool(100_000, 0), terms, START, BEGIN + timedelta(days=days)).total == total


def test_sims_outside_the_fleet_are_left_their_part(store):
    now = BEGIN + timedelta(days=15, hours=12)
    report(store, "a", now, 1_000)
    usage = Usage("1440000000001", 1_000, START, now, "25U03")
    CarrierLedger(store.database).add("a", usage)
    found = share(store, ["a"], pool(100_000, 41_000), TERMS, START, now)
    assert found.total == 98_000
    assert 0 < found.granted["a"] < 98_000 - 2 * 39_000  # the others have used half of theirs


def test_a_device_of_another_cycle_is_granted_nothing_and_may_use_its_first_grant(store):
    now = BEGIN + HOUR
    report(store, "a", now, 0)
    old = full(cycle_id=MARCH - 28, carried_octets=9, rated_octets=9)
    store.add("b", Report(*old), cbor2.dumps(old), now, "coap")
    found = share(store, ["a", "b", "never-seen"], pool(2_100, 0), TERMS, START, now)
    assert found.silent == ("b", "never-seen")
    assert found.committed == 3_000
    assert found.granted == {"a": 1_000}


def test_a_grant_that_waits_for_a_silent_member_is_withdrawn(store):
    """Otherwise it would get it with its next report, after another has got the same octets."""
    now = BEGIN + HOUR
    for device in "ab":
        report(store, device, now, 0)
    share(store, ["a", "b"], pool(100_000, 0), TERMS, START, now)
    assert store.book.pending("b").grant
    now += timedelta(hours=31)
    report(store, "a", now, 0, seq=1)
    share(store, ["a", "b"], pool(100_000, 0), TERMS, START, now)
    assert store.book.pending("b") is None
    assert [each.state.value for each in store.book.given(["b"])] == ["cancelled"]


def test_a_platform_that_says_nothing(store):
    with pytest.raises(ValueError, match="does not say"):
        share(store, [], [], TERMS, START, BEGIN)


@dataclass
class Device:
    """A member: obeys the grant that it knows, for as long as it is valid; no firmware in it."""

    name: str
    wish: int  # octets an hour
    used: int = 0
    granted: int = TERMS.first_grant_octets
    ends: datetime | None = None
    counter: int = 0
    seq: int = 0
    starved: int = 0  # hours in which it wanted data and had no grant

    def live(self, now):
        valid = self.granted if self.ends is None or now < self.ends else 0
        more = min(self.wish, max(valid - self.used, 0))
        self.starved += more < self.wish
        self.used += more

    def obey(self, order, now):
        if order.counter > self.counter:
            self.counter = order.counter
            self.granted = order.grant.granted_octets if order.grant.pool_octets else 0
            self.ends = now + timedelta(seconds=order.grant.valid_s)


def month(store, seed, members, total, wish):
    """The members after a month in which exchanges are lost, some are dead for days, and figures are a day old; and
    those that were not."""
    rng = random.Random(seed)
    devices = [Device(f"d{index:03}", rng.randint(0, 2 * wish)) for index in range(members)]
    dead = {each.name: rng.randint(0, 31) for each in devices if rng.random() < 0.2}
    ledger, down = CarrierLedger(store.database), rng.randint(5, 25)
    shown = 0
    for hour in range(31 * 24):
        now = BEGIN + hour * HOUR
        for device in devices:
            device.live(now)
            day = hour // 24
            asleep = dead.get(device.name, 99) <= day < dead.get(device.name, 99) + 4
            if hour % 6 or asleep or rng.random() < 0.1:
                continue
            report(store, device.name, now, device.used, device.seq, device.counter)
            device.seq += 1
            order = store.book.send(device.name, now)
            if order is not None and rng.random() < 0.9:
                device.obey(order, now)
        if hour % 24 == 0:
            for device in devices:
                ledger.add(device.name, Usage("", device.used, START, now, "25U03"))
            shown = sum(device.used for device in devices)
        if hour % 6 == 3 and hour // 24 != down:
            share(store, [device.name for device in devices], pool(total, shown), TERMS, START, now)
        assert sum(device.used for device in devices) <= total, hour
    return devices, [device for device in devices if device.name not in dead]


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2])
def test_a_month_of_a_fleet_on_a_pool_that_is_too_small(store, seed):
    """Never over the pool, of which at least nine tenths are used, though a fifth of the members is dead for days."""
    total = 2_000_000
    devices, _ = month(store, seed, 20, total, wish=300)  # they want twice as much
    assert sum(device.used for device in devices) > total * 9 // 10
    assert all(device.used > 0 for device in devices if device.wish)


@pytest.mark.proof
def test_a_month_of_a_fleet_on_a_pool_that_is_large_enough(store):
    """Nobody who reports lacks data while there is some left, but for the hours until the first grant."""
    _, alive = month(store, 3, 20, 6_000_000, wish=300)
    assert max(device.starved for device in alive) <= 24
