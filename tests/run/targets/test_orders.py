"""An order that somebody gives at a shell reaches a device, and what became of it is known."""

import json
from datetime import timedelta
from functools import partial
from itertools import groupby

import pytest

from host_tools import cli
from host_tools.collector.store import Store
from host_tools.run import world as world_module
from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from tests.run.targets.conftest import told

TEXT = """
title = "orders"
start = 2026-03-10T10:00:00+08:00
duration = "6h"
[plan]
allowance_octets = "3MB"
[upstream]
host = "collector"
interval_s = "30m"
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
period = "10m"
tx = 700
rx = 1400
"""


@pytest.mark.parametrize("target", SIMULATED)
def test_a_stop_by_hand_and_its_end(target, tmp_path, monkeypatch, capsys):
    db = tmp_path / "reports.sqlite"
    monkeypatch.setattr(world_module, "Store", partial(Store, db))
    worlds = []

    def order(what, why):
        device = worlds[0].device_id
        assert not cli.run(["order", what, device, "--db", str(db), "--why", why, "--by", "Li"])

    def start(world):
        worlds.append(world)
        for hours, what, why in ((1, "stop", "stolen"), (3, "resume", "found again")):
            world.clock.at(world.clock.us_of(world.clock.start + timedelta(hours=hours)), order, what, why)

    result = run_scenario(scenario.loads(TEXT, "test.toml"), target, on_start=start).to_json()
    verdicts = [what for what, _ in groupby(told(result, "verdict-"), lambda event: event[0])]
    assert verdicts == ["verdict-open", "verdict-restricted", "verdict-open"]
    capsys.readouterr()
    assert not cli.run(["order", "list", "--db", str(db), "--json", "-"])
    orders = json.loads(capsys.readouterr().out)
    assert [(each["order"], each["why"], each["state"]) for each in orders] == [
        ("stop", "stolen", "applied"),
        ("resume", "found again", "applied"),
    ]
    assert orders[1]["before"].startswith("restricted STOPPED_BY_HAND, rated ")
