"""A shipped scenario on both targets: it holds on each, and they live through the same events."""

import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario

# Those that have a test of their own, or that run here would say nothing new.
ELSEWHERE = {"cutoff-month", "cutoff-short", "demo"}
QUOTA = {"smoke", "carrier-stop", "carriers-figure", "month-of-the-27th", "rolling-days", "throttle", "warnings",
         "wrong-clock", "no-collector", "sim-exchange", "counter-in-doubt", "session-rounding",
         "deep-sleep", "daily-cap", "endless", "slow-end", "class-quota",
         "night-data", "roaming"}  # fmt: skip
ACCOUNT = {"arrears", "expiry", "lifecycle", "overage", "pool", "priorities", "stopped-by-hand"}

QUICK = {"smoke", "counter-in-doubt"}
"""In every test run; the others are proofs."""


def marked(names: set[str]) -> list:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.proof) for name in sorted(names)]


def check(name: str) -> None:
    loaded = scenario.load(name)
    runs = {target: run_scenario(loaded, target).to_json() for target in SIMULATED}
    for target, result in runs.items():
        assert result["failures"] == [], target
    cpython, micropython = (dict(runs[target]) for target in SIMULATED)
    for one, other in zip(cpython.pop("events"), micropython.pop("events"), strict=True):
        assert one == other
    for result in (cpython, micropython):
        for key in ("target", "wall_s"):
            del result[key]
        result["device"] = {k: v for k, v in result["device"].items() if k != "peak_heap_octets"}
    assert cpython == micropython
