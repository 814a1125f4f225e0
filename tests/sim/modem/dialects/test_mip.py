"""China Mobile's OneMO modules (UG: TCP/IP user guide; EX: extended AT commands V1.7.4)."""

import struct

import msgspec
import pytest

from host_tools.sim.modem import load
from host_tools.sim.network.hosts import UdpHandlerHost
from tests.sim.modem.conftest import IMSI, ModemRig


def request(tx=100, rx=300):
    return struct.pack(">2sHI", b"UG", tx, rx).ljust(tx, b"x")


def body(octets):
    return bytes(i % 256 for i in range(octets)).decode("latin-1")


class Rig(ModemRig):
    def __init__(self, **quirks):
        profile = load("ml307r")
        super().__init__(profile=msgspec.structs.replace(profile, quirks=profile.quirks | quirks), boot=False)
        self.modem.power(True)
        self.boot = self.run(12)
        assert self.send("ATE0").endswith("OK\r\n")
        self.send("AT+CMEE=1")

    def open(self, number=0, kind="TCP", host="server.example", port=80, mode=2):
        return self.send(f'AT+MIPOPEN={number},"{kind}","{host}",{port},60,{mode}') + self.run(2)

    def exchange(self, number, data):
        self.send(f"AT+MIPSEND={number},{len(data)}", 1)
        return self.payload(data)

    def send(self, line, timeout_s=200):
        """AT+MIPSEND's prompt has no space behind it."""
        self.out.clear()
        self.write(line.encode("latin-1") + b"\r")
        end = self.clock.now_us + int(timeout_s * 1_000_000)
        self.clock.run_until(end, lambda: self._ended() or self.out.endswith(b"\r\n>"))
        self.clock.run_until(self.clock.now_us + 1000)
        return self.take()


@pytest.fixture
def rig():
    return Rig()


def test_boots_with_its_session_up(rig):
    """EX: +MATREADY; EX 4.17: the session comes up by itself."""
    assert rig.boot.startswith("\r\n+MATREADY\r\n")
    assert '\r\n+MIPCALL: 1,1,"10.0.0.1"\r\n' in rig.boot
    assert rig.send("AT+MIPCALL?") == '\r\n+MIPCALL: 1,1,"10.0.0.1"\r\n\r\nOK\r\n'
    assert rig.send("AT+MIPCALL=1,1") == "\r\nOK\r\n"
    assert rig.send("AT+MIPCALL=0,1") == "\r\nOK\r\n"
    assert rig.send("AT+MIPCALL?") == "\r\n+MIPCALL: 1,0\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPCALL=1,1") + rig.run(1) == '\r\nOK\r\n\r\n+MIPCALL: 1,1,"10.0.0.2"\r\n'
    assert rig.send("AT+CGPADDR=1") == '\r\n+CGPADDR: 1,"10.0.0.2"\r\n\r\nOK\r\n'


def test_quirks_of_the_session():
    rig = Rig(dials_at_boot=False, space_behind_mipcall=False, refuses_second_call=True)
    assert "+MIPCALL" not in rig.boot
    assert rig.send("AT+MIPCALL?") == "\r\n+MIPCALL:1,0\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPCALL=1,1") + rig.run(1) == '\r\nOK\r\n\r\n+MIPCALL:1,1,"10.0.0.1"\r\n'
    assert rig.send("AT+MIPCALL=1,1") == "\r\n+CME ERROR: 50\r\n"
    assert Rig(dials_at_boot=False, mipcall_shows_down=False).send("AT+MIPCALL?") == "\r\nOK\r\n"
    rig = Rig(keeps_context=True)
    rig.open()
    rig.send("AT+MIPCALL=0,1")
    assert "INITIAL" in rig.send("AT+MIPSTATE=0")
    assert rig.send("AT+CGPADDR=1") == '\r\n+CGPADDR: 1,"10.0.0.1"\r\n\r\nOK\r\n', "only AT+CFUN=4 ends it"


@pytest.mark.parametrize(
    ("later", "said"), [(False, "\r\n+CME ERROR: 133\r\n"), (True, "\r\nOK\r\n\r\n+MIPCALL: 1,0\r\n")]
)
def test_refused_session(later, said):
    rig = Rig(tells_refusal_later=later)
    rig.carrier.stop(IMSI)
    assert rig.run(1) == "\r\n+MIPCALL: 1,0\r\n"
    assert rig.send("AT+MIPCALL=1,1") + rig.run(0.1) == said
    assert rig.send('AT+MIPOPEN=0,"TCP","1.1.1.1",80') == "\r\n+CME ERROR: 570\r\n"


