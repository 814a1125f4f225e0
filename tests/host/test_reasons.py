"""The README's table of reasons is the firmware's, and words exist for all there is."""

from pathlib import Path

import pytest
from usageguard.core import policy

from host_tools.errors import UsageError
from host_tools.plots import COLOURS
from host_tools.plots import VERDICTS as DRAWN
from host_tools.reasons import BEGIN, END, EVENTS, RESTRICTIONS, main, reasons_table, with_table
from host_tools.words import REASONS, VERDICTS, Teller

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_todays_table():
    text = README.read_text(encoding="utf-8")
    assert with_table(text, "README.md") == text, "stale: run  python -m host_tools.reasons README.md"


def test_a_row_for_each_reason_in_the_tables_order():
    head, _, *rows = reasons_table().splitlines()
    assert head.count("|") == 5
    assert [row.split("`")[1] for row in rows] == [row[policy.CODE] for row in policy.REASONS]
    assert all(row.count("|") == 5 for row in rows)
    cells = {row.split("`")[1]: [cell.strip() for cell in row.split("|")[2:5]] for row in rows}
    assert cells["CARRIER_STOP"] == ["the network refuses the data session", "a data session given", "nothing passes"]
    assert cells["PACED"][1:] == ["the next day's budget, or a new period", "some classes wait"]
    assert len({tuple(cell[:2]) for cell in cells.values()}) >= len(rows) - 1, "the two orders of the owner alone agree"


def test_words_for_every_event_reason_and_verdict():
    events = {event for row in policy.REASONS for event in (row[policy.RAISED_BY], row[policy.LIFTED_BY])}
    assert {getattr(policy, name) for name in EVENTS} == events
    assert {getattr(policy, name) for name in RESTRICTIONS} == {row[policy.RESTRICTION] for row in policy.REASONS}
    assert list(REASONS) == [row[policy.CODE] for row in policy.REASONS]
    assert tuple(VERDICTS) == DRAWN == policy.VERDICTS
    assert set(VERDICTS) <= set(COLOURS)
    assert len(set(COLOURS.values())) == len(COLOURS)


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_no_place(text):
    with pytest.raises(UsageError, match=r"^x\.md: has no place for the reasons; put <!-- reasons --> before it"):
        with_table(text, "x.md")


def test_the_command_rewrites_what_is_between_the_markers(tmp_path, capsys):
    path = tmp_path / "a.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nbehind\n", encoding="utf-8")
    assert main([str(path)]) == 0
    assert path.read_text(encoding="utf-8") == f"before\n{BEGIN}\n{reasons_table()}{END}\nbehind\n"
    assert main([str(path)]) == 0
    assert capsys.readouterr() == ("", "")
    for wrong in ([], [str(tmp_path / "none.md")], [str(tmp_path)]):
        assert main(wrong) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("verdict", "codes", "warned", "said"),
    [
        ("open", (), 0, "Data flows freely"),
        ("warned", (), 0b011, "Warning: 80 % of the plan is used"),
        ("warned", (), 0b1000, "Data flows, past a warning level"),
        ("shed", (), 0b111, "90 % used: ota is held back, the rest goes on"),
        ("shed", ("PACED",), 0b111, "Some traffic classes are held back: the day's budget is used"),
        ("throttled", ("THROTTLED",), 0, "Data flows slowly: the allowance is used"),
        ("restricted", ("EXPIRED", "CANCELLED"), 0, "Only reports may pass: the package was not renewed in time"),
        ("terminated", ("RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"), 7, "Nothing may pass: the reserve is used up"),
    ],
)
def test_a_verdict_tells_its_first_reason(verdict, codes, warned, said):
    bits = {row[policy.CODE]: row[policy.BIT] for row in policy.REASONS}
    event = {"who": "device", "what": f"verdict-{verdict}", "a": sum(bits[code] for code in codes), "b": warned}
    teller = Teller((500, 800, 900), (("telemetry", 1000), ("ota", 900)))
    assert teller.tell(event) == said
