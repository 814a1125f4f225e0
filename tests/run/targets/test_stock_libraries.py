"""Stock libraries that know nothing of the guard and pause natively: a month over a stop, and into the next one."""

from datetime import datetime

import pytest

from host_tools.run import services
from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from tests.run.targets.conftest import APPS, serving, told

TEXT = """
title = "{app}"
start = 2026-03-01T00:00:00+08:00
duration = "32d"
app = {{ name = "{app}" }}
[plan]
allowance_octets = "{allowance}"
reserve_octets = "100KB"
margin_octets = "20KB"
[upstream]
host = "collector"
interval_s = "1d"
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "{host}"
kind = "bridge"
to = "{to}"
"""
ITEM = bytes(range(256)) * 16

pytestmark = pytest.mark.proof


def live(app, target, allowance, host, to, *libraries):
    text = TEXT.format(app=APPS / app, allowance=allowance, host=host, to=to)
    result = run_scenario(scenario.loads(text, "stock.toml"), target, libraries=libraries).to_json()
    assert [e["cause"] for e in result["events"] if (e["who"], e["what"]) == ("device", "boot")] == ["power-on"]
    assert told(result, "app-crash") == []
    assert result["carrier"]["stopped_at"] is None
    device, carrier = result["device"], result["carrier"]
    assert 0 <= device["carried_octets"] - carrier["ip_octets"] <= device["error_bound_octets"]
    assert result["upstream"]["reports_lost"] == 0
    return result["events"]


def check(events, done):
    """`done`, an event of the application, stops before the month's end and goes on when the next one begins."""
    times = {"verdict-restricted": [], "cycle": [], done: []}
    for event in events:
        if event["who"] == "device" and event["what"] in times:
            times[event["what"]].append(datetime.fromisoformat(event["t"]))
    stopped = times["verdict-restricted"][0]
    begun = times["cycle"][-1]
    assert 24 <= (stopped - times[done][0]).days < 31
    assert not [time for time in times[done] if stopped < time < begun]
    after = [time for time in times[done] if time > begun]
    assert (after[0] - begun).total_seconds() < 120, "as long as either pauses after an error"
    assert len(after) > 20


@pytest.mark.parametrize("target", SIMULATED)
def test_umqtt_robust(target):
    with services.mqtt_broker() as mqtt:
        to = f"127.0.0.1:{mqtt.port}"
        events = live("robust_app.py", target, "480KB", "broker.example", to, "umqtt.simple", "umqtt.robust")
    check(events, "published")
    published = sum(event["what"] == "published" for event in events)
    assert published - 1 <= mqtt.publications <= published, "one, of QoS 0, went with the stop"


async def respond(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ITEM) + ITEM)
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("target", SIMULATED)
def test_urequests(target):
    with serving(respond) as to:
        events = live("download_app.py", target, "3500KB", "files.example", to, "urequests")
    check(events, "downloaded")
    assert {event["a"] for event in events if event["what"] == "downloaded"} == {len(ITEM)}
