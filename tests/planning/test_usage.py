"""Histories: CSV in its forms, the collector's database as the real store writes it, and what is wrong with either."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import cbor2
import pytest

from host_tools.base.errors import UsageError
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from host_tools.planning import usage
from host_tools.planning.usage import from_export
from host_tools.platforms.exports.read import Asked
from host_tools.platforms.exports.read import read as read_export
from tests.collector.sealed import fields

CHINA = timezone(timedelta(hours=8))
MARCH = 9556 * 86_400 - 8 * 3_600  # 2026-03-01T00:00+08:00
HOUR, DAY = 3_600, 86_400


def read(text):
    return from_export(read_export(text, "u.csv", Asked()))


def load(path):
    return usage.load(path, Asked())


def points(curve):
    return [(int(at) - MARCH, int(octets)) for at, octets in zip(curve.times, curve.octets, strict=True)]


def test_dates_last_a_day_and_a_missing_day_has_no_use():
    (curve,) = read("date,octets\n2026-03-04,7\n2026-03-01,5\n").curves
    assert points(curve) == [(0, 0), (DAY, 5), (3 * DAY, 5), (4 * DAY, 12)]
    assert curve.packets is None


def test_times_last_as_long_as_the_usual_row():
    text = "time,carried_octets\n" + "".join(f"2026-03-01T{hour:02}:00,10\n" for hour in (0, 1, 2, 5))
    (curve,) = read(text).curves
    assert points(curve) == [(0, 0), (HOUR, 10), (2 * HOUR, 20), (3 * HOUR, 30), (5 * HOUR, 30), (6 * HOUR, 40)]


def test_uneven_times_last_to_the_next_row():
    text = "time,octets\n2026-03-01T00:00,1\n2026-03-01T01:00,2\n2026-03-01T03:00,4\n2026-03-01T07:00,8\n"
    (curve,) = read(text).curves
    assert points(curve) == [(0, 0), (HOUR, 1), (3 * HOUR, 3), (7 * HOUR, 7), (11 * HOUR, 15)]


def test_devices_packets_zones_and_columns_nobody_knows():
    history = read(
        "remark, Device ,packets,octets,time\n"
        ",b,1,60,2026-02-28T16:00Z\n"
        '"a, note",a,0,0,2026-03-01T00:00\n'
        ",b,2,90,2026-03-01T01:00:00+08:00\n"
        "\n"
        ",a,3,80,2026-03-01T01:00\n"
    )
    assert [curve.device for curve in history.curves] == ["a", "b"]
    a, b = history.curves
    assert points(a) == [(0, 0), (HOUR, 0), (2 * HOUR, 80)]
    assert points(b) == [(0, 0), (HOUR, 60), (2 * HOUR, 150)]
    assert b.packets.tolist() == [0, 1, 3]
    assert history.total == 230
    assert history.seconds == 4 * HOUR


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("octets\n", 'line 1: there is no column "time" or "date"; name one of them in the first line'),
        ("time\n", 'line 1: there is no column "octets" or "carried_octets"'),
        ("time,date,octets\n", 'line 1: there are both columns "time" and "date"; keep one of them'),
        ("date,octets,octets\n", 'line 1: the column "octets" is not unique'),
        ("date,octets\n", "u.csv: has no rows of usage"),
        ("date,octets\n2026-03-01\n", "line 2: has 1 fields, the first line 2"),
        ("date,octets\n2026-03-01,\n", "line 2, octets: is empty"),
        ("date,octets\n2026-03-01,1.5\n", 'line 2, octets: "1.5" is not a whole number'),
        ("date,octets\n2026-03-01,5\n2026-03-02,-1\n", "line 3, octets: -1 is negative"),
        (f"date,octets\n2026-03-01,{2**44 + 1}\n", "is more than 2^44"),
        (
            f"date,octets\n2026-03-01,{2**44}\n2026-03-02,1\n",
            "the sum is more than 2^44 octets; octets are those of each",
        ),
        ("date,octets\n2026-02-30,1\n", 'line 2, time: "2026-02-30" is not a date or time'),
        ("date,octets\nyesterday,1\n", 'line 2, time: "yesterday" is not a date or time'),
        ("date,octets\n1999-03-01,1\n", 'line 2, time: "1999-03-01" is out of range'),
        ("date,octets\n2026-03-01,1\n2026-03-02,1\n2026-03-01,1\n", "line 4: is line 2 once more; remove it"),
        (
            "time,octets,device\n2026-03-01T00:00,1,a\n2026-03-01T00:00,1,a\n",
            'line 3: is line 2 once more',
        ),
        ("time,octets\n2026-03-01T00:00,1\n", "line 2, time: a single time has no length"),
        ("date,octets,device\n2026-03-01,1, \n", "line 2, device: is empty"),
        ("date,octets,packets\n2026-03-01,19,1\n", "line 2, packets: 1 packets in 19 octets; a packet has 20"),
        ('date,octets\n2026-03-01,"5"x\n', "line 2: is not CSV"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, words):
    with pytest.raises(UsageError) as error:
        read(text)
    assert words in str(error.value)
    assert str(error.value).startswith("u.csv: ")


# --- the collector's database ---


@pytest.fixture
def database(tmp_path):
    """A function that adds a report, and the file."""
    path = tmp_path / "reports.sqlite"
    store = Store(path)

    def add(hours, octets, device="tracker-001", boot_id=1, seq=0):
        values = fields(boot_id=boot_id, seq=seq, carried_octets=octets, rated_octets=octets)
        at = datetime(2026, 3, 1, tzinfo=CHINA).astimezone(UTC) + timedelta(hours=hours)
        store.add(device, Report(*values), cbor2.dumps(values), at, "coap")

    yield add, path
    store.close()


def test_reports_are_lifetime_counts(database):
    add, path = database
    add(0, 1_000, seq=0)
    add(1, 1_300, seq=1)
    add(4, 1_300, boot_id=2, seq=0)
    add(6, 2_000, boot_id=2, seq=1)
    add(2, 50, device="tracker-002", seq=0)
    history = load(path)
    (curve,) = history.curves
    assert points(curve) == [(0, 0), (HOUR, 300), (4 * HOUR, 300), (6 * HOUR, 1_000)]
    assert history.notes == [
        "tracker-001: 1,000 octets before its first report are in no period",
        "tracker-002 is left out: usage needs two reports",
    ]


def test_after_the_loss_of_a_ledger_counts_begin_again(database):
    add, path = database
    add(0, 1_000, seq=0)
    add(1, 1_300, seq=1)
    add(2, 50, seq=0)
    add(3, 90, seq=1)
    (curve,) = load(path).curves
    assert points(curve) == [(0, 0), (HOUR, 300), (2 * HOUR, 350), (3 * HOUR, 390)]


def test_a_database_from_before_lives(database):
    add, path = database
    add(0, 1_000, seq=0)
    add(1, 1_300, seq=1)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE old AS SELECT device, received_at, carried_octets FROM report")
        db.executescript("DROP TABLE life; DROP TABLE report; ALTER TABLE old RENAME TO report")
    (curve,) = load(path).curves
    assert points(curve) == [(0, 0), (HOUR, 300)]


def test_a_report_that_comes_late_adds_nothing(database):
    add, path = database
    add(0, 0, seq=0)
    add(3, 900, seq=2)
    add(5, 400, seq=1)  # made before, arrived after
    add(6, 1_000, seq=3)
    (curve,) = load(path).curves
    assert points(curve) == [(0, 0), (3 * HOUR, 900), (5 * HOUR, 900), (6 * HOUR, 1_000)]


def test_reading_leaves_the_database_as_it_is(database):
    add, path = database
    add(0, 0, seq=0)
    add(1, 5, seq=1)
    before = path.read_bytes()
    load(path)
    assert path.read_bytes() == before


def test_databases_that_tell_nothing(database, tmp_path):
    import sqlite3

    add, path = database
    with pytest.raises(UsageError, match=r"reports\.sqlite: has no reports; usage needs at least two reports"):
        load(path)
    add(0, 0)
    with pytest.raises(UsageError, match="tracker-001 is left out: usage needs two reports"):
        load(path)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE report (device TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(UsageError, match=r"other\.sqlite: is not a collector's database: no such column"):
        load(other)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load(tmp_path / "none.csv")
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"date,octets\n\xff\xfe,1\n")
    with pytest.raises(UsageError, match=r"x\.csv: is neither UTF-8 nor GBK text"):
        load(binary)
