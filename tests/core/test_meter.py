"""The meter against independent oracles: scapy's packets for its prices, a ledger of true octets for its fusion."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR, dns_compress
from scapy.layers.inet import IP, TCP, UDP
from usageguard.core.meter import SEGMENT, Meter, plausible
from usageguard.core.plan import Rating

SYN_OPTIONS = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
TIMESTAMPS = [("NOP", None), ("NOP", None), ("Timestamp", (1, 1))]


def segments(payload: int, mss: int, options: list | None = None) -> list[bytes]:
    """The IP packets of a TCP payload, built by scapy."""
    return [
        bytes(IP() / TCP(options=options or []) / bytes(min(mss, payload - at))) for at in range(0, payload, mss)
    ]


def lengths(payload: int) -> list[int]:
    """The same packets by their lengths alone, for many of them."""
    return [40 + min(SEGMENT, payload - at) for at in range(0, payload, SEGMENT)]


@pytest.mark.parametrize("payload", [1, SEGMENT, SEGMENT + 1, 3000])
def test_lengths_are_scapys(payload):
    assert lengths(payload) == [len(packet) for packet in segments(payload, SEGMENT)]


@pytest.mark.parametrize("payload", [1, 16, 1359, 1360, 1361, 1460, 2920, 4000, 65_536])
@pytest.mark.parametrize("mss", [1360, 1400, 1460])
def test_a_tcp_transfer_is_priced_at_every_segment_with_its_acknowledgement(payload, mss):
    packets = segments(payload, mss)
    acknowledgements = [bytes(IP() / TCP())] * len(packets)
    wire = sum(map(len, packets + acknowledgements))
    meter = Meter(Rating(per_packet_octets=50))
    meter.price_sent(True, payload)
    assert meter.carried >= wire, "priced below what crosses"
    assert meter.rated >= wire + 50 * 2 * len(packets), "rated below what is billed"
    if mss == SEGMENT:
        assert (meter.carried, meter.rated) == (wire, wire + 100 * len(packets))


@pytest.mark.parametrize("payload", [1, 100, 1300])
def test_a_datagram_is_priced_exactly(payload):
    meter = Meter(Rating())
    meter.price_sent(False, payload)
    assert meter.carried == len(bytes(IP() / UDP() / bytes(payload)))


@pytest.mark.parametrize("name", ["a.cn", "telemetry.example.com", "x" * 60 + ".example.org"])
def test_an_open_covers_the_handshake_the_close_and_the_name(name):
    query = bytes(IP() / UDP() / DNS(qd=DNSQR(qname=name)))
    answer = bytes(dns_compress(IP() / UDP() / DNS(qd=DNSQR(qname=name), an=DNSRR(rrname=name, rdata="203.0.113.1"))))
    syn, ack = bytes(IP() / TCP(options=SYN_OPTIONS)), bytes(IP() / TCP(options=TIMESTAMPS))
    fin = bytes(IP() / TCP(flags="FA", options=TIMESTAMPS))
    wire = len(query) + len(answer) + 2 * len(syn) + len(ack) + 2 * len(fin) + 2 * len(ack)
    meter = Meter(Rating())
    meter.price_open(True, len(name))
    assert wire <= meter.carried <= wire + 100


@given(st.integers(1, 10_000), st.integers(0, 60), st.integers(0, 1000))
@settings(derandomize=True)
def test_the_margin_is_rounded_up(payload, per_packet, permille):
    plain, raised = Meter(Rating(per_packet)), Meter(Rating(per_packet, 0, permille))
    plain.price_sent(True, payload)
    raised.price_sent(True, payload)
    assert raised.rated == -(-plain.rated * (1000 + permille) // 1000)


class Truth:
    """A device whose traffic is known. What is sent is charged first and leaves later, some of it twice; what is
    received has arrived before it is charged. Readings see what crossed, and none comes before what the one before
    last covered."""

    def __init__(self, rating: Rating) -> None:
        self.meter = Meter(rating)
        self.charged = self.charged_rated = 0
        self.crossed = self.packets = 0
        self.hidden = 0  # retransmitted since the last reading: only a reading can show it
        self.unread = self.unread_wire = 0  # arrived, not yet charged: payload, and with headers
        self.read = 0
        self.waiting: list[int] = []  # packets charged and still in the modem, since the last shift
        self.old: list[int] = []  # and since the one before

    def spend(self) -> None:
        assert self.meter.carried >= 0, "a charge never gives back"
        assert self.meter.rated >= 0, "a rated charge never gives back"
        self.charged += self.meter.carried
        self.charged_rated += self.meter.rated

    def send(self, payload: int) -> None:
        self.meter.price_sent(True, payload)
        self.meter.charge()
        self.spend()
        for octets in lengths(payload):
            self.waiting += [octets, 40]

    def arrive(self, payload: int) -> None:
        packets = lengths(payload)
        self.crossed += sum(packets)
        self.unread_wire += sum(packets)
        self.packets += len(packets)
        self.unread += payload

    def receive(self) -> None:
        if self.unread:
            self.meter.price_received(True, self.unread)
            self.meter.charge()
            self.spend()
            full = -(-self.unread // SEGMENT)
            self.waiting += [40] * full
            # Small segments read together look like one: their headers are the counter's to show.
            self.hidden += self.unread_wire - self.unread - 40 * full
            self.unread = self.unread_wire = 0

    def cross(self, twice: bool) -> None:
        for octets in self.old + self.waiting:
            times = 2 if twice and octets > 40 else 1
            self.crossed += octets * times
            self.packets += times
            self.hidden += octets * (times - 1)
        self.old, self.waiting = [], []

    def reading(self, shift: bool) -> None:
        if shift:  # by now what was charged before the last shift has left
            self.crossed += sum(self.old)
            self.packets += len(self.old)
            self.old, self.waiting = self.waiting, []
        self.meter.reading(self.crossed - self.read, shift)
        self.spend()
        self.read = self.crossed
        self.hidden = 0

    @property
    def known(self) -> int:
        """What crossed, less what no model could know yet."""
        return self.crossed - self.hidden - self.unread_wire


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 3000)),
        st.tuples(st.just("arrive"), st.integers(1, 1500)),
        st.tuples(st.just("receive"), st.none()),
        st.tuples(st.just("cross"), st.booleans()),
        st.tuples(st.just("reading"), st.booleans()),
    ),
    max_size=80,
)


@given(STEPS, st.sampled_from([0, 14, 50]))
@settings(derandomize=True, max_examples=300)
def test_fusion_never_counts_below_what_crossed_and_its_surplus_is_within_the_bound(steps, per_packet):
    truth = Truth(Rating(per_packet))
    truth.meter.anchor(0, 0)
    for what, value in steps:
        getattr(truth, what)(*(() if value is None else (value,)))
        assert truth.charged >= truth.known, "under-count"
        assert truth.charged - truth.crossed <= truth.meter.bound(), "surplus beyond the stated bound"
    truth.receive()
    truth.cross(False)
    for _ in range(3):
        truth.reading(True)
    assert truth.charged >= truth.crossed
    assert truth.charged_rated >= truth.crossed + per_packet * truth.packets - 40 * per_packet


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3000)), min_size=60, max_size=120), st.integers(0, 50))
@settings(derandomize=True, max_examples=50)
def test_the_surplus_does_not_add_up(transfers, per_packet):
    """However long it goes on, the charges stay within a few windows of the truth, rated as well as carried."""
    truth = Truth(Rating(per_packet))
    truth.meter.anchor(0, 0)
    for upwards, payload in transfers:
        if upwards:
            truth.send(payload)
        else:
            truth.arrive(payload)
            truth.receive()
        truth.cross(False)
        if truth.meter.window > 8192:
            truth.reading(True)
    assert truth.charged - truth.crossed <= 3 * (8192 + 3240)
    billed = truth.crossed + per_packet * truth.packets
    assert truth.charged_rated - billed <= 3 * (8192 + 3240) * (40 + per_packet) // 40


def test_without_a_counter_the_model_stands_and_its_surplus_is_stated():
    meter = Meter(Rating())
    meter.price_sent(True, 1000)
    meter.charge()
    assert (meter.carried, meter.bound()) == (1080, 80)


def test_a_lost_epoch_keeps_what_was_charged_in_the_bound():
    truth = Truth(Rating())
    truth.meter.anchor(0, 0)
    truth.send(1000)
    truth.meter.lose()
    assert truth.meter.bound() >= truth.charged


def test_a_credit_pays_for_what_comes():
    truth = Truth(Rating())
    truth.meter.anchor(5000, 5000)
    truth.send(1000)
    assert truth.charged == 0
    truth.cross(False)
    truth.reading(True)
    assert truth.charged == 0
    truth.send(8000)
    assert truth.charged > 0


def test_a_jump_is_clamped_to_what_a_line_can_carry():
    assert plausible(10_000, 0) == 10_000
    assert plausible(3 << 30, 1_000) == 65_536 + 2 * 1_250_000
