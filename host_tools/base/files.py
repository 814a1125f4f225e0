"""Reads and writes the files that a person names; errors are one line."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from host_tools.base.errors import UsageError

TABLE = "write TOML, or JSON in a file named .json"


def text(path: Path, hint: str, where: str = "") -> str:
    """Reads a text file. UsageError, with `hint` for what to name instead, if it cannot be read."""
    where = where or str(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(where, "", "is not UTF-8 text", f"save it as UTF-8, or {hint}") from None
    except OSError as error:
        raise unreadable(error, where, hint) from None


def unreadable(error: OSError, where: str, hint: str) -> UsageError:
    """The UsageError for an OSError of a file."""
    if isinstance(error, FileNotFoundError):
        return UsageError(where, "", "no such file", hint)
    if isinstance(error, IsADirectoryError):
        return UsageError(where, "", "is a folder", hint)
    return UsageError(where, "", f"cannot be read: {(error.strerror or str(error)).lower()}", hint)


def table(path: Path, hint: str, where: str = "") -> dict[str, Any]:
    """Reads a table: JSON from a file named .json, else TOML. UsageError if it is not one."""
    return parse(text(path, hint, where), where or str(path), path.suffix == ".json")


def parse(content: str, where: str, is_json: bool, hint: str = TABLE) -> dict[str, Any]:
    """`table` for text. UsageError names the line."""
    try:
        found = json.loads(content) if is_json else tomllib.loads(content)
    except json.JSONDecodeError as error:
        problem = f"not valid JSON: {_lower(error.msg)}"
        raise UsageError(where, f"line {error.lineno}", problem, hint) from None
    except tomllib.TOMLDecodeError as error:
        problem, _, line = str(error).partition(" (at ")
        raise UsageError(where, line.rstrip(")"), f"not valid TOML: {_lower(problem)}", hint) from None
    except RecursionError:
        raise UsageError(where, "", "is nested too deep", hint) from None
    if not isinstance(found, dict):
        raise UsageError(where, "", "is not a table", "begin the JSON with a brace")
    return found


def write_json(name: str, value: Any) -> None:
    """Writes to the file `name`, or to standard output for "-". UsageError if it cannot be written."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    if name == "-":
        sys.stdout.write(text)
    else:
        try:
            Path(name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError("--json", name, f"cannot be written: {error.strerror}", "name another file") from None


def writable(option: str, path: Path) -> None:
    """UsageError if a file cannot be written; to be called before a long run."""
    there = path.exists()
    if there and not (path.is_file() or path.is_dir()):
        return  # a pipe is opened once
    try:
        path.open("ab").close()
    except OSError:
        raise UsageError(option, str(path), "cannot be written", "name a file in a folder that exists") from None
    if not there:
        path.unlink()  # nothing is left behind by a run that fails


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
