"""The soak itself: its lives hold, what once failed holds, and a firmware that breaks a rule is found."""

import json
import random
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from host_tools import scenario, soak
from host_tools.soak import command, mutations, plans, write
from host_tools.soak.life import Outcome, live, read
from host_tools.soak.shrink import Shrinker
from host_tools.soak.watch import INVARIANTS

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.toml"))
LIVES, FIRST = 120, 1
MOST_LIVES = 60
"""In how many lives from seed 1 a mutation has to be found here; `python -m host_tools.soak.mutations` allows 2,000."""


@pytest.mark.parametrize("batch", range(4))
def test_lives_hold(batch):
    size = LIVES // 4
    outcomes = soak.work(range(FIRST + batch * size, FIRST + (batch + 1) * size))
    failed = [f"seed {each.seed}: {each.detail}" for each in outcomes if each.invariant]
    assert not failed, "\n".join(failed)
    assert all(each.statuses > 1 for each in outcomes)


def test_a_life_holds_on_the_vm():
    outcome = live(read(plans.generate(3)), "micropython")
    assert not outcome.invariant, outcome.detail
    assert outcome.statuses > 1


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed_holds(path):
    outcome = live(scenario.load(path))
    assert not outcome.invariant, outcome.detail


@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_a_mutation_is_found(name):
    lives, how = mutations.found(name, 1, MOST_LIVES, processes=1)
    assert lives, f"{name} was not noticed in {MOST_LIVES} lives"
    assert how.split(":")[0] in INVARIANTS


def test_a_mutation_leaves_nothing_behind():
    with mutations.MUTATIONS["no-forfeit"]():
        pass
    assert not live(read(plans.generate(1))).invariant


def test_every_seed_is_a_scenario_and_every_kind_and_fault_comes_up():
    kinds, faults = set(), set()
    for seed in range(600):
        made = read(plans.generate(seed))
        kinds.add(made.title.rpartition(" ")[2])
        faults |= {type(fault).__name__ for fault in made.faults}
    assert kinds == set(plans.KINDS)
    assert len(faults) > 18


def test_a_seed_always_makes_the_same_life():
    assert plans.generate(7) == plans.generate(7)
    first, second = (live(read(plans.generate(7))) for _ in range(2))
    assert (first.checked, first.simulated_s) == (second.checked, second.simulated_s)


def test_a_scenario_is_read_back_as_it_was_written():
    for seed in range(100):
        table = plans.generate(seed)
        assert tomllib.loads(write.text(table, "why\nit failed")) == table


def test_toml_has_no_none():
    with pytest.raises(ValueError, match="NoneType"):
        write.text({"a": None})


class Oracle:
    """Fails by a rule of the table alone, so that shrinking costs nothing and its result is known."""

    def __init__(self, rule):
        self.rule, self.calls = rule, 0

    def __call__(self, table):
        self.calls += 1
        return Outcome(0, "dip" if self.rule(table) else "")


def test_shrinking_leaves_what_the_failure_needs():
    table = plans.generate(3)
    table["fault"] = [{"at": f"{n}s", "kind": "hang"} for n in range(70, 90)] + [{"at": "4000s", "kind": "reset"}]
    table["order"] = [{"at": "100s", "stop": True}]
    oracle = Oracle(lambda t: {"70s", "4000s"} & {f["at"] for f in t.get("fault", ())} >= {"70s", "4000s"})
    small = Shrinker("dip", run=oracle).shrink(table)
    assert [fault["at"] for fault in small["fault"]] == ["70s", "4000s"]
    assert not {"order", "platform", "traffic", "network"} & set(small)
    assert int(small["duration"][:-1]) < int(table["duration"][:-1])


def test_shrinking_keeps_to_its_budget_and_to_the_invariant():
    oracle = Oracle(lambda t: True)
    shrinker = Shrinker("dip", most=7, run=oracle)
    shrinker.shrink(plans.generate(random.Random(1).randrange(1000)))
    assert oracle.calls == shrinker.runs == 7
    assert Shrinker("rise", run=Oracle(lambda t: True)).shrink(plans.generate(2)) == plans.generate(2)


def test_a_failure_becomes_a_short_scenario_that_fails_alike(tmp_path):
    with mutations.MUTATIONS["lifted-by-the-calendar"]():
        failed = next(each for each in soak.work(range(1, MOST_LIVES)) if each.invariant == "by-hand")
        path = soak.shrunk(failed, "cpython", tmp_path, most=30)
        again = live(scenario.load(path))
        assert again.invariant == "by-hand"
    assert not live(scenario.load(path)).invariant
    assert len(path.read_text().splitlines()) < len(write.text(plans.generate(failed.seed)).splitlines())
    assert path.read_text().startswith("# by-hand: ")


def test_the_command_tells_what_it_did(tmp_path):
    out = Console(record=True, width=200)
    told = command.run(3, 1, "cpython", tmp_path, out, Console(stderr=True))
    assert told["passed"]
    assert (told["runs"], told["seeds"], told["failures"]) == (3, [1, 3], [])
    assert told["runs_per_s"] > 0
    assert set(told["checked"]) <= set(INVARIANTS)
    assert "3 lives on cpython" in out.export_text()
    assert json.dumps(told)


def test_the_command_names_the_seed_and_the_file_of_a_failure(tmp_path, monkeypatch):
    failed = Outcome(5, "dip", "dip: rated_octets fell from 2 to 1", 10, 1)
    monkeypatch.setattr(soak, "outcomes", lambda *_: iter([failed]))
    monkeypatch.setattr(soak, "shrunk", lambda each, target, folder: folder / "short.toml")
    out = Console(record=True, width=300)
    told = command.run(1, 5, "cpython", tmp_path, out, Console(stderr=True))
    assert not told["passed"]
    assert told["failures"][0]["scenario"] == str(tmp_path / "short.toml")
    said = out.export_text()
    for each in ("seed 5", "fell from 2 to 1", "usageguard soak --seed 5 --runs 1", "short.toml"):
        assert each in said
