"""`usageguard diagnose`: by a report, by a status, by a board's console."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest

from host_tools import cli
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from host_tools.diagnosis import known
from host_tools.report.reasons import way_back
from host_tools.run.targets.direct import DirectTarget
from host_tools.run.world import World
from tests.collector.sealed import DEVICE, LIFE, fields, full
from tests.run.targets.test_diagnosis import CASES, text

from host_tools.scenario import file as scenario  # isort: skip
from usageguard.diagnose import causes as c  # isort: skip

DENIED = {"registration": 3, "reject_cause": 8}
STOP, BY_HAND = 0x4, 0x10


@pytest.fixture
def db(tmp_path, monkeypatch):
    """A database to which reports are added, the newest last."""
    monkeypatch.chdir(tmp_path)
    with closing(Store(tmp_path / "reports.sqlite")) as store:

        def add(values, path="coap", **more):
            at = datetime.now(UTC) - timedelta(hours=2)
            report = Report(*values, **more)
            store.add(DEVICE, report, cbor2.dumps(values), at, path)

        yield add


def diagnosed(capsys, *argv, status=1):
    assert (cli.run(["diagnose", *argv, "--json", "-"]) or 0) == status
    told = capsys.readouterr()
    return json.loads(told.out) if status < 2 else " ".join(told.err.split())


def causes(found):
    return [each["cause"] for each in found["verdicts"]]


def test_a_device_whose_reports_come_is_not_offline(db, capsys):
    db(full(seq=0))
    found = diagnosed(capsys, DEVICE, status=0)
    assert causes(found) == []
    assert found["device"] == DEVICE
    assert "by coap, 2 h ago" in found["last report"]


def test_a_short_message_of_a_stopped_device(db, capsys):
    db(full(seq=0, reasons=STOP | BY_HAND, cme=133), path="sms")
    first, second = diagnosed(capsys, DEVICE)["verdicts"]
    assert (first["cause"], first["evidence"]) == ("stopped-by-us", "STOPPED_BY_HAND")
    assert second["cause"] == "carrier-quota"
    assert second["others"] == ["carrier-arrears", "carrier-expired", "carrier-by-hand"]
    assert second["evidence"] == "no data session, +CME ERROR: 133"
    assert (second["retry"], second["octets"]) == (True, 161)


def test_a_stop_is_told_in_words_with_what_lifts_it(db, capsys):
    db(full(seq=0, reasons=BY_HAND), path="sms")
    assert cli.run(["diagnose", DEVICE]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "STOPPED_BY_HAND: the owner orders a stop" in said
    assert f"lifted by: {way_back('STOPPED_BY_HAND')}" in said
    assert way_back("ROAMING_EXHAUSTED") == "the SIM is at home, or a new period has octets for roaming"
    assert way_back("QUOTA_EXHAUSTED").endswith(", or a new period")


def test_the_plan_ranks_what_the_report_cannot_tell(db, capsys, tmp_path):
    (tmp_path / "config.toml").write_text(
        '[device]\nid = "tracker-001"\nkey = "' + "5a" * 32 + '"\n[modem]\nfamily = "quectel"\napn = "cmiot"\n'
        '[plan]\nallowance_octets = "100MB"\n'
    )
    db(full(seq=0, reasons=STOP, rated_octets=1 << 20, rated_base=0), path="sms")
    assert causes(diagnosed(capsys, DEVICE)) == ["carrier-quota"]
    assert causes(diagnosed(capsys, DEVICE, "--config", "config.toml")) == ["carrier-arrears"]


def test_a_short_message_without_a_stop_means_a_session_in_which_nothing_passes(db, capsys):
    db(full(seq=0), path="sms")
    (verdict,) = diagnosed(capsys, DEVICE)["verdicts"]
    assert (verdict["cause"], verdict["others"]) == ("soft-stop", ["collector-port"])


def test_what_the_device_has_found_stands_in_front(db, capsys):
    db(full(seq=0, reasons=STOP, cause=c.CARRIER_EXPIRED), path="sms")
    (verdict,) = diagnosed(capsys, DEVICE)["verdicts"]
    assert verdict["cause"] == "carrier-expired"
    assert verdict["others"] == ["carrier-quota", "carrier-arrears", "carrier-by-hand"]
    db(full(seq=1, cause=c.NO_COVERAGE))
    (verdict,) = diagnosed(capsys, DEVICE)["verdicts"]
    assert (verdict["cause"], verdict["evidence"]) == ("no-coverage", "the device said so")


def test_restarts_and_crashes_are_told_beside_it(db, capsys):
    db(full(seq=0, app_restarts=4, modem_restarts=5))
    assert causes(diagnosed(capsys, DEVICE)) == ["modem-restarts", "device-fault"]


def test_a_routine_report_is_judged_with_the_modems_state_of_the_full_one(db, capsys):
    db(full(seq=0, modem_restarts=5))
    db(fields(seq=1, version=3), life_id=LIFE)
    assert causes(diagnosed(capsys, DEVICE)) == ["modem-restarts"]


LATER = {"the SIM is out", "the SIM wants a PIN", "no signal", "only others' cells", "registration denied",
         "stopped by the owner", "the modem is dead", "the APN is wrong", "nothing", "the ledger is lost"}  # fmt: skip
"""Cases that the status shows as well as the device knows them."""


@pytest.mark.parametrize("case", sorted(LATER))
def test_a_status_says_what_the_device_says(case, tmp_path, capsys):
    given, verdicts = CASES[case]
    world = World(scenario.loads(text(**given), "offline.toml"), 1, {})
    statuses = []

    def live(guard):
        guard.sleep(900_000 - world.clock.now_us // 1000)
        world.board.on_status = statuses.append
        guard._publish(guard.hal.ticks_ms())
        world.board.finish()

    world.run(DirectTarget(world.scenario.device_config(), live).boot)
    (status,) = statuses
    found = c.diagnose(known.of_status(status, None, settled=True))
    assert [(each.cause, each.detail) for each in found] == [verdict[:2] for verdict in verdicts]
    if case == "the modem is dead":  # only a board that was restarted is known to have tried
        return
    file = tmp_path / "monitor.jsonl"
    file.write_text('{"kind": "event"}\n' + json.dumps({"kind": "status", **status}) + "\n", "utf-8")
    written = diagnosed(capsys, "--status", str(file), status=int(bool(verdicts)))
    assert causes(written) == [c.CAUSES[cause - 1][c.LABEL] for cause, *_ in verdicts]


def test_what_it_cannot_be_used_with(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("no status here\n")
    for argv, problem in (
        ((), "one source tells of a device"),
        ((DEVICE, "--port", "x"), "one source tells of a device"),
        ((DEVICE, "--restart"), "resets a board"),
        ((DEVICE,), "is not there"),
        (("--status", "empty"), "has no status"),
        (("--status", "none"), "no such file"),
    ):
        assert problem in diagnosed(capsys, *argv, status=2)


def test_it_is_readable(db, capsys):
    db(full(seq=0, reasons=STOP), path="sms")
    assert cli.run(["diagnose", DEVICE]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "carrier-quota no data session, +CME ERROR: 33; cannot be told from carrier-arrears, carrier-expired" in told
    assert "top the SIM up, or wait for the next period the device tries again by itself, for 161 bytes" in told
