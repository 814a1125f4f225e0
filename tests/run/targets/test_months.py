"""The table of months in MODEMS.md has every modem, and no figure in it misses its limit."""

import json

import pytest

from host_tools.run.targets.names import SIMULATED
from host_tools.sim.modem import models
from tests.run.targets import months

MONTH = {
    "modem": "sim7080g", "target": "cpython", "failures": [], "life": "a", "carried_octets": 1_004, "ip_octets": 1_000,
    "rated_octets": 1_100, "billed_octets": 1_000, "error_bound_octets": 10, "allowance_octets": 1_020,
    "stopped_at": None,
}  # fmt: skip


def test_the_document_has_every_modem_within_its_limits():
    text = months.DOCUMENT.read_text("utf-8")
    _, _, *rows = text[text.index(months.BEGIN) : text.index(months.END)].splitlines()[1:]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert [row[0] for row in cells] == list(models.with_sockets())
    for modem, counter, over, rated, *_ in cells:
        limit = months.COUNTED_PERMILLE if counter == "yes" else months.UNCOUNTED_PERMILLE
        assert all(0 <= float(each) <= limit for each in over.split(" / ")), modem
        assert all(float(each) >= 0 for each in rated.split(" / ")), modem


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"carried_octets": 999}, "-1 octets over"),
        ({"carried_octets": 1_006}, "5 permille"),
        ({"modem": "a7670e", "carried_octets": 1_031, "error_bound_octets": 40}, "30 permille"),
        ({"error_bound_octets": 3}, "bound is 3"),
        ({"rated_octets": 999}, "1 rated octets too few"),
        ({"stopped_at": "2026-03-24T00:00:00+08:00"}, "had to stop"),
        ({"failures": ["2 reports were lost, more than 0"]}, "2 reports"),
    ],
)
def test_a_month_fails_by_each_of_its_limits(change, why):
    assert months.failures(MONTH) == []
    (found,) = months.failures(MONTH | change)
    assert why in found


def test_a_figure_that_differs_between_the_targets_is_shown_twice():
    lived = {(modem, target): MONTH | {"modem": modem} for modem in models.with_sockets() for target in SIMULATED}
    lived["ml307r", "micropython"] |= {"life": "b", "carried_octets": 1_020}
    rows = months.table(lived).splitlines()[2:]
    assert "| gm02s | no | 4.0 | 100.0 | 980 | the same life |" in rows
    assert "| ml307r | no | 4.0 / 20.0 | 100.0 | 980 | differ |" in rows


def test_a_run_goes_on_where_it_was_while_the_sources_are_the_same(tmp_path):
    results = tmp_path / "months.jsonl"
    assert list(months.kept(results, "now")) == []
    entries = [MONTH | {"sources": "before"}, MONTH | {"target": "micropython", "sources": "now"}]
    results.write_text("".join(json.dumps(each) + "\n" for each in entries))
    assert list(months.kept(results, "now")) == [MONTH | {"target": "micropython"}]
