"""SIM7000 (SIM7000 Series AT Command Manual V1.06, chapter 8) and Air780E in AT firmware (at_device, class air720)."""

import struct

import msgspec
import pytest

from host_tools.sim.modem import load
from host_tools.sim.network.hosts import UdpHandlerHost
from tests.sim.modem.conftest import IMSI, ModemRig

FINALS = (b"DATA ACCEPT", b"SEND OK\r\n", b"SEND FAIL\r\n", b"CLOSE OK\r\n", b"SHUT OK\r\n")


def request(tx=100, rx=300):
    return struct.pack(">2sHI", b"UG", tx, rx).ljust(tx, b"x")


def body(octets):
    return bytes(i % 256 for i in range(octets)).decode("latin-1")


class Rig(ModemRig):
    def __init__(self, name="sim7000g", **quirks):
        profile = load(name)
        super().__init__(profile=msgspec.structs.replace(profile, quirks=profile.quirks | quirks))
        self.send("AT+CMEE=1")

    def _ended(self):
        return super()._ended() or any(final in self.out for final in FINALS)

    def online(self, manual=True):
        receive = ["+CIPRXGET=1"] if manual else []
        lines = ["+CIPMUX=1", "+CIPQSEND=1", *receive, '+CSTT="cmiot"', "+CIICR", "+CIFSR;E0"]
        assert [self.send(f"AT{line}")[-6:] for line in lines] == ["\r\nOK\r\n"] * len(lines)
        return self

    def open(self, number=0, kind="TCP", host="server.example", port=80):
        return self.send(f'AT+CIPSTART={number},"{kind}","{host}",{port}') + self.run(2)

    def exchange(self, number, data):
        assert self.send(f"AT+CIPSEND={number},{len(data)}") == "\r\n> "
        return self.payload(data)


@pytest.fixture
def online():
    return Rig().online()


@pytest.fixture
def air780e():
    return Rig("air780e").online(False)


def test_the_order_is_fixed():
    """8.2.10 to 8.2.13."""
    rig = Rig()
    refused = "\r\n+CME ERROR: 3\r\n"
    assert rig.send("AT+CIICR") == refused
    assert rig.send("AT+CIFSR") == "\r\nERROR\r\n"
    assert rig.send("AT+CIPSTATUS") + rig.run(0.1) == "\r\nOK\r\n\r\nSTATE: IP INITIAL\r\n" + "".join(
        f'\r\nC: {n},,"","","","INITIAL"\r\n' for n in range(8)
    )
    assert rig.send("AT+CIPMUX=1") == "\r\nOK\r\n"
    assert rig.send('AT+CSTT="cmiot"') == "\r\nOK\r\n"
    assert rig.send("AT+CIPMUX=0") == refused
    assert "IP START" in rig.send("AT+CIPSTATUS") + rig.run(0.1)
    assert rig.send('AT+CIPSTART=0,"TCP","1.1.1.1",80') == refused
    assert rig.send("AT+CIICR") == "\r\nOK\r\n"
    assert "IP GPRSACT" in rig.send("AT+CIPSTATUS") + rig.run(0.1)
    assert rig.send('AT+CIPSTART=0,"TCP","1.1.1.1",80') == refused, "AT+CIFSR comes first"
    assert rig.send("AT+CIFSR", 1) == "\r\n10.0.0.1\r\n", "without a result"
    assert rig.send("AT+CIFSR;E0") == "\r\n10.0.0.1\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPSHUT") == "\r\nSHUT OK\r\n"
    assert "IP INITIAL" in rig.send("AT+CIPSTATUS") + rig.run(0.1)
    assert Rig(cifsr="ok").online().send("AT+CIFSR") == "\r\n10.0.0.1\r\n\r\nOK\r\n"


@pytest.mark.parametrize(("refusal", "said"), [("number", "\r\n+CME ERROR: 133\r\n"), ("error", "\r\nERROR\r\n")])
def test_refused_session(refusal, said):
    rig = Rig(refusal=refusal)
    rig.carrier.stop(IMSI)
    rig.run(1)
    rig.send("AT+CSTT")
    assert rig.send("AT+CIICR") == said
    assert rig.send("AT+CSTT") == "\r\n+CME ERROR: 3\r\n", "AT+CIPSHUT comes first"
    assert rig.send("AT+CIPSHUT") == "\r\nSHUT OK\r\n"
    assert rig.send("AT+CSTT") == "\r\nOK\r\n"


