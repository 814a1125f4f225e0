"""The torture of `host_tools.torture`, in samples: the ledger passes on both backends, and every control is caught."""

import pytest
from usageguard.store import reopen

from host_tools.torture import torture
from host_tools.torture.catalogue import run_trial
from host_tools.torture.controls import CONTROLS
from host_tools.torture.device import Subject

SHARES = {"cuts": 0.05, "rot": 0.15}
BOTH = ("cuts", "rot", "sectors")
SAMPLES = [(store, trial, seed) for store in ("log", "file") for trial in BOTH for seed in (51, 52)]
SAMPLES += [("log", trial, 51) for trial in ("fading", "foreign")] + [("log", "blank", 51), ("file", "blank", 51)]
QUICK = [each for each in SAMPLES if each[2] == 51 and each[:2] != ("file", "rot")]
LEAST = {"cuts": 300, "rot": 300}


@pytest.mark.parametrize(
    ("store", "trial", "seed"),
    [pytest.param(*each, marks=() if each in QUICK else pytest.mark.proof) for each in SAMPLES],
)
def test_the_ledger_keeps_its_promises(store, trial, seed):
    share = SHARES.get(trial, 1.0) * (0.1 if store == "file" else 1)
    tally = run_trial(trial, Subject, store, seed, 60, share)
    assert tally.under + tally.double + tally.bound == 0, tally.failures
    assert tally.over_octets <= tally.bound_octets
    assert tally.cases >= LEAST.get(trial, 40), "too few cases"
    if store == "log":
        assert not tally.rot_rollbacks
        assert not tally.refusals


@pytest.mark.parametrize(
    ("store", "n"),
    [
        pytest.param(store, n, marks=pytest.mark.proof if store == "file" else ())
        for store, kinds in CONTROLS.items()
        for n in range(len(kinds))
    ],
    ids=[f"{store}-{kind.__name__}" for store, kinds in CONTROLS.items() for kind, _ in kinds],
)
def test_a_ledger_that_breaks_a_rule_is_caught(store, n):
    unit = next(unit for unit in torture.units() if unit.store == store and unit.control == n)
    assert torture.caught(torture.work(unit))


@pytest.mark.parametrize("store", [pytest.param("log"), pytest.param("file", marks=pytest.mark.proof)])
def test_a_cycle_is_undone_whenever_power_is_cut(store):
    tally = run_trial("undone", Subject, store, 51, 80, 0.2 if store == "log" else 0.02)
    assert tally.under + tally.double + tally.bound == 0, tally.failures
    assert tally.cases >= 500


@pytest.mark.parametrize("broken", ["resume", "_exchange"])
def test_a_cycle_that_is_not_undone_is_found(monkeypatch, broken):
    monkeypatch.setattr(reopen, broken, lambda *_: None)
    assert torture.caught(run_trial("undone", Subject, "log", 51, 80, 0.2, control=True))


def test_a_cycle_that_is_begun_in_memory_alone_is_found(monkeypatch):
    monkeypatch.setattr(Subject, "commit", lambda self: None)
    assert torture.caught(run_trial("undone", Subject, "log", 51, 80, 0.2, control=True))


def test_a_seed_draws_its_own_workloads_and_none_draws_those_of_every_release():
    fixed, first, again, other = ([*torture.units(1.0, seed)] for seed in (None, 7, 7, 8))
    assert first == again != other
    assert [unit for unit in fixed if unit.control >= 0] == [unit for unit in first if unit.control >= 0]
    assert {unit.trial for unit in first} - {unit.trial for unit in fixed} == {"undone"}
    assert {unit.seed for unit in fixed if unit.store == "log" and unit.control < 0} == set(range(1, 15))
    assert all(30 <= unit.length <= 120 for unit in first)


def test_the_same_seed_is_the_same_torture():
    first, second = (run_trial("cuts", Subject, "log", 7, 30, 0.05) for _ in range(2))
    assert first == second


def test_a_row_fails_for_each_thing_that_failed():
    for broken in ("under", "double", "bound"):
        row = torture.Row("log", torture.Tally(cases=1), {}, {"Control": True})
        assert row.passed
        setattr(row.tally, broken, 1)
        assert not row.passed, broken
    assert not torture.Row("log", torture.Tally(cases=1), {}, {"Control": False}).passed
    assert not torture.Row("log").passed, "nothing was tried"
