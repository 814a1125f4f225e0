"""Runs one scenario and checks the invariants, in this process or on a MicroPython VM."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from host_tools.run.run import run_scenario
from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.targets.link import Crashed
from host_tools.run.world import World
from host_tools.scenario.file import MIN_REQUEST, Scenario, Traffic, loads
from host_tools.sim.clock import S
from host_tools.soak import write
from host_tools.soak.invariants import Checker, Violated
from host_tools.torture.device import fast

CHUNK = 1_400
NO_STATUS = "crash: the device never reported a status"


@dataclass(slots=True)
class Outcome:
    """The outcome of a run. `invariant` is the one that was violated, "" if none was."""

    seed: int
    invariant: str = ""
    detail: str = ""
    simulated_s: int = 0
    statuses: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)


def read(table: dict[str, Any]) -> Scenario:
    """The scenario of a table, parsed from its TOML text. UsageError for an invalid one."""
    return loads(write.text(table), "soak.toml")


def run_case(scenario: Scenario, target: str = "cpython") -> Outcome:
    """Runs the scenario to its end, or to the first violated invariant."""
    checkers: list[Checker] = []
    invariant = detail = ""
    try:
        (_run_directly if target == "cpython" else _run_on_vm)(scenario, target, checkers)
    except Violated as error:
        invariant, detail = error.invariant, str(error)
    except Crashed as error:
        invariant, detail = "crash", str(error)
    except Exception as error:  # in the device's program or in the simulator: both are failures
        frame = traceback.extract_tb(error.__traceback__)[-1]
        invariant, detail = "crash", f"crash: {type(error).__name__}: {error} ({frame.name}, line {frame.lineno})"
    checker = checkers[0] if checkers else None
    if checker is None:
        return Outcome(scenario.seed, invariant or "crash", detail or NO_STATUS)
    checker.checked["crash"] += 1
    if not invariant and not checker.statuses:
        invariant, detail = "crash", NO_STATUS
    simulated_s = checker.world.clock.now_us // S
    return Outcome(scenario.seed, invariant, detail, simulated_s, checker.statuses, checker.faults, checker.checked)


def _run_directly(scenario: Scenario, target: str, checkers: list[Checker]) -> None:
    with contextlib.closing(World(scenario, scenario.seed, {})) as world, fast():
        checker = Checker(world)
        checkers.append(checker)
        world.board.on_status = checker.status
        device = DirectTarget(world.device_config, _application(world))
        world.run(device.boot)


def _run_on_vm(scenario: Scenario, target: str, checkers: list[Checker]) -> None:
    def progress(world: World) -> None:
        if not checkers:
            checkers.append(Checker(world))
        checkers[0].status(world.board.status)

    run_scenario(scenario, target, on_progress=progress)


class _Turn(NamedTuple):
    """One request of the habit with this number."""

    number: int


def _application(world: World) -> Callable[[Any], None]:
    """An application that makes the same requests at the same times as the built-in one, inside this process."""
    from host_tools.build.device.workload import attempt

    pause = _native_pause if world.scenario.app.pauses == "time" else _pause
    habits = world.scenario.traffic
    periods = [int(habit.period or world.scenario.duration) for habit in habits]
    ports = {host.name: host.listens_on for host in world.scenario.hosts}

    def main(guard: Any) -> None:
        now_s = world.clock.now_us // S
        due = [int(h.first) + max(0, -(-(now_s - h.first) // p)) * p for h, p in zip(habits, periods, strict=True)]

        def request(guard: Any, turn: _Turn) -> None:
            _request(guard, habits[turn.number], ports[habits[turn.number].host])

        while due:
            at = due.index(min(due))
            habit = habits[at]
            if habit.until and due[at] >= habit.until:
                due[at] = world.end_us // S + 1
            ahead = due[at] - world.clock.now_us // S
            if ahead > 0:
                pause(guard, ahead)
                continue
            due[at] += periods[at]
            attempt(world.scenario.app.manners, request, guard, _Turn(at))

    def supervised(guard: Any) -> None:
        from usageguard.app import FIRST_BACKOFF_MS, crash_code

        while True:
            try:
                return main(guard)
            except OSError as error:
                guard.crashed(crash_code(error))
            guard.sleep(FIRST_BACKOFF_MS)

    return supervised if world.scenario.app.manners == "crashing" else main


def _pause(guard: Any, seconds: int) -> None:
    guard.sleep(seconds * 1000)


def _native_pause(guard: Any, seconds: int) -> None:
    """What `time.sleep` is to an application on a chip: the guard's patch above the system's own."""
    from usageguard.guard.waits import Waits
    from usageguard.hal.virtual import Time

    Waits(guard, Time(guard.hal, time)).sleep(seconds)


def _request(guard: Any, habit: Traffic, port: int) -> None:
    """Sends one request and reads its reply. OSError when either fails."""
    with guard.traffic(habit.class_name):
        sock = sockets.socket()
    try:
        sock.settimeout(60)
        sock.connect((habit.host, port))
        sock.write(b"UG" + habit.tx.to_bytes(2, "big") + habit.rx.to_bytes(4, "big"))
        left = habit.tx - MIN_REQUEST
        while left > 0:
            left -= sock.write(bytes(min(left, CHUNK))) or 0
        left, buffer = int(habit.rx), bytearray(CHUNK)
        while left > 0:
            got = sock.readinto(buffer)
            if not got:
                return
            left -= got
    finally:
        sock.close()
