"""A data plan and what follows from it, as values. All quantities are octets of one billing period.

    0 ........ shed limit of a class ........ local_limit ... report_limit ... allowance
               that class stops               all stop but    the device is    the carrier
                                              the reserve     silent           stops the SIM

Integers here may be big ints on a 32-bit board: they are for set-up; what is compared per packet is made
into Octets by `usageguard.core.policy`.
"""

WARN_PERMILLE = (500, 800, 900)
LEASE_MIN_OCTETS = 1024


class Rating:
    """How the carrier turns IP octets into billed ones.

    `per_packet_octets` is added to every packet (50..54 where the tunnel's headers are billed), each
    session is rounded up to a multiple of `session_round_octets` (0: not), and the sum grows by
    `margin_permille`.
    """

    def __init__(self, per_packet_octets=0, session_round_octets=0, margin_permille=0):
        self.per_packet_octets = per_packet_octets
        self.session_round_octets = session_round_octets
        self.margin_permille = margin_permille


class TrafficClass:
    """A kind of traffic: the Rating-Group of RFC 8506.

    It stops at `shed_permille` of the allowance, or at the plan's local limit if that comes first. The
    one class that `uses_reserve` goes on to the report limit.
    """

    def __init__(self, name, rating_group, uses_reserve=False, shed_permille=1000):
        self.name = name
        self.rating_group = rating_group
        self.uses_reserve = uses_reserve
        self.shed_permille = shed_permille


class Plan:
    """`allowance` octets per `cycle` (a Cycle), rated by `rating`; what happens beyond is `exhaustion`.

    `margin_octets` stays unused for what the carrier sees and the device does not; `reserve_octets` is kept
    for the class that reports. `warn_permille` are rising thresholds of the allowance.
    """

    def __init__(
        self,
        allowance,
        cycle,
        rating,
        exhaustion="cutoff",
        warn_permille=WARN_PERMILLE,
        margin_octets=None,
        reserve_octets=None,
    ):
        if margin_octets is None:
            margin_octets = default_margin(allowance)
        if reserve_octets is None:
            reserve_octets = default_reserve(allowance, rating)
        self.allowance = allowance
        self.cycle = cycle
        self.rating = rating
        self.exhaustion = exhaustion
        self.warn_permille = warn_permille
        self.margin_octets = margin_octets
        self.reserve_octets = reserve_octets
        self.report_limit = allowance - margin_octets
        self.local_limit = self.report_limit - reserve_octets
        # A larger lease wears the flash less, a smaller one loses less in a power cut: a share of a percent
        # either way. 256 KiB keeps a plan of 5 GB a month on 100,000 erases for a century.
        self.lease_max_octets = 262144 if allowance > 1 << 30 else 65536

    def share(self, permille):
        """That part of the allowance, in octets."""
        return self.allowance * permille // 1000

    def limit(self, traffic_class):
        """Rated octets of the period at which a class stops."""
        if traffic_class.uses_reserve:
            return self.report_limit
        return min(self.share(traffic_class.shed_permille), self.local_limit)

    def usable_min(self):
        """The least local limit with which anything can be sent: one lease, and one rounded-up session."""
        return max(LEASE_MIN_OCTETS, self.rating.session_round_octets)


def default_margin(allowance):
    """0.5 % of the allowance, 8 KiB to 1 MiB: some packets in flight at least."""
    return max(8192, min(allowance // 200, 1048576))


def default_reserve(allowance, rating):
    """0.5 % of the allowance, 16 KiB to 1 MiB: a hundred reports; no less than one rounded-up session."""
    return max(16384, min(allowance // 200, 1048576), rating.session_round_octets)
