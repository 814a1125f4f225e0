"""Orders that somebody gives by way of the database, while a collector serves it."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host_tools.collector.order import Allowance, Order
from host_tools.collector.order_book import State
from host_tools.collector.store import Outcome, Store
from tests.collector.layouts import seventh
from tests.collector.sealed import DEVICE, sealed
from tests.collector.test_intake import T0, Device, World


def give(world, until=None, **keys):
    """Another process gives an order."""
    book, now = world.collector.store.book, world.now
    return book.give(DEVICE, Order(counter=1, **keys), now, by="Li", what="it", why="so", before="open", until=until)


def states(world):
    return [each.state.value for each in world.collector.store.book.given()]


@pytest.fixture
def world():
    return World()


def test_an_order_goes_with_the_next_answer_and_is_followed_to_its_end(world):
    device = Device(world)
    device.reports()
    at = world.now
    assert give(world, limit=5) == 1
    (given,) = world.collector.store.book.given()
    assert (given.device, given.given_by, given.what, given.why, given.before) == (DEVICE, "Li", "it", "so", "open")
    assert (given.given_at, given.state, given.since) == (at, State.WAITING, None)
    device.reports(answered=False)
    (given,) = world.collector.store.book.given()
    assert (given.state, given.since) == (State.SENT, world.now)
    device.reports()
    assert device.taken == [{2: 5}]
    assert states(world) == ["sent"], "nobody knows yet"
    device.reports()
    (given,) = world.collector.store.book.given()
    assert (given.state, given.since) == (State.APPLIED, world.now)


def test_one_that_the_device_refuses_is_told_as_refused_and_the_next_one_goes(world):
    device = Device(world)
    give(world, release=1)  # this one's device does not know it
    give(world, limit=5)
    for _ in range(4):
        device.reports()
    assert states(world) == ["refused", "applied"]
    assert device.taken == [{2: 5}]
    assert [alarm.kind for alarm in world.collector.store.alarms(DEVICE)] == ["order_refused"]


def test_a_later_value_supersedes_one_that_was_not_sent(world):
    device = Device(world)
    give(world, limit=1)
    device.reports(answered=False)
    for octets in (2, 3):
        give(world, limit=octets)
    give(world, throttle=9)
    for _ in range(5):
        device.reports()
    assert device.taken == [{2: 1}, {2: 3}, {3: 9}], "the first was under way"
    assert states(world) == ["applied", "superseded", "applied", "applied"]


def test_only_what_was_not_sent_is_cancelled(world):
    device = Device(world)
    book = world.collector.store.book
    first, second = give(world, limit=1), give(world, throttle=2)
    device.reports(answered=False)
    assert book.cancel(first).state is State.SENT
    assert book.cancel(second).state is State.CANCELLED
    assert book.cancel(77) is None
    for _ in range(3):
        device.reports()
    assert device.taken == [{2: 1}]
    assert states(world) == ["applied", "cancelled"]


def test_a_stop_goes_before_what_waits_once_that_is_known_not_to_be_applied(world):
    device = Device(world)
    give(world, limit=1)
    device.reports(answered=False)
    give(world, stop=1)
    device.reports()
    assert device.taken == [{1: 1}]
    for _ in range(3):
        device.reports()
    assert device.taken == [{1: 1}, {2: 1}]
    assert states(world) == ["applied", "applied"]


def test_the_allowances_of_this_period_and_of_the_next_ones_are_two_things(world):
    device = Device(world)
    give(world, allowance=Allowance(305, 1, 0))
    give(world, allowance=Allowance(305, 2, 1))
    give(world, allowance=Allowance(305, 3, 0))
    for _ in range(4):
        device.reports()
    assert device.taken == [{13: [305, 2, 1]}, {13: [305, 3, 0]}]
    assert states(world) == ["superseded", "applied", "applied"]


def test_a_stop_keeps_both_allowances_that_wait(world):
    device = Device(world)
    give(world, allowance=Allowance(305, 1, 0))
    give(world, allowance=Allowance(305, 2, 1))
    device.reports(answered=False)
    give(world, stop=1)
    for _ in range(5):
        device.reports()
    assert device.taken == [{1: 1}, {13: [305, 1, 0]}, {13: [305, 2, 1]}]


def test_a_message_of_an_earlier_boot_that_is_late_shows_no_refusal_of_what_was_sent_since(world):
    device = Device(world)
    device.reports()
    give(world, release=1)  # this one's device does not know it
    device.reports()
    late = sealed(boot_id=device.boot_id, seq=device.seq, refused=device.refused)
    device.boots()
    for _ in range(2):
        device.reports()
    assert states(world) == ["refused"]
    give(world, limit=5)
    device.reports(answered=False)
    world.now += timedelta(seconds=1)
    world.collector.sms_user_data(late)
    assert states(world) == ["refused", "sent"]
    for _ in range(2):
        device.reports()
    assert device.taken == [{2: 5}]
    assert states(world) == ["refused", "applied"]


def test_what_waits_follows_a_counter_that_another_collector_gave(world):
    """Such as one that had the device while this one's file was restored from an older copy."""
    device = Device(world)
    device.reports()
    give(world, limit=5)
    give(world, throttle=6)
    device.counter = 7
    device.reports()
    assert states(world) == ["sent", "waiting"]
    for _ in range(2):
        device.reports()
    assert device.taken == [{2: 5}, {3: 6}]
    device.reports()
    assert states(world) == ["applied", "applied"]


