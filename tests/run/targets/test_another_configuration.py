"""A device that is given another configuration: what is stored of the former one needs no module that is left out."""

import pytest
from usageguard.config import load as config

from host_tools.build import modules
from host_tools.build.image import Image
from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.run.targets.process import DeviceProcess
from host_tools.run.world import World
from host_tools.scenario import file as scenario
from tests.run.targets.conftest import told

TEXT = """
title = "another configuration"
start = 2026-03-10T12:00:00+08:00
duration = "2h"
[plan]
allowance_octets = "30MB"
{plan}
[upstream]
host = "collector"
interval_s = "1m"
[[host]]
name = "collector"
kind = "collector"
[[order]]
at = "10m"
{order}
[[fault]]
kind = "reset"
at = "1h"
"""
EVERYTHING = """
pace = true
account = { balance_fen = 500 }
burst = {}
throttle = { rate_octets_s = "2KB" }
pool = {}
lifecycle = { test_until = "2026-02-01", billing_from = "2026-03-01", test_octets = "1MB" }
[carrier.pool]
allowance_octets = "1GB"
"""


@pytest.mark.parametrize(
    ("order", "plan", "verdict"),
    [
        ("throttle_octets_s = 1000", "", "verdict-throttled"),
        ("stop = true", "", "verdict-restricted"),
        ('limit_octets = "100KB"', "", None),
        ("balance_fen = -100", "account = { balance_fen = 500 }", None),
        ("throttle_octets_s = 1000", EVERYTHING, None),
    ],
)
def test_the_bare_plan_after_another(order, plan, verdict):
    first = scenario.loads(TEXT.format(order=order, plan=plan), "first.toml")
    world = World(first, 1, {})
    bare = first.device_config()
    bare["plan"] = {"allowance_octets": bare["plan"]["allowance_octets"], "warn_forecast": False}
    del bare["upstream"]
    boots = []

    def boot(board):
        given = bare if boots else first.device_config()
        boots.append(len(world.log.events))
        with Image(mpy=True) as whole, whole.without(modules.unneeded(config.load(given))) as image:
            image.write_json("config.json", given)
            image.write_json("bench.json", {"app": "workload", "elapsed_ms": 0, "traffic": []})
            DeviceProcess("micropython", image).boot(board)

    world.run(boot)
    ordered, later = world.log.events[: boots[1]], world.log.events[boots[1] :]
    assert "order" in [event["what"] for event in ordered]
    names = [event["what"] for event in later]
    assert "set-utc" in names, "it lives"
    assert verdict is None or verdict in names, "what was ordered stands"


DEPLOYED = """
title = "another plan"
start = 2026-03-10T12:00:00+08:00
duration = "3h"
any_sim = true
app.pauses = "time"
[plan]
allowance_octets = "30MB"
[upstream]
host = "collector"
interval_s = "2h"
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
period = "20m"
tx = 700
rx = 1400
[[deploy]]
at = "1h"
plan = { allowance_octets = "60MB", cycle_days = 31, activated = 2026-03-05, pool = {} }
[[fault]]
kind = "ledger_lost"
at = "2h30m"
[carrier]
cycle_start_day = 1
pool.allowance_octets = "1GB"
"""


@pytest.mark.parametrize("target", SIMULATED)
def test_a_scenario_gives_the_device_another_plan_and_takes_its_ledger(target):
    worlds = []
    result = run_scenario(scenario.loads(DEPLOYED, "deployed.toml"), target, on_start=worlds.append).to_json()
    (world,) = worlds
    assert world.device_config()["plan"]["allowance_octets"] == 60 << 20
    assert world.device_config()["modem"]["any_sim"]
    assert [event["cause"] for event in result["events"] if (event["who"], event["what"]) == ("device", "boot")] == [
        "power-on", "hard", "power-on",
    ]  # fmt: skip
    assert len(told(result, "plan-changed")) == 1
    assert len(told(result, "ledger-lost")) == 1
    assert result["device"]["reasons"] == ["LEDGER_FAULT"]
    assert result["carrier"]["ip_octets"] > 6 * 2_500, "the application talked all the time"
