"""A device that has stopped can be reached: whatever stopped it, the owner hears of it and can lift it."""

import random
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from host_tools.collector import intake
from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.run.world import IMSI
from host_tools.scenario import file as scenario
from tests.run.targets.conftest import told

TEXT = """
title = "ways in"
start = 2026-03-10T10:00:00+08:00
duration = "{duration}"
[plan]
allowance_octets = "3MB"
[upstream]
host = "collector"
sms_number = "+8613800138000"
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
{more}
"""
TRAFFIC = """
[[traffic]]
class = "telemetry"
kind = "request"
host = "api"
period = "10m"
tx = 700
rx = 1400
"""
REFUSED_SMS = """
[[fault]]
at = "10s"
count = {count}
kind = "answer"
command = "+CMGS=*"
final = "+CMS ERROR: 42"
"""


def rot(world):
    """Fills the ledger's flash with what is no record."""
    rng = random.Random(3)
    for at in range(0, world.flash.sectors * 4096, 256):
        world.flash.program(at, rng.randbytes(256))


def live(target, duration, more="", on_start=None, idle=False):
    """(the result, the world) of one run."""
    worlds = []

    def start(world):
        worlds.append(world)
        if on_start:
            on_start(world)

    loaded = scenario.loads(TEXT.format(duration=duration, more=more + ("" if idle else TRAFFIC)), "test.toml")
    return run_scenario(loaded, target, on_start=start).to_json(), worlds[0]


@pytest.mark.parametrize("target", SIMULATED)
@pytest.mark.parametrize("count", [1, 3])
def test_a_short_message_that_the_network_refuses_is_sent_again(target, count):
    """+CMS ERROR 42: congestion."""
    result, world = live(target, "3h", REFUSED_SMS.format(count=count), rot)
    assert result["device"]["reasons"] == ["LEDGER_FAULT"]
    assert len([event for event in result["events"] if event["what"] == "sms-sent"]) == 1
    assert [alarm.kind for alarm in world.store.alarms(world.device_id)] == []
    assert told(result, "ledger-")


ORDERS = """
[[order]]
at = "30m"
release = true
[[order]]
at = "61m"
throttle_octets_s = 1000
[[order]]
at = "{stop}"
stop = true
"""


@pytest.mark.parametrize("target", SIMULATED)
@pytest.mark.parametrize("stop", ["62m", "2h"])
def test_an_order_that_the_device_refuses_holds_nothing_up(target, stop, monkeypatch):
    """The first one has a key that only a later firmware knows."""
    seal = intake.seal_acknowledgement

    def of_a_later_collector(key, device, report, now, order=None, brief=False):
        if order is not None and order.release:
            fields = order.counter, {99: 1}
            order = SimpleNamespace(fields=lambda: fields)
        return seal(key, device, report, now, order, brief)

    monkeypatch.setattr(intake, "seal_acknowledgement", of_a_later_collector)
    result, world = live(target, "5h", ORDERS.format(stop=stop))
    assert result["upstream"]["orders_refused"] == 1
    assert result["device"]["reasons"] == ["STOPPED_BY_HAND", "THROTTLED_BY_HAND"]
    (alarm,) = world.store.alarms(world.device_id)
    assert alarm.kind == "order_refused"
    assert "alarm" in {event["what"] for event in result["events"] if event["who"] == "owner"}


DEAD_PATHS = {
    "the NAT's entry": 'kind = "half_open"\nid = 0',
    "the collector's address": 'kind = "host_moved"\nname = "collector"',
    "the data session": 'kind = "dead_session"',
}


@pytest.mark.parametrize("target", SIMULATED)
@pytest.mark.parametrize("fault", DEAD_PATHS.values(), ids=DEAD_PATHS)
def test_a_path_that_leads_nowhere_is_renewed(target, fault):
    """Also where no application would notice."""
    result, world = live(target, "12h", f'[[fault]]\nat = "2h10m"\n{fault}', idle=True)
    heard = [received.received_at for received in world.store.history(world.device_id)]
    pauses = [after - before for before, after in pairwise(heard)]
    assert max(pauses) < timedelta(hours=3), max(pauses)
    assert world.clock.utc() - heard[-1] < timedelta(hours=1, minutes=5)
    assert result["device"]["reasons"] == []


