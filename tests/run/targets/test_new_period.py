"""What a new period costs the flash."""

from collections import Counter

from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario

RECORD = 256
COPIES = 2  # what is committed outlives the rot of a record
TEXT = """
title = "the first of the month"
start = 2026-03-31T23:30:00+08:00
duration = "1h"
plan = { allowance_octets = "1MB", rating.per_packet_octets = 14 }
upstream = { host = "collector", interval_s = "1h" }
host = [{ name = "collector", kind = "collector" }, { name = "api", kind = "responder" }]
traffic = [{ class = "telemetry", kind = "request", host = "api", period = "1m", tx = 900, rx = "50KB" }]
"""


def test_it_is_stored_once():
    written, begun = Counter(), []

    def watch(world):
        program = world.flash.program

        def counted(address, data):
            written[world.clock.now_us] += len(data)
            program(address, data)

        world.flash.program = counted
        world.log.listeners.append(lambda event: event["what"] == "cycle" and begun.append(world.clock.now_us))

    result = run_scenario(scenario.loads(TEXT, "test.toml"), "cpython", on_start=watch)
    assert any(event["what"] == "verdict-restricted" for event in result.to_json()["events"]), "a stop is lifted"
    assert written[begun[-1]] == COPIES * RECORD