def test_end_of_the_session_is_told_to_connections(rig):
    rig.open()
    rig.carrier.stop(IMSI)
    assert rig.run(1) == '\r\n+MIPURC: "disconn",0,3\r\n\r\n+MIPCALL: 1,0\r\n'


def test_stream_cache(rig):
    """UG 3.3 to 3.8, 3.15, 4.4."""
    assert rig.open() == "\r\nOK\r\n\r\n+MIPOPEN: 0,0\r\n"
    assert rig.send("AT+MIPSTATE=0") == '\r\n+MIPSTATE: 0,"TCP","server.example",80,"CONNECTED"\r\n\r\nOK\r\n'
    assert rig.send("AT+MIPSEND=0,100") == "\r\n>"
    assert rig.payload(request()) == "\r\nOK\r\n"
    assert rig.run(1) == '\r\n+MIPURC: "rtcp",0,300,300\r\n'
    assert rig.send("AT+MIPRD=0") == "\r\n+MIPRD: 0,300\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPSACK=0") == "\r\n+MIPSACK: 100,100,0,300\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPRD=0,100") == f"\r\n+MIPRD: 0,200,100,{body(300)[:100]}\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPRD=0,0") == f"\r\n+MIPRD: 0,0,200,{body(300)[100:]}\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPRD=0,100") == "\r\nOK\r\n", "nothing is left"
    assert rig.send("AT+MIPSACK=0") == "\r\n+MIPSACK: 100,100,0,300\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPCLOSE=0") + rig.run(1) == "\r\nOK\r\n\r\n+MIPCLOSE: 0\r\n"
    assert rig.send("AT+MIPSTATE=0") == '\r\n+MIPSTATE: 0,,,,"INITIAL"\r\n\r\nOK\r\n'


def test_each_arrival_is_told(rig):
    rig.open()
    rig.exchange(0, request(rx=3000))
    assert rig.run(2) == (
        '\r\n+MIPURC: "rtcp",0,1460,1460\r\n\r\n+MIPURC: "rtcp",0,1460,2920\r\n\r\n+MIPURC: "rtcp",0,80,3000\r\n'
    )


def test_normal_mode_pushes(rig):
    rig.open(mode=0)
    rig.exchange(0, request(rx=300))
    assert rig.run(1) == f'\r\n+MIPURC: "rtcp",0,300,{body(300)}\r\n'
    assert rig.send("AT+MIPMODE=0,2") == "\r\nOK\r\n"
    rig.exchange(0, request(rx=30))
    assert rig.run(1) == '\r\n+MIPURC: "rtcp",0,30,30\r\n'
    assert rig.send("AT+MIPMODE=0") == "\r\n+MIPMODE: 0,2\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPMODE=0,0") + rig.run(1) == f'\r\nOK\r\n\r\n+MIPURC: "rtcp",0,30,{body(30)}\r\n'


def test_modem_without_a_cache_pushes():
    rig = Rig(caches=False)
    for mode in (2, 3):
        assert rig.open(mode=mode) == "\r\n+CME ERROR: 50\r\n"
    rig.open(mode=0)
    rig.exchange(0, request(rx=3000))
    assert rig.run(2) == "".join(
        f'\r\n+MIPURC: "rtcp",0,{len(part)},{part}\r\n'
        for part in (body(3000)[:1460], body(3000)[1460:2920], body(3000)[2920:])
    )
    for command in ("AT+MIPRD=0", "AT+MIPRD=0,10", "AT+MIPMODE=0,2"):
        assert rig.send(command) == "\r\n+CME ERROR: 100\r\n"
    assert rig.send("AT+MIPSACK=0") == "\r\n+MIPSACK: 100,100,0,3000\r\n\r\nOK\r\n"
    rig.internet.add_host("udp.example", UdpHandlerHost(lambda payload, *_: payload.upper()), "203.0.113.50")
    rig.open(1, "UDP", "udp.example", 5683, 0)
    assert rig.exchange(1, b"one") + rig.run(1) == '\r\nOK\r\n\r\n+MIPURC: "rudp",1,3,ONE\r\n'


def test_acknowledgements_are_told_where_wanted(rig):
    """UG 3.1, 3.20."""
    rig.send('AT+MIPCFG="ackmode",0,1')
    rig.open()
    rig.exchange(0, request(700, 1))
    assert '\r\n+MIPURC: "ack",0,700\r\n' in rig.run(1)


def test_keep_alive(rig):
    """UG 3.2: off from the factory; the timing is not shown then."""
    assert rig.send("AT+MIPTKA=0") == "\r\n+MIPTKA: 0,0\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPTKA=0,1") == "\r\nOK\r\n"
    assert rig.send("AT+MIPTKA?").startswith("\r\n+MIPTKA: 0,1,90,75,3\r\n+MIPTKA: 1,0\r\n")
    assert rig.send("AT+MIPTKA=0,1,29") == "\r\n+CME ERROR: 50\r\n"


