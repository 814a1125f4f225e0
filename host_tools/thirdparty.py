"""Stock MicroPython libraries, as published: on PyPI they are bare sdists that pip cannot install."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unearth import PackageFinder

from host_tools import paths
from host_tools.errors import UsageError

PYPI = "https://pypi.org/simple/"


@dataclass(frozen=True)
class Library:
    """One published archive, by the digest of its octets."""

    name: str
    version: str
    sha256: str


class Sources(NamedTuple):
    """Package indexes, and places with links to archives."""

    indexes: list[str]
    links: list[str]
    trusted_hosts: list[str]


LIBRARIES = {
    "umqtt.simple": Library(
        "micropython-umqtt.simple",
        "1.3.4",
        "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f",
    ),
}


def library(name: str) -> Path:
    """The folder to put into a MicroPython's `sys.path` for the library `name`; downloads it the first time.

    Raises UsageError when it is not to be had.
    """
    wanted = LIBRARIES[name]
    folder = paths.cache() / "libraries" / f"{wanted.name}-{wanted.version}-{wanted.sha256[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            unpacked = Path(scratch, "unpacked")
            _download(wanted, unpacked)
            try:
                os.rename(unpacked, folder)
            except OSError:
                if not folder.is_dir():  # else another process was first, with the same content
                    raise
    return folder


def _download(wanted: Library, target: Path) -> None:
    requirement = f"{wanted.name}=={wanted.version}"
    try:
        sources = pip_sources()
        finder = PackageFinder(
            index_urls=sources.indexes, find_links=sources.links, trusted_hosts=sources.trusted_hosts
        )
        best = finder.find_best_match(requirement).best
        if best is None:
            raise LookupError("no index has it")
        with tempfile.TemporaryDirectory() as archives:
            finder.download_and_unpack(best.link, target, archives, hashes={"sha256": [wanted.sha256]})
    except Exception as error:  # the resolver's many, and those of the HTTP client below it
        shutil.rmtree(target, ignore_errors=True)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            requirement,
            "",
            f"cannot be downloaded: {reason}",
            "go online once, or point pip at an index that has it; it is then kept in the cache",
        ) from None


def pip_sources() -> Sources:
    """Where pip would look, from its files and environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # none without pip
    settings: dict[str, list[str]] = {}
    # Lines such as `global.extra-index-url='https://a https://b'`; the environment comes first, and wins.
    for key, value in re.findall(r"^[\w:]+\.([\w-]+)=(.+)$", listing, re.MULTILINE):
        settings.setdefault(key, " ".join(shlex.split(value)).replace("\\n", " ").split())
    offline = settings.get("no-index", ["false"])[0].lower() in ("1", "true", "yes", "on")
    indexes = [] if offline else settings.get("index-url", [PYPI]) + settings.get("extra-index-url", [])
    return Sources(indexes, settings.get("find-links", []), settings.get("trusted-host", []))
