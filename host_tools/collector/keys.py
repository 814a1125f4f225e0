"""The key file: a TOML or JSON table of device ids and their keys."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.build import device_config

KEY_OCTETS = 32
HINT = 'give a file with lines such as "tracker-001" = "<64 hexadecimal digits>"'


def load_keys(path: str | Path) -> dict[str, bytes]:
    """The key of each device. Raises UsageError for a file that has anything else in it."""
    where = str(path)
    table = files.table(Path(path), HINT)
    keys = {}
    for device, text in table.items():
        device_config.check_id(device, where, device)
        try:
            keys[device] = bytes.fromhex(text)
        except (TypeError, ValueError):
            hint = f"write {2 * KEY_OCTETS} hexadecimal digits"
            raise UsageError(where, device, "is not a key", hint) from None
        if len(keys[device]) != KEY_OCTETS:
            raise UsageError(where, device, f"is a key of {len(keys[device])} bytes", f"give {KEY_OCTETS}")
    return keys


def store_key(path: Path, device: str, key: bytes) -> None:
    """Adds or replaces a device's key in the file, and creates the file if needed.

    The file is replaced atomically; comments, order and other keys stay. Only its owner can read it afterwards. Raises
    UsageError when it is a symbolic link or cannot be written.
    """
    with _writing(path):
        _replace(path, _with_key(path, device, key.hex()))


def check_storable(path: Path, device: str) -> None:
    """Raises the UsageError that `store_key` would, and writes nothing."""
    with _writing(path):
        _with_key(path, device, bytes(KEY_OCTETS).hex())
        tempfile.TemporaryFile(dir=path.parent).close()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        if path.is_symlink():
            raise UsageError("--keys", str(path), "is a symbolic link", "name the file itself")
        yield
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise UsageError("--keys", str(path), problem, "name a file in a folder that can be written") from None


def _with_key(path: Path, device: str, digits: str) -> str:
    """The new content of the file."""
    text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
    if path.suffix == ".json":
        return json.dumps({**(json.loads(text) if text else {}), device: digits}, indent=1) + "\n"
    known = tomllib.loads(text)
    name = re.escape(device)
    line = re.compile(rf"""^([ \t]*(?:{name}|"{name}"|'{name}')[ \t]*=[ \t]*)(["'])[0-9A-Fa-f ]+\2""", re.MULTILINE)
    if device in known:
        new = line.sub(rf'\g<1>"{digits}"', text, count=1)
    else:
        new = text + ("\n" if text and not text.endswith("\n") else "") + f'"{device}" = "{digits}"\n'
    if tomllib.loads(new) != {**known, device: digits}:
        raise UsageError(str(path), device, "its key cannot be replaced in place", "remove its line and try again")
    return new


def _replace(path: Path, text: str) -> None:
    handle, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # a new file with mode 0600
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
