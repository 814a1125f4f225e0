"""Tests that take `family` run for each of them, and `make` builds that family's rig; most only as proofs."""

from functools import partial

import pytest

from tests.modem.families import FAMILIES
from tests.modem.rig import DriverRig

FIRST = next(iter(FAMILIES))
QUICK = {
    "test_bring_up_and_exchange",
    "test_datagrams_keep_their_bounds",
    "test_unread_payload_is_counted",
    "test_carrier_stops_and_serves_again",
    "test_board_resets_and_the_modem_does_not",
}
VARIANTS_QUICK = {"test_board_resets_and_the_modem_does_not"}


def pytest_generate_tests(metafunc):
    if "family" in metafunc.fixturenames:
        test = metafunc.function.__name__
        quick = {name: test in (VARIANTS_QUICK if family.variant else QUICK) for name, family in FAMILIES.items()}
        marks = {name: () if quick[name] or name == FIRST else pytest.mark.proof for name in FAMILIES}
        metafunc.parametrize(
            "family", [pytest.param(FAMILIES[name], marks=marks[name], id=name) for name in FAMILIES]
        )


@pytest.fixture
def make(family):
    return partial(DriverRig, family)
