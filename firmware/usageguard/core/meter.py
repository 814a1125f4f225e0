"""What sockets carry, in IP octets and packets, and its fusion with the modem's own counter.

The model prices what a socket operation will cost before it happens: payload, IP and TCP/UDP headers, handshakes, the
acknowledgements of both sides (one for each segment, the most that a peer sends without loss), DNS. What the modem's
counter shows later replaces the model, without ever lowering what was already charged:

    confirmed   octets that the counter has shown since it was anchored
    excess      charged minus confirmed
    pending     charged and perhaps not yet confirmed: all since the last reading, and before it what was to be sent and
                may have waited in the modem

After every charge and every reading excess >= pending, hence charged >= confirmed + pending >= what crossed, but for
retransmissions since the last reading, which only the next reading can show. A charge is first paid from the excess, so
that the model's surplus is not charged twice.
"""

from usageguard.compat import const

IP_TCP = const(40)  # IPv4 20 (RFC 791) + TCP 20 (RFC 9293), without options
IP_UDP = const(28)  # IPv4 20 + UDP 8 (RFC 768)
# MSS on an MTU of 1400, the smallest in common use on LTE; longer writes are priced as more segments
SEGMENT = const(1360)
OPEN_TCP = const(172)  # SYN and SYN-ACK with all options 60 each, ACK 52
CLOSE_TCP = const(208)  # FIN and ACK of both sides, 52 each
OPEN_CLOSE_PACKETS = const(7)
DNS_FIXED = const(136)  # query 28+12+6, reply 28+12+6+16+28 (with a CNAME); both carry the name besides
COUNTER_SLACK = const(65_536)  # a burst out of the modem's buffers, seen at once
MOST = const((1 << 29) - 1)  # that the ledger takes at once
COUNTER_OCTETS_PER_S = const(1_250_000)  # 10 Mbit/s, LTE category 1 downlink (3GPP TS 36.306 table 4.1-1)


