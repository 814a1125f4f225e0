"""The fixture `simulated_modem`: a client of one's own against a modem, without the guard."""

import re

import pytest
import serial

from host_tools.base.errors import UsageError

pytestmark = pytest.mark.realtime


def ask(port, command, until=rb"\r\n(OK|ERROR)\r\n"):
    port.write(command + b"\r")
    said = b""
    while not re.search(until, said):
        piece = port.read(max(1, port.in_waiting))
        assert piece, f"{command!r}: only {said!r}"
        said += piece
    return said


def test_on_a_pty(simulated_modem):
    modem = simulated_modem("quectel-ec200u", do=["carrier stop"])
    with serial.Serial(modem.path, 921_600, timeout=5) as port:
        assert b"EC200U" in ask(port, b"ATE0+CGMM")
        assert b"\r\nERROR" in ask(port, b"AT+QIACT=1")
        modem.do("carrier resume")
        assert b"OK" in ask(port, b"AT+QIACT=1")
        modem.do("sms +8613800000000 hello")
        assert b"+CMTI" in ask(port, b"AT", rb'\+CMTI: "SM",1\r\n')
        assert "stops: none" in modem.do("state")
        with pytest.raises(ValueError, match="write sim in"):
            modem.do("sim upside down")
    assert "> AT+QIACT=1\\r" in modem.dialogue
    assert "! carrier resume" in modem.dialogue
    assert [event["what"] for event in modem.events if event["who"] == "modem"][-2:] == ["pdp-refused", "pdp-up"]


def test_on_tcp_and_several_at_once(simulated_modem):
    modems = [simulated_modem(tcp=True), simulated_modem(tcp=True)]
    assert modems[0].address != modems[1].address
    for modem in modems:
        with serial.serial_for_url(modem.path, timeout=5) as port:
            assert b"+CEREG: 0,1" in ask(port, b"AT+CEREG?")
            ask(port, b"AT+CMGF=1")
            port.write(b'AT+CMGS="10086"\r')
            assert port.read_until(b"> ").endswith(b"> ")
            assert b"+CMGS: 0" in ask(port, b"balance\x1a")
    assert [modem.sms for modem in modems] == [[("10086", "balance")]] * 2


def test_a_second_client_is_refused_and_the_next_one_served(simulated_modem):
    modem = simulated_modem(tcp=True)
    with serial.serial_for_url(modem.path, timeout=5) as one:
        ask(one, b"AT")
        with serial.serial_for_url(modem.path, timeout=5) as two, pytest.raises(serial.SerialException):
            two.read()
    with serial.serial_for_url(modem.path, timeout=5) as three:
        assert b"OK" in ask(three, b"AT")


def test_an_unknown_profile(simulated_modem):
    with pytest.raises(UsageError, match="nosuch"):
        simulated_modem("nosuch")
