"""One life: a scenario run under watch, in this process or on a MicroPython VM."""

from __future__ import annotations

import contextlib
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from host_tools import bench
from host_tools.scenario import MIN_REQUEST, Scenario, Traffic, loads
from host_tools.sim.clock import S
from host_tools.soak import write
from host_tools.soak.watch import Violated, Watch
from host_tools.targets.direct import DirectTarget, sockets
from host_tools.targets.link import Crashed

CHUNK = 1_400


@dataclass(slots=True)
class Outcome:
    """How a life went; `invariant` is the one that did not hold, "" where all did."""

    seed: int
    invariant: str = ""
    detail: str = ""
    simulated_s: int = 0
    statuses: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)


def read(table: dict[str, Any]) -> Scenario:
    """The scenario of a table, through the file that it would be. UsageError for one that is none."""
    return loads(write.text(table), "soak.toml")


def live(scenario: Scenario, target: str = "cpython") -> Outcome:
    """Runs it to its end, or to the first invariant that does not hold."""
    watches: list[Watch] = []
    invariant = detail = ""
    try:
        (_directly if target == "cpython" else _on_a_vm)(scenario, target, watches)
    except Violated as error:
        invariant, detail = error.invariant, str(error)
    except Crashed as error:
        invariant, detail = "crash", str(error)
    except Exception as error:  # of the device's program, or the simulator's: either is a finding
        frame = traceback.extract_tb(error.__traceback__)[-1]
        invariant, detail = "crash", f"crash: {type(error).__name__}: {error} ({frame.name}, line {frame.lineno})"
    watch = watches[0] if watches else None
    if watch is None:
        return Outcome(scenario.seed, invariant or "crash", detail or "crash: the device never told its status")
    watch.checked["crash"] += 1
    if not invariant and not watch.statuses:
        invariant, detail = "crash", "crash: the device never told its status"
    simulated_s = watch.world.clock.now_us // S
    return Outcome(scenario.seed, invariant, detail, simulated_s, watch.statuses, watch.faults, watch.checked)


def _directly(scenario: Scenario, target: str, watches: list[Watch]) -> None:
    world = bench.World(scenario, scenario.seed, {})
    watch = Watch(world)
    watches.append(watch)
    world.board.on_status = watch.status
    device = DirectTarget(scenario.device_config(), _application(world))
    try:
        bench.live(world, device.boot)
    finally:
        world.internet.close()


def _on_a_vm(scenario: Scenario, target: str, watches: list[Watch]) -> None:
    def progress(world: bench.World) -> None:
        if not watches:
            watches.append(Watch(world))
        watches[0].status(world.board.status)

    bench.run(scenario, target, on_progress=progress)


def _application(world: bench.World) -> Callable[[Any], None]:
    """An application as the built-in one is, inside this process: the same requests, at the same times."""
    habits = world.scenario.traffic
    ports = {host.name: host.listens_on for host in world.scenario.hosts}

    def main(guard: Any) -> None:
        now_s = world.clock.now_us // S
        due = [int(h.start) + max(0, -(-(now_s - h.start) // h.period)) * h.period for h in habits]
        while due:
            at = due.index(min(due))
            habit = habits[at]
            if habit.until and due[at] >= habit.until:
                due[at] = world.end_us // S + 1
            ahead = due[at] - world.clock.now_us // S
            if ahead > 0:
                guard.sleep(ahead * 1000)
                continue
            due[at] += int(habit.period)
            with contextlib.suppress(OSError):
                _request(guard, habit, ports[habit.host])

    return main


def _request(guard: Any, habit: Traffic, port: int) -> None:
    """One request and its answer. OSError when it did not succeed."""
    with guard.traffic(habit.class_name):
        sock = sockets.socket()
    try:
        sock.settimeout(60)
        sock.connect((habit.host, port))
        sock.write(b"UG" + habit.tx.to_bytes(2, "big") + habit.rx.to_bytes(4, "big"))
        left = habit.tx - MIN_REQUEST
        while left > 0:
            left -= sock.write(bytes(min(left, CHUNK)))
        left, buffer = int(habit.rx), bytearray(CHUNK)
        while left > 0:
            got = sock.readinto(buffer)
            if not got:
                return
            left -= got
    finally:
        sock.close()
