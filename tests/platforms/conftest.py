"""A store in each kind of database, for tests that ask for `any_store`."""

from contextlib import closing

import pytest

from host_tools.collector.store import Store
from tests.collector.conftest import new_database, postgresql_server

__all__ = ["any_store", "new_database", "postgresql_server"]


@pytest.fixture
def any_store(new_database):
    with closing(Store(new_database())) as made:
        yield made
