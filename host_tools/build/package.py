"""Builds the set of files for a device: the compiled modules that its configuration needs, and the application."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from host_tools.base import files, paths
from host_tools.base.errors import UsageError
from host_tools.build import bytecode, configuration, device_config, firmware, modules
from host_tools.build.application import DEFINE, NO_MAIN, has_main
from host_tools.build.unused import unused

ROOT_FILES = ("slots.py", "main.py")
"""Installed as source, which every MicroPython version can read. `main.py` is last, as it imports the other one."""
LEDGER_IN_FILES = "usageguard/store/filelog.mpy"
"""Needed only by a board without a ledger partition."""
SECRETS = ("id", "key", "pin")


class ModemFamily(Protocol):
    """The modem of a board, as far as a set depends on it."""

    @property
    def family(self) -> str: ...

    @property
    def psm(self) -> bool: ...


class Board(Protocol):
    """The part of `host_tools.hardware.boards.Board` that a set depends on."""

    @property
    def name(self) -> str: ...

    @property
    def modem(self) -> ModemFamily: ...

    def device_json(self) -> dict[str, Any]:
        """The device's `board.json`."""
        ...


@dataclass(frozen=True)
class Settings:
    """A checked configuration file, split into the part for the set and the secrets of one device."""

    config: Any
    """A usageguard.core.settings.Config; it has a placeholder for a device that the file does not name."""
    secrets: dict[str, str]


def settings(path: Path) -> Settings:
    """Reads a configuration (TOML, or JSON in a file named .json) and checks it with the firmware's validator.

    `device` and `modem.pin` may be missing, as the device may already have them. Raises UsageError for bad input.
    """
    raw = files.table(path, "name the device's configuration, TOML or JSON")
    config = device_config.normalized(raw, str(path))
    checked = device_config.check(config, str(path))
    secrets = dict(config.get("device", {}))
    if checked.modem.pin:
        secrets["pin"] = checked.modem.pin
    return Settings(checked, secrets)


def build(settings: Settings, board: Board, app: Path, lines: bool = False) -> dict[str, bytes]:
    """The files of a set by path, including LEDGER_IN_FILES. Raises UsageError for an unusable application."""
    text = files.text(app, "name the Python file with your main(guard)", f"--app: {app}").encode()
    if not has_main(text):
        raise UsageError("--app", str(app), NO_MAIN, DEFINE)
    family = settings.config.modem.family
    if family != board.modem.family:
        problem = f'modem.family is "{family}", but the board\'s modem is of the family "{board.modem.family}"'
        raise UsageError("--board", board.name, problem, "correct the configuration or name another board")
    saving = settings.config.modem.saving
    if saving and (saving[0] or saving[2]) and not board.modem.psm:
        problem = "modem.psm and modem.edrx_s are set, but the board's modem has neither PSM nor eDRX"
        raise UsageError("--board", board.name, problem, "leave them out, or say psm = true in its board.toml")
    if saving and saving[0] and "pwrkey" not in board.device_json():
        problem = "modem.psm is set, but the board has no [pwrkey] with which to wake its modem"
        raise UsageError("--board", board.name, problem, "leave modem.psm out, or name another board")
    if saving and saving[3] and "dtr" not in board.device_json():
        problem = "modem.light_sleep is set, but the board has no pin for its modem's DTR"
        raise UsageError("--board", board.name, problem, "leave it out, or name the pin in a [[hold]] with dtr = true")
    application = bytecode.compiled(text, app.name, str(app), lines=True)
    plan = configuration.source(settings.config).encode("ascii")
    roots = [*modules.BOARD, modules.driver(family), *modules.imports(plan)]
    without = [*modules.VALIDATOR, *modules.ELSEWHERE, *modules.unneeded(settings.config)]
    without += modules.without_parts(board.device_json())
    needed = modules.reached(roots, without)
    if lines:
        made = firmware.with_lines(needed)
        made["configuration.mpy"] = bytecode.compiled(plan, "configuration.py", "", lines=True)
    else:
        loaded = [*modules.LOADED, *modules.imports(plan), *modules.parts(settings.config), modules.driver(family)]
        release = firmware.released(needed, loaded, _imports(text), firmware.identifiers(text), unused(settings.config))
        made = release.files()
        made["configuration.mpy"] = release.compiled(plan, "configuration.py")
    made["application.mpy"] = application
    made["board.json"] = json.dumps(board.device_json(), separators=(",", ":")).encode("ascii")
    # Largest first: compression then finds most names of the small files in the large ones before.
    return dict(sorted(made.items(), key=lambda item: -len(item[1])))


def _imports(app: bytes) -> list[str]:
    try:
        return modules.imports(app)
    except SyntaxError:  # it is MicroPython, as the compiler found, but not this Python
        return []


@functools.cache
def root_files() -> dict[str, bytes]:
    """The files outside the sets, which choose the set to start, by path; without comments."""
    return {f"/{name}": _bare((paths.firmware() / name).read_text("ascii")) for name in ROOT_FILES}


def _bare(text: str) -> bytes:
    """A source without comments and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return f"{ast.unparse(tree)}\n".encode("ascii")


def mpy_version(files: Mapping[str, bytes]) -> int:
    """The bytecode version of a set: the second byte of each .mpy file."""
    return next(content[1] for name, content in files.items() if name.endswith(".mpy"))
