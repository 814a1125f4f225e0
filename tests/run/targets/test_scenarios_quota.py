"""The scenarios about octets: quotas, figures, periods, slowing down."""

import pytest

from host_tools.scenario import file as scenario
from tests.run.targets.both import ACCOUNT, ELSEWHERE, QUOTA, check, marked


def test_every_scenario_that_ships_is_run():
    assert {name for name in scenario.shipped() if not name.startswith("rt-")} == ELSEWHERE | QUOTA | ACCOUNT


@pytest.mark.parametrize("name", marked(QUOTA))
def test_it_holds_alike_on_both_targets(name):
    check(name)
