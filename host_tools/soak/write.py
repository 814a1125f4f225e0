"""Writes a scenario's table as a TOML file."""

from __future__ import annotations

from typing import Any

import tomli_w


def text(table: dict[str, Any], comment: str = "") -> str:
    """`table` as TOML below the lines of `comment`. Raises TypeError for a value that TOML cannot express."""
    header = "".join(f"# {line}\n" for line in comment.splitlines())
    return header + tomli_w.dumps(table)
