"""PSM and eDRX: what the modem asks for, what the network grants, and how it sleeps."""

import pytest

from host_tools.sim.clock import S
from host_tools.sim.modem import load
from host_tools.sim.modem.device import IN_PSM, ON
from host_tools.sim.network.packet import udp

PSM = 'AT+CPSMS=1,,,"00101100","00000101"'  # 12 h, 10 s


@pytest.fixture
def bg95(make_bench):
    rig = make_bench(profile=load("bg95-m3"))
    rig.run(5)
    assert rig.modem.radio.registered
    return rig


def test_it_sleeps_when_the_active_time_is_over(bg95):
    assert bg95.send(PSM) == "\r\nOK\r\n"
    bg95.run(19)
    assert bg95.modem.state == ON, "the network releases the connection after 10 s, and T3324 has 10 s"
    bg95.run(2)
    assert bg95.modem.state == IN_PSM
    bg95.write(b"AT\r")
    assert bg95.run(5) == "", "nobody hears it"


def test_traffic_keeps_it_awake(bg95):
    bg95.send('AT+QICSGP=1,1,"cmiot","","",0')
    assert bg95.send("AT+QIACT=1").endswith("OK\r\n")
    bg95.send(PSM)
    for _ in range(5):
        bg95.run(15)
        bg95.send('AT+QIDNSGIP=1,"server.example"')
    assert bg95.modem.state == ON
    bg95.run(25)
    assert bg95.modem.state == IN_PSM


def test_the_power_key_wakes_it_and_it_is_registered_at_once(bg95):
    bg95.send(PSM)
    bg95.run(60)
    before = len(bg95.log.events)
    bg95.modem.power(True)
    assert "APP RDY" in bg95.run(3)
    assert bg95.modem.state == ON
    bg95.run(0.5)
    assert bg95.modem.radio.registered, "9 s after a start without it"
    assert [event["what"] for event in bg95.log.events[before:]] == ["boot"]


def test_it_wakes_by_itself_to_tell_the_network_that_it_is_there(bg95):
    assert bg95.send('AT+CPSMS=1,,,"00000010","00000101"') == "\r\nOK\r\n"  # 20 minutes
    bg95.run(60)
    assert bg95.modem.state == IN_PSM
    bg95.run(20 * 60 - 35)
    assert bg95.modem.state == ON
    bg95.run(40)
    assert bg95.modem.state == IN_PSM


def test_a_supply_that_goes_ends_the_registration_too(bg95):
    bg95.send(PSM)
    bg95.run(60)
    bg95.modem.power(False)
    bg95.modem.power(True)
    bg95.run(5)
    assert not bg95.modem.radio.registered
    bg95.run(24 * 3600)
    assert bg95.modem.state == IN_PSM, "the setting is kept, and the clock of the first sleep is forgotten"


def test_what_was_granted_shows_in_the_registration(bg95):
    bg95.send("AT+CEREG=4")
    assert bg95.send("AT+CEREG?") == '\r\n+CEREG: 4,1,"25F8","06B7C50A",8\r\n\r\nOK\r\n'
    bg95.send(PSM)
    assert '1,"25F8","06B7C50A",8,,,"00000101","00101100"' in bg95.send("AT+CEREG?")
    bg95.send("AT+CPSMS=0")
    assert '"00101100"' not in bg95.send("AT+CEREG?")
    bg95.run(120)
    assert bg95.modem.state == ON


def test_a_cat_1_modem_takes_the_command_and_never_sleeps(rig):
    rig.run(5)
    assert rig.send(PSM) == "\r\nOK\r\n"
    rig.run(600)
    assert rig.modem.state == ON


@pytest.mark.parametrize("timers", ['"00101100","0000010"', '"0010110x","00000101"'])
def test_timers_that_are_none(bg95, timers):
    assert bg95.send(f"AT+CPSMS=1,,,{timers}") == "\r\n+CME ERROR: 50\r\n"


def test_a_timer_that_is_switched_off_is_no_psm(bg95):
    assert bg95.send('AT+CPSMS=1,,,"00101100","11100001"') == "\r\nOK\r\n"
    bg95.run(600)
    assert bg95.modem.state == ON


@pytest.mark.parametrize(("value", "cycle_s"), [("0010", 20.48), ("0101", 81.92), ("1101", 2621.44), ("1111", 0)])
def test_with_edrx_what_comes_unasked_waits_for_its_turn(bg95, value, cycle_s):
    bg95.online()
    bg95.send(f'AT+CEDRXS=1,4,"{value}"')
    context = bg95.modem.data.contexts[1]
    for idle_s in (1, 30):
        bg95.send('AT+QIDNSGIP=1,"server.example"')
        bg95.run(idle_s)
        received, asked_us = bg95.modem.data.counter.octets[1], bg95.clock.now_us
        context.deliver(udp(("203.0.113.9", 9), (context.ip, 9), b"unasked"))
        if bg95.modem.data.counter.octets[1] == received:
            bg95.clock.run_until(asked_us + 3_000 * S, lambda n=received: bg95.modem.data.counter.octets[1] > n)
        waited_us = bg95.clock.now_us - asked_us
        if idle_s > 10 and cycle_s:
            assert 0 < waited_us <= cycle_s * S
            assert bg95.clock.now_us % int(cycle_s * S) == 0
        else:
            assert waited_us == 0, "the network has not released the connection yet, or granted none"


@pytest.fixture
def gm02s(make_bench):
    rig = make_bench(profile=load("gm02s"), boot=False)
    rig.modem.power(True)
    rig.run(25)
    rig.send("ATE0")
    assert rig.modem.radio.registered
    return rig


def test_sequans_has_a_command_of_its_own_with_the_window(gm02s):
    assert gm02s.send('AT+SQNEDRX=2,4,"0101","0011"') == "\r\nOK\r\n"
    assert gm02s.modem.radio.edrx_us == 81_920_000
    assert gm02s.send("AT+SQNEDRX?") == '\r\n+SQNEDRX: 2,4,"0101","0011"\r\n\r\nOK\r\n'
    assert gm02s.send("AT+CEDRXS?") == '\r\n+CEDRXS: 2,4,"0101"\r\n\r\nOK\r\n', "it is one setting"
    assert gm02s.send("AT+SQNEDRX=0") == "\r\nOK\r\n"
    assert gm02s.modem.radio.edrx_us == 0


@pytest.mark.parametrize("value", ['2,4,"010"', '2,4,"0101","00112"', '2,4,"01x1"', '4,4,"0101"'])
def test_what_is_no_cycle_changes_nothing(gm02s, value):
    gm02s.send('AT+SQNEDRX=1,4,"0010"')
    assert "ERROR" in gm02s.send(f"AT+SQNEDRX={value}")
    assert gm02s.modem.radio.edrx_us == 20_480_000
    assert gm02s.send("AT+SQNEDRX?") == '\r\n+SQNEDRX: 1,4,"0010"\r\n\r\nOK\r\n'
