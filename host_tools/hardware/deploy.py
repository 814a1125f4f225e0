"""Brings a configuration, an application and the firmware onto a board, and sees it start.

A board has two sets of files, `/a` and `/b`, and a pointer (`firmware/slots.py`). The set that is not in force is
changed, checked by its digests and put on trial; if it does not start, the board goes back by itself. What the board
has already is not sent: the digests are taken of the files themselves, on the board, so nothing can be out of date.
Secrets lie apart and are written only where there are none, or where asked for. The ledger is not touched.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zopfli.zlib
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from host_tools.boards import LEAST, Board
from host_tools.errors import UsageError
from host_tools.hardware import package
from host_tools.hardware.port import Port, Refused
from host_tools.terminal import err

SLOTS = ("a", "b")
MAINTENANCE_S = 20
UP_S = 90
"""From the reset to the guard's first word: some seconds; a set that fails at once does so three times in this time."""
CRASH_S = 3.0
"""For how long the application is watched once the guard is up."""
_TURN_S = 0.1
_FRAME = re.compile(r'  File "(.+)", line (\d+)')
_PIECE = 1536  # octets in one piece: 2,048 characters of base64
_OURS = ("import slots", "usageguard")  # a main.py with one of them in it may be replaced


def fits(device: Port, files: Mapping[str, bytes]) -> None:
    """UsageError if this board's MicroPython cannot load a set of files."""
    version, mpy = device.ask("versions()")
    if tuple(version[:3]) < LEAST:
        shown = ".".join(map(str, version[:3]))
        least = ".".join(map(str, LEAST))
        raise UsageError(device.name, "", f"MicroPython {shown} is too old", f"flash {least} or newer")
    compiled = package.mpy_version(files)
    if mpy != compiled:
        problem = f"it loads bytecode of version {mpy}, mpy-cross makes {compiled}"
        raise UsageError(device.name, "", problem, "install the mpy-cross of its MicroPython")


