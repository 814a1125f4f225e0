"""Registration, signal and operator."""

import msgspec
import pytest

from host_tools.sim.modem import load

from .conftest import IMSI


@pytest.fixture
def all_levels(make_bench):
    """A modem whose AT+CEREG takes 3."""
    return make_bench(profile=msgspec.structs.replace(load("quectel-ec200u"), ranges={}))


def test_registration_is_reported_by_level(all_levels):
    rig = all_levels
    for level, text in ((1, "1"), (2, '1,"25F8","06B7C50A",7'), (3, '1,"25F8","06B7C50A",7')):
        rig.send(f"AT+CEREG={level}")
        assert rig.send("AT+CFUN=4").startswith("\r\n+CEREG: 0\r\n")
        assert rig.send("AT+CFUN=1") + rig.run(10) == (
            f"\r\n+CEREG: 2\r\n\r\nOK\r\n\r\n+CEREG: {text}\r\n"
        )
        assert rig.send("AT+CEREG?") == f"\r\n+CEREG: {level},{text}\r\n\r\nOK\r\n"


def test_reports_that_a_model_does_not_have(rig):
    """EC200U: AT+CEREG=? -> (0-2)."""
    assert rig.send("AT+CEREG=?") == "\r\n+CEREG: (0-2)\r\n\r\nOK\r\n"
    assert rig.send("AT+CEREG=3") == "\r\n+CME ERROR: 50\r\n"
    assert rig.send("AT+CREG=3") == "\r\nOK\r\n"


def test_refused_registration_tells_its_cause_and_recovers(all_levels):
    rig = all_levels
    assert rig.send("AT+CEREG=3") == "\r\nOK\r\n"
    rig.carrier.refuse(IMSI, 11)
    rig.send("AT+CFUN=4")
    rig.send("AT+CFUN=1")
    assert "\r\n+CEREG: 3,,,,0,11\r\n" in rig.run(10)
    assert rig.send("AT+CEER") == "\r\n+CEER: PLMN not allowed\r\n\r\nOK\r\n"
    rig.carrier.refuse(IMSI, 0)
    assert "\r\n+CEREG: 1," in rig.run(61)


def test_network_that_throws_the_device_out(rig):
    rig.online()
    rig.send("AT+CEREG=1")
    rig.carrier.refuse(IMSI, 8)
    said = rig.run(10)
    assert '\r\n+QIURC: "pdpdeact",1\r\n' in said
    assert said.endswith("\r\n+CEREG: 3\r\n")


def test_stuck_registration(rig):
    rig.modem.faults.inject({"kind": "stuck_registration"})
    rig.send("AT+CFUN=4")
    rig.send("AT+CFUN=1")
    rig.run(600)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,2\r\n\r\nOK\r\n"
    rig.modem.faults.inject({"kind": "stuck_registration", "on": False})
    rig.send("AT+CFUN=4")
    rig.send("AT+CFUN=1")
    rig.run(10)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"


@pytest.mark.parametrize(
    ("rsrp", "csq", "cesq"), [(-92, 24, 48), (-140, 0, 0), (-44, 31, 96), (-110, 15, 30)]
)
def test_signal(rig, rsrp, csq, cesq):
    rig.modem.faults.inject({"kind": "signal", "rsrp_dbm": rsrp})
    assert rig.send("AT+CSQ") == f"\r\n+CSQ: {csq},99\r\n\r\nOK\r\n"
    assert rig.send("AT+CESQ") == f"\r\n+CESQ: 99,99,255,255,22,{cesq}\r\n\r\nOK\r\n"


def test_no_coverage(rig):
    rig.send("AT+CEREG=1")
    rig.modem.faults.inject({"kind": "no_coverage", "ms": 60_000})
    assert rig.run(1) == "\r\n+CEREG: 2\r\n"
    assert rig.send("AT+CSQ") == "\r\n+CSQ: 99,99\r\n\r\nOK\r\n"
    assert rig.send("AT+QNWINFO") == "\r\n+QNWINFO: No Service\r\n\r\nOK\r\n"
    assert rig.send("AT+COPS?") == "\r\n+COPS: 0\r\n\r\nOK\r\n"
    assert rig.run(70) == "\r\n+CEREG: 1\r\n"


def test_operator_formats_and_manual_selection(rig):
    for layout, name in ((0, "CHINA MOBILE"), (1, "CMCC"), (2, "46000")):
        rig.send(f"AT+COPS=3,{layout}")
        assert rig.send("AT+COPS?") == f'\r\n+COPS: 0,{layout},"{name}",7\r\n\r\nOK\r\n'
    assert rig.send("AT+COPS=2") == "\r\nOK\r\n"
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,0\r\n\r\nOK\r\n"
    assert rig.send('AT+COPS=1,2,"46001"') == "\r\n+CME ERROR: 30\r\n"
    assert rig.send("AT+COPS=0") == "\r\nOK\r\n"
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"


def test_detach_and_attach(rig):
    rig.online()
    rig.send("AT+CGEREP=2,1")
    assert "+CGEV: ME DETACH" in rig.send("AT+CGATT=0") + rig.run(1)
    assert rig.send("AT+CGATT?") == "\r\n+CGATT: 0\r\n\r\nOK\r\n"
    assert rig.send("AT+CGATT=1") == "\r\nOK\r\n"
    assert rig.send("AT+CGATT?") == "\r\n+CGATT: 1\r\n\r\nOK\r\n"


