"""A store in each kind of database."""

from contextlib import closing

import pytest

from host_tools.collector.store import Store
from tests.collector import servers


@pytest.fixture(scope="session")
def postgresql_server():
    with servers.postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request, tmp_path):
    """Gives a name for a new database, each time that it is called."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_server").new
    names = (tmp_path / f"reports-{number}.sqlite" for number in range(1000))
    return lambda: next(names)


@pytest.fixture
def database(new_database):
    """The name of a database that is not there yet."""
    return new_database()


@pytest.fixture
def store(database):
    with closing(Store(database)) as made:
        yield made


@pytest.fixture(scope="session")
def mosquitto():
    with servers.mosquitto() as broker:
        yield broker
