"""Why is the device offline: each verdict through modem, network and carrier, in this process and on both targets."""

from pathlib import Path

import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.direct import DirectTarget
from host_tools.run.targets.names import SIMULATED
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario

# isort: split
from usageguard.diagnose import causes as c

APP = Path(__file__).parent / "apps" / "diagnosing_app.py"
ASKED_AT_S = 600
BASE = """
title = "offline"
start = {start}:00+08:00
duration = "20m"
modem = "{modem}"
[plan]
allowance_octets = "30MB"
{plan}
[upstream]
host = "collector"
interval_s = "{interval}"
[carrier]
{carrier}
[app]
name = "{app}"
[[host]]
name = "collector"
kind = "{collector}"
{more}
"""


def fault(kind, at="60s", **keys):
    return _table("fault", at, kind=kind, **keys)


def action(action, at="60s", **keys):
    return _table("platform", at, action=action, **keys)


def order(at="0s", **keys):
    return _table("order", at, **keys)


def _table(table, at, **keys):
    lines = [f"[[{table}]]", f'at = "{at}"']
    for key, value in keys.items():
        lines.append(f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}")
    return "\n".join(lines) + "\n"


def text(**given):
    usual = {"more": "", "plan": "", "carrier": "", "collector": "collector", "start": "2026-03-10T00:00",
             "modem": "quectel-ec200u", "interval": "1h"}  # fmt: skip
    return BASE.format(**usual | given, app=APP)


STOP = action("stop", at="120s")
ACCOUNT = "account = { balance_fen = 1000 }\n"
PACKAGE = 'package = { months = 6, slice = "month" }\nactivated = 2026-01-10\n'
EXPIRED = 'package = { months = 2, slice = "month" }\nactivated = 2026-01-10\n'
TELLS = {"modem": "a7670e"}
"""A modem that tells the cause of a denied registration, unlike the usual one."""
UNKNOWN = c.CARRIER_ARREARS, c.CARRIER_EXPIRED, c.CARRIER_BY_HAND
"""What a stop in the middle of a period may be, with most of the plan left and no account or package known."""

# What is wrong, and the verdicts: the cause, its detail, the causes that cannot be told from it.
CASES = {
    "nothing": ({}, []),
    "the modem is dead": ({"more": fault("hang", at="1s", for_good=True)}, [(c.MODEM_DEAD, 0, ())]),
    "the modem restarts": (
        {"more": "".join(fault("reboot", at=f"{s}s") for s in (60, 120, 180))},
        [(c.MODEM_RESTARTS, 3, ())],
    ),
    "the SIM is out": ({"more": fault("sim_out")}, [(c.SIM_ABSENT, 10, ())]),
    "the SIM wants a PIN": ({"more": fault("sim_locked")}, [(c.SIM_PIN, 0, ())]),
    "the SIM is faulty": ({"more": fault("sim_faulty")}, [(c.SIM_FAULT, 13, ())]),
    "no signal": ({"more": fault("no_coverage")}, [(c.NO_SIGNAL, 0, ())]),
    "a weak signal": (
        {"more": fault("signal", rsrp_dbm=-125) + fault("stuck_registration") + fault("reboot")},
        [(c.NO_SIGNAL, 0, ())],
    ),
    "only others' cells": ({"more": fault("operator_gone")}, [(c.NO_COVERAGE, 0, ())]),
    "no cell for this SIM": ({"more": action("refuse", cause=15), **TELLS}, [(c.NO_COVERAGE, 15, ())]),
    "registration denied": ({"more": action("refuse", cause=8), **TELLS}, [(c.DENIED, 8, ())]),
    "denied, and the modem tells no cause": (
        {"more": action("refuse", cause=8)},
        [(c.DENIED, 0, (c.CONGESTION, c.NO_COVERAGE))],
    ),
    "no room for registrations": ({"more": action("refuse", cause=22), **TELLS}, [(c.CONGESTION, 22, ())]),
    "the APN is wrong": ({"carrier": 'serves_apn = "cmnet"'}, [(c.WRONG_APN, 127, ())]),
    "no room for sessions": ({"more": action("refuse_sessions", cause=26)}, [(c.CONGESTION, 126, ())]),
    "stopped by the owner": ({"more": order(stop=True)}, [(c.STOPPED_BY_US, 4, ())]),
    "stopped by the carrier": ({"more": STOP}, [(UNKNOWN[0], 133, UNKNOWN[1:])]),
    "barred by the carrier": ({"more": STOP, "carrier": "stop_cause = 8"}, [(UNKNOWN[0], 177, UNKNOWN[1:])]),
    "the quota by the carrier's count": (
        {"more": order(at="30s", set_used_octets="28MB"), "interval": "2m", "carrier": "allowance_octets = 600"},
        [(c.CARRIER_QUOTA, 133, UNKNOWN)],
    ),
    "arrears on the first day": (
        {"carrier": "account = { balance_fen = 10, fee_fen = 20 }", "start": "2026-03-31T23:57"},
        [(c.CARRIER_ARREARS, 133, (c.CARRIER_EXPIRED, c.CARRIER_BY_HAND))],
    ),
    "two: the pool, for us and for the carrier": (
        {"plan": "pool = {}", "carrier": "pool = { allowance_octets = 320 }"},
        [(c.STOPPED_BY_US, 9, ()), (c.CARRIER_POOL, 133, UNKNOWN)],
    ),
    "by hand, as all else is known to be in order": (
        {"more": STOP, "plan": ACCOUNT + PACKAGE},
        [(c.CARRIER_BY_HAND, 133, ())],
    ),
    "a soft stop": ({"more": STOP, "carrier": "stop_cause = 0"}, [(c.SOFT_STOP, 0, ())]),
    "the collector's name": ({"more": fault("host_gone", name="collector")}, [(c.COLLECTOR_NAME, 0, ())]),
    "the collector's port": ({"collector": "sink"}, [(c.COLLECTOR_PORT, 0, ())]),
    "the collector's key": ({"more": fault("collector_key"), "interval": "2m"}, [(c.COLLECTOR_REFUSES, 0x81, ())]),
    "the ledger is lost": ({"more": fault("ledger_lost")}, [(c.DEVICE_FAULT, c.LEDGER, ())]),
    "two: expired for us and for the carrier": (
        {"plan": EXPIRED, "start": "2026-03-09T23:57"},
        [(c.STOPPED_BY_US, 6, ()), (c.CARRIER_EXPIRED, 133, (c.CARRIER_ARREARS, c.CARRIER_BY_HAND))],
    ),
    "two: no SIM, and stopped by the owner": (
        {"more": order(stop=True) + fault("sim_out", at="5m")},
        [(c.SIM_ABSENT, 10, ()), (c.STOPPED_BY_US, 4, ())],
    ),
}
QUICK = {"nothing", "stopped by the carrier", "a soft stop"}
"""On both targets in every test run; the others there are proofs."""


