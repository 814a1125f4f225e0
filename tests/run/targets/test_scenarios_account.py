"""The scenarios about the SIM's account: money, dates, the pool, a person's word."""

import pytest

from tests.run.targets.both import ACCOUNT, check, marked


@pytest.mark.parametrize("name", marked(ACCOUNT))
def test_it_holds_alike_on_both_targets(name):
    check(name)
