"""What the guard costs of the allowance and of the flash."""

from __future__ import annotations

import functools

from host_tools.bench.figures import Measured, figure
from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario
from host_tools.torture import wear

_PLAN = "30 MB"
_REPORTING = """
title = "four days with an hourly report"
start = 2026-03-03T00:00:00+08:00
duration = "4d"
[plan]
allowance_octets = "30MB"
[upstream]
host = "collector"
[[host]]
name = "collector"
kind = "collector"
"""


@figure("cost.report", "octets with its acknowledgement and all headers", most=110)
def _report() -> float:
    run = run_scenario(scenario.loads(_REPORTING, "reporting"), "cpython").to_json()
    return run["upstream"]["octets_per_report"]


@functools.cache
def _wear() -> wear.Wear:
    return wear.log_of(_PLAN)


@figure("cost.flash-records", "a month of 30 MB", held=865)
def _records() -> float:
    return _wear().records


@figure("cost.flash-erases", "a month of 30 MB", held=54)
def _erases() -> Measured:
    worn = _wear()
    return Measured(worn.erases, {"of the most worn sector": worn.worst_erases, "years": worn.years})
