"""SIMCom's A76XX and SIM7600 as their manuals and open drivers have them (A76XX manual V1.09, SIM7600 V3.00)."""

import struct

import msgspec
import pytest

from host_tools.sim.modem import load
from host_tools.sim.network.hosts import UdpHandlerHost
from tests.sim.modem.conftest import IMSI, ModemRig


def request(tx=100, rx=300):
    return struct.pack(">2sHI", b"UG", tx, rx).ljust(tx, b"x")


BODY = bytes(i % 256 for i in range(300)).decode("latin-1")


class Rig(ModemRig):
    """The A7670E, with some quirks, and its network open."""

    def __init__(self, profile="a7670e", network=True, **quirks):
        known = load(profile)
        super().__init__(profile=msgspec.structs.replace(known, quirks=known.quirks | quirks))
        self.run(8)
        if network:
            assert self.send('AT+CGDCONT=1,"IP","cmiot"') == "\r\nOK\r\n"
            assert self.send("AT+CIPRXGET=1") == "\r\nOK\r\n"
            assert self.send("AT+NETOPEN") + self.run(1) == "\r\nOK\r\n\r\n+NETOPEN: 0\r\n"

    def open(self, number=0):
        return self.send(f'AT+CIPOPEN={number},"TCP","server.example",80') + self.run(2)

    def exchange(self, number, data):
        assert self.send(f"AT+CIPSEND={number},{len(data)}").endswith("\r\n>")
        return self.payload(data)


@pytest.fixture
def rig():
    made = Rig()
    assert made.open() == "\r\nOK\r\n\r\n+CIPOPEN: 0,0\r\n"
    return made


def test_network():
    rig = Rig(network=False, reopen="error")
    assert rig.send("AT+NETOPEN?") == "\r\n+NETOPEN: 0\r\n\r\nOK\r\n"
    assert rig.open() == "\r\n+CIPOPEN: 0,2\r\n\r\nERROR\r\n"
    assert rig.send("AT+NETCLOSE") == "\r\n+NETCLOSE: 2\r\n\r\nERROR\r\n"
    assert rig.send("AT+NETOPEN") + rig.run(1) == "\r\nOK\r\n\r\n+NETOPEN: 0\r\n"
    assert rig.send("AT+NETOPEN?") == "\r\n+NETOPEN: 1\r\n\r\nOK\r\n"
    assert rig.send("AT+IPADDR") == "\r\n+IPADDR: 10.0.0.1\r\n\r\nOK\r\n"
    assert rig.send("AT+NETOPEN") == "\r\n+IP ERROR: Network is already opened\r\n\r\nERROR\r\n"
    assert rig.send("AT+NETCLOSE") + rig.run(1) == "\r\nOK\r\n\r\n+NETCLOSE: 0\r\n"
    assert Rig().send("AT+NETOPEN") == "\r\nOK\r\n"


def test_a_link_is_opened_again_when_its_end_has_come():
    for reuse, answers in (
        ("waits", ("\r\nOK\r\n", "\r\n+CIPCLOSE: 0,0\r\n\r\n+CIPOPEN: 0,0\r\n")),
        ("refused", ("\r\n+CIPOPEN: 0,9\r\n\r\nERROR\r\n", "\r\n+CIPCLOSE: 0,0\r\n")),
    ):
        made = Rig(reuse=reuse)
        made.open()
        assert made.send("AT+CIPCLOSE=0") == "\r\nOK\r\n"
        again = 'AT+CIPOPEN=0,"TCP","server.example",80'
        assert (made.send(again), made.run(2)) == answers
        made.send(again)
        assert made.send(again) == "\r\n+CIPOPEN: 0,9\r\n\r\nERROR\r\n", "once"


def test_network_that_the_carrier_refuses():
    rig = Rig(network=False)
    rig.carrier.stop(IMSI)
    assert rig.send("AT+CGACT=1,1") == "\r\n+CME ERROR: 133\r\n"
    assert rig.send("AT+NETOPEN") + rig.run(1) == "\r\nOK\r\n\r\n+NETOPEN: 1\r\n"
    assert "service option not subscribed" in rig.send("AT+CEER")


def test_network_that_the_carrier_closes(rig):
    rig.carrier.stop(IMSI)
    assert "+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY" in rig.run(1)
    assert rig.send("AT+NETOPEN?") == "\r\n+NETOPEN: 0\r\n\r\nOK\r\n"


