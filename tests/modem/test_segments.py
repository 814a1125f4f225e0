"""TCP payload costs no less than its segments do, each with an acknowledgement, whatever MSS a network has clamped to
and in whatever pieces a driver gets it."""

from types import SimpleNamespace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from usageguard.config.plan import Rating
from usageguard.core.meter import Meter
from usageguard.guard.enforcement import Enforcement
from usageguard.modem.mip import Mip

from host_tools.sim.network.hosts import VirtualHost
from tests.modem.rig import Listener

HEADERS = 40
LEAST_MSS, MOST_MSS = 1280 - HEADERS, 1500 - HEADERS
LENGTH = st.integers(1, 3000) | st.sampled_from([1240, 1241, 1302, 1340, 1341, 1360, 1460, 1461, 2480, 2920])


class Peer(VirtualHost):
    """Takes one connection. `wire`: octets that its segments of payload, both ways, and their acknowledgements take."""

    def __init__(self, mss):
        self._mss = mss
        self.wire = 0
        self.connection = None

    def join(self, internet, ip):
        VirtualHost.join(self, internet, ip)
        self.stack.tcp_options["mss"] = self._mss
        emit = self.stack.emit
        self.stack.emit = lambda packet: (self._see(packet), emit(packet))

    def accept(self, connection, syn):
        self.connection = connection
        connection.on_readable = connection.read
        return True

    def deliver(self, packet):
        self._see(packet)
        VirtualHost.deliver(self, packet)

    def _see(self, packet):
        if packet.payload:
            assert len(packet.payload) <= self._mss
            self.wire += len(packet.payload) + 2 * HEADERS


class Pricing(Listener):
    """Prices what arrives as the guard does."""

    received = Enforcement.received

    def __init__(self):
        super().__init__()
        meter = Meter(Rating())
        self.price = 0
        self.admission = SimpleNamespace(meter=meter, received=self._price)

    def _price(self, traffic_class, tcp, n, spare):
        self.admission.meter.price_received(tcp, n, spare)
        self.price += self.admission.meter.carried


def connected(make, peer):
    rig = make()
    rig.internet.add_host("peer.example", peer)
    rig.modem.listener = rig.listener = Pricing()
    return rig, rig.online().connect("peer.example")


@given(st.integers(LEAST_MSS, MOST_MSS), st.lists(st.lists(LENGTH, min_size=1, max_size=3), max_size=8))
@example(1340, [[1460], [20]])
@example(1340, [[1500], [20]])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_messages_that_arrive(make, family, mss, groups):
    """Those of a group come at once: in one write, but where the modem tells of each segment as it arrives."""
    peer = Peer(mss)
    rig, connection = connected(make, peer)
    for group in groups:
        for length in group if family.driver is Mip else [sum(group)]:
            peer.connection.send(bytes(length))
        rig.read(connection, sum(group))
        rig.run(1.2)  # before it looks for a notification that got lost
    assert rig.listener.price >= peer.wire >= sum(map(sum, groups))


@given(st.integers(LEAST_MSS, MOST_MSS), st.lists(st.integers(1, 1460), max_size=8), st.booleans())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_messages_that_are_sent(make, mss, messages, at_once):
    """Each by one command."""
    peer = Peer(mss)
    rig, connection = connected(make, peer)
    messages = [min(length, connection.SEND_OCTETS) for length in messages]
    meter, price = Meter(Rating()), 0
    for length in messages:
        meter.price_sent(True, length)
        price += meter.carried
        assert rig.send(connection, bytes(length))
        rig.run(0 if at_once else 3)
    rig.run(30)
    assert price >= peer.wire >= sum(messages)
