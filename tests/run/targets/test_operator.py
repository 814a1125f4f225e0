"""Another operator, where the SIM's own is off the air and the configuration names one."""

import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.direct import DirectTarget
from host_tools.run.targets.names import SIMULATED
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.modem import models

BASE = """
title = "the operator goes off the air"
start = 2026-03-10T00:00:00+08:00
duration = "1h"
{operator}
[plan]
allowance_octets = "50MB"
[upstream]
host = "collector"
interval_s = "1m"
[[host]]
name = "collector"
kind = "collector"
[[fault]]
kind = "operator_gone"
at = "10m"
roaming = ["46001"]
"""


def played(operator, target, modem=None):
    """The run, and the operators that the device selected."""
    text = BASE.format(operator=f'operator = "{operator}"' if operator else "")
    run = run_scenario(scenario.loads(text, "gone.toml", modem), target).to_json()
    return run, [event["a"] for event in run["events"] if event["what"] == "operator"]


def test_it_is_selected_and_reports_go_on_on_both_targets():
    runs = [played("46001", target) for target in SIMULATED]
    for run, selected in runs:
        assert selected == [46_001]
        assert run["upstream"]["reports_received"] >= 55, "an hour's, but for three minutes"
        assert run["upstream"]["reports_lost"] == 0
    assert runs[0][0]["events"] == runs[1][0]["events"]


@pytest.mark.parametrize("modem", [name for name in models.with_sockets() if name != scenario.USUAL_MODEM])
@pytest.mark.proof
def test_every_modem_selects_it(modem):
    run, selected = played("46001", SIMULATED[0], modem)
    assert selected == [46_001]
    assert run["upstream"]["reports_received"] >= 55


@pytest.mark.parametrize(("operator", "tries"), [("46011", 4), ("", 0)], ids=["does not serve the SIM", "none"])
def test_else_the_device_stays_offline_and_goes_on_trying(operator, tries):
    run, selected = played(operator, SIMULATED[0])
    assert selected == [int(operator)] * tries if operator else not selected
    assert run["upstream"]["reports_received"] <= 12


@pytest.mark.parametrize(("cause", "tries"), [(8, 0), (11, 4)], ids=["the SIM", "the place"])
def test_a_sim_that_is_refused_for_its_own_sake_selects_none(cause, tries):
    """Of a modem that tells the cause."""
    text = BASE.format(operator='operator = "46001"').partition("[[fault]]")[0]
    world = World(scenario.loads(text, "refused.toml", "ml307r"), 1, {})
    world.carrier.refuse(IMSI, cause)
    world.run(DirectTarget(world.scenario.device_config(), lambda guard: guard.sleep(1 << 28)).boot)
    happened = [event["what"] for event in world.log.events]
    assert happened.count("operator") == tries
    assert "pdp-up" not in happened


ORDER = """
[[order]]
at = "{at}"
operator = {operator}
"""


def ordered(orders, target=SIMULATED[0], modem=None, more="", gone=True):
    """As `played`, with orders of an owner's: (time, operator)."""
    text = BASE.format(operator=more)
    text = text if gone else text.partition("[[fault]]")[0]
    text += "".join(ORDER.format(at=at, operator=operator) for at, operator in orders)
    run = run_scenario(scenario.loads(text, "ordered.toml", modem), target).to_json()
    return run, [event["a"] for event in run["events"] if event["what"] == "operator"]


@pytest.mark.parametrize("target", [SIMULATED[0], pytest.param(SIMULATED[1], marks=pytest.mark.proof)])
def test_an_order_has_it_tried_at_once_and_where_none_serves_the_device(target):
    run, selected = ordered([("5m", 46_001)], target)
    assert selected == [46_001, 46_001]
    assert run["upstream"]["reports_received"] >= 53, "an hour's, but for four minutes"
    assert run["device"]["carried_octets"] >= run["carrier"]["ip_octets"]
    assert run["device"]["carried_octets"] - run["carrier"]["ip_octets"] <= run["device"]["error_bound_octets"]


def test_by_order_the_modem_chooses_again():
    """The one that was ordered first is not tried when the SIM's own goes off the air."""
    run, selected = ordered([("4m", 46_001), ("7m", 0)])
    assert selected == [46_001] + [0] * (len(selected) - 1)
    assert len(selected) > 2
    assert run["upstream"]["reports_received"] <= 12


@pytest.mark.parametrize("modem", ["ml307r", pytest.param("sara-r5", marks=pytest.mark.proof)])
def test_one_that_does_not_take_the_sim_costs_a_minute(modem):
    run, selected = ordered([("5m", 46_011)], modem=modem, gone=False)
    assert selected == [46_011]
    assert run["upstream"]["reports_received"] >= 57
    over = run["device"]["carried_octets"] - run["carrier"]["ip_octets"]
    assert 0 <= over <= run["device"]["error_bound_octets"]


def test_a_new_device_with_data_for_roaming_does_not_stop_until_it_knows_where_it_is():
    text = BASE.format(operator="").replace("[upstream]", '[plan.roaming]\nallowance_octets = "1MB"\n[upstream]')
    run = run_scenario(scenario.loads(text.replace('"1h"', '"11m"'), "new.toml"), SIMULATED[0]).to_json()
    assert not any(event["what"] == "verdict-terminated" for event in run["events"])
    assert run["upstream"]["reports_received"] >= 3
