"""The configuration of the README's quick start, against carriers that count more than the device sees, and an
application that never stops sending."""

import re
import tomllib
from pathlib import Path

import pytest

from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario

ROOT = Path(__file__).parents[3]
WORLD = {
    "title": "quick start",
    "start": "2026-03-26T00:00:00+08:00",
    "duration": "6d1h",
    "upstream": {"host": "collector", "interval_s": "6h"},
    "host": [{"name": "collector", "kind": "collector"}, {"name": "api", "kind": "responder"}],
    "traffic": [
        {"class": "telemetry", "kind": "request", "host": "api", "period": "5m", "tx": 200, "rx": 300},
    ],
}


def config(document):
    """The first configuration in a document."""
    return tomllib.loads(re.findall(r"^```toml\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)[0])


def run(carrier, document=ROOT / "README.md", **changes):
    """A week at the end of a month, on 1 MB of the quick start's plan."""
    plan = config(document)["plan"] | {"allowance_octets": "1MB"} | changes
    start = scenario.datetime.fromisoformat(WORLD["start"])
    raw = {**WORLD, "start": start, "plan": {key: value for key, value in plan.items() if value is not None}}
    return run_scenario(scenario.read(raw | {"carrier": carrier}, "test.toml"), "cpython").to_json()


ADDED = [{"per_packet_octets": 54}, {"permille": 70}]
CARRIERS = pytest.mark.parametrize("carrier", ADDED, ids=["packets", "permille"])


@pytest.mark.proof
@CARRIERS
def test_no_carrier_stops_the_sim_first(carrier):
    result = run(carrier)
    assert result["carrier"]["stops"] == []
    assert result["device"]["stopped_at"] > "2026-03-30T12", "the plan lasts: pace"
    assert result["carrier"]["billed_octets"] > 600_000, "and is used"


@pytest.mark.proof
@CARRIERS
def test_without_its_rating_both_do(carrier):
    assert run(carrier, rating=None)["carrier"]["stops"] != []


@pytest.mark.proof
def test_without_pace_the_plan_is_used_up_days_before():
    assert run({}, pace=None)["device"]["stopped_at"] < "2026-03-30"


def test_each_document_has_the_same():
    plans = [config(ROOT / name)["plan"] for name in ("README.md", "README.zh-CN.md", "firmware/DEVICE.md")]
    assert plans[0] == plans[1] == plans[2]
