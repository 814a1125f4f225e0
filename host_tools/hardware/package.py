"""What goes on a device: the modules that its configuration needs, compiled, and what the application needs beside."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_tools import bytecode, files, modules, paths
from host_tools.boards import Board
from host_tools.errors import UsageError
from host_tools.hardware import configuration

ROOT_FILES = ("slots.py", "main.py")
"""As source: whatever MicroPython the board has can read them. `main.py` last, for it needs the other."""
LEDGER_IN_FILES = "usageguard/filelog.mpy"
"""What only a board without a partition for the ledger needs."""
SECRETS = ("id", "key", "pin")
_STAND_IN = {"id": "device", "key": "00" * 32}


@dataclass(frozen=True)
class Settings:
    """A configuration file, checked and taken apart: what a set holds, and what belongs to one device alone."""

    config: Any
    """A usageguard.core.settings.Config; of a device that is not named in the file, it has a stand-in for it."""
    secrets: dict[str, str]


def settings(path: Path) -> Settings:
    """Reads a configuration (TOML, or JSON in a file named .json) and has the firmware's own validator check it.

    `device` and `modem.pin` may be missing: the device may have them already. UsageError for anything wrong.
    """
    config = files.table(path, "name the device's configuration, TOML or JSON")
    checked = check(config, str(path))
    secrets = dict(config.get("device", {}))
    if checked.modem.pin:
        secrets["pin"] = checked.modem.pin
    return Settings(checked, secrets)


def check(config: dict[str, Any], where: str) -> Any:
    """The Config of a parsed configuration; a device that it does not name has a stand-in. UsageError: it is wrong."""
    files.check_plan(config, where)
    paths.use_firmware()
    from usageguard.config import ConfigError, load

    try:
        return load({**config, "device": config.get("device", _STAND_IN)})
    except ConfigError as error:
        raise UsageError(where, error.field, error.problem, error.hint) from None


def build(settings: Settings, board: Board, app: Path, lines: bool = False) -> dict[str, bytes]:
    """A set's files, by their paths in it, LEDGER_IN_FILES too. UsageError where the application cannot be taken."""
    text = files.text(app, "name the Python file with your main(guard)", f"--app: {app}").encode()
    _has_main(app, text)
    family = settings.config.modem.family
    if family != board.modem.family:
        problem = f'modem.family is "{family}", the board\'s modem is of "{board.modem.family}"'
        raise UsageError("--board", board.name, problem, "correct the configuration or name another board")
    plan = configuration.source(settings.config).encode("ascii")
    roots = [*modules.BOARD, modules.driver(family), *modules.imports(plan)]
    made = {}
    without = [*modules.VALIDATOR, *modules.ELSEWHERE, *modules.unneeded(settings.config)]
    for name in modules.reached(roots, without):
        file = modules.source(name)
        assert file
        place = str(file.relative_to(paths.firmware()))
        made[place.removesuffix(".py") + ".mpy"] = bytecode.compiled(file.read_bytes(), place, str(file), lines=lines)
    made["configuration.mpy"] = bytecode.compiled(plan, "configuration.py", "", lines=lines)
    made["application.mpy"] = bytecode.compiled(text, app.name, str(app), lines=True)
    made["board.json"] = json.dumps(board.device_json(), separators=(",", ":")).encode("ascii")
    # The largest first: most names of the small ones have then been sent, not too far before.
    return dict(sorted(made.items(), key=lambda item: -len(item[1])))


def _has_main(app: Path, text: bytes) -> None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # what mpy-cross says of it counts
    names: Iterable[str] = (getattr(node, "name", "") for node in tree.body)
    if "main" not in names and not any(isinstance(node, (ast.ImportFrom, ast.Assign)) for node in tree.body):
        raise UsageError("--app", str(app), "has no main", "define main(guard) in it")


@functools.cache
def root_files() -> dict[str, bytes]:
    """What lies beside the sets and chooses between them, by path; without comments."""
    return {f"/{name}": _bare((paths.firmware() / name).read_text("ascii")) for name in ROOT_FILES}


def _bare(text: str) -> bytes:
    """A source without comments and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return f"{ast.unparse(tree)}\n".encode("ascii")


def mpy_version(files: Mapping[str, bytes]) -> int:
    """The version of bytecode in a set: the second octet of each .mpy file."""
    return next(content[1] for name, content in files.items() if name.endswith(".mpy"))
