"""What a deployed set keeps of the heap of a 32-bit MicroPython, against the budget in heap.toml."""

import tomllib
from pathlib import Path

import pytest

from host_tools.hardware import boards
from tests.core.wasm import board

BUDGET = tomllib.loads(Path(__file__).with_name("heap.toml").read_text("utf-8"))
SLACK = 512
FIRST = "quectel"
BOOTED = [
    board.BUILT_IN,
    "before = gc.mem_alloc()",
    "try:\n    import main\nexcept SystemExit:\n    pass\ngc.collect()",
    "print(gc.mem_alloc() - before)",
]


def live(folder, family, steps=BOOTED):
    """The octets that the last of `steps` prints, and what was printed before."""
    done = board.run(board.command(), board.deployed(folder, family), *steps)
    assert done.returncode == 0, done.stdout + done.stderr
    *said, octets = done.stdout.splitlines()
    return int(octets), said


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    """The octets live after the first step, by family."""
    return {name: live(tmp_path_factory.mktemp(name), name)[0] for name in boards.families()}


def test_it_runs_when_it_is_measured(tmp_path):
    octets, said = live(tmp_path, FIRST)
    assert {"ug up a", "ug verdict-open 0 0"} <= set(said)
    assert octets == live(tmp_path, FIRST)[0], "the same in each run"


@pytest.mark.parametrize("family", BUDGET["booted"])
def test_the_set_keeps_no_more_than_its_budget(booted, family):
    ceiling = BUDGET["booted"][family]
    print(f"{family}: {booted[family]} octets live")
    assert booted[family] <= ceiling
    assert ceiling <= booted[family] + SLACK, "lower the ceiling: it has to stand near the measure"
