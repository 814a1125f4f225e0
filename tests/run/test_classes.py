"""What a run tells of each traffic class, and traffic of once. The oracle: the carrier's own count."""

import pytest

from host_tools.base.errors import UsageError
from host_tools.run.run import run_scenario
from host_tools.run.world import IMSI
from host_tools.scenario import file as scenario

TEXT = """
title = "classes"
start = 2026-03-01T00:00:00+08:00
duration = "2h"
[plan]
allowance_octets = "200KB"
[[host]]
name = "api"
kind = "responder"
[[host]]
name = "silent"
kind = "sink"
[[traffic]]
class = "telemetry"
kind = "request"
host = "api"
period = "10m"
tx = 100
[[traffic]]
class = "ota"
kind = "download"
host = "api"
at = "30m"
rx = "20KB"
"""
SILENT = """
[[traffic]]
class = "ota"
kind = "download"
host = "silent"
at = "119m30s"
rx = "20KB"
"""


def run(text):
    """The result, with the carrier's count at the end, which is later than the device's last status."""
    worlds = []
    result = run_scenario(scenario.loads(text, "classes.toml"), "cpython", on_start=worlds.append).to_json()
    return result | {"at_the_end": worlds[0].carrier.figures(IMSI)["ip_octets"]}


def test_each_class_has_its_octets_and_what_became_of_its_transfers():
    result = run(TEXT + SILENT + "[expect]\ndone = { telemetry = 12, ota = 2 }\nrefused = { telemetry = 0 }\n"
                 'octets = { telemetry = "20KB", ota = "20KB", none = 5 }')
    classes = result["classes"]
    octets = {name: of.pop("octets") for name, of in classes.items()}
    assert sum(octets.values()) == result["at_the_end"]
    assert octets["ota"] > 20 * 1024 > octets["telemetry"] > 12 * 108
    assert classes["telemetry"] == {"done": 12, "failed": 0, "refused": 0, "unfinished": 0}
    assert classes["ota"] == {"done": 1, "failed": 0, "refused": 0, "unfinished": 1}
    assert result["failures"] == [
        '1 transfers of "ota" were done, fewer than 2',
        f'{octets["ota"]:,} octets of "ota" were carried, more than 20,480',
        'nobody says how many octets "none" carried',
    ]


def test_what_the_guard_does_not_admit_is_refused():
    text = TEXT.replace('"200KB"', '"40KB"').replace('"20KB"', '"30KB"') + "[expect]\nrefused = { ota = 0 }"
    result = run(text)
    assert result["classes"]["ota"]["refused"] == 1
    assert result["failures"] == ['1 transfers of "ota" were refused, more than 0']


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ('at = "30m"\nperiod = "1h"', "is for traffic of once"),
        ('at = "3h"', "is after the end"),
        ("", "is zero or missing"),
    ],
)
def test_traffic_of_once_has_a_time_within_the_run_and_nothing_else(wrong, problem):
    with pytest.raises(UsageError, match=problem):
        scenario.loads(TEXT.replace('at = "30m"', wrong), "classes.toml")
