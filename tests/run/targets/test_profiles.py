"""Every modem that ships goes over a stop and a period's boundary, on both targets, with the same books."""

import msgspec
import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from host_tools.sim.modem import models
from tests.modem.families import with_quirk

QUICK = {("quectel-ec200u", "cpython")}
"""In every test run; the others are proofs."""
AT_ONCE = 16_384  # what a surplus may be at a period's end, whatever the period carried


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(name, target, marks=() if (name, target) in QUICK else pytest.mark.proof)
        for name in models.with_sockets()
        for target in SIMULATED
    ],
)
def test_a_cutoff_and_the_next_month(name, target):
    holds(name, target)


@pytest.mark.proof
@pytest.mark.parametrize("target", SIMULATED)
def test_a_cutoff_with_payload_that_comes_unasked(tmp_path, target):
    """Of a OneMO module that knows no cache; Air780E, which ships, pushes too."""
    holds(str(with_quirk(tmp_path, "ml307r", "caches", False)), target)


def holds(name, target):
    loaded = msgspec.structs.replace(scenario.load("cutoff-short"), modem=name)
    result = run_scenario(loaded, target).to_json()
    carrier, device = result["carrier"], result["device"]
    assert result["failures"] == []
    over = device["carried_octets"] - carrier["ip_octets"]
    counts = models.load(name).counter is not None
    assert 0 <= over <= carrier["ip_octets"] * (5 if counts else 30) // 1000 + AT_ONCE
    assert over <= device["error_bound_octets"]
    assert carrier["stopped_at"] is None
