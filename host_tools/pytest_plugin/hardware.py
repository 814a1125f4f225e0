"""A real board with a simulated modem: the application is deployed, time is real, the world is the scenario's.

The board's modem UART is wired to a serial port of this computer (TX to RX, RX to TX, ground), where the simulated
modem answers. Run against the virtual board; not yet run on hardware.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import serial
from rich.console import Console

from host_tools import boards, services
from host_tools.bench import OnOutput, OnProgress, Recorder, RunResult, World
from host_tools.errors import UsageError
from host_tools.hardware.deploy import deploy
from host_tools.hardware.monitor import parse
from host_tools.hardware.port import Port, resolve
from host_tools.scenario import Scenario
from host_tools.sim.clock import S

TURN_S = 0.005
"""How often both ports are looked at."""


class OnBoard:
    """The target board:PORT. UsageError for whatever is not there."""

    def __init__(self, port: str, modem_port: str | None, board: str | None) -> None:
        resolve(port)
        if not modem_port:
            hint = "name the serial port that the board's modem UART is wired to"
            raise UsageError("--modem-port", "", "is missing", hint)
        if not os.path.exists(modem_port):
            raise UsageError("--modem-port", modem_port, "is not there", "name a serial port or a tty")
        if not board:
            raise UsageError("--board", "", "is missing", f"there are {', '.join(boards.names())}")
        self.name = f"board:{port}"
        self._port = port
        self._modem_port = modem_port
        self._board = boards.load(board)

    def play(self, scenario: Scenario, seed: int | None, **options: Any) -> RunResult:
        on_start: OnProgress = options["on_start"]
        on_output: OnOutput = options["on_output"]
        app = Path(scenario.app.name)
        if options["files"] or options["libraries"] or not app.is_file():
            problem = "takes one file, the application, so far"
            raise UsageError("--target", self.name, problem, "put all into it, or run the test on a simulated target")
        started = time.monotonic()
        with services.for_scenario(scenario) as servers:
            world = World(scenario, scenario.seed if seed is None else seed, servers.addresses)
            recorder = Recorder(world, None)
            _leave_alone(world)
            said: list[str] = []
            try:
                on_start(world)
                with _wired(world, self._modem_port) as modem:
                    self._deploy(scenario, app)
                    world.board.boots = 1  # which has begun: a deployment returns when the guard is up
                    world.modem.power(True)
                    with Port(self._port) as port:
                        _live(world, port, modem, said)
            finally:
                on_output("\n".join(said))
                world.internet.close()
        summary = recorder.summary(self.name, time.monotonic() - started)
        summary["failures"] = scenario.expect.failures(summary)
        summary["passed"] = not summary["failures"]
        return RunResult(summary, recorder.series())

    def _deploy(self, scenario: Scenario, app: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "config.json"
            config.write_text(json.dumps(scenario.device_config()), encoding="ascii")
            console = Console(file=io.StringIO())
            deploy(self._board, self._port, config, app, console, secrets=True, lines=True)


def _leave_alone(world: World) -> None:
    """The simulated board of this world is none: nobody can cut the real one's power."""

    def refuse(*_: object) -> NoReturn:
        problem = "a real board's power and reset are not in the bench's hands"
        raise UsageError("--target", "board", problem, "run this test on a simulated target")

    for name in ("cut_power", "reset"):
        setattr(world.board, name, refuse)


@contextmanager
def _wired(world: World, path: str) -> Iterator[serial.Serial]:
    """The simulated modem at the end of a real line."""
    try:
        line = serial.Serial(path, world.scenario.baud, timeout=0)
    except (OSError, serial.SerialException) as error:
        hint = "see that no other program has it open"
        raise UsageError("--modem-port", path, f"cannot be opened: {error}", hint) from None
    with line:

        def to_board(data: bytes) -> None:
            line.write(data)

        world.modem.line.to_host.deliver = to_board
        yield line


def _live(world: World, port: Port, line: serial.Serial, said: list[str]) -> None:
    """Real time, from now to the scenario's end. What the world does is due at the time of its clock."""
    zero = time.monotonic()
    bridged = any(host.kind == "bridge" for host in world.scenario.hosts)
    while world.clock.now_us < world.end_us:
        if bridged:
            world.internet.settle()
        world.clock.run_until(min(world.end_us, int((time.monotonic() - zero) * S)))
        if data := line.read(4096):
            world.modem.line.to_modem.write(data)
        for text in port.lines(TURN_S, resets=True):
            _take(world, text, said)


def _take(world: World, text: str, said: list[str]) -> None:
    """A line that the board printed."""
    line = parse(text)
    board = world.board
    if line.kind == "status":
        board.status = line.status
        if board.on_status:
            board.on_status(line.status)
    elif line.kind == "event":
        if line.code.startswith("ledger-"):  # the first word of a guard
            board.boots += 1
        world.log.add("device", line.code, a=line.a, b=line.b)
    else:
        said.append(line.text)
