"""The store: idempotent, whatever the order; loss and contradictions show."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.collector.database import LAYOUT
from host_tools.collector.order import MAX_COUNTER, Order
from host_tools.collector.store import Gap, Outcome, Store
from host_tools.collector.verify import Report
from tests.collector.sealed import DEVICE, LIFE, WITHOUT_ORDERS, fields, full

T0 = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture
def store():
    with_memory = Store()
    yield with_memory
    with_memory.close()


def add(store, boot_id, seq, octets=0, cycle_id=305, device=DEVICE, at=T0, **more):
    values = fields(boot_id=boot_id, seq=seq, carried_octets=octets, rated_octets=octets, cycle_id=cycle_id, **more)
    return store.add(device, Report(*values), cbor2.dumps(values), at, "coap").outcome


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


def test_one_number_for_two_contents_alarms_and_both_are_kept(store):
    """A device whose flash was rolled back counts its boots a second time."""
    add(store, 4, 0, 5000)
    assert add(store, 4, 0, 900) is Outcome.NEW
    assert [received.report.carried_octets for received in store.history(DEVICE)] == [5000, 900]
    assert [alarm.kind for alarm in store.alarms(DEVICE)] == ["sequence_reused"]


NEXT_LIFE = b"next"


def kinds(store):
    return [alarm.kind for alarm in store.alarms(DEVICE)]


def test_a_ledger_lost_begins_a_life_and_raises_an_alarm(store):
    for boot_id in (1, 2):
        for seq in (0, 1):
            add(store, boot_id, seq, 1000 * boot_id + seq, life_id=LIFE)
    add(store, 1, 0, 7, life_id=NEXT_LIFE)
    add(store, 1, 3, 8, life_id=NEXT_LIFE)
    assert kinds(store) == ["new_life"]
    assert store.alarms(DEVICE)[0].detail == (
        "the ledger was lost or the board exchanged: carried_octets 2001 in boot 2 report 1 of life 1, "
        "7 in boot 1 report 0 of the next"
    )
    assert [received.report.carried_octets for received in store.history(DEVICE)] == [1000, 1001, 2000, 2001, 7, 8]
    assert [received.report.life_id for received in store.history(DEVICE)] == 4 * [LIFE] + 2 * [NEXT_LIFE]
    assert store.latest(DEVICE).report.carried_octets == 8
    assert store.as_of(DEVICE, T0).report.carried_octets == 8
    assert store.maximum(DEVICE) == (2009, 2009)
    assert store.gaps(DEVICE) == [Gap(1, 1, 2, life=2)]
    assert (store.lives(DEVICE), store.life_ids(DEVICE)) == (2, (NEXT_LIFE, LIFE))


def test_the_platform_is_held_against_the_present_life(store):
    add(store, 1, 0, 5000, life_id=LIFE)
    add(store, 1, 0, 7, life_id=NEXT_LIFE, at=T0 + timedelta(hours=2))
    assert store.as_of(DEVICE, T0 + timedelta(hours=1)) is None


def test_a_late_report_of_the_life_before_is_of_that_life(store):
    add(store, 1, 0, 10, life_id=LIFE)
    add(store, 1, 0, 7, life_id=NEXT_LIFE)
    assert add(store, 1, 0, 10, life_id=LIFE) is Outcome.DUPLICATE
    assert add(store, 1, 1, 11, life_id=LIFE) is Outcome.NEW
    assert store.latest(DEVICE).report.carried_octets == 7
    assert store.life_ids(DEVICE) == (NEXT_LIFE, LIFE)
    assert kinds(store) == ["new_life"]


@pytest.mark.parametrize(
    ("boot_id", "octets", "lives"),
    [(4, 100, 1), (9, 5000, 1), (4, 99, 2), (3, 5000, 2), (1, 0, 2)],
    ids=["next boot", "boots missed", "octets lost", "the same boot", "begins again"],
)
def test_a_firmware_update_begins_no_life(store, boot_id, octets, lives):
    add(store, 3, 0, 100)
    add(store, boot_id, 0, octets, life_id=LIFE)
    add(store, boot_id, 1, octets, life_id=LIFE)
    assert store.lives(DEVICE) == lives
    assert kinds(store) == ["new_life"] * (lives - 1)
    assert store.reports_received(DEVICE) == 3
    assert add(store, 3, 0, 100) is Outcome.DUPLICATE


def test_boards_that_claim_one_life_are_both_kept(store):
    """Cloned flash: their reports alternate, and every number comes twice."""
    for seq in range(5):
        for octets in (100, 900):
            assert add(store, 1, seq, octets + seq, life_id=LIFE) is Outcome.NEW
    assert store.reports_received(DEVICE) == 10
    assert store.lives(DEVICE) == 2
    assert kinds(store).count("sequence_reused") >= 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=30))
def test_whatever_comes_is_kept_once(reports):
    """Lives 1 and 2 with ids, 0 without; any number with any content, in any order."""
    store = Store()
    came = set()
    for life, boot_id, seq, octets in reports:
        report = (bytes([0, 0, 0, life]) if life else b"", boot_id, seq, octets)
        outcome = add(store, boot_id, seq, octets, life_id=report[0])
        assert (outcome is Outcome.DUPLICATE) == (report in came)
        came.add(report)
    assert store.reports_received(DEVICE) == len(came)
    kept = {(r.report.boot_id, r.report.seq, r.report.carried_octets) for r in store.history(DEVICE)}
    assert kept == {report[1:] for report in came}
    store.close()


def test_what_is_not_written_whole_is_not_written(store):
    """A statement that fails and rolls nothing back itself."""
    add(store, 1, 0, 100, life_id=LIFE)
    store._db.execute("CREATE TEMP TRIGGER fails BEFORE INSERT ON report BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(sqlite3.Error, match="no"):
        add(store, 1, 0, 7, life_id=NEXT_LIFE)
    assert (store.lives(DEVICE), store.life_ids(DEVICE), store.alarms(DEVICE)) == (1, (LIFE,), [])
    store._db.execute("DROP TRIGGER fails")
    assert add(store, 1, 0, 7, life_id=NEXT_LIFE) is Outcome.NEW
    assert kinds(store) == ["new_life"]


def test_lives_outlive_the_collector(tmp_path):
    path = tmp_path / "reports.sqlite"
    with closing(Store(path)) as first:
        add(first, 1, 0, life_id=LIFE)
        add(first, 1, 0, life_id=NEXT_LIFE)
    with closing(Store(path)) as again:
        assert again.life_ids(DEVICE) == (NEXT_LIFE, LIFE)


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
    assert store.book.pending(DEVICE) is None
    assert store.book.next_counter(DEVICE) == 1
    first = Order(counter=1, stop=1)
    store.book.add(DEVICE, first, T0)
    assert store.book.pending(DEVICE) == first
    assert store.book.pending("tracker-002") is None
    assert store.book.next_counter(DEVICE) == 2
    add(store, 1, 0, counter=0)
    assert store.book.pending(DEVICE) == first
    add(store, 1, 1, counter=1)
    assert store.book.pending(DEVICE) is None
    add(store, 1, 2, counter=9)  # of another collector
    assert store.book.next_counter(DEVICE) == 10
    with pytest.raises(ValueError, match="counter 9 of an order for tracker-001 was used before"):
        store.book.add(DEVICE, Order(counter=9, stop=0), T0)
    second = Order(counter=10, stop=0)
    store.book.add(DEVICE, second, T0 + timedelta(days=1))
    assert store.book.sent(DEVICE) == [(T0, first), (T0 + timedelta(days=1), second)]


def test_counters_come_to_an_end(store):
    store.book.add(DEVICE, Order(counter=MAX_COUNTER, stop=1), T0)
    with pytest.raises(OverflowError):
        store.book.next_counter(DEVICE)


def test_an_order_outlives_the_collector(tmp_path):
    path = tmp_path / "reports.sqlite"
    order = Order(counter=1, limit=5)
    with closing(Store(path)) as first:
        first.book.add(DEVICE, order, T0)
    with closing(Store(path)) as again:
        assert again.book.pending(DEVICE) == order


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


FROM_BEFORE = [
    ((), WITHOUT_ORDERS, ()),
    (("ALTER TABLE report ADD COLUMN counter INTEGER NOT NULL DEFAULT 0", "PRAGMA user_version = 1"), 18, (0,)),
]


@pytest.mark.parametrize(("since", "many", "more"), FROM_BEFORE, ids=["before orders", "before lives"])
def test_a_database_from_before_is_brought_up_to_date(tmp_path, since, many, more):
    path = tmp_path / "reports.sqlite"
    payload = cbor2.dumps(fields()[:many])
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(BEFORE_ORDERS)
        for statement in since:
            old.execute(statement)
        row = (DEVICE, 3, 0, T0.isoformat(), "coap", 305, 7, 7, payload, *more)
        old.execute(f"INSERT INTO report VALUES ({', '.join('?' * len(row))})", row)
    for seq in (1, 2):  # the second time it is up to date already
        with closing(Store(path)) as store:
            assert add(store, 3, seq, 20_000_000, counter=1) is Outcome.NEW
            assert store.reports_received(DEVICE) == 1 + seq
            assert store.lives(DEVICE) == 1
            assert store.history(DEVICE)[0].report.counter == 0
            assert store.history(DEVICE)[0].received_at == T0
            assert store.book.next_counter(DEVICE) == 2
            assert store.alarms(DEVICE) == []


BEFORE_PACKETS = """
DROP TABLE IF EXISTS report;
CREATE TABLE report (
    device TEXT NOT NULL, life INTEGER NOT NULL, boot_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    received_at TEXT NOT NULL, path TEXT NOT NULL, cycle_id INTEGER NOT NULL, carried_octets INTEGER NOT NULL,
    rated_octets INTEGER NOT NULL, counter INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (device, life, boot_id, seq)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 4;
"""


def test_a_database_without_packets_is_brought_up_to_date(tmp_path):
    path = tmp_path / "reports.sqlite"
    with closing(Store(path)) as store:
        add(store, 3, 0, life_id=LIFE)
    payload = cbor2.dumps(fields(version=2, seq=1))
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(BEFORE_PACKETS)
        row = (DEVICE, 1, 3, 1, T0.isoformat(), "coap", 305, 7, 7, 0, payload)
        old.execute(f"INSERT INTO report VALUES ({', '.join('?' * len(row))})", row)
    for seq in (2, 3):
        with closing(Store(path)) as store:
            assert told(store, 3, seq, packets=70 * seq).outcome is Outcome.NEW
            assert [received.report.version for received in store.history(DEVICE)] == [2, *[3] * (seq - 1)]
            assert store.traffic(DEVICE, 305) == (70 * seq, 3)
            assert store.lives(DEVICE) == 1


def told(store, boot_id, seq, **more):
    values = full(boot_id=boot_id, seq=seq, **more)
    return store.add(DEVICE, Report(*values), cbor2.dumps(values), T0, "coap")


def test_the_traffic_of_a_period_is_that_of_all_its_boots(store):
    assert add(store, 1, 0, life_id=LIFE) is Outcome.NEW
    assert store.traffic(DEVICE, 305) is None
    assert told(store, 1, 2, packets=500, sessions=2).traffic == (500, 2)
    assert told(store, 1, 1, packets=20, sessions=1).traffic == (500, 2), "an earlier one that came later"
    assert told(store, 2, 0, packets=0, sessions=1).traffic == (500, 3)
    assert told(store, 2, 5, packets=900, sessions=4).traffic == (1400, 6)
    assert told(store, 2, 6, packets=30, sessions=0, cycle_id=336).traffic == (30, 0), "of the next period"
    assert told(store, 2, 6, packets=30, sessions=0, cycle_id=336).traffic is None, "a second copy"
    assert told(store, 1, 0, packets=5, sessions=1, life_id=b"next").traffic == (1405, 7)


def test_a_later_collectors_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "reports.sqlite"
    with closing(sqlite3.connect(path)) as later:
        later.execute(f"PRAGMA user_version = {LAYOUT + 1}")
    before = path.read_bytes()
    said = f"made by a later version: its layout is {LAYOUT + 1}, this one's {LAYOUT}"
    with pytest.raises(sqlite3.DatabaseError, match=said):
        Store(path)
    assert path.read_bytes() == before
