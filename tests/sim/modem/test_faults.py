"""Each fault does what its class says, once."""

import pytest

from host_tools.sim.modem.device import ON


def inject(bench, kind, **fields):
    bench.modem.faults.inject({"kind": kind, **fields})


def test_slow(bench):
    inject(bench, "slow", command="+CSQ", ms=3000)
    bench.write(b"AT+CSQ\r")
    assert bench.run(3) == ""
    assert "+CSQ" in bench.run(0.1)
    assert not bench.modem.faults.armed


def test_unanswered(bench):
    inject(bench, "unanswered", command="+CGMM")
    bench.write(b"AT+CGMM\r")
    assert bench.run(10) == ""
    assert bench.send("AT+CGMM").endswith("OK\r\n")


def test_response_lost_but_executed(bench):
    inject(bench, "response_lost", command="+CFUN=*")
    bench.write(b"AT+CFUN=4\r")
    assert bench.run(10) == ""
    assert bench.send("AT+CFUN?") == "\r\n+CFUN: 4\r\n\r\nOK\r\n"


def test_answer(bench):
    inject(bench, "answer", command="+cpin?", count=2, lines=["+CPIN: NOT READY"], final="OK")
    for _ in range(2):
        assert bench.send("AT+CPIN?") == "\r\n+CPIN: NOT READY\r\n\r\nOK\r\n"
    assert bench.send("AT+CPIN?") == "\r\n+CPIN: READY\r\n\r\nOK\r\n"


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
def test_urc_in_the_way(bench, kind, command, reply):
    inject(bench, kind, line="+CREG: 2")
    assert bench.send(command) == reply
    assert "+CREG" not in bench.send(command)


def test_stall_inside(bench):
    inject(bench, "stall_inside", command="+CGMM", after_octets=5, ms=1000)
    bench.write(b"AT+CGMM\r")
    assert bench.run(0.5) == "\r\nEC2"
    bench.modem.urc("+CREG: 1")
    assert bench.run(1) == "00U\r\n\r\nOK\r\n\r\n+CREG: 1\r\n"


def test_urcs_lost_and_split(bench):
    inject(bench, "urc_lost", prefix="+CREG", count=2)
    inject(bench, "urc_split", prefix="+CGEV", after_octets=6, ms=500)
    for line in ("+CREG: 1", "+CEREG: 1", "+CREG: 1", "+CREG: 5"):
        bench.modem.urc(line)
    assert bench.run(1) == "\r\n+CEREG: 1\r\n\r\n+CREG: 5\r\n"
    bench.modem.urc("+CGEV: NW DETACH")
    assert bench.run(0.4) == "\r\n+CGE"
    assert bench.run(1) == "V: NW DETACH\r\n"


def test_send_fail(bench):
    bench.online()
    bench.open()
    inject(bench, "send_fail", count=2)
    results = [bench.exchange(0, b"x") for _ in range(3)]
    assert results == ["\r\nSEND FAIL\r\n"] * 2 + ["\r\nSEND OK\r\n"]


def test_half_open_socket(bench):
    bench.online()
    bench.open()
    before = bench.modem.data.octets[0]
    inject(bench, "half_open", id=0)
    assert bench.exchange(0, b"x" * 50) == "\r\nSEND OK\r\n", "SEND OK is not delivery"
    assert bench.run(20) == ""
    assert bench.send("AT+QISEND=0,0") == "\r\n+QISEND: 50,0,50\r\n\r\nOK\r\n"
    assert bench.modem.data.octets[0] - before >= 3 * 90, "retransmissions are counted"
    assert bench.responder.requests == 0


@pytest.mark.parametrize("kind", ["hang", "hang_on"])
def test_hang_until_power_cycled(bench, kind):
    inject(bench, kind)
    bench.write(b"AT\rAT\r")
    assert bench.run(600) == ""
    bench.modem.power(False)
    bench.modem.power(True)
    assert "RDY" in bench.run(10)
    assert bench.send("AT").endswith("OK\r\n")


@pytest.mark.parametrize("kind", ["reboot", "reboot_on", "brown_out"])
def test_reboots(bench, kind):
    inject(bench, kind)
    bench.write(b"AT\r")
    said = bench.run(12)
    assert said.startswith("\r\nRDY\r\n")
    assert bench.send("AT") == "AT\r\r\nOK\r\n", "echo is back"


def test_counter(bench):
    inject(bench, "counter_jump", tx=3_000_000_000, rx=7)
    assert bench.send("AT+QGDCNT?") == "\r\n+QGDCNT: 3000000000,7\r\n\r\nOK\r\n"
    inject(bench, "counter_reset")
    assert bench.send("AT+QGDCNT?") == "\r\n+QGDCNT: 0,0\r\n\r\nOK\r\n"


def test_at_once(bench):
    inject(bench, "garbage", octets=40)
    assert len(bench.run(1)) == 40
    inject(bench, "urc", line="UNDER-VOLTAGE WARNING")
    assert bench.run(1) == "\r\nUNDER-VOLTAGE WARNING\r\n"
    inject(bench, "echo_on")
    assert bench.send("AT") == "AT\r\r\nOK\r\n"
    inject(bench, "sim_faulty")
    bench.run(1)
    assert bench.send("AT+CPIN?").endswith("+CME ERROR: 13\r\n")
    assert bench.modem.state == ON


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
def test_a_wrong_fault_is_named(bench, fault, problem):
    with pytest.raises(ValueError, match=problem):
        bench.modem.faults.inject(fault)
