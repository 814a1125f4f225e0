"""A device whose modem sleeps lightly between its uses."""

from collections import Counter
from itertools import pairwise

import pytest

from host_tools.run.run import run_scenario
from host_tools.run.targets.direct import DirectTarget
from host_tools.run.targets.names import SIMULATED
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S
from tests.run.targets.test_sleep import BASE, BOOT, VALIDITY_TIME, Sleeper, ask

LIGHT = BASE.replace("[plan]", "light_sleep = true\n[plan]", 1)
DAY_US = 86_400 * S


def world(duration="1d", modem="quectel-ec200u"):
    return World(scenario.loads(LIGHT.format(duration=duration, modem=modem), "light.toml"), 1, {})


def happened(world):
    return Counter(event["what"] for event in world.log.events)


@pytest.mark.parametrize(
    "modem",
    [pytest.param(name, marks=() if name == "quectel-ec200u" else pytest.mark.proof) for name in ("quectel-ec200u",
     "ml307r", "sara-r5", "a7670e", "air780e")],
)  # fmt: skip
def test_a_day_of_reports_and_requests_is_slept_through_and_loses_nothing(modem):
    light = world(modem=modem)
    asked = []

    def live(guard):
        while True:
            ask()
            asked.append(light.clock.now_us)
            guard.sleep(1_800_000)

    target = DirectTarget(light.scenario.device_config(), live)
    light.run(target.boot)
    assert len(asked) == 48
    assert max(later - earlier for earlier, later in pairwise(asked)) < 1_810 * S
    assert light.modem.light_sleep.slept_us > DAY_US * 95 // 100
    assert happened(light)["asleep"] > 48 + 24
    assert "not-heard" not in happened(light)
    history = [each.report.reporting_reason for each in light.store.history(light.device_id)]
    assert (history.count(BOOT), light.store.reports_lost(light.device_id)) == (1, 0)
    assert history.count(VALIDITY_TIME) in (22, 23)
    over = target.guard.admission.carried_octets() - light.carrier.figures(IMSI)["ip_octets"]
    assert 0 <= over <= target.guard.admission.error_bound_octets()
    assert target.guard.modem.restarts == 0


def test_it_sleeps_through_the_sleep_of_the_device():
    sleeper = Sleeper(world("6h")).run()
    light = sleeper.world
    assert light.board.boots in (36, 37)
    assert light.modem.light_sleep.slept_us > DAY_US // 4 * 90 // 100
    assert (happened(light)["pdp-up"], happened(light)["not-heard"]) == (1, 0)
    assert 0 <= sleeper.carried - sleeper.ip_octets <= sleeper.target.guard.admission.error_bound_octets()


@pytest.mark.proof
def test_both_targets_let_it_sleep_alike():
    text = scenario.find("deep-sleep").read_text("utf-8").replace('"1d"', '"1h"').partition("[expect]")[0]
    text = text.replace("[plan]", "light_sleep = true\n[plan]", 1).replace('pauses = "deep-sleep"', "")
    played = scenario.loads(text, "hour.toml")
    cpython, micropython = (run_scenario(played, name).to_json() for name in SIMULATED)
    assert cpython["events"] == micropython["events"]
    assert sum(event["what"] == "asleep" for event in micropython["events"]) > 6