def test_end_of_the_session(online):
    online.open()
    online.carrier.stop(IMSI)
    assert online.run(1) == "\r\n+PDP: DEACT\r\n"
    assert online.send("AT+CIPSEND=0,5") == "\r\n+CME ERROR: 3\r\n"
    assert online.send("AT+CIFSR;E0") == "\r\nERROR\r\n"


def test_manual_receiving(online):
    """8.2.2, 8.2.3, 8.2.26: the fourth field is what remains."""
    assert online.open() == "\r\nOK\r\n\r\n0, CONNECT OK\r\n"
    assert online.send("AT+CIPSTATUS=0") == '\r\n+CIPSTATUS: 0,0,"TCP","203.0.113.1","80","CONNECTED"\r\n\r\nOK\r\n'
    assert online.exchange(0, request()) == "\r\nDATA ACCEPT:0,100\r\n"
    assert online.run(1) == "\r\n+CIPRXGET: 1,0\r\n"
    assert online.send("AT+CIPRXGET=4,0") == "\r\n+CIPRXGET: 4,0,300\r\n\r\nOK\r\n"
    assert online.send("AT+CIPRXGET=2,0,100") == f"\r\n+CIPRXGET: 2,0,100,200\r\n{body(300)[:100]}\r\n\r\nOK\r\n"
    assert online.send("AT+CIPRXGET=3,0,2") == "\r\n+CIPRXGET: 3,0,2,198\r\n6465\r\n\r\nOK\r\n"
    assert online.send("AT+CIPRXGET=2,0,1460") == f"\r\n+CIPRXGET: 2,0,198,0\r\n{body(300)[102:]}\r\n\r\nOK\r\n"
    assert online.send("AT+CIPRXGET=2,0,1460") == "\r\n+CIPRXGET: 2,0,0,0\r\n\r\nOK\r\n"
    assert online.send("AT+CIPACK=0") == "\r\n+CIPACK: 100,100,0\r\n\r\nOK\r\n"
    assert online.send("AT+CIPCLOSE=0") == "\r\n0, CLOSE OK\r\n"
    assert online.send("AT+CIPSTATUS=0") == '\r\n+CIPSTATUS: 0,,"","","","INITIAL"\r\n\r\nOK\r\n'


def test_slow_send(online):
    online.send("AT+CIPQSEND=0")
    online.open()
    assert online.exchange(0, request()) == "\r\n0, SEND OK\r\n"


def test_full_buffer(online):
    online.open()
    online.modem.radio.cover(False)
    results = [online.exchange(0, request(1460, 1)) for _ in range(6)]
    assert results == ["\r\nDATA ACCEPT:0,1460\r\n"] * 5 + ["\r\n0, SEND FAIL\r\n"]


def test_payload_is_pushed(air780e):
    """at_device: the colon stands before the end of the line."""
    assert air780e.open() == "\r\nOK\r\n\r\n0, CONNECT OK\r\n"
    assert air780e.exchange(0, request()) == "\r\nDATA ACCEPT:0,100\r\n"
    assert air780e.run(1) == f"\r\n+RECEIVE,0,300:\r\n{body(300)}\r\n"
    air780e.exchange(0, request(rx=3000))
    said = air780e.run(2)
    assert [part.split(":")[0] for part in said.split("+RECEIVE,0,")[1:]] == ["1460", "1460", "80"]
    assert air780e.send("AT+CIPRXGET=1") == "\r\nERROR\r\n"


