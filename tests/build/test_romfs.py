"""A set as a ROMFS image, on the MicroPython VM: mounted from memory, it boots a guard with less of the heap."""

import ast
import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from host_tools.base import paths
from host_tools.bench.heap import board
from host_tools.build import romfs
from host_tools.build.micropython import micropython
from host_tools.run.run import run_scenario
from host_tools.run.targets import process
from host_tools.scenario import file as scenario
from tests.run.test_fleet import ALONE

BOOT = paths.boards() / "_image" / "boot.py"
MOST = {32: 56 * 1024, 64: 90_624}
"""Octets of the heap, by the bits of the VM: of an ESP32, and of the unix port that PyPI has."""
RATIO = {32: 0.65, 64: 0.70}
"""Of the heap that the set takes from files. Instances, names and buffers are in the heap either way, and their
pointers take twice as much where they have 64 bits, while bytecode takes the same."""

ALIVE = """
import gc, os, sys, vfs
gc.threshold(2048)
rom = open("rom", "rb").read()
boot = open("boot.py").read()
vfs.umount("/")
vfs.mount(vfs.VfsPosix({root!r}), "/")
os.chdir("/")
sys.path[:] = [".frozen", "/"]
namespace = {{}}
exec(boot, namespace)
namespace["mount"](memoryview(rom))
import json, select, struct, time, esp32, machine
del boot, namespace
gc.collect()
before = gc.mem_alloc()
try:
    import main
except SystemExit:
    pass
gc.collect()
print("live", gc.mem_alloc() - before, 64 if sys.maxsize >> 32 else 32, sys.modules["usageguard"].__file__)
"""


def run(folder, code, heap="4M"):
    command = [micropython(), "-X", f"heapsize={heap}", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_what_is_in_the_image_is_what_is_read_from_it(tmp_path):
    files = {"start.mpy": b"M\x06", "empty": b"", "a/b/deep.mpy": bytes(range(256)) * 20, "a/json": b"{}"}
    (tmp_path / "rom").write_bytes(romfs.image(files))
    code = f"""
import vfs
vfs.mount(vfs.VfsRom(open("rom", "rb").read()), "/rom")
print([open("/rom/" + name, "rb").read() for name in {[*files]!r}])
"""
    assert ast.literal_eval(run(tmp_path, code)) == [*files.values()]


@pytest.fixture(scope="module")
def flash():
    """A folder with the root of a board's file system, and the set that it has."""
    with tempfile.TemporaryDirectory() as made:  # the VM keeps its path, which is as long in each worker of pytest
        folder = Path(made)
        files = {name: Path(source).read_bytes() for name, source in board.deployed(folder).items()}
        del files["/os.py"]
        for name, content in files.items():
            path = folder / "root" / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / "boot.py").write_bytes(BOOT.read_bytes())
        yield folder, {name[3:]: content for name, content in files.items() if name.startswith("/a/")}


def live(flash, rom, active):
    """The octets of the heap that a booted guard keeps, the bits of the VM, and where it was loaded from."""
    folder, _ = flash
    (folder / "rom").write_bytes(rom)
    (folder / "root" / "active").write_text(active)
    said = run(folder, ALIVE.format(root=str(folder / "root")))
    assert "ug up " + active.split()[0] in said
    octets, bits, where = said.splitlines()[-1].split()[1:]
    return int(octets), int(bits), where


def halves(first, second):
    return first.ljust(1 << 17, b"\xff") + second.ljust(1 << 17, b"\xff")


def test_a_set_in_romfs_boots_a_guard_with_less_heap(flash):
    _, files = flash
    image = romfs.image(files)
    from_files, _, where = live(flash, halves(b"", b""), "a")
    assert where == "/a/usageguard/__init__.mpy"
    from_rom, bits, where = live(flash, halves(b"", image), "b 0 a")
    assert where == "/b/usageguard/__init__.mpy", "there is no such folder in the file system"
    print(f"{from_rom} of {from_files} octets live on a {bits}-bit VM: {from_rom / from_files:.3f}")
    assert from_rom <= MOST[bits]
    assert from_rom <= RATIO[bits] * from_files


def test_a_half_that_was_torn_in_writing_leaves_the_set_of_before(flash):
    _, files = flash
    torn = b"\xff" * 4096 + romfs.image(files)[4096:]
    assert live(flash, halves(torn, b""), "a")[2] == "/a/usageguard/__init__.mpy"


class RomProcess(process.DeviceProcess):
    """Has all of the device's modules in a ROMFS image."""

    def __init__(self, target, image, on_output=None):
        super().__init__(target, image, on_output)
        files = {
            each.relative_to(folder).as_posix(): each.read_bytes()
            for folder in reversed(image.path)
            for each in folder.rglob("*.*")
        }
        (image.root / "rom").write_bytes(romfs.image(files))
        self._command[2] = "heapsize=1M"  # the image is in it, too
        mount = "import sys, vfs; vfs.mount(vfs.VfsRom(open('rom', 'rb').read()), '/rom')"
        self._command[-1] = f"{mount}; sys.path[:] = ['/rom', '.frozen']; {self._command[-1]}"
        self._environment["MICROPYPATH"] = ""


def without_heap(result):
    summary = dict(result.summary, wall_s=0)
    summary["device"] = dict(summary["device"], peak_heap_octets=0)
    return json.dumps(summary)


@pytest.mark.parametrize("duration", ["3h", pytest.param("32d", marks=pytest.mark.proof)])
def test_a_device_lives_from_romfs_as_from_files(duration, monkeypatch):
    one = scenario.loads(ALONE.replace('"3h"', f'"{duration}"').replace('"30m"', '"1h"'), "alone.toml")
    from_files = run_scenario(one, "micropython")
    monkeypatch.setattr(process, "DeviceProcess", RomProcess)
    from_rom = run_scenario(one, "micropython")
    assert without_heap(from_rom) == without_heap(from_files)
    assert from_rom.summary["carrier"]["billed_octets"] > 0
