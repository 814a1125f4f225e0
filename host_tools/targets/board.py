"""The target `board:PORT`: the device's side of a scenario runs on a board, in real time, over mpremote's transport.

The simulated modem answers on a second serial port, wired to the board's UART. What the board gets lies in its folder
`/bench` and is started at its REPL in each boot; its sets of files, its pointer, its secrets and its ledger are not
touched. Before each start it is told to boot to the REPL once more, so a board that is left alone, its cable pulled,
comes back to what it ran before: after the scenario's time and a minute, or at the second reset.

`board:virtual` is a virtual board (`host_tools.hardware.virtual`) on a cable of its own, through exactly the same code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import serial
from rich.console import Console

from host_tools import boards, bytecode, modules, paths
from host_tools.errors import UsageError
from host_tools.hardware.deploy import fits, maintained, upload
from host_tools.hardware.monitor import parse
from host_tools.hardware.port import Port, Refused, resolve
from host_tools.hardware.virtual import VirtualBoard
from host_tools.scenario import PowerCut, Reset, Scenario, settings
from host_tools.sim.board import CAUSE_NAMES, HARD, PWRON, Board, Finished, PowerLoss
from host_tools.sim.realtime import Pace
from host_tools.sim.realtime_cable import Cable
from host_tools.targets.image import DEVICE_SIDE
from host_tools.targets.link import Crashed

if TYPE_CHECKING:
    from host_tools.bench import World

PREFIX = "board:"  # as `host_tools.bench` has it
VIRTUAL = "virtual"
FOLDER = "/bench"
PINS_OF_VIRTUAL = "own-esp32-quectel"

_OVER = 0  # `onboard` takes it for a reset's cause: the bench has ended
_ALONE_S = 60  # after the scenario's end, a board that nobody has fetched starts what it ran before
_BOOT_S = 20  # from a reset to the REPL, and from there to the bench's first word
_TURN_S = 0.01  # how often the REPL is looked at where its port cannot be selected
_LONGEST_S = 0.2
_RELAYED_S = 0.01  # how often relayed sockets are looked at
_BACKLOG = 65_536  # octets kept for a line that does not take them; a wire would keep none
_CODES = {name: cause for cause, name in CAUSE_NAMES.items()}
_AT_THE_REPL = ("ug maintenance", "MicroPython ", "raw REPL")  # how lines begin by which a reset is over
_RESETTING = ("ug maintenance", "MicroPython ", "rst:0x")
_LOST = (OSError, serial.SerialException, termios.error)
_TIDY = """
import machine, os
machine.RTC().memory(b"")
def forget(path):
    try:
        for name in os.listdir(path):
            forget(path + "/" + name)
        os.rmdir(path)
    except OSError:
        try:
            os.remove(path)
        except OSError:
            pass
for name in ("ledger-a", "ledger-b"):
    forget("/bench/" + name)
"""
_ONCE_MORE = """
if "slots.py" in os.listdir("/"):
    open("/maintenance", "w").close()
"""
"""The next boot leads to the REPL, as any does where there are no sets."""
_START = f"""
import os, sys, gc
gc.threshold(2048)
{_ONCE_MORE}
os.chdir("/bench")
sys.path.insert(0, "/bench")
import onboard
onboard.main(%d)
"""


class Relay(Protocol):
    """What stands in the board's supply."""

    def power_off(self) -> None: ...
    def power_on(self) -> None: ...


@dataclass(frozen=True)
class Rig:
    """How a board is connected. `pins`: the board.toml or its name; without, what was deployed to the board counts."""

    port: str
    modem_port: str
    pins: str | None = None
    relay: Relay | None = None


@contextlib.contextmanager
def rig(target: str, modem_port: str | None, pins: str | None) -> Iterator[Rig]:
    """The rig that `--target board:…` and its options name; one of its own for `board:virtual`. UsageError."""
    port = target.removeprefix(PREFIX)
    if port == VIRTUAL:
        with tempfile.TemporaryDirectory(prefix="usage-guard-") as folder, Cable() as cable:
            link = str(Path(folder, "port"))
            with VirtualBoard(Path(folder, "board"), link, cable.ends[0]) as relay:
                yield Rig(link, cable.ends[1], pins or PINS_OF_VIRTUAL, relay)
        return
    if not modem_port:
        hint = "name the port that is wired to the board's UART for the modem"
        raise UsageError("--modem-port", "", f"is missing, and --target {target} needs it", hint)
    yield Rig(port, modem_port, pins)


