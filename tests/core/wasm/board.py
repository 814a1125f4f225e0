"""A board with a 32-bit VM, as tests use it: the command that runs a job, and the flash as `deploy` leaves it."""

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from host_tools.build import package
from host_tools.hardware import boards
from tests.core.wasm import package as wasm

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
HEAP = 128 * 1024  # to begin with: this build takes more when it needs more, and collects only between calls
# What a board has built in is loaded before the heap is looked at.
BUILT_IN = "import gc, json, os, select, struct, sys, time, esp32, machine\ngc.collect()"
DEPLOYED = """
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
STEP_AND_LEAVE = "def main(guard):\n    guard.step_now()\n    raise SystemExit\n"


def command():
    """The command that runs a job on the VM: see run.mjs. Skips the test where the VM cannot be had."""
    try:
        node, npm = wasm.tools()
        return [*node, str(HERE / "run.mjs"), str(wasm.micropython(npm))]
    except wasm.Missing as missing:
        pytest.skip(str(missing))


def run(vm, files, *steps):
    """Runs `steps` one after the other on a fresh VM, with `files` and the runner of the tests in it."""
    job = {"heap": HEAP, "files": {"/tests/portable.py": str(ROOT / "tests/portable.py")} | files, "steps": steps}
    return subprocess.run(vm, input=json.dumps(job), capture_output=True, text=True, timeout=600, check=False)


def board_files():
    """Shims for what a board has built in."""
    shims = {f"/{name}": str(HERE / name) for name in ("machine.py", "esp32.py")}
    return shims | {"/tests/store/memory.py": str(ROOT / "tests/store/memory.py")}  # esp32.py's flash


def deployed(folder, family="quectel", application=STEP_AND_LEAVE, **parts):
    """The flash of a board with a ledger partition and a plain quota, as `deploy` leaves it, with `board_files`.

    `parts` are fields of the board's file.
    """
    (folder / "config.toml").write_text(DEPLOYED.format(key="5a" * 32, family=family))
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
    return board_files() | {name: str(folder / str(i)) for i, name in enumerate(files)}
