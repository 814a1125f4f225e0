"""Tells which names of a source are global in it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, *COMPREHENSIONS)
"""What has names of its own that the scopes inside it see."""


def bound(scope: ast.AST) -> dict[str, Any]:
    """What a module, class or function binds in its own scope, by name: (statement, alias) for an import, or a node."""
    found: dict[str, Any] = {}
    elsewhere: set[str] = set()

    def look(node: ast.AST) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name.partition(".")[0], (node, alias)) for alias in node.names)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            elsewhere.update(node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)) and node.name:
            found[node.name] = node
        elif isinstance(node, ast.arg):
            found[node.arg] = node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            for child in ast.iter_child_nodes(node):
                look(child)

    for child in ast.iter_child_nodes(scope):
        look(child)
    return {name: node for name, node in found.items() if name not in elsewhere}


class Globals(ast.NodeTransformer):
    """Visits the names that are global in a module."""

    def __init__(self) -> None:
        self._scopes: list[tuple[bool, set[str]]] = []  # whether it is a class's, and its names

    def is_global(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Name):
            return False
        inner = len(self._scopes) - 1
        return not any(
            node.id in names for depth, (of_class, names) in enumerate(self._scopes) if depth == inner or not of_class
        )

    def locals(self) -> set[str]:
        return set().union(*(names for _, names in self._scopes))

    def _inside(self, scope: ast.AST, parts: Iterable[str]) -> ast.AST:
        """Visits those `parts` of a node that are in its own scope; all others are in the one around."""
        mine = {*parts}
        for name, value in ast.iter_fields(scope):
            if name in mine:
                self._scopes.append((isinstance(scope, ast.ClassDef), set(bound(scope))))
            if isinstance(value, ast.AST):
                setattr(scope, name, self.visit(value))
            elif isinstance(value, list):
                value[:] = [each for old in value for each in _listed(self.visit(old) if _is_node(old) else old)]
            if name in mine:
                self._scopes.pop()
        return scope

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._inside(node, ("body",))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inside(node, ("body",))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node, ("body",))

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._inside(node, ("body",))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, COMPREHENSIONS):
            return self._inside(node, ("elt", "key", "value", "generators"))
        return super().generic_visit(node)


def _is_node(value: object) -> bool:
    return isinstance(value, ast.AST)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
