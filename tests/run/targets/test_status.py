"""What the status says of the SIM and of the last report, on a device with a collector."""

import pytest

from host_tools.run.targets.direct import DirectTarget
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from tests.run.targets.conftest import HEAD


@pytest.fixture
def world():
    return World(scenario.loads(HEAD.format(title="status", duration="2h"), "status.toml"), 1, {})


def published(world, seconds, change=lambda guard: None):
    """The status after so many seconds; `change(guard)` happens before it."""
    statuses = []

    def live(guard):
        guard.sleep(seconds * 1000)
        change(guard)
        world.board.on_status = statuses.append
        guard._publish(guard.hal.ticks_ms())
        world.board.finish()

    world.run(DirectTarget(world.scenario.device_config(), live).boot)
    (status,) = statuses
    return status


def test_the_sim_and_the_last_report_are_told(world):
    status = published(world, 1800)
    assert (status["network"], status["bearer"]) == (IMSI[:6], "at")
    assert status["iccid"].startswith("8986")
    received = world.store.latest(world.device_id).received_at
    assert status["report_s"] == int((world.clock.utc() - received).total_seconds())
    assert status["report_answered"] is True


def test_before_the_first_report_there_is_none(world):
    status = published(world, 1)
    assert (status["report_s"], status["report_answered"], status["iccid"]) == (None, False, "")


def test_noise_in_the_modems_answers_is_no_failure(world):
    def noisy(guard):
        guard.modem.iccid = guard.modem.sim_state = b"8\xff'6"

    status = published(world, 60, noisy)
    assert status["iccid"] == status["sim_state"]
    assert status["iccid"].startswith("8")
