"""What an application has to have."""

from __future__ import annotations

import ast
from collections.abc import Iterable

NO_MAIN, DEFINE = "has no main", "define main(guard) in it"


def has_main(text: bytes) -> bool:
    """Whether the source defines `main`, or may: by an import or an assignment, or it is no Python of this version,
    which mpy-cross judges."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return True
    names: Iterable[str] = (getattr(node, "name", "") for node in tree.body)
    return "main" in names or any(isinstance(node, (ast.ImportFrom, ast.Assign)) for node in tree.body)
