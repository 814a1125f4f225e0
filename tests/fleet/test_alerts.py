"""Alerts: once for each cause and period, over when the cause is, and never lost or doubled between two processes."""

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from host_tools.base import days
from host_tools.bench.fleets import ALLOWANCE, MB, made
from host_tools.collector.connect import connected
from host_tools.collector.database import StoreError
from host_tools.collector.store import Store
from host_tools.fleet.alerting import Alerting
from host_tools.fleet.alerts import CLAIM, AlertBook
from host_tools.fleet.index import Index, Reader
from host_tools.fleet.rules import RULES, Cause, Rules, of_alarm
from host_tools.fleet.watch import Terms, Watch
from host_tools.platforms.interface import Data, Life, State, Usage
from host_tools.platforms.ledger import CarrierLedger
from host_tools.platforms.sync import Sync
from host_tools.sim.carrier import Package
from tests.collector.conftest import database, new_database, postgresql_server  # noqa: F401
from tests.platforms.carrier_world import SIMS, CarrierWorld

START = datetime(2026, 3, 1, tzinfo=UTC)
CYCLE = days.day_number(START.date())
NOW = START + timedelta(days=10)
HOUR = timedelta(hours=1)


class Fleet:
    """A collector's database, and what looks at it, at a time of the test's own."""

    def __init__(self, name, rules=None, keep=None):
        self.name = name
        self.store = Store(name)
        self.watched = Store(name, upgrade=False)
        self.index = Index()
        self.reader = Reader(self.index)
        self.watch = Watch(self.watched, self.index, Terms(ALLOWANCE))
        self.alerting = Alerting(self.watched.database, self.reader, rules or Rules(), keep)
        self.book = AlertBook(self.store.database)
        self.ledger = CarrierLedger(self.store.database)
        self.seq = 0

    def close(self):
        for each in (self.reader, self.index, self.watched, self.store):
            each.close()

    def report(self, device, at, rated=MB, **told):
        self.seq += 1
        usual = {"seq": self.seq, "cycle_id": CYCLE, "base": 0, "rated": rated}
        report, payload = made(**usual | {"sim": device.encode().ljust(4)[:4]} | told)
        return self.store.add(device, report, payload, at, "coap")

    def look(self, at=NOW):
        self.alerting.note(self.watch.refresh(at))
        self.alerting.look(at)
        return self.told()

    def told(self, show="all"):
        return {(each.rule, each.subject) for each in self.book.page(show)}


@pytest.fixture
def fleet(request, database):  # noqa: F811
    """Which keeps alerts for ever, or for the parameter."""
    with closing(Fleet(database, keep=getattr(request, "param", None))) as made:
        yield made


def stored(fleet, rule, number, raised, ended=None, acknowledged=None, snoozed=None, sent=True):
    """An alert by what it was days before NOW."""
    days_ago = raised, ended, acknowledged, snoozed
    at = [None if each is None else (NOW - timedelta(days=each)).isoformat() for each in days_ago]
    with fleet.store.database.transaction():
        ((id,),) = fleet.store.database.execute(
            "INSERT INTO alert (rule, subject, cause, period, raised_at, detail, round, ended_at, acknowledged_at,"
            " acknowledged_by, snoozed_until) VALUES (?, ?, '', '', ?, '', 1, ?, ?, ?, ?) RETURNING id",
            (rule, f"device-{number}", *at[:3], at[2] and "ada", at[3]),
        )
        fleet.store.database.execute(
            "INSERT INTO alert_notice VALUES ('mail', ?, 1, ?, 1, ?, '')", (id, at[0], at[0] if sent else None)
        )
    return id