def test_a_device_that_lost_its_ledger_gets_what_waits_and_what_comes_after(world):
    device = Device(world)
    for octets in (1, 2):
        give(world, limit=octets)
        for _ in range(2):
            device.reports()
    device.reports()
    give(world, limit=3)
    device.reports(answered=False)
    device.loses_its_ledger()
    for _ in range(2):
        device.reports()
    give(world, limit=4)
    for _ in range(2):
        device.reports()
    assert device.taken == [{2: each} for each in (1, 2, 3, 4)]
    assert states(world) == ["applied"] * 4


@pytest.fixture
def shared(tmp_path):
    """A collector's world, and the store of another process on its file, which waits for no lock."""
    path = tmp_path / "reports.sqlite"
    world = World()
    with closing(Store(path)) as world.collector.store, closing(Store(path, busy_s=0)) as other:
        yield world, other


def meddling(world, meddle):
    """Lets another process act while the collector makes an answer, before it writes what it answers."""
    begun = count()

    def trace(statement):
        if statement.startswith("BEGIN") and next(begun) == 1:  # at 0 the report itself is stored
            meddle()

    world.collector.store._db.connection.set_trace_callback(trace)


def test_what_was_cancelled_while_an_answer_was_made_is_not_sent(shared):
    world, other = shared
    device = Device(world)
    device.reports()
    given = give(world, limit=5)
    meddling(world, lambda: other.book.cancel(given))
    device.reports()
    assert device.taken == []
    assert states(world) == ["cancelled"]
    assert world.collector.store.book.sent(DEVICE) == []


def test_a_stop_that_was_cancelled_while_it_was_put_in_front_is_not_sent(shared):
    world, other = shared
    device = Device(world)
    give(world, limit=5)
    device.reports(answered=False)
    stop = give(world, stop=1)
    meddling(world, lambda: other.book.cancel(stop))
    device.reports()
    device.reports()
    assert device.taken == [{2: 5}]
    assert states(world) == ["applied", "cancelled"]


def test_a_report_that_is_stored_is_acknowledged_and_its_alarms_are_told_though_its_order_cannot_be_read(shared):
    world, other = shared
    device = Device(world)
    give(world, release=1)  # this one's device does not know it
    device.reports()
    give(world, limit=5)
    meddling(world, lambda: other._db.execute("BEGIN EXCLUSIVE"))
    world.collector.store._db.execute("PRAGMA busy_timeout = 0")
    device.reports()
    assert world.heard == [Outcome.NEW] * 2
    assert states(world) == ["refused", "waiting"]
    other._db.execute("ROLLBACK")
    device.reports()
    assert device.taken == [{2: 5}]


def test_what_was_not_sent_in_time_is_not_sent(world):
    device = Device(world)
    device.reports()
    until = world.now + timedelta(minutes=1)
    give(world, limit=1, until=until)
    give(world, throttle=2, until=until + timedelta(hours=1))
    give(world, stop=1, until=until)
    book = world.collector.store.book
    assert [each.until for each in book.given()] == [until, until + timedelta(hours=1), until]
    assert states(world) == ["waiting"] * 3
    known = [each.state.value for each in book.given(now=until)]
    assert known == ["expired", "waiting", "expired"], "also before the device reports again"
    world.now = until
    for _ in range(3):
        device.reports()
    assert device.taken == [{3: 2}]
    assert [(each.state.value, each.since) for each in book.given()][::2] == [("expired", until)] * 2
    assert states(world)[1] == "applied"


