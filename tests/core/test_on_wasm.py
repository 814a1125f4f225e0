"""The portable tests of every room on a 32-bit MicroPython, where an int from 2**30 on lives on the heap; and how a set
starts there.

The VM is MicroPython's WebAssembly build, from npm; skipped where that cannot be had.
"""

from pathlib import Path

import pytest

from host_tools.base.errors import UsageError
from host_tools.bench.heap import board
from host_tools.bench.heap import vm as wasm
from host_tools.build import bytecode, firmware, modules
from host_tools.hardware import boards

pytestmark = pytest.mark.usefixtures("vm32")
ROOT = Path(__file__).parents[2]
MEMORY = "tests/store/memory.py"
RUNNER = {"/tests/portable.py": str(ROOT / "tests/portable.py")}
HELPERS = ("tests/at/port.py", "tests/at/stream.py", "tests/modem/dialogue.py", MEMORY)
NO_LITTLEFS = "tests/store/test_filelog_portable.py"  # this build has none
FILES = sorted({path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*_portable.py")} - {NO_LITTLEFS})
SLOW = {"tests/store/test_ring_portable.py"}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """As a board gets it, but with all modules, and with one in the place of each that was merged."""
    drivers = [modules.driver(family) for family in boards.families()]
    names = modules.reached([*modules.BOARD, *drivers, *modules.VALIDATOR], modules.ELSEWHERE)
    asked_for = set().union(*(firmware.identifiers((ROOT / name).read_bytes()) for name in (*FILES, *HELPERS)))
    files = firmware.released(names, [*modules.LOADED, *drivers], names, asked_for).files()
    folder = tmp_path_factory.mktemp("released")
    for i, content in enumerate(files.values()):
        (folder / str(i)).write_bytes(content)
    return board.shims() | {f"/lib/{name}": str(folder / str(i)) for i, name in enumerate(files)}


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


def run_tests(files, name):
    return board.run(RUNNER | files, f"from tests.portable import main\nif main(['{name}']): raise SystemExit(1)")


@pytest.mark.parametrize("file", [pytest.param(f, marks=pytest.mark.proof if f in SLOW else ()) for f in FILES])
def test_on_wasm(released, folded, file):
    done = run_tests(released | folded, file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_small_ints_have_31_bits():
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
    done = board.run(RUNNER, step)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{2**31 - 1} [{2**30 - 1}, None, {-(2**30)}, None]\n"


def test_what_only_a_wide_small_int_passes_fails_here(tmp_path):
    file = tmp_path / "test_wide_portable.py"
    file.write_text(
        "from tests.portable import without_heap\n"
        "def test_counts_up():\n    n = (1 << 30) - 1\n    without_heap(lambda: n + 1)\n"
        "def test_fails():\n    assert False, 'why'\n"
        "def test_passes():\n    pass\n"
    )
    done = run_tests({f"/wide/{file.name}": str(file)}, f"/wide/{file.name}")
    assert done.returncode == 1
    for shown in ("test_counts_up", "MemoryError", "test_fails", "why", "1 passed, 2 failed"):
        assert shown in done.stdout


def test_a_module_that_does_not_load_fails():
    done = run_tests({f"/{FILES[0]}": str(ROOT / FILES[0])}, FILES[0])  # without the firmware
    assert done.returncode == 1
    assert "no module named 'usageguard" in done.stderr


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


def boot(files, tmp_path, replaced):
    """What is printed in a boot in which some files are `replaced`, until the application or a reset ends it."""
    for i, (name, text) in enumerate(replaced.items()):
        (tmp_path / f"replaced-{i}").write_text(text)
        files[name] = str(tmp_path / f"replaced-{i}")
    step = "try:\n    import main\nexcept SystemExit:\n    pass"
    done = board.run(files, board.BUILT_IN, "import slots\nslots._PAUSE_MS = 1\nmachine.reset = sys.exit", step)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_older_set_starts_with_these_root_files(deployed, tmp_path):
    del deployed["/a/start.mpy"]
    said = boot(deployed, tmp_path, {"/a/start.py": SET[1]})
    assert "ug up a" in said
    assert "ug down" not in said


def test_a_set_that_needs_newer_root_files_says_so(deployed, tmp_path):
    del deployed["/a/start.mpy"]
    said = boot(deployed, tmp_path, {"/a/start.py": SET[99]})
    assert "RuntimeError: the set needs slots.py of version 99, this is version 2" in said
    assert "ug down" in said


def test_this_set_starts_with_root_files_of_version_1(deployed, tmp_path):
    said = boot(deployed, tmp_path, {"/slots.py": ROOT_1, "/main.py": "import slots\nslots.run()\n"})
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
    except UsageError as missing:
        pytest.skip(str(missing))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # the discard port, which nobody serves
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(UsageError, match=r"pyscript@1\.27\.0: cannot be downloaded: .*ECONNREFUSED"):
        wasm.micropython(npm)
