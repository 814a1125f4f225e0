"""`usageguard order`, on a collector's database."""

import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest

from host_tools import cli
from host_tools.collector.instructions import INSTRUCTIONS
from host_tools.collector.order import Allowance, Balance, CarrierUsed, Order, SetUsed
from host_tools.collector.order_book import OrderBook
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from tests.collector.sealed import DEVICE, fields

OTHER = "tracker-002"
THEN = datetime.now(UTC) - timedelta(hours=2)
RATED = 12_345_678


def report(store, device, at=THEN, **changed):
    values = fields(**changed)
    store.add(device, Report(*values), cbor2.dumps(values), at, "coap")


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "reports.sqlite"
    with closing(Store(path)) as store:
        report(store, DEVICE, cost_fen=120)
        report(store, OTHER, reasons=0x10, verdict=5)
    return path


def order(*argv):
    return cli.run(["order", *argv]) or 0


def waiting(db, device=DEVICE):
    with closing(Store(db)) as store:
        return store.book.pending(device)


DAY = (THEN.date() - datetime(2000, 1, 1, tzinfo=UTC).date()).days


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        ("stop", {"stop": 1}),
        ("resume", {"stop": 0}),
        ("limit=5MB", {"limit": 5 << 20}),
        ("limit=plan", {"limit": 0}),
        ("allowance=50MB", {"allowance": Allowance(305, 50 << 20, 0)}),
        ("allowance=plan", {"allowance": Allowance(305, 0, 0)}),
        ("next-allowance=1GB", {"allowance": Allowance(305, 1 << 30, 1)}),
        ("throttle=4KB", {"throttle": 4096}),
        ("expiry=2026-12-31", {"expiry": 9861}),
        ("expiry=plan", {"expiry": 0}),
        ("balance=-3.05", {"balance": Balance(305, -305, 120)}),
        ("used=1000", {"set_used": SetUsed(305, 1000)}),
        ("accept", {"accept": 1}),
        ("release", {"release": 1}),
        ("hold=3,1", {"hold": 0b101}),
        ("hold=none", {"hold": 0}),
        ("diagnose", {"diagnose": 1}),
        ("report-now", {"report_now": 1}),
        ("operator=46001", {"operator": 46_001}),
        ("operator=00101", {"operator": 101}),
        ("operator=310410", {"operator": 310_410}),
        ("operator=auto", {"operator": 0}),
        ("new-sim=0", {"new_sim": 0}),
        ("billing=2000-01-02", {"billing": 1}),
        (
            f"carrier-used=7MB@{THEN:%Y-%m-%dT%H:%M:%S.%f}+00:00",
            {"carrier_used": CarrierUsed(305, 7 << 20, DAY, THEN.hour * 3600 + THEN.minute * 60 + THEN.second, RATED)},
        ),
    ],
    ids=lambda value: value.partition("@")[0] if isinstance(value, str) else None,  # the same for every worker
)
def test_each_order_in_the_devices_words(db, what, keys):
    assert order(what, DEVICE, "--why", "so") == 0
    assert waiting(db) == Order(counter=1, **keys)
    assert waiting(db, OTHER) is None


def test_every_order_is_listed_and_tried_here(capsys):
    assert order("kinds") == 0
    listed = capsys.readouterr().out
    for name in INSTRUCTIONS:
        assert f"\n{name}" in listed
    tried = {mark.args[1][index][0].split("=")[0] for mark in MARKS for index in range(len(mark.args[1]))}
    assert tried == set(INSTRUCTIONS)


