"""Clocks that are wrong, around a whole device: what a wrong clock has begun is undone, with all that was used."""

import contextlib
from datetime import date

import pytest

from host_tools.base.days import day_number
from host_tools.run.targets.direct import DirectTarget
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S
from tests.run.targets.test_account_of_a_device import Life, sockets

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
AHEAD_DAYS = 40
WRONG = f"""
[[fault]]
at = "11h"
kind = "collector_clock"
days = {AHEAD_DAYS}
lasts = "2d"
[[fault]]
at = "11h"
kind = "network_time"
error_s = {AHEAD_DAYS * 86_400}
[[fault]]
at = "12h"
kind = "power_cut"
"""


def talks(guard):
    """Sends 1,000 octets every ten minutes, if it may."""
    guard.sleep(30_000)
    while True:
        with contextlib.suppress(OSError):
            udp = sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM)
            try:
                udp.connect(("sink", 7))
                udp.send(bytes(1000))
            finally:
                udp.close()
        guard.sleep(600_000)


ALONE = """
title = "no collector"
start = 2026-03-30T10:00:00+08:00
duration = "{duration}"
[plan]
allowance_octets = 150_000
{upstream}
[[host]]
name = "ntp"
kind = "ntp"
[[host]]
name = "sink"
kind = "sink"
{faults}
"""
NTP = '[upstream]\nntp_host = "ntp"'


def alone(upstream, faults="", duration="4d"):
    """A device without a collector: (events as (what, a), its guard, its world)."""
    world = World(scenario.loads(ALONE.format(upstream=upstream, faults=faults, duration=duration), "test.toml"), 1, {})
    target = DirectTarget(world.scenario.device_config(), talks)
    world.run(target.boot)
    return [(event["what"], event.get("a")) for event in world.log.events], target.guard, world


def test_without_a_collector_network_and_ntp_bring_the_new_month():
    events, guard, world = alone(NTP)
    march, april = (day_number(day) for day in (MARCH, APRIL))
    assert [a for what, a in events if what == "cycle"][-2:] == [march, april]
    assert guard.periods.clock.source == "corroborated"
    assert len([what for what, _ in events if what == "ntp"]) == 2, "in four days"
    assert guard.periods.closed["cycle"] == march
    figures = world.carrier.figures(IMSI, APRIL.isoformat())
    assert 0 <= guard.admission.carried_octets() - figures["ip_octets"] <= guard.admission.error_bound_octets()
    assert figures["ip_octets"] > 100_000, "of the new month's quota"


def test_with_the_network_alone_no_month_begins():
    events, guard, _ = alone("")
    assert day_number(APRIL) not in [a for what, a in events if what == "cycle"]
    assert guard.policy.names() == ["QUOTA_EXHAUSTED"]


@pytest.mark.parametrize(
    "faults",
    [
        '[[fault]]\nkind = "ntp_clock"\nat = "0s"\ndays = 40\nlasts = "30d"',
        '[[fault]]\nkind = "ntp_refusal"\nat = "0s"\nlasts = "30d"',
        '[[fault]]\nkind = "network_time"\nat = "1m"\nerror_s = 31536000',
    ],
)
def test_one_wrong_clock_begins_no_month(faults):
    events, guard, _ = alone(NTP, faults)
    assert guard.ledger.cycle_id < day_number(MARCH), "that of the release"
    assert 2 <= len([what for what, _ in events if what.startswith("ntp")]) <= 14
    assert guard.admission.used.value() <= 150_000


@pytest.mark.parametrize("plan", ["", "account = {balance_fen = 5000, fee_fen = 1000}"])
def test_a_period_that_two_wrong_clocks_have_begun_is_undone(plan):
    life = Life(talks, plan, WRONG, "6d")
    """Without the network's time to confirm it, the server's has to be the same for two days."""
    ids = [event["a"] for event in life.world.log.events if event["what"] in ("cycle", "cycle-reopened")]
    march, april = (day_number(day) for day in (MARCH, APRIL))
    assert ids[-2:] == [april, march], ids
    figures = life.world.carrier.figures(IMSI, MARCH.isoformat())
    carried = life.guard.admission.carried_octets()
    assert 0 <= carried - figures["ip_octets"] <= life.guard.admission.error_bound_octets()
    assert life.guard.policy.names() == []
    assert life.world.clock.now_us > 5 * 86_400 * S
