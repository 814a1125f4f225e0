"""Dialogues with real modules, typed again here. Each names its source."""

from datetime import timedelta

import pytest

from host_tools.sim.network.hosts import NtpServer
from tests.sim.modem.conftest import IMSI

OK = "\r\n\r\nOK\r\n"


def test_card_state(rig):
    """A real BG96 (github.com/johncobb/catm1_bg96, issue 9): the second field says whether a card is in."""
    assert rig.send("AT+QSIMSTAT?") == f"\r\n+QSIMSTAT: 0,1{OK}"
    rig.send("AT+QSIMSTAT=1")
    rig.modem.faults.inject({"kind": "sim_out"})
    assert "\r\n+QSIMSTAT: 1,0\r\n" in rig.take() + rig.run(1)
    assert rig.send("AT+QSIMSTAT?") == f"\r\n+QSIMSTAT: 1,0{OK}"


def test_networks(rig):
    """A real EC200U (forums.quectel.com/t/36370): one comma before the modes, GSM rows, CME 32 where none takes it."""
    assert rig.send("AT+COPS=?") == (
        '\r\n+COPS: (2,"CHINA MOBILE","CMCC","46000",7),(3,"CHN-UNICOM","UNICOM","46001",7),'
        f'(3,"CHN-CT","CT","46011",7),(1,"CHINA MOBILE","CMCC","46000",0),(0-4),(0-2){OK}'
    )
    rig.carrier.refuse(IMSI, 11)
    rig.send("AT+COPS=2")
    assert rig.send("AT+COPS=0") == "\r\n+CME ERROR: 32\r\n"
    rig.modem.faults.inject({"kind": "no_coverage"})
    assert rig.send("AT+COPS=0") == "\r\n+CME ERROR: 30\r\n"
    assert rig.send("AT+COPS=?") == f"\r\n+COPS: ,(0-4),(0-2){OK}"


def test_init_line_of_wvdial(rig):
    """What wvdialconf of Debian's wvdial 1.61 writes."""
    assert rig.send("ATQ0 V1 E1 S0=0 &C1 &D2 +FCLASS=0").endswith("\r\nOK\r\n")
    assert "\r\n+FCLASS: 0\r\n" in rig.send("AT+FCLASS?")
    assert rig.send("ATE0").endswith("\r\nOK\r\n")
    assert rig.send("AT+FCLASS=1") == "\r\n+CME ERROR: 50\r\n"


def test_service_provider_names(rig):
    """EC2x AT manual, AT+QSPN; a real EC200U's log has it."""
    assert rig.send("AT+QSPN") == f'\r\n+QSPN: "CHINA MOBILE","CMCC","",0,"46000"{OK}'
    rig.send("AT+COPS=2")
    assert rig.send("AT+QSPN") == "\r\n+CME ERROR: 30\r\n"


@pytest.mark.parametrize(
    "line", ['AT+CGDCONT=1,"IP","two"', 'AT+QICSGP=1,1,"two","","",0', 'AT+QICSGP=1,3,"cmiot"', "AT+CGDCONT=1"]
)
def test_an_active_context_is_not_defined_anew(rig, line):
    """Release notes of EC200UCNAAR03A14M08: a context must be deactivated before its APN changes."""
    rig.online()
    assert rig.send('AT+CGDCONT=1,"IP","cmiot"') == "\r\nOK\r\n", "nothing changes"
    assert rig.send(line) == "\r\n+CME ERROR: 3\r\n"
    assert '1,"IP","cmiot","10.0.0.1"' in rig.send("AT+CGDCONT?")
    rig.send("AT+QIDEACT=1")
    assert rig.send(line) == "\r\nOK\r\n"


def test_an_unknown_command(rig):
    assert rig.send("AT+QNOSUCH") == "\r\n+CME ERROR: 58\r\n"


def test_an_address_is_its_own_name(rig):
    """A real EC200U (EC200UCNAAR03A15M08): AT+QIDNSGIP answers for an address without a look-up, TTL 0."""
    rig.online()
    sent = rig.modem.data.counter.octets[0]
    assert rig.send('AT+QIDNSGIP=1,"203.0.113.51"') == "\r\nOK\r\n"
    assert rig.run(1) == '\r\n+QIURC: "dnsgip",0,1,0\r\n\r\n+QIURC: "dnsgip","203.0.113.51"\r\n'
    assert rig.modem.data.counter.octets[0] == sent


def test_a_context_of_both_families(rig):
    """The same EC200U: type 3 and two addresses."""
    rig.send('AT+QICSGP=1,3,"cmiot"')
    rig.send("AT+QIACT=1")
    row = '1,1,3,"10.0.0.1","2001:DB8:1023:1B1B:0:0:A00:1"'
    assert rig.send("AT+QIACT?") == f"\r\n+QIACT: {row}{OK}"
    assert rig.send("AT+QIACTEX?") == f"\r\n+QIACTEX: {row}{OK}"
    rig.send("AT+QIDEACT=1")
    assert rig.send("AT+QIACTEX?") == "\r\nOK\r\n"