class Meter:
    """Prices and charges; `carried` and `rated` hold the figures of the last call (a pair would be an allocation)."""

    def __init__(self, rating):
        self._per_packet = rating.per_packet_octets
        self._margin = self._own_margin = rating.margin_permille
        self._session_round = rating.session_round_octets
        self.carried = 0  # IP octets
        self.rated = 0  # the same by the plan's rating
        self._later = self._later_rated = 0  # the part of the price that may leave the modem later
        self._payload = self._payload_later = 0
        self.counted = False  # the modem's counter is anchored and followed
        self.slack = 0  # charged by the model alone and perhaps not carried, since `slack` was last set to 0
        self.forfeited = 0  # pending at the last `forfeit`: what of it crosses after that is charged again
        self._read_since = True  # `forfeit`
        self._forget()

    def _forget(self):
        self.excess = self._excess_rated = 0
        self._pending = self._pending_rated = 0
        self.window = 0  # charged since the last reading
        # What may leave later: of the present interval between shifts, and of the one before.
        self._sent = self._sent_rated = self._sent_payload = 0
        self._waiting = self._waiting_rated = self._waiting_payload = 0
        self._crossed_payload = 0  # payload that has crossed for certain and was not yet taken from the headers
        self._datagrams = 0
        self._headers = 0  # octets of headers not yet told apart into packets

    def learn(self, permille):
        """The carrier was seen to add so much to the plan's rating, 0 or more."""
        self._margin = self._own_margin + permille

    # Prices. HOT: small integers only.

    def _rate(self, octets, packets):
        octets += packets * self._per_packet
        return octets + (octets * self._margin + 999) // 1000 if self._margin else octets

    def price_sent(self, tcp, n):
        """`n` octets of payload to be sent (at most 64 KiB), with the acknowledgements that they cause."""
        segments = (n + SEGMENT - 1) // SEGMENT
        if tcp:
            self.carried = n + segments * (2 * IP_TCP)
            self.rated = self._rate(self.carried, 2 * segments)
        else:
            self.carried = n + segments * IP_UDP
            self.rated = self._rate(self.carried, segments)
            self._datagrams += segments
        self._later = self.carried
        self._later_rated = self.rated
        self._payload = 0
        self._payload_later = n

    def price_received(self, tcp, n):
        """`n` octets of payload that arrived, with the acknowledgements that they cause."""
        self.price_sent(tcp, n)
        segments = (n + SEGMENT - 1) // SEGMENT if tcp else 0
        self._later = segments * IP_TCP
        self._later_rated = self._rate(self._later, segments)
        self._payload = n
        self._payload_later = 0

    def price_unseen(self, tcp, n):
        """`n` octets of payload that perhaps arrived."""
        self.price_sent(tcp, n)
        self._payload_later = 0  # no payload that is known: all of it may be surplus, or headers

    def price_open(self, tcp, name_octets):
        """A handshake and the close that will follow; `name_octets` of a host name to look up, 0 for an address."""
        carried = packets = 0
        if name_octets:
            carried = DNS_FIXED + 2 * name_octets
            packets = 2
        if tcp:
            carried += OPEN_TCP + CLOSE_TCP
            packets += OPEN_CLOSE_PACKETS
        self.carried = self._later = carried
        self.rated = self._later_rated = self._rate(carried, packets)
        self._payload = self._payload_later = 0

    def price_session(self):
        """A new data session, whose end the plan may round up to a whole block."""
        self.carried = self._later = self._later_rated = self._payload = self._payload_later = 0
        self.rated = max(0, self._session_round - 1)

    def charge(self):
        """Charges the last price; `carried` and `rated` become what is to be spent for it now. HOT."""
        if not self.counted:
            self.slack += self.carried - self._payload - self._payload_later
            return
        self.window += self.carried
        self._pending += self.carried
        self._pending_rated += self.rated
        self._sent += self._later
        self._sent_rated += self._later_rated
        self._sent_payload += self._payload_later
        self._crossed_payload += self._payload
        self._cover()

    def _cover(self):
        short = self._pending - self.excess
        if short > 0:
            self.excess += short
            self.carried = short
        else:
            self.carried = 0
        short = self._pending_rated - self._excess_rated
        if short > 0:
            self._excess_rated += short
            self.rated = short
        else:
            self.rated = 0

    # The modem's counter. Cold: readings are rare.

    def anchor(self, excess, excess_rated):
        """Follows the counter from its present reading on; `excess` octets were charged before and did not cross."""
        self._forget()
        self.counted = True
        self.excess = excess
        self._excess_rated = excess_rated

    def lose(self):
        """The counter's epoch ended, as at a restart of the modem: what was charged stands."""
        self.counted = False
        self.slack += self.excess
        self._forget()

    def reading(self, delta, shift, doubtful=False):
        """The counter grew by `delta` octets since its last reading; `carried`, `rated` become what is to be spent now.

        `shift`: so much time has passed since the last reading with a shift that what was to be sent before that one
        has left the modem, or never will. `doubtful`: the counter was wrong, or began anew.
        """
        # Headers tell how many packets the octets were. Payload is held against them once it has crossed for certain.
        self._headers += delta - self._crossed_payload - self._datagrams * IP_UDP
        packets = self._headers // IP_TCP
        self._headers -= packets * IP_TCP
        self._crossed_payload = 0
        rated = self._rate(delta, packets + self._datagrams)
        self._datagrams = 0
        late = max(0, delta - self.excess)
        late_rated = max(0, rated - self._excess_rated)
        if doubtful:
            self.slack += delta
        elif not self._read_since:  # beyond what was forfeited, the model did not know of it: it may be as old
            self.slack += max(0, late - self.forfeited)
        self._read_since = True
        self.excess += late - delta
        self._excess_rated += late_rated - rated
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
        self._cover()
        self.carried += late
        self.rated += late_rated

    def forfeit(self):
        """What was charged until now pays for nothing that comes: that may belong to another cycle."""
        self.slack += self.excess
        self.forfeited = self._pending
        self._read_since = False
        self.excess = self._excess_rated = 0
        self._pending = self._pending_rated = 0
        self._sent = self._sent_rated = self._waiting = self._waiting_rated = 0

    def keep(self, carried, rated):
        """A period began in which so much of what was charged counts: a surplus beyond it pays for nothing there."""
        if self.excess > carried or self._excess_rated > rated:
            self.forfeit()

    def worst(self, octets):
        """Rated octets of `octets` if every packet of them were the smallest."""
        return self._rate(octets, octets // IP_UDP + 1)

    def bound(self):
        """Octets that the charges may be above what was carried: the model's surplus that no reading has settled."""
        return self.excess + self.slack


def plausible(delta, elapsed_ms):
    """What a line can carry of a counter's growth in `elapsed_ms`; the rest is the counter's fault."""
    return min(delta, COUNTER_SLACK + (elapsed_ms // 1000 + 1) * COUNTER_OCTETS_PER_S, MOST)