MARKS = test_each_order_in_the_devices_words.pytestmark


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["halt", DEVICE], "order: halt: is not an order; use one of stop, resume, limit"),
        (["limit", DEVICE], "order: limit: has no value; write limit=SIZE|plan"),
        (["stop=1", DEVICE], "order: stop=1: takes no value; write stop"),
        (["stop"], "order: stop: no device is named; name one, or a file with --devices"),
        (["stop", "traker-001"], "order: traker-001: has never reported; check the spelling; nothing was ordered"),
        (["stop", DEVICE, "a", "b"], "order: a, b: 2 devices have never reported; check the spelling"),
        (["stop", DEVICE, OTHER], "order: stop for 2 devices (tracker-001, tracker-002): nobody can be asked"),
        (["stop", DEVICE, "--db", "no.sqlite"], "--db: no.sqlite: is not there; name the file that `usageguard coll"),
        (["stop", DEVICE, "--db", "text"], "--db: text: file is not a database; name the file"),
        (["stop", "--devices", "nowhere"], "--devices: no such file; name a file with one device id in each line"),
        (["limit=5XB", DEVICE], 'order limit: tracker-001: "5XB" has an unknown unit "XB"; use B, KB, MB or GB'),
        (
            ["limit=0", DEVICE],
            'order limit: tracker-001: 0 is no value of its own; write "plan" to go back to the plan',
        ),
        (["next-allowance=0MB", DEVICE], "0 is no value of its own"),
        (["throttle=0.5B", DEVICE], "0 is no value of its own"),
        (["limit=2000000GB", DEVICE], '"2000000GB" is beyond what a device takes'),
        (["expiry=31.12.2026", DEVICE], '"31.12.2026" is not a date; write it as in "2026-12-31"'),
        (["billing=1999-01-01", DEVICE], 'tracker-001: "1999-01-01" is beyond what a device takes; see SPEC.md'),
        (["hold=0", DEVICE], 'order hold: tracker-001: "0" is no list of classes; write their places in the'),
        (["hold=9", DEVICE], "1 to 8, as in"),
        (["hold=ota", DEVICE], '"ota" is no list of classes'),
        (["balance=x", DEVICE], '"x" is not a sum; write yuan, as in "12.50" or "-3"'),
        (["balance=0.001", DEVICE], '"0.001" is not a sum'),
        (["carrier-used=1MB@noon", DEVICE], '"noon" is not a time'),
        (["carrier-used=1MB@2026-01-01T00:00", DEVICE], "has no zone"),
        (["carrier-used=1MB@2999-01-01T00:00Z", DEVICE], "is in the future"),
        (["carrier-used=1MB@2001-01-01T00:00Z", DEVICE], "no report of the device's present period had arrived"),
        (["carrier-used=1MB@0001-01-01T00:00+14:00", DEVICE], '"0001-01-01T00:00+14:00" is not a time'),
        (["list", "--db", "a" * 300], "is not there; name the file that `usageguard collector --db` has"),
        (["list", "--db", "new.sqlite"], "--db: new.sqlite: not a collector's; name the file that `usageguard coll"),
        (["list", "--db", "old.sqlite"], "--db: old.sqlite: made by an earlier version; start `usageguard collector`"),
        (["balance=1e999999", DEVICE], '"1e999999" is not a sum'),
        (["stop", DEVICE, "--until", "noon"], '--until: "noon" is not a time; write it as in "2026-12-31T08:00+08:00"'),
        (["stop", DEVICE, "--until", "2001-01-01T00:00Z"], '--until: "2001-01-01T00:00Z" is not in the future'),
        (["stop", DEVICE, "--until", "2999-01-01T00:00"], '--until: "2999-01-01T00:00" has no zone'),
        (["stop", DEVICE, "--until", "9999-12-31T23:00-14:00"], '--until: "9999-12-31T23:00-14:00" is not a time'),
        (["stop", DEVICE, "--until", "0s"], '--until: "0s" is not in the future'),
        (["cancel", "9"], "order cancel: 9: there is no such order; nothing was cancelled"),
        (["cancel", "99999999999999999999"], "should be less than or equal to 9223372036854775807"),
        (["stop", "tracker-\udcff"], r"'tracker-\udcff': is not text in UTF-8; set the terminal's encoding"),
        (
            ["stop", DEVICE, "--why", "\x1b[2Jaway"],
            r"--why: '\x1b[2Jaway': has control characters; write one line of",
        ),
        (["stop", DEVICE, "--by", "two\nlines"], r"--by: 'two\nlines': has control characters; write one line of text"),
        (["stop", DEVICE, "--why", "\udcff"], r"'\udcff': is not text in UTF-8; set the terminal's encoding"),
        (
            ["stop", "--devices", "empty.csv", "--yes"],
            "--devices: empty.csv: names no device; write an id in each line",
        ),
    ],
)
def test_bad_input_is_one_line_and_orders_nothing(db, capsys, argv, said):
    (db.parent / "new.sqlite").touch()
    old = db.parent / "old.sqlite"
    with closing(Store(old)) as store:
        store._db.execute("PRAGMA user_version = 5")
    (db.parent / "empty.csv").write_text("\ufeff# nobody yet\n")
    (db.parent / "text").write_text("not a database, though it is as long as the header of one may be\n" * 20)
    assert order(*argv) == 2
    told = capsys.readouterr().err
    assert said in " ".join(told.split())
    assert told.count("\n") == 1
    assert waiting(db) is None
    with closing(sqlite3.connect(old)) as unchanged:
        assert unchanged.execute("PRAGMA user_version").fetchone() == (5,), "an earlier collector may be serving it"