def test_pushes_of_1500(rig):
    """The same EC200U, and TCP/IP 2.5.2: up to 1,500 octets in one push."""
    rig.online()
    rig.open(mode=1)
    rig.exchange(0, b"UG" + (8).to_bytes(2, "big") + (9_000).to_bytes(4, "big"))
    said = rig.run(5)
    lengths = [int(part.split("\r\n")[0]) for part in said.split('+QIURC: "recv",0,')[1:]]
    assert sum(lengths) == 9_000
    assert max(lengths) == 1_500


def test_ping(rig):
    """TCP/IP 2.4.14: 32 octets each, which the carrier counts as packets of 60."""
    rig.online()
    before = rig.modem.data.counter.octets.copy()
    assert rig.send('AT+QPING=1,"203.0.113.1",4,3') == "\r\nOK\r\n"
    said = rig.run(10)
    assert said == '\r\n+QPING: 0,"203.0.113.1",32,80,64\r\n' * 3 + "\r\n+QPING: 0,3,3,0,80,80,80\r\n"
    assert [now - then for now, then in zip(rig.modem.data.counter.octets, before, strict=True)] == [180, 180]
    assert rig.send('AT+QPING=1,"server.example",1,1') == "\r\nOK\r\n"
    assert rig.send('AT+QPING=1,"server.example"') == "\r\nERROR\r\n", "busy"
    assert "+QPING: 0,1,1,0," in rig.run(10)
    rig.send('AT+QPING=1,"203.0.113.99",2,2')
    assert rig.run(10) == "\r\n+QPING: 569\r\n" * 2 + "\r\n+QPING: 0,2,0,2,0,0,0\r\n"
    rig.send('AT+QPING=1,"no.such.name"')
    assert rig.run(10) == "\r\n+QPING: 565\r\n"
    rig.send("AT+QIDEACT=1")
    assert rig.send('AT+QPING=1,"203.0.113.1"') == "\r\nERROR\r\n"


def test_ntp(rig):
    """A real EC200U's log: +QNTP: 0,"2026/07/03,00:56:27+32"."""
    rig.online()
    server = NtpServer()
    rig.internet.add_host("ntp.example", server)
    server.error_s = 3600
    assert rig.send('AT+QNTP=1,"ntp.example"') == "\r\nOK\r\n"
    told = f"{rig.clock.utc() + timedelta(hours=9):%Y/%m/%d,%H:%M}"
    assert f'+QNTP: 0,"{told}' in rig.run(3)
    assert f"{rig.clock.utc() + timedelta(hours=9):%y/%m/%d,%H:%M}" in rig.send("AT+CCLK?"), "and the clock is set"
    assert rig.send("AT+QNTP?") == f'\r\n+QNTP: "ntp.example",123{OK}'
    server.refuses = True
    rig.send('AT+QNTP=1,"ntp.example",123,0')
    assert rig.run(20) == "\r\n+QNTP: 569\r\n"
    rig.send('AT+QNTP=1,"no.such.name"')
    assert rig.run(10) == "\r\n+QNTP: 565\r\n"


def test_what_the_sockets_can_be_set_to(rig):
    """TCP/IP 2.4.1; a real EC200U lists "pdp/retry", "send/auto" and "recv/ignore" too."""
    listed = rig.send("AT+QICFG=?")
    for option in ('transpktsize",(1-1460)', 'dataformat",(0,1),(0,1)', 'pdp/retry",', 'send/auto",', 'recv/ignore",'):
        assert f'+QICFG: "{option}' in listed
    assert rig.send('AT+QICFG="transpktsize",0') == "\r\nERROR\r\n"
    assert rig.send('AT+QICFG="tcp/keepalive",1,600') == "\r\nOK\r\n"
    assert rig.send('AT+QICFG="tcp/keepalive"') == f'\r\n+QICFG: "tcp/keepalive",1,600,75,9{OK}'


def test_a_listener_that_nobody_reaches(rig):
    """TCP/IP 2.4.7: it opens; the carrier lets no connection through to it."""
    rig.online()
    assert rig.send('AT+QIOPEN=1,2,"TCP LISTENER","127.0.0.1",0,2020') == "\r\nOK\r\n"
    assert rig.run(1) == "\r\n+QIOPEN: 2,0\r\n"
    assert ',2020,3,1,2,0,"uart1"' in rig.send("AT+QISTATE=1,2")
    assert rig.send("AT+QISEND=2,1") == "\r\nERROR\r\n"
    assert rig.send("AT+QICLOSE=2") == "\r\nOK\r\n"


def test_extended_settings(rig):
    """EC2x AT, AT+QCFG; drivers of BG96 begin with them."""
    assert rig.send('AT+QCFG="nwscanmode"') == f'\r\n+QCFG: "nwscanmode",0{OK}'
    assert rig.send('AT+QCFG="nwscanmode",3,1') == "\r\nOK\r\n"
    assert rig.send('AT+QCFG="iotopmode",0,1') == "\r\nOK\r\n"
    rig.modem.reset()
    rig.run(12)
    rig.send("ATE0")
    assert rig.send('AT+QCFG="nwscanmode"') == f'\r\n+QCFG: "nwscanmode",3{OK}'
    assert '+QCFG: "iotopmode",(0-2),(0,1)' in rig.send("AT+QCFG=?")
    assert rig.send('AT+QCFG="nwscanmode",9') == "\r\n+CME ERROR: 50\r\n"
    assert rig.send('AT+QCFG="colour"') == "\r\n+CME ERROR: 50\r\n"
