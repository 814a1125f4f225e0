"""TCP, packet by packet, in virtual time: RFC 9293, congestion control and time-outs as RFC 5681, 6582, 6298.

What the carrier bills depends on the number and size of packets, so this has what decides those: MSS, delayed
and piggybacked acknowledgements, Nagle, windows, probes, retransmissions, FIN and RST. Left out: simultaneous
open, urgent data, window scaling, SACK, keep-alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from host_tools.sim.clock import MS, Clock, S, Timer
from host_tools.sim.network.packet import (
    ACK,
    FIN,
    IP_HEADER,
    MSS_OPTION,
    MTU,
    PSH,
    RST,
    SYN,
    TCP,
    TCP_HEADER,
    TIMESTAMPS_OPTION,
    Address,
    Packet,
)

HEADERS: Final = IP_HEADER + TCP_HEADER
MAX_MSS: Final = MTU - HEADERS
DEFAULT_MSS: Final = 536  # RFC 9293 3.7.1: where the peer sends no MSS option
MAX_WINDOW: Final = 65_535  # no window scaling
INITIAL_WINDOW: Final = 10  # segments, RFC 6928
INITIAL_RTO_US: Final = 1 * S  # RFC 6298 2.1
MIN_RTO_US: Final = 1 * S  # RFC 6298 2.4
MAX_RTO_US: Final = 60 * S  # RFC 6298 2.5: not less than 60 s
RTO_AFTER_LOST_SYN_US: Final = 3 * S  # RFC 6298 5.7
DELAYED_ACK_US: Final = 200 * MS  # RFC 1122 4.2.3.2 allows 500 ms; BSD and Linux use up to 200 ms
SYN_RETRIES: Final = 6  # lwIP TCP_SYNMAXRTX, Linux tcp_syn_retries
RETRIES: Final = 15  # Linux tcp_retries2; above the 100 s of RFC 1122 4.2.3.5
TIME_WAIT_US: Final = 60 * S  # Linux; RFC 9293 says 2 MSL

CLOSED: Final = "CLOSED"
SYN_SENT: Final = "SYN_SENT"
SYN_RECEIVED: Final = "SYN_RECEIVED"
ESTABLISHED: Final = "ESTABLISHED"
FIN_WAIT_1: Final = "FIN_WAIT_1"
FIN_WAIT_2: Final = "FIN_WAIT_2"
CLOSE_WAIT: Final = "CLOSE_WAIT"
CLOSING: Final = "CLOSING"
LAST_ACK: Final = "LAST_ACK"
TIME_WAIT: Final = "TIME_WAIT"

_MAY_SEND: Final = frozenset((ESTABLISHED, CLOSE_WAIT, FIN_WAIT_1, CLOSING, LAST_ACK))
_MAY_RECEIVE: Final = frozenset((ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2))
_AFTER_FIN_SENT: Final = {ESTABLISHED: FIN_WAIT_1, CLOSE_WAIT: LAST_ACK}
_AFTER_FIN_RECEIVED: Final = {ESTABLISHED: CLOSE_WAIT, FIN_WAIT_1: CLOSING, FIN_WAIT_2: TIME_WAIT}

# Why a connection ended, as given to on_closed
DONE: Final = "closed"  # both sides sent FIN
REFUSED: Final = "refused"  # RST in answer to the SYN
RESET: Final = "reset"  # RST on an open connection
TIMED_OUT: Final = "timeout"  # retransmissions exhausted


class TcpConnection:
    """One end of a connection. Give arriving packets to `deliver`; leaving ones go to `emit`.

    Callbacks, all optional: `on_connected()`; `on_readable()` when octets have arrived; `on_acked()` when the
    peer acknowledged octets, so that there is room to send; `on_peer_closed()` when the peer's FIN has come
    after all its octets; `on_closed(reason)` once, when the connection is over otherwise than by `abort()` or
    `drop()`; `on_released()` when its ports are free again. A callback may call any method here.
    """

    def __init__(
        self,
        clock: Clock,
        emit: Callable[[Packet], None],
        local: Address,
        remote: Address,
        *,
        mss: int = MAX_MSS,
        receive_buffer: int = MAX_WINDOW,
        send_buffer: int = MAX_WINDOW,
        nagle: bool = True,
        update: int = 0,
        timestamps: bool = False,
        syn_options: int = 0,
        syn_retries: int = SYN_RETRIES,
        retries: int = RETRIES,
    ) -> None:
        """`mss`: octets, 1..1460, announced and kept to. `receive_buffer`: 1..65535, the widest window. `update`: by so
        many octets reading has to have opened the window for a packet that says so; 0: as BSD. `syn_options`: octets of
        the SYN's options beside MSS and timestamps, as of window scale and SACK; a peer answers with as many."""
        if not 1 <= mss <= MAX_MSS:
            raise ValueError(f"mss {mss} is not in 1..{MAX_MSS}")
        if not 1 <= receive_buffer <= MAX_WINDOW:
            raise ValueError(f"receive_buffer {receive_buffer} is not in 1..{MAX_WINDOW}")
        self.clock = clock
        self.local = local
        self.remote = remote
        self.state = CLOSED
        self.peer_closed = False
        self.retransmissions = 0
        self.on_connected: Callable[[], None] = _nothing
        self.on_readable: Callable[[], None] = _nothing
        self.on_acked: Callable[[], None] = _nothing
        self.on_peer_closed: Callable[[], None] = _nothing
        self.on_closed: Callable[[str], None] = _nothing_of
        self.on_released: Callable[[], None] = _nothing
        self._emit_packet = emit
        self._mss = mss
        self._send_buffer = send_buffer
        self._receive_buffer = receive_buffer
        self._nagle = nagle
        self._update = update or min(2 * mss, (receive_buffer + 1) // 2)  # BSD tcp_output
        self._timestamps = timestamps
        self._syn_options = syn_options
        self._syn_retries = syn_retries
        self._retries = retries

        # Sending. _out[0] has the sequence number _out_seq (= snd_una once the SYN is acknowledged).
        self._out = bytearray()
        self._out_seq = 0
        self._snd_una = self._snd_nxt = self._snd_max = 0
        self._snd_end = 0  # where the peer's window ends, by the widest that it has announced
        self._max_snd_wnd = 0
        self._segment_size = mss  # payload octets of a full segment, once both MSS are known
        self._fin_queued = False
        self._cwnd = self._ssthresh = 0
        self._dup_acks = 0
        self._recover = -1
        self._in_recovery = False
        # Time-outs: one deadline serves retransmission, window probe and TIME_WAIT.
        self._rto = INITIAL_RTO_US
        self._srtt: int | None = None
        self._rttvar = 0
        self._timed_seq = -1  # sequence number whose acknowledgement gives a round-trip sample; -1 = none
        self._timed_at = 0
        self._backoff = 0
        self._unanswered = 0
        self._deadline = -1
        self._timer: Timer | None = None

        # Receiving
        self._in = bytearray()
        self._rcv_nxt = 0
        self._rcv_adv = 0  # right edge of the window last announced
        self._later: dict[int, bytes] = {}  # out of order, by sequence number
        self._fin_seq = -1
        self._app_gone = False  # close() was called: nobody will read
        self._segments_unacked = 0
        self._ack_now = False
        self._ack_deadline = -1
        self._ack_timer: Timer | None = None

    # --- the owner's side ---

    @property
    def readable(self) -> int:
        """Octets that `read` would give now."""
        return len(self._in)

    @property
    def unacked(self) -> int:
        """Octets taken by `send` and not yet acknowledged by the peer."""
        return len(self._out)

    @property
    def room(self) -> int:
        """Octets that `send` would take now."""
        if self._fin_queued or self.state in (CLOSED, TIME_WAIT):
            return 0
        return max(self._send_buffer - len(self._out), 0)

    def connect(self) -> None:
        """Sends the SYN."""
        self._start(SYN_SENT)

    def accept(self, syn: Packet) -> None:
        """Answers a SYN that arrived for a listening port."""
        self._take_syn(syn)
        self._start(SYN_RECEIVED)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Queues octets, from `connect()` on; gives how many were taken, 0 when full or closed."""
        n = min(len(data), self.room)
        if n:
            self._out += data if n == len(data) else memoryview(data)[:n]
            self._output()
        return n

    def read(self, n: int = -1) -> bytes:
        """Takes up to `n` octets that have arrived (all by default); opens the window again."""
        buffer = self._in
        if n < 0 or n >= len(buffer):
            data = bytes(buffer)
            buffer.clear()
        else:
            data = bytes(buffer[:n])
            del buffer[:n]
        if data and self.state in _MAY_RECEIVE:
            opened = self._receive_buffer - len(buffer) - (self._rcv_adv - self._rcv_nxt)
            if opened >= self._update:
                self._ack()
        return data

    def shutdown(self) -> None:
        """No more octets will be sent: FIN after those queued. Reading goes on."""
        if not self._fin_queued and self.state != CLOSED:
            self._fin_queued = True
            self._output()

    def close(self) -> None:
        """As `shutdown`, and nobody reads any more: octets still to come get RST (RFC 1122 4.2.2.13)."""
        self._app_gone = True
        if self.state == SYN_SENT or (self._in and self.state in _MAY_RECEIVE):
            self.abort()
        else:
            self.shutdown()

    def abort(self) -> None:
        """Ends the connection with RST; `on_closed` is not called."""
        if self.state not in (CLOSED, SYN_SENT, TIME_WAIT):
            self._emit(RST | ACK, self._snd_nxt)
        self.drop()

    def drop(self) -> None:
        """Forgets the connection without a packet, as a power cut does; `on_closed` is not called."""
        if self.state != CLOSED:
            self._release()

    # --- the network's side ---

    def deliver(self, packet: Packet) -> None:
        """Takes a packet of this connection."""
        state = self.state
        if state == CLOSED:
            return
        if state == SYN_SENT:
            self._deliver_in_syn_sent(packet)
            return
        flags = packet.flags
        seq = packet.seq
        if flags & RST:
            if self._rcv_nxt <= seq <= max(self._rcv_adv, self._rcv_nxt):
                self._take_reset()
            return
        if flags & SYN:
            # Ours got lost, or a rebooted peer opens anew and answers our ACK with RST (RFC 9293 3.5.2).
            if state == SYN_RECEIVED:
                self._send_syn()
            else:
                self._ack()
            return
        if not flags & ACK:
            return
        if not self._take_ack(packet):
            return
        if packet.payload or flags & FIN:
            self._take_data(packet)
        if self.state == CLOSED:
            return
        self._output()
        if self._ack_now:
            self._ack()

    # --- opening ---

    def _start(self, state: str) -> None:
        # RFC 9293 3.4.1: a clock of 4 us keeps packets of an older connection with these ports out.
        self._snd_una = self._snd_nxt = self._snd_max = self.clock.now_us // 4
        self._out_seq = self._snd_una + 1
        self.state = state
        self._send_syn()

    def _send_syn(self) -> None:
        self._emit(SYN if self.state == SYN_SENT else SYN | ACK, self._snd_una)
        if self._snd_max == self._snd_una:
            self._timed_seq, self._timed_at = self._snd_una + 1, self.clock.now_us
        else:
            self._timed_seq = -1
        self._snd_nxt = self._snd_max = self._snd_una + 1
        self._arm_retransmission()

    def _take_syn(self, packet: Packet) -> None:
        self._rcv_nxt = self._rcv_adv = packet.seq + 1
        known = HEADERS + MSS_OPTION * bool(packet.mss) + TIMESTAMPS_OPTION * packet.timestamps
        self._syn_options = packet.length - known
        self._timestamps = self._timestamps and packet.timestamps
        peer = packet.mss or DEFAULT_MSS
        self._segment_size = max(min(self._mss, peer) - (TIMESTAMPS_OPTION if self._timestamps else 0), 1)
        self._cwnd = INITIAL_WINDOW * self._segment_size
        self._ssthresh = 1 << 30
        self._take_window(packet.ack, packet.window)

    def _deliver_in_syn_sent(self, packet: Packet) -> None:
        flags = packet.flags
        acks_syn = flags & ACK and packet.ack == self._snd_una + 1
        if flags & RST:
            if acks_syn:
                self._finish(REFUSED)
        elif flags & ACK and not acks_syn:
            self._emit_packet(reset_for(packet))
        elif flags & SYN and acks_syn:
            self._take_syn(packet)
            self._established(packet.ack)
            self._ack_now = True
            self.on_connected()
            self._output()
            if self._ack_now:
                self._ack()

    def _established(self, ack: int) -> None:
        self.state = ESTABLISHED
        self._sample_round_trip(ack)
        if self._unanswered:
            self._rto = RTO_AFTER_LOST_SYN_US
            self._cwnd = self._segment_size
        self._backoff = self._unanswered = 0
        self._snd_una = ack
        self._deadline = -1

    # --- acknowledgements and sending ---

    def _take_ack(self, packet: Packet) -> bool:
        """False when the packet is to be ignored beyond this."""
        ack = packet.ack
        if self.state == SYN_RECEIVED:
            if ack != self._snd_una + 1:
                self._emit_packet(reset_for(packet))
                return False
            self._established(ack)
            self._take_window(ack, packet.window)
            self.on_connected()
            return self.state != CLOSED
        if ack > self._snd_max:
            self._ack()
            return False
        una = self._snd_una
        duplicate = (
            ack == una
            and self._snd_nxt > ack  # a reply to a window probe is not one
            and not packet.payload
            and not packet.flags & FIN
            and ack + packet.window == self._snd_end
        )
        self._take_window(ack, packet.window)  # first: whoever is told of the acknowledgement may send at once
        if ack > una:
            self._take_new_ack(ack)
        elif duplicate:
            self._take_duplicate_ack()
        if self._snd_nxt == self._snd_una:
            self._unanswered = 0  # a probed peer that answers lives, however long its window stays shut
        return self.state != CLOSED

    def _take_window(self, ack: int, window: int) -> None:
        # No receiver here takes back what it has announced, so a packet that says less has been overtaken.
        self._snd_end = max(self._snd_end, ack + window)
        if window > self._max_snd_wnd:
            self._max_snd_wnd = window
        if window and self._snd_nxt == self._snd_una:
            self._backoff = 0

    def _take_new_ack(self, ack: int) -> None:
        acked = ack - self._snd_una
        self._sample_round_trip(ack)
        self._backoff = self._unanswered = self._dup_acks = 0
        size = self._segment_size
        out_acked = min(ack - self._out_seq, len(self._out))
        del self._out[:out_acked]
        self._out_seq += out_acked
        fin_acked = ack > self._out_seq
        self._snd_una = ack
        if self._snd_nxt < ack:
            self._snd_nxt = ack
        if self._in_recovery:
            if ack >= self._recover:
                self._in_recovery = False
                self._cwnd = self._ssthresh
            else:  # partial: the next hole is lost too (RFC 6582 3.2)
                self._cwnd = max(self._cwnd - acked + size, size)
                self._retransmit()
        elif self._cwnd < self._ssthresh:
            self._cwnd += min(acked, size)
        else:
            self._cwnd += max(size * size // self._cwnd, 1)
        if self._snd_max > ack:
            self._arm_retransmission()
        else:
            self._deadline = -1
        if fin_acked:
            self._take_fin_ack()
        if out_acked and self.state != CLOSED:
            self.on_acked()

    def _take_duplicate_ack(self) -> None:
        self._dup_acks += 1
        size = self._segment_size
        if self._in_recovery:
            self._cwnd += size
        elif self._dup_acks == 3 and self._snd_una > self._recover:
            self._ssthresh = max((self._snd_max - self._snd_una) // 2, 2 * size)
            self._recover = self._snd_max
            self._in_recovery = True
            self._retransmit()
            self._cwnd = self._ssthresh + 3 * size

    def _output(self) -> None:
        """Sends what the windows and Nagle's algorithm let go now."""
        if self.state not in _MAY_SEND:
            return
        size = self._segment_size
        first = self._snd_nxt
        while True:
            nxt = self._snd_nxt
            pending = self._out_seq + len(self._out) - nxt
            in_flight = nxt - self._snd_una
            if pending > 0:
                n = min(pending, size, self._snd_end - nxt, self._cwnd - in_flight)
                if n <= 0:
                    break
                if n < size:
                    if n < pending:
                        if 2 * n < self._max_snd_wnd:
                            break  # sender's silly window avoidance, RFC 9293 3.8.6.2.1
                    elif self._nagle and in_flight and not self._fin_queued and nxt == self._snd_max:
                        break
                self._segment(nxt, n)
            elif pending == 0 and self._fin_queued:
                self._segment(nxt, 0)
            else:
                break
        sent_from_idle = first == self._snd_una < self._snd_nxt
        if sent_from_idle or (self._deadline < 0 and (pending > 0 or self._snd_max > self._snd_una)):
            self._arm_retransmission()

    def _segment(self, seq: int, n: int) -> None:
        """Sends `n` octets of the queue from `seq` on, with the FIN when they are the last."""
        assert n <= max(self._snd_end - seq, 1), "a segment past the peer's window"  # but for a probe's octet
        at = seq - self._out_seq
        end = at + n
        flags = ACK
        nxt = seq + n
        if end == len(self._out):
            if n:
                flags |= PSH
            if self._fin_queued:
                flags |= FIN
                nxt += 1
        if seq < self._snd_max:
            self.retransmissions += 1
            if seq < self._timed_seq <= self._snd_max:
                self._timed_seq = -1  # Karn: a retransmitted segment gives no sample
        elif self._timed_seq < 0:
            self._timed_seq, self._timed_at = nxt, self.clock.now_us
        if nxt > self._snd_nxt:
            self._snd_nxt = nxt
            if nxt > self._snd_max:
                self._snd_max = nxt
        self._emit(flags, seq, bytes(self._out[at:end]) if n else b"")
        if flags & FIN:
            self.state = _AFTER_FIN_SENT.get(self.state, self.state)

    def _retransmit(self) -> None:
        """Sends the first unacknowledged segment again."""
        una = self._snd_una
        self._segment(una, min(self._out_seq + len(self._out) - una, self._segment_size, self._snd_end - una))

    # --- receiving ---

    def _take_data(self, packet: Packet) -> None:
        if self.state not in _MAY_RECEIVE:
            self._ack_now = True  # a retransmitted FIN
            if self.state == TIME_WAIT:
                self._arm(TIME_WAIT_US)
            return
        seq = packet.seq
        payload = packet.payload
        if packet.flags & FIN:
            self._fin_seq = seq + len(payload)
        skip = self._rcv_nxt - seq
        keep = self._rcv_adv - seq
        if skip > 0 or keep < len(payload):
            self._ack_now = True  # a duplicate, or beyond the window: tell the sender where we are
            payload = payload[max(skip, 0) : max(keep, 0)]
            seq = max(seq, self._rcv_nxt)
        if seq > self._rcv_nxt:
            self._ack_now = True  # a hole: RFC 5681 4.2
            if payload and len(payload) > len(self._later.get(seq, b"")):
                self._later[seq] = payload
            return
        if payload and self._app_gone:
            self.abort()
            self.on_closed(RESET)
            return
        if payload:
            self._in += payload
            self._rcv_nxt += len(payload)
            if self._later:
                self._ack_now = True
                self._join_later()
        fin = self._rcv_nxt == self._fin_seq
        if payload:
            self._segments_unacked += 1
            if self._segments_unacked >= 2:
                self._ack_now = True
            elif not self._ack_now:
                self._ack_later()
        if fin:
            self._rcv_nxt += 1
            self._ack_now = True
            self.peer_closed = True
            self.state = _AFTER_FIN_RECEIVED[self.state]
        if payload:
            self.on_readable()
        if fin and self.state != CLOSED:
            self.on_peer_closed()
            if self.state == TIME_WAIT:
                self._wait_out()

    def _join_later(self) -> None:
        for seq in sorted(self._later):
            if seq > self._rcv_nxt:
                break
            payload = self._later.pop(seq)
            new = payload[self._rcv_nxt - seq :]
            self._in += new
            self._rcv_nxt += len(new)

    def _window(self) -> int:
        free = self._receive_buffer - len(self._in)
        held = self._rcv_adv - self._rcv_nxt
        # Receiver's silly window avoidance, RFC 9293 3.8.6.2.2; the right edge never goes back.
        if free - held >= min(self._mss, (self._receive_buffer + 1) // 2):
            return free
        return max(held, 0)

    def _ack_later(self) -> None:
        self._ack_deadline = self.clock.now_us + DELAYED_ACK_US
        if self._ack_timer is None:
            self._ack_timer = self.clock.at(self._ack_deadline, self._on_ack_timer)

    def _on_ack_timer(self) -> None:
        self._ack_timer = None
        if self._ack_deadline > self.clock.now_us:
            self._ack_timer = self.clock.at(self._ack_deadline, self._on_ack_timer)
        elif self._ack_deadline >= 0:
            self._ack()

    def _ack(self) -> None:
        self._emit(ACK, self._snd_nxt)

    def _emit(self, flags: int, seq: int, payload: bytes = b"") -> None:
        length = HEADERS + len(payload)
        mss = 0
        if self._timestamps:
            length += TIMESTAMPS_OPTION
        if flags & SYN:
            mss = self._mss
            length += MSS_OPTION + self._syn_options
        ack = window = 0
        if flags & ACK:
            ack = self._rcv_nxt
            window = self._window()
            self._rcv_adv = ack + window
            self._segments_unacked = 0
            self._ack_now = False
            self._ack_deadline = -1
        else:
            window = self._receive_buffer
        src, dst, timestamps = self.local, self.remote, self._timestamps
        self._emit_packet(Packet(TCP, src, dst, length, payload, flags, seq, ack, window, mss, timestamps))

    # --- time ---

    def _sample_round_trip(self, ack: int) -> None:
        if 0 <= self._timed_seq <= ack:
            sample = self.clock.now_us - self._timed_at
            self._timed_seq = -1
            if self._srtt is None:
                self._srtt = sample
                self._rttvar = sample // 2
            else:
                self._rttvar += (abs(self._srtt - sample) - self._rttvar) // 4
                self._srtt += (sample - self._srtt) // 8
            self._rto = min(max(self._srtt + 4 * self._rttvar, MIN_RTO_US), MAX_RTO_US)

    def _arm_retransmission(self) -> None:
        self._arm(min(self._rto << self._backoff, MAX_RTO_US))

    def _arm(self, delay_us: int) -> None:
        # Most deadlines only move on, so the timer is left where it is and looks again when it fires.
        self._deadline = deadline = self.clock.now_us + delay_us
        timer = self._timer
        if timer is None or timer.t_us > deadline:
            if timer is not None:
                timer.cancel()
            self._timer = self.clock.at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline > self.clock.now_us:
            self._timer = self.clock.at(self._deadline, self._on_timer)
        elif self._deadline >= 0:
            self._deadline = -1
            self._expire()

    def _expire(self) -> None:
        if self.state == TIME_WAIT:
            self._release()
            return
        opening = self.state in (SYN_SENT, SYN_RECEIVED)
        self._unanswered += 1
        if self._unanswered > (self._syn_retries if opening else self._retries):
            self._finish(TIMED_OUT)
            return
        self._backoff = min(self._backoff + 1, 6)
        if opening:
            self.retransmissions += 1
            self._send_syn()
        elif self._snd_nxt == self._snd_una:
            self._probe()
        else:
            self._ssthresh = max((self._snd_max - self._snd_una) // 2, 2 * self._segment_size)
            self._cwnd = self._segment_size
            self._recover = self._snd_max
            self._in_recovery = False
            self._dup_acks = 0
            self._timed_seq = -1
            self._snd_nxt = self._snd_una
            self._output()

    def _probe(self) -> None:
        """Sends past a shut or silly window: one octet, or what there is room for (RFC 9293 3.8.6.1)."""
        pending = self._out_seq + len(self._out) - self._snd_una
        if pending > 0:
            seq = self._snd_una
            room = self._snd_end - seq
            self._segment(seq, min(pending, max(room, 1), self._segment_size))
            if not room:
                self._snd_nxt = seq  # not counted as in flight: the window decides when it goes for good
            self._arm_retransmission()

    # --- states ---

    def _take_fin_ack(self) -> None:
        if self.state == FIN_WAIT_1:
            self.state = FIN_WAIT_2
        elif self.state == CLOSING:
            self._wait_out()
        elif self.state == LAST_ACK:
            self._finish(DONE)

    def _wait_out(self) -> None:
        self.state = TIME_WAIT
        self._arm(TIME_WAIT_US)
        self.on_closed(DONE)

    def _take_reset(self) -> None:
        if self.state == TIME_WAIT:
            self._release()
        elif self.state in (CLOSING, LAST_ACK) and not self._out:
            self._finish(DONE)  # only the ACK of our FIN got lost: no error, RFC 9293 3.10.7.4
        else:
            self._finish(RESET)

    def _finish(self, reason: str) -> None:
        self._release()
        self.on_closed(reason)

    def _release(self) -> None:
        self.state = CLOSED
        self._deadline = self._ack_deadline = -1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        self.on_released()


def reset_for(packet: Packet) -> Packet:
    """The RST that answers a TCP packet of no connection (RFC 9293 3.10.7.1)."""
    if packet.flags & ACK:
        return Packet(TCP, packet.dst, packet.src, HEADERS, b"", RST, packet.ack)
    end = packet.seq + len(packet.payload) + bool(packet.flags & SYN) + bool(packet.flags & FIN)
    return Packet(TCP, packet.dst, packet.src, HEADERS, b"", RST | ACK, 0, end)


def _nothing() -> None:
    pass


def _nothing_of(_: str) -> None:
    pass
