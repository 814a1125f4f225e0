"""Where the guard cannot be stepped, and where a wait is a driver's, the system's own wait does it."""

import threading
from types import SimpleNamespace

import pytest

from host_tools.base import paths

paths.use_firmware()

from usageguard.guard.waits import Waits  # noqa: E402


class Guard:
    """Notes its steps and sleeps."""

    SLICE_MS = 20

    def __init__(self):
        self.hal = self
        self.thread = threading.get_ident()
        self.stepping = self.polling = False
        self.stepped_at = self.now = 0
        self.did = []

    def ticks_ms(self):
        return self.now

    def step(self, now):
        self.did.append("step")
        self.stepped_at = now

    def sleep(self, ms):
        self.did.append(ms)

    def pump(self, until):
        self.did.append("pump")
        self.now = until


@pytest.fixture
def guard():
    return Guard()


@pytest.fixture
def waits(guard):
    def native(name):
        return lambda *args: guard.did.append((name, *args))

    names = ("sleep_us", "sleep_ms", "idle", "lightsleep")
    return Waits(guard, SimpleNamespace(poll=lambda *args: [], **{name: native(name) for name in names}))


@pytest.mark.parametrize(
    ("call", "args", "did"),
    [
        ("sleep", (2,), [2000]),
        ("sleep", (0.5,), [500]),
        ("sleep", (0.0005,), [("sleep_us", 500)]),
        ("sleep", (0.01,), [("sleep_us", 10_000), "step"]),
        ("sleep_ms", (86_400_000,), [86_400_000]),
        ("sleep_ms", (19,), [("sleep_ms", 19), "step"]),
        ("sleep_us", (20_000,), [20]),
        ("idle", (), [("idle",), "step"]),
        ("lightsleep", (5,), [5]),
        ("lightsleep", (), [("lightsleep",)]),
    ],
)
def test_a_wait(guard, waits, call, args, did):
    guard.now = 100  # since the last step
    getattr(waits, call)(*args)
    assert guard.did == did


def test_short_waits_step_once_in_20_ms(guard, waits):
    for guard.now in range(0, 60, 5):
        waits.sleep_ms(5)
    assert guard.did.count("step") == 2


def test_in_the_middle_of_a_step_a_wait_is_the_systems(guard, waits):
    guard.stepping, guard.now = True, 100
    waits.sleep_ms(500)
    waits.lightsleep(500)
    assert guard.did == [("sleep_ms", 500), ("lightsleep", 500)]


def test_in_another_thread_a_wait_is_the_systems(guard, waits):
    guard.now = 100
    thread = threading.Thread(target=waits.sleep_ms, args=(500,))
    thread.start()
    thread.join()
    assert guard.did == [("sleep_ms", 500)]


def test_a_poll_pumps_in_slices_until_its_time_is_up(guard, waits):
    assert waits.poll(50) == []
    assert guard.did == ["pump", "pump", "pump", "step"]
    assert guard.now == 50
