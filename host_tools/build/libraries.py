"""Downloads stock MicroPython libraries; on PyPI they are sdists that pip cannot install."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from host_tools.base import paths
from host_tools.base.errors import UsageError

PYPI = "https://pypi.org/simple/"


@dataclass(frozen=True)
class Library:
    """A published archive and its digest."""

    name: str
    version: str
    sha256: str


class Sources(NamedTuple):
    """Package indexes, and pages with links to archives."""

    indexes: list[str]
    links: list[str]
    trusted_hosts: list[str]


LIBRARIES = {
    "umqtt.simple": Library(
        "micropython-umqtt.simple",
        "1.3.4",
        "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f",
    ),
    "umqtt.robust": Library(
        "micropython-umqtt.robust",
        "1.0",
        "22a1b8c8e1128281efb13b3020927d07e33c5b747869da2cd77d37983a9ea002",
    ),
    "urequests": Library(
        "micropython-urequests",
        "0.9.1",
        "15ed0132bcff1a84e87049d9d7780ce26df0810fa674aa89d187e17493d6e3c5",
    ),
}


def library(name: str) -> Path:
    """The folder to put into MicroPython's `sys.path` for the library `name`. It is downloaded once and then cached.

    Raises UsageError when it cannot be downloaded.
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
                if not folder.is_dir():  # otherwise another process made it first
                    raise
    return folder


def _download(wanted: Library, target: Path) -> None:
    requirement = f"{wanted.name}=={wanted.version}"
    try:
        with _whole_requests(), tempfile.TemporaryDirectory() as archives:
            from unearth import PackageFinder  # slow to import, and only needed for a download

            sources = pip_sources()
            finder = PackageFinder(
                index_urls=sources.indexes, find_links=sources.links, trusted_hosts=sources.trusted_hosts
            )
            best = finder.find_best_match(requirement).best
            if best is None:
                raise LookupError("no package index has it")
            finder.download_and_unpack(best.link, target, archives, hashes={"sha256": [wanted.sha256]})
        (target / "setup.py").unlink(missing_ok=True)  # nothing for a device
    except Exception as error:  # errors of the resolver and of its HTTP client
        shutil.rmtree(target, ignore_errors=True)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            requirement,
            "",
            f"cannot be downloaded: {reason}",
            "go online once, or configure pip with an index that has it; the library is then cached",
        ) from None


@contextlib.contextmanager
def _whole_requests() -> Iterator[None]:
    """Hides a `requests` that is a folder of type stubs only, as micropython-esp32-stubs installs it: unearth can do
    without requests, but not with half of it."""
    found = find_spec("requests")
    hidden = found is not None and found.origin is None
    if hidden:
        sys.modules["requests"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["requests"]


def pip_sources() -> Sources:
    """The sources that pip is configured with, by its files and environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # empty without pip
    settings: dict[str, list[str]] = {}
    # Lines such as `global.extra-index-url='https://a https://b'`; the environment comes first and has priority.
    for key, value in re.findall(r"^[\w:]+\.([\w-]+)=(.+)$", listing, re.MULTILINE):
        settings.setdefault(key, " ".join(shlex.split(value)).replace("\\n", " ").split())
    offline = settings.get("no-index", ["false"])[0].lower() in ("1", "true", "yes", "on")
    indexes = [] if offline else settings.get("index-url", [PYPI]) + settings.get("extra-index-url", [])
    return Sources(indexes, settings.get("find-links", []), settings.get("trusted-host", []))