def check(scenario: Scenario, rig: Rig) -> None:
    """UsageError for a scenario that such a rig cannot run."""
    if not scenario.real_time:
        hint = "run it with --target micropython; those marked real_time = true run on a board"
        raise UsageError(scenario.name, "", "does not run in real time", hint)
    for number, fault in enumerate(scenario.faults, 1):
        if isinstance(fault, PowerCut) and not rig.relay:
            hint = f"run it with --target {PREFIX}{VIRTUAL} or micropython"
            raise UsageError(scenario.name, f"fault #{number}", "nothing here can cut a board's power", hint)


class WiredBoard(Board):
    """The world's view of a board that is not simulated: what it said, how often it started, whether it has power."""

    line_out: bytearray
    relay: Relay | None = None

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.line_out = bytearray()

    def _receive(self, data: bytes) -> None:
        if not self._dead:  # the UART of a chip in reset takes nothing
            self.line_out += data
            del self.line_out[:-_BACKLOG]

    def reset(self, cause: int) -> None:
        """Nothing: the board strikes itself at that time (`onboard`), as no line from here leads to its reset."""

    def lost(self) -> None:
        """The board is in reset, by a cause that it will tell."""
        self._stop(PowerLoss(HARD))

    def cut_power(self, off_us: int, modem_too: bool = True) -> None:
        super().cut_power(off_us, modem_too)
        if self.relay:
            self.relay.power_off()

    def raise_loss(self) -> None:
        """PowerLoss or Finished, if there was one."""
        if self._loss is not None:
            self._dead = True
            raise self._loss

    def told(self, status: dict[str, Any]) -> None:
        self.status = status
        if self.on_status:
            self.on_status(status)


def device_files(scenario: Scenario, extra: Mapping[str, Path], folders: list[Path]) -> dict[str, bytes]:
    """The set in `/bench`, by name: firmware and bench, applications `extra` by module, libraries in `folders`."""
    config = settings(scenario)
    roots = [*modules.BOARD[1:], *modules.VALIDATOR, modules.driver(config.modem.family)]
    bench = {file.name: file for file in DEVICE_SIDE.glob("*.py") if file.name != "device.py"}
    for file in bench.values():
        roots += modules.imports(file.read_bytes())
    sources = {}
    for name in modules.reached(roots, [*modules.ELSEWHERE, *modules.unneeded(config)]):
        path = modules.source(name)
        assert path
        sources[str(path.relative_to(paths.firmware()))] = path
    sources |= bench
    sources |= {f"{module}.py": file for module, file in extra.items()}
    for folder in folders:
        sources |= {str(file.relative_to(folder)): file for file in folder.rglob("*.py")}
    return {
        str(Path(name).with_suffix(".mpy")): bytecode.compiled(source.read_bytes(), name, str(source), lines=False)
        for name, source in sorted(sources.items())
    }


