"""What a stream's octets are for. The oracles: octets counted by hand, and Python's own TLS."""

import contextlib
import ssl
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.cost.streams import HANDSHAKES, KEEPALIVES, PAYLOAD, TLS, Conversation
from tests import certificate

CONNECT = b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07meter-7"
PUBLISH = b"\x32\x0d\x00\x05meter\x00\x01ping"
PING = b"\xc0\x00"
UPGRADE = b"GET /live HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"


def totals(pieces):
    """Octets by cause of (side, octets)."""
    talk = Conversation()
    found: dict[str, int] = {}
    for side, octets in pieces:
        for cause, n in talk.take(side, octets):
            found[cause] = found.get(cause, 0) + n
    rest = talk.rest(0) + talk.rest(1)
    assert sum(found.values()) + rest == sum(len(octets) for _, octets in pieces)
    return found, rest


def cut(octets, at):
    edges = [0, *sorted({place % (len(octets) + 1) for place in at}), len(octets)]
    return [(0, octets[a:b]) for a, b in pairwise(edges) if a < b]


cuts = st.lists(st.integers(0, 500), max_size=8)
MQTT = CONNECT + PUBLISH + PING + PUBLISH + b"\xe0\x00"
SOCKET = UPGRADE + b"\x89\x80abcd" + b"\x81\x85abcdhello" + b"\x82\xfe\x00\xc8abcd" + bytes(200) + b"\x88\x80abcd"


@given(cuts)
def test_mqtt_shows_what_each_packet_is_for(at):
    expected = {HANDSHAKES: len(CONNECT) + 2, PAYLOAD: 2 * len(PUBLISH), KEEPALIVES: len(PING)}
    assert totals(cut(MQTT, at)) == (expected, 0)


@given(cuts)
def test_a_websocket_shows_what_each_frame_is_for(at):
    expected = {HANDSHAKES: len(UPGRADE) + 6, KEEPALIVES: 6, PAYLOAD: 11 + 208}
    assert totals(cut(SOCKET, at)) == (expected, 0)


@given(st.binary(min_size=1, max_size=300), cuts)
def test_no_octet_is_lost_or_counted_twice(octets, at):
    totals(cut(octets, at))


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> Path:
    return certificate.write(tmp_path_factory.mktemp("tls"))[1]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("suite", ["ECDHE+AESGCM", "ECDHE+CHACHA20"])
def test_of_tls_all_but_the_data_is_tls(pem, version, suite):
    client_context, server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    server_context.load_cert_chain(pem)
    server_context.num_tickets = 0  # which nobody can tell from data in TLS 1.3
    client_context.minimum_version = client_context.maximum_version = version
    client_context.set_ciphers(suite)
    wires = [ssl.MemoryBIO(), ssl.MemoryBIO()]  # from the client, from the server
    client = client_context.wrap_bio(wires[1], wires[0])
    server = server_context.wrap_bio(wires[0], wires[1], server_side=True)
    pieces = []

    def carry(act, side):
        """Lets one side act, and notes what it wrote: the other side has taken all that was written before."""
        with contextlib.suppress(ssl.SSLWantReadError):
            act()
        octets = wires[side].read()
        pieces.append((side, octets))
        wires[side].write(octets)

    for _ in range(4):
        carry(client.do_handshake, 0)
        carry(server.do_handshake, 1)
    carry(lambda: client.write(bytes(1000)), 0)
    assert server.read(2000) == bytes(1000)
    carry(lambda: server.write(bytes(300)), 1)
    assert client.read(2000) == bytes(300)
    found, rest = totals(pieces)
    assert (found[PAYLOAD], rest) == (1300, 0)
    assert set(found) == {PAYLOAD, TLS}