def test_what_was_sent_in_time_is_repeated_until_it_is_applied(world):
    device = Device(world)
    give(world, limit=1, until=world.now + timedelta(minutes=1))
    device.reports(answered=False)
    world.now += timedelta(hours=1)
    assert [each.state for each in world.collector.store.book.given(now=world.now)] == [State.SENT]
    device.reports()
    device.reports()
    assert device.taken == [{2: 1}]
    assert states(world) == ["applied"]


def test_one_that_has_expired_is_not_superseded(world):
    give(world, limit=1, until=world.now)
    give(world, limit=2)
    assert states(world) == ["expired", "waiting"]


STEPS = st.sampled_from(["report", "report lost", "answer lost", "limit", "throttle", "stop", "boot", "late copy"])


@settings(max_examples=100)
@given(st.lists(STEPS, max_size=25))
@example(["limit", "answer lost", "throttle", "limit", "stop", "late copy", "report"])
@example(["limit", "report", "stop", "late copy", "report"])
def test_whatever_is_lost_each_order_is_applied_once_in_turn_or_gives_way_to_a_later_one(story):
    world = World()
    device = Device(world)
    book = world.collector.store.book
    values = {"limit": [], "throttle": []}
    stops = 0
    for step in [*story, *["report"] * 60]:
        if step in values:
            values[step].append(give(world, **{step: 1 + len(book.given())}))
        elif step == "stop":
            stops += give(world, stop=1) > 0
        elif step == "boot":
            device.boots()
        elif step == "late copy":
            if device.sent:
                world.now += timedelta(minutes=5)
                world.ask(device.sent, mid=9999)
        else:
            device.reports(step != "report lost", step == "report")
    assert book.pending(DEVICE) is None
    ended = {each.id: each.state for each in book.given()}
    assert set(ended.values()) <= {State.APPLIED, State.SUPERSEDED}
    for key, name in ((2, "limit"), (3, "throttle")):
        wanted = [each for each in values[name] if ended[each] is State.APPLIED]
        assert [keys[key] for keys in device.taken if key in keys] == wanted, "once, in turn"
        assert wanted[-1:] == values[name][-1:], "the last one counts"
    assert any(1 in keys for keys in device.taken) == bool(stops)


def test_another_process_gives_and_the_collector_sends(tmp_path):
    path = tmp_path / "reports.sqlite"
    world = World()
    world.collector.store = Store(path)
    device = Device(world)
    device.reports()
    with closing(Store(path)) as other:
        other.book.give(DEVICE, Order(counter=1, limit=5), T0, by="", what="", why="", before="")
        device.reports()
        assert device.taken == [{2: 5}]
        device.reports()
        assert [each.state for each in other.book.given()] == [State.APPLIED]
    world.collector.store.close()


def test_a_file_of_the_layout_before_takes_orders_for_a_time(tmp_path):
    path = tmp_path / "reports.sqlite"
    seventh(path)
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("ALTER TABLE given_order DROP COLUMN until")
        old.execute("PRAGMA user_version = 6")
        old.execute("INSERT INTO given_order VALUES (1, ?, ?, '', '', '', '', NULL)", (DEVICE, T0.isoformat()))
        payload = Order(counter=1, limit=5).encode()
        old.execute("INSERT INTO device_order VALUES (?, 1, NULL, ?, 1)", (DEVICE, payload))
    for _ in range(2):
        with closing(Store(path)) as store:
            assert [(each.state, each.until) for each in store.book.given()] == [(State.WAITING, None)]


def test_the_orders_of_an_earlier_collector_are_kept(tmp_path):
    path = tmp_path / "reports.sqlite"
    order = Order(counter=1, limit=5)
    seventh(path)
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(
            "DROP TABLE device_order; DROP TABLE given_order; PRAGMA user_version = 5;"
            "CREATE TABLE sent_order (device TEXT NOT NULL, counter INTEGER NOT NULL, sent_at TEXT NOT NULL,"
            " payload BLOB NOT NULL, PRIMARY KEY (device, counter)) STRICT, WITHOUT ROWID;"
        )
        old.execute("INSERT INTO sent_order VALUES (?, ?, ?, ?)", (DEVICE, 1, T0.isoformat(), order.encode()))
    for _ in range(2):
        with closing(Store(path)) as store:
            assert store.book.sent(DEVICE) == [(T0, order)]
            assert store.book.pending(DEVICE) == order
            assert store.book.given() == []
