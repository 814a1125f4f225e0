"""Gives a board its identity: a device id, a key that nobody has seen, and perhaps the SIM's PIN.

The key is made here, goes to the board's `/secrets.json` and to the collector's file of keys, and is never shown.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path

from rich.console import Console

from host_tools.collector.server import load_keys
from host_tools.errors import UsageError
from host_tools.hardware.deploy import maintained
from host_tools.hardware.port import Port, Refused

KEY_OCTETS = 32
_ID = re.compile(r"[A-Za-z0-9._-]{1,16}")  # as usageguard.config has it
_PIN = re.compile(r"[0-9]{4,8}")


def provision(
    port: str, device_id: str, keys: Path, console: Console, *, pin: str | None = None, force: bool = False
) -> None:
    """Writes id, key and PIN to the board and the key to `keys` (TOML, or JSON where it is named so).

    UsageError for bad input, for a board that has secrets or a file that has the id, unless `force`.
    """
    if not _ID.fullmatch(device_id):
        raise UsageError("--id", "", "is no device id", "give 1 to 16 of letters, digits and . _ -")
    if pin is not None and not _PIN.fullmatch(pin):
        raise UsageError("--pin", "", "is no PIN", "give 4 to 8 digits")
    known = load_keys(keys) if keys.exists() else {}
    if device_id in known and not force:
        raise UsageError(str(keys), device_id, "has a key already", "give another --id; --force makes a new key")
    key = secrets.token_bytes(KEY_OCTETS)
    with Port(port) as device:
        with maintained(device):
            _give(device, device_id, key, pin, keys, known, force)
        device.restart()
    console.print(f"{device_id}: provisioned; its key is on the board and in {keys}", markup=False)


def _give(
    device: Port, device_id: str, key: bytes, pin: str | None, keys: Path, known: dict[str, bytes], force: bool
) -> None:
    port = device.name
    has = device.ask("has_secrets()")
    if has and not force:
        problem = f"it has its {', '.join(has)} already"
        raise UsageError(port, "secrets.json", problem, "--force gives it a new key; the old one is lost")
    content = {"id": device_id, "key": key.hex(), **({"pin": pin} if pin else {})}
    _keep(keys, {**known, device_id: key})  # first: a key that the collector has and no device uses does no harm
    try:
        device.run(f"replace('/secrets.json', {json.dumps(content)!r})")
        if device.ask("has_secrets()") != sorted(content):
            raise UsageError(port, "secrets.json", "did not arrive as it was sent", "provision again with --force")
    except Refused as error:
        raise UsageError(port, "secrets.json", f"the board says: {error}", "provision again with --force") from None


def _keep(path: Path, keys: dict[str, bytes]) -> None:
    """Writes the collector's file anew, whole or not at all; nobody but its owner may read it."""
    table = {name: key.hex() for name, key in keys.items()}
    if path.suffix == ".json":
        text = json.dumps(table, indent=1) + "\n"
    else:
        text = "".join(f'"{name}" = "{key}"\n' for name, key in table.items())
    new = path.with_name(path.name + ".new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise UsageError("--keys", str(path), problem, "name a file in a folder that can be written") from None
