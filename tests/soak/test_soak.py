"""The soak: random runs pass, former failures pass, and every mutation of the firmware is detected."""

import json
import random
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from host_tools.scenario import file as scenario
from host_tools.sim.modem import models
from host_tools.soak import command, control, mutations, plans, soak, write
from host_tools.soak.case import Outcome, read, run_case
from host_tools.soak.field import FIELD, WINDOW
from host_tools.soak.invariants import INVARIANTS
from host_tools.soak.shrink import Shrinker
from tests.modem.families import FAMILIES

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.toml"))
RUNS, FIRST = 60, 1
MOST_RUNS = 60
"""In how many runs a mutation must be detected here; `python -m host_tools.soak.control` allows 2,000."""
FROM = {"doubt-is-certain": 120, "no-forfeit": 61}
"""The first seed, where that is not 1: a mutation that takes longer to be found."""


@pytest.mark.parametrize("batch", [0, pytest.param(1, marks=pytest.mark.proof)])
def test_random_runs_pass(batch):
    size = RUNS // 2
    outcomes = soak.work(range(FIRST + batch * size, FIRST + (batch + 1) * size))
    failed = [f"seed {each.seed}: {each.detail}" for each in outcomes if each.invariant]
    assert not failed, "\n".join(failed)
    assert all(each.statuses > 1 for each in outcomes)


def test_every_drawn_life_is_one_that_the_device_takes():
    for seed in range(602_214_500, 602_214_700):  # one of them has a daily cap, and sessions rounded up to 10 KB
        read(plans.generate(seed))


def test_a_run_passes_on_the_vm():
    outcome = run_case(read(plans.generate(3)), "micropython")
    assert not outcome.invariant, outcome.detail
    assert outcome.statuses > 1


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_former_failures_pass(path):
    outcome = run_case(scenario.load(path))
    assert not outcome.invariant, outcome.detail


