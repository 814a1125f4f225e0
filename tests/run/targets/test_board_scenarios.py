"""The scenarios for real boards: in real time on a virtual one, and in virtual time on the other targets."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime

import pytest

from host_tools.report import page as report
from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario
from tests.run.targets.both import check
from tests.run.targets.wired import live

pytestmark = pytest.mark.xdist_group("boards")  # one worker has them all: `lives` runs them side by side
AT_ONCE = 3  # they wait most of the time, but each is deployed to first
NAMES = [name for name in scenario.shipped() if scenario.load(name).real_time]


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_alike_in_virtual_time(name):
    check(name)


@pytest.fixture(scope="module")
def lives():
    """All of them, some side by side."""
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        yield {name: pool.submit(live, name) for name in NAMES}


def told(result, who, prefix):
    return [event for event in result["events"] if event["who"] == who and event["what"].startswith(prefix)]


@pytest.mark.proof
@pytest.mark.realtime  # its time is the wall's: a scenario of 30 s takes 30 s, and a machine that is late is late in it
@pytest.mark.parametrize("name", NAMES)
def test_it_holds_on_a_board(name, lives):
    result = lives[name].result()
    assert result["failures"] == []
    assert result["target"].startswith("board:")
    assert result["device"]["flash_writes"] is None, "nobody can know"
    assert result["device"]["carried_octets"] >= result["carrier"]["ip_octets"]
    assert told(result, "device", "app-crash") == []
    assert told(result, "bench", "uart-overflow") == []


@pytest.mark.proof
@pytest.mark.realtime
def test_resets_come_from_the_chip_and_what_was_spent_is_known_after_them(lives):
    result = lives["rt-resets"].result()
    assert [event["cause"] for event in told(result, "device", "boot")] == ["hard", "watchdog", "hard"]
    ledgers = [(event["what"], event["a"], event["b"]) for event in told(result, "device", "ledger-")]
    assert ledgers == [("ledger-blank", 0, 0), ("ledger-exact", 0, 0), ("ledger-exact", 0, 0)]


@pytest.mark.proof
@pytest.mark.realtime
def test_after_a_power_cut_the_lease_is_charged(lives):
    result = lives["rt-power-cut"].result()
    assert told(result, "device", "boot")[1]["cause"] == "power-on"
    after = told(result, "device", "ledger-")[1]
    assert after["what"] == "ledger-ceiling"
    assert after["b"] >= 1024, "no less than the smallest lease"


@pytest.mark.proof
@pytest.mark.realtime
def test_a_month_begins_when_its_boundary_is_5_minutes_past(lives):
    result = lives["rt-month"].result()
    begun = told(result, "device", "cycle")[-1]
    late = datetime.fromisoformat(begun["t"]) - datetime.fromisoformat("2026-04-01T00:05:00+08:00")
    assert begun["a"] == (datetime(2026, 4, 1) - datetime(2000, 1, 1)).days
    assert 0 <= late.total_seconds() < 10, "as late as the acknowledgement that told the time, no later"


def test_a_page_tells_no_flash_writes_of_a_board():
    loaded = scenario.load("rt-bring-up")
    run = run_scenario(loaded, "cpython")
    assert "flash writes" in report.render([report.Part(loaded, run)])
    run.summary["target"] = "board:/dev/ttyUSB0"
    run.summary["device"] |= {"flash_writes": None, "flash_erases": None}
    page = report.render([report.Part(loaded, run)])
    assert "flash writes" not in page
    assert "on board:/dev/ttyUSB0" in page
