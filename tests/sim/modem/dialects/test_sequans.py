"""Sequans' dialect (GM02S AT Commands Reference Manual; Walter's library)."""

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
def online(make_bench):
    def online(**quirks):
        profile = load("gm02s")
        rig = make_bench(profile=msgspec.structs.replace(profile, quirks=profile.quirks | quirks))
        for line in ('AT+CGDCONT=1,"IP","cmiot"', "AT+CGACT=1,1"):
            assert rig.send(line) == "\r\nOK\r\n", line
        return rig

    return online


def opened(rig, kind=0, host="server.example", port=80, ring=1):
    assert rig.send("AT+SQNSCFG=1,1,300,0,600,50") == "\r\nOK\r\n"
    assert rig.send(f"AT+SQNSCFGEXT=1,{ring},0,0,0,0") == "\r\nOK\r\n"
    assert rig.send(f'AT+SQNSD=1,{kind},{port},"{host}",0,0,1') == "\r\nOK\r\n"


def send(rig, data):
    assert rig.send(f"AT+SQNSSENDEXT=1,{len(data)}") == "\r\n> "
    return rig.payload(data) + rig.run(2)


def test_boot_identity_and_shutdown(make_bench):
    rig = make_bench(profile=load("gm02s"), boot=False)
    rig.modem.power(True)
    assert rig.run(4) == "\r\n+SYSSTART\r\n\r\n+CPIN: READY\r\n"
    rig.send("ATE0")
    assert rig.send("AT+SQNCCID") == '\r\n+SQNCCID: "89860012345678901234",""\r\n\r\nOK\r\n'
    assert rig.send("AT+SQNSSHDN") + rig.run(3) == "\r\nOK\r\n\r\n+SHUTDOWN\r\n"


def test_payload_in_digits(online):
    """AT+SQNSCFGEXT: <sendDataMode> 1. TinyGSM writes a NUL behind each pair."""
    rig = online()
    opened(rig)
    assert rig.send("AT+SQNSCFGEXT=1,1,0,0,0,1") == "\r\nOK\r\n"
    data = request()
    assert rig.send(f"AT+SQNSSENDEXT=1,{len(data)}") == "\r\n> "
    digits = b"".join(b"%02X\0" % octet for octet in data)
    assert rig.payload(digits) + rig.run(2) == "\r\nOK\r\n\r\n+SQNSRING: 1,300\r\n"
    assert rig.send("AT") == "\r\nOK\r\n"


def test_payload_behind_its_line(online):
    for empty, nothing in (("error", "\r\n+CME ERROR: 3\r\n"), ("zero", "\r\n+SQNSRECV: 1,0\r\n\r\nOK\r\n")):
        rig = online(empty=empty)
        opened(rig)
        assert send(rig, request()) == "\r\nOK\r\n\r\n+SQNSRING: 1,300\r\n"
        assert rig.send("AT+SQNSRECV=1,100") == f"\r\n+SQNSRECV: 1,100\r\n{BODY[:100]}\r\n\r\nOK\r\n"
        assert rig.send("AT+SQNSRECV=1,1500") == f"\r\n+SQNSRECV: 1,200\r\n{BODY[100:]}\r\n\r\nOK\r\n"
        assert rig.send("AT+SQNSRECV=1,1500") == nothing
        assert "+CME ERROR" in rig.send("AT+SQNSRECV=1,1501")


def test_ring_without_the_size(online):
    rig = online()
    opened(rig, ring=0)
    assert send(rig, request()).endswith("\r\n+SQNSRING: 1\r\n")


def test_totals(online):
    for sqnsi, received in (("arrived", 300), ("read", 100)):
        rig = online(sqnsi=sqnsi)
        opened(rig)
        send(rig, request())
        rig.send("AT+SQNSRECV=1,100")
        assert rig.send("AT+SQNSI=1") == f"\r\n+SQNSI: 1,100,{received},200,0\r\n\r\nOK\r\n"
        assert "\r\n+SQNSS: 1,3,10.0.0." in rig.send("AT+SQNSS")


def test_failures_of_opening(online):
    for refusal, said in (("error", "\r\n+CME ERROR: 3\r\n"), ("NO CARRIER", "\r\nNO CARRIER\r\n")):
        rig = online(refusal=refusal)
        rig.internet.add_host("closed.example", UdpHandlerHost(lambda payload, source: payload))
        assert rig.send('AT+SQNSD=1,0,80,"closed.example",0,0,1') == said
    opened(rig)
    assert "+CME ERROR" in rig.send('AT+SQNSD=1,0,80,"server.example",0,0,1'), "in use"
    assert "+CME ERROR" in rig.send('AT+SQNSD=7,0,80,"server.example",0,0,1'), "there are 6"


def test_names(online):
    rig = online()
    assert rig.send('AT+SQNDNSLKUP="server.example",0') == (
        '\r\n+SQNDNSLKUP: "server.example","203.0.113.1"\r\n\r\nOK\r\n'
    )
    assert "+CME ERROR" in rig.send('AT+SQNDNSLKUP="nowhere.example",0')


def test_datagrams(online):
    rig = online()
    rig.internet.add_host("echo.example", UdpHandlerHost(lambda payload, source: payload))
    opened(rig, 1, "echo.example", 5683)
    assert send(rig, b"one").endswith("\r\n+SQNSRING: 1,3\r\n")
    assert send(rig, b"seven..") == "\r\nOK\r\n", "not drained yet"
    assert rig.send("AT+SQNSRECV=1,1500") == "\r\n+SQNSRECV: 1,3\r\none\r\n\r\nOK\r\n"
    assert rig.send("AT+SQNSRECV=1,1500") == "\r\n+SQNSRECV: 1,7\r\nseven..\r\n\r\nOK\r\n"


def test_ends(online):
    rig = online()
    opened(rig)
    assert send(rig, b"not a request").endswith("\r\n+SQNSH: 1\r\n")
    assert rig.send("AT+SQNSH=1") == "\r\nOK\r\n"
    assert rig.send("AT+SQNSH=1") == "\r\nOK\r\n", "closed already"
    opened(rig)
    rig.carrier.deactivate(IMSI)
    assert "\r\n+SQNSH: 1\r\n" in rig.run(1)
    assert "+CME ERROR" in rig.send("AT+SQNSSENDEXT=1,5", 1)
