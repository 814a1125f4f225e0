"""The main job on both targets: the same scenario and seed, the same events, and the figures that it promises."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import msgspec
import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from tests.packaging.test_documents import check_what_a_report_costs


@pytest.mark.proof
def test_both_targets_live_through_the_same_month():
    """The month with a cutoff, on each target, side by side: the same events, and what it promises."""
    loaded = scenario.load("cutoff-month")
    with ProcessPoolExecutor(len(SIMULATED), multiprocessing.get_context("spawn")) as pool:
        runs = {target: pool.submit(run_scenario, loaded, target) for target in SIMULATED}
        month = {target: run.result().to_json() for target, run in runs.items()}
    assert 0 < month["micropython"]["device"]["peak_heap_octets"] < 160 * 1024 * 8 * 0.8, "the heap of an ESP32"
    for result in month.values():
        check_the_month(result)
        del result["target"], result["wall_s"], result["device"]["peak_heap_octets"]
    cpython, micropython = (month[target] for target in SIMULATED)
    for one, other in zip(cpython["events"], micropython["events"], strict=True):
        assert one == other
    assert cpython == micropython


def check_the_month(result):
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
    check_what_a_report_costs(result["upstream"])


def test_the_same_seed_is_the_same_life_and_another_seed_another():
    loaded = scenario.load("smoke")
    lossy = msgspec.structs.replace(loaded, network=msgspec.structs.replace(loaded.network, loss_permille=50))
    runs = [run_scenario(lossy, "cpython", seed).to_json() for seed in (1, 1, 2)]
    for result in runs:
        del result["wall_s"], result["seed"]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
