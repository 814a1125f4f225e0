"""The firmware's outbox and CoAP client against the collector under aiocoap's server, over loopback UDP."""

import asyncio
import re
import socket
import threading
from datetime import UTC, datetime

import cbor2
import pytest
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message
from scapy.layers.inet import IP, UDP
from usageguard.upstream.outbox import BOOT

from host_tools.collector.datagrams import listening
from host_tools.collector.intake import Collector
from host_tools.collector.store import Store
from tests.upstream.test_spec import section
from tests.upstream.world import DEVICE, KEY, World

PATIENCE_S = 20  # how long a broken collector may hold up the tests


class Server:
    """A collector on a loopback port, in a thread of its own."""

    def __init__(self, keys):
        self.outcomes = []
        self._keys = keys
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self):
        self._thread.start()
        assert self._started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        store = Store()
        collector = Collector(store, self._keys, lambda: datetime(2025, 6, 1, 12, 30, tzinfo=UTC))
        collector.listeners.append(lambda received, kept: self.outcomes.append(kept.outcome.value))
        async with listening(collector) as self.port:
            self._started.set()
            await self._stop.wait()
        self.received = store.history(DEVICE)
        self.rejected = collector.rejected
        store.close()


class RealPath:
    """A UDP socket for a path; keeps both sides' datagrams."""

    registered = True

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        self.sent, self.received = [], []

    def ready(self):
        return True

    def evidence(self):
        return 1, 0, 33, 40, 20, 2

    def renew(self):
        pass

    answered = renew

    def send(self, buf, n):
        self.sent.append(bytes(buf[:n]))
        self.socket.send(self.sent[-1])
        return True

    def answer(self):
        self.received.append(self.socket.recv(2000))
        return self.received[-1]


@pytest.fixture
def exchange():
    """Starts an outbox against a server that knows `keys`; gives both."""
    opened = []

    def start(keys, **world):
        server = Server(keys).__enter__()
        device = World(**world)
        device.outbox._path = path = RealPath(server.port)
        opened.append((server, path))
        return server, device, path

    yield start
    for server, path in opened:
        path.socket.close()
        if server._thread.is_alive():
            server.__exit__()


def step(device, ms):
    device.ms += ms
    device.outbox.step(device.ticks())


def receive(device, datagram):
    device.outbox.receive(device.ticks(), datagram, len(datagram))


def test_report_and_acknowledgement(exchange):
    server, device, path = exchange({DEVICE: KEY})
    device.spend(12_345_678)
    step(device, 0)
    receive(device, path.answer())
    assert (device.outbox.reports_sent, device.outbox.reports_acked) == (1, 1)
    assert device.times == [(9283, 12 * 3600 + 30 * 60, device.ticks())]
    server.__exit__()
    (received,) = server.received
    assert (received.report.carried_octets, received.report.reporting_reason) == (12_345_678, BOOT)


def test_lost_acknowledgement(exchange):
    """The retransmission is the same datagram, is answered the same, and is kept once."""
    server, device, path = exchange({DEVICE: KEY})
    step(device, 0)
    lost = path.answer()
    step(device, 3000)
    again = path.answer()
    assert path.sent[0] == path.sent[1]
    assert again == lost
    receive(device, again)
    receive(device, lost)
    assert device.outbox.reports_acked == 1
    server.__exit__()
    assert server.outcomes == ["new"]


def test_wrong_key(exchange):
    server, device, path = exchange({DEVICE: bytes(32)})
    step(device, 0)
    receive(device, path.answer())
    step(device, 1)
    assert device.outbox.refused == 0x81
    assert device.times == []
    server.__exit__()
    assert (server.received, server.rejected) == ([], 1)


def test_sealed_report_is_what_pycose_and_cbor2_make_of_it():
    world = World()
    world.spend(700)
    blob = world.outbox._sealed(True)
    protected, unprotected, payload, tag = cbor2.loads(blob)
    assert (protected, unprotected, len(tag)) == (cbor2.dumps({1: 4}), {4: b"tracker-001"}, 8)
    fields = [3, 1, 0, 305, 700, 700, 0, 0, 65536, 0, 0, 0, 0, 0, BOOT, 0, 0, 0]
    assert cbor2.loads(payload) == [*fields, b"life", b"", 0]
    assert_sealed(blob, b"Utracker-001")
    world.account.sim = 0xABCD
    blob = world.outbox._sealed(True, True)
    ids = [b"life", b"\x00\x00\xab\xcd"]
    assert cbor2.loads(cbor2.loads(blob)[2]) == [*fields, *ids, 0, 700, 3, 1, 0, 33, 40, 20, 2]
    assert_sealed(blob, b"Utracker-001")
    blob = world.outbox._sealed(False)
    assert cbor2.loads(cbor2.loads(blob)[2]) == fields
    assert_sealed(blob, b"Rlifetracker-001")


def assert_sealed(blob, external_aad):
    message = Mac0Message.from_cose_obj(cbor2.loads(blob), True)
    message.external_aad = external_aad
    message.key = SymmetricKey(k=KEY)
    assert message.verify_tag()
    message.external_aad = external_aad[:-1] + b"2"
    assert not message.verify_tag()


def test_octets_of_one_report_on_the_wire(exchange):
    """The figures of SPEC.md, "CoAP exchange": a full report, a routine and a brief one; scapy builds the headers."""
    server, device, path = exchange({DEVICE: KEY})
    device.ledger.boot_id = 40
    device.outbox._seq = 499
    device.ledger.cycle_id = 9649
    device.account.cost_fen = lambda used: 0
    device.account.sim = 0x89ABCDEF
    for octets, n in (("carried", 81_234_567), ("rated", 83_456_789), ("carried_base", 63_000_000),
                      ("rated_base", 64_000_000)):  # fmt: skip
        getattr(device.ledger, octets).add(n)
    step(device, 0)
    receive(device, path.answer())
    device.policy.warned = 1
    step(device, 0)
    device.policy.warned = 0
    step(device, 30_000)
    receive(device, path.answer())
    step(device, 3_600_000)
    receive(device, path.answer())
    assert device.outbox.reports_acked == 3
    up, down = ([len(IP() / UDP() / datagram) for datagram in datagrams] for datagrams in (path.sent, path.received))
    assert (up, down) == ([135, 111, 67], [59, 59, 43])
    table = section("CoAP exchange")
    said = [int(n) for n in re.findall(r"^\| (?:\w+ )?(?:report|acknowledgement) \|.* (\d+) \|$", table, re.MULTILINE)]
    assert said == [up[2], down[2], up[1], down[1]]
    assert [int(n) for n in re.findall(r"\*\*(\d+)\*\*", table)] == [up[2] + down[2], up[1] + down[1]]
    assert f"A\nfull report takes {up[0] - up[1]} more than a routine one" in table
    month = 31 * (23 * (up[2] + down[2]) + up[0] + down[0])
    assert f"with a full one each day: {month / 1000:.0f} KB" in table
    server.__exit__()
