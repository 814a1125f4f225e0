"""What can be done to a modem while it runs."""

from datetime import UTC, datetime

import pytest

from host_tools.base.errors import UsageError
from host_tools.sim.modem import load
from host_tools.sim.modem.served import actions
from host_tools.sim.modem.served.modem import BOOT_S, World


class Typist:
    def __init__(self):
        profile, start = load("quectel-ec200u"), datetime(2026, 3, 1, tzinfo=UTC)
        self.world = World(profile, baud=115_200, relays={}, seed=1, start=start)
        self.said = bytearray()
        self.world.line.to_host.deliver = self.said.extend
        self.world.modem.power(True)
        self.world.skip(BOOT_S)
        self.type("ATE0")

    def type(self, line, seconds=1):
        self.said.clear()
        self.world.line.to_modem.write(line.encode() + b"\r")
        return self.after(seconds)

    def after(self, seconds):
        self.world.skip(seconds)
        text = self.said.decode()
        self.said.clear()
        return text

    def do(self, line, seconds=1):
        self.said.clear()
        self.world.actions.do(line)
        return self.after(seconds)


@pytest.fixture
def typist():
    return Typist()


def test_the_card(typist):
    assert "+CPIN: NOT INSERTED" in typist.do("sim out")
    assert "+CME ERROR: 10" in typist.type("AT+CPIN?")
    assert "+CPIN: READY" in typist.do("sim in")
    assert "+CPIN: NOT READY" in typist.do("sim faulty on")
    assert "+CME ERROR: 13" in typist.type("AT+CPIN?")
    assert "+CPIN: READY" in typist.do("sim faulty off")
    assert "+CPIN: SIM PIN" in typist.do("sim pin 1234")
    assert "+CPIN: READY" in typist.type("AT+CPIN=1234")
    assert "+CPIN: SIM PUK" in typist.do("sim puk")
    assert "OK" in typist.type('AT+CPIN="12345678","9999"')
    assert "+CPIN: READY" in typist.do("sim pin off")
    assert "+CEREG: 0,1" in typist.after(10) + typist.type("AT+CEREG?")


def test_the_network(typist):
    typist.type("AT+CEREG=1")
    assert "+CEREG: 2" in typist.do("coverage off 10s")
    assert "+CEREG: 1" in typist.after(20)
    typist.do("coverage -110")
    assert "+CSQ: 15,99" in typist.type("AT+CSQ")
    typist.type("AT+QIACT=1")
    assert '"pdpdeact",1' in typist.do("network drop")
    typist.type("AT+QIDEACT=1")
    assert "OK" in typist.type("AT+QIACT=1")
    assert "+CEREG: 3" in typist.do("network refuse 11", 20)
    typist.do("network accept")
    assert "+CEREG: 1" in typist.after(120)


def test_the_carrier(typist):
    typist.do("carrier stop")
    assert "ERROR" in typist.type("AT+QIACT=1")
    assert "stops: manual" in typist.world.actions.do("state")
    typist.do("carrier resume")
    assert "OK" in typist.type("AT+QIACT=1")
    typist.do("network silent")
    assert '"dnsgip",565' in typist.type('AT+QIDNSGIP=1,"responder"', 30)
    assert '+CMTI: "SM",1' in typist.do("sms +8613800000000 'hello  there'")
    typist.type("AT+CMGF=1")
    assert "hello  there" in typist.type("AT+CMGR=1")
    assert '+CMTI: "SM",2' in typist.do("sms 10086 流量")


def test_the_modem(typist):
    assert "+CREG: 5" in typist.do("urc +CREG: 5")
    typist.do("fault answer command=+CSQ final=ERROR")
    typist.do("""fault answer command=+CGMM 'lines=["X"]' final=OK""")
    assert "faults: armed" in typist.world.actions.do("state")
    assert "ERROR" in typist.type("AT+CSQ")
    assert "\r\nX\r\n" in typist.type("AT+CGMM")
    typist.do("fault hang_on command=*")
    typist.do("clear")
    assert "OK" in typist.type("AT")
    assert "RDY" in typist.do("power reset", 10)
    assert typist.do("power off", 10) == ""
    assert "RDY" in typist.do("power on", 10)
    assert "POWERED DOWN" in typist.do("power key", 10)
    assert "skip TIME" in typist.world.actions.do("help")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "is no action; there are state, sim,"),
        ("dance", "'dance' is no action"),
        ("sim", "sim: write sim in|out"),
        ("sim pin", "sim pin: is no such action; write sim in|out"),
        ("sim faulty maybe", "write sim in|out"),
        ("state now", "state now: write state"),
        ("coverage -300", "-300 is out of range; give -140 or more"),
        ("coverage off 5", '"5" is not a duration'),
        ("network refuse x", "'x' is no number from 1 to 255"),
        ("carrier stop foo", "stop reason 'foo' is unknown; use one of exhausted"),
        ("carrier resume expired", "not lifted by hand"),
        ("fault nosuch", "fault.kind: \"nosuch\" is not known here; there are slow"),
        ("fault slow", "fault.ms: is missing"),
        ("fault slow ms", "'ms' has no =; write fault KIND"),
        ("fault slow ms=1 colour=2", "fault.colour: no such field; there are command, count, ms"),
        ("urc", "write urc LINE"),
        ('sms 10086 "hello', "no closing quotation"),
    ],
)
def test_what_is_no_action_is_told_in_one_line(typist, line, problem):
    with pytest.raises(ValueError) as error:
        typist.world.actions.do(line)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_script(tmp_path):
    file = tmp_path / "script"
    file.write_text("# what happens\n\n30s sim out\n1m30s  sim in\n")
    assert actions.script(file) == [(30, "sim out"), (90, "sim in")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [("sim out", 'line 1: "sim" is not a duration'), ("5s dance", 'line 1: "dance" is no action; there are state')],
)
def test_a_wrong_script(tmp_path, line, problem):
    file = tmp_path / "script"
    file.write_text(line)
    with pytest.raises(UsageError) as error:
        actions.script(file)
    assert problem in str(error.value)
