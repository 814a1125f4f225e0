"""A shipped scenario on both targets: it holds on each, and they live through the same events."""

from host_tools import bench, scenario
from host_tools.targets.process import TARGETS

# Those that have a test of their own, or that run here would say nothing new.
ELSEWHERE = {"cutoff-month", "demo"}
QUOTA = {"smoke", "carrier-stop", "carriers-figure", "month-of-the-27th", "rolling-days", "throttle", "warnings"}
ACCOUNT = {"arrears", "expiry", "lifecycle", "overage", "pool", "priorities", "stopped-by-hand"}


def check(name: str) -> None:
    loaded = scenario.load(name)
    runs = {target: bench.run(loaded, target).to_json() for target in TARGETS}
    for target, result in runs.items():
        assert result["failures"] == [], target
    cpython, micropython = (dict(runs[target]) for target in TARGETS)
    for one, other in zip(cpython.pop("events"), micropython.pop("events"), strict=True):
        assert one == other
    for result in (cpython, micropython):
        for key in ("target", "wall_s"):
            del result[key]
        result["device"] = {k: v for k, v in result["device"].items() if k != "peak_heap_octets"}
    assert cpython == micropython