ACCEPT = """
[[order]]
at = "1h"
accept = true
"""


ROUNDED = "[plan.rating]\nsession_round_octets = {0}\nmargin_permille = 60\n[carrier]\nsession_round_octets = {0}\n"


@pytest.mark.parametrize("target", SIMULATED)
@pytest.mark.parametrize("octets", [0, 10_240])
def test_the_owner_confirms_the_counts_after_the_ledger_was_lost(target, octets):
    """Also where the exchange costs a whole block."""
    result, _ = live(target, "8h", ACCEPT + ROUNDED.format(octets), rot)
    assert result["device"]["reasons"] == []
    assert result["device"]["orders_applied"] == 1
    assert result["device"]["reasons_seen"] == ["LEDGER_FAULT"]


LOSS = "[network]\nloss_permille = {}\n"


@pytest.mark.proof
@pytest.mark.parametrize("loss", [0, 400])
def test_what_passes_in_a_month_of_a_stop_is_bounded(loss):
    """And there is something each day, from which the owner sees what has stopped the device."""
    result, world = live("cpython", "31d", LOSS.format(loss), rot)
    assert result["device"]["reasons"] == ["LEDGER_FAULT"]
    figures = world.carrier.figures(IMSI)
    assert figures["ip_octets"] <= 68 * 1024
    heard = [received.received_at for received in world.store.history(world.device_id) if received.path == "coap"]
    assert len(heard) >= (60 if not loss else 20)
    assert world.clock.utc() - heard[-1] < timedelta(days=1 if not loss else 4)
    assert result["device"]["carried_octets"] >= figures["ip_octets"]


def test_flash_that_stores_nothing_is_reported():
    """What cannot be stored is counted all the same, and each boot is a life of its own."""

    def dead(world):
        world.flash.program = world.flash.erase = lambda *_: None

    result, world = live("cpython", "1d", '[[fault]]\nat = "12h"\nkind = "power_cut"\n', dead)
    assert result["device"]["reasons"] == ["LEDGER_FAULT"]
    assert world.store.reports_received(world.device_id) >= 6
    assert {alarm.kind for alarm in world.store.alarms(world.device_id)} <= {"new_life"}


DRY = """
title = "the reserve lasts"
start = 2027-01-20T00:00:00+08:00
duration = "11d"
[plan]
allowance_octets = "1MB"
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
period = "1m"
tx = 500
rx = "5KB"
[network]
loss_permille = 20
[expect]
carrier_stopped = false
reasons = ["QUOTA_EXHAUSTED"]
"""


@pytest.mark.proof
@pytest.mark.parametrize("target", SIMULATED)
def test_a_device_that_is_stopped_on_the_20th_reports_until_the_31st(target):
    """Its reserve is 16 KB: hourly reports use it up in four days."""
    worlds = []
    result = run_scenario(scenario.loads(DRY, "dry.toml"), target, on_start=worlds.append).to_json()
    assert result["failures"] == []
    (world,) = worlds
    heard = [received.received_at for received in world.store.history(world.device_id)]
    assert max(after - before for before, after in pairwise(heard)) < timedelta(hours=20)
    assert world.clock.utc() - heard[-1] < timedelta(days=1), "on the last day"


TOP_UP = """
[carrier]
allowance_octets = "6MB"
[[traffic]]
class = "telemetry"
kind = "request"
host = "api"
period = "3m"
tx = 500
rx = "5KB"
[[order]]
at = "28h"
allowance_octets = "5MB"
"""


@pytest.mark.proof
@pytest.mark.parametrize("target", SIMULATED)
def test_a_top_up_lets_data_go_on(target):
    result, _ = live(target, "50h", TOP_UP, idle=True)
    assert "QUOTA_EXHAUSTED" in result["device"]["reasons_seen"]
    assert result["device"]["reasons"] == []
    assert result["device"]["carried_octets"] >= result["carrier"]["ip_octets"] > 3_200_000
