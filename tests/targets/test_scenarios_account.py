"""The scenarios about the SIM's account: money, dates, the pool, a person's word."""

import pytest

from tests.targets.both import ACCOUNT, check


@pytest.mark.parametrize("name", sorted(ACCOUNT))
def test_it_holds_alike_on_both_targets(name):
    check(name)
