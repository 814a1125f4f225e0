"""A simulated device's file system: firmware, application and configuration in a temporary folder."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from host_tools.base import paths
from host_tools.build import bytecode

DEVICE_SIDE = Path(__file__).resolve().parent / "device"
"""The modules that a simulated device runs beside the firmware: the entry point and the built-in applications."""


class Image:
    """The files of one device; leaving the context deletes the folder.

    `path` is where its modules are found. With `base`, that has the firmware, and must stay.
    """

    def __init__(self, mpy: bool, base: Image | None = None) -> None:
        self.mpy = mpy
        self._folder = tempfile.TemporaryDirectory(prefix="usage-guard-")
        self.root = Path(self._folder.name)
        self.lib = self.root / "lib"
        self.path = [self.lib]
        if base:
            self.lib.mkdir()
            self.path += base.path
            return
        self.add_tree(paths.firmware() / "usageguard", "usageguard")
        self.add_tree(DEVICE_SIDE, "")

    def __enter__(self) -> Image:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def beside(self) -> Image:
        """An image with this one's modules, for files of its own."""
        return Image(self.mpy, self)

    def add_tree(self, source: Path, prefix: str) -> None:
        """Installs every module below `source` as `prefix/…`."""
        for file in sorted(source.rglob("*.py")):
            self.add(file, f"{prefix}/{file.relative_to(source)}".lstrip("/"))

    def add(self, source: Path, name: str) -> None:
        """Installs one module as `name`; compiles it if the image is for MicroPython."""
        target = self.lib / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.mpy:
            made = bytecode.compiled(source.read_bytes(), name, str(source), lines=True)
            target.with_suffix(".mpy").write_bytes(made)
        else:
            shutil.copyfile(source, target)

    def without(self, modules: Iterable[str]) -> Image:
        """An image with this one's modules, but for those, given by name, that the device must not need.

        They are the same files, which takes less time than to write them; nothing may write to them.
        """
        other = Image(self.mpy, self)
        other.path = [other.lib]
        left_out = {self._file(name) for name in modules}
        for folder, folders, files in os.walk(self.lib):
            there = other.lib / Path(folder).relative_to(self.lib)
            for name in folders:
                (there / name).mkdir()
            for name in files:
                if (file := os.path.join(folder, name)) in left_out:
                    left_out.remove(file)
                else:
                    os.link(file, there / name)
        if left_out:
            raise FileNotFoundError(", ".join(sorted(left_out)))
        return other

    def _file(self, module: str) -> str:
        return str((self.lib / module.replace(".", "/")).with_suffix(".mpy" if self.mpy else ".py"))

    def add_libraries(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            self.add_tree(folder, "")

    def write_json(self, name: str, value: Any) -> None:
        (self.root / name).write_text(json.dumps(value), encoding="ascii")
