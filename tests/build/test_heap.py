"""What a deployed set keeps of the heap of a 32-bit MicroPython, against the budget of `host_tools/bench/heap`."""

import pytest

from host_tools.bench.heap import board, features
from host_tools.bench.heap_figures import BUDGET
from host_tools.bench.heap_figures import FAMILY as FIRST
from host_tools.build import bytecode
from host_tools.hardware import boards

pytestmark = pytest.mark.usefixtures("vm32")
SLACK = 512
DEAREST = "plan.rating.session_round_octets"  # of all that `python -m host_tools.bench.heap.features` prints
DIALECT_MAX = 1_024  # octets that another family may keep above FIRST


@pytest.fixture(scope="module")
def booted(tmp_path_factory, vm32):
    """The octets live after the first step, by family."""
    return {name: board.live(tmp_path_factory.mktemp(name), name)[0] for name in boards.families()}


def test_it_runs_when_it_is_measured(tmp_path):
    octets, said = board.live(tmp_path, FIRST)
    assert {"ug up a", "ug verdict-open 0 0"} <= set(said)
    assert octets == board.live(tmp_path, FIRST)[0], "the same in each run"


def test_serving_an_application_it_keeps_no_more_than_its_budget(tmp_path):
    octets, said = board.serving(tmp_path, FIRST)
    assert {"answer b' \\x02\\x00\\x00'", "reports 1"} <= set(said)
    within(octets, BUDGET["serving"][FIRST])


def test_a_kilobyte_more_in_a_module_is_too_much(tmp_path, monkeypatch):
    folded = bytecode.folded

    def larger(text, name, where, **options):
        text = folded(text, name, where, **options)
        return text + b"\nMeter.__ballast__ = b'%s'\n" % (b"x" * 1000) if name.endswith("/meter.py") else text

    monkeypatch.setattr(bytecode, "folded", larger)
    monkeypatch.setattr(bytecode, "cached", lambda key, make: make())
    octets, _ = board.live(tmp_path, FIRST)
    assert octets > BUDGET["booted"][FIRST]


def within(octets, ceiling):
    print(f"{octets} octets live")
    assert octets <= ceiling
    assert ceiling <= octets + SLACK, "lower the ceiling: it has to stand near the measure"


@pytest.mark.parametrize("family", BUDGET["booted"])
def test_the_set_keeps_no_more_than_its_budget(booted, family):
    within(booted[family], BUDGET["booted"][family])


@pytest.mark.parametrize("family", [name for name in boards.families() if name != FIRST])
def test_no_dialect_keeps_much_more_than_another(booted, family):
    print(f"{family}: {booted[family] - booted[FIRST]:+} octets")
    assert booted[family] <= booted[FIRST] + DIALECT_MAX


@pytest.mark.proof
def test_what_a_plain_quota_does_not_use_would_cost_it_little():
    """Even if the build did not cut it."""
    cost = features.live() - features.live(DEAREST)
    print(f"{cost} octets for {DEAREST}")
    assert 0 < cost <= features.MOST
