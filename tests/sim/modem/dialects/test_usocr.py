"""u-blox's dialect (SARA-R5 series AT commands manual; ubxlib)."""

import struct

import msgspec
import pytest

from host_tools.sim.modem import load
from host_tools.sim.network.hosts import UdpHandlerHost
from tests.sim.modem.conftest import IMSI

BODY = bytes(i % 256 for i in range(300)).decode("latin-1")


def request(tx=100, rx=300):
    return struct.pack(">2sHI", b"UG", tx, rx).ljust(tx, b"x")


@pytest.fixture
def bench(make_bench):
    def bench(**quirks):
        profile = load("sara-r5")
        rig = make_bench(profile=msgspec.structs.replace(profile, quirks=profile.quirks | quirks))
        assert rig.send('AT+CGDCONT=1,"IP","cmiot"') == "\r\nOK\r\n"
        return rig

    return bench


@pytest.fixture
def online(bench):
    def online(**quirks):
        rig = bench(**quirks)
        for line in ("AT+CGACT=1,1", "AT+UPSD=0,0,0", "AT+UPSD=0,100,1"):
            assert rig.send(line) == "\r\nOK\r\n", line
        assert rig.send("AT+UPSDA=0,3") + rig.run(1) == '\r\nOK\r\n\r\n+UUPSDA: 0,"10.0.0.1"\r\n'
        return rig

    return online


def opened(rig, host="server.example", protocol=6, port=80):
    assert rig.send(f"AT+USOCR={protocol}") == "\r\n+USOCR: 0\r\n\r\nOK\r\n"
    assert rig.send(f'AT+USOCO=0,"{host}",{port}') == "\r\nOK\r\n"


def send(rig, data, wait_s=0.05):
    rig.out.clear()
    rig.write(b"AT+USOWR=0,%d\r" % len(data))
    assert rig.run(0.01) == "\r\n@"
    rig.run(wait_s)
    return rig.payload(data) + rig.run(2)


def test_identity_and_greeting(bench):
    rig = bench()
    assert rig.send("AT+CCID") == "\r\n+CCID: 89860012345678901234\r\n\r\nOK\r\n"
    assert rig.send("AT+CGMM") == "\r\nSARA-R510S-01B\r\n\r\nOK\r\n"
    rig.modem.reset()
    assert rig.run(5) == "\r\n+CPIN: READY\r\n", "nothing tells of the boot"
    rig.send('AT+CSGT=1,"RDY"')
    rig.modem.reset()
    assert rig.run(5).startswith("\r\nRDY\r\n")
    assert "OK" in rig.send("AT+CPWROFF")


def test_profile(online):
    rig = online()
    assert rig.send("AT+UPSND=0,8") == "\r\n+UPSND: 0,8,1\r\n\r\nOK\r\n"
    assert rig.send("AT+UPSND=0,0") == '\r\n+UPSND: 0,0,"10.0.0.1"\r\n\r\nOK\r\n'
    assert rig.send("AT+UPSD=0,100") == "\r\n+UPSD: 0,100,1\r\n\r\nOK\r\n"
    assert "+CME ERROR" in rig.send("AT+UPSDA=0,3"), "it is up"
    assert rig.send("AT+UPSDA=0,4") == "\r\nOK\r\n"
    assert rig.send("AT+CGACT?") == "\r\n+CGACT: 1,1\r\n\r\nOK\r\n", "the context stays"
    assert "+CME ERROR" in rig.send('AT+UDNSRN=0,"server.example"')
    rig.send("AT+UPSDA=0,3")
    rig.carrier.deactivate(IMSI)
    assert "+UUPSDD: 0" in rig.run(1)
    assert rig.send("AT+UPSND=0,8") == "\r\n+UPSND: 0,8,0\r\n\r\nOK\r\n"


def test_refusal(bench):
    rig = bench()
    rig.carrier.stop(IMSI)
    assert rig.send("AT+CGACT=1,1") == "\r\n+CME ERROR: 133\r\n"
    assert rig.send("AT+UPSDA=0,3") == "\r\nERROR\r\n"
    assert "not subscribed" in rig.send("AT+CEER")


def test_payload_in_quotation_marks(online):
    rig = online()
    opened(rig)
    assert send(rig, request()) == "\r\n+USOWR: 0,100\r\n\r\nOK\r\n\r\n+UUSORD: 0,300\r\n"
    assert rig.send("AT+USORD=0,0") == "\r\n+USORD: 0,300\r\n\r\nOK\r\n"
    said = rig.send("AT+USORD=0,100") + rig.run(1)
    assert said == f'\r\n+USORD: 0,100,"{BODY[:100]}"\r\n\r\nOK\r\n\r\n+UUSORD: 0,200\r\n', "told again"
    assert rig.send("AT+USORD=0,1024") == f'\r\n+USORD: 0,200,"{BODY[100:]}"\r\n\r\nOK\r\n'
    assert rig.send("AT+USORD=0,1024") == '\r\n+USORD: 0,""\r\n\r\nOK\r\n'
    assert "+CME ERROR" in rig.send("AT+USORD=0,1025")
    assert "+CME ERROR" in rig.send("AT+USOWR=0,1025")


