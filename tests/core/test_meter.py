"""The meter against independent oracles: scapy's packets for its prices, a ledger of true octets for its fusion."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR, dns_compress
from scapy.layers.inet import IP, TCP, UDP
from usageguard.core.meter import SEGMENT, Meter, plausible
from usageguard.core.plan import Rating

from host_tools.sim.carrier import plan as carrier

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


@pytest.mark.parametrize("payload", [1, 16, 1239, 1240, 1241, 1460, 2920, 4000, 65_536])
@pytest.mark.parametrize("mss", [1240, 1302, 1340, 1460])
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


def test_a_suspected_reset_is_paid_for_until_both_figures_are_covered():
    """A surplus is kept only where what was not kept before would pay for four such, of carried octets and of rated."""
    for cover, cover_rated, kept in ((400, 4_000, True), (399, 4_000, False), (400, 3_999, False)):
        meter = Meter(Rating())
        meter.anchor(100, 1_000)
        meter.cover, meter.cover_rated = cover, cover_rated
        meter.trim(suspected=True)
        assert meter.excess() == (100 if kept else 0)


SESSIONS = st.lists(st.lists(st.tuples(st.booleans(), st.integers(1, 4_000)), max_size=12), max_size=8)


@given(SESSIONS, st.sampled_from([1_000, 1_024, 25_600]), st.sampled_from([0, 15]))
@example([[(True, 4_000)] * 12], 1_024, 15)
@settings(deadline=None, max_examples=200)
def test_a_session_is_charged_in_the_blocks_that_the_carrier_bills(sessions, block, margin):
    rating = carrier.Rating(session_round_octets=block, permille=margin)
    meter = Meter(Rating(session_round_octets=block, margin_permille=margin))
    paid = billed = 0
    for session in sessions:
        meter.begin_session()
        octets = 0
        for sent, payload in session:
            (meter.price_sent if sent else meter.price_received)(True, payload)
            octets += meter.carried
            asked = meter.due(meter.rated, False)
            assert asked == meter.pay(meter.rated), "what is admitted is what is charged"
            paid += asked
        billed += rating.session(octets)
    if margin:  # each part of it is rounded up
        most = rating.billed(billed) + len(sessions) * (block + block // 50) + paid // block
        assert rating.billed(billed) <= paid <= most
    else:
        assert paid == billed


def test_packets_are_those_that_were_charged():
    """As scapy counts them: with a lookup, 3 of a handshake and 4 of a close."""
    meter = Meter(Rating())
    meter.price_open(True, 9)
    meter.charge()
    assert meter.packets == 2 + 7
    meter.price_sent(True, 3000)
    assert meter.packets == 9, "not admitted"
    meter.anchor(0, 0)
    for sent in (meter.price_sent, meter.price_received):
        sent(True, 3000)
        meter.charge()
    assert meter.packets == 9 + 2 * 2 * len(segments(3000, SEGMENT))
    meter.price_sent(False, 100)
    meter.charge()
    meter.price_unseen(True, 64_240)
    meter.charge()
    meter.reading(50_000, True)
    assert meter.packets == 9 + 12 + 1, "nothing for what only perhaps arrived, or the modem sent by itself"


def test_a_block_is_paid_when_the_one_before_is_full_and_not_earlier():
    meter = Meter(Rating(session_round_octets=1000))
    assert [meter.due(n, False) for n in (0, 1, 999, 1000, 1001, 2000, 2001)] == [0, 1000, 1000, 1000, 2000, 2000, 3000]
    assert [meter.pay(n) for n in (400, 600, 1, 999, 1)] == [1000, 0, 1000, 0, 1000]
    meter.begin_session()
    assert meter.pay(1) == 1000


@pytest.mark.parametrize("payload", [1, 100, SEGMENT])
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
@settings(derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
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


@pytest.mark.parametrize(("lost", "bound"), [(False, 80), (True, 1080)])
def test_without_a_counter_the_model_stands_and_its_surplus_is_stated(lost, bound):
    meter = Meter(Rating())
    meter.price_sent(True, 1000)
    meter.charge()
    assert (meter.carried, meter.bound()) == (1080, 1080), "it may not have left yet"
    meter.left(lost)
    assert meter.bound() == bound


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


@pytest.mark.parametrize(
    ("price", "carried", "packets", "unknown"),
    [
        (("price_sent", True, 100), 180, 2, 80),
        (("price_sent", False, 100), 128, 1, 28),
        (("price_received", True, 100), 180, 2, 80),
        (("price_received", False, 100), 128, 1, 28),
        (("price_received", True, 2 * SEGMENT), 2 * SEGMENT + 160, 4, 160),
        (("price_unseen", True, 100), 180, 2, 180),
        (("price_open", True, 0), 380, 7, 380),
        (("price_open", True, 5), 526, 9, 526),
        (("price_open", False, 5), 146, 2, 146),
        (("price_open", False, 0), 0, 0, 0),
    ],
)
def test_each_price_to_the_octet_and_what_of_it_no_counter_confirms(price, carried, packets, unknown):
    meter = Meter(Rating(per_packet_octets=50))
    getattr(meter, price[0])(*price[1:])
    assert (meter.carried, meter.rated) == (carried, carried + 50 * packets)
    meter.charge()
    assert (meter.carried, meter.slack) == (carried, unknown)
    meter.left()
    assert meter.bound() == unknown


@pytest.mark.parametrize(
    ("price", "shown", "left", "expected"),
    [
        (("price_sent", True, 100), 0, (180, 280), (180, 280)),
        (("price_sent", False, 100), 0, (128, 178), (128, 178)),
        (("price_received", True, 100), 100, (80, 180), (40, 90)),
        (("price_received", True, SEGMENT), SEGMENT, (80, 180), (40, 90)),
        (("price_received", True, SEGMENT + 1), SEGMENT + 1, (160, 360), (80, 180)),
        (("price_received", False, 100), 128, (0, 0), (0, 0)),
        (("price_open", True, 0), 0, (380, 730), (380, 730)),
    ],
)
def test_after_a_reading_only_what_may_still_leave_the_modem_is_expected(price, shown, left, expected):
    """Of what arrived that is the acknowledgement; the rest of the charge pays for what follows."""
    meter = Meter(Rating(per_packet_octets=50))
    meter.anchor(0, 0)
    getattr(meter, price[0])(*price[1:])
    meter.charge()
    assert meter.window == meter.excess() == meter.carried
    meter.reading(shown, True)
    assert (meter.carried, meter.rated, meter.window, meter.excess()) == (0, 0, 0, left[0])
    meter.price_sent(True, 1000)
    meter.charge()
    assert (meter.carried, meter.rated) == (1080 - (left[0] - expected[0]), 1180 - (left[1] - expected[1]))


def test_a_surplus_pays_for_what_follows_in_both_figures():
    meter = Meter(Rating(per_packet_octets=50))
    meter.anchor(200, 300)
    meter.price_sent(True, 100)
    meter.charge()
    assert (meter.carried, meter.rated) == (0, 0)
    meter.price_sent(True, 100)
    meter.charge()
    assert (meter.carried, meter.rated) == (160, 260)


def test_what_is_learned_is_added_to_the_plans_margin_and_replaced_by_the_next():
    meter = Meter(Rating(margin_permille=10))
    for learned, rated in ((40, 1134), (0, 1091), (90, 1188)):
        meter.learn(learned)
        meter.price_sent(True, 1000)
        assert meter.rated == rated, learned


@pytest.mark.parametrize(("carried", "rated", "left"), [(500, 600, 500), (499, 600, 0), (500, 599, 0)])
def test_a_surplus_of_more_than_a_period_was_charged_is_forfeited(carried, rated, left):
    meter = Meter(Rating())
    meter.anchor(500, 600)
    meter.keep(carried, rated)
    assert (meter.excess(), meter.slack) == (left, 500 - left)


def test_after_a_forfeit_only_what_no_price_had_is_unsure_and_only_once():
    meter = Meter(Rating())
    meter.anchor(0, 0)
    meter.price_sent(True, 100)
    meter.charge()
    meter.forfeit()
    assert (meter.excess(), meter.forfeited, meter.slack) == (0, 180, 180)
    meter.reading(300, True)
    assert (meter.carried, meter.slack) == (300, 300)
    meter.reading(250, True)
    assert (meter.carried, meter.slack) == (250, 300)


def test_after_a_quiet_time_nothing_is_under_way():
    meter = Meter(Rating(per_packet_octets=50))
    meter.anchor(0, 0)
    meter.price_sent(True, 100)
    meter.charge()
    meter.reading(0, False, False, True)
    meter.price_sent(True, 1000)
    meter.charge()
    assert meter.carried == 1080 - 180, "the surplus pays"
    for _ in range(2):
        meter.reading(1080, False, False, True)
    meter.reading(400, True)
    assert (meter.carried, meter.rated) == (400, 900), "payload was taken from the headers once"


def test_payload_is_taken_from_the_headers_once():
    meter = Meter(Rating(per_packet_octets=50))
    meter.anchor(0, 0)
    for _ in range(4):
        meter.price_received(True, 1000)
        meter.charge()
        meter.reading(1080, True)
    found = []
    for _ in range(3):
        meter.reading(400, True)  # ten bare acknowledgements, one of which the last price had
        found.append((meter.carried, meter.rated))
    assert found == [(360, 810), (400, 900), (400, 900)]


def test_datagrams_are_told_by_their_own_number():
    meter = Meter(Rating(per_packet_octets=50))
    meter.anchor(0, 0)
    meter.price_received(False, 100)
    meter.charge()
    assert meter.rated == 178
    meter.reading(128, True)
    assert meter.rated == 0
    meter.reading(400, True)
    assert meter.rated == 900


def test_no_reading_is_more_than_the_ledger_takes_at_once():
    assert plausible(1 << 45, 1 << 29) == (1 << 29) - 1
    assert [plausible(1 << 29, ms) for ms in (0, 999, 1000)] == [1_315_536, 1_315_536, 2_565_536]
    assert plausible(5, 0) == 5


def test_the_worst_packets_are_bare_datagrams():
    meter = Meter(Rating(per_packet_octets=50, margin_permille=100))
    assert [meter.worst(octets) for octets in (0, 27, 28, 280)] == [55, 85, 141, 913]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * SEGMENT)), min_size=1, max_size=20))
@settings(max_examples=200)
def test_a_stream_without_gaps_is_priced_by_its_segments_and_messages_one_by_one(pieces):
    meter = Meter(Rating())
    spare = carried = 0
    streams = []
    for continues, n in pieces:
        if continues and streams:
            streams[-1] += n
        else:
            streams.append(n)
            spare = 0
        meter.price_received(True, n, spare)
        carried += meter.carried
        spare = meter.spare
    assert carried == sum(len(packet) + 40 for stream in streams for packet in segments(stream, SEGMENT))
