"""The modem's power pulses on an ESP32 board: the guard goes on stepping while they last."""

from itertools import pairwise

import pytest
from usageguard.config.load import load
from usageguard.guard.guard import Guard, driver_of

from tests.hal.hardware import BoardRig
from tests.store.memory import Blocks

CONFIG = {
    "device": {"id": "tracker-001", "key": "42" * 32},
    "plan": {"allowance_octets": 10 << 20},
    "modem": {"family": "quectel", "apn": "cmiot"},
}
BOARD = {"uart": 1, "tx": 26, "rx": 27, "baud": 115200, "power": 12, "power_active": 1}
BOARD |= {"reset": 5, "reset_active": 1, "reset_pulse_ms": 20_000}
BOARD |= {"pwrkey": 4, "pwrkey_active": 0, "on_pulse_ms": 700, "off_pulse_ms": 3_000}
TURN_MS = 100  # the application's own loop


@pytest.fixture
def board(monkeypatch):
    """A board whose modem never answers, and its guard, from just before the wrap of the ticks on."""
    rig = BoardRig()
    rig.ticks = (1 << 30) - 5_000
    hal = rig.adapter(monkeypatch).Hal(BOARD)
    hal.flash = Blocks()
    return rig, Guard(hal, load(CONFIG))


COUNTERS = [("quectel", True), ("ca", True), ("usocr", True)]
COUNTERS += [(family, False) for family in ("mip", "cip", "sequans")]


@pytest.mark.parametrize(("family", "counted"), COUNTERS)
def test_what_arrived_in_a_reset_is_charged_where_no_counter_will_show_it(monkeypatch, family, counted):
    hal = BoardRig().adapter(monkeypatch).Hal(BOARD)
    hal.flash = Blocks()
    config = load(CONFIG | {"modem": {"family": family, "apn": "cmiot"}})

    def boot(cause):
        monkeypatch.setattr(hal, "reset_cause", lambda: cause)
        return Guard(hal, config).admission

    boot(1).open(0, True, 0)  # it has been online, and lost its power
    before = boot(1).carried_octets()
    charged = boot(3).carried_octets() - before  # machine.WDT_RESET
    assert (charged == 0) == counted
    assert counted or charged > driver_of(family).WINDOW


def live(rig, guard, seconds):
    """Lets the application run for so long; returns the ticks of the guard's steps, counted from the start."""
    steps = []
    step, start = guard.step, rig.ticks

    def counted(now):
        steps.append((now - start) % (1 << 30))
        return step(now)

    guard.step = counted
    for _ in range(seconds * 1000 // TURN_MS):
        guard.sleep(TURN_MS)
    return steps


def changes(rig, pin):
    """(ticks, level) of each change of the pin's level, ticks counted from the first start of the modem."""
    out = []
    for (_, number, level), ticks in zip(rig.log, rig.times, strict=True):
        if number == pin and (not out or out[-1][1] != level):
            out.append(((ticks - rig.times[0]) % (1 << 30), level))
    return out


def test_a_pulse_of_20_s_does_not_hold_the_guard_up(board):
    rig, guard = board
    steps = live(rig, guard, 120)
    assert max(after - before for before, after in pairwise(steps)) <= TURN_MS
    (rest, low), (began, high), (ended, back), *_ = changes(rig, 5)
    assert (low, high, back) == (0, 1, 0)
    assert rest == began
    assert 20_000 <= ended - began <= 20_000 + TURN_MS
    during = [at for at in steps if began < at < ended]
    assert len(during) >= 20_000 // TURN_MS - 1
    assert rig.fed, "the watchdog"


def test_levels_and_durations_of_a_cycle_of_the_power(board):
    """Reset and key to start it; after 30 s without an answer, the key to stop it, 5 s without supply, and again."""
    rig, guard = board
    live(rig, guard, 180)
    key, supply = changes(rig, 4), changes(rig, 12)
    assert [level for _, level in key[:5]] == [1, 0, 1, 0, 1]
    _, on, on_end, off, off_end = (at for at, _ in key[:5])
    assert 700 <= on_end - on <= 700 + TURN_MS
    assert 3_000 <= off_end - off <= 3_000 + TURN_MS
    assert on == changes(rig, 5)[2][0], "the key follows the reset"
    assert [level for _, level in supply[:3]] == [1, 0, 1]
    _, dark, again = (at for at, _ in supply[:3])
    assert dark == off_end
    assert 5_000 <= again - dark <= 5_000 + TURN_MS
