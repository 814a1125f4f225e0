"""The store: idempotent, whatever the order; loss and contradictions show."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tools.collector.database import StoreError, is_url
from host_tools.collector.migrations.run import configuration, upgrade
from host_tools.collector.order import MAX_COUNTER, Order
from host_tools.collector.postgresql import PostgresqlDatabase
from host_tools.collector.retention import reduce
from host_tools.collector.schema import LAYOUT
from host_tools.collector.sqlite import SqliteDatabase
from host_tools.collector.store import Gap, Outcome, Store
from host_tools.collector.verify import Report
from tests.collector.layouts import seventh
from tests.collector.sealed import DEVICE, LIFE, WITHOUT_ORDERS, fields, full

T0 = datetime(2025, 6, 1, tzinfo=UTC)


def empty(store):
    """The store without anything in it, for another example."""
    for table in ("life", "report", "newest", "alarm", "sim"):
        store.database.execute(f"DELETE FROM {table}")
    store.known_lives._ids.clear()
    return store


SAME_STORE = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


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


@SAME_STORE
@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1), st.randoms())
def test_gaps_against_counting(store, keys, rng):
    empty(store)
    arrival = sorted(keys)
    rng.shuffle(arrival)
    for boot_id, seq in arrival:
        add(store, boot_id, seq)
    missing = {(gap.boot_id, seq) for gap in store.gaps(DEVICE) for seq in range(gap.first, gap.last + 1)}
    last = dict(sorted(keys))
    assert missing == {(b, s) for b, top in last.items() for s in range(top)} - keys
    assert store.reports_lost(DEVICE) == len(missing)


@SAME_STORE
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.randoms())
def test_growing_usage_never_alarms_in_any_order(store, steps, rng):
    empty(store)
    octets, reports = 0, []
    for seq, step in enumerate(steps):
        octets += step
        reports.append((seq, octets))
    rng.shuffle(reports)
    for seq, octets in reports:
        add(store, 1, seq, octets)
    assert store.alarms(DEVICE) == []
    assert store.latest(DEVICE).report.carried_octets == sum(steps)


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
    assert (store.lives(DEVICE), store.known_lives.of(DEVICE)) == (2, (NEXT_LIFE, LIFE))


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
    assert store.known_lives.of(DEVICE) == (NEXT_LIFE, LIFE)
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


@SAME_STORE
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=30))
def test_whatever_comes_is_kept_once(store, reports):
    """Lives 1 and 2 with ids, 0 without; any number with any content, in any order."""
    empty(store)
    came = set()
    for life, boot_id, seq, octets in reports:
        report = (bytes([0, 0, 0, life]) if life else b"", boot_id, seq, octets)
        outcome = add(store, boot_id, seq, octets, life_id=report[0])
        assert (outcome is Outcome.DUPLICATE) == (report in came)
        came.add(report)
    assert store.reports_received(DEVICE) == len(came)
    kept = {(r.report.boot_id, r.report.seq, r.report.carried_octets) for r in store.history(DEVICE)}
    assert kept == {report[1:] for report in came}


def test_what_is_not_written_whole_is_not_written():
    """A statement that fails and rolls nothing back itself."""
    store = Store()
    add(store, 1, 0, 100, life_id=LIFE)
    store._db.execute("CREATE TEMP TRIGGER fails BEFORE INSERT ON report BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(StoreError, match="no"):
        add(store, 1, 0, 7, life_id=NEXT_LIFE)
    assert (store.lives(DEVICE), store.known_lives.of(DEVICE), store.alarms(DEVICE)) == (1, (LIFE,), [])
    store._db.execute("DROP TRIGGER fails")
    assert add(store, 1, 0, 7, life_id=NEXT_LIFE) is Outcome.NEW
    assert kinds(store) == ["new_life"]


def test_lives_outlive_the_collector(database):
    with closing(Store(database)) as first:
        add(first, 1, 0, life_id=LIFE)
        add(first, 1, 0, life_id=NEXT_LIFE)
    with closing(Store(database)) as again:
        assert again.known_lives.of(DEVICE) == (NEXT_LIFE, LIFE)


def test_on_disk(database):
    first = Store(database)
    add(first, 1, 0, (1 << 54) - 1, crash_code=-1)
    first.close()
    again = Store(database)
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


@pytest.mark.parametrize("own", [True, False], ids=["of its own", "of another process"])
def test_an_order_that_is_given_meanwhile_goes_with_the_next_report(database, own):
    """What was known of the device when its last report came does not hold any more."""
    with closing(Store(database)) as store, closing(Store(database)) as other:
        may_have_orders = []
        for seq in range(4):
            if seq == 3:
                (store if own else other).book.give(
                    DEVICE, Order(counter=1, stop=1), T0, by="me", what="stop", why="", before=""
                )
            with store.at_once([DEVICE]):
                values = full(seq=seq)
                may_have_orders.append(
                    store.add(DEVICE, Report(*values), cbor2.dumps(values), T0, "coap").may_have_orders
                )
    assert may_have_orders == [True, False, False, True]


def test_counters_come_to_an_end(store):
    store.book.add(DEVICE, Order(counter=MAX_COUNTER, stop=1), T0)
    with pytest.raises(OverflowError):
        store.book.next_counter(DEVICE)


def test_an_order_outlives_the_collector(database):
    order = Order(counter=1, limit=5)
    with closing(Store(database)) as first:
        first.book.add(DEVICE, order, T0)
    with closing(Store(database)) as again:
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
    seventh(path)
    payload = cbor2.dumps(fields(version=2, seq=1))
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(BEFORE_PACKETS)
        row = (DEVICE, 1, 3, 1, T0.isoformat(), "coap", 305, 7, 7, 0, payload)
        old.execute(f"INSERT INTO report VALUES ({', '.join('?' * len(row))})", row)
        old.execute("INSERT INTO life VALUES (?, 1, ?, ?)", (DEVICE, LIFE, T0.isoformat()))
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

    def traffic(boot_id, seq, cycle_id=305, **more):
        told(store, boot_id, seq, cycle_id=cycle_id, **more)
        return store.traffic(DEVICE, cycle_id)

    assert traffic(1, 2, packets=500, sessions=2) == (500, 2)
    assert traffic(1, 1, packets=20, sessions=1) == (500, 2), "an earlier one that came later"
    assert traffic(2, 0, packets=0, sessions=1) == (500, 3)
    assert traffic(2, 5, packets=900, sessions=4) == (1400, 6)
    assert traffic(2, 6, packets=30, sessions=0, cycle_id=336) == (30, 0), "of the next period"
    assert traffic(1, 0, packets=5, sessions=1, life_id=b"next") == (1405, 7)


def test_a_later_collectors_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "reports.sqlite"
    with closing(sqlite3.connect(path)) as later:
        later.execute(f"PRAGMA user_version = {LAYOUT + 1}")
    before = path.read_bytes()
    said = f"made by a later version: its layout is {LAYOUT + 1}, this one's {LAYOUT}"
    with pytest.raises(StoreError, match=said):
        Store(path)
    assert path.read_bytes() == before


def shape(database):
    """Tables with their columns and the indexes, as the database describes them."""
    if not database.postgresql:
        squeezed = database.execute(
            "SELECT name, REPLACE(REPLACE(sql, char(10), ''), ' ', '') FROM sqlite_schema"
            " WHERE sql IS NOT NULL AND name <> 'alembic_version' ORDER BY name"
        )
        return [(name, sql.replace('"', "")) for name, sql in squeezed]
    columns = (
        "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, collation_name, is_identity"
        " FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'alembic_version'"
        " ORDER BY 1, 2"
    )
    indexes = (
        "SELECT tablename, REPLACE(REPLACE(indexdef, 'alarm_8', 'alarm'), current_schema() || '.', '') FROM pg_indexes"
        " WHERE schemaname = current_schema() AND tablename <> 'alembic_version' ORDER BY 1, 2"
    )
    return database.execute(columns), database.execute(indexes)


def test_migrations_lead_to_the_tables_that_a_new_database_gets(new_database):
    with closing(Store(new_database())) as made, closing(bare(new_database())) as old:
        upgrade(old, "7")
        row = (DEVICE, 1, 3, 1, T0.isoformat(), "coap", 305, 7, 8, 2, b"", None, None)
        old.execute("INSERT INTO life VALUES (?, 1, ?, ?)", (DEVICE, LIFE, T0.isoformat()))
        for each in (row, (DEVICE, 1, 3, 0, T0.isoformat(), "coap", 305, 1, 2, 5, b"", None, None)):
            old.execute(f"INSERT INTO report VALUES ({', '.join('?' * len(each))})", each)
        old.execute("INSERT INTO alarm VALUES (?, ?, 'new_life', '')", (DEVICE, T0.isoformat()))
        upgrade(old)
        assert shape(old) == shape(made.database)
        assert old.layout() == made.database.layout() == LAYOUT
        assert old.execute("SELECT * FROM newest") == [(DEVICE, 1, LIFE, 3, 1, 305, 7, 8, 2, 5)]
        assert old.execute("SELECT id, device FROM alarm") == [(1, DEVICE)]


def bare(name):
    return PostgresqlDatabase(name, 1) if is_url(name) else SqliteDatabase(name, 1)


def test_a_migration_that_fails_leaves_everything_as_it_was(new_database):
    name = new_database()
    with closing(bare(name)) as old:
        upgrade(old, "7")
        old.execute("CREATE TABLE removed (taken INTEGER)")
        before = shape(old)
    for _ in range(2):
        with pytest.raises(StoreError, match="removed"):
            Store(name)
        with closing(bare(name)) as old:
            assert shape(old) == before


def test_the_layout_is_that_of_the_last_revision():
    assert ScriptDirectory.from_config(configuration()).get_current_head() == str(LAYOUT)


@SAME_STORE
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]), st.integers(0, 1), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2),
            st.integers(0, 3), st.integers(0, 1), st.booleans(),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_reports_that_are_written_together_are_stored_as_one_by_one(store, reports):
    """Against a store that adds each report alone. The last figure: whether what came so far is written."""
    alone, together = Store(), empty(store)
    outcomes = [], []

    def add_to(each, kept, report):
        device, life, boot_id, seq, octets, counter, sim, _ = report
        values = full(boot_id=boot_id, seq=seq, carried_octets=octets, counter=counter, life_id=bytes([life] * 4))
        values[19] = bytes([sim] * 4)
        found = each.add(device, Report(*values), cbor2.dumps(values), T0, "coap")
        kept.append((found.outcome, [(alarm.kind, alarm.detail) for alarm in found.alarms]))

    batches = [[]]
    for report in reports:
        batches[-1].append(report)
        if report[-1]:
            batches.append([])
        add_to(alone, outcomes[0], report)
    for batch in batches:
        with together.at_once(sorted({report[0] for report in batch})):
            for report in batch:
                add_to(together, outcomes[1], report)
    assert outcomes[0] == outcomes[1]
    for device in "ab":
        assert alone.history(device) == together.history(device)
        assert alone.known_lives.of(device) == together.known_lives.of(device)
    query = "SELECT * FROM newest ORDER BY device"
    assert alone.database.execute(query) == together.database.execute(query)
    alone.close()


def test_old_reports_are_reduced_to_their_days(store):
    day = timedelta(days=1)
    for number in range(10):
        for seq in (2 * number, 2 * number + 1):
            add(store, 1, seq + (number > 3), 100 * seq, at=T0 + number * day, life_id=LIFE)
    add(store, 2, 0, 5000, at=T0 + 10 * day, cycle_id=336, life_id=LIFE)
    told = (
        store.days(DEVICE), store.reports_received(DEVICE), store.reports_lost(DEVICE), store.maximum(DEVICE),
        store.latest(DEVICE), store.gaps(DEVICE),
    )  # fmt: skip
    assert [each.reports for each in told[0]] == [2] * 10 + [1]
    assert told[5] == [Gap(1, 8, 8)]
    for keep in (9, 8, 3, 0):
        after = reduce(store.database, keep * day, T0 + 11 * day)
        assert after == DEVICE
        assert reduce(store.database, keep * day, T0 + 11 * day, after) == ""
        assert told[:5] == (
            store.days(DEVICE), store.reports_received(DEVICE), store.reports_lost(DEVICE), store.maximum(DEVICE),
            store.latest(DEVICE),
        )  # fmt: skip
    assert [received.report.seq for received in store.history(DEVICE)] == [20, 0], "the last of each boot"
    assert store.gaps(DEVICE) == [], "those of the time whose reports are kept"
    assert add(store, 1, 4, 400, at=T0 + 20 * day, life_id=LIFE) is Outcome.DUPLICATE, "it was counted"
    assert store.reports_received(DEVICE) == told[1]
    assert add(store, 2, 1, 5000, cycle_id=336, at=T0 + 20 * day, life_id=LIFE) is Outcome.NEW