def test_more_datagrams_than_are_kept_are_dropped(rig):
    """UG 3.6: 256, however short."""
    rig.internet.add_host("udp.example", UdpHandlerHost(lambda payload, *_: payload), "203.0.113.50")
    rig.open(1, "UDP", "udp.example", 5683, 3)
    said = ""
    for _ in range(258):
        rig.exchange(1, b"x")
        said += rig.run(0.2)
    assert said.count('+MIPURC: "drop",1,1\r\n') == 2
    assert rig.send("AT+MIPRD=1") == "\r\n+MIPRD: 1,256\r\n\r\nOK\r\n"


def test_data_in_the_command(rig):
    rig.open()
    assert rig.send('AT+MIPSEND=0,5,"hello"') == "\r\n+MIPSEND: 0,5\r\n\r\nOK\r\n"
    assert rig.send('AT+MIPSEND=0,4,"hello"') == "\r\n+CME ERROR: 50\r\n"
    rig.send('AT+MIPCFG="encoding",0,1,1')
    assert rig.send('AT+MIPCFG="encoding",0') == '\r\n+MIPCFG: "encoding",0,1,1\r\n\r\nOK\r\n'
    rig.send("AT+MIPCLOSE=0")
    rig.run(1)
    rig.open()
    assert rig.send(f"AT+MIPSEND=0,20,{request(20, 3).hex()}") == "\r\n+MIPSEND: 0,20\r\n\r\nOK\r\n"
    rig.run(1)
    assert rig.send("AT+MIPRD=0,0") == "\r\n+MIPRD: 0,0,3,000102\r\n\r\nOK\r\n"


def test_prompted_data_may_be_counted():
    rig = Rig(counts_what_was_prompted=True)
    rig.open()
    assert rig.exchange(0, request()) == "\r\n+MIPSEND: 0,100\r\n\r\nOK\r\n"


def test_what_comes_in_ten_seconds_is_sent(rig):
    rig.open()
    assert rig.send("AT+MIPSEND=0,100") == "\r\n>"
    rig.write(request(20, 1))
    assert rig.run(9.9) == ""
    assert rig.run(0.2) == '\r\nOK\r\n\r\n+MIPURC: "rtcp",0,1,1\r\n'
    assert rig.send("AT+MIPSACK=0").startswith("\r\n+MIPSACK: 20,")


def test_window_is_fixed(rig):
    """UG 3.1: 64,240 octets wait, whatever AT+MIPCFG="rcvbuf" says."""
    rig.send('AT+MIPCFG="rcvbuf",0,1460')
    rig.open()
    rig.exchange(0, request(20, 100_000))
    rig.run(120)
    assert rig.send("AT+MIPRD=0") == "\r\n+MIPRD: 0,64240\r\n\r\nOK\r\n"


def test_datagrams(rig):
    rig.internet.add_host("udp.example", UdpHandlerHost(lambda payload, *_: payload.upper()), "203.0.113.50")
    assert rig.open(1, "UDP", "udp.example", 5683, 3) == "\r\nOK\r\n\r\n+MIPOPEN: 1,0\r\n"
    rig.exchange(1, b"one")
    rig.exchange(1, b"two")
    assert rig.run(1).endswith('\r\n+MIPURC: "rudp",1,2\r\n')
    assert rig.send("AT+MIPRD=1") == "\r\n+MIPRD: 1,2\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPRD=1,1") == "\r\n+MIPRD: 1,1,3,ONE\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPRD=1,0") == "\r\n+MIPRD: 1,0,3,TWO\r\n\r\nOK\r\n"
    assert rig.send("AT+MIPSACK=1") == "\r\n+MIPSACK: 6,0,6,6\r\n\r\nOK\r\n"


def test_datagrams_beyond_the_buffer_are_dropped(rig):
    rig.internet.add_host("udp.example", UdpHandlerHost(lambda payload, *_: payload * 10), "203.0.113.50")
    rig.open(1, "UDP", "udp.example", 5683, 3)
    said = ""
    for _ in range(47):
        rig.exchange(1, b"x" * 140)
        said += rig.run(1)
    assert said.count('+MIPURC: "drop",1,1400') == 2


