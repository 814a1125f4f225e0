"""Runs the scenarios of many seeds on all cores, and shortens those that fail."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from host_tools.base import workers
from host_tools.soak import write
from host_tools.soak.case import Outcome, read, run_case
from host_tools.soak.mutations import MUTATIONS
from host_tools.soak.plans import generate
from host_tools.soak.shrink import Shrinker

BATCH = {"cpython": 10, "micropython": 2}
"""Scenarios that a process is given at a time."""

OnProgress = Callable[[int, int, int], None]
"""Called with the number of runs done, their total, and the failures so far."""


@dataclass(slots=True)
class Soak:
    """The outcome of all runs."""

    target: str
    seeds: tuple[int, int]  # first and last
    runs: int = 0
    wall_s: float = 0.0
    simulated_s: int = 0
    statuses: int = 0
    failures: list[Outcome] = field(default_factory=list)
    files: dict[int, str] = field(default_factory=dict)  # seed -> short scenario file that reproduces the failure
    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)

    @property
    def passed(self) -> bool:
        return not self.failures and self.runs > 0

    def add(self, outcome: Outcome) -> None:
        self.runs += 1
        self.simulated_s += outcome.simulated_s
        self.statuses += outcome.statuses
        self.faults += outcome.faults
        self.checked += outcome.checked
        if outcome.invariant:
            self.failures.append(outcome)

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "runs": self.runs,
            "seeds": list(self.seeds),
            "passed": self.passed,
            "failures": [
                {
                    "seed": each.seed,
                    "invariant": each.invariant,
                    "detail": each.detail,
                    "scenario": self.files.get(each.seed),
                }
                for each in sorted(self.failures, key=lambda each: each.seed)
            ],
            "wall_s": round(self.wall_s, 1),
            "runs_per_s": round(self.runs / max(self.wall_s, 0.001), 2),
            "simulated_s": self.simulated_s,
            "statuses": self.statuses,
            "faults": dict(sorted(self.faults.items())),
            "checked": dict(sorted(self.checked.items())),
        }


def work(
    seeds: Sequence[int], target: str = "cpython", mutation: str = "", only: str = "", modem: str = ""
) -> list[Outcome]:
    """Runs the scenarios of these seeds, with the kind `only` from the field and the profile `modem` if given;
    `mutation` names a way in which the firmware is broken meanwhile."""
    with MUTATIONS[mutation]() if mutation else contextlib.nullcontext():
        return [run_case(read(generate(seed, only, modem)), target) for seed in seeds]


def outcomes(
    first: int,
    runs: int,
    target: str = "cpython",
    mutation: str = "",
    processes: int | None = None,
    only: str = "",
    modem: str = "",
) -> Generator[Outcome, None, None]:
    """The outcomes of `runs` seeds from `first` on, in any order; closing the generator ends the remaining runs."""
    size = BATCH[target]
    batches = [range(at, min(at + size, first + runs)) for at in range(first, first + runs, size)]
    count = min(processes or os.cpu_count() or 1, len(batches))
    if count == 1:
        for batch in batches:
            yield from work(batch, target, mutation, only, modem)
        return
    job = functools.partial(work, target=target, mutation=mutation, only=only, modem=modem)
    with workers.results(job, batches, count) as worked:
        for batch in worked:
            yield from batch


def run(
    first: int,
    runs: int,
    target: str = "cpython",
    on_progress: OnProgress | None = None,
    processes: int | None = None,
    only: str = "",
    modem: str = "",
) -> Soak:
    """Runs the seeds `first` to `first + runs - 1`; `processes` defaults to the number of cores."""
    started = time.monotonic()
    soak = Soak(target, (first, first + runs - 1))
    for outcome in outcomes(first, runs, target, "", processes, only, modem):
        soak.add(outcome)
        if on_progress:
            on_progress(soak.runs, runs, len(soak.failures))
    soak.wall_s = time.monotonic() - started
    return soak


def shrunk(outcome: Outcome, target: str, folder: Path, most: int = 400, only: str = "", modem: str = "") -> Path:
    """Writes a short scenario file that breaks the same invariant, with at most `most` runs, and returns its path.

    A failure that only occurs on the VM is not shortened.
    """
    table = generate(outcome.seed, only, modem)
    found = Shrinker(outcome.invariant, most)
    if target == "cpython" or found.keeps(table):
        table = found.shrink(table)
    path = folder / f"soak-{outcome.seed}-{outcome.invariant}.toml"
    text = write.text({**table, "title": f"{outcome.invariant}: seed {outcome.seed}"}, outcome.detail)
    path.write_text(text, encoding="utf-8")
    return path
