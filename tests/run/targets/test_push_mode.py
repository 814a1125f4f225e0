"""Downloads that a Quectel module pushes over a line with flow control, up to the plan's end and past it."""

import msgspec
import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from host_tools.sim.board import HARD
from host_tools.sim.clock import MS, S

HARMED = 300  # the piece within which it happens
AT_ONCE = 16_384  # what a surplus may be at a period's end, whatever the period carried
UNHEARD_S = 6  # a command's time-out and the quiet second behind it

ENDLESS = """
title = "a download beyond the plan's end"
start = 2026-03-10T12:00:00+08:00
duration = "{minutes}m"
modem = "quectel-ec200u"
baud = 921600
flow_control = true
counter = {counter}
network = {{ latency_ms = 20 }}
plan = {{ allowance_octets = "2MB", margin_octets = "{margin}KB", reserve_octets = "16KB" }}
upstream = {{ host = "collector", interval_s = "1d" }}
host = [{{ name = "collector", kind = "collector" }}, {{ name = "api", kind = "responder" }}]
traffic = [{{ class = "ota", kind = "download", host = "api", period = "5m", tx = 64, rx = "2MB" }}]
"""
UNHEARD = """
[[fault]]
at = "0s"
kind = "unanswered"
command = "+QISWTMD=?,0"
count = 1
"""


def pushed_octets(loaded, target, harm=lambda world: None):
    """The result, and the octets that the modem pushed; `harm` happens within them."""
    octets = []

    def watch(world):
        push = world.modem.port.push

        def counted(header, data, gap=None):
            octets.append(len(data))
            push(header, data, gap)
            if len(octets) == HARMED:
                world.clock.after(MS, harm, world)

        world.modem.port.push = counted

    return run_scenario(loaded, target, on_start=watch).to_json(), sum(octets)


@pytest.mark.proof
@pytest.mark.parametrize("target", SIMULATED)
def test_a_cutoff_and_the_next_month(target):
    loaded = msgspec.structs.replace(scenario.load("cutoff-short"), baud=921_600, flow_control=True)
    result, pushed = pushed_octets(loaded, target)
    assert result["failures"] == []
    carrier, device = result["carrier"], result["device"]
    over = device["carried_octets"] - carrier["ip_octets"]
    assert 0 <= over <= min(carrier["ip_octets"] * 5 // 1000 + AT_ONCE, device["error_bound_octets"])
    assert carrier["stopped_at"] is None
    assert pushed > 500_000


def endless(margin_kb, counter=True, minutes=2, more="", harm=lambda world: None):
    text = ENDLESS.format(margin=margin_kb, counter=str(counter).lower(), minutes=minutes)
    result, pushed = pushed_octets(scenario.loads(text + more, "test.toml"), "cpython", harm)
    return result["carrier"]["ip_octets"], result["device"]["carried_octets"], pushed


def test_a_limit_within_a_download_that_is_pushed():
    used, carried, pushed = endless(1_024)
    assert pushed > 800_000
    assert used <= carried <= (1 << 20) + AT_ONCE


def test_nothing_is_pushed_without_a_counter():
    assert endless(1_848, False)[2] == 0


@pytest.mark.proof
def test_a_modem_that_does_not_hear_the_end_of_a_push_is_counted_as_long_as_it_goes_on():
    used, carried, _ = endless(1_848, minutes=5, more=UNHEARD)
    assert (200 << 10) + 200_000 < used <= carried
    assert carried <= (200 << 10) + UNHEARD_S * 92_160 + 2 * AT_ONCE


@pytest.mark.proof
@pytest.mark.parametrize(
    "harm",
    [lambda world: world.board.reset(HARD), lambda world: world.board.cut_power(2 * S, modem_too=False)],
    ids=["reset", "power cut"],
)
def test_what_was_pushed_to_a_board_that_was_off_is_counted(harm):
    used, carried, _ = endless(1_024, harm=harm)
    assert HARMED * 1_500 < used <= carried
