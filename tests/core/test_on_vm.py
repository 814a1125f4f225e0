"""The portable tests of every room, on the real MicroPython VM."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*_portable.py"))


@pytest.fixture(scope="module")
def micropython():
    """The VM to run on: $MICROPYTHON, or the one installed beside this Python."""
    named = os.environ.get("MICROPYTHON")
    found = shutil.which(named or "micropython", path=None if named else f"{Path(sys.executable).parent}")
    if not found:
        pytest.skip(f"no {named or 'micropython beside ' + sys.executable}; name one in MICROPYTHON=")
    return found


def run(vm, file):
    return subprocess.run(
        [vm, "tests/portable.py", str(file)],
        cwd=ROOT,
        env={**os.environ, "MICROPYPATH": ".frozen:.:firmware"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("file", FILES)
def test_on_vm(micropython, file):
    done = run(micropython, file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_runner_reports_failures(micropython, tmp_path):
    file = tmp_path / "test_bad_portable.py"
    file.write_text(
        "from tests.portable import without_heap\n"
        "def test_allocates():\n    without_heap(lambda: [1] * 1000)\n"
        "def test_fails():\n    assert False, 'why'\n"
        "def test_passes():\n    pass\n"
    )
    done = run(micropython, file)
    assert done.returncode == 1, done.stderr
    for shown in ("test_allocates", "MemoryError", "test_fails", "why", "1 passed, 2 failed"):
        assert shown in done.stdout


def test_runner_wants_tests(micropython, tmp_path):
    file = tmp_path / "test_none_portable.py"
    file.write_text("")
    assert run(micropython, file).returncode == 1
