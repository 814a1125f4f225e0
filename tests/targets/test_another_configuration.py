"""A device that is given another configuration: what is stored of the former one needs no module that is left out."""

import pytest
from usageguard import config

from host_tools import bench, modules, scenario
from host_tools.targets.image import Image
from host_tools.targets.process import ProcessTarget

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
    world = bench.World(first, 1, {})
    bare = first.device_config()
    bare["plan"] = {"allowance_octets": bare["plan"]["allowance_octets"], "warn_forecast": False}
    del bare["upstream"]
    boots = []

    def boot(board):
        given = bare if boots else first.device_config()
        boots.append(len(world.log.events))
        with Image(mpy=True) as image:
            image.write_json("config.json", given)
            image.write_json("bench.json", {"app": "workload", "elapsed_ms": 0, "traffic": []})
            image.leave_out(modules.unneeded(config.load(given)))
            ProcessTarget("micropython", image).boot(board)

    bench.live(world, boot)
    ordered, later = world.log.events[: boots[1]], world.log.events[boots[1] :]
    assert "order" in [event["what"] for event in ordered]
    names = [event["what"] for event in later]
    assert "set-utc" in names, "it lives"
    assert verdict is None or verdict in names, "what was ordered stands"
