"""Provisions a board: writes a device id, a new random key and optionally the SIM's PIN.

The key is written to the board's `/secrets.json` and then to the collector's key file, so that a failure takes no valid
key out of the file. It is never shown.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import secrets
from pathlib import Path

from rich.console import Console

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.build import device_config
from host_tools.collector.keys import KEY_OCTETS, check_storable, load_keys, store_keys
from host_tools.hardware.deploy import maintained
from host_tools.hardware.port import Port, Refused

_AGAIN = "provision again with --force"
_PIN = re.compile(r"[0-9]{4,8}")


def provision(
    port: str, device_id: str, keys: Path, console: Console, *, pin: str | None = None, force: bool = False
) -> None:
    """Writes id, key and PIN to the board, and the key to the file `keys` (JSON if its name ends so, else TOML).

    Raises UsageError for bad input and, unless `force` is set, when the board has secrets or the file has the id.
    """
    device_config.check_id(device_id, "--id", "")
    if pin is not None and not _PIN.fullmatch(pin):
        raise UsageError("--pin", "", "is not a PIN", "give 4 to 8 digits")
    known = load_keys(keys) if keys.exists() else {}
    if device_id in known and not force:
        raise UsageError(str(keys), device_id, "already has a key", "give another --id, or --force to replace the key")
    check_storable(keys, [device_id])
    key = secrets.token_bytes(KEY_OCTETS)
    with Port(port) as device:
        with maintained(device):
            _give(device, {"id": device_id, "key": key.hex(), **({"pin": pin} if pin else {})}, force)
            try:
                store_keys(keys, {device_id: key})
            except UsageError as error:
                problem = f"does not have the key that the board has now: {error.problem}"
                raise UsageError(str(keys), device_id, problem, _AGAIN) from None
        device.restart()
    console.print(f"{device_id}: provisioned; its key is on the board and in {keys}", markup=False)


def provision_many(table: Path, keys: Path, folder: Path, console: Console, *, force: bool = False) -> None:
    """Makes a key for each device of a CSV file, whose first line names its columns: `id`, and `pin` if SIMs have one.

    `folder` gets the file `<id>.json` for each, which is the board's `/secrets.json`; then all keys go to the file
    `keys` at once. Raises UsageError for bad input, and for an id that has a key or a file, unless `force` is set.
    """
    rows = _rows(table)
    known = load_keys(keys) if keys.exists() else {}
    taken = [device for device in rows if device in known or (folder / f"{device}.json").exists()]
    if taken and not force:
        hint = "leave it out, or give --force to replace the key; the old one is lost"
        raise UsageError(str(table), taken[0], "already has a key", hint)
    check_storable(keys, rows)
    made = {device: secrets.token_bytes(KEY_OCTETS) for device in rows}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for device, pin in rows.items():
            content = {"id": device, "key": made[device].hex(), **({"pin": pin} if pin else {})}
            file = folder / f"{device}.json"
            file.unlink(missing_ok=True)
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as secret:
                secret.write(json.dumps(content))
    except OSError as error:
        raise UsageError("--out", str(folder), (error.strerror or str(error)).lower(), "name another folder") from None
    store_keys(keys, made)
    console.print(f"{len(made):,} devices: keys in {keys}, secrets.json of each in {folder}", markup=False)


def _rows(table: Path) -> dict[str, str]:
    """The PIN of each device, "" for none."""
    text = files.text(table, "name a CSV file with a column id", "--csv").lstrip("\ufeff")
    dialect = csv.excel()
    dialect.delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.DictReader(text.splitlines(), dialect=dialect)
    if unknown := {"id"} ^ (set(rows.fieldnames or ()) - {"pin"}):
        problem = f"has the columns {', '.join(map(str, rows.fieldnames or ()))}"
        raise UsageError(str(table), sorted(map(str, unknown))[0], problem, "name the columns id and pin")
    found: dict[str, str] = {}
    for row in rows:
        device, pin = (str(row.get(name) or "").strip() for name in ("id", "pin"))
        where = f"{table}, line {rows.line_num}"
        device_config.check_id(device, where, "id")
        if device in found:
            raise UsageError(where, device, "is there twice", "leave one out")
        if pin and not _PIN.fullmatch(pin):
            raise UsageError(where, "pin", "is not a PIN", "give 4 to 8 digits")
        found[device] = pin
    if not found:
        raise UsageError(str(table), "", "names no device", "write an id in each line")
    return found


def _give(device: Port, content: dict[str, str], force: bool) -> None:
    """Writes the secrets to the board. Raises UsageError unless it has them."""
    port = device.name
    has = device.ask("has_secrets()")
    if has and not force:
        problem = f"already has {', '.join(has)}"
        raise UsageError(port, "secrets.json", problem, "give --force to replace them; the old key is lost")
    text = json.dumps(content)
    try:
        device.run(f"replace('/secrets.json', {text!r})")
        if device.ask("digest('/secrets.json')") != hashlib.sha256(text.encode()).hexdigest():
            raise UsageError(port, "secrets.json", "was not written correctly", _AGAIN)
    except Refused as error:
        raise UsageError(port, "secrets.json", f"the board reports: {error}", _AGAIN) from None
