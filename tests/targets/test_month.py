"""The main job on both targets: the same scenario and seed, the same events, and the figures that it promises."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import msgspec
import pytest

from host_tools import bench, scenario
from host_tools.targets.process import TARGETS


@pytest.fixture(scope="module")
def month():
    """The month with a cutoff, on each target, side by side."""
    loaded = scenario.load("cutoff-month")
    with ProcessPoolExecutor(len(TARGETS), multiprocessing.get_context("spawn")) as pool:
        runs = {target: pool.submit(bench.run, loaded, target) for target in TARGETS}
        return {target: run.result().to_json() for target, run in runs.items()}


def test_both_targets_live_through_the_same_events(month):
    events = [month[target]["events"] for target in TARGETS]
    for cpython, micropython in zip(*events, strict=False):
        assert cpython == micropython
    assert len(events[0]) == len(events[1])
    plain = [dict(month[target]) for target in TARGETS]
    for result in plain:
        for key in ("target", "wall_s"):
            del result[key]
        result["device"] = {k: v for k, v in result["device"].items() if k != "peak_heap_octets"}
    assert plain[0] == plain[1]


@pytest.mark.parametrize("target", TARGETS)
def test_the_month_is_kept(month, target):
    result = month[target]
    carrier, device = result["carrier"], result["device"]
    assert result["failures"] == []
    assert carrier["ip_octets"] <= device["carried_octets"] <= carrier["ip_octets"] * 1.005
    assert abs(device["rated_octets"] - carrier["billed_octets"]) <= carrier["billed_octets"] * 0.005
    assert device["carried_octets"] - carrier["ip_octets"] <= device["error_bound_octets"]
    assert carrier["stopped_at"] is None, "the carrier had to stop the SIM"
    assert device["stopped_at"] is not None, "the traffic would not have exceeded the plan"
    assert carrier["billed_octets"] >= carrier["allowance_octets"] * 0.98
    assert result["upstream"]["reports_lost"] == 0
    assert device["boots"] == 2, "the power cut is part of it"


def test_the_vm_has_the_heap_of_an_esp32_and_says_what_lives_in_it(month):
    words = 128 * 1024
    assert 0 < month["micropython"]["device"]["peak_heap_octets"] < words * 8 * 0.8


def test_the_same_seed_is_the_same_life_and_another_seed_another():
    loaded = scenario.load("smoke")
    lossy = msgspec.structs.replace(loaded, network=msgspec.structs.replace(loaded.network, loss_permille=50))
    runs = [bench.run(lossy, "cpython", seed).to_json() for seed in (1, 1, 2)]
    for result in runs:
        del result["wall_s"], result["seed"]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
