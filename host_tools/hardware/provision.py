"""Provisions a board: writes a device id, a new random key and optionally the SIM's PIN.

The key is written to the board's `/secrets.json` and to the collector's key file. It is never shown.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.build import device_config
from host_tools.collector.keys import KEY_OCTETS, load_keys, store_key
from host_tools.hardware.deploy import maintained
from host_tools.hardware.port import Port, Refused

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
    key = secrets.token_bytes(KEY_OCTETS)
    with Port(port) as device:
        with maintained(device):
            _give(device, device_id, key, pin, keys, force)
        device.restart()
    console.print(f"{device_id}: provisioned; its key is on the board and in {keys}", markup=False)


def _give(device: Port, device_id: str, key: bytes, pin: str | None, keys: Path, force: bool) -> None:
    port = device.name
    has = device.ask("has_secrets()")
    if has and not force:
        problem = f"already has {', '.join(has)}"
        raise UsageError(port, "secrets.json", problem, "give --force to replace them; the old key is lost")
    content = {"id": device_id, "key": key.hex(), **({"pin": pin} if pin else {})}
    store_key(keys, device_id, key)  # first: an unused key in the collector's file is harmless
    try:
        device.run(f"replace('/secrets.json', {json.dumps(content)!r})")
        if device.ask("has_secrets()") != sorted(content):
            raise UsageError(port, "secrets.json", "was not written correctly", "provision again with --force")
    except Refused as error:
        raise UsageError(port, "secrets.json", f"the board reports: {error}", "provision again with --force") from None