def expected(case):
    """The events of the application in that case: the codes, and how many others each may be."""
    verdicts = CASES[case][1]
    return [(c.Verdict(cause, detail).code, len(others)) for cause, detail, others in verdicts]


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found(case):
    given, verdicts = CASES[case]
    world = World(scenario.loads(text(**given), "offline.toml"), 1, {})
    found, paid = [], []

    def live(guard):
        guard.sleep(ASKED_AT_S * 1000 - world.clock.now_us // 1000)
        before = world.carrier.figures(IMSI)["ip_octets"]
        found.extend(guard.diagnose())
        paid.append(world.carrier.figures(IMSI)["ip_octets"] - before)
        assert world.clock.now_us <= (ASKED_AT_S + 150) * 1_000_000
        world.board.finish()

    world.run(DirectTarget(world.scenario.device_config(), live).boot)
    print(*found, sep="\n")
    assert [(each.cause, each.detail, tuple(each.others)) for each in found] == verdicts
    assert paid[0] <= 400
    assert all(each.remedy and each.evidence for each in found)


@pytest.mark.parametrize("target", SIMULATED)
def test_the_short_message_of_a_stopped_device_tells_why(target):
    given = text(more=STOP).replace("[upstream]", '[upstream]\nsms_number = "+8613800138000"')
    reports = []
    result = run_scenario(
        scenario.loads(given, "sms.toml"), target, on_start=lambda world: reports.append(world.store)
    )
    assert any(event["what"] == "sms-sent" for event in result.to_json()["events"])
    last = reports[0].latest("tracker-001")
    assert (last.path, last.report.cause) == ("sms", UNKNOWN[0])


@pytest.mark.parametrize("target", SIMULATED)
@pytest.mark.parametrize("case", [pytest.param(n, marks=() if n in QUICK else pytest.mark.proof) for n in CASES])
def test_both_targets_find_it(case, target):
    result = run_scenario(scenario.loads(text(**CASES[case][0]), "offline.toml"), target).to_json()
    device = [event for event in result["events"] if event["who"] == "device"]
    found = [(event["a"], event["b"]) for event in device if event["what"] == "diagnosis"]
    assert [event["a"] for event in device if event["what"] == "diagnosed"] == [len(found)]
    assert found == expected(case)
