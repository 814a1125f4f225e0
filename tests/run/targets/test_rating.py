"""What the device rates against the carrier's bill."""

import pytest

from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario

HEADERS = """
title = "Ethernet, IP, UDP and GTP headers are billed: 54 octets a packet"
start = 2026-03-01T00:00:00Z
duration = "{duration}"
[plan]
allowance_octets = "5MB"
utc_offset_min = 0
rating.per_packet_octets = 54
[upstream]
host = "collector"
interval_s = "1h"
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
period = "30m"
tx = 200
rx = "600B"
[[traffic]]
class = "ota"
kind = "download"
host = "api"
period = "5d"
tx = 64
rx = "200KB"
[carrier]
per_packet_octets = 54
lag_s = 300
[expect]
carrier_stopped = false
rated_error_permille = {permille}
"""


@pytest.mark.parametrize(
    ("duration", "permille", "target"),
    [
        ("1d", 10, "cpython"),
        pytest.param("33d", 5, "cpython", marks=pytest.mark.proof),
        pytest.param("5d", 7, "micropython", marks=pytest.mark.proof),
    ],
)
def test_headers_of_each_packet_are_rated_as_billed(duration, permille, target):
    """The names of hosts are looked up apart, so that a lookup's octets are not taken for headers of more packets."""
    text = HEADERS.format(duration=duration, permille=permille)
    result = run_scenario(scenario.loads(text, "headers.toml"), target).to_json()
    assert result["failures"] == []
    assert result["device"]["rated_octets"] >= result["carrier"]["billed_octets"]
