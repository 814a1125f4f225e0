"""What goes on a device: the modules that its configuration needs, compiled, and what the application needs beside."""

from __future__ import annotations

import ast
import functools
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_tools import bytecode, paths
from host_tools.boards import Board
from host_tools.errors import UsageError
from host_tools.hardware import configuration

HAL = "usageguard.hal.esp32"
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
    where = str(path)
    try:
        text = path.read_text("utf-8")
        config = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(where, "", (error.strerror or str(error)).lower(), "name a TOML or JSON file") from None
    except ValueError as error:
        raise UsageError(where, "", str(error), "write TOML, or JSON in a file named .json") from None
    paths.use_firmware()
    from usageguard.config import ConfigError, load

    try:
        checked = load({**config, "device": config.get("device", _STAND_IN)} if isinstance(config, dict) else config)
    except ConfigError as error:
        raise UsageError(where, error.field, error.problem, error.hint) from None
    secrets = dict(config.get("device", {}))
    if checked.modem.pin:
        secrets["pin"] = checked.modem.pin
    return Settings(checked, secrets)


_FOR_SOME: dict[str, Callable[[Any], bool]] = {
    "usageguard.core.burst": lambda config: config.plan.burst is not None,
    "usageguard.config": lambda config: False,
    "usageguard.config_limits": lambda config: False,
    "usageguard.config_plan": lambda config: False,
    "usageguard.config_table": lambda config: False,
}
"""What only some configurations (Config) ever import on a device, and which."""


def modules(family: str) -> list[str]:
    """The firmware's modules that a device with such a modem may import, by name, sorted."""
    return _reached(["start", HAL, f"usageguard.modem.{family}"])


def _needed(config: Any, plan: bytes) -> list[str]:
    """Those of them that it does import with this configuration."""
    others = [name for name, wanted in _FOR_SOME.items() if not wanted(config)]
    return _reached(["start", HAL, f"usageguard.modem.{config.modem.family}", *_imports(plan)], others)


def _reached(pending: list[str], without: Iterable[str] = ()) -> list[str]:
    root = paths.firmware()
    found: set[str] = set()
    while pending:
        name = pending.pop()
        source = _source(root, name)
        if name in found or name in without or not source:
            continue
        found.add(name)
        if "." in name:
            pending.append(name.rpartition(".")[0])
        pending += _imports(source.read_bytes())
    return sorted(found - {Path(name).stem for name in ROOT_FILES})


@functools.cache
def _imports(text: bytes) -> list[str]:
    """What a source may import; names out of a package as well, for they may be modules."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _source(root: Path, name: str) -> Path | None:
    path = root / name.replace(".", "/")
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


def build(settings: Settings, board: Board, app: Path, lines: bool = False) -> dict[str, bytes]:
    """A set's files, by their paths in it, LEDGER_IN_FILES too. UsageError where the application cannot be taken."""
    if not app.is_file():
        raise UsageError("--app", str(app), "is no file", "name the Python file with your main(guard)")
    _has_main(app)
    family = settings.config.modem.family
    if family != board.modem.family:
        problem = f'modem.family is "{family}", the board\'s modem is of "{board.modem.family}"'
        raise UsageError("--board", board.name, problem, "correct the configuration or name another board")
    root = paths.firmware()
    files = {}
    plan = configuration.source(settings.config).encode("ascii")
    for name in _needed(settings.config, plan):
        file = _source(root, name)
        assert file
        place = str(file.relative_to(root))
        files[place.removesuffix(".py") + ".mpy"] = bytecode.compiled(file.read_bytes(), place, str(file), lines=lines)
    files["configuration.mpy"] = bytecode.compiled(plan, "configuration.py", "", lines=lines)
    files["application.mpy"] = bytecode.compiled(app.read_bytes(), app.name, str(app), lines=True)
    files["board.json"] = json.dumps(board.device_json(), separators=(",", ":")).encode("ascii")
    return files


def _has_main(app: Path) -> None:
    try:
        tree = ast.parse(app.read_bytes())
    except (SyntaxError, ValueError):
        return  # what mpy-cross says of it counts
    names: Iterable[str] = (getattr(node, "name", "") for node in tree.body)
    if "main" not in names and not any(isinstance(node, (ast.ImportFrom, ast.Assign)) for node in tree.body):
        raise UsageError("--app", str(app), "has no main", "define main(guard) in it")


def root_files() -> dict[str, bytes]:
    """What lies beside the sets and chooses between them, by path."""
    return {f"/{name}": (paths.firmware() / name).read_bytes() for name in ROOT_FILES}


def mpy_version(files: Mapping[str, bytes]) -> int:
    """The version of bytecode in a set: the second octet of each .mpy file."""
    return next(content[1] for name, content in files.items() if name.endswith(".mpy"))
