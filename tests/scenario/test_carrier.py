"""The scenario's carrier: what `[carrier]` leaves to `[plan]`, and what happens on the platform in its time."""

from datetime import date, datetime

import msgspec
import pytest

from host_tools.base.errors import UsageError
from host_tools.scenario import file as scenario
from host_tools.scenario.carrier import Carrier, CarrierConfig, schedule
from host_tools.sim.carrier import Enforcement, Funds, Lifecycle, Package, Rating, SimPlan, Tier
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet

MB = 1024 * 1024
START = datetime.fromisoformat("2026-03-10T00:00:00+08:00")

# What a device's plan may say, its own keys among it.
PLAN = {
    "allowance_octets": 30 * MB,
    "on_exhaustion": "overage",
    "cycle_start_day": 27,
    "utc_offset_min": 420,
    "warn_permille": [500],
    "activated": "2026-01-15",
    "rating": {"per_packet_octets": 14, "margin_permille": 20},
    "overage": {"tiers": [{"from_octets": 0, "block_octets": MB, "fen": 29}], "cost_cap_fen": 500},
    "package": {"months": 6, "slice": "month", "renew_months": 2},
    "account": {"balance_fen": 5_000, "fee_fen": 900},
    "lifecycle": {"test_octets": MB, "test_until": "2026-04-01", "billing_from": "2026-10-01", "on_silence": "hold"},
    "throttle": {"rate_octets_s": 16_000, "burst_octets": 800},
}


def carrier(**given):
    return msgspec.convert(given, Carrier, dec_hook=lambda kind, value: kind.parse(value))


def test_the_plan_is_stated_once():
    made = CarrierConfig(carrier(), PLAN)
    assert made.enforcement == Enforcement(
        "overage", tiers=(Tier(0, MB, 29),), rate_octets_s=16_000, burst_octets=1_500, queue_octets=65_536
    )
    assert made.sim_plan == SimPlan(
        30 * MB,
        27,
        activated=date(2026, 1, 15),
        package=Package(6, "month", 2),
        funds=Funds(5_000, 900),
        lifecycle=Lifecycle(MB, date(2026, 4, 1), "stop", billing_from=date(2026, 10, 1)),
        utc_offset_min=420,
    )
    assert made.rating == Rating(), "what the bill really adds is the carrier's to say"


def test_only_what_the_carrier_says_differs():
    made = CarrierConfig(
        carrier(
            allowance_octets="20MB",
            enforcement="throttle",
            stop_cause=8,
            cycle_days=30,
            activated="2026-02-01",
            lag_s=60,
            late_permille=10,
            late_s=3600,
            account={"balance_fen": -5},
            throttle={"rate_octets_s": "2KB", "queue_octets": 4_000},
            package={"months": 3, "slice": "month"},
            lifecycle={},
        ),
        PLAN,
    )
    assert made.enforcement == Enforcement("throttle", 8, (Tier(0, MB, 29),), 2_048, 3_000, 4_000)
    assert made.sim_plan == SimPlan(
        20 * MB,
        cycle_days=30,
        activated=date(2026, 2, 1),
        package=Package(3),
        funds=Funds(-5),
        lifecycle=Lifecycle(),
        utc_offset_min=420,
    )
    assert made.rating == Rating(lag_s=60, late_permille=10, late_s=3_600)


def test_a_plain_plan_is_cut_off():
    made = CarrierConfig(carrier(), {"allowance_octets": 5})
    assert (made.enforcement, made.sim_plan) == (Enforcement(), SimPlan(5))


def test_pool_is_opened_with_its_virtual_members():
    pool = {"allowance_octets": "1MB", "members": [{"octets_per_hour": "1KB", "count": 9, "from": "1h", "until": "3h"}]}
    plan = {"allowance_octets": 1_000, "pool": {"first_grant_octets": 9, "holding_s": 60}}
    made = CarrierConfig(carrier(pool=pool), plan)
    clock = Clock(START)
    built = made.build(clock, Internet(clock, None), EventLog(clock), "1")  # type: ignore[arg-type]
    news = built.news("1")
    assert (news.pool_members, news.pool_remaining, news.sim_cap) == (10, MB, 1_000)
    clock.run_until(86_400 * S)
    assert built.news("1").pool_remaining == MB - 2 * 9 * 1024


