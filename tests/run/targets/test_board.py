"""A board on the bench when something is wrong: one line says what, and the board starts what it ran before."""

import io
import os
import shutil

import pytest
from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.hardware import boards
from host_tools.hardware.deploy import deploy
from host_tools.hardware.port import Port
from host_tools.run.run import run_scenario
from host_tools.run.targets import wired as onboard
from host_tools.run.targets.link import Crashed
from host_tools.scenario import file as scenario
from tests.hardware.conftest import APP, CONFIG
from tests.run.targets.wired import PINS, bench_with

pytestmark = pytest.mark.realtime

SHORT = """
title = "A board"
start = 2026-03-01T08:00:00+08:00
duration = "{duration}"
real_time = true
[plan]
allowance_octets = "30MB"
[app]
name = "{app}"
"""


def short(duration="3s", app="workload"):
    return scenario.loads(SHORT.format(duration=duration, app=app), "test.toml")


@pytest.fixture(scope="module")
def flash(tmp_path_factory):
    """The flash of a board that runs what was deployed to it."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "config.toml").write_text(CONFIG)
    (folder / "app.py").write_text(APP)
    with bench_with(folder / "board") as workbench:
        console = Console(file=io.StringIO())
        deploy(boards.load(PINS), workbench.board.path, folder / "config.toml", folder / "app.py", console)
    return folder / "board"


@pytest.fixture
def workbench(flash, tmp_path):
    shutil.copytree(flash, tmp_path / "board")
    with bench_with(tmp_path / "board") as workbench:
        workbench.ledger = tmp_path / "board" / "ledger.bin"
        yield workbench


def starts(workbench, boots):
    """Whether the deployed set runs in one of so many boots, by its first word; each begins with the power."""
    for _ in range(boots):
        workbench.board.power_off()
        workbench.board.power_on()
        with Port(workbench.board.path) as port:
            words = (line for line in port.lines(20, resets=True) if line in ("ug up a", "ug maintenance"))
            if next(words) == "ug up a":
                return True
    return False


def test_the_board_ends_as_it_began(workbench):
    """Its own pins, no second upload, the ledger of its own as it was, and the deployed set runs."""
    before = workbench.ledger.read_bytes()
    sent = workbench.board.octets_in
    first = workbench.run(short(), pins=None)
    sent, first_sent = workbench.board.octets_in, workbench.board.octets_in - sent
    second = workbench.run(short(), pins=None)
    for result in (first, second):
        assert result["failures"] == []
        assert [event["what"] for event in result["events"]].count("ledger-blank") == 1, "nothing of an earlier bench"
    assert workbench.board.octets_in - sent < first_sent
    assert before != b"\xff" * len(before), "the deployed set wrote nothing: this test shows nothing"
    assert starts(workbench, boots=1)
    assert workbench.ledger.read_bytes()[:32] == before[:32]


@pytest.mark.parametrize("octets", [100, 5000, 9000])
def test_a_cable_pulled_while_files_are_sent(workbench, octets):
    workbench.board.cut_after = octets
    with pytest.raises(UsageError) as caught:
        workbench.run(short())
    gone = f"--target: {workbench.board.path}: the board is gone; check the cable and try again"
    assert str(caught.value) == gone
    workbench.board.plug()
    assert starts(workbench, boots=2)


def test_a_cable_pulled_in_the_run(workbench):
    def pull(event):
        if event["what"].startswith("ledger-"):
            workbench.board.unplug()

    with pytest.raises(UsageError) as caught:
        workbench.run(short("60s"), on_event=pull)
    gone = f"--target: {workbench.board.path}: the board is gone; check the cable and try again"
    assert str(caught.value) == gone
    workbench.board.plug()
    assert starts(workbench, boots=2)


def test_a_modem_line_that_is_gone_in_the_run(workbench, monkeypatch):
    class Gone:
        """`os`, but for a serial port whose adapter was pulled."""

        def __getattr__(self, name):
            return getattr(os, name)

        def read(self, fd, n):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(onboard, "os", Gone())
    with pytest.raises(UsageError) as caught:
        workbench.run(short("60s"))
    assert str(caught.value) == f"--modem-port: {workbench.modem_port}: is gone; check the cable, then start again"
    assert starts(workbench, boots=1)


def test_an_application_that_cannot_be_imported_keeps_the_bench_going(workbench, tmp_path):
    """As in the field, the guard runs on; the event says that the application does not."""
    app = tmp_path / "broken.py"
    app.write_text("from nowhere import main\n")
    result = workbench.run(short(app=app))
    assert "app-crash" in [event["what"] for event in result["events"]]
    assert starts(workbench, boots=1)


def test_a_program_that_ends_is_told_with_what_it_printed(workbench, tmp_path):
    app = tmp_path / "leaving.py"
    app.write_text('def main(guard):\n    print("so long")\n    raise BaseException("enough")\n')
    with pytest.raises(Crashed, match=r"(?s)ended; it printed:.*so long.*BaseException: enough"):
        workbench.run(short(app=app))
    assert starts(workbench, boots=1)


@pytest.mark.parametrize(
    ("target", "modem_port", "pins", "words"),
    [
        ("board:/nowhere", "/dev/null", PINS, "--target: /nowhere: is not there; ports found: none"),
        ("board:{port}", None, PINS, "--modem-port: is missing, and --target board:{port} needs it; name the port"),
        ("board:{port}", "/nowhere", PINS, "--modem-port: /nowhere: is not there; ports found: none"),
        ("board:{port}", "/dev/null", PINS, "--modem-port: /dev/null: cannot be opened; close other programs"),
        ("board:{port}", "socket://x:1", PINS, "--modem-port: socket://x:1: is on a network, and"),
        ("board:{port}", "{modem}", None, "--target: {port}: the board does not know its own pins; name it with"),
        ("board:{port}", "{modem}", "nothing", 'board: "nothing" is not known'),
        ("port:x", None, None, '--target: "port:x" is not a target; use one of cpython, micropython, board:PORT'),
    ],
)
def test_bad_ports_are_one_line(tmp_path, target, modem_port, pins, words):
    with bench_with(tmp_path / "board") as workbench:
        names = {"port": workbench.board.path, "modem": workbench.modem_port}
        port = modem_port and modem_port.format(**names)
        with pytest.raises(UsageError) as caught:
            run_scenario(short(), target.format(**names), modem_port=port, pins=pins)
    assert str(caught.value).startswith(words.format(**names))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("real_time", "fault", "words"),
    [
        ("false", "", "test: does not run in real time; run it with --target micropython"),
        (
            "true",
            '[[fault]]\nat = "1s"\nkind = "power_cut"',
            "test: fault #1: nothing here can cut a board's power; run it with --target board:virtual",
        ),
    ],
)
def test_scenarios_that_no_board_can_run(real_time, fault, words):
    """Said before a port is opened: there is none here."""
    text = SHORT.format(duration="3s", app="workload").replace("real_time = true", f"real_time = {real_time}") + fault
    with pytest.raises(UsageError) as caught:
        run_scenario(scenario.loads(text, "test.toml"), "board:/nowhere", modem_port="/nowhere")
    assert str(caught.value).startswith(words)


def test_a_scenario_for_boards_is_short():
    with pytest.raises(UsageError, match="duration: is long for real time; give 600 s or less"):
        short("11m")
