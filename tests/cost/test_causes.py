"""What packets are for. The oracles: octets counted by hand, and the sum of what was charged."""

import random
from collections import Counter
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.cost.causes import DNS, GUARD, HANDSHAKES, HEADERS, ORDERS, PAYLOAD, REPORTS, RETRIES, Explainer
from host_tools.sim.clock import Clock, S
from host_tools.sim.network.hosts import Sink
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import udp
from host_tools.sim.network.stack import IpStack

DEVICE = "10.0.0.1"
CLASSES = ["telemetry", "ota", "report"]


class Path:
    """A device's stack whose packets, both ways, are explained as a gateway sees them; `lost` gives what vanishes."""

    def __init__(self, lost, host=None):
        self.clock = Clock(datetime(2026, 3, 1, tzinfo=UTC))
        self.internet = Internet(self.clock, random.Random(1))
        self.ip = self.internet.add_host("host.example", host or Sink())
        self.explainer = Explainer(CLASSES, 2)
        self.charged = 0
        self.lost = iter(lost)
        self.stack = IpStack(self.clock, DEVICE, self.up)
        self.internet.attach(DEVICE, self.down)

    def count(self, packet):
        self.charged += packet.length
        self.explainer.take(packet, self.clock.now_us)

    def up(self, packet):
        self.count(packet)
        if not next(self.lost, False):
            self.internet.send(packet)

    def down(self, packet):
        self.count(packet)
        if not next(self.lost, False):
            self.stack.deliver(packet)

    def send(self, octets, traffic_class=0, port=9):
        """Opens a connection, sends, and closes."""
        self.explainer.opens(traffic_class, port, self.clock.now_us)
        connection = self.stack.open((self.ip, port))
        connection.connect()
        connection.send(octets)
        self.clock.run_until(self.clock.now_us + 5 * S)
        connection.close()
        self.clock.run_until(self.clock.now_us + 600 * S)

    def found(self):
        self.explainer.settle()
        return {name: {c: n for c, n in of.items() if n} for name, of in self.explainer.by_class.items()}


def test_a_connection_without_loss_is_its_handshake_its_headers_and_its_payload():
    path = Path(())
    path.send(bytes(1000))
    # SYN and SYN-ACK with an option of 4 octets; a segment, which is the third packet of the opening too, and its
    # acknowledgement; FIN and ACK each way, of which the peer's FIN carries its ACK.
    assert path.found() == {"telemetry": {PAYLOAD: 1000, HEADERS: 2 * 40, HANDSHAKES: 44 + 44 + 3 * 40}}
    assert path.charged == 1000 + 80 + 208


@settings(max_examples=60)
@given(st.lists(st.booleans(), max_size=24), st.integers(1, 9000))
def test_whatever_is_lost_every_octet_is_explained_once(lost, n):
    path = Path(lost)
    path.send(b"\x00" * n)
    path.send(b"\x01" * 100)
    found = path.found()["telemetry"]
    assert sum(found.values()) == path.charged
    delivered = path.internet._hosts[path.ip].octets
    assert found.get(PAYLOAD, 0) >= delivered  # what was charged and then lost is payload once
    assert found.get(PAYLOAD, 0) <= n + 100


def test_what_is_charged_again_is_sent_again():
    path = Path([False, False, False, True])  # SYN, SYN-ACK, ACK; the segment vanishes
    path.send(bytes(500))
    found = path.found()["telemetry"]
    assert (found[PAYLOAD], found[RETRIES]) == (500, 540)


def test_classes_are_told_apart_by_what_the_device_says():
    path = Path(())
    path.send(bytes(100), 1)
    path.send(bytes(50), 0)
    assert (path.found()["ota"][PAYLOAD], path.found()["telemetry"][PAYLOAD]) == (100, 50)


def test_the_guards_datagrams_are_reports_and_what_brings_an_order_is_one():
    explainer = Explainer(CLASSES, 2)
    device, collector = (DEVICE, 50_000), ("203.0.113.9", 5683)
    explainer.opens(2, 5683, 0)
    explainer.take(udp((DEVICE, 50_001), ("198.51.100.53", 53), bytes(30)), 0)
    explainer.take(udp(device, collector, bytes(72)), 1)
    explainer.take(udp(collector, device, bytes(12)), 2)
    explainer.take(udp(device, collector, bytes(72)), 3)
    explainer.orders = 1
    explainer.take(udp(collector, device, bytes(40)), 4)
    assert explainer.by_class == {GUARD: Counter({REPORTS: 100 + 40 + 100, ORDERS: 68, DNS: 58})}


def test_ports_that_come_again_are_another_connection():
    path = Path(())
    path.send(bytes(100))
    path.stack._next_port = path.stack._next_port - 1
    path.send(bytes(70), 1)
    found = path.found()
    assert (found["telemetry"][PAYLOAD], found["ota"][PAYLOAD]) == (100, 70)
