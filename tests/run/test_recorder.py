"""Which period the figures of a run are of."""

from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.names import CPYTHON
from host_tools.run.world import cycle_id
from host_tools.scenario import file as scenarios

MIDNIGHT = datetime(2026, 4, 1, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize("longer_s", [0, 1800])
def test_a_run_that_ends_with_a_period_has_the_devices_figures_of_it(longer_s):
    smoke = scenarios.load("smoke")
    start = MIDNIGHT - timedelta(seconds=smoke.duration - longer_s)
    summary = run_scenario(msgspec.structs.replace(smoke, start=start), CPYTHON).summary
    device, carrier = summary["device"], summary["carrier"]
    assert (device["cycle"], summary["failures"]) == (cycle_id("2026-03-01"), [])
    assert 0 < carrier["ip_octets"] <= device["carried_octets"] < 1.1 * carrier["ip_octets"]