def test_a_device_that_does_not_know_its_period_takes_no_figure_for_it(db, capsys):
    with closing(Store(db)) as store:
        report(store, DEVICE, THEN + timedelta(hours=1), seq=1, cycle_id=0)
    assert order("allowance=1MB", DEVICE) == 2
    assert "does not know its period yet" in capsys.readouterr().err
    assert order("stop", DEVICE) == 0


def test_many_devices_from_a_file(db, capsys):
    (db.parent / "fleet.csv").write_text(f'# ours\n"{OTHER}",Shenzhen\n\n{DEVICE},Hangzhou\n')
    assert order("stop", DEVICE, "--devices", "fleet.csv", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "would order stop for tracker-001, now open, rated 12,345,678",
        "would order stop for tracker-002, now terminated STOPPED_BY_HAND, rated 12,345,678",
    ]
    assert waiting(db) is None
    assert order("stop", "--devices", "fleet.csv", "--yes") == 0
    assert waiting(db) == waiting(db, OTHER) == Order(counter=1, stop=1)


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{DEVICE},Hangzhou\r\n{OTHER},Shenzhen\r\n",
        f"{DEVICE};Hangzhou\n{OTHER};Shenzhen\n",
        f"{DEVICE}\tHangzhou\n{OTHER}\tShenzhen",
        f'"{DEVICE}";"Hangzhou; west"\n \n{OTHER} \n{DEVICE}\n',
    ],
)
def test_the_first_column_of_what_spreadsheets_write_has_the_devices(db, capsys, content):
    (db.parent / "fleet.csv").write_text(content, newline="")
    assert order("stop", "--devices", "fleet.csv", "--yes") == 0
    assert waiting(db) == waiting(db, OTHER) == Order(counter=1, stop=1)


@pytest.fixture
def impatient(monkeypatch):
    """Stores that wait for no lock, and run these statements first."""
    statements = []

    def opened(path, **options):
        store = Store(path, busy_s=0, **options)
        for each in statements:
            store._db.execute(each)
        return store

    monkeypatch.setattr("host_tools.collector.store.Store", opened)
    return statements


def test_a_locked_a_full_and_a_read_only_database_are_told_apart(db, capsys, impatient):
    def complaint(device):
        assert order("stop", device, "--why", "x" * 20_000) == 2
        return " ".join(capsys.readouterr().err.split())

    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert complaint(DEVICE) == (
            "usageguard: --db: reports.sqlite: database is locked; another program writes to it: try again"
        )
    impatient.append("PRAGMA max_page_count = 1")
    assert complaint(DEVICE).endswith("database or disk is full; nothing was changed; make room on its disk")
    impatient[:] = ["PRAGMA query_only = 1"]
    assert complaint(DEVICE).endswith("attempt to write a readonly database; run this as the user who owns it")
    assert order("list") == 0
    assert waiting(db) is None


def test_a_fleet_gets_its_order_as_a_whole_or_not_at_all(db, monkeypatch):
    give = OrderBook.give
    given = []

    def interrupted(*arguments, **options):
        given.append(give(*arguments, **options))
        if len(given) == 2:
            raise KeyboardInterrupt
        return given[-1]

    monkeypatch.setattr(OrderBook, "give", interrupted)
    assert order("stop", DEVICE, OTHER, "--yes") == 130
    assert len(given) == 2
    assert waiting(db) is waiting(db, OTHER) is None


def test_a_user_without_a_name_is_asked_for_one(db, capsys, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54_321)  # none of /etc/passwd
    assert order("stop", DEVICE) == 2
    assert "--by: this user has no name here; say who gives the order" in capsys.readouterr().err
    assert waiting(db) is None
    assert order("stop", DEVICE, "--by", "Li") == 0