class Bench:
    """One board on the bench, from the upload to the restart of what it ran before. A context."""

    def __init__(self, rig: Rig, scenario: Scenario, console: Console | None = None) -> None:
        check(scenario, rig)
        self._rig = rig
        self._scenario = scenario
        self._console = console or Console(stderr=True)
        with _named("--target"):
            self._port = Port(rig.port)
        try:
            self._modem = _open(rig.modem_port, scenario.baud)
        except UsageError:
            self._port.__exit__()
            raise
        self._over = False

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(UsageError, Refused):
            if not self._over:
                self._leave()
        with contextlib.suppress(*_LOST):
            self._modem.close()
        self._port.__exit__()

    def bring(self, files: Mapping[str, bytes], bench: dict[str, Any]) -> None:
        """Has `files`, the configuration and the application's orders on the board. UsageError if it cannot be."""
        scenario = self._scenario
        strikes = [[int(fault.at) * 1000, _CODES[fault.cause]] for fault in scenario.faults if isinstance(fault, Reset)]
        strikes.sort()
        strikes.append([(int(scenario.duration) + _ALONE_S) * 1000, _OVER])
        with _named("--target"), maintained(self._port):
            fits(self._port, files)
            bench = {**bench, "strikes": strikes, "board": self._pins()}
            texts = {"config.json": scenario.device_config(), "bench.json": bench}
            whole = {**files, **{name: json.dumps(value).encode("ascii") for name, value in texts.items()}}
            try:
                self._upload({f"{FOLDER}/{name}": content for name, content in whole.items()})
                self._port.run(_TIDY + _ONCE_MORE)
            except Refused as error:
                hint = "see that it has room; it runs what it ran before"
                raise UsageError(self._port.name, "", f"the board says: {error}", hint) from None

    def _pins(self) -> dict[str, Any]:
        """The UART of the modem, as a board.json has it; nothing that would switch a modem, for there is none."""
        if self._rig.pins:
            pins = boards.load(self._rig.pins).device_json()
        else:
            slot = (self._port.ask("read('/active')") or "").split()
            where = f"/{slot[0]}/board.json" if slot else "/board.json"
            text = self._port.ask(f"read({where!r})")
            if text is None:
                hint = "name it with --board, or deploy to the board first"
                raise UsageError("--target", self._port.name, "the board does not know its own pins", hint)
            pins = json.loads(text)
        return {name: pins[name] for name in ("uart", "tx", "rx")} | {"baud": self._scenario.baud}

    def _upload(self, files: Mapping[str, bytes]) -> None:
        """Sends what the board has nowhere."""
        port = self._port
        found = port.ask(f"survey('/a', survey('/b', survey('{FOLDER}', {{}})))")
        stale = [path for path in found if path.startswith(f"{FOLDER}/") and path not in files]
        if stale:
            port.run(f"remove({stale!r})")
        by_digest = {digest: path for path, digest in found.items() if path not in stale}
        copies, lacking = [], {}
        for path, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            if found.get(path) == digest:
                continue
            if digest in by_digest and not by_digest[digest].startswith(f"{FOLDER}/"):
                copies.append((by_digest[digest], path))
            else:
                lacking[path] = content
        if copies:
            port.run(f"copy({copies!r})")
        if lacking:
            self._console.print(f"{port.name}: sending {len(lacking)} files", markup=False)
            upload(port, lacking)
        arrived = port.ask(f"survey('{FOLDER}', {{}})")
        for path, content in files.items():
            if arrived.get(path) != hashlib.sha256(content).hexdigest():
                hint = "start again; if it stays, the board's flash is worn or full"
                raise UsageError(port.name, path, "did not arrive as it was sent", hint)

    # The run

    def live(self, world: World) -> None:
        """The scenario, from the board's first word to its end. Crashed when the program ended by itself."""
        board = world.board
        assert isinstance(board, WiredBoard)
        board.relay = self._rig.relay
        with _named("--target"):
            self._port.restart()
            pace: Pace | None = None
            while True:
                cause = self._reach_repl()
                if pace:
                    pace.catch_up()  # while it is dead: what the modem says meanwhile is lost, as on a wire
                if world.clock.now_us >= world.end_us:
                    return
                self._first_word(world)
                pace = pace or Pace(world.clock)
                pace.catch_up()
                termios.tcflush(self._modem.fileno(), termios.TCIOFLUSH)
                board.line_out.clear()
                board.boot(cause)
                try:
                    self._serve(world, board, pace)
                except Finished:
                    return
                except PowerLoss as loss:
                    until = world.clock.now_us + loss.off_us
                    while world.clock.now_us < min(until, world.end_us):
                        time.sleep(pace.left_s(_TURN_S))
                        pace.catch_up()
                    if loss.cause == PWRON and self._rig.relay:
                        self._rig.relay.power_on()

    def _reach_repl(self) -> int:
        """Waits for a board that starts; returns the reset's cause."""
        for line in self._port.lines(_BOOT_S, resets=True):
            if line.startswith(_AT_THE_REPL):
                break
        else:
            hint = "reset it by hand, then start again"
            raise UsageError("--target", self._port.name, "the board did not come back from a reset", hint)
        self._port.repl()
        return self._port.ask("__import__('machine').reset_cause()") or HARD  # 0: a reset over USB

    def _first_word(self, world: World) -> None:
        self._port.start(_START % (world.clock.now_us // 1000))
        said = []
        for line in self._port.lines(_BOOT_S):
            if line.startswith("ug bench-up "):
                return
            said.append(line)
        raise Crashed("the bench did not start on the board; it printed:\n" + "\n".join(said)[-2000:])

    def _serve(self, world: World, board: WiredBoard, pace: Pace) -> None:
        """Runs the world beside the board, until it is reset (PowerLoss) or all is over (Finished)."""
        repl, line = self._port.fileno(), self._modem.fileno()
        said: list[str] = []
        watched = [line] if repl is None else [line, repl]
        longest_s = _TURN_S if repl is None else _RELAYED_S if board.settle else _LONGEST_S
        while True:
            if board.settle:
                board.settle()
            pace.catch_up()
            board.raise_loss()
            writers = [line] if board.line_out else []
            readable, writable, _ = select.select(watched, writers, [], pace.left_s(longest_s))
            if line in readable:
                data = self._read_line()
                pace.catch_up()  # what the board wrote arrives now, not when the queue was last looked at
                world.board.line.to_modem.write(data)
            if writable:
                with _wire(self._rig.modem_port), contextlib.suppress(BlockingIOError):
                    del board.line_out[: os.write(line, board.line_out)]
            if repl is None or repl in readable:
                for text in self._port.take():
                    said = [*said[-40:], text]
                    self._heard(text, world, board, said)

    def _read_line(self) -> bytes:
        with _wire(self._rig.modem_port):
            try:
                data = os.read(self._modem.fileno(), 4096)
            except BlockingIOError:
                return b""
            if not data:
                raise OSError
            return data

    def _heard(self, text: str, world: World, board: WiredBoard, said: list[str]) -> None:
        """Takes one line of the board."""
        heard = parse(text)
        if heard.kind == "status":
            board.told(heard.status)
        elif text.startswith(_RESETTING) or heard.code == "bench-reset":
            board.lost()
        elif heard.code == "bench-power":
            world.modem.power(bool(heard.a))
        elif heard.code == "bench-ended":
            raise Crashed("the program on the board ended; it printed:\n" + "\n".join(said)[-2000:])
        elif heard.kind == "event":
            world.log.add("device", heard.code, a=heard.a, b=heard.b)

    def _leave(self) -> None:
        """Has the board start what it ran before the bench, with nothing of the bench's in its retained memory."""
        self._over = True
        if self._rig.relay:
            self._rig.relay.power_on()
        self._port.repl()
        self._port.run(_TIDY + '\nforget("/maintenance")')
        self._port.restart()


def _open(path: str, baud: int) -> serial.Serial:
    try:
        resolved = resolve(path)
    except UsageError as error:
        raise UsageError("--modem-port", error.field, error.problem, error.hint) from None
    if "://" in resolved:
        raise UsageError("--modem-port", path, "is on a network, and a modem's line is too fast for it", "name a path")
    try:
        return serial.Serial(resolved, baud, timeout=0, exclusive=True)
    except (*_LOST, ValueError):
        hint = "see that no other program has it open, and that you may open it"
        raise UsageError("--modem-port", path, "cannot be opened", hint) from None


@contextlib.contextmanager
def _wire(name: str) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise
    except OSError:
        raise UsageError("--modem-port", name, "is gone", "see to the cable, then start again") from None


@contextlib.contextmanager
def _named(option: str) -> Iterator[None]:
    """What goes wrong at the port is said of the option that named it."""
    try:
        yield
    except UsageError as error:
        where = option if error.where == "--port" else error.where
        raise UsageError(where, error.field, error.problem, error.hint) from None
