"""Data calls: a PPP client dials, transfers, escapes, comes back; either side or the network ends the call."""

import random
import struct

import msgspec
import pytest

from host_tools.sim.modem import load
from host_tools.sim.network.packet import udp
from host_tools.sim.network.ppp.link import PppLink, Side
from host_tools.sim.network.stack import IpStack

from .conftest import IMSI

REQUEST = struct.pack(">2sHI", b"UG", 100, 3000).ljust(100, b"x")
GUARD_S = 1.1


class Host:
    """What dials: a PPP client on the rig's line, which hears and keeps what the modem writes."""

    def __init__(self, rig, vj=True):
        self.rig = rig
        side = Side(asks_dns=True, vj=vj)
        self.link = PppLink(rig.clock, side, random.Random(2), rig.line.to_modem.write)
        self.ended = []
        self.heard = 0
        self.link.on_down = self.ended.append
        rig.line.to_host.deliver = self.hear

    def hear(self, data):
        self.rig.out += data
        self.heard += len(data)
        self.link.feed(data)

    def dial(self, command="ATD*99#"):
        assert self.rig.send(command).startswith("\r\nCONNECT\r\n")
        self.link.open()
        self.rig.run(5)
        assert self.link.up
        self.stack = IpStack(self.rig.clock, self.link.address, self.link.send, mss=1440)
        self.link.on_packet = self.stack.deliver

    def exchange(self, seconds=5):
        """Asks the responder for 3,000 octets; what came."""
        got = bytearray()
        connection = self.stack.open((self.rig.responder_ip, 80))
        connection.on_readable = lambda: got.extend(connection.read())
        connection.connect()
        connection.send(REQUEST)
        self.rig.run(seconds)
        connection.close()
        self.rig.run(1)
        return len(got)

    def escape(self):
        self.rig.run(GUARD_S)
        self.rig.write(b"+++")
        return self.rig.run(GUARD_S)


def with_ppp(**values):
    profile = load("quectel-ec200u")
    return msgspec.structs.replace(profile, ppp=msgspec.structs.replace(profile.ppp, **values))


def counted(rig):
    return sum(rig.modem.data.counter.octets)


@pytest.mark.parametrize("vj", [True, False])
def test_a_call_carries_ip_and_counts_its_octets(make_bench, vj):
    rig = make_bench(profile=with_ppp(vj=vj))
    host = Host(rig)
    host.dial()
    assert (host.link.address, host.link.dns) == ("10.0.0.1", "198.51.100.53")
    assert host.link.vj_sent is host.link.vj_received is vj
    before = counted(rig)
    assert host.exchange() == 3000
    assert counted(rig) - before == rig.carrier.figures(IMSI)["ip_octets"]
    assert 3100 + 11 * 40 <= counted(rig) - before <= 3100 + 20 * 40


def test_header_compression_makes_the_line_cheaper_and_the_count_no_lower(make_bench):
    line, carried = [], []
    for vj in (True, False):
        rig = make_bench(profile=with_ppp(vj=vj))
        host = Host(rig)
        host.dial()
        before = host.heard
        host.exchange()
        line.append(host.heard - before)
        carried.append(rig.carrier.figures(IMSI)["ip_octets"])
    assert line[0] < line[1]
    assert carried[0] == carried[1] == counted(rig)


@pytest.mark.parametrize("command", ["ATD*99#", "ATD*99***1#", "ATDT*99***1#", 'AT+CGDATA="PPP",1'])
def test_ways_to_dial(rig, command):
    host = Host(rig)
    host.dial(command)
    assert rig.modem.data.contexts[1].state == 1


@pytest.mark.parametrize("number", ["ATD*99***3#", "ATD*99***9#", "ATD10086;", "ATD*98x#"])
def test_what_is_no_call(rig, number):
    assert rig.send(number) == "\r\nNO CARRIER\r\n"


def test_cgdata_says_why_not(rig):
    assert rig.send('AT+CGDATA="M-HEX",1') == rig.send('AT+CGDATA="PPP",3') == "\r\n+CME ERROR: 50\r\n"
    rig.carrier.stop(IMSI)
    assert rig.send('AT+CGDATA="PPP",1') == "\r\n+CME ERROR: 133\r\n"
    assert rig.send("ATD*99#") == "\r\nNO CARRIER\r\n"
    assert "requested service option not subscribed" in rig.send("AT+CEER")


