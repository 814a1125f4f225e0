"""The servers of host_tools.bench.servers; tests that need one which is not installed are skipped."""

from contextlib import contextmanager

import pytest

from host_tools.base.errors import UsageError
from host_tools.bench import servers


@contextmanager
def running(serve):
    try:
        with serve() as server:
            yield server
    except UsageError as missing:
        pytest.skip(str(missing))


def postgresql():
    return running(servers.postgresql)


def mosquitto():
    return running(servers.mosquitto)
