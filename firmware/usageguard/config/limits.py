"""Computes the limits and marks of a plan, with defaults for margin and reserve."""

from usageguard.core.days import DayCycle
from usageguard.core.octets import MAX
from usageguard.core.plan import Plan

WARN_PERMILLE = (500, 800, 900)
LEASE_MIN_OCTETS = 1024
_YEAR_S = 366 * 86400


def make_plan(
    allowance,
    cycle,
    rating,
    exhaustion="cutoff",
    warn_permille=WARN_PERMILLE,
    margin_octets=None,
    reserve_octets=None,
    tariff=None,
    cap_octets=None,
    warn_cost_fen=(),
):
    """A Plan with its limits; see Plan for the arguments. `cap_octets`: the most octets of a period, None for no
    cap."""
    plan = Plan(allowance, cycle, rating, exhaustion)
    plan.tariff = tariff
    if exhaustion == "overage":
        beyond = tariff.cap_octets()
        plan.ceiling = min(cap_octets or MAX, MAX if beyond is None else allowance + beyond)
    elif exhaustion in ("cutoff", "test"):
        plan.ceiling = allowance
    elif exhaustion == "throttle":
        plan.slow_limit = allowance
    plan.margin_octets = default_margin(allowance) if margin_octets is None else margin_octets
    plan.reserve_octets = default_reserve(allowance, rating) if reserve_octets is None else reserve_octets
    if plan.ceiling < MAX:
        plan.report_limit = plan.ceiling - plan.margin_octets
        plan.local_limit = plan.report_limit - plan.reserve_octets
    plan.warn_permille = warn_permille
    plan.warn_cost_fen = warn_cost_fen
    marks = [allowance * permille // 1000 for permille in warn_permille]
    for fen in warn_cost_fen:
        free = tariff.octets_for(fen - 1)
        marks.append(MAX if free is None else allowance + free + 1)
    plan.warn_marks = tuple(marks)
    if allowance > 1 << 30:
        # A larger lease wears the flash less, a smaller one loses less in a power cut; both effects are below 1 %. With
        # 256 KiB, 5 GB a month need 100,000 erases in a century.
        plan.lease_max_octets = 262144
    period_s = longest_period_s(cycle)
    if period_s > _YEAR_S:
        # What power cuts charge without use adds up over years: a lease is a small part of what a day may use.
        a_day = allowance * 86400 // period_s
        plan.lease_max_octets = max(4096, min(plan.lease_max_octets, a_day >> 4))
    return plan


def longest_period_s(cycle):
    """Seconds of the longest period that `cycle` can have."""
    cycle = getattr(cycle, "cycle", cycle)
    return cycle.length * (1 if isinstance(cycle, DayCycle) else 31) * 86400


def default_margin(allowance):
    """0.5 % of the allowance, 8 KiB to 1 MiB: at least a few packets in flight."""
    return max(8192, min(allowance // 200, 1048576))


def default_reserve(allowance, rating):
    """0.5 % of the allowance, 16 KiB to 1 MiB, for about a hundred reports; at least one rounded-up session."""
    return max(16384, min(allowance // 200, 1048576), rating.session_round_octets)


def usable_min(plan):
    """The least local limit with which something can be sent: one lease, or one rounded-up session."""
    return max(LEASE_MIN_OCTETS, plan.rating.session_round_octets)
