"""Where things lie: in a checkout beside `host_tools/`, in an installed wheel under `host_tools/_data/`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def _data(name: str) -> Path:
    installed = PACKAGE / "_data" / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def firmware() -> Path:
    """The folder that goes on a device, and into `sys.path` of whatever runs the firmware."""
    return _data("firmware")


def boards() -> Path:
    """One folder per board revision."""
    return _data("boards")


def profiles() -> Path:
    """The simulated modems, one TOML file each."""
    return PACKAGE / "sim" / "modem" / "profiles"


def scenarios() -> Path:
    """The scenarios that ship."""
    return PACKAGE / "scenarios"


def cache() -> Path:
    """Downloads that may be thrown away (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "usage-guard"


def use_firmware() -> None:
    """Makes `import usageguard` find the very files a device runs."""
    folder = str(firmware())
    if folder not in sys.path:
        sys.path.insert(0, folder)


def named(folder: Path, suffix: str) -> list[str]:
    """The names to choose from in a folder of data files, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{suffix}"))
