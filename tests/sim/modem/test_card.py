"""The card: locks, absence, faults (3GPP TS 27.007 clause 8.3)."""

import pytest

from host_tools.sim.modem import SimCard

from .conftest import IMSI


def card(**fields):
    return SimCard(iccid="89860012345678901234", imsi=IMSI, msisdn="", **fields)


def started(make_bench, **fields):
    rig = make_bench(boot=False, card=card(**fields))
    rig.modem.power(True)
    said = rig.run(12)
    rig.send("ATE0")
    return rig, said


def test_identity(rig):
    assert rig.send("AT+CIMI") == f"\r\n{IMSI}\r\n\r\nOK\r\n"
    assert rig.send("AT+QCCID") == "\r\n+QCCID: 89860012345678901234\r\n\r\nOK\r\n"
    assert rig.send("AT+CNUM") == '\r\n+CNUM: "","+8613912345678",145\r\n\r\nOK\r\n'
    assert rig.send("AT+QINISTAT") == "\r\n+QINISTAT: 7\r\n\r\nOK\r\n"


def test_pin(make_bench):
    rig, said = started(make_bench, pin="1234")
    assert "+CPIN: SIM PIN" in said
    assert rig.send("AT+CIMI") == "\r\n+CME ERROR: 11\r\n"
    assert rig.send("AT+CMGL=4") == "\r\n+CMS ERROR: 311\r\n"
    assert rig.send("AT+CPIN=0000") == "\r\n+CME ERROR: 16\r\n"
    assert rig.send("AT+QPINC") == '\r\n+QPINC: "SC",2,10\r\n\r\nOK\r\n'
    assert rig.send('AT+CPIN="1234"').startswith("\r\nOK\r\n")
    rig.run(10)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"
    assert rig.send('AT+CLCK="SC",2') == "\r\n+CLCK: 1\r\n\r\nOK\r\n"
    assert rig.send('AT+CLCK="SC",0,"1234"') == "\r\nOK\r\n"
    rig.send("AT+CFUN=1,1")
    assert "+CPIN: READY" in rig.run(10)


def test_puk_after_three_wrong_pins(make_bench):
    rig, _ = started(make_bench, pin="1234", puk="87654321")
    for reply in ("16", "16", "12"):
        assert rig.send("AT+CPIN=1111") == f"\r\n+CME ERROR: {reply}\r\n"
    assert rig.send("AT+CPIN?") == "\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n"
    assert rig.send("AT+CPIN=1234") == "\r\n+CME ERROR: 16\r\n"
    assert rig.send("AT+CPIN=87654321,5555").startswith("\r\nOK\r\n")
    assert rig.run(1) == "\r\n+CPIN: READY\r\n"
    assert rig.send("AT+CPIN?") == "\r\n+CPIN: READY\r\n\r\nOK\r\n"


@pytest.mark.parametrize(
    ("fields", "urc", "cme"), [({"inserted": False}, "NOT INSERTED", 10), ({"faulty": True}, "NOT READY", 13)]
)
def test_no_usable_card(make_bench, fields, urc, cme):
    rig, said = started(make_bench, **fields)
    assert f"+CPIN: {urc}" in said
    for line in ("AT+CPIN?", "AT+CIMI", "AT+QCCID", "AT+CGATT?"):
        assert rig.send(line) == f"\r\n+CME ERROR: {cme}\r\n"
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,0\r\n\r\nOK\r\n"


def test_card_that_loses_contact(rig):
    rig.online()
    rig.send("AT+QSIMSTAT=1")
    rig.modem.faults.inject({"kind": "sim_out", "ms": 5000})
    said = rig.run(1)
    assert "+QSIMSTAT: 1,0" in said
    assert "+CPIN: NOT INSERTED" in said
    assert rig.send("AT+CPIN?") == "\r\n+CME ERROR: 10\r\n"
    assert "+CPIN: READY" in rig.run(10)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"


def test_minimum_function_turns_the_card_off(rig):
    rig.send("AT+CFUN=0")
    assert rig.send("AT+CPIN?") == "\r\n+CME ERROR: 14\r\n"
    rig.send("AT+CFUN=1")
    assert "+CPIN: READY" in rig.run(10)
