"""SIMCom's Cat-M dialect (SIM7070_SIM7080_SIM7090 Series AT Command Manual V1.05; TinyGSM's SIM7080 client)."""

import struct
from datetime import timedelta

import msgspec
import pytest

from host_tools.sim.modem import load
from tests.sim.modem.conftest import IMSI

BODY = bytes(i % 256 for i in range(300)).decode("latin-1")
OPENED = "\r\nOK\r\n\r\n+CAOPEN: 0,0\r\n"


def request(tx=100, rx=300):
    return struct.pack(">2sHI", b"UG", tx, rx).ljust(tx, b"x")


@pytest.fixture
def bench(make_bench):
    def bench(**quirks):
        profile = load("sim7080g")
        return make_bench(profile=msgspec.structs.replace(profile, quirks=profile.quirks | quirks))

    return bench


@pytest.fixture
def online(bench):
    def online(**quirks):
        rig = bench(**quirks)
        assert rig.send('AT+CNCFG=0,1,"cmiot"') == "\r\nOK\r\n"
        assert rig.send("AT+CNACT=0,1") + rig.run(1) == "\r\nOK\r\n\r\n+APP PDP: 0,ACTIVE\r\n"
        return rig

    return online


def opened(rig, number=0, kind="TCP", port=80):
    return rig.send(f'AT+CAOPEN={number},0,"{kind}","server.example",{port}') + rig.run(2)


def exchange(rig, number=0):
    assert rig.send(f"AT+CASEND={number},100", 1) == "\r\n>"
    return rig.payload(request()) + rig.run(2)


def test_boot_and_identity(make_bench):
    rig = make_bench(profile=load("sim7080g"), boot=False)
    rig.modem.power(True)
    said = rig.run(6)
    rig.run(3)
    assert said.split() == ["RDY", "+CFUN:", "1", "+CPIN:", "READY", "SMS", "Ready"]
    rig.send("ATE0")
    assert rig.send("AT+CGMM") == "\r\nSIMCOM_SIM7080G\r\n\r\nOK\r\n"
    assert rig.send("AT+CCID") == "\r\n89860012345678901234\r\n\r\nOK\r\n"
    assert rig.send("AT+CEREG=3").startswith("\r\n+CME ERROR")
    assert rig.send("AT+CPSI?").startswith("\r\n+CPSI: LTE CAT-M1,Online,460-00,0x25F8,")
    assert rig.send("AT+CPOWD=1") + rig.run(3) == "\r\nNORMAL POWER DOWN\r\n"


def test_local_time(bench):
    assert bench().send("AT+CCLK?") == '\r\n+CCLK: "80/01/06,00:00:12+00"\r\n\r\nOK\r\n'
    for clts in ("at once", "at boot"):
        rig = bench(clts=clts)
        rig.send("AT+CLTS=1")
        rig.send("AT+CFUN=0")
        told = rig.send("AT+CFUN=1") + rig.run(10)
        shown = rig.send("AT+CCLK?")
        if clts == "at once":
            zoned = rig.clock.utc() + timedelta(hours=8)
            assert f'"{zoned:%y/%m/%d,%H:%M}' in shown
            assert "*PSUTTZ: 2025,3,4,5,6," in told
        else:
            assert '"80/01/06' in shown
            rig.send("AT+CREBOOT")
            assert "*PSUTTZ" in rig.run(15)


def test_session(online):
    rig = online()
    assert rig.send("AT+CNACT?") == (
        '\r\n+CNACT: 0,1,"10.0.0.1"\r\n'
        + "".join(f'+CNACT: {index},0,"0.0.0.0"\r\n' for index in (1, 2, 3))
        + "\r\nOK\r\n"
    )
    assert "+CME ERROR" in rig.send("AT+CNACT=0,1"), "it is up"
    assert rig.send("AT+CNACT=0,0") + rig.run(1) == "\r\nOK\r\n\r\n+APP PDP: 0,DEACTIVE\r\n"
    assert "+CME ERROR" in rig.send("AT+CNACT=0,0")
    rig.send("AT+CNACT=0,1")
    rig.run(1)
    rig.carrier.deactivate(IMSI)
    assert "+APP PDP: 0,DEACTIVE" in rig.run(1)


def test_refusal_of_the_session(bench):
    for refusal, said in (("urc", "\r\nOK\r\n\r\n+APP PDP: 0,DEACTIVE\r\n"), ("error", "\r\n+CME ERROR: 133\r\n")):
        rig = bench(refusal=refusal)
        rig.carrier.stop(IMSI)
        assert rig.send("AT+CNACT=0,1") + rig.run(1) == said
        assert rig.send("AT+CEER") == "\r\n+CEER: requested service option not subscribed\r\n\r\nOK\r\n"


