"""A data plan and what follows from it, as values. All quantities are octets of one billing period.

    0 ........ shed limit of a class ........ local_limit ... report_limit ... ceiling
               that class stops               all stop but    the device is    the carrier stops the SIM,
                                              the reserve     silent           or a cap would be broken

The ceiling is the allowance, or, where usage beyond it is billed, what the caps of cost and octets allow.

Integers here may be big ints on a 32-bit board, as they are used at set-up only: `usageguard.core.policy` makes Octets
of what is compared for each packet.
"""

from usageguard.core.cycle import add_months
from usageguard.core.octets import MAX

SHED_STEP_PERMILLE = 50  # between the shed limits of two priorities


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

    It stops at `shed_permille` of the ceiling (of the allowance without a ceiling), or at the plan's local limit if
    that is less; if it is `paced`, also at the daily budget. The one class that `uses_reserve` goes on to the report
    limit. `quota_octets` are the most that it may use of the period, 0 for no such quota.
    """

    quota_octets = 0

    def __init__(self, name, rating_group, uses_reserve=False, shed_permille=1000, paced=True):
        self.name = name
        self.rating_group = rating_group
        self.uses_reserve = uses_reserve
        self.shed_permille = shed_permille
        self.paced = paced and not uses_reserve


class Plan:
    """`allowance` octets per period of `cycle` (core.cycle), rated by `rating`. `exhaustion` is what happens beyond:

    "cutoff"    the carrier stops the SIM until the next period
    "overage"   it bills what is beyond by `tariff` (a Tariff); the device stops at its cost cap, or at `cap_octets`
    "throttle"  it slows the SIM down, and so does the device
    "none"      nothing
    "test"      as "cutoff", in the test period

    `margin_octets` stays unused, for what the carrier counts and the device does not; `reserve_octets` is kept for the
    class that reports. `warn_permille` are rising thresholds of the allowance, `warn_cost_fen` of the cost;
    `warn_marks` are both in octets. `slow_limit` is where the carrier slows the SIM down. A limit that does not exist
    is MAX. `usageguard.config.limits.make_plan` sets the limits.

    What a plan may have beside the quota, None or 0 where it has not (CONFIG.md says what each means):
    `package_months`, `activated`, `renew_months`, `warn_days`, `warn_forecast`, `pace`, `balance_fen`, `fee_fen`,
    `hold_silent`, `hold_doubt`, `throttle` (core.bucket.ThrottleTerms), `burst` (core.burst.BurstTerms), `pool`
    (core.account.pool.PoolTerms), `daily` (core.account.daily.DailyTerms), `hours` and `roaming` (HourTerms and
    RoamingTerms of core.account.counters), `test` (the Plan of the test period). These classes are in the modules that
    only such a plan loads. `quotas`: a traffic class, or what is used in those hours or while the SIM roams, has one of
    its own. `apart`: the plan has `hours` or `roaming`.
    """

    def __init__(self, allowance, cycle, rating, exhaustion="cutoff"):
        self.allowance = allowance
        self.cycle = cycle
        self.rating = rating
        self.exhaustion = exhaustion
        self.tariff = None
        self.ceiling = self.report_limit = self.local_limit = self.slow_limit = MAX
        self.margin_octets = self.reserve_octets = 0
        self.warn_permille = self.warn_cost_fen = self.warn_days = self.warn_marks = ()
        self.warn_forecast = self.pace = self.hold_silent = self.hold_doubt = self.quotas = self.apart = False
        self.package_months = self.activated = self.renew_months = 0
        self.balance_fen = None
        self.fee_fen = 0
        self.throttle = self.burst = self.pool = self.daily = self.hours = self.roaming = self.test = None
        self.lease_max_octets = 65536

    @property
    def expiry_day(self):
        """The local day with whose start the package ends, 0 for a plan that is not a package."""
        first = getattr(self.cycle, "billing_day", self.activated)
        return add_months(first, self.package_months) if self.package_months else 0

    @property
    def days_bit(self):
        """The number of the first warning of `warn_days`; those of octets and cost come before."""
        return len(self.warn_marks)

    @property
    def forecast_bit(self):
        """The number of the forecast's warning."""
        return len(self.warn_marks) + len(self.warn_days)

    @property
    def cycle_warnings(self):
        """Bitmap of the warnings that a new period clears."""
        return (1 << len(self.warn_marks)) - 1 | 1 << self.forecast_bit

    def warning(self, bit):
        """The code of warning number `bit`, such as "used-800"."""
        for kind, thresholds in (("used", self.warn_permille), ("cost", self.warn_cost_fen), ("days", self.warn_days)):
            if bit < len(thresholds):
                return "%s-%d" % (kind, thresholds[bit])
            bit -= len(thresholds)
        return "forecast"

    def limit(self, traffic_class):
        """Rated octets of the period at which a class stops."""
        if traffic_class.uses_reserve:
            return self.report_limit
        if traffic_class.shed_permille == 1000:
            return self.local_limit
        whole = self.ceiling if self.ceiling < MAX else self.allowance
        return min(whole * traffic_class.shed_permille // 1000, self.local_limit)

    def cost_fen(self, used):
        """What `used` octets of a period cost beyond the plan, in fen."""
        return self.tariff.cost(max(0, used - self.allowance)) if self.tariff else 0
