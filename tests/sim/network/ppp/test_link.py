"""Two ends of a link: negotiation, login, the end of a session, and TCP over it, over lines that damage frames."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.ppp import HDLC, PPP

from host_tools.sim.clock import S
from host_tools.sim.network.packet import udp
from host_tools.sim.network.ppp import hdlc
from host_tools.sim.network.ppp.control import CLOSED, OPENED, STOPPED
from host_tools.sim.network.ppp.link import CHAP, IPCP, LCP, PAP, REFUSED_LOGIN, SILENT
from host_tools.sim.network.stack import IpStack
from tests.sim.network.ppp.ends import CLIENT, DEVICE, DNS, GATEWAY, SERVER, Ends


def control(octets, protocol):
    """Scapy's reading of the line's packets of one control protocol."""
    for piece in octets.split(b"\x7e"):
        body = bytearray()
        escaped = False
        for octet in piece:
            if escaped or octet != 0x7D:
                body.append(octet ^ 0x20 if escaped else octet)
            escaped = not escaped and octet == 0x7D
        frame = (HDLC if body.startswith(b"\xff\x03") else PPP)(bytes(body[:-2]))
        if body and frame[PPP].proto == protocol:
            yield frame[PPP].payload


@pytest.mark.parametrize("vj", [True, False])
def test_addresses_and_name_server_are_agreed(vj):
    ends = Ends(replace(CLIENT, vj=vj))
    ends.open(1)
    client, server = ends.client, ends.server
    assert client.up
    assert server.up
    assert (client.address, client.peer, client.dns) == (DEVICE, GATEWAY, DNS)
    assert (server.address, server.peer) == (GATEWAY, DEVICE)
    assert (client.vj_sent, client.vj_received, server.vj_sent) == (vj, vj, vj)
    ends.client.send(udp((DEVICE, 1), (DNS, 53), b"question"))
    ends.server.send(udp((DNS, 53), (DEVICE, 1), b"answer"))
    ends.run(1)
    assert sorted(packet.payload for packet in ends.packets) == [b"answer", b"question"]


def test_scapy_reads_the_negotiation():
    ends = Ends()
    ends.open(1)
    sent = bytes(ends.passed["client"])
    first = next(packet for packet in control(sent, LCP) if packet.code == 1)
    assert [option.type for option in first.options] == [5, 7, 8]
    asked = [packet for packet in control(sent, IPCP) if packet.code == 1]
    assert [option.type for option in asked[0].options] == [3, 2, 129]
    assert asked[0].options[0].data == "0.0.0.0"
    assert (asked[-1].options[0].data, asked[-1].options[2].data) == (DEVICE, DNS)


@pytest.mark.parametrize("kind", ["pap", "chap"])
@pytest.mark.parametrize("right", [True, False])
def test_the_server_asks_who_it_is(kind, right):
    client = replace(CLIENT, user="sim", password="secret" if right else "wrong")
    ends = Ends(client, replace(SERVER, login=kind, user="sim", password="secret"))
    ends.open(10)
    assert ends.client.up is ends.server.up is right
    if not right:
        assert {reason for _, reason in ends.ended} & {REFUSED_LOGIN}
        return
    (sent,) = control(bytes(ends.passed["client"]), PAP if kind == "pap" else CHAP)
    assert (sent.username if kind == "pap" else sent.optional_name) == b"sim"


def test_a_client_without_a_login_is_not_let_in():
    ends = Ends(CLIENT, replace(SERVER, login="chap", user="sim", password="secret"))
    ends.open(60)
    assert not ends.client.up
    assert not ends.server.up


def test_each_side_ends_the_link_in_order():
    for name in ("client", "server"):
        ends = Ends()
        ends.open(1)
        getattr(ends, name).close()
        ends.run(1)
        assert ends.ended[0] == (name, "closed")
        ends.run(5)
        assert len(ends.ended) == 2
        assert ends.client.lcp.state in (CLOSED, STOPPED)
        assert not ends.server.up


def test_a_silent_peer_is_noticed_by_echoes():
    ends = Ends(replace(CLIENT, echo_s=10))
    ends.open(25)
    assert ends.client.up
    ends.server.drop()
    ends.run(50)
    assert ends.ended == [("client", SILENT)]


def test_a_peer_that_never_answers_is_given_up():
    ends = Ends()
    ends.client.open()
    ends.run(40)
    assert ends.ended == [("client", "peer")]
    assert [packet.code for packet in control(bytes(ends.passed["client"]), LCP)] == [1] * 10


def test_unknown_protocols_and_codes_are_refused():
    ends = Ends()
    ends.open(1)
    before = len(ends.passed["server"])
    ends.server.feed(hdlc.frame(0x8057, b"\x01\x01\x00\x04") + hdlc.frame(0xC021, b"\x63\x09\x00\x04"))
    reject, unknown = control(bytes(ends.passed["server"][before:]), LCP)
    assert (reject.code, reject.rejected_protocol, unknown.code) == (8, 0x8057, 7)
    assert ends.server.up


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 60), st.booleans())
def test_any_damage_ends_in_a_link_or_none(seed, permille, vj):
    """What passes is what was sent, whatever the line does; a line that recovers carries again."""
    ends = Ends(replace(CLIENT, vj=vj), seed=seed)
    rng = random.Random(seed)

    def damage(octets):
        return bytes(o ^ rng.randrange(1, 256) if rng.randrange(1000) < permille else o for o in octets)

    ends.garble = damage
    ends.open(60)
    if ends.client.up and ends.server.up:
        sent = [bytes((i,)) * 20 for i in range(30)]
        for payload in sent:
            ends.client.send(udp((DEVICE, 1), (DNS, 53), payload))
        ends.run(1)
        got = iter(sent)
        assert all(any(payload == packet.payload for payload in got) for packet in ends.packets)
    else:
        assert permille
    assert (ends.client.lcp.state == OPENED) >= ends.client.up


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 3), st.booleans(), st.binary(min_size=1, max_size=9_000))
def test_a_stream_over_tcp_arrives_whole(seed, permille, vj, payload):
    ends = Ends(replace(CLIENT, vj=vj), seed=seed)
    ends.open(1)
    rng = random.Random(seed)
    ends.garble = lambda out: out if rng.randrange(1000) >= 40 * permille else b""
    near = IpStack(ends.clock, DEVICE, ends.client.send, mss=1440)
    far = IpStack(ends.clock, "203.0.113.1", ends.server.send)
    ends.client.on_packet, ends.server.on_packet = near.deliver, far.deliver
    got = bytearray()

    def accept(connection, syn):
        connection.on_readable = lambda: got.extend(connection.read())
        return True

    far.accept = accept
    ends.clock.run_until(2_000_000 * S)  # sequence numbers are beyond 2**32 from here on
    connection = near.open(("203.0.113.1", 80))
    connection.connect()
    left = memoryview(payload)
    for _ in itertools.count():
        left = left[connection.send(left) :]
        ends.run(60)
        if len(got) == len(payload) or ends.clock.now_us > 2_010_000 * S:
            break
    assert bytes(got) == payload
