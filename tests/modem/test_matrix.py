"""Each modem serves again after each fault, and its payload is counted."""

import pytest

from tests.modem import matrix


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=pytest.mark.proof) for fault in matrix.FAULTS])
def test_data_flows_again_and_all_payload_is_counted(fault):
    outcomes = {name: [matrix.trial(name, fault, seed) for seed in matrix.SEEDS] for name in matrix.FAMILIES}
    assert not {name: some for name, some in outcomes.items() if not all(each.passed for each in some)}


def test_the_document_has_every_fault_and_modem():
    text = matrix.DOCUMENT.read_text("utf-8")
    head, _, *rows = text[text.index(matrix.BEGIN) : text.index(matrix.END)].splitlines()[1:]
    assert head == f"| Fault | {' | '.join(family.profile for family in matrix.FAMILIES.values())} |"
    assert [row.split("|")[1].strip() for row in rows] == list(matrix.FAULTS)


def test_a_modem_that_never_serves_again_and_payload_that_is_not_counted_fail(monkeypatch):
    monkeypatch.setattr(matrix, "MOST_S", 1)
    assert not matrix.trial("quectel", "hang", 1).passed
    assert not matrix.Outcome(3.0, 1).passed
    made = matrix.table({cell: [matrix.Outcome(None, 0)] for cell in matrix.cells()})
    assert made.count("fails") == len(matrix.cells())
    assert matrix.put(f"a\n{matrix.BEGIN}old\n{matrix.END}b\n", made) == f"a\n{matrix.BEGIN}{made}{matrix.END}b\n"
