"""Virtual connections to real servers on loopback: intact, in no virtual time, not waiting in vain."""

import contextlib
import random
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.network.bridge import BridgeHost
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.stack import IpStack

DEVICE = "10.0.0.1"


@contextlib.contextmanager
def tcp_server(serve, family=socket.AF_INET):
    """Runs `serve(socket)` for each connection in a thread of its own; gives the bridge's target."""
    listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)

    def session(connection):
        with connection, contextlib.suppress(ConnectionError):
            serve(connection)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=session, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    host, port = listener.getsockname()[:2]
    try:
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class World:
    def __init__(self, target, **options):
        self.clock = Clock(datetime(2025, 1, 1, tzinfo=UTC))
        self.internet = Internet(self.clock, random.Random(1), latency_ms=50)
        self.bridge = BridgeHost(target, **options)
        self.ip = self.internet.add_host("real.example", self.bridge)
        self.device = IpStack(self.clock, DEVICE, self.internet.send)
        self.internet.attach(DEVICE, self.device.deliver)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.internet.close()

    def connect(self):
        connection = self.device.open((self.ip, 1883))
        connection.got = bytearray()
        connection.closings = []
        connection.on_readable = lambda: connection.got.extend(connection.read())
        connection.on_closed = connection.closings.append
        connection.connect()
        return connection

    def run(self, ms, stop=None):
        """Moves time in steps, as a bench does, settling before each."""
        end = self.clock.now_us + ms * MS
        while self.clock.now_us < end:
            self.internet.settle()
            if self.clock.run_until(min(self.clock.now_us + 100 * MS, end), stop):
                break


    def run_for_wall(self, seconds, stop):
        """Moves time until `stop()` holds; how much of it passes is up to the real peer's pace."""
        end = time.monotonic() + seconds
        while not stop() and time.monotonic() < end:
            self.run(100)


def echo(connection):
    while data := connection.recv(65_536):
        connection.sendall(data)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_echo_takes_no_more_virtual_time_than_the_latency(family):
    with tcp_server(echo, family) as target, World(target) as world:
        connection = world.connect()
        world.run(1000)
        begin = world.clock.now_us
        connection.send(b"hello")
        world.run(2000, lambda: bool(connection.got))
        assert bytes(connection.got) == b"hello"
        assert world.clock.now_us - begin == 100 * MS, "there and back"
        connection.close()
        world.run(1000)
        assert connection.closings == ["closed"]
        assert not world.bridge._flows


def test_a_slow_answer_takes_no_virtual_time():
    release = threading.Event()

    def serve(connection):
        data = connection.recv(100)
        release.wait(0.15)  # wall time in which the virtual world must not move
        connection.sendall(data)

    with tcp_server(serve) as target, World(target) as world:
        connection = world.connect()
        connection.send(b"think")
        world.run(60_000, lambda: bool(connection.got))
        assert world.clock.now_us == 200 * MS, "handshake and one round trip"
        assert world.bridge.holds_expired <= 1, "only the wait for a greeting"


def test_megabytes_both_ways_stay_intact():
    data = random.Random(2).randbytes(400_000)
    with tcp_server(echo) as target, World(target) as world:
        connection = world.connect()
        sent = 0

        def feed():
            nonlocal sent
            sent += connection.send(memoryview(data)[sent:])

        connection.on_acked = connection.on_connected = feed
        world.run_for_wall(60, lambda: len(connection.got) == len(data))
        assert bytes(connection.got) == data


