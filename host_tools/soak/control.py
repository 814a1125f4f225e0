"""Checks that the soak detects every mutation: `python -m host_tools.soak.control`, in a checkout."""

from __future__ import annotations

import argparse
import contextlib
import time

from host_tools.soak.mutations import MODEM, MUTATIONS, NAMED, ONLY, USUAL
from host_tools.soak.soak import outcomes


def runs_until_detected(name: str, first: int, runs: int, processes: int | None = None) -> tuple[int, str]:
    """(runs until the mutation was detected, the violation); (0, "") when `runs` did not detect it."""
    lives = outcomes(first, runs, "cpython", name, processes, ONLY.get(name, ""), MODEM.get(name, USUAL))
    with contextlib.closing(lives) as found:
        for count, outcome in enumerate(found, 1):
            if outcome.invariant:
                return count, outcome.detail
    return 0, ""


def test_fails(name: str) -> bool:
    """Whether the test that is named for the mutation fails with it, and passes without it."""
    import pytest

    given = [NAMED[name], "-q", "-p", "no:cacheprovider"]
    if pytest.main(given) != pytest.ExitCode.OK:
        return False
    with MUTATIONS[name]():
        return pytest.main(given) == pytest.ExitCode.TESTS_FAILED


def detected(name: str, first: int, runs: int) -> str:
    """Where the mutation was detected, and by what; "" where it was not."""
    if name in NAMED:
        return NAMED[name] if test_fails(name) else ""
    run, violation = runs_until_detected(name, first, runs)
    return f"run {run} of {ONLY.get(name, 'any kind')}: {violation}" if run else ""


def main() -> int:
    """Tries the mutations; exit status 1 when one is not detected."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.soak.control", description=__doc__)
    parser.add_argument("--runs", type=int, default=500, help="maximum number of runs for each (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="of the first run (default: 1)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MUTATIONS)} (default: all)")
    options = parser.parse_args()
    for name in options.names:
        if name not in MUTATIONS:
            parser.error(f'"{name}" is not a mutation; use {", ".join(MUTATIONS)}')
    missed = 0
    for name in options.names or MUTATIONS:
        started = time.monotonic()
        where = detected(name, options.seed, options.runs)
        missed += not where
        print(f"{name:30} {where or 'NOT DETECTED'} ({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