def test_escape_and_return(rig):
    host = Host(rig)
    host.dial()
    assert host.escape() == "\r\nOK\r\n"
    assert rig.send("AT+CGPADDR=1") == '\r\n+CGPADDR: 1,"10.0.0.1"\r\n\r\nOK\r\n'
    assert rig.send("ATO").startswith("\r\nCONNECT\r\n")
    assert host.exchange() == 3000
    assert host.link.up


def test_what_the_network_sends_meanwhile_waits_for_the_host(rig):
    host = Host(rig)
    host.dial()
    got = []
    port = host.stack.bind(0, lambda payload, source: got.append(payload))
    host.escape()
    context = rig.modem.data.contexts[1]
    for i in range(3):
        context.deliver(udp(("203.0.113.9", 9), (context.ip, port), bytes((i,))))
    rig.run(1)
    assert not got
    rig.send("ATO")
    rig.run(1)
    assert got == [b"\0", b"\1", b"\2"]


def test_the_sequence_without_silence_is_payload(rig):
    host = Host(rig)
    host.dial()
    rig.write(b"+++")
    rig.write(b"x")
    assert "OK" not in rig.run(3)
    rig.run(GUARD_S)
    rig.write(b"++")
    rig.run(GUARD_S)
    rig.write(b"+")
    assert "OK" not in rig.run(3)
    assert host.exchange() == 3000


def test_hanging_up_ends_the_session(rig):
    host = Host(rig)
    host.dial()
    host.escape()
    assert rig.send("ATH") == "\r\nOK\r\n"
    assert rig.modem.data.contexts[1].state == 0
    assert rig.send("ATO") == "\r\nNO CARRIER\r\n"
    again = Host(rig)
    again.dial()
    assert again.exchange() == 3000


def test_ending_lcp_ends_the_session(rig):
    host = Host(rig)
    host.dial()
    host.link.close()
    assert rig.run(6).endswith("\r\nNO CARRIER\r\n")
    assert host.ended == ["closed"]
    assert rig.modem.data.contexts[1].state == 0
    assert rig.send("AT") == "\r\nOK\r\n"


@pytest.mark.parametrize(("setting", "online", "alive"), [(0, True, True), (1, False, True), (2, False, False)])
def test_dtr(rig, setting, online, alive):
    assert rig.send(f"AT&D{setting}") == "\r\nOK\r\n"
    host = Host(rig)
    host.dial()
    rig.modem.call.dtr(False)
    assert rig.run(0.1).endswith("\r\nOK\r\n") is not online
    assert rig.modem.port.streaming is online
    assert rig.modem.call.active is alive


@pytest.mark.parametrize(
    ("ending", "told", "ended"),
    [("terminate", True, ["peer"]), ("no-carrier", True, []), ("silence", False, [])],
)
def test_the_network_ends_the_session(make_bench, ending, told, ended):
    rig = make_bench(profile=with_ppp(ending=ending))
    host = Host(rig)
    host.dial()
    rig.take()
    rig.carrier.stop(IMSI)
    said = rig.run(10)
    assert ("\r\nNO CARRIER\r\n" in said) is told
    assert host.ended == ended
    if not told:
        assert host.escape().endswith("\r\nOK\r\n")
    assert rig.send("ATO") == "\r\nNO CARRIER\r\n"
    assert not rig.modem.call.active


def test_a_host_that_speaks_no_ppp_is_hung_up(rig):
    assert rig.send("ATD*99#").startswith("\r\nCONNECT\r\n")
    assert rig.run(40).endswith("\r\nNO CARRIER\r\n")
    assert rig.modem.data.contexts[1].state == 0


def test_a_power_cut_ends_everything(rig):
    host = Host(rig)
    host.dial()
    rig.modem.power(False)
    rig.modem.power(True)
    rig.run(12)
    assert not rig.modem.call.active
    assert rig.send("ATE0").endswith("OK\r\n")


def test_deactivating_the_context_ends_the_call(rig):
    host = Host(rig)
    host.dial()
    host.escape()
    assert rig.send("AT+CGACT=0,1") == "\r\nOK\r\n"
    assert rig.send("ATO") == "\r\nNO CARRIER\r\n"


def test_a_context_that_is_up_serves_a_call(rig):
    rig.online()
    host = Host(rig)
    host.dial()
    assert host.exchange() == 3000
