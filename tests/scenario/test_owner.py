"""The owner's owner: what it tells a device, when, and what it keeps to itself."""

import dataclasses
from datetime import UTC, date, datetime, timedelta

import cbor2
import msgspec
import pytest

from host_tools.collector.order import Allowance, Balance, CarrierUsed, Grant, Order, SetUsed
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from host_tools.scenario.owner import GRANT_EXPIRED, Instruction, Owner, OwnerConfig
from host_tools.sim.carrier.carrier import News
from tests.collector.sealed import DEVICE, fields

START = datetime(2026, 3, 1, tzinfo=UTC)
CYCLE = 9556  # from 2026-03-01
CYCLES = {"2026-03-01": CYCLE, "2026-04-01": CYCLE + 1, "test": 1}
PLAN = {"allowance_octets": 1_000_000}

NEWS = News(
    cycle_label="2026-03-01",
    used_octets=0,
    used_as_of=START,
    balance_fen=None,
    cost_fen=0,
    expires=None,
    stops=(),
    pool_remaining=None,
    pool_members=0,
    sim_cap=None,
    throttle_octets_per_s=None,
    phase="billing",
    card_status="00",
    stop_reason="",
    slowed_to_octets_per_s=None,
    billing_since=date(2026, 3, 1),
    reminders=(),
)


CLASSES = ["telemetry", "report", "ota"]


class Scene:
    """An owner, the platform that it reads, and a device that reports and takes every order."""

    def __init__(self, plan=PLAN, orders=(), push=None, news_s="1h", valid_s="1d"):
        raw = {"news_s": news_s, "valid_s": valid_s} | ({} if push is None else {"push": push})
        rules = msgspec.convert(raw, OwnerConfig, dec_hook=lambda kind, value: kind.parse(value))
        instructions = [
            msgspec.convert(order, Instruction, dec_hook=lambda kind, value: kind.parse(value)) for order in orders
        ]
        self.news, self.read = NEWS, 0
        self.store = Store()
        self.owner = Owner(self.store, START, plan, instructions, rules, self._read, CYCLES.get, CLASSES)
        self.seq = 0
        self.sent = []

    def _read(self):
        self.read += 1
        return self.news

    def shows(self, **changed):
        self.news = dataclasses.replace(self.news, **changed)

    def report(self, hours, **changed):
        """The keys of the order that answers a report so many hours after the start; None without one."""
        now = START + timedelta(hours=hours)
        mine = {"boot_id": 1, "seq": self.seq, "cycle_id": CYCLE, "counter": len(self.sent), "rated_octets": 0}
        values = fields(**mine | changed)
        self.seq += 1
        self.store.add(DEVICE, Report(*values), cbor2.dumps(values), now, "coap")
        order = self.owner.order(DEVICE, Report(*values), now)
        if order is None:
            return None
        self.store.book.add(DEVICE, order, now)
        self.sent.append(order)
        assert order.counter == self.owner.sent == len(self.sent)
        return {key: getattr(order, key) for key in order.__struct_fields__[1:] if getattr(order, key) is not None}


