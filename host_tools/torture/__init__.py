"""Tortures the ledger: power cuts at every operation on flash, rot, failing flash; and ledgers that must fail.

`run` does it on every core; `usageguard torture` is the command over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from host_tools import workers
from host_tools.torture import controls
from host_tools.torture.life import Subject
from host_tools.torture.trials import Tally
from host_tools.torture.trials import run as run_trial

OnProgress = Callable[[int, int, int], None]
"""Called with the work units done, those there are, and the cases so far."""

SEEDS = {"log": 14, "file": 6}
LENGTH = {"log": 120, "file": 60}
"""Acts of each life: the ring goes round some three times; the files' metadata are compacted some 20 times."""
# The share of the sampled cases to take of a life, for each trial.
SHARES = {"log": {"cuts": 0.2, "rot": 0.35}, "file": {"cuts": 0.015, "rot": 0.015}}
CONTROL_LENGTH = 60
CONTROL_SEEDS = range(100, 104)


@dataclass(frozen=True, slots=True)
class Unit:
    """One life under one trial; `control` is the number of a ledger that breaks a rule, or -1 for the real one."""

    store: str
    trial: str
    seed: int
    length: int
    share: float
    control: int = -1


@dataclass(slots=True)
class Row:
    """How one backend did."""

    backend: str
    tally: Tally = field(default_factory=Tally)
    trials: dict[str, int] = field(default_factory=dict)
    caught: dict[str, bool] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        tally = self.tally
        return not (tally.under or tally.double or tally.bound) and tally.cases > 0 and all(self.caught.values())

    def to_json(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "backend": self.backend,
            "cases": tally.cases,
            "under_counts": tally.under,
            "double_grants": tally.double,
            "bound_exceeded": tally.bound,
            "rot_rollbacks": tally.rot_rollbacks,
            "rot_refusals": tally.refusals,
            "max_over_count_octets": tally.over_octets,
            "over_count_bound_octets": tally.bound_octets,
            "controls_caught": sum(self.caught.values()),
            "controls": len(self.caught),
            "controls_missed": [name for name, caught in self.caught.items() if not caught],
            "failures": tally.failures,
            "passed": self.passed,
        }


def units(scale: float = 1.0) -> Iterator[Unit]:
    """All the work there is, the longest first; `scale` shrinks the samples."""
    for store, seeds in SEEDS.items():
        for trial in ("cuts", "rot", "sectors", "fading", "blank", "foreign"):
            if store == "file" and trial in ("fading", "foreign"):
                continue  # whether a block is erased, and whether a partition is its own, is the file system's affair
            share = SHARES[store].get(trial, 1.0) * scale
            for seed in range(1, seeds + 1):
                yield Unit(store, trial, seed, LENGTH[store], share)
        for n, (_, trial) in enumerate(controls.CONTROLS[store]):
            yield Unit(store, trial, 0, CONTROL_LENGTH, 0.1 if trial == "cuts" else 0.5, n)


def work(unit: Unit) -> Tally:
    """Does one unit. A control is tried until it is caught."""
    if unit.control < 0:
        return run_trial(unit.trial, Subject, unit.store, unit.seed, unit.length, unit.share)
    kind = controls.CONTROLS[unit.store][unit.control][0]
    tally = Tally()
    for seed in CONTROL_SEEDS:
        tally.add(run_trial(unit.trial, kind, unit.store, seed, unit.length, unit.share, control=True))
        if caught(tally):
            break
    return tally


def _named_work(unit: Unit) -> tuple[Unit, Tally]:
    return unit, work(unit)


def caught(tally: Tally) -> bool:
    return tally.under + tally.double + tally.rot_rollbacks > 0


def run(scale: float = 1.0, on_progress: OnProgress | None = None, processes: int | None = None) -> list[Row]:
    """All of it, on `processes` (as many as there are cores); one row for each backend."""
    rows = {store: Row(store) for store in SEEDS}
    todo = list(units(scale))
    done = cases = 0
    with workers.results(_named_work, todo, processes) as worked:
        for unit, tally in worked:
            row = rows[unit.store]
            if unit.control >= 0:
                kind, _ = controls.CONTROLS[unit.store][unit.control]
                row.caught[kind.__name__] = caught(tally)
            else:
                row.tally.add(tally)
                row.trials[unit.trial] = row.trials.get(unit.trial, 0) + tally.cases
                cases += tally.cases
            done += 1
            if on_progress:
                on_progress(done, len(todo), cases)
    return list(rows.values())
