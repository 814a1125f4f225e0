"""Packets as octets: as scapy builds and reads them."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP

from host_tools.sim.clock import Clock
from host_tools.sim.network import packet as sim
from host_tools.sim.network.packet import ACK, SYN, Packet
from host_tools.sim.network.ppp.wire import Wire

A, B = ("10.0.0.1", 49_152), ("203.0.113.1", 80)
payloads = st.binary(max_size=64)
numbers = st.integers(0, (1 << 40) - 1)


def wire():
    return Wire(Clock(datetime(2026, 1, 1, tzinfo=UTC)))


def checked(octets):
    """Scapy's reading of octets, whose checksums and lengths are those that scapy makes itself."""
    read = IP(octets)
    again = read.copy()
    for layer in again.layers():
        for field in ("chksum", "len", "dataofs", "ihl"):
            if field in again[layer].fields:
                delattr(again[layer], field)
    assert bytes(again) == octets
    return read


@settings(max_examples=40)
@given(numbers, numbers, st.integers(0, 65_535), payloads, st.booleans())
def test_a_tcp_packet_is_as_scapy_reads_it(seq, ack, window, payload, timestamps):
    length = 40 + len(payload) + 12 * timestamps
    octets = wire().encode(Packet(sim.TCP, A, B, length, payload, ACK, seq, ack, window, 0, timestamps))
    assert len(octets) == length
    read = checked(octets)
    assert (read.src, read.dst, read[TCP].sport, read[TCP].dport) == (A[0], B[0], A[1], B[1])
    assert (read[TCP].seq, read[TCP].ack, read[TCP].window) == (seq % 2**32, ack % 2**32, window)
    assert bytes(read[TCP].payload) == payload
    assert any(name == "Timestamp" for name, _ in read[TCP].options) == timestamps


@settings(max_examples=40)
@given(payloads)
def test_datagrams_and_pings_are_as_scapy_reads_them(payload):
    read = checked(wire().encode(sim.udp(A, B, payload)))
    assert (read[UDP].sport, read[UDP].dport, bytes(read[UDP].payload)) == (A[1], B[1], payload)
    read = checked(wire().encode(sim.echo(sim.ECHO_REQUEST, A, (B[0], A[1]), payload)))
    assert (read[ICMP].type, read[ICMP].id, bytes(read[ICMP].payload)) == (8, A[1], payload)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), payloads)
def test_scapys_packets_are_read(seq, ack, payload):
    options = [("MSS", 1440), ("NOP", None), ("WScale", 7), ("SAckOK", b""), ("Timestamp", (5, 0))]
    octets = bytes(
        IP(src=A[0], dst=B[0]) / TCP(sport=A[1], dport=B[1], flags="S", seq=seq, ack=ack, options=options) / payload
    )
    assert wire().decode(octets) == Packet(sim.TCP, A, B, len(octets), payload, SYN, seq, ack, 8192, 1440, True)
    octets = bytes(IP(src=A[0], dst=B[0]) / UDP(sport=A[1], dport=B[1]) / payload)
    assert wire().decode(octets) == sim.udp(A, B, payload)


@settings(max_examples=40)
@given(payloads, st.data())
def test_a_damaged_packet_is_dropped(payload, data):
    octets = bytearray(wire().encode(sim.udp(A, B, payload)))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= 1 << data.draw(st.integers(0, 7))
    assert wire().decode(bytes(octets)) is None


def test_what_is_no_whole_packet_is_dropped():
    octets = wire().encode(sim.udp(A, B, b"x"))
    for n in range(len(octets)):
        assert wire().decode(octets[:n]) is None
    assert wire().decode(bytes(IP(src=A[0], dst=B[0], proto=47) / b"gre")) is None
    assert wire().decode(bytes(IP(src=A[0], dst=B[0], frag=3) / UDP() / b"x")) is None


@settings(max_examples=40)
@given(numbers, numbers, st.lists(st.integers(-70_000, 70_000), max_size=20))
def test_sequence_numbers_pass_the_modulus_in_both_directions(seq, ack, steps):
    """Both ends keep numbers of their own beyond 2**32; each is told its peer's acknowledgement in its own."""
    here, there = wire(), wire()
    a, b = seq, ack
    there.encode(Packet(sim.TCP, B, A, 40, b"", ACK, b, 0))
    shift = here_shift = None
    for step in steps:
        a = max(0, a + step)
        read = there.decode(here.encode(Packet(sim.TCP, A, B, 40, b"", ACK, a, b)))
        assert read is not None
        assert read.ack == b
        shift = read.seq - a if shift is None else shift
        assert read.seq - a == shift or a < 2**20  # numbers below zero do not exist
        back = here.decode(there.encode(Packet(sim.TCP, B, A, 40, b"", ACK, b, read.seq)))
        assert back is not None
        assert back.ack == a
        here_shift = back.seq - b if here_shift is None else here_shift
        assert back.seq - b == here_shift
