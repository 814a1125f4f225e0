"""Runs all trials on the ledger, on both of its backends, and on the controls, which must fail; on all cores."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from host_tools.base import workers
from host_tools.torture import controls
from host_tools.torture.catalogue import run_trial
from host_tools.torture.device import Subject
from host_tools.torture.trials import Tally

OnProgress = Callable[[int, int, int], None]
"""Called with the number of units done, their total, and the cases so far."""

SEEDS = {"log": 14, "file": 6}
LENGTH = {"log": 120, "file": 60}
"""Actions of each workload: the ring wraps about three times; the files' metadata are compacted about 20 times."""
# The share of a workload's sampled cases that each trial runs.
SHARES = {"log": {"cuts": 0.2, "rot": 0.35}, "file": {"cuts": 0.015, "rot": 0.015, "undone": 0.015}}
CONTROL_LENGTH = 60
CONTROL_SEEDS = range(100, 104)


@dataclass(frozen=True, slots=True)
class Unit:
    """One trial with one workload. `control` is the index of a control, or -1 for the real ledger."""

    store: str
    trial: str
    seed: int
    length: int
    share: float
    control: int = -1


@dataclass(slots=True)
class Row:
    """The outcome for one backend."""

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


def units(scale: float = 1.0, seed: int | None = None) -> Iterator[Unit]:
    """All units, the longest first; `scale` reduces the samples. A `seed` draws other workloads, of other lengths, and
    adds the trial `undone`; without one they are the same in every release, so that figures can be compared."""
    rng = random.Random(f"torture/{seed}")
    for store, count in SEEDS.items():
        drawn = [(n, LENGTH[store]) for n in range(1, count + 1)]
        if seed is not None:
            drawn = [(rng.randrange(1 << 32), rng.randrange(LENGTH[store] // 2, LENGTH[store])) for _ in drawn]
        for trial in ("cuts", "rot", "sectors", "fading", "blank", "foreign", "undone"):
            if trial == "undone" and seed is None:
                continue
            if store == "file" and trial in ("fading", "foreign"):
                continue  # littlefs decides whether a block is erased and whether a partition is its own
            share = SHARES[store].get(trial, 1.0) * scale
            for workload, length in drawn:
                yield Unit(store, trial, workload, length, share)
        for n, (_, trial) in enumerate(controls.CONTROLS[store]):
            yield Unit(store, trial, 0, CONTROL_LENGTH, 0.1 if trial == "cuts" else 0.5, n)


def work(unit: Unit) -> Tally:
    """Runs one unit. A control is run with further seeds until it is caught."""
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
    """Whether the trial found the control's defect."""
    return tally.under + tally.double + tally.rot_rollbacks > 0


def run(
    scale: float = 1.0, on_progress: OnProgress | None = None, processes: int | None = None, seed: int | None = None
) -> list[Row]:
    """Runs all units (see `units`) in `processes` (default: one per core); returns a row for each backend."""
    rows = {store: Row(store) for store in SEEDS}
    todo = list(units(scale, seed))
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