def test_peer_closes(rig):
    """UG 3.1, 3.20: with "autofree" 1 what has arrived stays until AT+MIPCLOSE."""
    for free in (1, 0):
        rig.send(f'AT+MIPCFG="autofree",0,{free}')
        rig.open()
        rig.exchange(0, request(20, 50))
        rig.run(1)
        (connection,) = [c for c in rig.responder.stack.connections.values() if c.state != "TIME_WAIT"][-1:]
        connection.close()
        assert rig.run(1) == '\r\n+MIPURC: "disconn",0,1\r\n'
        if free:
            assert '"CLOSED"' in rig.send("AT+MIPSTATE=0")
            assert rig.send("AT+MIPSEND=0,5") == "\r\n+CME ERROR: 553\r\n"
            assert rig.send("AT+MIPSACK=0") == "\r\n+CME ERROR: 553\r\n"
            assert rig.send("AT+MIPRD=0,0").startswith("\r\n+MIPRD: 0,0,50,")
            assert rig.send("AT+MIPCLOSE=0") + rig.run(1) == "\r\nOK\r\n\r\n+MIPCLOSE: 0\r\n"
        else:
            assert "INITIAL" in rig.send("AT+MIPSTATE=0")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('AT+MIPOPEN=6,"TCP","1.1.1.1",80', 50),
        ('AT+MIPOPEN=1,"SCTP","1.1.1.1",80', 50),
        ('AT+MIPOPEN=1,"TCP","",80', 50),
        ('AT+MIPOPEN=1,"TCP","1.1.1.1",80,121', 50),
        ('AT+MIPOPEN=1,"TCP","1.1.1.1",80,60,3', 50),
        ('AT+MIPOPEN=0,"TCP","1.1.1.1",80', 552),
        ("AT+MIPSEND=5,5", 551),
        ("AT+MIPSEND=0,8193", 50),
        ("AT+MIPRD=5,5", 551),
        ("AT+MIPRD=0,4097", 50),
        ("AT+MIPCLOSE=5", 551),
        ("AT+MIPSACK=5", 551),
        ('AT+MIPCFG="nosuch"', 50),
        ('AT+MIPCFG="autofree",0,2', 50),
    ],
)
def test_errors(rig, line, error):
    rig.open(0)
    assert rig.send(line) == f"\r\n+CME ERROR: {error}\r\n"


@pytest.mark.parametrize(("named", "said"), [(False, "\r\n+MIPOPEN: {},{}\r\n"), (True, "\r\n+CME ERROR: {1}\r\n")])
def test_open_fails(named, said):
    rig = Rig(names_no_connection=named)
    rig.internet.add_host("closed.example", UdpHandlerHost(lambda *_: None), "203.0.113.77")
    assert rig.open(0, host="no.such.name") == "\r\nOK\r\n" + said.format(0, 580)
    assert rig.open(1, host="203.0.113.77") == "\r\nOK\r\n" + said.format(1, 557)
    assert rig.open(2, host="203.0.113.99") == "\r\nOK\r\n"
    assert rig.run(60) == said.format(2, 558)
    assert rig.send("AT+MIPSTATE?").count("INITIAL") == 6


def test_names(rig):
    """UG 3.17: the answer names the host, and without an address there is none."""
    assert rig.send('AT+MDNSGIP="server.example"') + rig.run(1) == (
        '\r\nOK\r\n\r\n+MDNSGIP: "server.example","203.0.113.1"\r\n'
    )
    assert rig.send('AT+MDNSGIP="nosuch.example"') + rig.run(1) == '\r\nOK\r\n\r\n+MDNSGIP: "nosuch.example"\r\n'
    assert rig.send('AT+MDNSCFG="priority",0') == "\r\nOK\r\n"
    assert rig.send('AT+MDNSCFG="priority"') == '\r\n+MDNSCFG: "priority",0\r\n\r\nOK\r\n'


def test_identity_and_power(rig):
    assert rig.send("AT+MCCID") == "\r\n+MCCID: 89860012345678901234\r\n\r\nOK\r\n"
    assert rig.send("AT+GSN=1") == "\r\n+GSN: 860264050123455\r\n\r\nOK\r\n"
    assert rig.send("AT+CGSN=1") == '\r\n+CGSN: "860264050123455"\r\n\r\nOK\r\n'
    assert rig.send("AT+MREBOOT=0") == "\r\nOK\r\n"
    assert "+MATREADY" in rig.run(10)
    assert rig.send("AT+MPOF").endswith("\r\nOK\r\n")
    rig.run(5)
    assert rig.modem.state == 0


def test_totals_may_be_of_what_was_read():
    rig = Rig(totals_what_was_read=True)
    rig.open()
    rig.exchange(0, request())
    rig.run(1)
    assert rig.send("AT+MIPSACK=0") == "\r\n+MIPSACK: 100,100,0,0\r\n\r\nOK\r\n"
    assert Rig(closes_what_is_not_open=True).send("AT+MIPCLOSE=0") == "\r\nOK\r\n"
