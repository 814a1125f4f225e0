"""Provisions a board: writes a device id, a new random key and optionally the SIM's PIN.

The key is written to the board's `/secrets.json` and then to the collector's key file, so that a failure takes no valid
key out of the file. It is never shown.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from pathlib import Path

from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.build import device_config
from host_tools.collector.keys import KEY_OCTETS, check_storable, load_keys, store_key
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
    check_storable(keys, device_id)
    key = secrets.token_bytes(KEY_OCTETS)
    with Port(port) as device:
        with maintained(device):
            _give(device, {"id": device_id, "key": key.hex(), **({"pin": pin} if pin else {})}, force)
            try:
                store_key(keys, device_id, key)
            except UsageError as error:
                problem = f"does not have the key that the board has now: {error.problem}"
                raise UsageError(str(keys), device_id, problem, _AGAIN) from None
        device.restart()
    console.print(f"{device_id}: provisioned; its key is on the board and in {keys}", markup=False)


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
