"""`usageguard device`, on a collector's database."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest

from host_tools import cli
from host_tools.collector.order import Order
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from tests.collector.sealed import DEVICE, LIFE, fields, full

NOW = datetime.now(UTC)
OTHER = "tracker-002"


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "reports.sqlite"
    with closing(Store(path)) as store:

        def add(device, hours, values, **known):
            store.add(device, Report(*values, **known), cbor2.dumps(values), NOW - timedelta(hours=hours), "coap")

        add(DEVICE, 900, full(seq=0, cycle_id=9_528, rated_octets=1 << 20))
        routine = fields(seq=2, version=3, cycle_id=9_559, rated_base=1 << 20, rated_octets=3 << 20)
        add(DEVICE, 5, routine, life_id=LIFE)
        add(OTHER, 1, fields(verdict=4, reasons=0x10))
        add(OTHER, 0.5, fields(verdict=4, reasons=0x10, rated_octets=5))
        for what, order in (("resume", Order(counter=1, stop=0)), ("limit=5MB", Order(counter=1, limit=5 << 20))):
            store.book.give(OTHER, order, NOW, by="", what=what, why="", before="")
        store.book.send(OTHER, NOW)
    return path


def device(capsys, *argv, status=0):
    assert (cli.run(["device", *argv]) or 0) == status
    told = capsys.readouterr()
    return " ".join(told.err.split()) if status else told.out


def listed(capsys, *argv):
    return json.loads(device(capsys, "list", *argv, "--json", "-"))


def test_the_list_has_the_longest_silent_first(db, capsys):
    first, second = listed(capsys)
    assert first | {"received_at": ""} == {
        "device": DEVICE,
        "tags": [],
        "received_at": "",
        "standing": "open",
        "period": "2026-03-04",
        "rated_octets": 2 << 20,
        "carried_octets": 12_345_678,
        "error_bound_octets": 65_536,
        "reports_received": 2,
        "reports_lost": 1,
        "alarm_count": 0,
        "orders_waiting": [],
    }
    assert (second["standing"], second["orders_waiting"]) == ("restricted STOPPED_BY_HAND", ["resume", "limit=5MB"])
    assert listed(capsys, OTHER) == [second]
    assert second["alarm_count"] == 1, "two contents of one report"
    shown = device(capsys, "list")
    assert shown.index(DEVICE) < shown.index(OTHER)
    assert "5 h ago" in shown


def test_the_list_is_filtered(db, capsys):
    def names(*argv):
        return [each["device"] for each in listed(capsys, *argv)]

    assert names("--silent", "2h") == [DEVICE]
    assert names("--stopped") == [OTHER]
    with closing(Store(db)) as store:
        values = fields(verdict=3, reasons=0x2000, seq=1)
        store.add(OTHER, Report(*values), cbor2.dumps(values), NOW, "coap")
    assert names("--stopped") == [], "it is slowed down"
    assert names(OTHER) == [OTHER]
    assert device(capsys, "list", "--silent", "50d") == "no devices\n"


def test_a_device_is_shown_with_its_periods_alarms_and_orders(db, capsys):
    found = json.loads(device(capsys, "show", DEVICE, "--json", "-"))
    assert [(each["period"], each["rated_octets"]) for each in found["periods"]] == [
        ("2026-02-01", 1 << 20),
        ("2026-03-04", 2 << 20),
    ]
    assert found["evidence"] == [
        "+CEREG 1", "RSRP -95 dBm", "RSRQ -9.5 dB", "session refused with CME 33", "2 modem restarts",
    ]  # fmt: skip
    found = json.loads(device(capsys, "show", OTHER, "--json", "-"))
    assert [each["kind"] for each in found["alarms"]] == ["sequence_reused"]
    assert found["orders"] == [
        {"id": 1, "order": "resume", "state": "sent"},
        {"id": 2, "order": "limit=5MB", "state": "waiting"},
    ]
    assert (found["evidence"], found["evidence_at"]) == ([], None)
    shown = device(capsys, "show", OTHER)
    for text in ("restricted STOPPED_BY_HAND", "sequence_reused", "order 1 resume: sent", "not told"):
        assert text in shown


def test_tags_name_groups_also_for_orders(db, capsys):
    assert device(capsys, "tag", "shenzhen", DEVICE, OTHER) == "@shenzhen: 2 devices\n"
    assert device(capsys, "untag", "shenzhen", DEVICE) == "@shenzhen: 1 device\n"
    assert [each["device"] for each in listed(capsys, "@shenzhen")] == [OTHER]
    assert listed(capsys, OTHER)[0]["tags"] == ["shenzhen"]
    assert not cli.run(["order", "throttle=5KB", "@shenzhen"])
    capsys.readouterr()
    found = json.loads(device(capsys, "show", OTHER, "--json", "-"))
    assert [each["order"] for each in found["orders"]] == ["resume", "limit=5MB", "throttle=5KB"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "tracker-x"], "device: tracker-x: has never reported; see `usageguard device list`"),
        (["tag", "a b", DEVICE], "tag: a b: is not a tag; use letters, digits, and . _ - behind the first one"),
        (["tag", "a", "tracker-x"], "device: tracker-x: has never reported"),
        (["untag", "nobody", DEVICE], "tag: @nobody: no device has it"),
        (["list", "@nobody"], "tag: @nobody: no device has it"),
        (["list", "--silent", "6"], '--silent: "6" is not a duration'),
        (["list", "--db", "nowhere"], "--db: nowhere: is not there"),
    ],
)
def test_bad_input_is_one_line(db, capsys, argv, said):
    assert said in device(capsys, *argv, status=2)