def test_peer_that_does_not_read_shuts_the_devices_window():
    go = threading.Event()
    received = bytearray()

    def serve(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        go.wait(30)
        while data := connection.recv(65_536):
            received.extend(data)

    data = random.Random(3).randbytes(10_000_000)
    with tcp_server(serve) as target, World(target, hold_wall_s=0.001) as world:
        connection = world.connect()
        sent = 0

        def feed():
            nonlocal sent
            sent += connection.send(memoryview(data)[sent:])
            if sent == len(data):
                connection.shutdown()

        connection.on_acked = connection.on_connected = feed
        world.run(60_000)
        assert sent < len(data), "the real buffers are full and the virtual window is shut"
        go.set()
        world.run_for_wall(60, lambda: bool(connection.closings))
        assert connection.closings == ["closed"]
        assert bytes(received) == data


def test_refused_reset_and_hung_up():
    def reset(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def hang_up(connection):
        connection.recv(1)
        connection.sendall(b"bye")

    with tcp_server(reset) as target, World(target) as world:
        connection = world.connect()
        connection.send(b"x")
        world.run(5000)
        assert connection.closings == ["reset"]
    with World(target) as world:
        connection = world.connect()
        world.run(5000)
        assert connection.closings == ["refused"], "nobody listens there any more"
    with tcp_server(hang_up) as target, World(target) as world:
        connection = world.connect()
        connection.on_peer_closed = connection.close
        connection.send(b"x")
        world.run(5000)
        assert (bytes(connection.got), connection.closings) == (b"bye", ["closed"])


def test_device_reset_reaches_the_peer():
    ended = threading.Event()

    def serve(connection):
        try:
            while connection.recv(100):
                pass
        except ConnectionResetError:
            ended.set()

    with tcp_server(serve) as target, World(target) as world:
        connection = world.connect()
        world.run(1000)
        connection.abort()
        world.run(1000)
        assert ended.wait(5)


def test_greeting_comes_before_anything_is_sent():
    with tcp_server(lambda c: (c.sendall(b"220 hello\r\n"), c.recv(1))) as target, World(target) as world:
        connection = world.connect()
        world.run(200)  # the handshake, and the ACK that completes it at the server
        assert bytes(connection.got) == b"220 hello\r\n"


def test_unanswered_publishes_cost_about_one_hold_and_pings_are_still_awaited():
    def broker(connection):
        while head := connection.recv(1):
            if head == b"\x30":
                connection.recv(50, socket.MSG_WAITALL)
            else:
                connection.recv(1, socket.MSG_WAITALL)
                threading.Event().wait(0.02)
                connection.sendall(b"\xd0\x00")

    with tcp_server(broker) as target, World(target, hold_wall_s=0.4) as world:
        connection = world.connect()
        world.run(1000)
        held, expired = world.bridge.held_wall_s, world.bridge.holds_expired
        for n in range(60):
            connection.send(b"\x30" + bytes(50))
            world.run(5000)
            if n % 10 == 9:
                begin = world.clock.now_us
                before = len(connection.got)
                connection.send(b"\xc0\x00")
                world.run(5000, lambda: len(connection.got) > before)  # noqa: B023
                assert world.clock.now_us - begin == 100 * MS, "a ping's answer is waited for"
        assert world.bridge.holds_expired - expired == 60
        # Two looks are learned, first since the peer spoke and later ones: far below 60 full holds.
        assert world.bridge.held_wall_s - held < 60 * 0.4 / 4


def test_unprompted_octets_come_at_the_next_settle():
    peers = []
    with tcp_server(lambda c: (peers.append(c), c.recv(1))) as target, World(target) as world:
        connection = world.connect()
        world.run(1000)
        peers[0].sendall(b"news")
        world.run(200)
        assert bytes(connection.got) == b"news"


def test_tls_handshake_and_exchange(tmp_path):
    server_side, client_side = tls_contexts(tmp_path)

    def serve(connection):
        with server_side.wrap_socket(connection, server_side=True) as secure:
            while data := secure.recv(10_000):
                secure.sendall(data[::-1])

    with tcp_server(serve) as target, World(target) as world:
        connection = world.connect()
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_side.wrap_bio(arriving, leaving, server_hostname="real.example")

        def drive(step, seconds=10):
            """Runs a TLS operation to its end over the virtual connection."""
            begin = world.clock.now_us
            while world.clock.now_us < begin + seconds * S:
                try:
                    result = step()
                    connection.send(leaving.read())
                    return result
                except ssl.SSLWantReadError:
                    connection.send(leaving.read())
                    world.run(20)
                    arriving.write(connection.got)
                    connection.got.clear()
            raise AssertionError("TLS did not get on")

        drive(tls.do_handshake)
        handshake_us = world.clock.now_us
        for n in range(5):
            message = bytes([n]) * 900
            drive(lambda: tls.write(message))  # noqa: B023
            assert drive(lambda: tls.read(1000)) == message[::-1]
        assert handshake_us <= 400 * MS
        assert world.clock.now_us - handshake_us <= 5 * 120 * MS


def tls_contexts(tmp_path):
    """A server's context with a certificate of its own making, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "real.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("real.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pem)
    client_side = ssl.create_default_context(cafile=pem)
    return server_side, client_side


@contextlib.contextmanager
def udp_server(answer):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                data, source = server.recvfrom(65_536)
                if not data:
                    return
                for reply in answer(data):
                    server.sendto(reply, source)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.getsockname())
        thread.join()
        server.close()


def test_datagrams_of_several_flows_find_their_way_back():
    with udp_server(lambda data: [data.upper()]) as target, World(target) as world:
        got = []
        for n in range(100):  # more than the flows kept at a time
            port = world.device.bind(0, lambda payload, source, n=n: got.append((n, payload, source)))
            world.device.send_datagram(port, (world.ip, 5683), b"req%d" % n)
            world.run(200)
        assert got == [(n, b"REQ%d" % n, (world.ip, 5683)) for n in range(100)]
        assert world.bridge.holds_expired == 0


def test_oversize_datagram_is_dropped_and_counted():
    with udp_server(lambda data: [bytes(1473), bytes(1472)]) as target, World(target) as world:
        got = []
        port = world.device.bind(0, lambda payload, source: got.append(len(payload)))
        world.device.send_datagram(port, (world.ip, 5683), b"x")
        world.run(200)
        assert (got, world.bridge.oversize) == ([1472], 1)


def test_datagram_to_nobody_costs_no_hold():
    with World("127.0.0.1:9") as world:
        for _ in range(5):
            world.device.send_datagram(5000, (world.ip, 9), b"x")
            world.run(200)
        assert world.bridge.holds_expired == 0


@pytest.mark.parametrize(
    "target", ["192.0.2.1:80", "localhost:80", "127.0.0.1", "127.0.0.1:0", "::1:80", "[::1]:70000"]
)
def test_only_loopback_is_bridged(target):
    with pytest.raises(ValueError, match=r"use 127\.0\.0\.1:PORT or \[::1\]:PORT"):
        BridgeHost(target)
