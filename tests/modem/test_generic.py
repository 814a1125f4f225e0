"""The driver by 3GPP's commands alone, on a simulated modem that has no others."""

from functools import partial

import pytest
from usageguard.modem.base import REGISTERED
from usageguard.modem.generic import Generic
from usageguard.modem.messenger import SENT, Messenger

from tests.modem import test_driver_with_sim as shared
from tests.modem.families import Family
from tests.modem.rig import IMSI, DriverRig

GENERIC = Family("generic", Generic, {}, "", "", {})


@pytest.fixture
def make():
    return partial(DriverRig, GENERIC)


@pytest.mark.parametrize(
    "test",
    [
        shared.test_pin,
        shared.test_wrong_pin_is_tried_once,
        shared.test_sim_comes_back,
        shared.test_stuck_registration_toggles_the_radio,
        shared.test_sms_while_stopped,
    ],
    ids=lambda test: test.__name__,
)
def test_what_needs_no_connection(make, test):
    test(make)


def test_bring_up(make):
    rig = make().online()
    rig.run(10)
    modem = rig.modem
    assert (modem.iccid, modem.imsi) == (b"89860012345678901234", IMSI.encode())
    assert (modem.time_day, modem.time_second // 60) == (9194, 5 * 60 + 6), "UTC, from the local time"
    assert not modem.found_on
    rig.restart()
    assert rig.online().modem.found_on


def test_carrier_stops_and_serves_again(make):
    rig = make().online()
    rig.carrier.stop(IMSI)
    assert rig.run(10, lambda: rig.listener.count("refused", 133))
    assert rig.modem.state == REGISTERED
    messenger = Messenger(rig.modem)
    messenger.send("10086", b"stopped")
    assert rig.run(30, lambda: messenger.state == SENT)
    rig.carrier.resume(IMSI)
    assert rig.run(300, lambda: rig.modem.online)


def test_connections_are_refused(make):
    rig = make().online()
    assert rig.connect().errno == 95
