"""The target `board:PORT`: the device's program runs on a board, in real time; the modem is simulated.

The simulated modem answers on a second serial port, which is wired to the board's UART. The firmware and the
application are uploaded to the folder `/bench` over the REPL (mpremote's transport) and started there in each boot; the
deployed sets of files, the pointer to them, the keys and the ledger are not touched. Before each start the board is set
to boot to the REPL once more. If the cable is pulled, it therefore returns to its deployed program by itself: at the
second reset, or a minute after the scenario's end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import serial
from rich.console import Console

from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.build import bytecode, modules
from host_tools.build.image import DEVICE_SIDE
from host_tools.hardware import boards
from host_tools.hardware.deploy import fits, maintained, matches, upload
from host_tools.hardware.monitor import parse
from host_tools.hardware.port import BANNER, MAINTENANCE, Port, Refused, resolve
from host_tools.run.apps import bench_json
from host_tools.run.targets.link import Crashed
from host_tools.run.targets.rig import Relay, Rig, check, rig
from host_tools.run.targets.target import OnStart, Program
from host_tools.run.world import World
from host_tools.scenario.file import Reset, Scenario
from host_tools.sim.board import CAUSE_NAMES, HARD, PWRON, Board, Finished, PowerLoss
from host_tools.sim.realtime import Pace

FOLDER = "/bench"

_OVER = 0  # in place of a reset cause, `onboard` takes it as the end of the run
_ALONE_S = 60  # so long after the scenario's end, a board without a host returns to its deployed program
_BOOT_S = 20  # from a reset to the REPL, and from there to the first line of `onboard`
_TURN_S = 0.01  # how often a REPL is polled whose port cannot be selected
_LONGEST_S = 0.2
_RELAYED_S = 0.01  # how often sockets to real servers are polled
_BACKLOG = 65_536  # octets kept for a line that does not accept them; a wire would keep none
_CODES = {name: cause for cause, name in CAUSE_NAMES.items()}
_RESETTING = (MAINTENANCE, BANNER, "rst:0x")  # beginnings of the lines that tell a reset
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
"""Makes the next boot end at the REPL, as every boot does on a board without deployed sets."""
_START = f"""
import os, sys, gc
gc.threshold(2048)
{_ONCE_MORE}
os.chdir("/bench")
sys.path.insert(0, "/bench")
import onboard
onboard.main(%d)
"""


class WiredBoard(Board):
    """The world's board while a real one is connected: its statuses, its boots, whether it has power."""

    simulated = False
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
        """Does nothing: the board resets itself at that time (`onboard`), as its reset pin is not connected."""

    def lost(self) -> None:
        """Called when the board has been reset; it reports the cause when it starts."""
        self._stop(PowerLoss(HARD))

    @property
    def can_cut_power(self) -> bool:
        return self.relay is not None

    def cut_power(self, off_us: int, modem_too: bool = True) -> None:
        super().cut_power(off_us, modem_too)
        if self.relay:
            self.relay.power_off()

    def raise_loss(self) -> None:
        """Raises the PowerLoss or Finished that is pending."""
        if self._loss is not None:
            self._dead = True
            raise self._loss

    def take_status(self, status: dict[str, Any]) -> None:
        """Takes a status that the board printed."""
        self.status = status
        if self.on_status:
            self.on_status(status)


def device_files(scenario: Scenario, extra: Mapping[str, Path], folders: Sequence[Path]) -> dict[str, bytes]:
    """The files for `/bench` by name: firmware, `onboard`, applications `extra` by module, libraries in `folders`."""
    config = scenario.config
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


