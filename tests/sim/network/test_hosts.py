"""Virtual hosts and the internet between them and a device."""

import random
from datetime import UTC, datetime

import pytest
from scapy.layers.ntp import NTP, NTPHeader

from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.network import dns
from host_tools.sim.network.hosts import HEADER, NtpServer, Responder, Sink, UdpHandlerHost
from host_tools.sim.network.internet import DNS_SERVER, Internet
from host_tools.sim.network.stack import IpStack

DEVICE = "10.0.0.1"


class World:
    def __init__(self, **options):
        self.clock = Clock(datetime(2025, 1, 1, tzinfo=UTC))
        self.internet = Internet(self.clock, random.Random(5), **options)
        self.device = IpStack(self.clock, DEVICE, self.internet.send)
        self.internet.attach(DEVICE, self.device.deliver)

    def run(self, seconds):
        self.clock.run_until(self.clock.now_us + seconds * S)

    def connect(self, ip):
        connection = self.device.open((ip, 80))
        connection.got = bytearray()
        connection.closings = []
        connection.on_readable = lambda: connection.got.extend(connection.read())
        connection.on_closed = connection.closings.append
        connection.connect()
        return connection


def request(length, reply):
    return HEADER.pack(b"UG", length, reply) + bytes(length - HEADER.size)


def ntp_answer(server, question):
    """Scapy's view of the answer."""
    world = World()
    got = []
    world.device.on_datagram = lambda payload, source, port: got.append(NTP(payload))
    world.device.send_datagram(4000, (world.internet.add_host("ntp", server), 123), bytes(question))
    world.run(1)
    return got[0] if got else None


def test_an_ntp_server_answers_as_another_implementation_reads_it():
    server = NtpServer()
    answer = ntp_answer(server, NTPHeader(version=4, mode="client", sent=1234.5))
    assert (answer.version, answer.mode, answer.leap, answer.stratum) == (4, 4, 0, 2)
    assert answer.orig == 1234.5
    began = datetime(2025, 1, 1, tzinfo=UTC).timestamp() + 2_208_988_800
    assert answer.sent == answer.recv
    assert 0 < float(answer.sent) - began < 1
    server.error_s = -3600
    assert ntp_answer(server, NTPHeader(mode="client")).sent == answer.sent - 3600
    server.refuses = True
    answer = ntp_answer(server, NTPHeader(mode="client", sent=7.0))
    assert (answer.mode, answer.leap, answer.stratum, answer.ref_id, answer.orig) == (4, 3, 0, b"RATE", 7.0)
    assert ntp_answer(server, NTPHeader(mode="server")) is None
    assert ntp_answer(server, b"short") is None


def test_requests_of_any_split_are_answered_in_order():
    world = World()
    host = Responder()
    connection = world.connect(world.internet.add_host("iot.example", host))
    stream = request(8, 5) + request(3000, 0) + request(100, 70_000) + request(9, 1)
    for at in range(0, len(stream), 7):
        connection.send(stream[at : at + 7])
    connection.shutdown()
    world.run(60)
    octets = bytes(range(256)) * 274
    assert bytes(connection.got) == octets[:5] + octets[:70_000] + octets[:1]
    assert host.requests == 4
    assert connection.closings == ["closed"]


@pytest.mark.parametrize("stream", [b"GET / HTTP/1.1\r\n", b"UG\0\7\0\0\0\1"])
def test_what_is_no_request_is_reset(stream):
    world = World()
    connection = world.connect(world.internet.add_host("iot.example", Responder()))
    connection.send(stream)
    world.run(5)
    assert connection.closings == ["reset"]


def test_sink_counts():
    world = World()
    sink = Sink()
    ip = world.internet.add_host("sink.example", sink)
    connection = world.connect(ip)
    connection.send(bytes(5000))
    connection.shutdown()
    world.device.send_datagram(7, (ip, 9), bytes(100))
    world.run(5)
    assert sink.octets == 5100
    assert connection.closings == ["closed"]


def test_datagrams_are_handled_with_their_source():
    world = World()
    ip = world.internet.add_host("coap.example", UdpHandlerHost(lambda p, _: None if p == b"!" else p[::-1]))
    got = []
    port = world.device.bind(0, lambda payload, source: got.append((payload, source)))
    world.device.send_datagram(port, (ip, 5683), b"abc")
    world.device.send_datagram(port, (ip, 5683), b"!")
    world.run(1)
    assert got == [(b"cba", (ip, 5683))]
    connection = world.connect(ip)
    world.run(1)
    assert connection.closings == ["refused"]


def test_names_are_served():
    world = World(latency_ms=30)
    ip = world.internet.add_host("IoT.example", Sink())
    got = []
    port = world.device.bind(0, lambda payload, source: got.append((world.clock.now_us, source, payload)))
    world.device.send_datagram(port, (DNS_SERVER, 53), dns.encode_query(1, "iot.EXAMPLE."))
    world.device.send_datagram(port, (DNS_SERVER, 53), b"garbage")
    world.run(1)
    [(at, source, payload)] = got
    assert (at, source) == (60 * MS, (DNS_SERVER, 53))
    assert dns.decode_response(payload).addresses == (ip,)


def test_loss_is_drawn_from_the_seed():
    def received(seed):
        world = World(loss_permille=300)
        world.internet._rng = random.Random(seed)
        sink = Sink()
        ip = world.internet.add_host("sink.example", sink)
        for _ in range(1000):
            world.device.send_datagram(7, (ip, 9), bytes(1))
        world.run(1)
        assert sink.octets + world.internet.lost == 1000
        return sink.octets

    assert received(1) == received(1)
    assert 620 < received(1) < 780


def test_mistakes_are_named():
    world = World()
    world.internet.add_host("a", Sink(), "192.0.2.1")
    with pytest.raises(ValueError, match="host 'A' exists already"):
        world.internet.add_host("A", Sink())
    with pytest.raises(ValueError, match=r"192\.0\.2\.1 is taken"):
        world.internet.add_host("b", Sink(), "192.0.2.1")
    with pytest.raises(ValueError, match="loss_permille 1001"):
        World(loss_permille=1001)
    with pytest.raises(ValueError, match="datagram holds 1472"):
        world.device.send_datagram(1, ("192.0.2.1", 9), bytes(1473))
    world.device.open(("192.0.2.1", 9), local_port=5)
    with pytest.raises(OSError, match="in use"):
        world.device.open(("192.0.2.1", 9), local_port=5)
