"""A device on the VM, its collector, and the carrier's platform: a higher figure makes the device stop earlier, and
each kind of stop is in the database with what the platform says and what the device has found."""

import asyncio

import pytest

from host_tools.collector.intake import no_orders
from host_tools.platforms.ledger import CarrierLedger
from host_tools.platforms.sync import Sync
from host_tools.run.run import run_scenario
from host_tools.run.world import IMSI
from host_tools.scenario import file as scenarios
from host_tools.sim.clock import S
from tests.platforms.carrier_world import served_beside

SCENARIO = """
title = "The platform's figure"
seed = 3
start = 2026-03-20T00:00:00+08:00
duration = "5d"

[plan]
allowance_octets = "1MB"
margin_octets = "32KB"

[upstream]
host = "collector"
interval_s = "2h"

[carrier]
permille = 150

[[host]]
name = "collector"
kind = "collector"

[[host]]
name = "api"
kind = "responder"

[[traffic]]
class = "telemetry"
kind = "request"
host = "api"
period = "1h"
tx = 300
rx = "14KB"
"""
EVERY_S = 6 * 3600


def run(asked):
    """The summary of a run in which the platform is asked, or not, every six hours, and what went to the device."""
    kept = {}

    def begin(world):
        world.collector.orders = world.collector.stops = no_orders
        client, sim = served_beside(world.clock, world.carrier, IMSI)
        sync = Sync("onelink", {world.device_id: sim}, client, world.store)
        kept["store"], kept["device"] = world.store, world.device_id

        def ask():
            asyncio.run(sync.run(world.clock.utc()))
            world.clock.after(EVERY_S * S, ask)

        if asked:
            world.clock.after(EVERY_S * S, ask)

    scenario = scenarios.loads(SCENARIO, "platform.toml")
    summary = run_scenario(scenario, on_start=begin).summary
    given = kept["store"].book.given([kept["device"]])
    return summary, [each.state.value for each in given]


@pytest.mark.proof
def test_reports_figure_order_and_an_earlier_stop():
    without, _ = run(asked=False)
    assert without["carrier"]["stop_reason"] == "exhausted"  # it counts 15 % more, and nobody has told the device
    summary, orders = run(asked=True)
    assert summary["carrier"]["stopped_at"] is None
    assert summary["device"]["reasons"] == ["QUOTA_EXHAUSTED"]
    assert "applied" in orders
    assert set(orders) <= {"applied", "superseded", "sent", "waiting"}


STOP = """
title = "Why the carrier stops"
start = 2026-03-20T00:00:00+08:00
duration = "3h"
[plan]
allowance_octets = "1MB"
{plan}
[upstream]
host = "collector"
interval_s = "1h"
sms_number = "+8613800138000"
[[host]]
name = "collector"
kind = "collector"
{carrier}
"""
EXPIRED = 'activated = 2026-02-20\npackage = { months = 1, slice = "whole" }'
POOL = '[carrier.pool]\nallowance_octets = "1MB"\nmembers = [{ count = 9, octets_per_hour = "1KB" }]'


@pytest.mark.proof
@pytest.mark.parametrize(
    ("code", "plan", "carrier", "life", "reasons", "cause"),
    [
        ("manual", "", "", "stopped", ("customer",), ""),
        ("arrears", "account = { balance_fen = 0 }", "", "stopped", ("credit-control",), "carrier-arrears"),
        ("expired", EXPIRED, "", "stopped", (), "carrier-expired"),  # which has no digit there
        ("pool_exhausted", "pool = {}", POOL, "active", ("data-paused",), "carrier-pool"),
    ],
)
def test_what_stops_a_sim_is_in_the_database_by_both_sides(code, plan, carrier, life, reasons, cause):
    from usageguard.diagnose.causes import CAUSES, LABEL

    worlds = []

    def begin(world):
        worlds.append(world)
        world.collector.orders = world.collector.stops = no_orders
        client, sim = served_beside(world.clock, world.carrier, IMSI)
        sync = Sync("onelink", {world.device_id: sim}, client, world.store)
        for minutes in (30, 150):
            world.clock.at(minutes * 60 * S, lambda: asyncio.run(sync.run(world.clock.utc())))
        world.clock.at(3600 * S, world.carrier.stop, IMSI, code)

    run_scenario(scenarios.loads(STOP.format(plan=plan, carrier=carrier), "stop.toml"), on_start=begin)
    (world,) = worlds
    told = CarrierLedger(world.store.database).sim(world.device_id)
    assert (told.life, told.data, told.stop_reasons) == (life, "off", reasons)
    latest = world.store.latest(world.device_id)
    assert (latest.path, latest.report.reasons & 4) == ("sms", 4)
    found = CAUSES[latest.report.cause - 1][LABEL]
    assert found == (cause or found)
    assert found.startswith("carrier-"), "by its refusal and its plan, as no network says why"
    assert "carrier_stopped" in [alarm.kind for alarm in world.store.alarms(world.device_id)]
