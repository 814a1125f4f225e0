"""One fleet for all tests that change nothing that others look at."""

from datetime import UTC, datetime

import pytest

from host_tools.bench import fleets
from host_tools.fleet.watch import Terms
from tests.collector import servers
from tests.fleet.site import serving

DEVICES = 130


@pytest.fixture(scope="session")
def fleet_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("fleet") / "reports.sqlite"
    fleets.fill(path, DEVICES, datetime.now(UTC))
    return path


@pytest.fixture(scope="session")
def postgresql_server():
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.proof)])
def new_database(request, tmp_path_factory):
    """Gives a name for a new database of each kind, each time that it is called."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_server").new
    folder = tmp_path_factory.mktemp("databases")
    names = (folder / f"reports-{number}.sqlite" for number in range(1000))
    return lambda: next(names)


@pytest.fixture(scope="session")
def any_site(new_database):
    """The fleet in each kind of database."""
    name = new_database()
    fleets.fill(name, DEVICES, datetime.now(UTC))
    with serving(name, Terms(rating=fleets.RATING)) as served:
        yield served


@pytest.fixture(scope="session")
def site(fleet_file):
    with serving(fleet_file, Terms(rating=fleets.RATING)) as served:
        yield served