# --- the owner's own word ---


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ({"stop": True}, {"stop": 1}),
        ({"stop": False}, {"stop": 0}),
        ({"limit_octets": "10MB"}, {"limit": 10 << 20}),
        ({"limit_octets": 0}, {"limit": 0}),
        ({"throttle_octets_s": "2KB"}, {"throttle": 2048}),
        ({"expiry": "2026-04-01"}, {"expiry": 9587}),
        ({"billing": date(2000, 1, 2)}, {"billing": 1}),
        ({"balance_fen": -50}, {"balance": Balance(CYCLE, -50, 70)}),
        ({"balance_fen": 50, "cost_fen": 0}, {"balance": Balance(CYCLE, 50, 0)}),
        ({"carrier_used_octets": 900}, {"carrier_used": CarrierUsed(CYCLE, 900, 9556, 7200, 800)}),
        ({"grant_octets": "1KB"}, {"grant": Grant(CYCLE, 1024, 86_400, 1024)}),
        ({"grant_octets": 5, "pool_octets": 0}, {"grant": Grant(CYCLE, 5, 86_400, 0)}),
        ({"set_used_octets": 300}, {"set_used": SetUsed(CYCLE, 300)}),
        ({"allowance_octets": "1KB"}, {"allowance": Allowance(CYCLE, 1024, 0)}),
        ({"allowance_octets": 0, "following": True}, {"allowance": Allowance(CYCLE, 0, 1)}),
        ({"accept": True, "release": True}, {"accept": 1, "release": 1}),
        ({"diagnose": True, "report_now": True}, {"diagnose": 1, "report_now": 1}),
        ({"operator": 46001}, {"operator": 46001}),
        ({"operator": 0}, {"operator": 0}),
        ({"hold": ["ota", "telemetry"]}, {"hold": 5}),
        ({"hold": []}, {"hold": 0}),
    ],
)
def test_what_the_owner_writes(written, keys):
    scene = Scene(orders=[{"at": "1h", **written}])
    assert scene.report(0) is None
    assert scene.report(2, rated_octets=800, cost_fen=70) == keys
    assert scene.report(3) is None
    assert scene.read == 0, "nobody asked for the platform's news"


def test_what_piled_up_goes_as_one_order_and_the_last_word_counts():
    scene = Scene(
        orders=[
            {"at": "3h", "stop": False, "release": True},
            {"at": "1h", "stop": True, "limit_octets": 5},
            {"at": "9h", "accept": True},
        ]
    )
    assert scene.report(4) == {"stop": 0, "limit": 5, "release": 1}
    assert scene.report(9) == {"accept": 1}


def test_the_owners_word_counts_before_the_platforms():
    scene = Scene(orders=[{"at": "1h", "balance_fen": 5}], push=["balance", "stop"])
    scene.shows(balance_fen=900, stops=("manual",))
    assert scene.report(1) == {"stop": 1}, "alone"
    assert scene.report(1) == {"balance": Balance(CYCLE, 5, 0)}


def test_a_stop_that_is_due_does_not_wait_for_what_waits():
    scene = Scene(
        orders=[
            {"at": "1h", "limit_octets": 5, "stop": False},
            {"at": "2h", "stop": True, "accept": True},
            {"at": "3h", "stop": False},
            {"at": "9h", "stop": True},
        ]
    )
    now = START + timedelta(hours=2)
    report = Report(*fields(seq=99))
    assert scene.owner.stop(DEVICE, report, now) == Order(counter=1, stop=1)
    assert scene.owner.stop(DEVICE, report, now) is None, "once"
    scene.store.book.add(DEVICE, Order(counter=1, stop=1), now)
    scene.sent.append(None)
    assert scene.report(2) == {"limit": 5, "accept": 1}, "not the word before it"
    assert scene.owner.stop(DEVICE, report, START + timedelta(hours=3)) is None
    assert scene.report(3) == {"stop": 0}
    assert scene.owner.stop(DEVICE, report, START + timedelta(hours=9)) is not None


def test_the_platforms_stop_does_not_wait_either():
    scene = Scene(push=["stop"])
    report = Report(*fields())
    assert scene.owner.stop(DEVICE, report, START) is None
    scene.shows(stops=("manual",))
    assert scene.owner.stop(DEVICE, report, START) == Order(counter=1, stop=1)
    scene.store.book.add(DEVICE, Order(counter=1, stop=1), START)
    scene.sent.append(None)
    assert scene.report(0) is None


def test_counters_go_on_from_what_a_device_has_already():
    scene = Scene(orders=[{"at": "0s", "stop": True}])
    values = fields(counter=41)
    scene.store.add(DEVICE, Report(*values), cbor2.dumps(values), START, "coap")
    assert scene.owner.order(DEVICE, Report(*values), START) == Order(counter=42, stop=1)


# --- the platform's news ---


