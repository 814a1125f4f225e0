"""A wheel of this tree, installed with pytest and nothing else, runs the simulator and the pytest plugin."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.base import extras

pytestmark = pytest.mark.proof

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "pytest_plugin" / "example"
LEFT_OUT = {"aiohttp", "amqtt", "esptool", "littlefs-python", "matplotlib", "mp-image-tool-esp32", "numpy"}


def run(*words, cwd):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The programs of a virtual environment with the wheel and pytest; needs a package index."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", str(folder / "venv"), cwd=folder)
    programs = folder / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", str(wheel), "pytest", cwd=folder)
    return programs


def test_no_extra_is_installed(installed, tmp_path):
    listing = run(installed / "python", "-m", "pip", "list", "--format", "freeze", cwd=tmp_path)
    names = {line.partition("==")[0].lower().replace("_", "-") for line in listing.splitlines()}
    assert {"mpremote", "pyserial", "pytest", extras.PACKAGE} <= names
    assert not names & LEFT_OUT


def test_a_scenario_runs(installed, tmp_path):
    assert "held  smoke" in run(installed / "usageguard", "sim", "smoke", "--target", "cpython", cwd=tmp_path)
    assert "own-esp32-quectel" in run(installed / "python", "-m", "host_tools", "boards", cwd=tmp_path)


def test_the_pytest_plugin_runs(installed, tmp_path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    assert "2 passed" in run(installed / "pytest", "--target", "cpython", cwd=tmp_path)
