"""The table of PPP in MODEMS.md has every modem, and no figure in it misses its limit."""

import pytest

from host_tools.run.targets.names import SIMULATED
from host_tools.sim.modem import models
from tests.run.targets import ppp_months

RUN = {
    "counted": True, "failures": [], "carried_octets": 1_009, "ip_octets": 1_000, "rated_octets": 1_100,
    "billed_octets": 1_000, "error_bound_octets": 10, "allowance_octets": 1_020, "stopped_at": None,
}  # fmt: skip


def test_the_document_has_every_modem_within_its_limits():
    text = ppp_months.DOCUMENT.read_text("utf-8")
    made = text[text.index(ppp_months.BEGIN) : text.index(ppp_months.END)]
    rows = [line for line in made.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert [row[0] for row in cells] == models.names()
    for modem, counter, compressed, whole, _ in cells:
        limit = ppp_months.COUNTED_PERMILLE if counter == "yes" else ppp_months.UNCOUNTED_PERMILLE
        for each in (*compressed.split(" / "), *whole.split(" / ")):
            assert 0 <= float(each) <= limit, modem


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"carried_octets": 999}, "-1 octets over"),
        ({"carried_octets": 1_011, "error_bound_octets": 20}, "10 permille"),
        ({"counted": False, "carried_octets": 1_031, "error_bound_octets": 40}, "30 permille"),
        ({"error_bound_octets": 3}, "bound is 3"),
        ({"stopped_at": "2026-03-24T00:00:00+08:00"}, "had to stop"),
        ({"failures": ["2 reports were lost, more than 0"]}, "2 reports"),
    ],
)
def test_a_run_fails_by_each_of_its_limits(change, why):
    assert ppp_months.failures(RUN) == []
    (found,) = ppp_months.failures(RUN | change)
    assert why in found


def test_a_figure_that_differs_between_the_targets_is_shown_twice():
    lived = dict.fromkeys(ppp_months.cells(), RUN)
    lived["generic", True, SIMULATED[1]] = RUN | {"carried_octets": 1_020}
    rows = ppp_months.table("cutoff-short", lived).splitlines()
    assert "| generic | no | 9.0 / 20.0 | 9.0 | 980 |" in rows
    assert "| sara-r5 | yes | 9.0 | 9.0 | 980 |" in rows


def test_a_run_is_counted_alike_with_headers_compressed_and_not():
    compressed, whole = (ppp_months.live("smoke", "generic", vj, "cpython") for vj in (True, False))
    for run in (compressed, whole):
        assert run["ip_octets"] <= run["carried_octets"] <= run["ip_octets"] + run["error_bound_octets"]
        assert run["failures"] == []
