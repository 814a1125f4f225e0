"""A scenario's table as a TOML file."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any


def text(table: dict[str, Any], comment: str = "") -> str:
    """TOML of a table of plain values, tables and lists of tables, as `tomllib` reads it back."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"{key} = {value(each)}" for key, each in table.items() if not _is_tables(each)]
    for key, each in table.items():
        if isinstance(each, dict):
            lines += ["", f"[{key}]", *(f"{name} = {value(item)}" for name, item in each.items())]
        elif _is_tables(each):
            for item in each:
                lines += ["", f"[[{key}]]", *(f"{name} = {value(field)}" for name, field in item.items())]
    return "\n".join(lines) + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def value(of: Any) -> str:
    """One value inline. ValueError for what TOML does not have."""
    if isinstance(of, bool):
        return "true" if of else "false"
    if isinstance(of, int | float):
        return repr(of)
    if isinstance(of, str):
        return json.dumps(of)  # a basic string of TOML has JSON's escapes
    if isinstance(of, datetime | date):
        return of.isoformat()
    if isinstance(of, dict):
        return "{ " + ", ".join(f"{key} = {value(item)}" for key, item in of.items()) + " }"
    if isinstance(of, list):
        return "[" + ", ".join(map(value, of)) + "]"
    raise ValueError(f"TOML has no {type(of).__name__}")
