"""Generates the random scenario of a seed: plan, traffic, orders, the carrier's actions, faults.

All draws come from the seed, so a seed always gives the same scenario. It is a table as read from a TOML file
(`write.text` writes it), so a failing scenario can be shortened, kept and run again as a file.
"""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone
from typing import Any

from host_tools.sim.modem import models
from host_tools.sim.modem.dialects import DIALECTS
from host_tools.soak import field

Table = dict[str, Any]

KB = 1024
HOUR = 3_600
MARGIN_OCTETS = 40 * KB
"""Covers a reply on its way when the stop comes (12 KB), twice the modem's buffer, and the last report."""
RESERVE_OCTETS = 12 * KB
QUIET_S = 3 * HOUR
"""The end of each scenario is free of faults, so that everything that ends by itself can end."""
MOST_REPLY = 12_000

FIRST_SOCKET = {"ca": 2, "sequans": 1}
"""The modem's number for a driver's first connection, where that is not 0."""

KINDS = (
    "cutoff", "cutoff", "overage", "overage", "throttle", "none", "days", "month", "package", "whole", "pool", "test",
    "silent", "account",
)  # fmt: skip


def generate(seed: int, only: str = "", modem: str = "") -> Table:
    """The scenario of this seed; `only`: with this kind from the field (field.FIELD) and no other; `modem`: with this
    profile, in place of one that ships, which the seed decides."""
    rng = random.Random(f"soak/{seed}")
    kind = rng.choice(KINDS)
    if kind not in field.PLANS.get(only, (kind,)):
        kind = random.Random(f"kind/{seed}").choice(field.PLANS[only])
    zone = timezone(timedelta(minutes=rng.choice((480, 480, 480, 0, -300, 345))))
    # Most scenarios contain a cycle boundary, 1 to 6 hours after the start.
    day = date(2026, rng.choice((1, 2, 3, 4, 12)), rng.choice((28, 27, 15, 1)))
    start = datetime.combine(day, datetime.min.time(), zone) - timedelta(seconds=rng.randrange(HOUR, 6 * HOUR, 60))
    active_s = rng.randrange(2 * HOUR, 6 * HOUR, 60)
    scenario: Table = {
        "title": f"Soak, seed {seed}: {kind}",
        "seed": seed,
        "start": start,
        "duration": span(active_s + QUIET_S),
        "modem": modem or random.Random(f"modem/{seed}").choice(models.with_sockets()),
        "plan": {},
        "upstream": {"host": "collector", "interval_s": rng.choice((1800, 3600))},
        "carrier": {},
        "network": {"loss_permille": rng.choice((0, 0, 0, 20, 80))},
        "host": [{"name": "collector", "kind": "collector"}, {"name": "api", "kind": "responder"}],
        "traffic": _traffic(rng, active_s),
    }
    if rng.random() < 0.3:
        scenario["upstream"]["sms_number"] = "+8613800138000"
    _plan(rng, kind, scenario, start, day)
    profile = models.load(scenario["modem"])
    scenario["plan"]["allowance_octets"] += 2 * max(0, profile.sockets.receive_octets - field.WINDOW)
    _owner(rng, kind, scenario, active_s)
    scenario["fault"] = _faults(rng, active_s)
    field.draw(seed, kind, scenario, active_s, day, only)
    scenario["fault"] = [_spelled(fault, profile.dialect) for fault in scenario["fault"]]
    return {key: value for key, value in scenario.items() if value not in ([], {})}


def span(seconds: int) -> str:
    """Seconds as a span in a scenario."""
    return f"{seconds}s"


