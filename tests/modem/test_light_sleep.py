"""Drivers that let the simulated modem sleep between its uses: nothing is lost, and it does sleep."""

import pytest
from usageguard.modem import light_sleep
from usageguard.modem.connection import OPEN

from host_tools.sim.clock import S
from host_tools.sim.modem import models
from host_tools.sim.network.hosts import VirtualHost
from tests.modem.families import FAMILIES
from tests.modem.rig import DriverRig
from tests.modem.test_driver_with_sim import exchange

SLEEPERS = {name: family for name, family in FAMILIES.items() if models.load(family.profile).light_sleep}


class Caller(VirtualHost):
    """Sends on the connection that it was called by when the test says so."""

    def accept(self, connection, syn):
        self.connection = connection
        return True


def sleeper(family):
    """A rig whose driver lets the modem sleep."""
    rig = DriverRig(family)
    rig.config.family = models.load(family.profile).dialect
    rig.config.saving = (0, 0, 0, True)
    rig._driver = light_sleep.over(family.driver, rig.hal, rig.config.family)
    rig.restart()
    return rig


def naps(rig):
    return [event["what"] for event in rig.log.events if event["what"] in ("asleep", "awake")]


def heard(rig):
    """Whether the modem has heard all that it was sent, once it was on."""
    return "not-heard" not in {event["what"] for event in rig.log.events} and rig.modem.power_cycles == 0


@pytest.fixture(params=[pytest.param(name, marks=() if name == "quectel" else pytest.mark.proof) for name in SLEEPERS])
def rig(request):
    return sleeper(SLEEPERS[request.param])


def test_it_sleeps_between_its_uses(rig):
    connection = rig.online().connect()
    for _ in range(5):
        exchange(rig, connection)
        begun_us = rig.clock.now_us
        rig.run(60)
        assert rig.sim.port.asleep
        exchange(rig, connection)
        assert rig.clock.now_us - begun_us < 64 * S, "no command had to be missed first"
    assert heard(rig)
    assert rig.sim.light_sleep.slept_us > 5 * 50 * S


def test_what_comes_unasked_wakes_it_and_is_read(rig):
    rig.internet.add_host("caller.example", caller := Caller())
    connection = rig.online().connect("caller.example")
    rig.run(60)
    for n in range(1, 4):
        assert rig.sim.port.asleep
        caller.connection.send(bytes(200 + n))
        assert rig.read(connection, 200 + n, seconds=3) == bytes(200 + n)
        rig.run(60)
    assert connection.state == OPEN
    assert heard(rig)


def test_it_is_awake_while_it_is_used(rig):
    connection = rig.online().connect()
    rig.run(3)
    before = len(naps(rig))
    for _ in range(20):
        exchange(rig, connection)
        rig.run(3)
    assert len(naps(rig)) == before


def test_a_board_that_is_reset_finds_a_modem_that_sleeps(rig):
    rig.online()
    rig.run(60)
    assert rig.sim.port.asleep
    rig.restart()
    assert rig.run(30, lambda: rig.modem.online)
    assert heard(rig)
    rig.run(60)
    assert rig.sim.port.asleep


def test_a_modem_that_restarts_sleeps_again(rig):
    rig.online()
    rig.run(60)
    rig.sim.reset()
    assert rig.run(120, lambda: rig.modem.restarts and rig.modem.online)
    rig.run(60)
    assert rig.sim.port.asleep
    connection = rig.connect()
    exchange(rig, connection)


def test_one_that_cannot_be_woken_is_found_out():
    """A wire that is broken: the modem is switched off and on, as one that hangs."""
    rig = sleeper(FAMILIES["quectel"])
    rig.hal.modem_dtr = lambda: lambda on: None if on else rig.sim.dtr(False)
    rig._driver = light_sleep.over(FAMILIES["quectel"].driver, rig.hal, "quectel")
    rig.restart()
    rig.online()
    rig.run(60)
    assert rig.sim.port.asleep
    rig.modem.read_counter()
    assert rig.run(120, lambda: rig.modem.power_cycles)


@pytest.mark.parametrize("wake_ms", [0, 500])
def test_a_driver_that_does_not_wait_loses_commands(monkeypatch, wake_ms):
    command, _ = light_sleep._FAMILIES["quectel"]
    monkeypatch.setitem(light_sleep._FAMILIES, "quectel", (command, wake_ms))
    rig = sleeper(FAMILIES["quectel"])
    connection = rig.online().connect()
    rig.run(60)
    rig.send(connection, b"UG" + bytes(98))
    assert not heard(rig)


def test_a_board_without_dtr_is_told():
    rig = DriverRig(FAMILIES["quectel"])
    rig.hal.modem_dtr = lambda: None
    with pytest.raises(RuntimeError, match=r"^modem.light_sleep: the board's file names no pin"):
        light_sleep.over(FAMILIES["quectel"].driver, rig.hal, "quectel")