def test_exchange_with_reading_by_hand(rig):
    assert rig.exchange(0, request()) + rig.run(1) == ("\r\nOK\r\n\r\n+CIPSEND: 0,100,100\r\n\r\n+CIPRXGET: 1,0\r\n")
    assert rig.send("AT+CIPRXGET=4,0") == "\r\n+CIPRXGET: 4,0,300\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPRXGET=2,0,100") == f"\r\n+CIPRXGET: 2,0,100,200\r\n{BODY[:100]}\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPRXGET=3,0,2") == "\r\n+CIPRXGET: 3,0,2,198\r\n6465\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPACK=0") == "\r\n+CIPACK: 100,100,300\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPRXGET=2,0,1460") == f"\r\n+CIPRXGET: 2,0,198,0\r\n{BODY[102:]}\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPRXGET=2,0,1460") == "\r\n+IP ERROR: No data\r\n\r\nERROR\r\n"
    assert rig.send("AT+CIPOPEN?").startswith('\r\n+CIPOPEN: 0,"TCP","203.0.113.1",80,-1\r\n+CIPOPEN: 1\r\n')
    assert rig.send("AT+CIPCLOSE?") == "\r\n+CIPCLOSE: 1,0,0,0,0,0,0,0,0,0\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPCLOSE=0") + rig.run(1) == "\r\nOK\r\n\r\n+CIPCLOSE: 0,0\r\n"
    assert rig.send("AT+CIPCLOSE=0") == "\r\n+CIPCLOSE: 0,4\r\n\r\nERROR\r\n"


def test_arrivals_are_told_once_until_something_is_read(rig):
    for _ in range(3):
        rig.exchange(0, request())
    assert rig.run(2).count("+CIPRXGET: 1,0") == 1
    rig.send("AT+CIPRXGET=2,0,10")
    rig.exchange(0, request())
    assert rig.run(2).count("+CIPRXGET: 1,0") == 1


def test_payload_is_pushed_without_reading_by_hand(rig):
    rig.send("AT+CIPRXGET=0")
    rig.exchange(0, request())
    assert rig.run(1).endswith(f"\r\nRECV FROM:203.0.113.1:80\r\n\r\n+IPD300\r\n{BODY}\r\n")


def test_result_of_a_send_before_its_ok():
    """TinyGSM waits for +CIPSEND alone, at_device for OK and then +CIPSEND."""
    rig = Rig("sim7600e")
    rig.open()
    assert rig.exchange(0, request()) == "\r\n+CIPSEND: 0,100,100\r\n\r\nOK\r\n"


def test_send_buffer_is_full(rig):
    rig.modem.dialect.refuse_sends(1)
    assert rig.exchange(0, request()) + rig.run(0.1) == "\r\nOK\r\n\r\n+CIPSEND: 0,100,0\r\n"
    assert rig.exchange(0, request()).startswith("\r\nOK\r\n")


def test_sends_that_are_refused(rig):
    assert rig.send("AT+CIPSEND=3,5") == "\r\n+CIPERROR: 4\r\n\r\nERROR\r\n"
    assert "ERROR" in rig.send("AT+CIPSEND=0,1501")
    assert rig.send("AT+CIPSEND=0,5") == "\r\n>"
    next(iter(rig.responder.stack.connections.values())).close()
    rig.run(1)
    assert rig.payload(b"hello") == "\r\n+CIPSEND: 0,5,-1\r\n\r\nERROR\r\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ('0,"TCP","server.example",80', 9),
        ('1,"SCTP","server.example",80', 4),
        ('1,"TCP",""', 3),
        ('1,"UDP"', 3),
    ],
)
def test_openings_that_are_refused_at_once(rig, arguments, error):
    assert rig.send(f"AT+CIPOPEN={arguments}") == f"\r\n+CIPOPEN: {arguments[0]},{error}\r\n\r\nERROR\r\n"


@pytest.mark.parametrize(
    ("host", "port", "error"), [("nowhere.example", 80, 11), ("echo.example", 80, 1), ("192.0.2.1", 80, 10)]
)
def test_openings_that_fail(rig, host, port, error):
    rig.internet.add_host("echo.example", UdpHandlerHost(lambda payload, source: payload))
    said = rig.send(f'AT+CIPOPEN=1,"TCP","{host}",{port}') + rig.run(80)
    assert said == f"\r\nOK\r\n\r\n+CIPOPEN: 1,{error}\r\n"
    assert rig.send(f'AT+CIPOPEN=1,"TCP","{host}",{port}') == "\r\nOK\r\n", "the number is free"


@pytest.mark.parametrize("colon", [True, False])
@pytest.mark.parametrize("rest", ["kept", "lost"])
def test_the_peer_closes(colon, rest):
    rig = Rig(ipclose_colon=colon, rest_after_close=rest)
    rig.open()
    rig.exchange(0, request())
    rig.run(1)
    next(iter(rig.responder.stack.connections.values())).close()
    assert rig.run(1) == f"\r\n+IPCLOSE{':' * colon} 0,1\r\n"
    kept = "\r\n+CIPRXGET: 4,0,300\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPRXGET=4,0") == (kept if rest == "kept" else "\r\n+CIPERROR: 4\r\n\r\nERROR\r\n")
    assert rig.open() == "\r\nOK\r\n\r\n+CIPOPEN: 0,0\r\n", "it need not be closed first"


