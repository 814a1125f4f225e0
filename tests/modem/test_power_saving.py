"""What drivers ask for of power saving, as the simulated modem and its network understand it."""

import pytest

from host_tools.sim.modem import models
from tests.modem.families import FAMILIES
from tests.modem.rig import DriverRig

SAVERS = {name: family for name, family in FAMILIES.items() if models.load(family.profile).power.psm}


@pytest.mark.parametrize("name", SAVERS)
def test_a_cycle_of_82_seconds_is_agreed_on_as_the_next_longer_one(name):
    rig = DriverRig(SAVERS[name])
    rig.config.family = models.load(SAVERS[name].profile).dialect
    rig.config.saving = (0, 0, 82, False)
    rig.online()
    assert rig.sim.radio.edrx_us == 163_840_000
