"""What the status says of the SIM and of the last report, on a device with a collector."""

import pytest

from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from tests.run.targets.conftest import HEAD

TEXT = HEAD.format(title="status", duration="2h")
CLASSES = """
[[host]]
name = "api"
kind = "sink"
[[classes]]
name = "readings"
[[classes]]
name = "pictures"
[[classes]]
name = "report"
reserve = true
"""


@pytest.fixture
def world():
    return World(scenario.loads(TEXT, "status.toml"), 1, {})


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


def spend(guard, octets):
    with guard.traffic("pictures"):
        socket = sockets.socket()
    socket.connect(("api", 9))
    socket.write(bytes(octets))
    guard.sleep(60_000)
    socket.close()
    guard.sleep(60_000)


def agrees(world, classes):
    """Together the classes have what the carrier has, and little more: what the modem's counter gives back is of no
    class."""
    carried = world.carrier.figures(IMSI)["ip_octets"]
    assert carried <= sum(of["octets"] for of in classes.values()) < 1.1 * carried


def test_each_class_of_ones_own_is_counted():
    world = World(scenario.loads(TEXT + CLASSES, "status.toml"), 1, {})
    status = published(world, 60, lambda guard: spend(guard, 10_000))
    classes = status["classes"]
    assert classes["readings"] == {"octets": 0, "connections": 0, "refused": 0}
    assert (classes["pictures"]["connections"], classes["pictures"]["refused"]) == (1, 0)
    assert classes["pictures"]["octets"] > 10_400  # with headers and acknowledgements
    agrees(world, classes)


def test_what_is_refused_is_counted_for_its_class():
    world = World(scenario.loads((TEXT + CLASSES).replace('"30MB"', '"300KB"'), "status.toml"), 1, {})

    def until_refused(guard):
        for _ in range(3):  # the first is cut off, the others are not admitted
            with pytest.raises(OSError, match="stopped"):
                spend(guard, 400_000)

    classes = published(world, 60, until_refused)["classes"]
    assert (classes["pictures"]["connections"], classes["pictures"]["refused"]) == (1, 2)
    assert classes["readings"]["refused"] == 0
    agrees(world, classes)


def test_a_device_without_classes_of_its_own_counts_none(world):
    assert "classes" not in published(world, 60)


def test_noise_in_the_modems_answers_is_no_failure(world):
    def noisy(guard):
        guard.modem.iccid = guard.modem.sim_state = b"8\xff'6"

    status = published(world, 60, noisy)
    assert status["iccid"] == status["sim_state"]
    assert status["iccid"].startswith("8")