@pytest.mark.parametrize(("totals", "received"), [("arrived", 300), ("read", 100)])
def test_totals(totals, received):
    rig = Rig(totals=totals)
    rig.open()
    rig.exchange(0, request())
    rig.run(1)
    rig.send("AT+CIPRXGET=2,0,100")
    assert rig.send("AT+CIPACK=0") == f"\r\n+CIPACK: 100,100,{received}\r\n\r\nOK\r\n"


def test_datagrams(rig):
    """at_device: each send has the address; RECV FROM tells it where it is wanted."""
    echo = rig.internet.add_host("echo.example", UdpHandlerHost(lambda payload, source: payload))
    assert rig.send('AT+CIPOPEN=1,"UDP",,,5000') + rig.run(1) == "\r\nOK\r\n\r\n+CIPOPEN: 1,0\r\n"
    assert rig.send("AT+CIPSEND=1,3") == "\r\n+CME ERROR: 50\r\n"
    for data in (b"one", b"three"):
        assert rig.send(f'AT+CIPSEND=1,{len(data)},"{echo}",5683').endswith("\r\n>")
        assert rig.payload(data).startswith("\r\nOK\r\n")
    rig.run(1)
    assert rig.send("AT+CIPRXGET=2,1,1460") == "\r\n+CIPRXGET: 2,1,3,5\r\none\r\n\r\nOK\r\n"
    assert rig.send("AT+CIPRXGET=2,1,1460") == "\r\n+CIPRXGET: 2,1,5,0\r\nthree\r\n\r\nOK\r\n"
    assert "ERROR" in rig.send("AT+CIPACK=1"), "it is for streams"


def test_names(rig):
    assert rig.send('AT+CDNSGIP="server.example"') == ('\r\n+CDNSGIP: 1,"server.example","203.0.113.1"\r\n\r\nOK\r\n')
    assert rig.send('AT+CDNSGIP="nowhere.example"') == "\r\n+CDNSGIP: 0,10\r\n\r\nERROR\r\n"


def test_the_last_pdn():
    rig = Rig("sim7600e")
    assert rig.send("AT+CGACT=0,1") == "\r\n+CME ERROR: 171\r\n"
    assert "OK" in rig.send("AT+CGATT=0")
    assert rig.send("AT+NETOPEN?") == "\r\n+NETOPEN: 0\r\n\r\nOK\r\n"


def test_what_only_the_sim7600_has():
    for profile, answer in (("a7670e", "\r\n+CME ERROR: 4\r\n"), ("sim7600e", "\r\nOK\r\n")):
        rig = Rig(profile, network=False)
        assert rig.send("AT+CIPCCFG=10,0,0,0,1,0,75000") == answer
        assert rig.send("AT+CIPTIMEOUT=75000,15000,15000") == answer


def test_card_cell_and_power():
    rig = Rig(network=False)
    assert rig.send("AT+CICCID") == "\r\n+ICCID: 89860012345678901234\r\n\r\nOK\r\n"
    assert rig.send("AT+CPSI?").startswith("\r\n+CPSI: LTE,Online,460-00,0x25F8,")
    assert rig.send('AT+CDNSCFG="8.8.8.8","8.8.4.4"') == "\r\nOK\r\n"
    assert rig.send("AT+CPOF") == "\r\nOK\r\n"
    rig.run(5)
    assert rig.send("AT", timeout_s=2) == ""


def test_the_clock_keeps_local_time():
    """Off from the factory; SIM7600 may leave the zone out."""
    for profile, shown in (("a7670e", "25/03/04,13:"), ("sim7600e", "25/03/04,13:")):
        rig = Rig(profile, network=False)
        assert rig.send("AT+CCLK?")[10:18] in ("70/01/01", "80/01/06")
        rig.send("AT+CTZU=1")
        rig.send("AT+CTZR=1")
        rig.modem.radio.tell_time()
        assert "+CTZV: +32" in rig.run(1)
        said = rig.send("AT+CCLK?")
        assert shown in said
        assert ("+32" in said) == (profile == "a7670e")


def test_boot():
    for profile, first in (("a7670e", "*ATREADY: 1"), ("sim7600e", "RDY")):
        rig = ModemRig(boot=False, profile=load(profile))
        rig.modem.power(True)
        lines = rig.run(20).split()
        assert " ".join(lines) == f"{first} +CPIN: READY SMS DONE PB DONE"