def test_datagrams(online, air780e):
    for rig in (online, air780e):
        rig.internet.add_host("udp.example", UdpHandlerHost(lambda payload, *_: payload.upper()), "203.0.113.50")
        assert rig.open(1, "UDP", "udp.example", 5683) == "\r\nOK\r\n\r\n1, CONNECT OK\r\n"
        rig.exchange(1, b"one")
        said = rig.run(1)
        rig.exchange(1, b"two")
        said += rig.run(1)
        if rig is online:
            assert rig.send("AT+CIPRXGET=2,1,1460") == "\r\n+CIPRXGET: 2,1,3,3\r\nONE\r\n\r\nOK\r\n"
            assert rig.send("AT+CIPRXGET=2,1,1460") == "\r\n+CIPRXGET: 2,1,3,0\r\nTWO\r\n\r\nOK\r\n"
        else:
            assert said == "\r\n+RECEIVE,1,3:\r\nONE\r\n\r\n+RECEIVE,1,3:\r\nTWO\r\n"


def test_peer_closes(online):
    online.open()
    online.exchange(0, request(20, 50))
    online.run(1)
    (connection,) = online.responder.stack.connections.values()
    connection.close()
    assert online.run(1) == "\r\n0, CLOSED\r\n"
    assert '"CLOSED"' in online.send("AT+CIPSTATUS=0")
    assert online.send("AT+CIPSEND=0,5") == "\r\n+CME ERROR: 3\r\n"
    assert online.send("AT+CIPRXGET=2,0,1460").startswith("\r\n+CIPRXGET: 2,0,50,0\r\n"), "it stays readable"
    assert online.open() == "\r\nOK\r\n\r\n0, CONNECT OK\r\n", "the number can be used again"
    assert online.open() == "\r\nOK\r\n\r\n0, ALREADY CONNECT\r\n"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('AT+CIPSTART=8,"TCP","1.1.1.1",80', 50),
        ('AT+CIPSTART=1,"SCTP","1.1.1.1",80', 50),
        ('AT+CIPSTART=1,"TCP","",80', 50),
        ("AT+CIPSEND=5,5", 3),
        ("AT+CIPSEND=0,1461", 50),
        ("AT+CIPRXGET=2,5,10", 3),
        ("AT+CIPRXGET=2,0,1461", 50),
        ("AT+CIPCLOSE=5", 3),
    ],
)
def test_errors(online, line, error):
    online.open()
    assert online.send(line) == f"\r\n+CME ERROR: {error}\r\n"


def test_open_fails(online):
    online.internet.add_host("closed.example", UdpHandlerHost(lambda *_: None), "203.0.113.77")
    assert online.open(0, host="no.such.name") == "\r\nOK\r\n\r\n0, CONNECT FAIL\r\n"
    assert online.open(1, host="203.0.113.77") == "\r\nOK\r\n\r\n1, CONNECT FAIL\r\n"


def test_names(online):
    """8.2.15."""
    assert online.send('AT+CDNSGIP="server.example"') + online.run(1) == (
        '\r\nOK\r\n\r\n+CDNSGIP: 1,"server.example","203.0.113.1"\r\n'
    )
    assert online.send('AT+CDNSGIP="nosuch.example"') + online.run(1) == "\r\nOK\r\n\r\n+CDNSGIP: 0,8\r\n"


def test_identity_clock_and_power(online, air780e):
    assert online.send("AT+CCID") == "\r\n89860012345678901234\r\n\r\nOK\r\n"
    assert air780e.send("AT+ICCID") == "\r\n+ICCID: 89860012345678901234\r\n\r\nOK\r\n"
    assert online.send("AT+ICCID") == air780e.send("AT+CCID") == "\r\nERROR\r\n"
    assert online.send("AT+CEREG=3") == "\r\n+CME ERROR: 50\r\n"
    assert air780e.send("AT+CCLK?").startswith('\r\n+CCLK: "2025/03/04,13:06:')
    assert online.send("AT+CLTS=1") == "\r\nOK\r\n"
    assert online.send("AT+CBATCHK=1") == "\r\nOK\r\n"
    for line in ('3,1,"Contype","GPRS"', '3,1,"APN","cmiot"', "1,1"):
        assert online.send(f"AT+SAPBR={line}") == "\r\nOK\r\n"
    assert online.send("AT+SAPBR=2,1").startswith('\r\n+SAPBR: 1,1,"')
    assert online.send("AT+SAPBR=0,1") == "\r\nOK\r\n"
    assert online.send("AT+CPOWD=1") + online.run(5) == "\r\nNORMAL POWER DOWN\r\n"
