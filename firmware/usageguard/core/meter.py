"""Counts what sockets carry in IP octets and packets, and combines that with the modem's own counter.

A model prices each socket operation before it happens: payload, IP and TCP/UDP headers, handshakes, the
acknowledgements of both sides (one for each segment, the most that a peer sends without loss), DNS. The modem's counter
corrects the model later, but never lowers what has been charged:

    confirmed   octets that the counter has shown since it was anchored
    excess      charged minus confirmed
    pending     charged and perhaps not confirmed yet: everything since the last reading, and before it what was to be
                sent and may have been waiting in the modem

After every charge and every reading excess >= pending, hence charged >= confirmed + pending >= what crossed the air,
except for retransmissions since the last reading, which the next reading shows. A charge is paid from the excess first,
so that a surplus of the model is not charged twice.
"""

from usageguard.compat import const

IP_TCP = const(40)  # IPv4 20 (RFC 791) + TCP 20 (RFC 9293), without options
IP_UDP = const(28)  # IPv4 20 + UDP 8 (RFC 768)
# TCP payload of the shortest full segment to be expected: for an MTU of 1280, the least that IPv6, and so a tunnel, may
# have (RFC 8200 5). Mobile networks have down to 1342 (FirstNet); TS 23.501 annex J reckons with 1358.
SEGMENT = const(1240)
_OPEN_TCP = const(172)  # SYN and SYN-ACK with all options 60 each, ACK 52
_CLOSE_TCP = const(208)  # FIN and ACK of both sides, 52 each
_OPEN_CLOSE_PACKETS = const(7)
DNS_FIXED = const(136)  # query 28+12+6, reply 28+12+6+16+28 (with a CNAME); both contain the name in addition
_DNS_LEAST = const(52)  # of that, the payload of both without the CNAME
_MSS_OPTIONS = const(8)  # of the SYN and the SYN-ACK: every SYN should have one (RFC 9293 3.7.1)
COUNTER_SLACK = const(65_536)  # the modem's buffers, which a single reading may show at once
MOST = const((1 << 29) - 1)  # the most that the ledger charges in one call
_COVERED = const(4)  # unnoticed resets of the counter that are paid for in advance
COUNTER_OCTETS_PER_S = const(1_250_000)  # 10 Mbit/s, LTE category 1 downlink (3GPP TS 36.306 table 4.1-1)


