"""Runs a scenario with many devices, and adds up what becomes of them.

Device number n has the seed of the scenario plus n. Devices with plans of their own know nothing of each other: each is
the run that `usageguard sim --seed` makes, in whatever process. Those of a shared pool run in one process and take
turns (`turns`): what each has used is in the pool of the others at the end of the minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from host_tools.base import workers
from host_tools.base.errors import UsageError
from host_tools.run.run import run_scenario
from host_tools.run.targets import names
from host_tools.run.targets.target import Target
from host_tools.run.turns import PacedClock, Turn, take_turns
from host_tools.run.world import World
from host_tools.scenario.carrier import POOL
from host_tools.scenario.file import Scenario
from host_tools.sim.carrier.pool import Pool

Row = dict[str, Any]
"""What became of one device: its number, seed and failures, and of a run's summary what is no list of events."""

Spread = Callable[[Callable[["Share"], list[Row]], Sequence["Share"]], AbstractContextManager[Iterable[list[Row]]]]
"""How work is spread: yields the results of a function for each of many shares, in any order."""


@dataclass(frozen=True)
class Share:
    """Devices that are to be run in one process."""

    scenario: Scenario
    target: str
    seed: int
    numbers: range


@dataclass(frozen=True)
class FleetResult:
    """`to_json()` is what `usageguard sim --devices --json` prints."""

    summary: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.summary

    @property
    def passed(self) -> bool:
        return self.summary["passed"]


def run_fleet(
    scenario: Scenario,
    devices: int,
    target: str = names.CPYTHON,
    seed: int | None = None,
    spread: Spread = workers.results,
    on_done: Callable[[int], None] = lambda devices: None,
) -> FleetResult:
    """Runs the scenario with so many devices; `on_done` gets how many are over. Raises UsageError for bad input."""
    if any(host.kind == "bridge" for host in scenario.hosts):
        raise UsageError("--devices", str(devices), "is for simulated hosts alone", "leave out its bridges")
    if scenario.real_time or target not in names.SIMULATED:
        raise UsageError("--devices", str(devices), "is for virtual time", f"use one of {', '.join(names.SIMULATED)}")
    seed = scenario.seed if seed is None else seed
    each = devices if scenario.carrier_config.sim_plan.pool else 1
    shares = [Share(scenario, target, seed, range(n, n + each)) for n in range(0, devices, each)]
    started = time.monotonic()
    rows: list[Row] = []
    with spread(live, shares) as results:
        for done in results:
            rows += done
            on_done(len(rows))
    rows.sort(key=lambda row: row["device_number"])
    return FleetResult(_summary(scenario, target, seed, rows, time.monotonic() - started))


def live(share: Share) -> list[Row]:
    """Runs the devices of a share."""
    if len(share.numbers) > 1:
        return _pooled(share)
    return [_row(share, number, _target(share), None, _nothing) for number in share.numbers]


def _nothing(world: World) -> None:
    pass


def _target(share: Share) -> Target | str:
    app = share.scenario.app
    by_calls = app.name == "workload" and app.pauses != "time" and app.manners != "crashing"
    if share.target == names.CPYTHON and by_calls:
        from host_tools.run.targets.direct import WorkloadTarget  # the firmware, which a process of its own has else

        return WorkloadTarget()
    return share.target


def _row(share: Share, number: int, target: Target | str, clock: PacedClock | None, on_start: Any) -> Row:
    worlds: list[World] = []

    def start(world: World) -> None:
        worlds.append(world)
        on_start(world)

    result = run_scenario(share.scenario, target, share.seed + number, on_start=start, clock=clock).summary
    kept = ("seed", "passed", "failures", "carrier", "device", "upstream")
    return {"device_number": number} | {key: result[key] for key in kept} | {"steps": worlds[0].clock.scheduled}


def _pooled(share: Share) -> list[Row]:
    """All devices of a pool."""
    rows: list[Row] = []
    pools: list[Pool] = []

    def member(number: int) -> Turn:
        target = _target(share)

        def on_start(world: World) -> None:
            pool = world.carrier.pool(POOL)
            pool.join_elsewhere(len(share.numbers) - 1)
            pools.append(pool)

        turn = Turn(share.scenario.start, lambda clock: rows.append(_row(share, number, target, clock, on_start)))
        turn.on_turn = getattr(target, "take_over", turn.on_turn)
        return turn

    take_turns([member(number) for number in share.numbers], lambda: exchange(pools))
    return rows


def exchange(pools: Sequence[Pool]) -> None:
    """Adds what was used of one pool in each world, since the last call, to the pool as the others have it."""
    used = [pool.take_own() for pool in pools]
    day = max(first_day for first_day, _, _ in used)  # a world that is over may be in the cycle before
    of_day = [(billed, in_time) if first_day == day else (0, 0) for first_day, billed, in_time in used]
    all_billed, all_in_time = (sum(column) for column in zip(*of_day, strict=True))
    for pool, (billed, in_time) in zip(pools, of_day, strict=True):
        pool.add_elsewhere(day, all_billed - billed, all_in_time - in_time)


def _summary(scenario: Scenario, target: str, seed: int, rows: Sequence[Row], wall_s: float) -> dict[str, Any]:
    failures = [f"device {row['device_number']}: {failure}" for row in rows for failure in row["failures"]]
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "target": target,
        "seed": seed,
        "devices": len(rows),
        "passed": not failures,
        "failures": failures,
        "simulated_s": int(scenario.duration),
        "wall_s": round(wall_s, 2),
        "totals": _totals(rows),
        "rows": list(rows),
    }


def _totals(rows: Sequence[Row]) -> dict[str, Any]:
    def values(part: str, name: str) -> Iterator[Any]:
        return (row[part][name] for row in rows if row[part][name] is not None)

    def added(part: str, *columns: str) -> dict[str, int]:
        return {name: sum(values(part, name)) for name in columns}

    figures = added("carrier", "ip_octets", "billed_octets", "denied_octets", "overage_cost")
    return figures | {
        **added("device", "carried_octets", "rated_octets", "error_bound_octets", "boots", "flash_erases"),
        **added("upstream", "reports_sent", "reports_received", "reports_lost"),
        "stopped_by_carrier": len(list(values("carrier", "stopped_at"))),
        "stopped_by_device": len(list(values("device", "stopped_at"))),
        "most_billed_octets": max(values("carrier", "billed_octets"), default=0),
        "least_billed_octets": min(values("carrier", "billed_octets"), default=0),
        "steps": sum(row["steps"] for row in rows),
    }