def test_data_too_soon_after_the_prompt_is_not_taken(online):
    rig = online()
    opened(rig)
    assert "+CME ERROR" in send(rig, request(), wait_s=0.01)


def test_results_of_sending(online):
    rig = online(usowr="bare")
    opened(rig)
    assert send(rig, request()).startswith("\r\nOK\r\n")
    for full, said in (("error", "\r\n+CME ERROR: 3\r\n"), ("partial", "\r\n+USOWR: 0,99\r\n\r\nOK\r\n")):
        rig = online(full=full)
        opened(rig)
        rig.modem.dialect.refuse_sends(1)
        assert send(rig, request()).startswith(said), full


def test_totals(online):
    for usoctl, received in (("arrived", 300), ("read", 100)):
        rig = online(usoctl=usoctl)
        opened(rig)
        send(rig, request())
        rig.send("AT+USORD=0,100")
        rig.run(1)
        assert rig.send("AT+USOCTL=0,3") == f"\r\n+USOCTL: 0,3,{received}\r\n\r\nOK\r\n"
        assert rig.send("AT+USOCTL=0,2") == "\r\n+USOCTL: 0,2,100\r\n\r\nOK\r\n"
        assert rig.send("AT+USOCTL=0,10") == "\r\n+USOCTL: 0,10,4\r\n\r\nOK\r\n"
        assert "+CME ERROR" in rig.send("AT+USOCTL=0,7")


def test_datagrams(online):
    for urc in ("+UUSORF", "+UUSORD"):
        rig = online(datagrams=urc)
        rig.internet.add_host("echo.example", UdpHandlerHost(lambda payload, source: payload))
        opened(rig, "echo.example", 17, 5683)
        assert send(rig, b"one") == f"\r\n+USOWR: 0,3\r\n\r\nOK\r\n\r\n{urc}: 0,3\r\n"
        send(rig, b"seven..")
        said = rig.send("AT+USORF=0,1024") + rig.run(1)
        assert said.startswith('\r\n+USORF: 0,"203.0.113.2",5683,3,"one"\r\n\r\nOK\r\n')
        assert said.endswith(f"\r\n{urc}: 0,7\r\n"), "the next one"
        assert '"seven.."' in rig.send("AT+USORF=0,1024")
        assert rig.send("AT+USORF=0,1024") == '\r\n+USORF: 0,""\r\n\r\nOK\r\n'


def test_failures_of_opening(online):
    rig = online()
    assert rig.send("AT+USOCR=6") == "\r\n+USOCR: 0\r\n\r\nOK\r\n"
    assert "+CME ERROR" in rig.send('AT+USOCO=0,"nowhere.example",80')
    assert rig.send("AT+USOER") == "\r\n+USOER: 113\r\n\r\nOK\r\n"
    assert rig.send("AT+USOER") == "\r\n+USOER: 0\r\n\r\nOK\r\n"
    assert "+CME ERROR" in rig.send("AT+USORD=4,10")
    assert rig.send("AT+USOCL=0") == "\r\nOK\r\n"
    numbers = [rig.send("AT+USOCR=6") for _ in range(8)]
    assert numbers[6] == "\r\n+USOCR: 6\r\n\r\nOK\r\n"
    assert "+CME ERROR" in numbers[7], "there are 7"


def test_names(online):
    rig = online()
    assert rig.send('AT+UDNSRN=0,"server.example"') == '\r\n+UDNSRN: "203.0.113.1"\r\n\r\nOK\r\n'
    assert "+CME ERROR" in rig.send('AT+UDNSRN=0,"nowhere.example"')


def test_peer_closes(online):
    rig = online()
    opened(rig)
    assert send(rig, b"not a request").endswith("\r\n+UUSOCL: 0\r\n")
    assert rig.send("AT+USOCTL=0,10") == "\r\n+USOCTL: 0,10,7\r\n\r\nOK\r\n"
    assert rig.send("AT+USOCL=0") == "\r\nOK\r\n"


def test_counter(online):
    for ugcntrd, lines in (("1", "+UGCNTRD: 1,{0},{1},{0},{1}\r\n"), ("31", "+UGCNTRD: 31,{0},{1},{0},{1}\r\n"),
                           ("both", "+UGCNTRD: 1,{0},{1},{0},{1}\r\n+UGCNTRD: 31,0,0,7,9\r\n")):  # fmt: skip
        rig = online(ugcntrd=ugcntrd)
        opened(rig)
        send(rig, request())
        sent, received = rig.modem.data.counter.octets
        assert received > 300
        assert rig.send("AT+UGCNTRD") == "\r\n" + lines.format(sent, received) + "\r\nOK\r\n"
        assert rig.send("AT+UGCNTSET=1,0,0") == "\r\nOK\r\n"
        assert rig.modem.data.counter.octets == [0, 0]