class Session:
    """One run on a board, from the upload to the restart of its deployed program. A context."""

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

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self._over:
                self._leave()
        except (UsageError, Refused) as error:
            text = f"{self._port.name}: not put back ({error}); its deployed program starts at the second reset"
            self._console.print(text, markup=False, soft_wrap=True)
        with contextlib.suppress(*_LOST):
            self._modem.close()
        self._port.__exit__()

    def install(self, files: Mapping[str, bytes], bench: dict[str, Any]) -> None:
        """Uploads `files`, the configuration and `bench.json`. UsageError when the board refuses them."""
        scenario = self._scenario
        resets = [[int(fault.at) * 1000, _CODES[fault.cause]] for fault in scenario.faults if isinstance(fault, Reset)]
        resets.sort()
        resets.append([(int(scenario.duration) + _ALONE_S) * 1000, _OVER])
        with _named("--target"), maintained(self._port):
            fits(self._port, files, scenario.config.modem.bearer)
            bench = {**bench, "resets": resets, "board": self._pins()}
            texts = {"config.json": scenario.device_config(), "bench.json": bench}
            whole = {**files, **{name: json.dumps(value).encode("ascii") for name, value in texts.items()}}
            try:
                self._upload({f"{FOLDER}/{name}": content for name, content in whole.items()})
                self._port.run(_TIDY + _ONCE_MORE)
            except Refused as error:
                hint = "make sure that it has room; its deployed program runs again"
                raise UsageError(self._port.name, "", f"the board says: {error}", hint) from None

    def _pins(self) -> dict[str, Any]:
        """The modem's UART, as in a board.json, without the pins that would switch a real modem."""
        if self._rig.pins:
            board = boards.load(self._rig.pins)
            matches(self._port, board)
            pins = board.device_json()
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
        """Sends the files that the board lacks; files that it has elsewhere are copied on the board."""
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
                hint = "start again; if it happens again, the board's flash is worn or full"
                raise UsageError(port.name, path, "did not arrive as it was sent", hint)

    # The run

    def run(self, world: World) -> None:
        """Runs the scenario to its end. Raises Crashed when the board's program ended by itself."""
        board = world.board
        assert isinstance(board, WiredBoard)
        board.relay = self._rig.relay
        with _named("--target"):
            self._port.restart()
            pace: Pace | None = None
            while True:
                cause = self._reach_repl()
                if pace:
                    pace.catch_up()  # while the board is in reset, what the modem sends is lost, as on a wire
                if world.clock.now_us >= world.end_us:
                    return
                self._start(world)
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
        """Waits until the board has started; returns the cause of the reset."""
        if not self._port.reach_repl(_BOOT_S):
            hint = "reset it by hand, then start again"
            raise UsageError("--target", self._port.name, "the board did not come back from a reset", hint)
        self._port.repl()
        return self._port.ask("__import__('machine').reset_cause()") or HARD  # 0: a reset over USB

    def _start(self, world: World) -> None:
        """Starts the program on the board. Raises Crashed when it does not begin."""
        self._port.start(_START % (world.clock.now_us // 1000))
        said = []
        for line in self._port.lines(_BOOT_S):
            if line.startswith("ug bench-up "):
                return
            said.append(line)
        raise Crashed("the program did not start on the board; it printed:\n" + "\n".join(said)[-2000:])

    def _serve(self, world: World, board: WiredBoard, pace: Pace) -> None:
        """Runs the world in step with the board, until the board is reset (PowerLoss) or the run ends (Finished)."""
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
                pace.catch_up()  # so that the board's octets arrive at the present time
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
        """Takes one line that the board printed."""
        heard = parse(text)
        if heard.kind == "status":
            board.take_status(heard.status)
        elif text.startswith(_RESETTING) or heard.code == "bench-reset":
            board.lost()
        elif heard.code == "bench-power":
            world.modem.power(bool(heard.a))
        elif heard.code == "bench-ended":
            raise Crashed("the program on the board ended; it printed:\n" + "\n".join(said)[-2000:])
        elif heard.kind == "event":
            board.take_event(heard.code, heard.a, heard.b)

    def _leave(self) -> None:
        """Restarts the board's deployed program, with its retained memory cleared."""
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
        hint = "close other programs that have it open, and check your permission to open it"
        raise UsageError("--modem-port", path, "cannot be opened", hint) from None


@contextlib.contextmanager
def _wire(name: str) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise
    except OSError:
        raise UsageError("--modem-port", name, "is gone", "check the cable, then start again") from None


@contextlib.contextmanager
def _named(option: str) -> Iterator[None]:
    """Reports errors of the REPL's port under the option that named it."""
    try:
        yield
    except UsageError as error:
        where = option if error.where == "--port" else error.where
        raise UsageError(where, error.field, error.problem, error.hint) from None


class WiredTarget:
    """Runs a world's device on the board that `name` and the ports of `--modem-port` and `--board` name."""

    board: type[Board] = WiredBoard

    def __init__(self, name: str, modem_port: str | None, pins: str | None) -> None:
        self._name = name
        self._modem_port = modem_port
        self._pins = pins

    def run(self, world: World, program: Program, on_start: OnStart | None) -> None:
        """See `Target`."""
        scenario = world.scenario
        extra = {program.module: program.source} if program.source else {}
        with rig(self._name, self._modem_port, self._pins) as connected, Session(connected, scenario) as session:
            files = device_files(scenario, extra, program.libraries)
            session.install(files | dict(program.files), bench_json(world, program.module))
            if on_start:
                on_start(world)
            session.run(world)
