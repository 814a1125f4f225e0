"""What a deployed set keeps of the heap of a 32-bit MicroPython, against the budget in heap.toml."""

import tomllib
from pathlib import Path

import pytest

from host_tools.build import bytecode
from host_tools.hardware import boards
from tests.core.wasm import board

BUDGET = tomllib.loads(Path(__file__).with_name("heap.toml").read_text("utf-8"))
SLACK = 512
DIALECT_MAX = 1_024  # octets that another family may keep above FIRST
FIRST = "quectel"
BOOTED = [
    board.BUILT_IN,
    "before = gc.mem_alloc()",
    "try:\n    import main\nexcept SystemExit:\n    pass\ngc.collect()",
    "print(gc.mem_alloc() - before)",
]

# An application that has had an answer, and goes on while the guard's first report is under way.
SERVING = """
import socket
import sys

def main(guard):
    while not guard.modem.online:
        guard.sleep(100)
    global held
    held = socket.socket()
    held.connect(("broker.example", 1883))
    held.write(b"hello")
    print("answer", held.read(4))
    quiet = 0
    while quiet < 10:  # until nothing is under way, and what was loaded for it has been let go
        guard.sleep(50)
        loaded = [name for name in sys.modules if name.startswith("usageguard_")]
        quiet = 0 if loaded or guard.modem.channel.busy or not guard.outbox.reports_sent else quiet + 1
    print("reports", guard.outbox.reports_sent)
    raise SystemExit
"""
WITH_MODEM = [BOOTED[0], "import modem\nmachine.UART = modem.UART\ngc.collect()", *BOOTED[1:]]


def live(folder, family, application=board.STEP_AND_LEAVE, steps=BOOTED):
    """The octets that the last of `steps` prints, and what was printed before."""
    files = board.deployed(folder, family, application) | {"/modem.py": str(board.HERE / "modem.py")}
    done = board.run(board.command(), files, *steps)
    assert done.returncode == 0, done.stdout + done.stderr
    *said, octets = done.stdout.splitlines()
    return int(octets), said


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    """The octets live after the first step, by family."""
    return {name: live(tmp_path_factory.mktemp(name), name)[0] for name in boards.families()}


def test_it_runs_when_it_is_measured(tmp_path):
    octets, said = live(tmp_path, FIRST)
    assert {"ug up a", "ug verdict-open 0 0"} <= set(said)
    assert octets == live(tmp_path, FIRST)[0], "the same in each run"


def test_serving_an_application_it_keeps_no_more_than_its_budget(tmp_path):
    octets, said = live(tmp_path, FIRST, SERVING, WITH_MODEM)
    assert {"answer b' \\x02\\x00\\x00'", "reports 1"} <= set(said)
    within(octets, BUDGET["serving"][FIRST])


def test_a_kilobyte_more_in_a_module_is_too_much(tmp_path, monkeypatch):
    folded = bytecode.folded

    def larger(text, name, where, **options):
        text = folded(text, name, where, **options)
        return text + b"\nMeter.BALLAST = b'%s'\n" % (b"x" * 1000) if name.endswith("/meter.py") else text

    monkeypatch.setattr(bytecode, "folded", larger)
    monkeypatch.setattr(bytecode, "cached", lambda key, make: make())
    octets, _ = live(tmp_path, FIRST)
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
