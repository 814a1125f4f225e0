"""The store: idempotent, whatever the order; loss and contradictions show."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.collector.order import MAX_COUNTER, Order
from host_tools.collector.store import Gap, Outcome, Store
from host_tools.collector.verify import Report
from tests.collector.sealed import DEVICE, WITHOUT_ORDERS, fields

T0 = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture
def store():
    with_memory = Store()
    yield with_memory
    with_memory.close()


def add(store, boot_id, seq, octets=0, cycle_id=305, device=DEVICE, at=T0, **more):
    values = fields(
        boot_id=boot_id, seq=seq, carried_octets=octets, rated_octets=octets, cycle_id=cycle_id, **more
    )
    return store.add(device, Report(*values), cbor2.dumps(values), at, "coap")


def test_once_each(store):
    assert add(store, 1, 0) is Outcome.NEW
    assert add(store, 1, 0, at=T0 + timedelta(days=1)) is Outcome.DUPLICATE
    assert store.reports_received(DEVICE) == 1
    assert store.history(DEVICE)[0].received_at == T0
    assert store.alarms(DEVICE) == []


def test_latest_is_the_last_made_not_the_last_to_arrive(store):
    add(store, 2, 0, 300)
    add(store, 1, 7, 200)
    add(store, 1, 0, 100)
    assert [r.report.carried_octets for r in store.history(DEVICE)] == [100, 200, 300]
    assert store.latest(DEVICE).report.boot_id == 2
    assert store.maximum(DEVICE) == (300, 300)
    assert store.alarms(DEVICE) == []


def test_nothing_known(store):
    assert store.latest(DEVICE) is None
    assert store.history(DEVICE) == []
    assert store.maximum(DEVICE) == (0, 0)
    assert store.gaps(DEVICE) == []
    assert store.devices() == []


def test_devices_do_not_mix(store):
    add(store, 1, 0, 100, device="a")
    assert add(store, 1, 0, 50, device="b") is Outcome.NEW
    assert store.devices() == ["a", "b"]
    assert store.alarms("b") == []
    assert store.latest("a").report.carried_octets == 100


def test_gaps(store):
    for boot_id, seq in ((1, 0), (1, 1), (1, 4), (1, 6), (3, 2)):
        add(store, boot_id, seq)
    assert store.gaps(DEVICE) == [Gap(1, 2, 3), Gap(1, 5, 5), Gap(3, 0, 1)]
    assert store.reports_lost(DEVICE) == 5


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1), st.randoms())
def test_gaps_against_counting(keys, rng):
    store = Store()
    arrival = sorted(keys)
    rng.shuffle(arrival)
    for boot_id, seq in arrival:
        add(store, boot_id, seq)
    missing = {(gap.boot_id, seq) for gap in store.gaps(DEVICE) for seq in range(gap.first, gap.last + 1)}
    last = dict(sorted(keys))
    assert missing == {(b, s) for b, top in last.items() for s in range(top)} - keys
    assert store.reports_lost(DEVICE) == len(missing)
    store.close()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.randoms())
def test_growing_usage_never_alarms_in_any_order(steps, rng):
    store = Store()
    octets, reports = 0, []
    for seq, step in enumerate(steps):
        octets += step
        reports.append((seq, octets))
    rng.shuffle(reports)
    for seq, octets in reports:
        add(store, 1, seq, octets)
    assert store.alarms(DEVICE) == []
    assert store.latest(DEVICE).report.carried_octets == sum(steps)
    store.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"boot_id": 1, "seq": 0, "octets": 100}, {"boot_id": 1, "seq": 1, "octets": 99}),
        ({"boot_id": 1, "seq": 5, "octets": 100}, {"boot_id": 2, "seq": 0, "octets": 0}),
        ({"boot_id": 2, "seq": 0, "octets": 100}, {"boot_id": 1, "seq": 9, "octets": 101}),
        ({"boot_id": 1, "seq": 0, "cycle_id": 306}, {"boot_id": 1, "seq": 1, "cycle_id": 305}),
        ({"boot_id": 1, "seq": 0, "counter": 2}, {"boot_id": 2, "seq": 0, "counter": 1}),
    ],
    ids=["within a boot", "over a boot", "found late", "billing period", "orders"],
)
def test_usage_that_goes_back_alarms(store, first, second):
    add(store, **first)
    assert add(store, **second) is Outcome.NEW
    (alarm, *_) = store.alarms(DEVICE)
    assert alarm.kind == "usage_went_back"
    assert f"boot {first['boot_id']} report {first['seq']}" in alarm.detail


def test_one_number_for_two_contents_alarms(store):
    """A device whose flash was rolled back counts its boots a second time."""
    add(store, 4, 0, 5000)
    assert add(store, 4, 0, 900) is Outcome.CONFLICT
    assert store.latest(DEVICE).report.carried_octets == 5000
    assert [alarm.kind for alarm in store.alarms(DEVICE)] == ["sequence_reused"]


def test_on_disk(tmp_path):
    path = tmp_path / "reports.sqlite"
    first = Store(path)
    add(first, 1, 0, (1 << 54) - 1, crash_code=-1)
    first.close()
    again = Store(path)
    assert add(again, 1, 0, (1 << 54) - 1, crash_code=-1) is Outcome.DUPLICATE
    assert again.latest(DEVICE).report.carried_octets == (1 << 54) - 1
    assert again.latest(DEVICE).report.crash_code == -1
    again.close()


def test_as_of_is_what_had_arrived_by_then(store):
    hour = timedelta(hours=1)
    add(store, 1, 0, 100, at=T0)
    add(store, 1, 2, 300, at=T0 + hour)
    add(store, 1, 1, 200, at=T0 + hour)  # by a slower way
    add(store, 1, 3, 400, at=T0 + 2 * hour + timedelta(microseconds=1))
    seen = [store.as_of(DEVICE, T0 + n * hour) for n in (-1, 0, 1, 2)]
    assert [received and received.report.rated_octets for received in seen] == [None, 100, 300, 300]
    local = datetime.fromisoformat("2025-06-01T09:00:00+08:00")
    assert store.as_of(DEVICE, local).report.rated_octets == 300
    assert store.as_of("tracker-002", local) is None


def test_an_order_is_open_until_a_report_shows_it(store):
    assert store.pending_order(DEVICE) is None
    assert store.next_counter(DEVICE) == 1
    first = Order(counter=1, stop=1)
    store.add_order(DEVICE, first, T0)
    assert store.pending_order(DEVICE) == first
    assert store.pending_order("tracker-002") is None
    assert store.next_counter(DEVICE) == 2
    add(store, 1, 0, counter=0)
    assert store.pending_order(DEVICE) == first
    add(store, 1, 1, counter=1)
    assert store.pending_order(DEVICE) is None
    add(store, 1, 2, counter=9)  # of another collector
    assert store.next_counter(DEVICE) == 10
    with pytest.raises(ValueError, match="counter 9 of an order for tracker-001 is used up"):
        store.add_order(DEVICE, Order(counter=9, stop=0), T0)
    second = Order(counter=10, stop=0)
    store.add_order(DEVICE, second, T0 + timedelta(days=1))
    assert store.orders(DEVICE) == [(T0, first), (T0 + timedelta(days=1), second)]


def test_counters_come_to_an_end(store):
    store.add_order(DEVICE, Order(counter=MAX_COUNTER, stop=1), T0)
    with pytest.raises(OverflowError):
        store.next_counter(DEVICE)


def test_an_order_outlives_the_collector(tmp_path):
    path = tmp_path / "reports.sqlite"
    order = Order(counter=1, limit=5)
    with closing(Store(path)) as first:
        first.add_order(DEVICE, order, T0)
    with closing(Store(path)) as again:
        assert again.pending_order(DEVICE) == order


BEFORE_ORDERS = """
CREATE TABLE report (
    device TEXT NOT NULL, boot_id INTEGER NOT NULL, seq INTEGER NOT NULL, received_at TEXT NOT NULL,
    path TEXT NOT NULL, cycle_id INTEGER NOT NULL, carried_octets INTEGER NOT NULL,
    rated_octets INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (device, boot_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE alarm (
    device TEXT NOT NULL, received_at TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
"""


def test_a_database_from_before_orders_is_brought_up_to_date(tmp_path):
    path = tmp_path / "reports.sqlite"
    payload = cbor2.dumps(fields()[:WITHOUT_ORDERS])
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(BEFORE_ORDERS)
        row = (DEVICE, 3, 0, T0.isoformat(), "coap", 305, 7, 7, payload)
        old.execute("INSERT INTO report VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    for seq in (1, 2):  # the second time it is up to date already
        with closing(Store(path)) as store:
            assert add(store, 3, seq, 20_000_000, counter=1) is Outcome.NEW
            assert store.reports_received(DEVICE) == 1 + seq
            assert store.history(DEVICE)[0].report.counter == 0
            assert store.next_counter(DEVICE) == 2
            assert store.alarms(DEVICE) == []


def test_a_later_collectors_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "reports.sqlite"
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match="of a later collector: its layout is 2, this one's 1"):
        Store(path)
    assert path.read_bytes() == before
