"""One fleet for all tests that change nothing that others look at."""

from datetime import UTC, datetime

import pytest

from host_tools.bench import fleets
from host_tools.fleet.watch import Terms
from tests.fleet.site import serving

DEVICES = 130


@pytest.fixture(scope="session")
def fleet_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("fleet") / "reports.sqlite"
    fleets.fill(path, DEVICES, datetime.now(UTC))
    return path


@pytest.fixture(scope="session")
def site(fleet_file):
    with serving(fleet_file, Terms(rating=fleets.RATING)) as served:
        yield served
