"""POLICY.md's table of reasons is the firmware's, and each event, reason and verdict has its label."""

from pathlib import Path

import pytest
from rich.style import Style
from usageguard.core import policy

from host_tools.base.errors import UsageError
from host_tools.report.labels import REASONS, VERDICTS, Describer
from host_tools.report.page import TEMPLATE
from host_tools.report.plots import COLOURS
from host_tools.report.reasons import BEGIN, END, LIFTED_BY, RESTRICTIONS, main, reasons_table, with_table

POLICY = Path(__file__).parents[2] / "firmware" / "POLICY.md"


def test_policy_md_has_todays_table():
    text = POLICY.read_text(encoding="utf-8")
    assert with_table(text, "POLICY.md") == text, "stale: run  python -m host_tools.report.reasons firmware/POLICY.md"


def test_a_row_for_each_reason_in_the_tables_order():
    head, _, *rows = reasons_table().splitlines()
    assert head.count("|") == 5
    assert [row.split("`")[1] for row in rows] == [row[policy.CODE] for row in policy.REASONS]
    assert all(row.count("|") == 5 for row in rows)
    cells = {row.split("`")[1]: [cell.strip() for cell in row.split("|")[2:5]] for row in rows}
    assert cells["CARRIER_STOP"] == [
        "the network refuses a data session, or ends it",
        "the network gives a data session",
        "nothing passes",
    ]
    assert cells["PACED"][1:] == ["the next day's budget, or a new period", "some classes are held back"]
    assert len({tuple(cell[:2]) for cell in cells.values()}) == len(rows), "no two reasons read alike"


def test_every_event_reason_and_restriction_has_a_text():
    lifting = {row[policy.LIFTED_BY] for row in policy.REASONS}
    assert {getattr(policy, name) for name in LIFTED_BY} == lifting
    assert {getattr(policy, name) for name in RESTRICTIONS} == {row[policy.RESTRICTION] for row in policy.REASONS}
    assert list(REASONS) == [row[policy.CODE] for row in policy.REASONS]


def test_every_verdict_has_a_label_a_style_and_a_colour():
    assert tuple(VERDICTS) == policy.VERDICTS
    assert len({verdict.label for verdict in VERDICTS.values()}) == len(VERDICTS)
    assert len({Style.parse(verdict.style) for verdict in VERDICTS.values()}) == len(VERDICTS)
    assert set(VERDICTS) <= set(COLOURS)
    assert len(set(COLOURS.values())) == len(COLOURS)
    light, dark = TEMPLATE.read_text("utf-8").split("@media (prefers-color-scheme: dark)")
    for name in COLOURS:
        assert f"--{name}: #" in light, name
        assert f"--{name}: #" in dark, name


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_no_place(text):
    with pytest.raises(UsageError, match=r"^x\.md: has no place for the table; add a line <!-- reasons --> and"):
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
        ("shed", ("PACED",), 0b111, "Some traffic classes are held back: the day's budget is used up"),
        ("throttled", ("THROTTLED",), 0, f"Data flows slowly: {REASONS['THROTTLED']}"),
        ("restricted", ("EXPIRED", "CANCELLED"), 0, "Only reports may pass: the package was not renewed in time"),
        ("terminated", ("RESERVE_EXHAUSTED", "PACED"), 7, "Nothing may pass: the reserve for reports is used up"),
    ],
)
def test_a_verdict_tells_its_first_reason(verdict, codes, warned, said):
    bits = {row[policy.CODE]: row[policy.BIT] for row in policy.REASONS}
    event = {"who": "device", "what": f"verdict-{verdict}", "a": sum(bits[code] for code in codes), "b": warned}
    describer = Describer((500, 800, 900), (("telemetry", 1000), ("ota", 900)))
    assert describer.describe(event) == said
