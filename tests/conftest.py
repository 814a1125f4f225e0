"""What all property tests have: the same examples in every run, and no limit of time that a busy machine would miss.
And the 32-bit VM, where it can be had."""

import pytest
from hypothesis import settings

from host_tools.base.errors import UsageError

settings.register_profile("tests", deadline=None, derandomize=True)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def vm32():
    """Skips a test that wants the 32-bit VM where that cannot be had."""
    from host_tools.bench.heap import board  # loads half of the host's tools, which most tests do without

    try:
        board.command()
    except UsageError as missing:
        pytest.skip(str(missing))