def test_an_activation_attaches_first(rig):
    """TS 27.007 10.1.10."""
    rig.online()
    rig.send("AT+CGATT=0")
    rig.run(1)
    assert rig.send('AT+CGDCONT=3,"IP","cmiot"') == "\r\nOK\r\n"
    assert rig.send("AT+CGACT=1,3") == "\r\nOK\r\n"
    assert rig.send("AT+CGATT?") == "\r\n+CGATT: 1\r\n\r\nOK\r\n"
    assert '+CGPADDR: 3,"10.' in rig.send("AT+CGPADDR=3")
    rig.send("AT+CGATT=0")
    rig.modem.radio.cover(False)
    assert rig.send("AT+CGACT=1,3") == "\r\n+CME ERROR: 30\r\n"


def test_network_time(make_bench):
    rig = make_bench(boot=False)
    rig.modem.power(True)
    rig.run(2.3)
    rig.send("ATE0+CTZR=1")
    assert rig.send("AT+CCLK?").startswith('\r\n+CCLK: "80/01/06,00:00:0')
    assert rig.send("AT+QLTS=1") == '\r\n+QLTS: ""\r\n\r\nOK\r\n'
    assert "+CTZV: +32" in rig.run(10)
    now = rig.clock.utc()
    assert rig.send("AT+CCLK?") == f'\r\n+CCLK: "{now:%y/%m/%d,%H:%M:%S}+32"\r\n\r\nOK\r\n'
    assert rig.send("AT+QLTS=1") == f'\r\n+QLTS: "{now:%Y/%m/%d,%H:%M:%S}+32,0"\r\n\r\nOK\r\n'
    rig.modem.faults.inject({"kind": "network_time", "error_s": 400 * 86_400})
    assert rig.run(1) == "\r\n+CTZV: +32\r\n"
    assert rig.send("AT+CCLK?").startswith('\r\n+CCLK: "26/04/08')
    rig.modem.faults.inject({"kind": "network_time", "error_s": 0})
    rig.send("AT+CTZU=3")
    rig.modem.radio.tell_time()
    rig.run(1)
    assert rig.send("AT+CCLK?").startswith('\r\n+CCLK: "25/03/04,13:06:')  # 05:06 UTC, UTC+8
    assert rig.send('AT+CCLK="25/12/31,23:59:59+04"') == "\r\nOK\r\n"
    rig.run(2)
    assert rig.send("AT+CCLK?").startswith('\r\n+CCLK: "26/01/01,00:00:0')
    assert rig.send('AT+CCLK="25/13/31,23:59:59+04"').startswith("\r\n+CME")


def test_radio_technology_and_power_saving(rig):
    assert rig.send("AT+WS46=?") == "\r\n+WS46: (12,28,30)\r\n\r\nOK\r\n"
    assert rig.send("AT+WS46=28") == "\r\nOK\r\n"
    assert rig.send("AT+WS46?") == "\r\n+WS46: 28\r\n\r\nOK\r\n"
    assert rig.send("AT+WS46=22") == "\r\n+CME ERROR: 50\r\n"
    unset = '\r\n+CPSMS: 0,,,"01011111","00000001"\r\n\r\nOK\r\n'
    assert rig.send("AT+CPSMS?") == unset
    assert rig.send('AT+CPSMS=1,,,"00100001","00000101"') == "\r\nOK\r\n"
    assert rig.send("AT+CPSMS?") == '\r\n+CPSMS: 1,,,"00100001","00000101"\r\n\r\nOK\r\n'
    assert rig.send("AT+CPSMS=2") == "\r\nOK\r\n"
    assert rig.send("AT+CPSMS?") == unset


def test_only_others_cells_and_a_network_that_serves_the_sim(rig):
    rig.send("AT+CEREG=1")
    rig.modem.faults.inject({"kind": "operator_gone", "roaming": ["46001"]})
    assert rig.run(600) == "\r\n+CEREG: 0\r\n\r\n+CEREG: 2\r\n"
    assert rig.send("AT+CSQ") == "\r\n+CSQ: 24,99\r\n\r\nOK\r\n", "cells are heard"
    rig.send('AT+COPS=1,2,"46011"')
    assert "+CEREG: 1" not in rig.run(20), "not one of those"
    assert rig.send('AT+COPS=4,2,"46001"') + rig.run(20) == "\r\n+CEREG: 5\r\n\r\nOK\r\n"
    assert rig.send("AT+COPS?") == '\r\n+COPS: 4,2,"46001",7\r\n\r\nOK\r\n'


def test_the_operator_comes_back(rig):
    rig.modem.faults.inject({"kind": "operator_gone", "ms": 60_000})
    rig.run(59)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,2\r\n\r\nOK\r\n"
    rig.run(20)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"


def test_another_network_takes_the_sim_over_with_its_data_session(rig):
    rig.send("AT+CEREG=1")
    rig.send("AT+QIACT=1")
    rig.modem.faults.inject({"kind": "operator_gone", "roaming": ["46001"], "ms": 60_000, "handover": True})
    assert rig.run(59) == "\r\n+CEREG: 5\r\n"
    assert rig.run(2) == "\r\n+CEREG: 1\r\n"
    assert "+QIACT: 1,1" in rig.send("AT+QIACT?")
