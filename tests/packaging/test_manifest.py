"""manifest.py against MicroPython's own reader where MPY_DIR names its sources, else against what its manual says."""

import os
from pathlib import Path

import pytest

from host_tools.base import paths

FIRMWARE = paths.firmware()
MANIFEST = FIRMWARE / "manifest.py"
SOURCES = os.environ.get("MPY_DIR")


def ours():
    """What is to be frozen, by its name on the device."""
    modules = {file.relative_to(FIRMWARE).as_posix() for file in (FIRMWARE / "usageguard").rglob("*.py")}
    return {"reserve.py", "slots.py", "start.py", *modules}


def test_it_freezes_the_whole_package_and_the_ports_own_modules():
    """The functions that a manifest calls, after docs.micropython.org/en/latest/reference/manifest.html."""
    frozen, included = set(), []

    def include(path):
        included.append(path)

    def package(name, files=None, base_path=".", opt=None):
        assert opt == 3
        assert files is None
        frozen.update(file.relative_to(FIRMWARE / base_path).as_posix() for file in FIRMWARE.rglob(f"{name}/**/*.py"))

    def module(name, base_path=".", opt=None):
        assert opt == 3
        assert (FIRMWARE / base_path / name).is_file()
        frozen.add(name)

    functions = {"include": include, "package": package, "module": module}
    exec(compile(MANIFEST.read_text("utf-8"), str(MANIFEST), "exec"), functions)
    assert frozen == ours()
    assert included == ["$(PORT_DIR)/boards/manifest.py"]


@pytest.mark.skipif(not SOURCES, reason="MPY_DIR does not name MicroPython's sources")
def test_micropythons_own_tools_freeze_it(tmp_path, monkeypatch):
    sources = Path(SOURCES or "")
    monkeypatch.syspath_prepend(str(sources / "tools"))
    import manifestfile

    port = tmp_path / "port"
    (port / "boards").mkdir(parents=True)
    (port / "boards" / "manifest.py").write_text("")
    reader = manifestfile.ManifestFile(
        manifestfile.MODE_FREEZE, {"MPY_DIR": str(sources), "PORT_DIR": str(port), "MPY_LIB_DIR": str(tmp_path)}
    )
    reader.execute(str(MANIFEST))
    files = list(reader.files())
    assert {file.target_path for file in files} == ours()
    assert {(file.kind, file.opt) for file in files} == {(manifestfile.KIND_FREEZE_AS_MPY, 3)}
