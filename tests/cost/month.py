"""Whether another month's bill lies in the range that `cost` states:

    python -m tests.cost.month [APP …] [--target NAME]

For each of the shipped examples and a wasteful change of one (asyncio is MicroPython's alone): the range from 3 days
with 5 seeds, and the carrier's bill of 30 days with other seeds on each network. Exit status 1: a bill lies outside, or
a range is wider than ±10 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from host_tools.base import paths, workers
from host_tools.cost import measure
from host_tools.cost.measure import QUALITIES, Job, Measured, Sold
from host_tools.cost.project import MONTH_DAYS, month
from host_tools.run.targets.names import CPYTHON, SIMULATED

EXAMPLES = ("asyncio_app", "blocking_app", "own_loop_app")
WASTEFUL = "wasteful_app"
DAYS, SEEDS, FIRST_SEED, OTHER_SEED = 3, 5, 1, 101
WIDEST = 0.10


def jobs(name: str, target: str, days: int, seeds: range) -> list[Job]:
    """The runs of an application on each network."""
    beside = Path(__file__).parent / "apps" if name == WASTEFUL else paths.firmware() / "examples"
    path = beside / f"{name}.py"
    scenario, _ = measure.compose(str(path), None, [])
    _, libraries = measure.imports(path)
    return [
        Job(scenario, target, days, quality, seed, {}, tuple(libraries)) for quality in QUALITIES for seed in seeds
    ]


def judge(runs: list[Measured], bills: list[tuple[str, int]]) -> list[str]:
    """What is wrong with a range: a line for each bill outside, and one if it is too wide."""
    stated = month(runs, Sold())["month"]
    least, octets, most = stated["least"], stated["octets"], stated["most"]
    outside = [(quality, bill) for quality, bill in bills if not least <= bill <= most]
    found = [f"{bill:,} on {quality} is not in {least:,} to {most:,}" for quality, bill in outside]
    if most - octets > WIDEST * octets or octets - least > WIDEST * octets:
        found.append(f"the range of {octets:,} is too wide: {least:,} to {most:,}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("apps", nargs="*", default=[*EXAMPLES, WASTEFUL])
    parser.add_argument("--target", action="append", choices=SIMULATED)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    failed = False
    for target in given.target or SIMULATED:
        for name in given.apps:
            if name == "asyncio_app" and target == CPYTHON:
                continue
            days = jobs(name, target, DAYS, range(FIRST_SEED, FIRST_SEED + SEEDS))
            months = jobs(name, target, MONTH_DAYS, range(OTHER_SEED, OTHER_SEED + 1))
            with workers.results(measure.measure, [*months, *days], given.processes) as results:
                done = list(results)
            runs = [run for run in done if run.days == DAYS]
            bills = sorted((run.quality, run.billed_octets) for run in done if run.days == MONTH_DAYS)
            wrong = judge(runs, bills)
            stated = month(runs, Sold())["month"]
            width = max(stated["most"] - stated["octets"], stated["octets"] - stated["least"]) / stated["octets"]
            failed |= bool(wrong)
            print(f"{name} on {target}: {stated['octets']:,} ({stated['least']:,} to {stated['most']:,}, ±{width:.1%})")
            print(f"  bills: {', '.join(f'{quality} {bill:,}' for quality, bill in bills)}", flush=True)
            for line in wrong:
                print(f"  WRONG: {line}", flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
