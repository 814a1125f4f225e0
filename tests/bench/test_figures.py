"""The figures of `usageguard bench`: those that do not depend on the machine are no worse than they are held to."""

import json
import re
import shutil
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.base.errors import UsageError
from host_tools.bench import command, figures, path_figures
from host_tools.bench.figures import Figure, Measured

LONG = "path"  # under valgrind
ELSEWHERE = "heap"  # held nearer to its budget in tests/build/test_heap.py
PORTABLE = [each for each in figures.figures().values() if each.portable and each.group != ELSEWHERE]
DOCUMENT = Path(__file__).parents[2] / "host_tools/BENCH.md"


def named(figure):
    return pytest.param(figure, marks=[pytest.mark.proof] if figure.group == LONG else [], id=figure.name)


@pytest.mark.parametrize("figure", [named(each) for each in PORTABLE])
def test_it_is_no_worse_than_it_is_held_to(figure):
    if figure.group == LONG and not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed; it counts instructions")
    (result,) = command.measure([figure.name])
    assert result.measured, result.missing
    value = result.measured.value
    print(f"{value:.4g} {figure.unit}")
    assert figure.holds(value)
    assert figure.is_near(value), "hold it to what it is: it has become better"
    assert figure.held is None or not figure.met(value), "the goal is reached: hold it to that"


def figure(goal=None, least=False, held=None):
    return Figure("group.name", "unit", goal, least, held, True, lambda: 5.0)


def test_a_goal_is_the_most_or_the_least():
    assert figure(5.0).met(5.0)
    assert figure(5.0).met(5.1) is False
    assert figure(5.0, least=True).met(5.0)
    assert figure(5.0, least=True).met(4.9) is False
    assert figure().met(5.0) is None


def test_what_is_held_may_only_become_better():
    assert figure(3.0, held=5.0).holds(5.0)
    assert not figure(3.0, held=5.0).holds(5.01)
    assert figure(9.0, least=True, held=5.0).holds(5.0)
    assert not figure(9.0, least=True, held=5.0).holds(4.9)
    assert not figure(3.0).holds(3.1)
    assert figure().holds(1e9)
    assert figure(3.0, held=5.0).is_near(4.8)
    assert not figure(3.0, held=5.0).is_near(4.7)


def test_figures_are_chosen_by_how_their_names_begin():
    assert command.chosen(["line.up"]) == ["line.up"]
    assert {"line.up", "line.sara-r5.down"} <= set(command.chosen(["line"]))
    assert command.chosen([]) == list(figures.figures())
    with pytest.raises(UsageError, match="no figure"):
        command.chosen(["line.u"])


def test_the_command_writes_json(tmp_path, capsys):
    assert cli.run(["bench", "cost.flash-erases", "--json", "-"]) == 0
    said = capsys.readouterr()
    (found,) = json.loads(said.out)
    assert found == {
        "name": "cost.flash-erases",
        "value": 54,
        "unit": "a month of 30 MB",
        "goal": None,
        "met": None,
        "peer": {"of the most worn sector": 18, "years": 463},
    }
    assert "cost.flash-erases" in said.err


def test_a_figure_that_has_become_worse_is_exit_status_1(monkeypatch, capsys):
    worse = {"cost.a": Figure("cost.a", "%", 3.0, False, 4.0, True, lambda: Measured(4.5))}
    monkeypatch.setattr(command, "figures", lambda: worse)
    assert cli.run(["bench"]) == 1
    assert "cost.a: 4.5, held to 4.0" in capsys.readouterr().out


def test_what_cannot_be_measured_is_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for kept in (path_figures.instructions, path_figures._counter):
        kept.cache_clear()
    (result,) = command.measure(["path.lines"])
    assert result.to_json()["value"] is None
    assert "valgrind" in result.missing
    assert result.holds


def test_the_table_stands_between_its_marks():
    result = command.Result("line.up", Measured(73.26, {"its sequence allows": 73.3}))
    text = command.document("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n", [result])
    row = "| line.up | 73.3 % of the line, EC200U at 921,600 baud | ≥ 71 | yes | its sequence allows 73.3 |"
    assert text.splitlines()[-3:] == [row, "<!-- /bench -->", "after"]
    assert text.startswith("before\n<!-- bench -->\n| Figure |")
    with pytest.raises(UsageError, match="has no <!-- bench -->"):
        command.document("nothing", [])


def test_the_document_has_every_figure_with_its_goal():
    rows = [line.split(" | ") for line in DOCUMENT.read_text("utf-8").splitlines() if re.match(r"\| \w+\.", line)]
    found = {cells[0].removeprefix("| "): cells[2].strip() for cells in rows}
    expected = {name: command.Result(name, None).cells()[2] for name in figures.figures()}
    assert found == expected
