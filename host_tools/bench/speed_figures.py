"""How fast the simulator is, by processor time, which other work on the machine changes little."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import TypeVar

from host_tools.bench.figures import figure
from host_tools.run.run import run_scenario
from host_tools.run.targets import vm
from host_tools.scenario import file as scenario
from host_tools.soak.soak import work

T = TypeVar("T")
CORES = 2


def timed(run: Callable[[], T]) -> tuple[float, T]:
    """Seconds of processor time, of this process and of those that it waited for; and what `run` returned."""
    before = _processor_s()
    result = run()
    return _processor_s() - before, result


def _processor_s() -> float:
    vm.end_idle()
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


@figure("speed.month", "x real time, cutoff-month on the VM", least=100_000, portable=False)
def _month() -> float:
    seconds, run = timed(lambda: run_scenario(scenario.load("cutoff-month"), "micropython").to_json())
    return run["simulated_s"] / seconds


def _lives(target: str, runs: int) -> float:
    work((1,), target)  # loads what a first run loads
    seconds, _ = timed(lambda: work(range(1, 1 + runs), target))
    return CORES * runs / seconds


@figure("speed.lives-vm", "random lives a second on two cores, VM", least=10, portable=False)
def _lives_on_vm() -> float:
    return _lives("micropython", 12)


@figure("speed.lives-cpython", "random lives a second on two cores, CPython", least=50, portable=False)
def _lives_on_cpython() -> float:
    return _lives("cpython", 40)