@pytest.mark.parametrize("fleet", [timedelta(days=30)], indirect=True)
def test_alerts_of_long_ago_are_removed(fleet):
    goes = [("stopped", 40, 31), ("silent", 40, 31, 35), ("sim-moved", 31), ("order-refused", 40, None, 31)]
    stays = [
        ("stopped", 40, 29),  # not long enough ago
        ("stopped", 40),  # it lasts
        ("stopped", 40, None, 39),  # though somebody knows
        ("runs-out", 40, None, None, -1),
        ("sim-moved", 29),
        ("sim-moved", 40, None, None, -1),
        ("sim-moved", 40, None, 29),
    ]  # fmt: skip
    for number, each in enumerate(goes):
        stored(fleet, each[0], number, *each[1:])
    kept = {stored(fleet, each[0], 100 + number, *each[1:]) for number, each in enumerate(stays)}
    kept.add(stored(fleet, "sim-moved", 200, 40, sent=False))
    fleet.alerting._remove(NOW)
    assert {each.id for each in fleet.book.page("all")} == kept
    notices = fleet.store.database.execute("SELECT alert FROM alert_notice")
    assert {id for (id,) in notices} == kept


@pytest.mark.parametrize("fleet", [timedelta(days=30)], indirect=True)
def test_nobody_is_told_again_of_what_lasts_for_long(fleet):
    fleet.report("a", NOW, verdict=4, reasons=0)
    fleet.report("b", NOW, verdict=4, reasons=0)
    assert fleet.look() == {("stopped", "a"), ("stopped", "b")}
    fleet.report("b", NOW + HOUR)
    fleet.look(NOW + HOUR)
    later = NOW + timedelta(days=40)
    assert ("stopped", "b") not in fleet.look(later)
    (alert,) = [each for each in fleet.book.page("all", "a") if each.rule == "stopped"]
    assert (alert.raised_at, alert.round) == (NOW, 1)


def test_the_end_of_a_package_comes_from_the_platform_and_goes_with_its_renewal(fleet):
    plan = {"package": Package(12), "activated": date(2026, 1, 1)}
    world = CarrierWorld(sims=1, start="2026-12-23T09:00:00+08:00", plan=plan)
    fleet.report("a", world.clock.utc())
    shown = []
    for day in range(4):
        if day == 3:
            world.carrier.renew(world.imsi[SIMS[0]], 12)
        asyncio.run(Sync("onelink", {"a": SIMS[0]}, world.client(), fleet.store).run(world.clock.utc()))
        fleet.look(world.clock.utc())
        shown.append([each.detail for each in fleet.book.page("open", "a") if each.rule == "package-ends"])
        world.run(days=1)
    told = ["its package ends on 2026-12-31"]
    assert shown == [[], told, told, []]


