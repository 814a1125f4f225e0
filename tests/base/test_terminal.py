"""What a terminal shows and what a pipe gets: layouts in this process, the rest by the real command on real ones."""

import io
import os
import re
import subprocess
from collections import Counter

import pytest

from host_tools import cli
from host_tools.base import terminal
from host_tools.planning import command as planning
from host_tools.scenario import file as scenario
from tests.cli.commands import _COMMAND, in_pipes, into, on_terminal

TABLES = ["boards", "sim", "plan demo --at 2026-03-10", "plan fit {usage} --plans demo overage"]


@pytest.fixture(scope="module")
def usage(tmp_path_factory):
    path = tmp_path_factory.mktemp("usage") / "u.csv"
    path.write_text("date,octets\n" + "".join(f"2026-03-{day:02},2000000\n" for day in range(1, 29)))
    return str(path)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def rendered(monkeypatch):
    """A command's output, run in this process: on a terminal that is so wide, else in a pipe."""
    monkeypatch.setenv("TERM", "xterm")

    def run(*arguments, columns=None):
        output = Terminal() if columns else io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", output)
            patch.setattr("sys.stderr", output if columns else io.StringIO())
            if columns:
                patch.setenv("COLUMNS", str(columns))
                for console in (terminal.out, terminal.err, planning.out):  # made when COLUMNS may have been another
                    patch.setattr(console, "_width", columns)
            assert cli.run(list(arguments)) == 0
        return output.getvalue()

    return run


def check_layout(seen, whole, columns):
    """Whatever a pipe gets is there, and no line is longer than the terminal is wide."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r\n", "\n").split("\n")
    shown = [line.rpartition("\r")[2] for line in lines]  # without the progress that was wiped away
    assert max(map(len, shown)) <= columns
    lacking = words_of(whole.splitlines()) - words_of(shown)
    # A record needs no head over its name; the ruler's signs stand closer together.
    assert {word for word in lacking if word not in ("board", "Plan") and not word.isdigit()} == set()


def words_of(lines):
    """All but the ruler, which has as many columns as there are."""
    return Counter(word for line in lines for word in line.split() if not set(word) & set("├─┼┤→"))


@pytest.mark.parametrize("columns", [40, 50, 80, 200])
@pytest.mark.parametrize("command", TABLES)
def test_no_terminal_is_too_narrow_for_a_table(rendered, command, columns, usage):
    arguments = command.format(usage=usage).split()
    check_layout(rendered(*arguments, columns=columns), rendered(*arguments), columns)


@pytest.mark.parametrize("command", TABLES)
def test_a_pipe_has_no_width(rendered, monkeypatch, command, usage):
    arguments = command.format(usage=usage).split()
    monkeypatch.setenv("COLUMNS", "400")
    wide = rendered(*arguments)
    monkeypatch.setenv("COLUMNS", "20")
    assert rendered(*arguments) == wide
    assert "\x1b" not in wide


def test_a_real_terminal_and_a_real_pipe_get_the_same():
    ran = on_terminal("boards", columns=40)
    status, whole, _ = in_pipes("boards")
    assert ran.status == status == 0
    check_layout(ran.seen, whole, 40)
    assert in_pipes("boards", COLUMNS="20")[1] == whole


@pytest.mark.parametrize("breaks", [False, True])
def test_a_table_that_fits_keeps_its_colours_and_its_columns(breaks):
    listing = terminal.Listing([terminal.Column("id", right=True), terminal.Column("名"), terminal.Column("why")])
    listing.add("7", "中文", "[red]late[/] :ab:")
    listing.add("12", "a", "")
    if breaks:
        listing.add("13", "b", "one\ntwo")
    output = io.StringIO()
    terminal.Screen(file=output, width=40, force_terminal=True, color_system="standard").print(listing)
    assert "\x1b[31mlate\x1b[0m" in output.getvalue()
    assert "\x1b[1m" in output.getvalue().splitlines()[0]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", output.getvalue())
    assert shown == "id  名    why\n 7  中文  late :ab:\n12  a\n" + ("13  b     one\n          two\n" if breaks else "")


def test_a_pipe_gets_a_line_for_each_record(rendered):
    boards = rendered("boards").splitlines()
    assert all(line == line.rstrip() for line in boards)
    (longest,) = (line for line in boards if line.startswith("lilygo-t-sim7600 "))
    assert "  SIM7600E, SIM7600A, SIM7600SA or SIM7600G  cip  " in longest
    listed = rendered("sim").splitlines()
    titles = [(name, scenario.load(name).title) for name in scenario.shipped()]
    assert [tuple(line.split(maxsplit=1)) for line in listed] == titles
    plan = rendered("plan", "demo").splitlines()
    assert scenario.load("demo").title == plan[0]
    assert plan[1].endswith("until the next period.")


LONG = [
    pytest.param(("sim", "smoke", "--target", "cpython"), marks=pytest.mark.proof),
    pytest.param(("soak", "--runs", "1"), marks=pytest.mark.proof),
    ("plan", "fit", "{usage}", "--plans", "demo"),
]


@pytest.mark.parametrize("command", LONG, ids=lambda words: words[0])
def test_progress_is_seen_wherever_there_is_a_terminal_and_nowhere_else(command, usage):
    arguments = [word.format(usage=usage) for word in command]
    beside = on_terminal(*arguments, redirected=True)
    assert beside.status == 0
    assert "━" in beside.seen, "a bar"
    assert "\x1b" not in beside.out
    assert "━" not in beside.out
    assert beside.out
    status, out, err = in_pipes(*arguments)
    assert (status, err) == (0, "")
    assert "━" not in out


EVERY = ["boards --json -", "--help"]
EVERY += [pytest.param(each, marks=pytest.mark.proof) for each in ("sim", "boards", "plan demo", "plan demo --json -")]


@pytest.mark.parametrize("command", EVERY)
def test_an_output_that_takes_nothing_is_said_in_one_line(command):
    with open("/dev/full", "wb") as full:
        status, err = into(full, *command.split())
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("usageguard: standard output: no space left on device; ")
    read, write = os.pipe()
    os.close(read)
    try:
        assert into(write, *command.split()) == (141, ""), "a reader that has left, as by `| head`"
    finally:
        os.close(write)
    closed = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *_COMMAND, *command.split()],
        stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert closed.returncode == 2
    assert closed.stderr == "usageguard: standard output: is closed; send it where it can be written\n"


def test_a_run_that_cannot_tell_its_outcome_does_not_claim_one():
    with open("/dev/full", "wb") as full:
        status, err = into(full, "sim", "smoke", "--target", "cpython", "--json", "-")
    assert status == 2
    assert err.splitlines()[-1].startswith("usageguard: standard output: no space left on device; ")


def test_what_an_encoding_has_no_character_for_is_replaced():
    status, told, err = in_pipes("order", "kinds", PYTHONIOENCODING="ascii")
    assert (status, err, "?" in told, told.isascii()) == (0, "", True, True)


def test_nobody_to_complain_to_is_no_reason_for_another_status():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*_COMMAND, "sim", "nowhere"], stderr=full, timeout=60, check=False)
    assert done.returncode == 2
