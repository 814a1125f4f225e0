"""A set of files as a ROMFS image: a MicroPython that mounts it runs its bytecode in place, from flash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mpremote.romfs import VfsRomWriter


def image(files: Mapping[str, bytes]) -> bytes:
    """The image of `files` by path; made with mpremote's writer, as `mpremote romfs build` makes its own."""
    writer = VfsRomWriter()
    tree: dict[str, Any] = {}
    for path, content in files.items():
        *folders, name = path.split("/")
        inside = tree
        for folder in folders:
            inside = inside.setdefault(folder, {})
        inside[name] = content
    _write(writer, tree)
    return bytes(writer.finalise())


def _write(writer: VfsRomWriter, tree: Mapping[str, Any]) -> None:
    for name, content in sorted(tree.items()):
        if isinstance(content, bytes):
            writer.mkfile(name, content)
        else:
            writer.opendir(name)
            _write(writer, content)
            writer.closedir()