def test_the_platform_is_read_at_most_every_news_s():
    scene = Scene(push=["stop"])
    for hours in (0, 0.5, 0.99):
        scene.report(hours)
    assert scene.read == 1
    scene.shows(stops=("exhausted", "manual"))
    assert scene.report(0.999) is None
    assert scene.report(1) == {"stop": 1}
    assert scene.report(2) is None
    scene.shows(stops=("exhausted",))
    assert scene.report(3) == {"stop": 0}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, None),
        ({"account": {"balance_fen": 1}}, {"balance": Balance(CYCLE, 500, 0)}),
        ({"package": {"months": 3}}, {"expiry": 9587}),
        ({"pool": {}}, {"grant": Grant(CYCLE, 1000, 86_400, 4000)}),
        ({"lifecycle": {}}, {"billing": 9556}),
    ],
)
def test_by_itself_a_desk_tells_what_the_plan_needs(table, told):
    scene = Scene(plan=PLAN | table)
    scene.shows(balance_fen=500, expires=date(2026, 4, 1), pool_remaining=4000, pool_members=2, stops=("manual",))
    assert scene.report(1) == told


def test_nothing_is_told_that_was_not_asked_for():
    scene = Scene(plan=PLAN | {"account": {}}, push=[])
    scene.shows(balance_fen=500)
    assert scene.report(1) is None


def test_balance_only_where_money_came_or_went_otherwise_than_by_the_cost():
    scene = Scene(push=["balance"])
    scene.shows(balance_fen=500)
    assert scene.report(0) == {"balance": Balance(CYCLE, 500, 0)}
    scene.shows(balance_fen=380, cost_fen=120)
    assert scene.report(1) is None, "the device has taken that off itself"
    scene.shows(balance_fen=1380)
    assert scene.report(2) == {"balance": Balance(CYCLE, 1380, 120)}
    scene.shows(balance_fen=1300)
    assert scene.report(3) == {"balance": Balance(CYCLE, 1300, 120)}
    scene.shows(cycle_label="2026-04-01", cost_fen=0)
    assert scene.report(4) == {"balance": Balance(CYCLE + 1, 1300, 0)}


def test_expiry_again_when_renewed():
    scene = Scene(push=["expiry"])
    assert scene.report(0) is None
    scene.shows(expires=date(2026, 4, 1))
    assert scene.report(1) == {"expiry": 9587}
    assert scene.report(2) is None
    scene.shows(expires=date(2026, 7, 1))
    assert scene.report(3) == {"expiry": 9587 + 30 + 31 + 30}


def test_billing_once_when_it_begins():
    scene = Scene(push=["billing"])
    scene.shows(phase="test", cycle_label="test", billing_since=None)
    assert scene.report(0) is None
    scene.shows(phase="billing", cycle_label="2026-03-01", billing_since=date(2026, 3, 9))
    assert scene.report(1) == {"billing": 9556 + 8}
    scene.shows(cycle_label="2026-04-01")
    assert scene.report(2) is None


def test_carrier_used_goes_with_what_the_device_had_reported_by_then():
    scene = Scene(push=["carrier_used"], news_s="0s")
    scene.shows(used_octets=50, used_as_of=START - timedelta(hours=1))
    assert scene.report(0, rated_octets=10) is None, "no report is as old as that"
    scene.report(1, rated_octets=200_000)
    scene.report(2, rated_octets=300_000)
    scene.shows(used_octets=180_000, used_as_of=START + timedelta(hours=1, minutes=30))
    then = {"carrier_used": CarrierUsed(CYCLE, 180_000, 9556, 5400, 200_000)}
    assert scene.report(3, rated_octets=400_000) == then
    scene.shows(used_octets=189_999, used_as_of=START + timedelta(hours=2))
    assert scene.report(4) is None, "less than a hundredth of the allowance is no news"
    scene.shows(used_octets=190_000)
    assert scene.report(5) == {"carrier_used": CarrierUsed(CYCLE, 190_000, 9556, 7200, 300_000)}


