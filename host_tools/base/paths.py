"""Paths of data: beside `host_tools/` in a checkout, below `host_tools/_data/` in an installed wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def _data(name: str) -> Path:
    installed = PACKAGE / "_data" / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def firmware() -> Path:
    """The firmware's folder, to put into `sys.path` where the firmware runs."""
    return _data("firmware")


def boards() -> Path:
    """The folder with one folder per board revision."""
    return _data("boards")


def profiles() -> Path:
    """The folder of the modem profiles that ship."""
    return PACKAGE / "sim" / "modem" / "profiles"


def scenarios() -> Path:
    """The folder of the scenarios that ship."""
    return PACKAGE / "scenario" / "scenarios"


def cache() -> Path:
    """The folder for downloads, which may be deleted (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "usage-guard"


def use_firmware() -> None:
    """Makes `import usageguard` find the firmware that a device runs."""
    folder = str(firmware())
    if folder not in sys.path:
        sys.path.insert(0, folder)


def named(folder: Path, suffix: str) -> list[str]:
    """The names of the files with `suffix` in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{suffix}"))
