"""The torture of `host_tools.torture`, in samples: the ledger passes on both backends, and every control is caught."""

import pytest

from host_tools import torture
from host_tools.torture.controls import CONTROLS
from host_tools.torture.life import Subject
from host_tools.torture.trials import run

SHARES = {"cuts": 0.05, "rot": 0.15}
BOTH = ("cuts", "rot", "sectors")
SAMPLES = [(store, trial, seed) for store in ("log", "file") for trial in BOTH for seed in (51, 52)]
SAMPLES += [("log", trial, 51) for trial in ("fading", "foreign")] + [("log", "blank", 51), ("file", "blank", 51)]
LEAST = {"cuts": 300, "rot": 300}


@pytest.mark.parametrize(("store", "trial", "seed"), SAMPLES)
def test_the_ledger_keeps_its_promises(store, trial, seed):
    share = SHARES.get(trial, 1.0) * (0.1 if store == "file" else 1)
    tally = run(trial, Subject, store, seed, 60, share)
    assert tally.under + tally.double + tally.bound == 0, tally.failures
    assert tally.over_octets <= tally.bound_octets
    assert tally.cases >= LEAST.get(trial, 40), "too few cases"
    if store == "log":
        assert not tally.rot_rollbacks
        assert not tally.refusals


@pytest.mark.parametrize(
    ("store", "n"),
    [(store, n) for store, kinds in CONTROLS.items() for n in range(len(kinds))],
    ids=[f"{store}-{kind.__name__}" for store, kinds in CONTROLS.items() for kind, _ in kinds],
)
def test_a_ledger_that_breaks_a_rule_is_caught(store, n):
    unit = next(unit for unit in torture.units() if unit.store == store and unit.control == n)
    assert torture.caught(torture.work(unit))


def test_the_same_seed_is_the_same_torture():
    first, second = (run("cuts", Subject, "log", 7, 30, 0.05) for _ in range(2))
    assert first == second


def test_a_row_fails_for_each_thing_that_failed():
    for broken in ("under", "double", "bound"):
        row = torture.Row("log", torture.Tally(cases=1), {}, {"Control": True})
        assert row.passed
        setattr(row.tally, broken, 1)
        assert not row.passed, broken
    assert not torture.Row("log", torture.Tally(cases=1), {}, {"Control": False}).passed
    assert not torture.Row("log").passed, "nothing was tried"