def test_many_alerts_are_removed_some_at_a_time(fleet):
    for number in range(5):
        stored(fleet, "sim-moved", number, 40)
    before = NOW - timedelta(days=30)
    assert [fleet.book.remove(before, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_each_rule_finds_its_cause(fleet):
    fleet.report("calm", NOW)
    fleet.report("soon", NOW, 15 * MB)
    fleet.report("stopped", NOW, verdict=4, reasons=0)
    fleet.report("cut", NOW)
    fleet.ledger.put("cut", State("1", Life.STOPPED, Data.OFF, ("exhausted",), {}), NOW)
    for hours in (9, 8, 7, 6):
        fleet.report("silent", NOW - hours * HOUR)
    fleet.report("drifts", NOW - HOUR)
    fleet.ledger.put("drifts", State("2", Life.ACTIVE, Data.ON, (), {}), NOW)
    fleet.ledger.put_plan("drifts", ALLOWANCE, (NOW + timedelta(days=5)).date())
    fleet.ledger.add("drifts", Usage("2", 4 * MB, START.date(), NOW, "made-up"))
    fleet.ledger.note_sync("made-up", NOW, "")
    with fleet.store.database.transaction():
        fleet.store.database.execute(
            "INSERT INTO carrier_pool VALUES ('a', '2026-03-01', ?, 1000, 901), ('b', '2026-03-01', ?, 1000, 800),"
            " ('c', '2026-03-01', ?, 0, 0)",
            (NOW.isoformat(),) * 3,
        )
    for kind in ("carrier_stops_first", "order_refused", "new_life", "usage_went_back", "sim_elsewhere"):
        fleet.ledger.alarm("alarmed", kind, "why", NOW)
    fleet.look()  # the figures are compared after the devices
    assert fleet.look() == {
        ("runs-out", "soon"), ("stopped", "stopped"), ("carrier-stopped", "cut"), ("silent", "silent"),
        ("drift", "drifts"), ("package-ends", "drifts"), ("pool-low", "a"), ("carrier-first", "alarmed"),
        ("order-refused", "alarmed"), ("ledger-lost", "alarmed"), ("two-of-one", "alarmed"), ("sim-moved", "alarmed"),
    }  # fmt: skip
    assert {rule for rule, _ in fleet.told()} == set(RULES)


def test_a_cause_is_told_of_once_in_a_period_and_is_over_by_itself(fleet):
    fleet.book.register({"here": ()})
    for hour, verdict in enumerate((4, 4, 0, 4)):
        fleet.report("a", NOW + hour * HOUR, verdict=verdict)
        fleet.look(NOW + hour * HOUR)
        assert fleet.told("open") == ({("stopped", "a")} if verdict else set())
        assert fleet.told("over") == (set() if verdict else {("stopped", "a")})
    assert len(fleet.book.claim("here", NOW + 4 * HOUR, 10)) == 1
    later = NOW + timedelta(days=31)
    fleet.report("a", later, verdict=4, cycle_id=CYCLE + 31)
    fleet.look(later)
    assert [each.period for each in fleet.book.page("all")] == ["2026-04-01", "2026-03-01"]
    assert [each.period for each in fleet.book.page("open")] == ["2026-04-01"]


def test_a_restart_finds_nothing_twice(fleet, database):  # noqa: F811
    fleet.report("a", NOW, verdict=4)
    for hours in (99, 98, 97, 96):
        fleet.report("b", NOW - hours * HOUR)
    fleet.ledger.alarm("a", "order_refused", "order 3", NOW)
    before = fleet.look()
    with closing(Fleet(database)) as again:
        assert again.look(NOW + HOUR) == before
        assert [each.ended_at for each in again.book.page("all")] == [None] * 3


@pytest.mark.parametrize(
    ("gaps", "silence"),
    [([24] * 7, 72), ([1, 1, 24, 1, 1], 3), ([0.1] * 5, 2), ([24], 26), ([], 26)],
)
def test_how_long_a_device_is_silent_when_people_are_told(gaps, silence):
    """Three of its usual intervals, whatever it sent in between; two hours at least."""
    seen = [NOW]
    for gap in gaps:
        seen.append(seen[-1] - gap * HOUR)
    assert Rules().silence(seen) == silence * HOUR


def test_silence_ends_with_a_report(fleet):
    for hours in (4, 3, 2, 1):
        fleet.report("a", NOW - hours * HOUR)
    fleet.look()
    assert fleet.look(NOW + 1.9 * HOUR) == set()
    fleet.look(NOW + 2 * HOUR)
    assert fleet.told("open") == {("silent", "a")}
    fleet.report("a", NOW + 3 * HOUR)
    fleet.look(NOW + 3 * HOUR)
    assert fleet.told("over") == {("silent", "a")}


def test_rules_that_are_off_find_nothing(database):  # noqa: F811
    with closing(Fleet(database, Rules(off=("stopped", "order-refused")))) as fleet:
        fleet.report("a", NOW, verdict=4)
        fleet.ledger.alarm("a", "order_refused", "order 3", NOW)
        assert fleet.look() == set()


def test_two_orders_refused_are_two_causes_and_one_is_not():
    one, again, other = (of_alarm("order_refused", "a", text, CYCLE, NOW) for text in ("3", "3", "4"))
    assert one == again != other
    assert of_alarm("carrier_stopped", "a", "", CYCLE, NOW) is None
    moved = {of_alarm("sim_changed", "a", sim, CYCLE, NOW).cause for sim in ("1", "2")}
    assert moved == {""}


def test_what_could_not_be_written_is_found_again(fleet, monkeypatch):
    fleet.report("a", NOW, verdict=4)
    for hours in (99, 98, 97, 96):
        fleet.report("b", NOW - hours * HOUR)
    fleet.alerting.note(fleet.watch.refresh(NOW))
    with monkeypatch.context() as patch:
        patch.setattr(AlertBook, "settle", lambda *_: (_ for _ in ()).throw(StoreError("locked")))
        with pytest.raises(StoreError):
            fleet.alerting.look(NOW)
    fleet.alerting.look(NOW + HOUR / 60)
    assert fleet.told() == {("stopped", "a"), ("silent", "b")}


# --- the book ---

CAUSES = [Cause("stopped", f"device-{number}", "2026-03-01", "why") for number in range(3)]


@pytest.fixture
def book(database):  # noqa: F811
    with closing(Store(database)) as store:
        book = AlertBook(store.database)
        book.register({"all": (), "some": ("silent", "stopped"), "none": ("silent",)})
        yield book


def test_each_channel_gets_what_it_wants(book):
    ids = book.settle(CAUSES, (), NOW)
    assert [each.id for each in book.claim("all", NOW, 10)] == ids
    assert [each.id for each in book.claim("some", NOW, 10)] == ids
    assert book.claim("none", NOW, 10) == book.claim("unknown", NOW, 10) == []


def test_nothing_waits_for_a_channel_that_is_gone(book):
    ids = book.settle(CAUSES, (), NOW)
    book.register({"some": ("stopped",)})
    book.settle([replace(CAUSES[0], subject="later")], (), NOW)
    assert [(each.channel, each.notices) for each in book.waiting()] == [("some", len(ids) + 1)]


def test_what_is_claimed_is_sent_by_nobody_else_until_the_claim_has_run_out(book, database):  # noqa: F811
    book.settle(CAUSES, (), NOW)
    with closing(connected(database, 5, False)) as other:
        first = book.claim("all", NOW, 2)
        assert [each.id for each in AlertBook(other).claim("all", NOW, 10)] == [first[-1].id + 1]
        assert AlertBook(other).claim("all", NOW + CLAIM - HOUR / 3600, 10) == []
        again = AlertBook(other).claim("all", NOW + CLAIM, 10)
    assert [each.id for each in again[:2]] == [each.id for each in first]
    book.sent("all", again, NOW + CLAIM)
    assert book.claim("all", NOW + 99 * CLAIM, 10) == []


def test_failures_are_tried_again_at_growing_intervals(book):
    book.settle(CAUSES[:1], (), NOW)
    at, pauses = NOW, []
    for _ in range(12):
        alerts = book.claim("all", at, 1)
        book.failed("all", alerts, "HTTP status 500", at)
        (waits,) = [each for each in book.waiting() if each.channel == "all"]
        assert (waits.notices, waits.problem) == (1, "HTTP status 500")
        due = at
        while not (found := book.claim("all", due, 1)):
            due += timedelta(seconds=10)
        pauses.append((due - at).total_seconds())
        book.failed("all", found, "HTTP status 500", due)
        at = due + timedelta(hours=1)
    assert pauses[0] == 10
    assert pauses == sorted(pauses)
    assert pauses[-1] == 3600


def test_acknowledged_is_not_told_again_and_snoozed_is_when_it_lasts(book):
    ids = book.settle(CAUSES, (), NOW)
    book.sent("all", book.claim("all", NOW, 10), NOW)
    assert book.acknowledge(ids[:1], "me", NOW) == 1
    assert book.acknowledge(ids[:1], "you", NOW) == 0
    assert book.snooze(ids, NOW + HOUR) == 2
    assert [each.state for each in book.page("all")] == ["snoozed", "snoozed", "acknowledged"]
    assert book.open_by_rule() == {}
    book.settle((), ids[2:], NOW)
    book.wake(NOW + HOUR - timedelta(seconds=1))
    assert book.claim("all", NOW + HOUR, 10) == []
    book.wake(NOW + HOUR)
    assert [(each.id, each.round) for each in book.claim("all", NOW + HOUR, 10)] == [(ids[1], 2)]
    assert [each.state for each in book.page("all")] == ["over", "open", "acknowledged"]
    assert book.alert(ids[0]).acknowledged_by == "me"


def test_pages_go_both_ways(book):
    ids = book.settle([replace(CAUSES[0], subject=str(number)) for number in range(5)], (), NOW)
    assert [each.id for each in book.page(most=2)] == ids[:2:-1]
    assert [each.id for each in book.page(before=ids[3], most=2)] == [ids[2], ids[1]]
    assert [each.id for each in book.page(after=ids[1], most=2)] == ids[2:4]
    assert [each.subject for each in book.page(subject="3")] == ["3"]
