"""A board with a 32-bit VM: its flash as `deploy` leaves it, and what of its heap stays in use once it runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from host_tools.bench.heap import vm
from host_tools.build import package
from host_tools.hardware import boards

HERE = Path(__file__).parent
SHIMS = {
    "/machine.py": HERE / "device/machine.py",
    "/esp32.py": HERE / "device/esp32.py",
    "/flash.py": HERE / "device/flash.py",
}
"""What a board has built in."""
HEAP = 128 * 1024
"""Octets to begin with: this build takes more when it needs more, and collects only between calls."""
BUILT_IN = "import gc, json, os, select, struct, sys, time, esp32, machine\ngc.collect()"
"""What a board has built in is loaded before the heap is looked at."""
BOOTED = (
    BUILT_IN,
    "before = gc.mem_alloc()",
    "try:\n    import main\nexcept SystemExit:\n    pass\ngc.collect()",
    "print(gc.mem_alloc() - before)",
)
"""Steps that boot the set until its application leaves, and print the octets that it keeps."""
WITH_MODEM = (BOOTED[0], "import modem\nmachine.UART = modem.UART\ngc.collect()", *BOOTED[1:])
"""The same with a modem that answers, and a server behind it."""
SHIFTS = 0, 1, 17, 500
STEP_AND_LEAVE = "def main(guard):\n    guard.step_now()\n    raise SystemExit\n"
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
"""An application that has had an answer, and goes on while the guard's first report is under way."""
_CONFIG = """
[device]
id = "tracker-001"
key = "{key}"
[modem]
family = "{family}"
apn = "cmiot"
[plan]
allowance_octets = 30_000_000
[upstream]
host = "collector.example"
"""


def command() -> list[str]:
    """The command that runs a job on the VM: see run.mjs. UsageError where the VM cannot be had."""
    node, npm = vm.tools()
    return [*node, str(HERE / "run.mjs"), str(vm.micropython(npm))]


def run(files: Mapping[str, str], *steps: str) -> subprocess.CompletedProcess[str]:
    """Runs `steps` one after the other on a fresh VM with these `files` of the host, by their names there."""
    job = {"heap": HEAP, "files": dict(files), "steps": steps}
    return subprocess.run(command(), input=json.dumps(job), capture_output=True, text=True, timeout=600, check=False)


def shims() -> dict[str, str]:
    return {name: str(path) for name, path in SHIMS.items()}


def deployed(folder: Path, family: str = "quectel", application: str = STEP_AND_LEAVE, **parts: Any) -> dict[str, str]:
    """The flash of a board with a ledger partition and a plain quota, as `deploy` leaves it, with the SHIMS.

    `parts` are fields of the board's file; what is made is put into `folder`.
    """
    (folder / "config.toml").write_text(_CONFIG.format(key="5a" * 32, family=family))
    (folder / "app.py").write_text(application)
    settings = package.settings(folder / "config.toml")
    chosen = boards.load("own-esp32-quectel")
    chosen = msgspec.structs.replace(chosen, modem=msgspec.structs.replace(chosen.modem, family=family), **parts)
    built = package.build(settings, chosen, folder / "app.py")
    del built[package.LEDGER_IN_FILES]
    files = {f"/a/{name}": content for name, content in built.items()} | package.root_files()
    files |= {"/active": b"a", "/secrets.json": json.dumps(settings.secrets).encode()}
    files["/os.py"] = b"from uos import *\ndef urandom(n):\n    return bytes(n)\n"  # this build has no os.urandom
    for i, content in enumerate(files.values()):
        (folder / str(i)).write_bytes(content)
    return shims() | {name: str(folder / str(i)) for i, name in enumerate(files)}


def live(
    folder: Path, family: str, application: str = STEP_AND_LEAVE, steps: Sequence[str] = BOOTED, shift: int = 0
) -> tuple[int, list[str]]:
    """The octets that the last of `steps` prints, and what was printed before. RuntimeError if it did not run.

    `shift`: octets of ballast, by which all that comes later lies elsewhere in the heap.
    """
    files = deployed(folder, family, application) | {"/modem.py": str(HERE / "device/modem.py")}
    done = run(files, *[f"ballast = bytes({shift})"][: bool(shift)], *steps)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    *said, octets = done.stdout.splitlines()
    return int(octets), said


def serving(folder: Path, family: str) -> tuple[int, list[str]]:
    """The same while SERVING. The collector is conservative: what a stale word points to stays, now 100 octets and now
    3,000. So this is the least of several layouts."""
    return min(live(folder, family, SERVING, WITH_MODEM, shift) for shift in SHIFTS)