SLOWEST = ("found-on-is-proof", "surplus-of-an-outgrown-counter", "doubt-is-certain", "no-headroom")
"""Those that only `python -m host_tools.soak.control` tries, as they take a minute each."""
QUICK = {
    "lease-afterwards", "counter-forgotten", "lifted-by-the-calendar", "orders-ignored",
    "session-never-ends", "late-answers-lost", "waits-do-not-guard", "another-sim-unnoticed",
}  # fmt: skip
"""Mutations that a few runs find; the others are proofs."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.proof] * (name not in QUICK))
        for name in mutations.MUTATIONS
        if name not in (*mutations.NAMED, *SLOWEST)
    ],
)
def test_a_mutation_is_detected(name):
    runs, violation = control.runs_until_detected(name, FROM.get(name, 1), MOST_RUNS, processes=1)
    assert runs, f"{name} was not detected in {MOST_RUNS} runs"
    assert violation.split(":")[0] in INVARIANTS


@pytest.mark.proof
@pytest.mark.parametrize("name", mutations.NAMED)
def test_a_mutation_is_detected_by_the_test_that_is_named_for_it(name):
    command = [sys.executable, "-m", "host_tools.soak.control", name]
    root = Path(__file__).parents[2]
    assert subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_a_mutation_leaves_nothing_behind():
    with mutations.MUTATIONS["no-forfeit"]():
        pass
    assert not run_case(read(plans.generate(1))).invariant


@pytest.mark.parametrize("kind", FIELD)
def test_each_kind_of_the_field_can_be_forced(kind):
    made = [read(plans.generate(seed, kind)) for seed in range(1, 4)]
    plain = [read(plans.generate(seed, "none of them")) for seed in range(1, 4)]
    assert all(one != other for one, other in zip(made, plain, strict=True))
    drawn = sum(plans.generate(seed) != plans.generate(seed, "none of them") for seed in range(100))
    assert 20 < drawn < 90, "without force, a kind here and there"


@pytest.mark.proof
@pytest.mark.parametrize("kind", FIELD)
def test_runs_with_that_kind_pass(kind):
    failed = [each.detail for each in soak.work(range(1, 5), only=kind) if each.invariant]
    assert not failed


def test_every_seed_is_a_scenario_and_every_kind_modem_and_fault_comes_up():
    kinds, modems, faults = set(), set(), set()
    for seed in range(600):
        made = read(plans.generate(seed))
        kinds.add(made.title.rpartition(" ")[2])
        modems.add(made.modem)
        faults |= {type(fault).__name__ for fault in made.faults}
    assert kinds == set(plans.KINDS)
    assert modems == {name for name in models.names() if name != "generic"}, "which has no sockets"
    assert len(faults) > 18


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_another_modem_has_the_same_life_in_its_own_words(family):
    for seed in range(20):
        usual, other = plans.generate(seed, modem="quectel-ec200u"), plans.generate(seed, modem=family.profile)
        own = [*family.commands.values(), "*", "+CMGS=*"]
        assert all(fault.get("command", "*") in own for fault in other.get("fault", ()))
        assert {fault["id"] for fault in other.get("fault", ()) if fault["kind"] == "half_open"} <= {family.first}
        for table in (usual, other):
            table.pop("modem")
            table.pop("supply", None)  # a board on the mains boots for as long as its modem, or longer
            for fault in table.get("fault", ()):
                for word in ("command", "prefix", "id"):
                    fault.pop(word, None)
        if models.load(family.profile).sockets.receive_octets <= WINDOW:
            assert usual == other
        else:
            assert usual["plan"]["allowance_octets"] < other["plan"]["allowance_octets"]
            assert usual.keys() == other.keys()


def test_a_seed_always_makes_the_same_run():
    assert plans.generate(7) == plans.generate(7)
    first, second = (run_case(read(plans.generate(7))) for _ in range(2))
    assert (first.checked, first.simulated_s) == (second.checked, second.simulated_s)


def test_a_scenario_is_read_back_as_it_was_written():
    for seed in range(100):
        table = plans.generate(seed)
        assert tomllib.loads(write.text(table, "why\nit failed")) == table


def test_toml_has_no_none():
    with pytest.raises(TypeError, match="NoneType"):
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


@pytest.mark.proof
def test_a_failure_becomes_a_short_scenario_that_fails_alike(tmp_path):
    with mutations.MUTATIONS["lifted-by-the-calendar"]():
        failed = next(each for each in soak.work(range(1, MOST_RUNS)) if each.invariant == "by-hand")
        path = soak.shrunk(failed, "cpython", tmp_path, most=30)
        again = run_case(scenario.load(path))
        assert again.invariant == "by-hand"
    assert not run_case(scenario.load(path)).invariant
    assert len(path.read_text().splitlines()) < len(write.text(plans.generate(failed.seed)).splitlines())
    assert path.read_text().startswith("# by-hand: ")


def test_the_command_tells_what_it_did(tmp_path):
    out = Console(record=True, width=200)
    told = command.run(3, 1, "cpython", tmp_path, out, Console(stderr=True))
    assert told["passed"]
    assert (told["runs"], told["seeds"], told["failures"]) == (3, [1, 3], [])
    assert told["runs_per_s"] > 0
    assert set(told["checked"]) <= set(INVARIANTS)
    assert "3 runs on cpython" in out.export_text()
    assert json.dumps(told)


def test_the_command_names_the_seed_and_the_file_of_a_failure(tmp_path, monkeypatch):
    failed = Outcome(5, "dip", "dip: rated_octets fell from 2 to 1", 10, 1)
    monkeypatch.setattr(soak, "outcomes", lambda *_: iter([failed]))
    monkeypatch.setattr(soak, "shrunk", lambda each, target, folder, **_: folder / "short.toml")
    out = Console(record=True, width=300)
    told = command.run(1, 5, "cpython", tmp_path, out, Console(stderr=True))
    assert not told["passed"]
    assert told["failures"][0]["scenario"] == str(tmp_path / "short.toml")
    said = out.export_text()
    for each in ("seed 5", "fell from 2 to 1", "usageguard soak --seed 5 --runs 1", "short.toml"):
        assert each in said