def test_payload_on_the_line(online):
    for carecv, number in (("bare", ""), ("numbered", "0,")):
        rig = online(carecv=carecv)
        assert opened(rig) == OPENED
        assert exchange(rig) == "\r\nOK\r\n\r\n+CADATAIND: 0\r\n"
        assert rig.send("AT+CARECV?") == "\r\n+CARECV: 0,300\r\n\r\nOK\r\n"
        assert rig.send("AT+CARECV=0,100") == f"\r\n+CARECV: {number}100,{BODY[:100]}\r\n\r\nOK\r\n"
        assert rig.send("AT+CARECV=0,1459") == f"\r\n+CARECV: {number}200,{BODY[100:]}\r\n\r\nOK\r\n"
        assert rig.send("AT+CARECV=0,1459") == f"\r\n+CARECV: {number}0\r\n\r\nOK\r\n"
        assert rig.send("AT+CARECV?") == "\r\nOK\r\n"
        assert rig.send("AT+CAACK=0") == "\r\n+CAACK: 100,0\r\n\r\nOK\r\n"
        assert "+CME ERROR" in rig.send("AT+CARECV=0,1460")


def test_new_payload_is_told_once_until_all_was_read(online):
    rig = online()
    opened(rig)
    assert exchange(rig).count("+CADATAIND") == 1
    assert exchange(rig).count("+CADATAIND") == 0
    rig.send("AT+CARECV=0,500")
    assert exchange(rig).count("+CADATAIND") == 0
    rig.send("AT+CARECV=0,1459")
    assert exchange(rig).count("+CADATAIND") == 1


def test_result_before_the_ok(online):
    rig = online(caopen="before")
    assert opened(rig) == "\r\n+CAOPEN: 0,0\r\n\r\nOK\r\n"
    assert rig.send('AT+CAOPEN=1,0,"TCP","nowhere.example",80') == "\r\n+CAOPEN: 1,20\r\n\r\nERROR\r\n"


def test_failures_of_opening(online):
    rig = online()
    assert rig.send('AT+CAOPEN=1,0,"TCP","nowhere.example",80') + rig.run(30) == "\r\nOK\r\n\r\n+CAOPEN: 1,20\r\n"
    assert rig.send('AT+CAOPEN=1,1,"TCP","10.9.9.9",80') + rig.run(1) == "\r\nOK\r\n\r\n+CAOPEN: 1,21\r\n"
    assert opened(rig) == OPENED
    assert "+CME ERROR" in opened(rig), "in use"
    assert rig.send("AT+CASTATE?") == "\r\n+CASTATE: 0,1\r\n\r\nOK\r\n"


def test_receive_mode(online):
    assert "+CME ERROR" in online().send('AT+CAOPEN=0,0,"TCP","server.example",80,0')
    rig = online(recv_mode=True)
    assert rig.send('AT+CAOPEN=0,0,"TCP","server.example",80,1') + rig.run(2) == OPENED
    assert f'+CAURC: "recv",0,300,"203.0.113.1",80\r\n{BODY}' in exchange(rig)


def test_number_is_chosen_first_where_that_is_wanted(online):
    rig = online()
    assert rig.send("AT+CACID=1") == "\r\nOK\r\n", "TinyGSM sends it to all"
    assert opened(rig) == OPENED
    assert rig.send("AT+CBATCHK=1") == "\r\nOK\r\n"
    rig = online(cacid=True)
    assert "+CME ERROR" in opened(rig)
    assert rig.send("AT+CACID=0") == "\r\nOK\r\n"
    assert opened(rig) == OPENED


def test_peer_closes(online):
    rig = online()
    opened(rig)
    rig.send("AT+CASEND=0,13", 1)
    assert rig.payload(b"not a request") + rig.run(2) == "\r\nOK\r\n\r\n+CASTATE: 0,0\r\n"
    assert rig.send("AT+CASTATE?") == "\r\n+CASTATE: 0,0\r\n\r\nOK\r\n"
    assert "+CME ERROR" in rig.send("AT+CASEND=0,1", 1)
    assert rig.send("AT+CACLOSE=0") == "\r\nOK\r\n"
    assert "+CME ERROR" in rig.send("AT+CACLOSE=0")


def test_payload_that_does_not_come(online):
    rig = online()
    opened(rig)
    assert rig.send("AT+CASEND=0,5", 1) == "\r\n>"
    assert rig.run(4) == ""
    assert "+CME ERROR" in rig.run(2), "the input has 5 s"


def test_counter_has_what_was_received_first(online):
    rig = online()
    opened(rig)
    exchange(rig)
    sent, received = rig.modem.data.counter.octets
    assert rig.send("AT+CNII=0").startswith(f"\r\n+CNII: 0,1500,{received},{sent},")
    rig.send("AT+CNACT=0,0")
    assert "+CME ERROR" in rig.send("AT+CNII=0")
    rig.send("AT+CNACT=0,1")
    assert "+CNII: 0,1500,0,0," in rig.send("AT+CNII=0"), "it does not outlive the session"


def test_names(online):
    rig = online()
    told = rig.send('AT+CDNSGIP="server.example"') + rig.run(2)
    assert told == '\r\nOK\r\n\r\n+CDNSGIP: 1,"server.example","203.0.113.1"\r\n'
    assert rig.send('AT+CDNSGIP="nowhere.example"') + rig.run(30) == "\r\nOK\r\n\r\n+CDNSGIP: 0,8\r\n"
