"""Applications of every kind under the supervisor, on the VM, against real servers."""

import itertools

import pytest

from host_tools.base import paths
from host_tools.run import services
from tests.run.targets.conftest import APPS, run, told

EXAMPLES = paths.firmware() / "examples"


@pytest.mark.parametrize("target", ["micropython", "cpython"])
def test_a_blocking_application_publishes_through_umqtt_to_a_real_broker(target):
    with services.mqtt_broker() as mqtt:
        address = f"127.0.0.1:{mqtt.port}"
        result = run(EXAMPLES / "blocking_app.py", target, libraries=["umqtt.simple"], mqtt_example=address)
        assert mqtt.publications == 5
    assert told(result, "app-crash") == []


@pytest.mark.parametrize("example", ["asyncio_app.py", "own_loop_app.py"])
def test_an_application_with_its_own_waiting_talks(example, echo_server):
    result = run(EXAMPLES / example, echo_example=echo_server)
    lines = told(result, "example-line")
    assert len(lines) == (6 if example == "asyncio_app.py" else 3)
    assert told(result, "app-crash") == []


@pytest.mark.parametrize("target", ["micropython", "cpython"])
def test_a_crashing_application_is_reported_and_restarted_with_back_off_while_guarding_goes_on(target):
    result = run(APPS / "crashing_app.py", target, duration="30m")
    crashes = [e for e in result["events"] if e["what"] == "app-crash"]
    starts = [b for _, _, b in told(result, "app-start")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps[:8] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert {e["a"] for e in crashes} == {104}, "the code is the OSError's errno"
    assert result["upstream"]["reports_received"] >= 3
    assert result["device"]["boots"] == 1


@pytest.mark.parametrize("target", ["micropython", "cpython"])
def test_an_application_that_never_waits_on_the_guard_is_reset_by_the_watchdog(target):
    result = run(APPS / "stuck_app.py", target, duration="20m")
    causes = [e["cause"] for e in result["events"] if (e["who"], e["what"]) == ("device", "boot")]
    assert causes[:3] == ["power-on", "watchdog", "watchdog"]
    assert told(result, "ledger-exact")[0][1:] == (0, 0), "retained memory knew what was spent"


def test_the_guard_survives_an_application_that_takes_all_memory(echo_server):
    result = run(APPS / "greedy_app.py", duration="1h", echo=echo_server)
    assert told(result, "app-refused"), "the application's greed does not reach the guard: take more"
    assert [a for _, a, _ in told(result, "app-fetched")] == [5]
    device, carrier = result["device"], result["carrier"]
    assert device["boots"] == 1
    assert 0 <= device["carried_octets"] - carrier["ip_octets"] <= device["error_bound_octets"]


def test_a_traffic_class_is_that_of_a_task():
    result = run(APPS / "asyncio_classes_app.py", duration="5m")
    assert told(result, "class-") == [
        ("class-ota", 1, 0),
        ("class-after", 0, 0),
        ("class-telemetry", 0, 0),
        ("class-after", 0, 0),
        ("class-ota", 1, 0),
        ("class-after", 0, 0),
        ("class-main", 0, 0),
    ]


def test_the_tasks_of_a_coroutine_that_crashed_end_with_it():
    result = run(APPS / "asyncio_crash_app.py", duration="5m")
    beats = told(result, "beat")
    assert len(told(result, "app-crash")) > 3
    assert beats
    assert all(task == life for _, task, life in beats)


def test_a_crash_closes_the_sockets_that_the_application_left_open(echo_server):
    result = run(APPS / "leaking_app.py", duration="20m", echo=echo_server)
    assert {code for _, code, _ in told(result, "app-crash")} == {42}, "never out of sockets"
