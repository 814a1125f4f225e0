"""Light sleep by DTR: when the modem falls asleep, what it hears then, and what wakes it."""

import pytest

from host_tools.sim.modem import load, models

ALLOWED = {
    "quectel": "AT+QSCLK=1",
    "cip": "AT+CSCLK=1",
    "cipstart": "AT+CSCLK=1",
    "ca": "AT+CSCLK=1",
    "usocr": "AT+UPSV=3",
    "mip": 'AT+MLPMCFG="sleepmode",2,0',
}
OTHERWISE = {
    "quectel": ("AT+QSCLK=0", "AT+QSCLK=2"),
    "cip": ("AT+CSCLK=0", "AT+CSCLK=2"),
    "cipstart": ("AT+CSCLK=0",),
    "ca": ("AT+CSCLK=0",),
    "usocr": ("AT+UPSV=0", "AT+UPSV=1"),
    "mip": ('AT+MLPMCFG="sleepmode",0,0', 'AT+MLPMCFG="sleepmode",1,0', 'AT+MLPMCFG="delaysleep",2'),
}
SLEEPERS = [name for name in models.names() if load(name).light_sleep]


@pytest.fixture
def asleep(rig):
    """An EC200U that sleeps."""
    rig.send("AT+QSCLK=1")
    rig.modem.dtr(False)
    rig.run(2)
    assert rig.modem.port.asleep
    return rig


@pytest.mark.parametrize("name", SLEEPERS)
def test_each_has_a_command_that_has_dtr_decide(make_bench, name):
    rig = make_bench(profile=load(name), boot=False)
    rig.modem.power(True)
    rig.run(25)
    dialect = rig.profile.dialect
    rig.send("ATE0")
    rig.modem.dtr(False)
    for command in OTHERWISE[dialect]:
        assert rig.send(command) == "\r\nOK\r\n"
        rig.run(60)
        assert not rig.modem.port.asleep, command
    assert rig.send(ALLOWED[dialect]) == "\r\nOK\r\n"
    rig.run(rig.profile.light_sleep.idle_ms / 1000 - 0.05)
    assert not rig.modem.port.asleep
    rig.run(0.1)
    assert rig.modem.port.asleep


def test_with_dtr_it_does_not_sleep(rig):
    rig.send("AT+QSCLK=1")
    rig.run(60)
    assert rig.send("AT") == "\r\nOK\r\n"


def test_what_it_is_sent_asleep_is_lost(asleep):
    asleep.write(b"AT\r")
    assert asleep.run(5) == ""
    asleep.modem.dtr(True)
    asleep.run(1)
    assert asleep.send("AT") == "\r\nOK\r\n", "and nothing of it is left over"


def test_the_line_is_on_only_some_time_after_dtr(asleep):
    asleep.modem.dtr(True)
    asleep.run(0.595)
    asleep.write(b"ATI\r")  # its last octet arrives before the 600 ms are over
    assert asleep.run(2) == ""
    assert asleep.send("AT") == "\r\nOK\r\n"


def test_dtr_for_a_moment_does_not_wake_it(asleep):
    asleep.modem.dtr(True)
    asleep.run(0.3)
    asleep.modem.dtr(False)
    asleep.run(5)
    assert asleep.modem.port.asleep


def test_a_word_of_its_own_wakes_it_for_a_moment(asleep):
    asleep.modem.port.urc("+CMTI")
    assert asleep.take() == ""
    assert asleep.run(0.5) == "\r\n+CMTI\r\n"
    assert asleep.send("AT") == "\r\nOK\r\n"
    asleep.run(2)
    assert asleep.modem.port.asleep


def test_a_command_under_way_keeps_it_awake(rig):
    rig.send("AT+QSCLK=1")
    rig.modem.dtr(False)
    assert rig.send("AT+COPS=?").endswith("OK\r\n"), "that takes 15 s"
    rig.run(2)
    assert rig.modem.port.asleep


def test_a_prompt_keeps_it_awake(rig):
    rig.online()
    rig.open()
    rig.send("AT+QSCLK=1")
    rig.modem.dtr(False)
    assert rig.send("AT+QISEND=0,3") == "\r\n> "
    rig.run(3)
    assert rig.payload(b"abc") == "\r\nSEND OK\r\n"


def test_its_sleep_is_counted_and_ends_with_the_supply(asleep):
    before = asleep.modem.light_sleep.slept_us
    asleep.run(10)
    assert asleep.modem.light_sleep.slept_us - before == 10_000_000
    asleep.modem.power(False)
    asleep.run(10)
    assert asleep.modem.light_sleep.slept_us - before == 10_000_000
    asleep.modem.power(True)
    asleep.run(30)
    assert asleep.send("ATE0").endswith("OK\r\n"), "the setting is not kept"


def test_a_model_without_it_takes_dtr_away_for_nothing(make_bench):
    rig = make_bench(profile=load("gm02s"), boot=False)
    rig.modem.power(True)
    rig.run(25)
    rig.modem.dtr(False)
    rig.run(60)
    assert rig.send("AT").endswith("OK\r\n")
