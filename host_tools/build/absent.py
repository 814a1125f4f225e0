"""Cuts what needs a module that is not in the set, and so cannot run: on a device it would take heap all the same."""

from __future__ import annotations

import ast
from collections.abc import Collection


def cut(text: bytes, package: str, there: Collection[str]) -> bytes:
    """A source in which the import of a module of `package` that is not `there` is the ImportError that it would be."""
    tree = ast.parse(text)
    found = False
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if not isinstance(statements, list):
                continue
            for at, statement in enumerate(statements):
                if _is_missing(statement, package, there):
                    statements[at:] = [ast.Raise(ast.Name("ImportError", ast.Load()), None)]
                    found = True
                    break
    return ast.unparse(ast.fix_missing_locations(tree)).encode() if found else text


def _is_missing(statement: ast.stmt, package: str, there: Collection[str]) -> bool:
    match statement:
        case ast.ImportFrom(module=str(module)):
            return module.partition(".")[0] == package and module not in there
    return False