@pytest.mark.parametrize(("answer", "status"), [("", 130), ("n\n", 2), ("y\n", 0)])
def test_several_devices_are_asked_about(db, capsys, monkeypatch, answer, status):
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", stdin)
    assert order("stop", DEVICE, OTHER) == status
    told = capsys.readouterr()
    assert "Order stop for 2 devices (tracker-001, tracker-002)? [y/N]" in told.out
    assert told.err == (
        ""
        if status != 2
        else "usageguard: order: stop for 2 devices (tracker-001, tracker-002): was "
        "not confirmed; nothing was ordered\n"
    )
    assert (waiting(db) is None) == (status != 0)


def test_what_people_write_is_shown_as_it_is(db, capsys):
    why = "[red]see :bug: 12[/red], line\u3000two\\"
    assert order("stop", DEVICE, "--why", why) == 0
    capsys.readouterr()
    assert order("list") == 0
    assert why in capsys.readouterr().out


def test_the_list_says_who_when_why_and_what_stood_before(db, capsys):
    assert order("list") == 0
    assert capsys.readouterr().out == "no orders\n"
    order("limit=5MB", DEVICE, "--why", "bill of May", "--by", "Li")
    order("stop", OTHER)
    order("cancel", "1")
    capsys.readouterr()
    assert order("list", "--json", "-") == 0
    first, second = json.loads(capsys.readouterr().out)
    given_at = datetime.fromisoformat(first.pop("given_at"))
    assert timedelta() <= datetime.now(UTC) - given_at < timedelta(minutes=5)
    assert first == {
        "id": 1,
        "device": DEVICE,
        "order": "limit=5MB",
        "state": "cancelled",
        "since": None,
        "given_by": "Li",
        "why": "bill of May",
        "until": None,
        "before": "open, rated 12,345,678",
    }
    assert (second["device"], second["state"]) == (OTHER, "waiting")
    assert order("list", OTHER) == 0
    shown = capsys.readouterr().out
    assert "terminated STOPPED_BY_HAND" in shown
    assert DEVICE not in shown


@pytest.mark.parametrize(
    "until", ["2h", (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="seconds")], ids=["span", "time"]
)
def test_an_order_for_a_time(db, capsys, until):
    assert order("stop", DEVICE, "--until", until) == 0
    assert " with the answer to its next report if that comes before 2" in capsys.readouterr().out
    with closing(Store(db)) as store:
        (given,) = store.book.given()
    assert abs(given.until - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=5)
    assert order("list") == 0
    assert f"waiting until {given.until:%Y-%m-%d %H:%M}" in capsys.readouterr().out
    with closing(Store(db)) as store:
        store._db.execute("UPDATE given_order SET until = given_at")
    assert order("list", "--json", "-") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["state"] == "expired"
    assert listed["since"] == listed["until"] == given.given_at.isoformat()


def test_one_that_is_under_way_does_not_keep_others_from_being_cancelled(db, capsys):
    for what in ("limit=5MB", "throttle=4KB", "expiry=plan"):
        order(what, DEVICE)
    with closing(Store(db)) as store:
        store.book.send(DEVICE, THEN)
    capsys.readouterr()
    assert order("cancel", "2", "9", "3") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "usageguard: order cancel: 9: there is no such order; nothing was cancelled\n"
    assert order("cancel", "1", "2", "3") == 2
    told = capsys.readouterr()
    assert [line.split(":")[0] for line in told.out.splitlines()] == ["2", "3"]
    assert "order cancel: 1: limit=5MB is sent already; give the opp" in told.err
    assert order("cancel", "1", "2", "3") == 2
    told = capsys.readouterr()
    assert [line.split(":")[0] for line in told.out.splitlines()] == ["2", "3"]


def test_what_is_under_way_is_not_cancelled(db, capsys):
    order("limit=5MB", DEVICE)
    with closing(Store(db)) as store:
        store.book.send(DEVICE, THEN)
    assert order("cancel", "1") == 2
    assert "limit=5MB is sent already; give the opposite order, or the value" in " ".join(
        capsys.readouterr().err.split()
    )
