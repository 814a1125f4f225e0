"""Runs the commands and examples of the READMEs, DEVICE.md and BENCH.md as they stand; a virtual board is the board."""

import os
import queue
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.base import paths
from host_tools.collector.store import Store
from host_tools.hardware.virtual import VirtualBoard

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DEVICE = paths.firmware() / "DEVICE.md"
BENCH = paths.PACKAGE / "BENCH.md"
EXAMPLE = Path(__file__).parents[1] / "pytest_plugin" / "example"


def blocks(guide, language):
    """The blocks of code in a guide."""
    return re.findall(rf"^```{language}\n(.*?)^```", guide.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(guide, *program):
    lines = (shlex.split(line) for block in blocks(guide, "sh") for line in block.splitlines())
    return [words[1:] for words in lines if words[0] in program]


def written(guide):
    """Puts the guide's configuration and application into the current folder."""
    Path("config.toml").write_text(blocks(guide, "toml")[0], "utf-8")
    Path("application.py").write_text(blocks(guide, "python")[0], "utf-8")


@pytest.mark.realtime
@pytest.mark.parametrize(
    "guide", [pytest.param(README, marks=pytest.mark.proof, id="README.md"), pytest.param(DEVICE, id="DEVICE.md")]
)
def test_a_device_is_provisioned_and_deployed_to_as_the_guide_says(guide, tmp_path, monkeypatch, capsys):
    """Every command of the README for a device, and those two of DEVICE.md; what the monitor says is read elsewhere."""
    monkeypatch.chdir(tmp_path)
    written(guide)
    done = []
    with VirtualBoard(tmp_path / "board", str(tmp_path / "port")) as board:
        for words in commands(guide, "usageguard"):
            if words[0] in ("plan", "provision", "deploy") and not {"/tmp/board", "--erase"} & set(words):
                there = [board.path if word == "/dev/ttyUSB0" else word for word in words]
                # README's application imports umqtt.simple, which a board's MicroPython has and this one has not.
                if guide == README and words[0] == "deploy":
                    Path("application.py").write_text(blocks(DEVICE, "python")[0])
                assert cli.run(there) in (0, None), capsys.readouterr().err
                done.append(words[0])
    assert done == (["plan"] if guide == README else []) + ["provision", "deploy"]
    assert "up: set a is in force" in capsys.readouterr().out


@pytest.mark.parametrize("usageguard_target", ["cpython", "micropython"])
def test_the_readmes_application_runs(bench, tmp_path):
    app = tmp_path / "application.py"
    app.write_text(blocks(README, "python")[0], "utf-8")
    options = {"hosts": {"broker.example": "mqtt"}, "libraries": ["umqtt.simple"], "duration": "30m"}
    run = bench.run(str(app), **options)
    assert run.passed, run.failures
    assert run.device["carried_octets"] > 0


@pytest.mark.proof
def test_the_readmes_other_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ran = [words for words in commands(README, ".venv/bin/usageguard") if cli.run(words) in (0, None)]
    assert [words[0] for words in ran] == ["sim", "sim"], capsys.readouterr().err
    assert Path("smoke.html").exists()


def test_make_knows_the_readmes_targets():
    """What each of them does is what other tests are for; here they exist."""
    targets = [words[0] for words in commands(README, "make")]
    assert targets == ["demo", "test"]
    subprocess.run(["make", "--dry-run", *targets, "proof"], check=True, capture_output=True, cwd=ROOT)


class Terminal:
    """One command of `usageguard` as a process in the current folder, whose lines are read as they come.

    Leaving the context ends it with Ctrl-C, or by force.
    """

    def __init__(self, words):
        self.words = words
        self._lines = queue.SimpleQueue()
        self.seen = []
        # Tests that a shell has started in the background ignore Ctrl-C, and so would what they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from host_tools.cli import main; main()", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", "PYTHONPATH": str(paths.PACKAGE.parent)},
        )  # fmt: skip
        assert self._process.stdout
        self._out = self._process.stdout
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # faulthandler tells where it is
            self._process.wait()
            raise AssertionError(f"{self.words[0]}: Ctrl-C does not end it: {[*iter(self._lines.get, None)]}") from None
        finally:
            self._reader.join()
            self._out.close()

    def _read(self):
        for line in self._out:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def until(self, pattern, patience_s=90):
        """Reads on to a line that matches; fails where the output ends, or none comes in time."""
        end = time.monotonic() + patience_s
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                line = None
            assert line is not None, f"{self.words[0]}: no line like {pattern!r} in {self.seen}"
            self.seen.append(line)
            if re.search(pattern, line):
                return

    def status(self):
        return self._process.wait(60)


