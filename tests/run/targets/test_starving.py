"""Applications that keep the guard from its steps: what DEVICE.md says of each. `time`, `select` and `machine` guard
while they wait, and what bypasses them is seen."""

from datetime import date
from itertools import groupby

import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from tests.run.targets.conftest import APPS, told

TEXT = """
title = "{way}"
start = 2026-03-31T21:00:00+08:00
duration = "{duration}"
app = {{ name = "{app}" }}
[plan]
allowance_octets = "100KB"
reserve_octets = "20KB"
margin_octets = "5KB"
[upstream]
host = "collector"
interval_s = "5h"
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
"""
LONG = ["light_sleep", "poll"]  # in one wait that is longer than the watchdog's time
MARCH, APRIL = ((date(2026, month, 1) - date(2000, 1, 1)).days for month in (3, 4))


def starve(way, target, duration="4h"):
    text = TEXT.format(way=way, duration=duration, app=APPS / "starving_app.py")
    return run_scenario(scenario.loads(text, "waits.toml"), target, files={"way": way.encode()}).to_json()


ON_A_BOARD = """
title = "a retry loop on a board, over a stop and a boundary"
start = 2026-04-01T00:05:30+08:00
duration = "75s"
real_time = true
network = {{ latency_ms = 1500 }}
app = {{ name = "{app}" }}
[plan]
allowance_octets = "72KB"
reserve_octets = "24KB"
margin_octets = "4KB"
[upstream]
host = "collector"
interval_s = "5d"
[carrier]
allowance_octets = "1MB"
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
[[fault]]
at = "1s"
kind = "collector_clock"
days = -1
lasts = "34s"
"""


def boots(result):
    return [event["cause"] for event in result["events"] if (event["who"], event["what"]) == ("device", "boot")]


@pytest.mark.parametrize("target", SIMULATED)
def test_a_loop_that_retries_with_a_native_pause_is_guarded_over_a_stop_and_into_the_next_month(target):
    result = starve("sleep", target)
    assert boots(result) == ["power-on"]
    assert [day for _, day, _ in told(result, "cycle")][-2:] == [MARCH, APRIL]
    verdicts = [what for what, _ in groupby(what for what, _, _ in told(result, "verdict-"))]
    assert verdicts.count("verdict-restricted") == 2, "stopped in each month"
    assert "verdict-open" in verdicts[verdicts.index("verdict-restricted") :]
    assert result["carrier"]["stopped_at"] is None
    assert result["upstream"]["reports_lost"] == 0
    assert result["upstream"]["reports_received"] >= 5


@pytest.mark.parametrize("target", SIMULATED)
@pytest.mark.parametrize("way", [*LONG, "short_sleeps", "microseconds", "idle", "poll_at_once"])
def test_every_wait_guards(way, target):
    result = starve(way, target, "30m" if way in LONG else "20s")
    assert boots(result) == ["power-on"]
    assert result["upstream"]["reports_received"] >= 1
    assert told(result, "app-crash") == []


@pytest.mark.parametrize("target", SIMULATED)
def test_what_bypasses_the_guards_waits_meets_the_watchdog(target):
    """Each refused call gives the guard 20 ms; the pauses between are not its own."""
    result = starve("block_forever", target, "20m")
    assert boots(result)[:3] == ["power-on", "watchdog", "watchdog"]


@pytest.mark.parametrize(
    ("way", "target"),
    [
        ("loop", "micropython"),
        pytest.param("loop", "cpython", marks=pytest.mark.proof),
        pytest.param("loop_of_requests", "cpython", marks=pytest.mark.proof),
    ],
)
def test_a_loop_without_a_wait_meets_the_watchdog_and_is_named(way, target):
    result = starve(way, target, "5m20s")
    assert boots(result) == ["power-on", "watchdog"]
    hangs = [event for event in result["events"] if event["what"] == "program-hangs"]
    lines = (APPS / "starving_app.py").read_text().splitlines()
    assert [event["t"][11:19] for event in hangs] == ["13:00:30"]
    file, _, line = hangs[0]["place"].partition(":")
    assert file == "starving_app.py"
    assert lines[int(line) - 1].strip() in ("while True:", "pass", "guard.hal.random(1)")
    assert result["device"]["carried_octets"] >= result["carrier"]["ip_octets"]


def check_counts(result):
    """A status is hourly, and the figures are of the last one."""
    device, carrier = result["device"], result["carrier"]
    assert carrier["ip_octets"] > 2000
    assert 0 <= device["carried_octets"] - carrier["ip_octets"] <= device["error_bound_octets"]


@pytest.mark.parametrize("target", SIMULATED)
def test_an_allocation_that_fails_is_a_crash(target):
    result = starve("allocate", target, "130m")
    assert boots(result) == ["power-on"]
    assert len(told(result, "app-crash")) > 5, "with a back-off"
    assert result["upstream"]["reports_received"] >= 2
    check_counts(result)


def test_a_callback_that_raises_ends_nothing():
    """CPython has no callbacks of this kind."""
    result = starve("callback", "micropython", "70m")
    assert boots(result) == ["power-on"]
    assert told(result, "callback-turns") == [("callback-turns", 10, 0)]
    assert told(result, "app-crash") == []
    check_counts(result)


@pytest.mark.parametrize("target", SIMULATED)
def test_a_c_call_of_a_minute_delays_the_guard(target):
    result = starve("c_call", target, "70m")
    assert boots(result) == ["power-on"]
    assert result["upstream"]["reports_received"] >= 1
    assert told(result, "app-crash") == []
    check_counts(result)


@pytest.mark.parametrize("target", SIMULATED)
def test_a_c_call_of_more_than_five_minutes_is_a_reset_that_loses_no_octet(target):
    result = starve("long_c_call", target, "70m")
    assert boots(result)[:2] == ["power-on", "watchdog"]
    assert told(result, "ledger-exact")
    check_counts(result)


@pytest.mark.parametrize("target", SIMULATED)
def test_threads_may_compute_and_pause_but_have_no_sockets(target):
    result = starve("thread", target, "70m")
    assert boots(result) == ["power-on"]
    assert told(result, "thread-") == [("thread-paused", 0, 0), ("thread-refused", 0, 0)]
    assert told(result, "app-crash") == []
    assert result["upstream"]["reports_received"] >= 1
    check_counts(result)


@pytest.mark.parametrize("target", SIMULATED)
def test_a_busy_wait_takes_its_time(target):
    assert told(starve("busy_wait", target, "1m"), "busy-wait") == [("busy-wait", 500, 0)]


@pytest.mark.proof
@pytest.mark.realtime
def test_on_a_board_a_native_pause_is_guarded_over_a_stop_and_into_the_next_month():
    """What is used in the minutes around a boundary counts in both months. So here a slow clock of the collector holds
    March back until the device has stopped; the answer to the report of the stop tells of April."""
    text = ON_A_BOARD.format(app=APPS / "starving_app.py")
    result = run_scenario(scenario.loads(text, "board.toml"), "board:virtual", files={"way": b"sleep_more"}).to_json()
    assert len(boots(result)) == 1
    wanted = ("cycle", "verdict-restricted", "app-refused", "verdict-open", "fetched")
    order = [what for what in (e["what"] for e in result["events"] if e["who"] == "device") if what in wanted]
    stopped = order.index("verdict-restricted")
    begun = order.index("cycle", stopped)
    assert "fetched" in order[:stopped]
    assert set(order[stopped + 1 : begun]) == {"app-refused"}
    assert "fetched" in order[begun:]
    assert result["carrier"]["stopped_at"] is None
