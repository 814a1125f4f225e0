"""Each fault does what its class says, once."""

import pytest

from host_tools.sim.modem.device import ON


def inject(rig, kind, **fields):
    rig.modem.faults.inject({"kind": kind, **fields})


def test_slow(rig):
    inject(rig, "slow", command="+CSQ", ms=3000)
    rig.write(b"AT+CSQ\r")
    assert rig.run(3) == ""
    assert "+CSQ" in rig.run(0.1)
    assert not rig.modem.faults.armed


def test_unanswered(rig):
    inject(rig, "unanswered", command="+CGMM")
    rig.write(b"AT+CGMM\r")
    assert rig.run(10) == ""
    assert rig.send("AT+CGMM").endswith("OK\r\n")


def test_response_lost_but_executed(rig):
    inject(rig, "response_lost", command="+CFUN=*")
    rig.write(b"AT+CFUN=4\r")
    assert rig.run(10) == ""
    assert rig.send("AT+CFUN?") == "\r\n+CFUN: 4\r\n\r\nOK\r\n"


def test_result_late(rig):
    """As of an EC20: a send's result comes behind the prompt of the next one."""
    rig.online()
    rig.open()
    inject(rig, "result_late", command="+QISEND=*", ms=2000)
    rig.write(b"AT+QISEND=0,3\r")
    assert rig.run(0.1) == "\r\n> "
    rig.write(b"one")
    assert rig.run(1) == ""
    rig.write(b"AT+QISEND=0,3\r")
    assert rig.run(0.1) == "\r\n> "
    assert rig.run(2) == "\r\nSEND OK\r\n"
    rig.write(b"two")
    assert rig.run(0.1) == "\r\nSEND OK\r\n"
    inject(rig, "result_late", command="+CGMM", ms=500)
    rig.write(b"AT+CGMM\r")
    assert rig.run(0.4) == ""
    assert rig.run(0.2) == "\r\nEC200U\r\n\r\nOK\r\n"


def test_result_first(rig):
    inject(rig, "result_first", command="+CGMM")
    assert rig.send("AT+CGMM") + rig.run(0.1) == "\r\nOK\r\n\r\nEC200U\r\n"
    inject(rig, "result_first", command="+CFUN=1")
    assert rig.send("AT+CFUN=1") == "\r\nOK\r\n"


def test_answer(rig):
    inject(rig, "answer", command="+cpin?", count=2, lines=["+CPIN: NOT READY"], final="OK")
    for _ in range(2):
        assert rig.send("AT+CPIN?") == "\r\n+CPIN: NOT READY\r\n\r\nOK\r\n"
    assert rig.send("AT+CPIN?") == "\r\n+CPIN: READY\r\n\r\nOK\r\n"


_CONTEXT = '+CGDCONT: (1-7),"{}",,,(0-2),(0-4),(0,1)\r\n'
_CONTEXTS = (
    "\r\n" + _CONTEXT.format("IP"),
    _CONTEXT.format("IPV6") + _CONTEXT.format("IPV4V6") + "\r\nOK\r\n",
)


@pytest.mark.parametrize(
    ("kind", "command", "reply"),
    [
        ("urc_inside", "AT+CGMM", "\r\nEC200U\r\n\r\n+CREG: 2\r\n\r\nOK\r\n"),
        ("urc_inside", "AT+CGDCONT=?", _CONTEXTS[0] + "\r\n+CREG: 2\r\n" + _CONTEXTS[1]),
        ("urc_inside", "AT", "\r\n+CREG: 2\r\n\r\nOK\r\n"),
        ("urc_before", "AT+CGMM", "\r\n+CREG: 2\r\n\r\nEC200U\r\n\r\nOK\r\n"),
    ],
)  # fmt: skip
def test_urc_in_the_way(rig, kind, command, reply):
    inject(rig, kind, line="+CREG: 2")
    assert rig.send(command) == reply
    assert "+CREG" not in rig.send(command)


def test_stall_inside(rig):
    inject(rig, "stall_inside", command="+CGMM", after_octets=5, ms=1000)
    rig.write(b"AT+CGMM\r")
    assert rig.run(0.5) == "\r\nEC2"
    rig.modem.port.urc("+CREG: 1")
    assert rig.run(1) == "00U\r\n\r\nOK\r\n\r\n+CREG: 1\r\n"