def alike(line):
    """A pattern for a line of the guide: its numbers stand for any."""
    return "^" + re.sub(r"\d+(?:,\d+)*", r"[\\d,]+", re.escape(line)) + "$"


@pytest.mark.realtime
def test_a_report_comes_without_hardware_as_the_guide_says(tmp_path, monkeypatch):
    """Every command of the section, each a process: what the guide shows is seen, and the report is kept."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(blocks(DEVICE, "toml")[0])
    Path("application.py").write_text(blocks(DEVICE, "python")[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (section,) = re.findall(r"^## Without hardware\n(.*?)^## ", DEVICE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    section = section.replace("/tmp/", f"{tmp_path}/").replace("5683", str(port))
    running, asked = {}, []
    with ExitStack() as stack:
        for language, block in re.findall(r"^```(sh|text)\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
            lines = block.splitlines()
            if language == "text":
                for line in lines:
                    # Said by what was asked for last, in this order; a report, by the collector.
                    terminal = running["collector"] if " coap " in line else asked.pop(0)
                    terminal.until(alike(line))
                continue
            for words in map(shlex.split, lines):
                assert words.pop(0) == "usageguard"
                terminal = stack.enter_context(Terminal(words))
                running[words[0]] = terminal
                asked.append(terminal)
                if words[0] in ("provision", "deploy", "order"):
                    assert terminal.status() == 0, terminal.seen
        running["monitor"].until(r"\(STOPPED_BY_HAND\)")
        asked.remove(running["monitor"])
    assert not asked, "the guide shows a line of each of them"
    assert running.keys() == {"modem", "virtual-board", "provision", "collector", "deploy", "order", "monitor"}
    assert not any(Path(name).is_symlink() for name in ("modem", "board"))
    store = Store("reports.sqlite")
    try:
        assert store.reports_received("tracker-001") >= 1
    finally:
        store.close()


def test_board_json_is_made_as_the_guide_says(tmp_path):
    (line,) = [line for block in blocks(DEVICE, "sh") for line in block.splitlines() if line.startswith("python ")]
    words = shlex.split(line.partition(" > ")[0])
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert '"tx": 26' in done.stdout


def test_the_readmes_test_is_the_benchs():
    (readme,) = [block for block in blocks(README, "python") if "def test_" in block]
    assert any(readme in block for block in blocks(BENCH, "python"))
    assert commands(README, "pytest") == commands(BENCH, "pytest")[:1]


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        pytest.param(["--target=cpython"], None, id="quick", marks=pytest.mark.proof),
        pytest.param(commands(BENCH, "pytest")[0], None, id="both", marks=pytest.mark.proof),
        pytest.param(commands(BENCH, "pytest")[1], 20, id="board", marks=[pytest.mark.proof, pytest.mark.realtime]),
    ],
)
def test_the_benchs_examples_pass(pytester, monkeypatch, options, seconds):
    """By the guide's commands; in real time, where `seconds` is given, for as long as that."""
    for name in ("PYTEST_ADDOPTS", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]")
    shutil.copy(EXAMPLE / "my_app.py", pytester.path)
    tests = [block for block in blocks(BENCH, "python") if "def test_" in block]
    if seconds:
        tests = [tests[0].replace('duration="1d"', f'duration="{seconds}s"')]
    pytester.makepyfile("\n".join(tests))
    done = pytester.runpytest_subprocess(*options)
    done.assert_outcomes(passed=len(tests) * len(options))


def test_the_benchs_arguments_are_taken(bench, tmp_path):
    """The long call of the guide, for a minute of it."""
    (call,) = [block for block in blocks(BENCH, "python") if block.startswith("run = ")]
    shutil.copy(EXAMPLE / "my_app.py", tmp_path)
    for name in ("helper.py", "ca.der"):
        (tmp_path / name).write_text("")
    call = call.replace('"my_app.py"', repr(str(tmp_path / "my_app.py"))).replace('duration="5d"', 'duration="1m"')
    call = call.replace('"helper.py", "ca.der"', f"{str(tmp_path / 'helper.py')!r}, {str(tmp_path / 'ca.der')!r}")
    space = {"bench": bench}
    exec(call, space)
    assert space["run"].carrier["allowance_octets"] == 2 * 1024**2


@pytest.fixture
def usageguard_target():
    return "cpython"
