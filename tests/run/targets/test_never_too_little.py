"""Modems that count wrongly, late or not at all, and power that is theirs as well: never counted below the truth.

The soak's invariants judge: the device's count is not below the carrier's, but for what it states as unseen, and above
it by its bound at most.
"""

import pytest
import tomli_w

from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from host_tools.sim.modem import models
from host_tools.soak.case import run_case

TEXT = """
title = "never too little"
start = 2026-03-10T12:00:00+08:00
duration = "{duration}"
{top}
[plan]
allowance_octets = "30MB"
margin_octets = 40960
reserve_octets = 12288
utc_offset_min = 480
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
period = "{period}"
tx = 100
rx = {rx}
"""
MAINS = '[supply]\nmodem = "mains"\nboot_ms = 3000\n'
SLOW = '[[fault]]\nkind = "slow"\nms = 7000\ncommand = "+QIRD*"\nat = "{}s"\n'
CUT = '[[fault]]\nkind = "power_cut"\nat = "{}s"\n'
RESET = '[[fault]]\nkind = "counter_reset"\nat = "{}s"\n'
UNCOUNTED = [name for name in models.with_sockets() if not models.load(name).counter and name != "ml307r"]
LATER = [30], [100], [305], [450, 3000], [20, 310]
LOSSY = "[network]\nloss_permille = 80\n"


def judge(fault, times, *, top="", more="", period="300s", rx=12_000, duration="3h", target="cpython"):
    text = TEXT.format(top=top, period=period, rx=rx, duration=duration)
    outcome = run_case(scenario.loads(text + more + "".join(map(fault.format, times)), "test.toml"), target)
    assert not outcome.invariant, outcome.detail
    assert outcome.checked["under-count"] > 1


@pytest.mark.parametrize("name", models.names())
def test_the_drivers_window_is_no_less_than_the_simulated_modems(name):
    from usageguard.guard.guard import driver_of

    profile = models.load(name)
    window = driver_of(profile.dialect).WINDOW
    assert profile.sockets.receive_octets <= window or profile.dialect == "generic", "which has no sockets"


PROOF = pytest.mark.proof


@pytest.mark.parametrize("more", ["", pytest.param(LOSSY, marks=PROOF)], ids=["clean", "lossy"])
@pytest.mark.parametrize("times", [[12, 14], *(pytest.param(each, marks=PROOF) for each in LATER)], ids=str)
def test_a_counter_that_is_reset_and_outgrows_its_last_reading(times, more):
    judge(RESET, times, more=more)


@pytest.mark.parametrize("target", SIMULATED)
def test_a_modem_on_the_mains_shows_what_its_counter_had_saved(target):
    """It answers the first AT after a cut, as one does that was never without power."""
    judge(CUT, [707, 1901, 2600, 5013], more=MAINS, period="47s", rx=5_000, duration="140m", target=target)


@pytest.mark.parametrize("name", [UNCOUNTED[0], *(pytest.param(each, marks=PROOF) for each in UNCOUNTED[1:])])
def test_a_modem_whose_tcp_has_timestamps(name, tmp_path):
    """Twelve octets more in every packet, of which no manual tells: the price of one without a counter covers them.
    ML307R's is known to have none."""
    table = models.table(name)
    table["sockets"]["timestamps"] = True
    modem = tmp_path / f"{name}.toml"
    modem.write_text(tomli_w.dumps(table))
    for rx in (1_000, 6_000, 160_000):
        judge("", [], top=f'modem = "{modem}"', rx=rx, duration="2h")


@pytest.mark.parametrize("target", SIMULATED)
def test_an_answer_that_comes_too_late_from_a_modem_that_does_not_count(target):
    """Its payload is lost to the application, and was carried: the modem's total for the connection has it."""
    top = "counter = false"
    judge(SLOW, range(298, 3600, 300), top=top, rx=6_000, duration="65m", target=target)
