"""A device on the VM, its collector, and the carrier's platform: a higher figure makes the device stop earlier."""

import asyncio

import pytest

from host_tools.collector.intake import no_orders
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
