"""Header compression: what comes out is what went in, and headers shrink as RFC 1144 says."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from host_tools.sim.network.ppp import vj

A, B = "10.0.0.1", "203.0.113.1"


class Line:
    def __init__(self, slots=vj.SLOTS, slot_ids=True):
        self.near, self.far = vj.Compressor(slots, slot_ids=slot_ids), vj.Decompressor()

    def carry(self, packet, lose=False):
        protocol, payload = self.near.compress(packet)
        if lose:
            self.far.lost()
            return None
        if protocol == vj.IP:
            return payload
        return (self.far.expand if protocol == vj.COMPRESSED else self.far.whole)(payload)


def packet(port, seq, ack, window, ident, flags, urgent, payload, stamp):
    options = [("NOP", None), ("NOP", None), ("Timestamp", (stamp, 1))] if stamp else []
    numbers = {"seq": seq % 2**32, "ack": ack % 2**32, "window": window}
    head = TCP(sport=port, dport=80, flags=flags, urgptr=urgent, options=options, **numbers)
    return bytes(IP(src=A, dst=B, id=ident) / head / payload)


steps = st.lists(
    st.tuples(
        st.sampled_from((1000, 1001, 1002)),
        st.one_of(st.sampled_from((0, 1, 255, 256, 65_535, 65_536)), st.integers(0, 3_000)),
        st.one_of(st.sampled_from((0, 1, 65_536)), st.integers(0, 3_000)),
        st.integers(0, 65_535),
        st.sampled_from((0, 1, 2, 300)),
        st.sampled_from(("A", "PA", "UA", "SA", "FA", "R", "A", "A")),
        st.binary(max_size=6),
        st.sampled_from((0, 0, 0, 7)),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(steps, st.integers(1, 3), st.booleans(), st.booleans())
def test_what_comes_out_is_what_went_in(taken, slots, slot_ids, follow):
    line = Line(slots, slot_ids)
    seq = ack = ident = 0
    window = 4096
    for port, more, acked, shift, step, flags, payload, stamp in taken:
        # `follow` has numbers go on as a transfer's do, which the special cases are for.
        seq, ack, ident = seq + (len(payload) if follow else more), ack + acked, (ident + step) & 0xFFFF
        window = window if follow else shift
        sent = packet(port, seq, ack, window, ident, flags, shift if "U" in flags else 0, payload, stamp)
        assert line.carry(sent) == sent


@settings(max_examples=40)
@given(steps, st.lists(st.booleans(), min_size=25, max_size=25))
def test_after_a_loss_nothing_false_passes_tcps_checksum(taken, losses):
    line = Line()
    for i, (port, more, acked, shift, step, flags, payload, _) in enumerate(taken):
        sent = packet(port, more * i, acked * i, shift, step * i & 0xFFFF, flags, 0, payload, 0)
        got = line.carry(sent, losses[i])
        if got is None or got == sent:
            continue
        read = IP(got)
        del read[TCP].chksum
        # The checksum travels as it was, so it convicts what was put together from another packet's differences.
        assert bytes(IP(bytes(read))) != got or IP(got)[TCP].chksum == IP(sent)[TCP].chksum


def test_a_transfer_has_three_octets_of_header():
    near = vj.Compressor()
    sizes = []
    for i in range(4):
        sent = packet(1000, 100 + 10 * i, 7, 4096, i, "A", 0, b"0123456789", 0)
        protocol, payload = near.compress(sent)
        sizes.append((protocol, len(payload) - 10))
    assert sizes == [(vj.UNCOMPRESSED, 40), (vj.COMPRESSED, 3), (vj.COMPRESSED, 3), (vj.COMPRESSED, 3)]


def test_a_cut_frame_is_none():
    line = Line()
    first = packet(1000, 1, 1, 4096, 1, "A", 0, b"x", 0)
    assert line.carry(first) == first
    _, payload = line.near.compress(packet(1000, 3000, 1, 9, 5, "A", 0, b"", 0))
    for n in range(len(payload)):
        got = line.far.expand(payload[:n])
        assert got is None or IP(got)[TCP].seq != 3000
    assert vj.Decompressor().expand(b"\x40\x01\0\0") is None
    assert vj.Decompressor().whole(b"short") is None
