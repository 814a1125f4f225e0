"""Random plans: one table that both sides read, the guard as its configuration and the carrier as its rules."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

FAMILIES = ("quota", "overage", "package", "account", "lifecycle", "pool", "daily", "endless", "quotas")
MARGIN, RESERVE = 1_500, 3_000
DAY_MARGIN, DAY_RESERVE = 700, 1_200
DAY_S = 86_400


@dataclass
class Sold:
    """`start` of the world, the device's `plan`, what else the `carrier` table says, how often the owner looks, and the
    `quotas` of classes, 0 for none."""

    start: datetime
    plan: dict
    carrier: dict
    news_s: int
    quotas: tuple = ()


@st.composite
def sold(draw, family):
    """A plan in which the family's table is sure to be, and any other may."""

    def some(name, others=1):
        return family == name or draw(st.integers(0, others)) == 0

    offset = draw(st.sampled_from([480, 480, 0, -720, 840, 345]))
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
        days=draw(st.integers(0, 800)), seconds=draw(st.sampled_from([0, 1, 57_599, 57_600, 80_000]))
    )
    today = (start + timedelta(minutes=offset)).date()
    pool = family == "pool"
    hours, roaming = family == "hours", family == "roaming"
    apart = hours or roaming
    life = not apart and some("lifecycle", 7)
    allowance = draw(st.integers(20, 90)) * 1_000
    kinds = ["cutoff", "none"] if pool else ["cutoff", "throttle", "none", "overage"]
    if family == "endless":
        kinds = ["cutoff", "cutoff", "throttle", "overage"]
    if apart:
        kinds = ["cutoff", "cutoff", "throttle", "overage"]
    if family == "account":
        kinds += ["overage"] * 4  # or it is fees alone that cost money
    plan = {
        "allowance_octets": allowance,
        "on_exhaustion": "overage" if family == "overage" else draw(st.sampled_from(kinds)),
        "utc_offset_min": offset,
        "margin_octets": MARGIN,
        "reserve_octets": RESERVE,
        "warn_forecast": draw(st.booleans()),
        "pace": draw(st.booleans()),
    }
    carrier = {}
    tiers = [{"from_octets": 0, "block_octets": draw(st.integers(1, 9)) * 1_024, "fen": draw(st.integers(0, 9))}]
    if draw(st.booleans()):
        tiers.append(
            {"from_octets": draw(st.integers(1, 20_000)), "block_octets": 1_000, "fen": draw(st.integers(0, 20))}
        )
    if plan["on_exhaustion"] == "overage" or (life and draw(st.booleans())):
        plan["overage"] = {"tiers": tiers}
        if draw(st.integers(0, 3)):
            plan["overage"]["cost_cap_fen"] = draw(st.integers(0, 120))
        if draw(st.booleans()):
            plan["overage"]["cap_octets"] = allowance + draw(st.integers(0, 40_000))
    activated = today - timedelta(days=draw(st.sampled_from([0, 0, 1, 5, 20])))
    endless = not pool and family == "endless"
    rolling = not (endless or (pool and life)) and draw(st.integers(0, 3)) == 0
    package = not (endless or (pool and life)) and some("package", 3)
    if package:
        months = draw(st.sampled_from([1, 1, 2, 3]))
        whole = draw(st.booleans())
        renew = draw(st.integers(0, 2))
        plan["package"] = {"months": months, "slice": "whole" if whole else "month", "renew_months": renew}
        rolling = rolling and not whole
    if rolling:
        plan["cycle_days"] = draw(st.sampled_from([1, 2, 7, 30]))
    elif endless:
        plan |= {"endless": True, "warn_forecast": False, "pace": False}
    elif not package or plan["package"]["slice"] == "month":
        plan["cycle_start_day"] = draw(st.one_of(st.integers(1, 31), st.just(today.day)))
    if (rolling or package or endless) and not life:
        plan["activated"] = activated.isoformat()
    if some("account", 2):
        plan["account"] = {"balance_fen": draw(st.integers(0, 90)), "fee_fen": draw(st.sampled_from([0, 10, 60]))}
    if life:
        test = draw(st.booleans())
        until = today + timedelta(days=draw(st.integers(1, 20)))
        silent = draw(st.sampled_from([0, 1, 40]))
        plan["lifecycle"] = {
            "billing_from": (_first_after(until + timedelta(days=silent)) if silent else until).isoformat(),
            "on_silence": draw(st.sampled_from(["hold", "use"])),
        }
        if test:
            plan["lifecycle"] |= {"test_octets": draw(st.integers(8, 20)) * 1_000, "test_until": until.isoformat()}
            if "overage" in plan:
                plan["lifecycle"]["on_test_exhausted"] = draw(st.sampled_from(["stop", "charge"]))
    if pool:
        plan["pool"] = {
            "first_grant_octets": draw(st.integers(0, 8_000)),
            "holding_s": draw(st.sampled_from([0, 0, 3_600, 2 * DAY_S])),
            "on_silence": draw(st.sampled_from(["terminate", "continue", "retry_and_terminate"])),
        }
        carrier["pool"] = {"allowance_octets": draw(st.integers(30, 200)) * 1_000}
        if draw(st.booleans()):
            carrier["pool"]["members"] = [{"octets_per_hour": draw(st.integers(0, 300)), "count": 2}]
    if plan["on_exhaustion"] == "throttle" or draw(st.integers(0, 4)) == 0:
        plan["throttle"] = {"rate_octets_s": 1 << 20, "burst_octets": 1 << 24}
        if plan["on_exhaustion"] != "throttle" and not pool and draw(st.booleans()):
            plan["throttle"]["from_octets"] = draw(st.integers(1_000, allowance))
    if hours:
        begin, length = draw(st.integers(0, 47)), draw(st.integers(1, 47))
        plan["hours"] = {"from": _half_hours(begin), "to": _half_hours(begin + length)}
        if draw(st.integers(0, 3)):
            plan["hours"]["allowance_octets"] = draw(st.integers(1_000, 60_000))
        plan["hours"]["charged_permille"] = draw(st.sampled_from([0, 0, 1, 333, 999]))
    elif roaming:
        own = draw(st.sampled_from([400_000, 100_000, 40_000, 9_000, 0]))
        plan["roaming"] = {"allowance_octets": own, "margin_octets": 0}
    elif not pool and some("daily", 7):
        daily = plan["daily"] = {}
        if "throttle" in plan and draw(st.booleans()):
            daily["slow_octets"] = draw(st.integers(1_000, 20_000))
        if not daily or draw(st.booleans()):
            daily["cap_octets"] = draw(st.integers(DAY_MARGIN + DAY_RESERVE + 1_024, 30_000))
            daily |= {"margin_octets": DAY_MARGIN, "reserve_octets": DAY_RESERVE}
    if draw(st.integers(0, 2)) == 0:
        plan["burst"] = {"factor": 2, "floor_octets": 4_096, "window_s": 3_600, "hold_s": 7_200}
    carrier["lag_s"] = draw(st.sampled_from([0, 0, 1_800, 40_000]))
    carrier["daily_figures"] = draw(st.integers(0, 3)) == 0
    if draw(st.integers(0, 3)) == 0:
        carrier |= {"late_permille": 300, "late_s": DAY_S}
    quotas = (draw(st.integers(3_000, 30_000)), draw(st.sampled_from([0, 9_000]))) if family == "quotas" else ()
    return Sold(start, plan, carrier, draw(st.sampled_from([0, 3_600])), quotas)


def _half_hours(n):
    return f"{n // 2 % 24:02}:{n % 2 * 30:02}"


def _first_after(day):
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