@pytest.mark.parametrize(
    ("given", "plan", "message"),
    [
        ({}, {"pool": {}}, "carrier.pool: is missing, and the plan is a pool's; give the whole pool"),
        ({"allowance_octets": 0}, {}, "carrier: allowance_octets 0 is not 1 or more; correct it here or in [plan]"),
        ({"enforcement": "overage"}, {}, "carrier: overage needs tiers"),
        ({"enforcement": "throttle"}, {}, "carrier: rate_octets_s 0 is not a rate"),
        ({"cycle_days": 30}, {}, "carrier: cycle_days, package and endless need the day of activation"),
        ({"cycle_days": 30, "activated": "2026-03-11"}, {}, "carrier: activated 2026-03-11 is after the start"),
        ({"overage": {"tiers": [{"from_octets": 1, "block_octets": 1, "fen": 1}]}}, {}, "carrier: tiers begin at"),
        ({"pool": {"allowance_octets": 0}}, {}, "carrier: a pool's allowance_octets 0"),
        (
            {"pool": {"allowance_octets": 1}},
            {"on_exhaustion": "throttle", "throttle": {"rate_octets_s": 1}},
            "carrier: a pool's SIMs",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(given, plan, message):
    with pytest.raises(UsageError) as caught:
        CarrierConfig(carrier(**given), {"allowance_octets": 1_000, **plan}, "x.toml").check(START)
    assert str(caught.value).startswith(f"x.toml: {message}")


GOOD = """
title = "A test"
start = 2026-03-10T00:00:00+08:00
duration = "30d"
[plan]
allowance_octets = "30MB"
[carrier]
enforcement = "cutoff"
account = { balance_fen = 5 }
package = { months = 1, slice = "month" }
activated = 2026-02-15
pool = { allowance_octets = "1GB" }
"""

# [[platform]] tables, one of each kind, and the events or the figure that each leaves behind.
ACTIONS = [
    ('action = "stop"', "stopped", "manual"),
    ('action = "stop"\n[[platform]]\nat = "2h"\naction = "resume"\nreason = "manual"', "restored", "manual"),
    ('action = "recharge"\nfen = 3', "recharged", "by_hand"),
    ('action = "renew"\nmonths = 2', "renewed", "by_hand"),
    ('action = "throttle"\nrate_octets_s = "16KB"', "throttled", "manual"),
    ('action = "throttle"\nrate_octets_s = 5\n[[platform]]\nat = "2h"\naction = "unthrottle"', "unthrottled", "manual"),
    ('action = "top_up_pool"\noctets = "1MB"', "pool-topped-up", "by_hand"),
    ('action = "set_cap"\noctets = 0', "cap", "by_hand"),
]


@pytest.mark.parametrize(("table", "what", "reason"), ACTIONS)
def test_each_action_happens_in_its_time(table, what, reason):
    read = scenario.loads(f'{GOOD}\n[[platform]]\nat = "1h"\n{table}\n', "good.toml")
    clock = Clock(read.start)
    log = EventLog(clock)
    built = read.carrier_config.build(clock, Internet(clock, None), log, "1")  # type: ignore[arg-type]
    schedule(read.actions, clock, built, "1")
    at = int(read.actions[-1].at) * S
    clock.run_until(at - 1)
    assert what not in [event["what"] for event in log.events]
    clock.run_until(at)
    assert (log.events[-1]["what"], log.events[-1]["reason"]) == (what, reason)


def test_the_network_can_refuse_and_deactivate():
    tables = '[[platform]]\nat = "1h"\naction = "deactivate"\n[[platform]]\nat = "2h"\naction = "refuse"\ncause = 7\n'
    read = scenario.loads(GOOD + tables, "good.toml")
    clock = Clock(read.start)
    built = read.carrier_config.build(clock, Internet(clock, None), EventLog(clock), "1")  # type: ignore[arg-type]
    schedule(read.actions, clock, built, "1")
    ended = []
    built.activate("1", print, lambda: ended.append(clock.now_us))
    clock.run_until(2 * 3600 * S)
    assert ended == [3600 * S]
    assert built.register("1") == 7


BAD = [
    ('at = "31d"\naction = "stop"', "platform #1, at: is after the end"),
    ('at = "1d"\naction = "strike"', 'platform #1, action: "strike" is not known here'),
    ('at = "1d"', "platform #1, action: is missing"),
    ('action = "stop"', "platform #1, at: is missing; give the time after the start"),
    ('at = "1d"\naction = "stop"\nfen = 1', "platform #1, fen: no such field"),
    ('at = "1d"\naction = "resume"\nreason = "expired"', 'platform #1, reason: "expired" is not known here'),
    ('at = "1d"\naction = "recharge"\nfen = 0', "platform #1, fen: 0 is out of range; give 1 or more"),
    ('at = "1d"\naction = "renew"', "platform #1, months: is missing"),
    ('at = "1d"\naction = "throttle"\nrate_octets_s = 0', "platform #1, rate_octets_s: is zero"),
    ('at = "1d"\naction = "top_up_pool"\noctets = "1Mb"', 'platform #1, octets: "1Mb" has an unknown unit'),
]


@pytest.mark.parametrize(("table", "message"), BAD)
def test_a_wrong_action_is_one_line(table, message):
    with pytest.raises(UsageError) as caught:
        scenario.loads(f"{GOOD}\n[[platform]]\n{table}\n", "bad.toml")
    assert str(caught.value).startswith(f"bad.toml: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "action", "table"),
    [
        ("account", 'action = "recharge"\nfen = 1', "account"),
        ("package", 'action = "renew"\nmonths = 1', "package"),
        ("pool", 'action = "set_cap"\noctets = 1', "pool"),
        ("pool", 'action = "top_up_pool"\noctets = 1', "pool"),
    ],
)
def test_an_action_needs_its_table(key, action, table):
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith(key))
    with pytest.raises(UsageError, match=rf"platform #1, action: the SIM has no {table}; add \[plan\.{table}\]"):
        scenario.loads(f'{text}\n[[platform]]\nat = "1d"\n{action}\n', "bad.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lag = 4", 'carrier.lag: no such field; did you mean "lag_s"?'),
        ('enforcement = "hope"', 'carrier.enforcement: "hope" is not known here'),
        ("account.fee = 1", "carrier.account.fee: no such field"),
        ("overage.tiers = [{from_octets = 0, block_octets = 1}]", "carrier.overage.tiers #1, fen: is missing"),
        ("activated = 5", "carrier.activated: 5 is not a date"),
        ('activated = "soon"', 'carrier.activated: "soon" is not a date; write it as in "2026-03-15"'),
        ("utc_offset_min = 900", "carrier.utc_offset_min: 900 is out of range; give 840 or less"),
    ],
)
def test_a_wrong_carrier_is_one_line(line, message):
    text = GOOD[: GOOD.index("[carrier]")] + f"[carrier]\n{line}\n"
    with pytest.raises(UsageError) as caught:
        scenario.loads(text, "bad.toml")
    assert str(caught.value).startswith(f"bad.toml: {message}")


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ({}, ["2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01"]),
        ({"cycle_start_day": 27}, ["2025-11-27", "2025-12-27", "2026-01-27", "2026-02-27"]),
        ({"cycle_days": 40, "activated": "2025-11-03"}, ["2025-11-03", "2025-12-13", "2026-01-22", "2026-03-03"]),
        ({"package": {"months": 3, "slice": "whole"}, "activated": "2025-06-01"}, ["2025-12-01", "2026-03-01"]),
        (
            {"lifecycle": {"test_octets": 9, "test_until": "2026-01-02", "billing_from": "2026-02-01"}},
            ["test", "silent", "2026-02-01", "2026-03-01"],
        ),
    ],
)
def test_cycles_are_as_stated(given, labels):
    clock = Clock(datetime.fromisoformat("2025-12-02T00:00:00+08:00"))
    made = CarrierConfig(carrier(**given), {"allowance_octets": 9, "cycle_start_day": 1})
    built = made.build(clock, Internet(clock, None), EventLog(clock), "1")  # type: ignore[arg-type]
    clock.run_until(92 * 86_400 * S)
    assert built.cycles("1") == labels
