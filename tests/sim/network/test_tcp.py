"""TCP at packet level: packets of known exchanges, windows, losses; streams under any loss."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet import TCP as SCAPY_TCP

from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.network import tcp
from host_tools.sim.network.packet import ACK, FIN, PSH, RST, SYN, Packet
from host_tools.sim.network.stack import IpStack

A, B = "10.0.0.1", "203.0.113.1"


class Wire:
    """Two stacks, a latency, a choice of packets to lose; records all packets sent, and lets none pass the window that
    its receiver has announced, by what has arrived of that."""

    def __init__(self, lose=lambda n, packet: False, latency=lambda n: 20 * MS, **options):
        self.clock = Clock(datetime(2025, 1, 1, tzinfo=UTC))
        self.packets: list[Packet] = []
        self.lose = lose
        self.latency = latency
        self.a = IpStack(self.clock, A, self.carry, **options)
        self.b = IpStack(self.clock, B, self.carry, **options)
        self.b.accept = self.accept
        self.server = None
        self.served = bytearray()
        self.on_accept = lambda connection: None
        self.edges = {}  # by sender, peer and receiver: the end of the widest window that has reached the sender

    def accept(self, connection, syn):
        self.server = connection
        connection.on_readable = lambda: self.served.extend(connection.read())
        connection.on_peer_closed = connection.shutdown
        self.on_accept(connection)
        return True

    def carry(self, packet):
        n = len(self.packets)
        self.packets.append(packet)
        self.check_window(packet)
        if not self.lose(n, packet):
            self.clock.after(self.latency(n), self.arrive, packet)

    def arrive(self, packet):
        if packet.flags & ACK:
            way = packet.dst, packet.src
            self.edges[way] = max(self.edges.get(way, 0), packet.ack + packet.window)
        to = self.b if packet.dst[0] == B else self.a
        to.deliver(packet)

    def check_window(self, packet):
        if n := len(packet.payload):
            edge = self.edges[packet.src, packet.dst]
            probes = n == 1 and packet.seq == edge  # a shut window may be probed with an octet
            assert packet.seq + n <= edge or probes, f"{n} octets to {packet.seq + n}, past the window's end {edge}"

    def open(self, **options):
        client = self.a.open((B, 80), **options)
        client.closings = []
        client.on_closed = client.closings.append
        client.connect()
        return client

    def run(self, seconds):
        self.clock.run_until(self.clock.now_us + int(seconds * S))

    def trace(self):
        return [(p.src[0] == A, p.flags, p.length) for p in self.packets]


def pattern(n):
    return bytes(i * 7 % 251 for i in range(n))


def test_one_request_costs_known_packets():
    wire = Wire()
    wire.on_accept = lambda c: setattr(c, "on_readable", lambda: (c.read(), c.send(bytes(200))))
    client = wire.open()
    client.on_readable = lambda: (client.read(), client.close())
    client.send(bytes(100))
    wire.run(1)
    assert wire.trace() == [
        (True, SYN, 44),
        (False, SYN | ACK, 44),
        (True, ACK | PSH, 140),  # queued before: rides on the ACK of the handshake
        (False, ACK | PSH, 240),
        (True, ACK | FIN, 40),
        (False, ACK | FIN, 40),
        (True, ACK, 40),
    ]
    assert client.closings == ["closed"]
    wire.run(61)
    assert not {**wire.a.connections, **wire.b.connections}, "TIME_WAIT ends"


@pytest.mark.parametrize(("timestamps", "syn_options"), [(False, 0), (True, 0), (False, 8)])
def test_lengths_are_scapys(timestamps, syn_options):
    wire = Wire(timestamps=timestamps, syn_options=syn_options)
    client = wire.open()
    client.send(pattern(5000))
    client.shutdown()
    wire.run(2)
    for p in wire.packets:
        options = [("MSS", p.mss)] if p.flags & SYN else []
        if syn_options and p.flags & SYN:
            options += [("SAckOK", b""), ("WScale", 0)]
        if timestamps:
            options += [("NOP", None), ("NOP", None), ("Timestamp", (1, 0))]
        real = IP(src=p.src[0], dst=p.dst[0]) / SCAPY_TCP(flags=p.flags, options=options) / p.payload
        assert len(bytes(real)) == p.length, p
    assert max(p.length for p in wire.packets) == 1500
    assert bytes(wire.served) == pattern(5000)


def test_a_host_answers_a_syn_with_options_as_long():
    wire = Wire()
    wire.open(syn_options=8)
    wire.run(1)
    assert [p.length for p in wire.packets] == [52, 52, 40]


def test_lone_segment_is_acknowledged_after_200_ms_and_a_pair_at_once():
    wire = Wire(nagle=False)
    client = wire.open()
    wire.run(1)
    wire.packets.clear()
    begin = wire.clock.now_us
    client.send(b"x")
    arrivals = []
    client.on_acked = lambda: arrivals.append(wire.clock.now_us - begin)
    wire.run(1)
    assert arrivals == [240 * MS]
    begin = wire.clock.now_us
    client.send(b"x")
    client.send(b"y")
    wire.run(1)
    assert arrivals[1:] == [40 * MS]


def test_nagle_holds_the_second_small_write():
    for nagle, payloads in ((True, [b"a", b"bc"]), (False, [b"a", b"b", b"c"])):
        wire = Wire(nagle=nagle)
        client = wire.open()
        wire.run(1)
        wire.packets.clear()
        for octet in (b"a", b"b", b"c"):
            client.send(octet)
        wire.run(1)
        assert [p.payload for p in wire.packets if p.payload] == payloads, nagle


def test_segment_size_is_the_smaller_mss():
    wire = Wire()
    client = wire.open(mss=1000)
    client.send(pattern(3000))
    wire.run(1)
    assert [len(p.payload) for p in wire.packets if p.payload] == [1000, 1000, 1000]
    wire.server.send(pattern(3000))
    wire.run(1)
    assert max(len(p.payload) for p in wire.packets) == 1000


def test_reader_that_does_not_read_shuts_the_window():
    wire = Wire()
    wire.on_accept = lambda c: setattr(c, "on_readable", lambda: None)
    client = wire.open(receive_buffer=4000)
    wire.b.tcp_options["receive_buffer"] = 4000
    data = pattern(20_000)
    assert client.send(data) == 20_000
    wire.run(100)
    server = wire.server
    assert server.readable == 4000
    probes = [p for p in wire.packets if len(p.payload) == 1]
    assert 4 <= len(probes) <= 8, "probed with exponential back-off"
    assert client.state == tcp.ESTABLISHED
    wire.run(3600)
    assert client.state == tcp.ESTABLISHED, "an answering peer may keep its window shut for ever"
    got = bytearray()
    server.on_readable = lambda: got.extend(server.read())
    got += server.read()
    wire.run(70)
    assert bytes(got) == data
    assert client.unacked == 0


def test_slow_reader_gets_no_silly_windows():
    wire = Wire()
    wire.b.tcp_options["receive_buffer"] = 4096
    wire.on_accept = lambda c: setattr(c, "on_readable", lambda: None)
    client = wire.open()
    client.send(pattern(30_000))
    got = bytearray()
    while len(got) < 30_000:
        wire.run(0.05)
        got += wire.server.read(100)
    assert bytes(got) == pattern(30_000)
    assert len([p for p in wire.packets if p.payload]) <= 30_000 // 1000, "no dribble of tiny segments"


@pytest.mark.parametrize(("update", "acknowledgements"), [(0, 6), (1_440, 12)])
def test_a_reader_tells_of_its_window_when_it_has_opened_by_so_much(update, acknowledgements):
    """lwIP does at a quarter of the window, so that it acknowledges each segment that is read at once; BSD at half."""
    wire = Wire(mss=1_440, receive_buffer=5_760, update=update)
    client = wire.open()
    wire.run(1)
    handshake = len(wire.packets)
    for _ in range(12):
        client.send(pattern(1_440))
        wire.run(0.1)  # less than the delay of an acknowledgement
    assert sum(not packet.payload for packet in wire.packets[handshake:]) == acknowledgements


def test_sender_that_refills_on_each_acknowledgement_keeps_to_the_window():
    wire = Wire(nagle=False)
    data = pattern(100_000)
    sent = 0

    def write():
        nonlocal sent
        sent += wire.server.send(data[sent : sent + 4000])

    wire.on_accept = lambda server: [setattr(server, "on_connected", write), setattr(server, "on_acked", write)]
    client = wire.open(receive_buffer=10_240)
    got = bytearray()
    while len(got) < len(data) and wire.clock.now_us < 60 * S:
        wire.run(0.03)
        got += client.read(1500)
    assert bytes(got) == data
    assert wire.server.retransmissions == 0


def test_lost_syn_is_sent_again_after_1_and_3_s():
    times = []
    wire = Wire(lose=lambda n, p: bool(p.flags & SYN))
    carry = wire.a.emit
    wire.a.emit = lambda p: (times.append(wire.clock.now_us // S), carry(p))
    client = wire.open()
    wire.run(300)
    assert times == [0, 1, 3, 7, 15, 31, 63]
    assert client.closings == ["timeout"]
    assert not wire.a.connections


def test_lost_segment_is_repaired_by_three_duplicates():
    lost = []

    def lose(n, packet):
        if packet.payload and packet.src[0] == A and not lost and packet.seq > 3000:
            lost.append(packet)
            return True
        return False

    wire = Wire(lose=lose)
    client = wire.open()
    client.send(pattern(14_600))
    wire.run(0.5)  # less than the retransmission time-out
    assert lost
    assert bytes(wire.served) == pattern(14_600)
    assert client.retransmissions == 1


def test_dead_peer_times_out():
    wire = Wire()
    client = wire.open()
    wire.run(1)
    wire.b.drop()
    wire.b.deliver = lambda packet: None
    client.send(b"x")
    wire.run(100)
    assert client.state == tcp.ESTABLISHED, "RFC 1122 4.2.3.5: at least 100 s"
    wire.run(1500)
    assert client.closings == ["timeout"]


def test_half_open_connection_is_reset():
    wire = Wire()
    client = wire.open()
    wire.run(1)
    wire.b.drop()
    client.send(b"x")
    wire.run(1)
    assert client.closings == ["reset"]
    assert wire.packets[-1].flags == RST


def test_rebooted_client_with_the_same_ports_recovers():
    wire = Wire()
    first = wire.a.open((B, 80), local_port=5000)
    first.connect()
    wire.run(1)
    old = wire.server
    first.drop()
    closings = []
    old.on_closed = closings.append
    second = wire.a.open((B, 80), local_port=5000)
    second.connect()
    wire.run(5)
    assert closings == ["reset"]
    assert second.state == tcp.ESTABLISHED
    assert wire.server is not old


def test_refused_and_aborted():
    wire = Wire()
    wire.b.accept = lambda connection, syn: False
    client = wire.open()
    wire.run(1)
    assert client.closings == ["refused"]
    wire.b.accept = wire.accept
    client = wire.open()
    wire.run(1)
    closings = []
    wire.server.on_closed = closings.append
    client.abort()
    wire.run(1)
    assert closings == ["reset"]
    assert client.closings == [], "who aborts knows"
    assert not {**wire.a.connections, **wire.b.connections}


def test_octets_after_close_are_answered_with_reset():
    wire = Wire()
    wire.on_accept = lambda c: setattr(c, "on_peer_closed", lambda: None)
    client = wire.open()
    wire.run(1)
    client.close()
    wire.run(1)
    assert client.state == tcp.FIN_WAIT_2
    closings = []
    wire.server.on_closed = closings.append
    wire.server.send(b"too late")
    wire.run(1)
    assert closings == ["reset"]
    assert not wire.a.connections


def test_callbacks_come_in_order_when_data_and_fin_arrive_together():
    wire = Wire()
    calls = []
    client = wire.open()
    client.on_connected = lambda: calls.append("connected")
    client.on_readable = lambda: calls.append(client.read())
    client.on_peer_closed = lambda: calls.append("peer closed")
    client.on_closed = calls.append
    wire.run(1)
    wire.server.on_peer_closed = lambda: (wire.server.send(b"last words"), wire.server.shutdown())
    client.shutdown()
    wire.run(1)
    # The server's octets leave at once and its FIN by itself: both orders of arrival are covered below.
    assert calls == ["connected", b"last words", "peer closed", "closed"]


def test_simultaneous_close():
    wire = Wire()
    client = wire.open()
    wire.run(1)
    closings = []
    wire.server.on_closed = closings.append
    client.shutdown()
    wire.server.shutdown()
    wire.run(1)
    assert (client.state, wire.server.state) == (tcp.TIME_WAIT, tcp.TIME_WAIT)
    assert (client.closings, closings) == (["closed"], ["closed"])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    loss=st.integers(0, 299),
    latency_ms=st.integers(0, 400),
    jitter_ms=st.integers(0, 400),
    up=st.integers(0, 60_000),
    down=st.integers(0, 60_000),
    mss=st.integers(200, 1460),
    buffers=st.tuples(st.integers(300, 65_535), st.integers(300, 65_535)),
    reads=st.sampled_from([None, 64, 700, 5000]),
    nagle=st.booleans(),
    timestamps=st.booleans(),
)
def test_streams_arrive_intact_whatever_is_lost(
    seed, loss, latency_ms, jitter_ms, up, down, mss, buffers, reads, nagle, timestamps
):
    rng = random.Random(seed)
    wire = Wire(
        lose=lambda n, p: rng.randrange(1000) < loss,
        latency=lambda n: latency_ms * MS + rng.randrange(jitter_ms * MS + 1),
        nagle=nagle,
        timestamps=timestamps,
        syn_retries=80,
        retries=80,
    )
    wire.b.tcp_options["receive_buffer"] = buffers[1]
    to_server, to_client = rng.randbytes(up), rng.randbytes(down)
    client = wire.open(mss=mss, receive_buffer=buffers[0])
    ends = [(client, bytearray(), to_server, [0], client.closings)]

    def accept(server):
        closings = []
        server.on_closed = closings.append
        ends.append((server, bytearray(), to_client, [0], closings))
        serve(*ends[-1])

    def serve(connection, got, data, sent, closings):
        def read():
            if reads is None:
                got.extend(connection.read())

        def write():
            sent[0] += connection.send(memoryview(data)[sent[0] :])
            if sent[0] == len(data):
                connection.shutdown()

        connection.on_readable = read
        connection.on_acked = write
        connection.on_peer_closed = lambda: None
        connection.on_connected = write

    def slow_reader():
        for connection, got, *_ in ends:
            got.extend(connection.read(reads))
        wire.clock.after(300 * MS, slow_reader)

    wire.on_accept = accept
    serve(*ends[0])
    if reads is not None:
        slow_reader()

    def over():
        return len(ends) == 2 and all(end[4] for end in ends)

    wire.clock.run_until(100_000 * S, over)
    assert len(ends) == 2
    for connection, got, *_ in ends:
        got.extend(connection.read())
    assert bytes(ends[1][1]) == to_server
    assert bytes(ends[0][1]) == to_client
    # When the last ACK is lost until TIME_WAIT is over, the next retransmission earns a reset, as on Linux.
    assert sorted(ends[0][4] + ends[1][4]) in (["closed", "closed"], ["closed", "reset"])
    assert all(p.length <= mss + 40 for p in wire.packets)
    assert all(len(p.payload) <= mss - 12 * timestamps for p in wire.packets)
    assert not any(p.flags & FIN and p.flags & SYN for p in wire.packets)


def test_overlapping_and_early_segments_are_put_together():
    clock = Clock(datetime(2025, 1, 1, tzinfo=UTC))
    sent = []
    end = tcp.TcpConnection(clock, sent.append, (B, 80), (A, 5000), receive_buffer=500)
    data = pattern(600)

    def segment(flags, seq, payload=b""):
        length, ack = 40 + len(payload), sent[0].seq + 1
        end.deliver(Packet(6, (A, 5000), (B, 80), length, payload, flags, seq, ack, 9999))

    end.accept(Packet(6, (A, 5000), (B, 80), 44, b"", SYN, 1000, 0, 9999, 1460))
    spans = ((100, 200), (150, 300), (50, 120), (400, 450), (40, 60), (0, 70), (300, 310), (290, 600))
    for first, last in spans:
        segment(ACK, 1001 + first, data[first:last])
    assert end.read() == data[:500], "what lies beyond the window is cut off"
    segment(ACK | FIN, 1501, data[500:])
    assert end.read() == data[500:]
    assert end.peer_closed
    assert sent[-1].ack == 1602


def test_reset_outside_the_window_is_ignored():
    wire = Wire()
    client = wire.open()
    wire.run(1)
    for seq in (wire.server._snd_nxt - 1, wire.server._snd_nxt + 70_000):
        client.deliver(Packet(6, (B, 80), client.local, 40, b"", RST, seq))
    assert client.state == tcp.ESTABLISHED
    client.deliver(Packet(6, (B, 80), client.local, 40, b"", RST, wire.server._snd_nxt))
    assert client.closings == ["reset"]


@pytest.mark.parametrize(
    ("option", "value"), [("mss", 0), ("mss", 1461), ("receive_buffer", 0), ("receive_buffer", 65_536)]
)
def test_impossible_options(option, value):
    with pytest.raises(ValueError, match=rf"{option} {value} is not in 1\.\."):
        Wire().open(**{option: value})