def test_carrier_used_waits_for_a_report_of_its_own_cycle():
    scene = Scene(push=["carrier_used"], news_s="0s")
    scene.shows(cycle_label="2026-04-01", used_octets=70_000, used_as_of=START + timedelta(hours=1))
    assert scene.report(1, rated_octets=500) is None
    scene.shows(used_as_of=START + timedelta(hours=2))
    told = scene.report(2, rated_octets=600, cycle_id=CYCLE + 1)
    assert told == {"carrier_used": CarrierUsed(CYCLE + 1, 70_000, 9556, 7200, 600)}


def test_a_device_whose_share_has_lapsed_is_given_one_when_it_asks():
    scene = Scene(push=["grant"])
    scene.shows(pool_remaining=4000, pool_members=2)
    share = Grant(CYCLE, 1000, 86_400, 4000)
    assert scene.report(1) == {"grant": share}
    assert scene.report(1.1) is None
    assert scene.report(1.2, reasons=GRANT_EXPIRED, reporting_reason=3) is None, "it gave its share back"
    assert scene.report(1.3, reasons=GRANT_EXPIRED, reporting_reason=0) == {"grant": share}


def test_grants_of_all_members_fit_into_the_pool():
    """All members at once are granted half of what is left, whatever they have used."""
    remaining, members, granted = 9_999, 7, []
    for used in range(0, 7000, 1000):
        scene = Scene(push=["grant"])
        scene.shows(pool_remaining=remaining, pool_members=members, used_octets=used)
        granted.append(scene.report(1, rated_octets=used // 2)["grant"].granted_octets - used)
    assert 0 < sum(granted) <= remaining // 2


@pytest.mark.parametrize(
    ("used", "reported", "cap", "granted"),
    [(300, 0, None, 1300), (300, 700, None, 1700), (0, 0, 600, 600), (700, 0, 600, 600)],
    ids=["the platform's figure", "the device's, where it is ahead", "the SIM's cap", "the cap exceeded"],
)
def test_a_grant_is_a_share_beyond_what_is_used(used, reported, cap, granted):
    scene = Scene(push=["grant"], valid_s="6h")
    scene.shows(pool_remaining=4000, pool_members=2, used_octets=used, sim_cap=cap)
    told = scene.report(1, rated_octets=9_000 + reported, rated_base=9_000)
    assert told == {"grant": Grant(CYCLE, granted, 21_600, 4000)}


def test_what_the_device_reports_of_another_cycle_is_not_this_ones_usage():
    scene = Scene(push=["grant"])
    scene.shows(pool_remaining=4000, pool_members=2, used_octets=300)
    assert scene.report(1, rated_octets=90_000, cycle_id=CYCLE - 1)["grant"].granted_octets == 1300


def test_a_grant_is_renewed_at_half_its_time_and_when_the_pool_changed():
    scene = Scene(push=["grant"], news_s="0s", valid_s="10h")
    scene.shows(pool_remaining=4000, pool_members=2)
    assert scene.report(0)["grant"].granted_octets == 1000
    scene.shows(pool_remaining=3300)
    assert scene.report(1) is None, "825 more would be a fifth off"
    assert scene.report(4.9) is None
    assert scene.report(5)["grant"].granted_octets == 825
    scene.shows(pool_remaining=2400)
    assert scene.report(6)["grant"].granted_octets == 600
    scene.shows(pool_remaining=0)
    assert scene.report(7)["grant"] == Grant(CYCLE, 0, 36_000, 0)
    scene.shows(pool_remaining=4)
    assert scene.report(8)["grant"] == Grant(CYCLE, 1, 36_000, 4)
    scene.shows(cycle_label="2026-04-01")
    assert scene.report(9)["grant"] == Grant(CYCLE + 1, 1, 36_000, 4)


def test_no_grant_before_the_billing_period():
    scene = Scene(push=["grant"])
    scene.shows(pool_remaining=4000, pool_members=2, phase="test", cycle_label="test", billing_since=None)
    assert scene.report(1) is None
