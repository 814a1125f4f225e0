"""Ways to break the firmware that a soak has to notice: its control. Each is a context in which one rule is broken."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from host_tools import paths

paths.use_firmware()

from usageguard import ledger  # noqa: E402 - found only now
from usageguard.core import meter, orders, policy  # noqa: E402
from usageguard.net import gate  # noqa: E402

Context = Callable[[], contextlib.AbstractContextManager[Any]]


def no_headroom() -> contextlib.AbstractContextManager[Any]:
    """Nothing stays leased for what a connection may have brought unseen."""
    return mock.patch.object(gate.Gate, "hold", return_value=None)


def no_forfeit() -> contextlib.AbstractContextManager[Any]:
    """What was charged before a boundary pays for what comes after it."""
    return mock.patch.object(meter.Meter, "forfeit", return_value=None)


@contextlib.contextmanager
def lease_afterwards() -> Iterator[None]:
    """What is used is stored after it was used, now and then, as most loggers do."""

    def spend(self: Any, rated: int, carried: int) -> None:
        self.rated.add(rated)
        self.carried.add(carried)

    with (
        mock.patch.object(ledger.Ledger, "ensure", return_value=None),
        mock.patch.object(ledger.Ledger, "spend", spend),
    ):
        yield


def counter_forgotten() -> contextlib.AbstractContextManager[Any]:
    """The counter of the last order is not stored."""
    store = orders.Standing.store

    def forgetful(self: Any) -> None:
        counter, self.counter = self.counter, 0
        store(self)
        self.counter = counter

    return mock.patch.object(orders.Standing, "store", forgetful)


def lifted_by_the_calendar() -> contextlib.AbstractContextManager[Any]:
    """A new period lifts a stop by hand."""
    transition = policy.transition

    def lifting(reasons: int, event: int) -> int:
        after = transition(reasons, event)
        return after & ~0x10 if event == policy.NEW_CYCLE else after

    return mock.patch.object(policy, "transition", lifting)


def model_alone() -> contextlib.AbstractContextManager[Any]:
    """The modem's counter is read, and what it shows beyond the model is ignored."""
    reading = meter.Meter.reading

    def deaf(self: Any, delta: int, *how: Any) -> None:
        reading(self, min(delta, self.excess), *how)

    return mock.patch.object(meter.Meter, "reading", deaf)


MUTATIONS: dict[str, Context] = {
    "no-headroom": no_headroom,
    "no-forfeit": no_forfeit,
    "lease-afterwards": lease_afterwards,
    "counter-forgotten": counter_forgotten,
    "lifted-by-the-calendar": lifted_by_the_calendar,
    "model-alone": model_alone,
}


def found(name: str, first: int, runs: int, processes: int | None = None) -> tuple[int, str]:
    """(lives until the mutation was noticed, how); (0, "") where it was not."""
    from host_tools.soak import outcomes

    with contextlib.closing(outcomes(first, runs, "cpython", name, processes)) as lives:
        for count, outcome in enumerate(lives, 1):
            if outcome.invariant:
                return count, outcome.detail
    return 0, ""


def main() -> int:
    """Tries every mutation; status 1 where one is not noticed."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.soak.mutations", description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="lives at the most for each (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="the first life's (default: 1)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MUTATIONS)} (default: all)")
    told = parser.parse_args()
    for name in told.names:
        if name not in MUTATIONS:
            parser.error(f'"{name}" is no mutation; there are {", ".join(MUTATIONS)}')
    missed = 0
    for name in told.names or MUTATIONS:
        began = time.monotonic()
        lives, how = found(name, told.seed, told.runs)
        missed += not lives
        print(f"{name:24} {f'noticed in life {lives}: {how}' if lives else 'NOT NOTICED'} "
              f"({time.monotonic() - began:.0f} s)", flush=True)  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