class Meter:
    """Prices and charges. `carried` and `rated` are the result of the last call, as returning a pair would allocate.

    `open_close`, settable: octets of a TCP connection's handshake and close.
    """

    open_close = _OPEN_TCP + _CLOSE_TCP

    def __init__(self, rating):
        self._per_packet = rating.per_packet_octets
        self._margin = self._own_margin = rating.margin_permille
        self.session_round = rating.session_round_octets
        self._paid = 0  # rated octets of the session's last block that are paid and not used yet
        self.packets = self.sessions = 0  # in this period and boot, as charged; for reports
        self._packets = 0  # of the last price
        self.carried = 0  # IP octets
        self.rated = 0  # the same by the plan's rating
        self.spare = 0  # octets that the last segment of `price_received` has room for
        self._later = self._later_rated = 0  # the part of the price that may leave the modem after the operation
        self._payload = self._payload_later = 0
        self.counted = False  # the modem's counter is in use
        self.slack = 0  # charged by the model alone and perhaps not carried, since the caller last set it to 0
        self.forfeited = 0  # pending at the last `forfeit`: charged again if it crosses later
        self._read_since = True  # `forfeit`
        self.cover = self.cover_rated = 0  # what `trim` kept not for suspected resets, since the caller set it to 0
        self._forget()

    def _forget(self):
        # Charged, and not yet shown by the counter: what may still cross, and what pays for charges to come. Where the
        # modem does not count, all of it is surplus, until `left`.
        self._pending = self._pending_rated = 0
        self._surplus = self._surplus_rated = 0
        self.window = 0  # charged since the last reading
        # What may leave the modem later: since the last shift, and of the interval before. Where the modem does not
        # count, the latter is what was last taken to have left.
        self._sent = self._sent_rated = self._sent_payload = 0
        self._waiting = self._waiting_rated = self._waiting_payload = 0
        self._crossed_payload = 0  # payload that has certainly crossed and is not yet subtracted from the counter
        self._datagrams = 0
        self._headers = 0  # octets of headers not yet converted into packets

    def learn(self, permille):
        """Adds `permille` (0 or more), which the carrier's figures have shown, to the plan's rating."""
        self._margin = self._own_margin + permille

    # Prices. HOT: small integers only.

    def _rate(self, octets, packets):
        octets += packets * self._per_packet
        return octets + (octets * self._margin + 999) // 1000 if self._margin else octets

    def price_sent(self, tcp, n, spare=0):
        """`n` octets of payload to be sent (at most 64 KiB), with the acknowledgements that they cause. Returns the
        segments. `spare`: see price_received."""
        segments = (n - spare + SEGMENT - 1) // SEGMENT
        if tcp:
            self._packets = 2 * segments
            self.carried = rated = n + segments * (2 * IP_TCP)
        else:
            self._packets = segments
            self.carried = rated = n + segments * IP_UDP
            self._datagrams += segments
        self._later = rated
        rated += self._packets * self._per_packet
        if self._margin:
            rated += (rated * self._margin + 999) // 1000
        self.rated = self._later_rated = rated
        self._payload = 0
        self._payload_later = n
        return segments

    def price_received(self, tcp, n, spare=0):
        """`n` octets of payload that arrived, with the acknowledgements that they cause.

        `spare`: what this method set `self.spare` to for the octets before these, if these continue their stream
        without a gap: the last segment of one piece is then the first of the next; else 0.
        """
        segments = self.price_sent(tcp, n, spare)
        self.spare = spare + segments * SEGMENT - n
        if not tcp:
            segments = 0
        self._later = segments * IP_TCP
        self._later_rated = self._rate(self._later, segments)
        self._payload = n
        self._payload_later = 0

    def price_unseen(self, tcp, n):
        """`n` octets of payload that perhaps arrived."""
        self.price_sent(tcp, n)
        self._payload_later = 0  # no payload is known: all of it may be surplus or headers
        self._packets = 0

    def price_open(self, tcp, name_octets):
        """A handshake and the close that will follow; `name_octets` of a host name to look up, 0 for an address."""
        carried = packets = 0
        if name_octets:
            carried = DNS_FIXED + 2 * name_octets
            packets = 2
        if tcp:
            carried += self.open_close
            packets += _OPEN_CLOSE_PACKETS
        self.carried = self._later = carried
        self.rated = self._later_rated = self._rate(carried, packets)
        self._payload = self._payload_later = 0
        self._packets = packets

    def connected(self):
        """A handshake is over."""
        if self.counted:
            self._crossed_payload += _MSS_OPTIONS

    def looked_up(self, name_octets):
        """A name was looked up on the air: at least so much of what the counter shows is no header."""
        if self.counted:
            self._datagrams += 2
            self._crossed_payload += _DNS_LEAST + 2 * name_octets

    def begin_session(self):
        """A data session began, or goes on in a new period. Where the plan rounds sessions up, what is charged next
        pays a new block, and the last session's surplus pays for nothing in this one: it might save a block here."""
        if self.session_round:
            self._paid = 0
            self._surplus_rated = self._pending_rated = self._sent_rated = self._waiting_rated = 0

    def due(self, rated, spent):
        """What has to be paid for `rated` octets more in this session, `spent` now or not: whole blocks, where the plan
        rounds sessions up. HOT."""
        block = self.session_round
        if not block:
            return rated
        held = block + block * self._margin // 1000  # rounded down, as the carrier adds its margin to the sum
        blocks = (max(0, rated - self._paid) + held - 1) // held
        if spent:
            self._paid += blocks * held - rated
        return blocks * self._rate(block, 0)  # the margin is added to what was rounded up

    def pay(self, rated):
        """As `due`, for octets that are spent now. HOT."""
        return self.due(rated, True)

    def charge(self):
        """Charges the last price; `carried` and `rated` become what is to be spent for it now. HOT."""
        carried = self.carried
        self.packets += self._packets
        self.window += carried
        if not self.counted:
            self.slack += carried - self._payload - self._payload_later
            self._surplus += self._payload_later
            return
        rated = self.rated
        self._pending += carried
        self._pending_rated += rated
        if self._later:
            self._sent += self._later
            self._sent_rated += self._later_rated
        if self._payload:
            self._crossed_payload += self._payload
        else:
            self._sent_payload += self._payload_later
        if self._surplus or self._surplus_rated:
            self._surplus -= carried
            self._surplus_rated -= rated
            self._pay_short()

    def _pay_short(self):
        """What the surplus falls short of is to be spent."""
        self.carried = self.rated = 0
        if self._surplus < 0:
            self.carried = -self._surplus
            self._surplus = 0
        if self._surplus_rated < 0:
            self.rated = -self._surplus_rated
            self._surplus_rated = 0

    # The modem's counter. Cold: readings are rare.

    def anchor(self, excess, excess_rated):
        """Starts to use the counter at its present reading; `excess` octets were charged before and have not
        crossed."""
        self._forget()
        self.counted = True
        self._surplus = excess
        self._surplus_rated = excess_rated

    def lose(self, settled=False):
        """Stops using the counter, as after a restart of the modem; charges are kept. Returns what `anchor` may begin
        with where all that was sent before had been read, `settled`: the surplus."""
        self.counted = False
        surplus = surplus_rated = 0
        if settled:
            surplus, surplus_rated = self._surplus, self._surplus_rated
        self.slack += self.excess() - surplus
        self._forget()
        return surplus, surplus_rated

    def left(self, lost=False, before=False):
        """What was to be sent has left the modem; or some of it is `lost`, so that it may never; with `before` nor what
        was taken to have left then, as a send may fail later than that. No effect where the modem counts: its
        readings tell."""
        if not self.counted:
            if lost:
                self.slack += self._surplus + (self._waiting if before else 0)
                self._waiting = 0
            elif self._surplus:
                self._waiting = self._surplus
            self._surplus = self.window = 0

    def reading(self, delta, shift, doubtful=False, quiet=False):
        """The counter grew by `delta` octets since the last reading; `carried` and `rated` become what is to be
        charged.

        `shift`: enough time has passed since the last reading with `shift` that everything to be sent before that one
        has left the modem or never will. `doubtful`: the counter was wrong or was reset. `quiet`: so much time has
        passed since the last charge.
        """
        if quiet:
            shift = True
            self._crossed_payload += self._waiting_payload + self._sent_payload
            self._sent = self._sent_rated = self._waiting_payload = self._sent_payload = 0
        # The number of packets follows from the headers: the counter minus the payload that has certainly crossed.
        self._headers += delta - self._crossed_payload - self._datagrams * IP_UDP
        packets = self._headers // IP_TCP
        self._headers -= packets * IP_TCP
        self._crossed_payload = 0
        rated = self._rate(delta, packets + self._datagrams)
        self._datagrams = 0
        left = self.excess() - delta
        left_rated = self._pending_rated + self._surplus_rated - rated
        late = max(0, -left)
        late_rated = max(0, -left_rated)
        if doubtful:
            self.slack += delta
        elif not self._read_since:  # the model did not price it, so it may be of the period before
            self.slack += max(0, late - self.forfeited)
        self._read_since = True
        self.window = 0
        if shift:
            self._waiting = self._waiting_rated = 0
        self._pending = self._waiting + self._sent
        self._pending_rated = self._waiting_rated + self._sent_rated
        if shift:
            self._waiting = self._sent
            self._waiting_rated = self._sent_rated
            self._crossed_payload = self._waiting_payload
            self._waiting_payload = self._sent_payload
            self._sent = self._sent_rated = self._sent_payload = 0
        self._surplus = left + late - self._pending
        self._surplus_rated = left_rated + late_rated - self._pending_rated
        self._pay_short()
        self.carried += late
        self.rated += late_rated

    def trim(self, suspected=False):
        """Keeps no surplus: what the last reading did not show may have crossed all the same. Where a reset of the
        counter that hid it is only `suspected`, until what was not kept for that pays for several such."""
        surplus, surplus_rated = self._surplus, self._surplus_rated
        if suspected:
            if self.cover >= _COVERED * surplus and self.cover_rated >= _COVERED * surplus_rated:
                return
            self.cover += surplus
            self.cover_rated += surplus_rated
        self.slack += surplus
        self._surplus = self._surplus_rated = 0

    def forfeit(self):
        """Charges until now pay for nothing that crosses later, as that may belong to the next period."""
        self.slack += self.excess()
        self.forfeited = self._pending
        self._read_since = False
        self._surplus = self._surplus_rated = 0
        self._pending = self._pending_rated = 0
        self._sent = self._sent_rated = self._waiting = self._waiting_rated = 0

    def keep(self, carried, rated):
        """A period began, to which so much of the charges counts; `forfeit`s a larger surplus."""
        self.cover = self.cover_rated = 0
        if self.excess() > carried or self._pending_rated + self._surplus_rated > rated:
            self.forfeit()

    def worst(self, octets):
        """Rated octets of `octets` if they were all in packets of the least size."""
        return self._rate(octets, octets // IP_UDP + 1)

    def excess(self):
        """Octets that were charged and that no reading has shown."""
        return self._pending + self._surplus

    def bound(self):
        """Octets by which the charges may be above what was carried: the model's surplus, as far as no reading
        corrected it. HOT."""
        return self.excess() + self.slack


def plausible(delta, elapsed_ms):
    """The part of a counter's growth `delta` that a line can carry in `elapsed_ms`; the rest is an error of the
    counter."""
    return min(delta, COUNTER_SLACK + (elapsed_ms // 1000 + 1) * COUNTER_OCTETS_PER_S, MOST)
