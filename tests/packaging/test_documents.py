"""The documents name files, commands and figures that are there, and the two READMEs say the same."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main

from host_tools import cli
from host_tools.bench.heap_figures import BUDGET
from host_tools.build import package
from host_tools.hardware import boards
from host_tools.scenario import file as scenario
from host_tools.torture import wear

ROOT = Path(__file__).parents[2]
README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
DESIGN = ROOT / "firmware" / "DESIGN.md"
PICTURE = ROOT / "host_tools" / "pictures" / "month.svg"
DOCUMENTS = [
    README,
    CHINESE,
    ROOT / "CHANGELOG.md",
    ROOT / "boards" / "README.md",
    *sorted((ROOT / "host_tools").rglob("*.md")),
    *sorted((ROOT / "firmware").glob("*.md")),
]
ROOMS = (ROOT, ROOT / "firmware", ROOT / "firmware" / "usageguard", ROOT / "host_tools")
ROOTS = {path.name for room in ROOMS for path in room.iterdir() if path.is_dir() and not path.name.startswith(".")}
MEASURED = 0.05
"""By which share a figure in the READMEs may differ from what is measured."""

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def text(document):
    return document.read_text("utf-8")


def code(document):
    """Its blocks of code as (language, text)."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text(document), re.MULTILINE | re.DOTALL)


def inline(document):
    """What stands between backticks outside the blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text(document), flags=re.MULTILINE | re.DOTALL))


def tables(document):
    """The document's tables as lists of rows, each a list of cells."""
    found = []
    for before, line in pairwise(["", *text(document).splitlines()]):
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))])
    return found


def numbers(words):
    """The numbers in it, in order of size; 12 万 is 120,000."""
    found = re.findall(r"(\d+(?:,\d{3})*(?:\.\d+)?)( 万)?", words)
    return sorted(float(digits.replace(",", "")) * (10_000 if wan else 1) for digits, wan in found)


@each_document
def test_links_lead_to_files_and_headings(document):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text(document)):
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text(file), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings], target


@each_document
def test_paths_that_are_named_exist(document):
    words = [word for language, block in code(document) if language == "sh" for word in block.split()]
    for name in [*inline(document), *words]:
        stands_for_another = re.search(r"NAME|MODEL", name)
        if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+/?", name) and name.split("/")[0] in ROOTS and not stands_for_another:
            assert any((room / name).exists() for room in (document.parent, *ROOMS)), name


@each_document
def test_commands_that_are_named_exist(document):
    commands = typer.main.get_command(cli.app).commands
    named = [words for words in inline(document) if words.startswith("usageguard ")]
    for language, block in code(document):
        if language == "sh":
            named += [line for line in block.splitlines() if "usageguard " in line]
    for line in named:
        words = shlex.split(line.replace("…", ""))
        words = words[next(i for i, word in enumerate(words) if word.endswith("usageguard")) + 1 :]
        if words[0] == "COMMAND":
            continue
        command = commands.get(words[0])
        assert command, line
        for word in words[1:]:
            inner = getattr(command, "commands", {})
            if word not in inner:
                break
            command = inner[word]
        if default := getattr(command, "default", ""):
            command = command.commands[default]
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_make_has_the_targets_that_are_named():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for document in (README, CHINESE):
        named = re.findall(r"\bmake (\w+)", text(document))
        assert {"demo", "test", "proof"} <= set(named) <= set(targets)


def without_comments(block):
    return [line.partition("  #")[0].rstrip() for line in block.splitlines()]


def test_both_readmes_have_the_same_code():
    english, chinese = ([(lang, without_comments(block)) for lang, block in code(each)] for each in (README, CHINESE))
    assert english == chinese


def test_both_readmes_have_the_same_tables():
    english, chinese = tables(README), tables(CHINESE)
    assert [[len(row) for row in table] for table in english] == [[len(row) for row in table] for table in chinese]
    for one, other in zip(english, chinese, strict=True):
        for row, same in zip(one[2:], other[2:], strict=True):
            assert numbers(" ".join(row)) == numbers(" ".join(same)), (row, same)
            code_in = [[re.findall(r"`[^`]+`", cell) for cell in cells] for cells in (row, same)]
            assert code_in[0] == code_in[1], (row, same)


def test_both_readmes_have_the_same_parts():
    for pattern in (r"^(#+) ", r"\]\((?!README)([^)]+)\)", r"^(- )"):
        english, chinese = (re.findall(pattern, text(each), re.MULTILINE) for each in (README, CHINESE))
        assert english == chinese
    english, chinese = (sorted(inline(each)) for each in (README, CHINESE))
    assert english == chinese


@pytest.mark.parametrize("document", [README, CHINESE], ids=lambda path: path.name)
def test_every_policy_names_its_scenario(document):
    (policies,) = [
        table for table in tables(document) if any("`cutoff-month`" in cell for row in table for cell in row)
    ]
    named = {name for row in policies[2:] for name in re.findall(r"`([\w-]+)`", row[-1])}
    rest = {"demo", "smoke", "cutoff-short"}
    assert named == {name for name in scenario.shipped() if not name.startswith("rt-")} - rest


def cost(name):
    """The numbers in a row of the README's table of costs."""
    (row,) = [row for table in tables(README) for row in table if row[0] == name]
    return row[1]


def near(said, measured):
    return abs(said - measured) <= MEASURED * measured


def test_the_picture_shows_what_the_readme_says():
    used, allowance = map(float, re.findall(r"at ([\d.]+) MB of ([\d.]+) MB", text(PICTURE))[0])
    assert f"used {used} of {allowance:g} MB" in cost("Allowance")
    assert "no data for 12 d" in text(PICTURE)
    assert "no data for 12 days" in text(README)


@pytest.mark.proof
def test_the_files_on_a_device_have_the_size_that_the_readme_says(tmp_path):
    config, app = tmp_path / "config.toml", tmp_path / "application.py"
    blocks = dict(reversed(code(README)))  # the first of each language
    config.write_text(blocks["toml"], "utf-8")
    app.write_text(blocks["python"], "utf-8")
    files = package.build(package.settings(config), boards.load("own-esp32-quectel"), app)
    files.pop(package.LEDGER_IN_FILES)
    size = int(re.findall(r"^(\d+) KB", cost("Flash"))[0])
    assert near(size, sum(map(len, files.values())) / 1024)


def test_the_heap_is_what_its_budget_allows():
    assert near(int(cost("Heap").split()[0]), BUDGET["booted"]["quectel"] / 1024)


def test_the_readme_has_the_ledgers_wear_from_design():
    (month,) = [row for table in tables(DESIGN) for row in table if row[:2] == ["30 MB", "log"]]
    assert f"{month[3]} erases a month for 30 MB" in cost("Flash wear")
    assert f"lasts {month[5]} years" in cost("Flash wear")


@pytest.mark.parametrize(
    "plan",
    [
        name if name == "30 MB" else pytest.param(name, marks=pytest.mark.proof)
        for name in wear.PLANS
        if name != "5 GB"  # minutes
    ],
)
def test_designs_table_of_wear_is_measured(plan):
    assert "\n".join(wear.markdown(wear.measure(plan))[2:]) in text(DESIGN)


def check_what_a_report_costs(upstream):
    """That the README says it; `upstream`: of the month with a cutoff."""
    octets, hourly, six_hourly = (int(n) for n in re.findall(r"(\d+) (?:bytes|KB)", cost("Report")))
    assert near(octets, upstream["octets_per_report"])
    for said, hours in ((hourly, 1), (six_hourly, 6)):
        assert near(said, octets * 31 * 24 / hours / 1024)