def _traffic(rng: random.Random, active_s: int) -> list[Table]:
    habits = []
    for name in rng.sample(("telemetry", "telemetry", "ota"), rng.randrange(1, 3)):
        habit: Table = {
            "class": name,
            "kind": "request",
            "host": "api",
            "period": span(rng.randrange(active_s // 8, active_s // 2)),
            "tx": rng.choice((8, 100, 700, 1_460, 3_000)),
            "rx": rng.choice((0, 40, 1_400, 6_000, MOST_REPLY)),
        }
        if rng.random() < 0.5:
            habit["from"] = span(rng.randrange(0, HOUR))
        habits.append(habit)
    return habits


def _plan(rng: random.Random, kind: str, scenario: Table, start: datetime, day: date) -> None:
    plan, carrier = scenario["plan"], scenario["carrier"]
    tight = rng.random() < 0.7
    plan["allowance_octets"] = (92 if tight else 400) * KB + rng.randrange(0, 64 * KB)
    plan["margin_octets"] = MARGIN_OCTETS
    plan["reserve_octets"] = RESERVE_OCTETS
    offset = start.utcoffset()
    assert offset is not None
    plan["utc_offset_min"] = offset // timedelta(minutes=1)
    rating = {"per_packet_octets": rng.choice((0, 0, 14, 50)), "session_round_octets": rng.choice((0, 0, 0, KB))}
    permille = rng.choice((0, 0, 15))
    plan["rating"] = {**rating, "margin_permille": permille}
    carrier.update(rating, permille=permille, lag_s=rng.choice((0, 60, 900, 2 * HOUR)))
    plan["pace"] = rng.random() < 0.1
    if rng.random() < 0.15:
        plan["burst"] = {"factor": 4, "floor_octets": 6 * KB, "window_s": 1_800, "hold_s": HOUR}
    if kind == "month":
        # Every period holds a month of reports.
        plan["cycle_start_day"] = day.day
        plan["allowance_octets"] += 400 * KB
        scenario["upstream"]["interval_s"] = 3 * HOUR
    elif kind in ("package", "whole"):
        months = rng.choice((1, 3))
        # Its first month ends within the scenario, or not.
        activated = day - timedelta(days=rng.choice((28, 29, 30, 31, 40)))
        plan["activated"] = activated.isoformat()
        plan["package"] = {"months": months, "slice": "whole" if kind == "whole" else "month", "renew_months": 1}
        plan["allowance_octets"] += 1500 * KB if kind == "whole" and months == 3 else 500 * KB
        scenario["upstream"]["interval_s"] = 3 * HOUR
    elif kind in ("test", "silent"):
        life: Table = {"on_silence": rng.choice(("hold", "use"))}
        if kind == "test":
            life.update(test_octets=plan["allowance_octets"], on_test_exhausted="stop")
            life["test_until"] = day.isoformat()
            life["billing_from"] = (day + timedelta(days=rng.choice((0, 31)))).isoformat()
        else:
            life["billing_from"] = day.isoformat()
        plan["lifecycle"] = life
        plan["allowance_octets"] += 400 * KB
        scenario["upstream"]["interval_s"] = 3 * HOUR
    else:
        plan["cycle_days"] = rng.choice((1, 1, 2))
        if plan["cycle_days"] > 1:
            scenario["upstream"]["interval_s"] = HOUR  # a period's reports have to fit
        plan["activated"] = (start.date() - timedelta(days=rng.randrange(0, 3))).isoformat()
    if kind == "throttle":
        plan["on_exhaustion"] = "throttle"
        plan["throttle"] = {"rate_octets_s": rng.choice((500, 2 * KB))}
    elif kind == "none":
        plan["on_exhaustion"] = "none"
    elif kind in ("overage", "account"):
        plan["on_exhaustion"] = "overage"
        scenario["upstream"]["interval_s"] = HOUR
        plan["cycle_days"] = 1
        plan["allowance_octets"] = 20 * KB + rng.randrange(0, 40 * KB)
        tiers = [{"from_octets": 0, "block_octets": rng.choice((KB, 10 * KB)), "fen": rng.choice((1, 7))}]
        if rng.random() < 0.5:
            tiers.append({"from_octets": 40 * KB, "block_octets": 4 * KB, "fen": 9})
        plan["overage"] = {"tiers": tiers}
        if rng.random() < 0.8:
            # Enough for margin, reserve and something to use.
            price = tiers[0]["fen"] / tiers[0]["block_octets"] + (9 / (4 * KB) if len(tiers) > 1 else 0)
            plan["overage"]["cost_cap_fen"] = int(price * (110 * KB + rng.randrange(0, 60 * KB))) + 20
        if kind == "account" or rng.random() < 0.2:
            plan["account"] = {"balance_fen": rng.randrange(-20, 200), "fee_fen": rng.choice((0, 10, 150))}
    elif kind == "pool":
        plan["pool"] = {
            "first_grant_octets": rng.choice((8, 16, 64)) * KB,
            "holding_s": rng.choice((0, HOUR)),
            "on_silence": rng.choice(("terminate", "continue", "retry_and_terminate")),
        }
        hourly = rng.choice((0, 10, 60)) * KB
        carrier["pool"] = {"allowance_octets": rng.choice((300, 2_000)) * KB}
        if hourly:
            carrier["pool"]["members"] = [{"octets_per_hour": hourly, "count": rng.choice((1, 4))}]
        scenario["owner"] = {"news_s": span(1_800), "valid_s": span(rng.choice((2 * HOUR, 24 * HOUR)))}


def _owner(rng: random.Random, kind: str, scenario: Table, active_s: int) -> None:
    """Actions at the carrier's platform and orders of the owner."""
    actions: list[Table] = []
    orders: list[Table] = []

    def at() -> str:
        return span(rng.randrange(600, active_s))

    for _ in range(rng.choice((0, 0, 1, 2))):
        choices: list[Table] = [{"action": "stop"}, {"action": "resume"}, {"action": "deactivate"}]
        choices += [{"action": "throttle", "rate_octets_s": 4 * KB}, {"action": "unthrottle"}]
        if "account" in scenario["plan"]:
            choices += [{"action": "recharge", "fen": rng.randrange(1, 400)}] * 4
        if "package" in scenario["plan"]:
            choices += [{"action": "renew", "months": 3}] * 3
        if kind == "pool":
            choices += [{"action": "top_up_pool", "octets": 500 * KB}] * 3
        actions.append({"at": at(), **rng.choice(choices)})
        if actions[-1]["action"] == "stop":
            actions.append({"at": span(active_s), "action": "resume", "reason": "manual"})
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        choices = [{"stop": True}, {"stop": False}, {"stop": True}, {"throttle_octets_s": rng.choice((0, KB))}]
        choices += [{"limit_octets": rng.choice((0, 10 * KB, 60 * KB))}, {"release": True}, {"accept": True}]
        choices += [{"set_used_octets": rng.choice((0, 10 * KB, 50 * KB))}]
        if kind == "pool":
            choices += [{"grant_octets": rng.choice((0, 20 * KB, 100 * KB))}] * 2
        if "account" in scenario["plan"]:
            choices += [{"balance_fen": rng.randrange(-50, 300)}]
        order = rng.choice(choices)
        if rng.random() < 0.2:
            order = {**order, **rng.choice(choices)}
        orders.append({"at": at(), **order})
    if rng.random() < 0.15:
        scenario.setdefault("owner", {})["push"] = ["carrier_used", *_needed(scenario["plan"])]
    scenario["platform"] = actions
    scenario["order"] = orders


def _needed(plan: Table) -> list[str]:
    """What the owner must push for such a plan."""
    news = {"account": "balance", "package": "expiry", "pool": "grant", "lifecycle": "billing"}
    return [push for table, push in news.items() if table in plan]


def _faults(rng: random.Random, active_s: int) -> list[Table]:
    """Random faults, each over before the last `QUIET_S`; commands are named as in `Dialect.commands`."""
    most = active_s // 6 * 1000
    found = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5))):
        ms = rng.randrange(1_000, most)
        fault = rng.choice(
            (
                {"kind": "power_cut", "off": span(rng.choice((1, 20, 600, active_s // 4)))},
                {"kind": "power_cut", "off": span(5)},
                {"kind": "reset", "cause": rng.choice(("watchdog", "hard", "soft"))},
                {"kind": "reset", "cause": "watchdog"},
                {"kind": "reboot"},
                {"kind": "hang"},
                {"kind": "brown_out", "ms": rng.choice((1_000, 60_000))},
                {"kind": "no_coverage", "ms": ms},
                {"kind": "sim_out", "ms": ms},
                {"kind": "garbage", "octets": rng.choice((3, 40, 400))},
                {"kind": "counter_reset"},
                {"kind": "counter_jump", "rx": rng.choice((3_000, 3 << 30))},
                {"kind": "network_time", "error_s": rng.choice((-9_000, 86_400, 31 * 86_400, 3_650 * 86_400))},
                {"kind": "half_open", "id": 0},
                {"kind": "dead_session"},
                {"kind": "echo_on"},
                {"kind": "send_fail", "count": 2},
                {"kind": "unanswered", "command": rng.choice(("*", "send", "read", "counter")), "count": 1},
                {"kind": "response_lost", "command": rng.choice(("*", "send", "read")), "count": 1},
                {"kind": "answer", "command": rng.choice(("open", "up", "counter")), "count": 1},
                {"kind": "urc_lost", "prefix": "news", "count": 1},
                {"kind": "stall_inside", "command": "read", "ms": 900},
            )
        )
        found.append({"at": span(rng.randrange(60, active_s - most // 1000)), **fault})
    return sorted(found, key=lambda fault: int(fault["at"][:-1]))


def _spelled(fault: Table, dialect: str) -> Table:
    """The fault in the dialect's words. A command that a dialect does not have becomes any command."""
    spelled = dict(fault)
    if fault.get("command", "").isalpha():
        spelled["command"] = DIALECTS[dialect].commands.get(fault["command"], "*")
    if fault.get("prefix") == "news":
        spelled["prefix"] = DIALECTS[dialect].news
    if fault["kind"] == "half_open":
        spelled["id"] += FIRST_SOCKET.get(dialect, 0)
    return spelled