def upload(device: Port, files: Mapping[str, bytes]) -> int:
    """Writes `files` to their paths on a board that is equipped; returns the octets that they were packed into."""
    packed = zopfli.zlib.compress(b"".join(files.values()))
    device.run("begin()")
    columns = (TextColumn("sending"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task("", total=len(packed))
        for at in range(0, len(packed), _PIECE):
            piece = packed[at : at + _PIECE]
            device.run(f"more('{base64.b64encode(piece).decode()}')")
            shown.advance(task, len(piece))
    device.run("feed()")
    device.run(f"unpack({[(path, len(content)) for path, content in files.items()]!r})")
    return len(packed)


class DeployFailed(Exception):
    """The new set did not start, or its application crashed. The text says what the board said, and what it runs."""


@dataclass
class Report:
    """What a deployment did: files sent, those of the set by their paths in it; their octets, and those that they were
    packed into; the set in force."""

    slot: str
    sent: list[str] = field(default_factory=list)
    octets: int = 0
    packed_octets: int = 0


def deploy(
    board: Board,
    port: str,
    config_file: Path,
    app_file: Path,
    console: Console,
    *,
    secrets: bool = False,
    lines: bool = False,
    force: bool = False,
    watch_s: float = CRASH_S,
) -> Report:
    """Deploys, and returns when the guard is up and its application has not crashed for `watch_s` seconds.

    UsageError for bad input or a lost port, DeployFailed for a bad set.

    `secrets`: the file's device id, key and PIN replace the board's. `lines`: tracebacks have line numbers.
    `force`: replaces a main.py that is somebody else's.
    """
    settings = package.settings(config_file)
    files = package.build(settings, board, app_file, lines)
    with Port(port) as device:
        deployment = _Deployment(device, console, settings, files, secrets, force)
        report, good = deployment.prepare(str(config_file))
        deployment.start(report.slot, good, _Trace(app_file.name), watch_s)
        return report


class _Deployment:
    def __init__(
        self,
        device: Port,
        console: Console,
        settings: package.Settings,
        files: dict[str, bytes],
        secrets: bool,
        force: bool,
    ) -> None:
        self._device = device
        self._console = console
        self._settings = settings
        self._files = files
        self._secrets = secrets
        self._force = force
        self._until = 0.0

    def prepare(self, where: str) -> tuple[Report, str]:
        """Has a set ready to start; returns which, and the one to go back to."""
        with maintained(self._device):
            return self._prepare(where)

    def _prepare(self, where: str) -> tuple[Report, str]:
        device = self._device
        self._fits(where)
        if device.ask("has_partition('ledger')"):
            self._files.pop(package.LEDGER_IN_FILES)
        slot, boots, good = self._pointer()
        found = device.ask("survey('/a', survey('/b', {}))")
        if boots < 0 and slot and not self._wanting(slot, found) and not self._root() and not self._secrets:
            self._tell(f"{device.name}: up to date, nothing sent")
            return Report(slot), slot
        good = good if boots >= 0 else slot
        report = Report(SLOTS[good == SLOTS[0]])
        try:
            self._bring(report, good, found)
        except Refused as error:
            hint = "nothing has changed: it starts the set it had" if good else "deploy again"
            raise UsageError(device.name, "", f"the board says: {error}", hint) from None
        return report, good

    def _tell(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _fits(self, where: str) -> None:
        """UsageError if this board cannot run what is to be brought."""
        device = self._device
        fits(device, self._files)
        has = device.ask("has_secrets()")
        lacking = [name for name in ("id", "key") if name not in has and name not in self._settings.secrets]
        if lacking:
            problem = f"neither it nor the board has the device's {' and '.join(lacking)}"
            raise UsageError(where, "device", problem, "run `usageguard provision` first, or add [device]")
        main = device.ask("read('/main.py')")
        if main is not None and not self._force and not any(word in main for word in _OURS):
            raise UsageError(device.name, "main.py", "is somebody else's", "save it; --force replaces it")

    def _pointer(self) -> tuple[str, int, str]:
        """(slot, boots on trial or -1, the slot to go back to), as `slots.read` has it."""
        words = (self._device.ask("read('/active')") or "").split()
        if words and words[0] in SLOTS:
            if len(words) == 1:
                return words[0], -1, ""
            if len(words) == 3:
                return words[0], int(words[1]), "" if words[2] == "-" else words[2]
        return "", -1, ""

    def _wanting(self, slot: str, found: dict[str, str]) -> list[str]:
        """The files of the new set that a slot does not have as they should be, and those it should not have."""
        prefix = f"/{slot}/"
        there = {path[len(prefix) :]: digest for path, digest in found.items() if path.startswith(prefix)}
        return [name for name in {**there, **self._files} if there.get(name) != self._digests.get(name)]

    @property
    def _digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(content).hexdigest() for name, content in self._files.items()}

    def _root(self) -> dict[str, bytes]:
        """What lies beside the sets and differs, by path."""
        wanted = package.root_files().items()
        there = {path: self._device.ask(f"read({path!r})") for path, _ in wanted}
        return {path: content for path, content in wanted if there[path] != content.decode("ascii")}

    def _bring(self, report: Report, good: str, found: dict[str, str]) -> None:
        """Has the new set in `report.slot`, checked, and on trial from the next boot on."""
        device, slot = self._device, report.slot
        if good:
            device.run(f"replace('/active', {good!r})")  # the other one is about to be none
        stale = [path for path in found if path.startswith(f"/{slot}/") and path[3:] not in self._files]
        if stale:
            device.run(f"remove({stale!r})")
        by_digest = {found[path]: path for path in sorted(found, reverse=True) if path not in stale}
        copies = []
        for name, digest in self._digests.items():
            if found.get(f"/{slot}/{name}") == digest:
                continue
            if digest in by_digest and by_digest[digest].startswith(f"/{good}/"):
                copies.append((by_digest[digest], f"/{slot}/{name}"))
            else:
                report.sent.append(name)
        if copies:
            device.run(f"copy({copies!r})")
        root = self._root()
        if report.sent or root:
            self._send(report, root)
        damaged = self._wanting(slot, device.ask(f"survey('/{slot}', {{}})"))
        if damaged:
            hint = "deploy again; if it stays, the board's flash is worn or full"
            raise UsageError(device.name, damaged[0], "did not arrive as it was sent", hint)
        for path in sorted(root, reverse=True):  # main.py last, for it needs the other
            device.run(f"put({path!r})")
        self._keep_secrets()
        device.run(f"replace('/active', '{slot} 0 {good or '-'}')")

    def _send(self, report: Report, root: Mapping[str, bytes]) -> None:
        files = {f"/{report.slot}/{name}": self._files[name] for name in report.sent}
        files |= {f"{path}.new": content for path, content in root.items()}
        report.sent += root
        report.octets = sum(map(len, files.values()))
        report.packed_octets = upload(self._device, files)

    def _keep_secrets(self) -> None:
        has = self._device.ask("has_secrets()")
        given = self._settings.secrets
        if given and (self._secrets or not has):
            self._device.run(f"replace('/secrets.json', {json.dumps(given)!r})")
        elif given:
            self._tell("the board keeps its own device id, key and PIN; --secrets replaces them")

    def start(self, slot: str, good: str, trace: _Trace, watch_s: float) -> None:
        """Restarts the board, waits for the guard, then watches the application. DeployFailed: it is not to be."""
        self._tell(f"starting set {slot}")
        self._device.restart()
        self._until = time.monotonic() + UP_S
        up = ended = False
        for line in self._heard():
            trace.hear(line)
            if line == f"ug up {slot}":
                if up:
                    raise DeployFailed(f"set {slot} is in force, but its application has the board start again")
                up = True
                self._until = time.monotonic() + watch_s
            elif line.startswith("ug app-crash "):
                said = f": {trace.error}{trace.place}" if trace.error else ""
                raise DeployFailed(f"set {slot} is in force, but its application crashed{said}")
            elif line.startswith("ug app-ended "):
                ended = True
                break
            elif line.startswith("ug back "):
                raise DeployFailed(f"the new set does not start{trace}; the board went back to the one before")
            elif line.startswith("ug down"):
                raise DeployFailed(f"the new set does not start{trace}, and there is none to go back to")
        if up:
            then = "; its application ended, the device guards on" if ended else ""
            self._tell(f"up: set {slot} is in force{then}")
            return
        then = "it goes back to the set before, after the third failure" if good else "there is no set to go back to"
        raise DeployFailed(f"no word of the guard within {UP_S} s{trace}; {then}")

    def _heard(self) -> Iterator[str]:
        """What the board says until `_until`, which may move meanwhile."""
        while time.monotonic() < self._until:
            yield from self._device.lines(_TURN_S, resets=True)


class _Trace:
    """The newest error on a console. `place`: where in the application, a file of that name, it was raised."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._within = False
        self.error = self.place = ""

    def __str__(self) -> str:
        return f" ({self.error})" if self.error else ""

    def hear(self, line: str) -> None:
        if line.startswith("Traceback "):
            self._within = True
            self.place = ""
        elif self._within and (frame := _FRAME.match(line)):
            if frame[1] == self._app:  # the innermost counts; those of the firmware have no line numbers
                self.place = f" ({frame[1]}, line {frame[2]})"
        elif self._within or _is_error(line):
            if not self._within:  # a traceback takes memory too
                self.place = ""
            self.error = line.removesuffix(": ")  # of an exception without words
            self._within = False


def _is_error(line: str) -> bool:
    """The last line of a traceback: a name that ends as exceptions do, alone or before a colon."""
    name = line.partition(":")[0]
    return name.isidentifier() and name.endswith(("Error", "Exception", "Exit", "Interrupt"))


@contextlib.contextmanager
def maintained(device: Port) -> Iterator[None]:
    """Has a board that runs the guard boot to its REPL: no application, no running watchdog, a heap that is empty.

    If what is done there fails, or is interrupted, the board starts again, with the set in force, as far as the port
    still leads to it.
    """
    device.repl()
    if "slots.py" in device.ask("__import__('os').listdir('/')"):
        device.run("open('/maintenance', 'w').close()")
        device.restart()
        if not device.reach_repl(MAINTENANCE_S):
            hint = "reset it by hand, then start again"
            raise UsageError(device.name, "", "the board did not come back from a reset", hint)
        device.repl()
    device.equip()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        with contextlib.suppress(UsageError, Refused):
            if isinstance(error, KeyboardInterrupt):
                device.repl()  # it may have come in the middle of a command
            device.restart()
        raise
