"""The portable tests of every room on a 32-bit MicroPython, where an int from 2**30 on lives on the heap; and what the
firmware takes of such a heap.

The VM is MicroPython's WebAssembly build, from npm; skipped where that cannot be had.
"""

import json

import pytest

from host_tools.build import bytecode
from host_tools.build.image import Image
from tests.core.wasm import board
from tests.core.wasm import package as wasm
from tests.core.wasm.board import BUILT_IN, ROOT, run

HELPERS = ("tests/at/port.py", "tests/at/stream.py", "tests/modem/dialogue.py", "tests/store/memory.py")
NO_LITTLEFS = "tests/store/test_filelog_portable.py"  # this build has none
FILES = sorted({path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*_portable.py")} - {NO_LITTLEFS})
SLOW = {"tests/store/test_ring_portable.py"}
ESP32_FREE = 164_000  # octets of heap after boot, on a stock image without PSRAM
APPLICATION = 13_000


@pytest.fixture(scope="module")
def vm():
    return board.command()


def image(form):
    """The firmware's files in the VM, as source ("py") or as bytecode ("mpy")."""
    with Image(mpy=form == "mpy") as image:
        yield {
            f"/lib/{file.relative_to(image.lib).as_posix()}": str(file)
            for file in sorted((image.lib / "usageguard").rglob(f"*.{form}"))
        }


@pytest.fixture(scope="module")
def compiled():
    """From a 64-bit compiler, as a board gets it."""
    yield from image("mpy")


@pytest.fixture(scope="module")
def source():
    yield from image("py")


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """The tests, as they go with bytecode, which has no names for the firmware's integers."""
    folder = tmp_path_factory.mktemp("folded")
    needed = [ROOT / name for name in FILES] + [ROOT / name for name in HELPERS]
    for file in needed:
        name = file.relative_to(ROOT)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytecode.folded(file.read_bytes(), str(name), str(name)))
    return {f"/{file.relative_to(folder).as_posix()}": str(file) for file in folder.rglob("*.py")}


def run_tests(vm, files, name):
    return run(vm, files, f"from tests.portable import main\nif main(['{name}']): raise SystemExit(1)")


@pytest.mark.parametrize("file", [pytest.param(f, marks=pytest.mark.proof if f in SLOW else ()) for f in FILES])
def test_on_wasm(vm, compiled, folded, file):
    done = run_tests(vm, compiled | folded, file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_small_ints_have_31_bits(vm):
    step = """
import sys
from tests.portable import without_heap

def grow(n, by):
    try:
        return without_heap(lambda: n + by)
    except MemoryError:
        return None

print(sys.maxsize, [grow(2**30 - 2, 1), grow(2**30 - 1, 1), grow(1 - 2**30, -1), grow(-(2**30), -1)])
"""
    done = run(vm, {}, step)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{2**31 - 1} [{2**30 - 1}, None, {-(2**30)}, None]\n"


def test_what_only_a_wide_small_int_passes_fails_here(vm, tmp_path):
    file = tmp_path / "test_wide_portable.py"
    file.write_text(
        "from tests.portable import without_heap\n"
        "def test_counts_up():\n    n = (1 << 30) - 1\n    without_heap(lambda: n + 1)\n"
        "def test_fails():\n    assert False, 'why'\n"
        "def test_passes():\n    pass\n"
    )
    done = run_tests(vm, {f"/wide/{file.name}": str(file)}, f"/wide/{file.name}")
    assert done.returncode == 1
    for shown in ("test_counts_up", "MemoryError", "test_fails", "why", "1 passed, 2 failed"):
        assert shown in done.stdout


def test_a_module_that_does_not_load_fails(vm):
    done = run_tests(vm, {f"/{FILES[0]}": str(ROOT / FILES[0])}, FILES[0])  # without the firmware
    assert done.returncode == 1
    assert "no module named 'usageguard" in done.stderr


CONFIG = {
    "device": {"id": "tracker-001", "key": "42" * 32},
    "plan": {"allowance_octets": 10 << 20, "cycle_start_day": 27, "rating": {"per_packet_octets": 54}},
    "modem": {"family": "quectel", "apn": "cmiot"},
    "upstream": {"host": "collector.example", "sms_number": "+8613800000000"},
}
BOARD = {"uart": 1, "tx": 26, "rx": 27, "baud": 115200, "pwrkey": 4, "pwrkey_active": 1}
BOARD |= {"on_pulse_ms": 100, "off_pulse_ms": 3000, "power": None}

# As firmware/start.py does it. The board's own modules come before the count: on an ESP32 they are no Python.
LIVE = [
    "import gc, json, os, sys, time, esp32, machine\nsizes = []\ngc.collect()",
    "before = gc.mem_alloc()",
    f"""
from usageguard import app

def read():
    from usageguard.config import load as config

    return config.load(json.loads('{json.dumps(CONFIG)}'))

configuration = read()
gc.collect()
""",
    "sizes.append(gc.mem_alloc() - before)",
    "app.forget_configuration()",
    "assert not [name for name in sys.modules if name.startswith('usageguard.config')]",
    "from usageguard.guard.guard import Guard\nfrom usageguard.hal.esp32 import Hal",
    "Hal.random = lambda self, n: bytes(n)\ngc.collect()",  # this build has no os.urandom
    "sizes.append(gc.mem_alloc() - before)",
    f"guard = Guard(Hal(json.loads('{json.dumps(BOARD)}')), configuration)\ngc.collect()",
    "guard.install()\nguard.step_now()\ngc.collect()",
    "sizes.append(gc.mem_alloc() - before)",
    "print(json.dumps(sizes))",
]


@pytest.mark.parametrize("form", ["py", "mpy"])
def test_the_firmware_leaves_an_application_its_heap(vm, request, form):
    files = request.getfixturevalue("source" if form == "py" else "compiled")
    done = run(vm, files | board.board_files(), *LIVE)
    assert done.returncode == 0, done.stdout + done.stderr
    read, imported, running = json.loads(done.stdout.splitlines()[-1])
    print(f"{form}: {read} octets live with the configuration read, {imported} with all imported, {running} running")
    assert 0 < read < imported < running
    if form == "mpy":  # source keeps its line numbers, and takes a quarter more: it is not for a board without PSRAM
        assert running < ESP32_FREE - APPLICATION


@pytest.fixture
def deployed(tmp_path):
    return board.deployed(tmp_path)


SET = {
    1: "import slots\n\ndef main():\n    slots.confirm()\n    raise SystemExit\n",
    99: "ROOT_VERSION = 99\n\ndef main(slots, more):\n    raise SystemExit\n",
}
ROOT_1 = """
def read():
    return "a", -1, ""

def confirm():
    print("ug up a")

def run():
    import sys

    sys.path.insert(0, "/a")
    import start

    start.main()
"""


def boot(vm, files, tmp_path, replaced):
    """What is printed in a boot in which some files are `replaced`, until the application or a reset ends it."""
    for i, (name, text) in enumerate(replaced.items()):
        (tmp_path / f"replaced-{i}").write_text(text)
        files[name] = str(tmp_path / f"replaced-{i}")
    step = "try:\n    import main\nexcept SystemExit:\n    pass"
    done = run(vm, files, BUILT_IN, "import slots\nslots._PAUSE_MS = 1\nmachine.reset = sys.exit", step)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_older_set_starts_with_these_root_files(vm, deployed, tmp_path):
    del deployed["/a/start.mpy"]
    said = boot(vm, deployed, tmp_path, {"/a/start.py": SET[1]})
    assert "ug up a" in said
    assert "ug down" not in said


def test_a_set_that_needs_newer_root_files_says_so(vm, deployed, tmp_path):
    del deployed["/a/start.mpy"]
    said = boot(vm, deployed, tmp_path, {"/a/start.py": SET[99]})
    assert "RuntimeError: the set needs slots.py of version 99, this is version 2" in said
    assert "ug down" in said


def test_this_set_starts_with_root_files_of_version_1(vm, deployed, tmp_path):
    said = boot(vm, deployed, tmp_path, {"/slots.py": ROOT_1, "/main.py": "import slots\nslots.run()\n"})
    assert "ug up a" in said
    assert "ug verdict-open 0 0" in said


def test_another_archive_is_refused(tmp_path):
    archive = tmp_path / "other.tgz"
    archive.write_bytes(b"not what was pinned")
    with pytest.raises(ValueError, match="as pinned"):
        wasm.unpack(archive, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_offline_it_says_what_is_missing(tmp_path, monkeypatch):
    try:
        _, npm = wasm.tools()
    except wasm.Missing as missing:
        pytest.skip(str(missing))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # the discard port, which nobody serves
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(wasm.Missing, match=r"pyscript@1\.27\.0 cannot be downloaded: .*ECONNREFUSED"):
        wasm.micropython(npm)
