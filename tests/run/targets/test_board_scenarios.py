"""The scenarios for real boards: in real time on a virtual one, and in virtual time on the other targets."""

from datetime import datetime

import pytest

from host_tools.report import page as report
from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario
from tests.run.targets.both import check
from tests.run.targets.wired import live

NAMES = [name for name in scenario.shipped() if scenario.load(name).real_time]


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_alike_in_virtual_time(name):
    check(name)


def told(result, who, prefix):
    return [event for event in result["events"] if event["who"] == who and event["what"].startswith(prefix)]


def check_resets(result):
    """They come from the chip, and what was spent is known after them."""
    assert [event["cause"] for event in told(result, "device", "boot")] == ["hard", "watchdog", "hard"]
    ledgers = [(event["what"], event["a"], event["b"]) for event in told(result, "device", "ledger-")]
    assert ledgers == [("ledger-blank", 0, 0), ("ledger-exact", 0, 0), ("ledger-exact", 0, 0)]


def check_power_cut(result):
    """The lease is charged after it."""
    assert told(result, "device", "boot")[1]["cause"] == "power-on"
    after = told(result, "device", "ledger-")[1]
    assert after["what"] == "ledger-ceiling"
    assert after["b"] >= 1024, "no less than the smallest lease"


def check_month(result):
    """It begins when its boundary is 5 minutes past: as late as the acknowledgement that told the time, no later."""
    begun = told(result, "device", "cycle")[-1]
    late = datetime.fromisoformat(begun["t"]) - datetime.fromisoformat("2026-04-01T00:05:00+08:00")
    assert begun["a"] == (datetime(2026, 4, 1) - datetime(2000, 1, 1)).days
    assert 0 <= late.total_seconds() < 10


MORE = {"rt-resets": check_resets, "rt-power-cut": check_power_cut, "rt-month": check_month}
"""What is checked beside the scenario's own expectations."""


@pytest.mark.proof
@pytest.mark.realtime  # its time is the wall's: a scenario of 30 s takes 30 s, and a machine that is late is late in it
@pytest.mark.parametrize("name", NAMES)
def test_it_holds_on_a_board(name):
    result = live(name)
    assert result["failures"] == []
    assert result["target"].startswith("board:")
    assert result["device"]["flash_writes"] is None, "nobody can know"
    assert result["device"]["carried_octets"] >= result["carrier"]["ip_octets"]
    assert told(result, "device", "app-crash") == []
    assert told(result, "bench", "uart-overflow") == []
    if name in MORE:
        MORE[name](result)


def test_a_page_tells_no_flash_writes_of_a_board():
    loaded = scenario.load("rt-bring-up")
    run = run_scenario(loaded, "cpython")
    assert "flash writes" in report.render([report.Part(loaded, run)])
    run.summary["target"] = "board:/dev/ttyUSB0"
    run.summary["device"] |= {"flash_writes": None, "flash_erases": None}
    page = report.render([report.Part(loaded, run)])
    assert "flash writes" not in page
    assert "on board:/dev/ttyUSB0" in page
