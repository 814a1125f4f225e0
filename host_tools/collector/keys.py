"""The key file: a TOML or JSON table of device ids and their keys."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
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


def store_keys(path: Path, keys: Mapping[str, bytes]) -> None:
    """Adds or replaces devices' keys in the file, all of them or none, and creates the file if needed.

    The file is replaced atomically; comments, order and other keys stay. Only its owner can read it afterwards. Raises
    UsageError when it is a symbolic link or cannot be written.
    """
    with _writing(path):
        _replace(path, _with_keys(path, {device: key.hex() for device, key in keys.items()}))


def check_storable(path: Path, devices: Iterable[str]) -> None:
    """Raises the UsageError that `store_keys` would, and writes nothing."""
    with _writing(path):
        _with_keys(path, dict.fromkeys(devices, bytes(KEY_OCTETS).hex()))
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


def _with_keys(path: Path, keys: Mapping[str, str]) -> str:
    """The new content of the file; `keys` in hexadecimal digits."""
    text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
    if path.suffix == ".json":
        return json.dumps({**(json.loads(text) if text else {}), **keys}, indent=1) + "\n"
    known = tomllib.loads(text)
    new, added = text, ""
    for device, digits in keys.items():
        if device not in known:
            added += f'"{device}" = "{digits}"\n'
            continue
        name = re.escape(device)
        line = re.compile(rf"""^([ \t]*(?:{name}|"{name}"|'{name}')[ \t]*=[ \t]*)(["'])[0-9A-Fa-f ]+\2""", re.MULTILINE)
        new = line.sub(rf'\g<1>"{digits}"', new, count=1)
    new += ("\n" if added and new and not new.endswith("\n") else "") + added
    found = tomllib.loads(new)
    for device, digits in {**known, **keys}.items():
        if found.get(device) != digits:
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