def test_urcs_lost_and_split(rig):
    inject(rig, "urc_lost", prefix="+CREG", count=2)
    inject(rig, "urc_split", prefix="+CGEV", after_octets=6, ms=500)
    for line in ("+CREG: 1", "+CEREG: 1", "+CREG: 1", "+CREG: 5"):
        rig.modem.port.urc(line)
    assert rig.run(1) == "\r\n+CEREG: 1\r\n\r\n+CREG: 5\r\n"
    rig.modem.port.urc("+CGEV: NW DETACH")
    assert rig.run(0.4) == "\r\n+CGE"
    assert rig.run(1) == "V: NW DETACH\r\n"


def test_send_fail(rig):
    rig.online()
    rig.open()
    inject(rig, "send_fail", count=2)
    results = [rig.exchange(0, b"x") for _ in range(3)]
    assert results == ["\r\nSEND FAIL\r\n"] * 2 + ["\r\nSEND OK\r\n"]


def test_half_open_socket(rig):
    rig.online()
    rig.open()
    before = rig.modem.data.counter.octets[0]
    inject(rig, "half_open", id=0)
    assert rig.exchange(0, b"x" * 50) == "\r\nSEND OK\r\n", "SEND OK is not delivery"
    assert rig.run(20) == ""
    assert rig.send("AT+QISEND=0,0") == "\r\n+QISEND: 50,0,50\r\n\r\nOK\r\n"
    assert rig.modem.data.counter.octets[0] - before >= 3 * 90, "retransmissions are counted"
    assert rig.responder.requests == 0


@pytest.mark.parametrize("kind", ["hang", "hang_on"])
def test_hang_until_power_cycled(rig, kind):
    inject(rig, kind)
    rig.write(b"AT\rAT\r")
    assert rig.run(600) == ""
    rig.modem.power(False)
    rig.modem.power(True)
    assert "RDY" in rig.run(10)
    assert rig.send("AT").endswith("OK\r\n")


@pytest.mark.parametrize("kind", ["reboot", "reboot_on", "brown_out"])
def test_reboots(rig, kind):
    inject(rig, kind)
    rig.write(b"AT\r")
    said = rig.run(12)
    assert said.startswith("\r\nRDY\r\n")
    assert rig.send("AT") == "AT\r\r\nOK\r\n", "echo is back"


def test_counter(rig):
    inject(rig, "counter_jump", tx=3_000_000_000, rx=7)
    assert rig.send("AT+QGDCNT?") == "\r\n+QGDCNT: 3000000000,7\r\n\r\nOK\r\n"
    inject(rig, "counter_reset")
    assert rig.send("AT+QGDCNT?") == "\r\n+QGDCNT: 0,0\r\n\r\nOK\r\n"


def test_at_once(rig):
    inject(rig, "garbage", octets=40)
    assert len(rig.run(1)) == 40
    inject(rig, "urc", line="UNDER-VOLTAGE WARNING")
    assert rig.run(1) == "\r\nUNDER-VOLTAGE WARNING\r\n"
    inject(rig, "echo_on")
    assert rig.send("AT") == "AT\r\r\nOK\r\n"
    inject(rig, "sim_faulty")
    rig.run(1)
    assert rig.send("AT+CPIN?").endswith("+CME ERROR: 13\r\n")
    assert rig.modem.state == ON


def test_octets_that_the_line_loses(rig):
    rig.send("ATE0")
    inject(rig, "octets_lost", after_octets=3, octets=2)
    assert rig.send("AT") == "\r\nO\n"
    assert rig.send("AT") == "\r\nOK\r\n"


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"kind": "explode"}, "explode"),
        ({}, "kind"),
        ({"kind": "slow"}, "ms"),
        ({"kind": "slow", "ms": -1}, "ms"),
        ({"kind": "slow", "ms": 1, "colour": 2}, "colour"),
        ({"kind": "signal", "rsrp_dbm": 0}, "rsrp_dbm"),
    ],
)
def test_a_wrong_fault_is_named(rig, fault, problem):
    with pytest.raises(ValueError, match=problem):
        rig.modem.faults.inject(fault)


def test_a_modem_that_hangs_for_good(rig):
    inject(rig, "hang", for_good=True)
    for _ in range(2):
        rig.write(b"AT\r")
        assert rig.run(5) == ""
        rig.modem.power(False)
        rig.modem.power(True)
        rig.modem.power_key()
        rig.run(20)


def test_a_card_that_wants_a_pin(rig):
    inject(rig, "sim_locked", pin="4321")
    assert "\r\n+CPIN: SIM PIN\r\n" in rig.run(1)
    assert rig.send("AT+CIMI") == "\r\n+CME ERROR: 11\r\n"
    rig.send("AT+CPIN=4321")
    rig.run(20)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"
