"""What the bench makes of a world's parts."""

from datetime import date

import pytest

from host_tools import bench
from host_tools.sim.carrier import Lifecycle, Package
from tests.sim.carrier.world import IMSI, World

START = "2026-03-10T00:00:00+08:00"
MARCH = 26 * 12 + 2


@pytest.mark.parametrize(
    ("plan", "label", "number"),
    [
        ({}, "2026-03-01", MARCH),
        ({"package": Package(3), "activated": date(2026, 1, 15)}, "2026-04-01", MARCH + 1),
        ({"cycle_days": 30, "activated": date(2026, 3, 9)}, "2026-03-09", 16),
        ({"cycle_days": 30, "activated": date(2026, 3, 9)}, "2026-05-08", 18),
        ({"package": Package(3, "whole"), "activated": date(2025, 11, 30)}, "2025-11-30", 16),
        ({"package": Package(3, "whole"), "activated": date(2025, 11, 30)}, "2026-02-28", 17),
        ({"lifecycle": Lifecycle(500, date(2026, 4, 1))}, "test", 1),
        ({"lifecycle": Lifecycle()}, "silent", 2),
    ],
)
def test_the_devices_number_of_a_cycle(plan, label, number):
    assert bench.cycle_id(World(START, plan=plan).carrier, IMSI, label) == number
