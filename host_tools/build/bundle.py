"""Merges the firmware's modules into one, as a release build has them.

On a device a module costs a table of the names that it uses, a dictionary with an entry for each name that it defines
or imports, and the names of the modules that it imports from. What is always loaded together needs these once.

The merged module is the package itself (`usageguard/__init__`). Functions, classes and attributes keep their names, as
tracebacks show them; where two modules define the same name, the second one is numbered. A module that is used as a
value (`sys.modules["socket"] = sockets`) remains a module of its own, and so does one that is imported inside functions
only: it takes from the package what it imports.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from host_tools.build.scopes import Globals, bound

Trees = Mapping[str, ast.Module]
Entity = tuple[str, str]
"""What a global name means: a module and a name in it, "" for the module itself; or an import from elsewhere."""


@dataclass(frozen=True)
class Bundle:
    package: str
    members: tuple[str, ...]
    """The merged modules, each behind those that it imports."""
    text: str
    _trees: Trees
    _names: Mapping[Entity, str]

    def adapted(self, text: bytes) -> str:
        """The source `text` of a module outside the bundle, which takes from the package what was merged."""
        tree = _bare(text)
        return written(_Outside(self.package, self._names, {**self._trees, "": tree}, "").visit(tree))

    def alias(self, module: str) -> str:
        """A source that stands for a merged module, for code that imports it by its name: without what is private."""
        public = (name for name in bound(self._trees[module]) if not name.startswith("_"))
        meant = [(name, _meaning(self._trees, module, name)) for name in public]
        names = [_as(self._names[entity], name) for name, entity in meant if entity and entity in self._names]
        return f"from {self.package} import {', '.join(names)}\n"

    def names(self, modules: Iterable[str]) -> set[str]:
        """What those modules define for others, by its names in the merged one."""
        return {
            final for (module, name), final in self._names.items() if module in modules and not name.startswith("_")
        }


def imported(text: str, package: str) -> set[str]:
    """The names that a source takes from the package."""
    found, aliases = set(), set()
    nodes = [*ast.walk(ast.parse(text))]
    for node in nodes:
        match node:
            case ast.ImportFrom(module=module, names=names) if module == package:
                found |= {alias.name for alias in names}
            case ast.Import(names=names):
                aliases |= {alias.asname or alias.name for alias in names if alias.name == package}
    return found | {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases
    }


def bundled(sources: Mapping[str, bytes], roots: Iterable[str], package: str) -> Bundle:
    """Merges those of `sources`, modules of `package` by name, that `roots` need as soon as they are imported.

    Raises ValueError for a source that cannot be merged.
    """
    trees = {name: _bare(text) for name, text in sources.items()}
    order = list(_order(roots, trees))
    apart = set().union(*(_values(trees, name) for name in order))
    members = {name: trees[name] for name in order if name not in apart}
    names = _names(members, {name.split(".")[1] for name in trees if "." in name} | {package})
    body: list[ast.stmt] = []
    for name in members:
        body += _Inside(package, names, members, name).visit(_bare(sources[name])).body
    return Bundle(package, tuple(members), written(ast.Module(_once(body), [])), members, names)


def _bare(text: bytes) -> ast.Module:
    """The tree of a source without docstrings."""
    tree = ast.parse(text.removeprefix(b"\xef\xbb\xbf").decode())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.Pass())
    return tree


def written(tree: ast.Module) -> str:
    """The source of a tree. `a, b = b, a` stays without parentheses: MicroPython would make a tuple of those."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple()], value=ast.Tuple(elts=[_, *_] as values)):
                node.value = ast.Name(", ".join(map(ast.unparse, values)), ast.Load())
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _as(name: str, alias: str) -> str:
    return name if name == alias else f"{name} as {alias}"


def _order(roots: Iterable[str], trees: Trees) -> Iterator[str]:
    """The modules that `roots` import at their top level, directly or not, each behind those that it imports."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in trees and name not in seen:
            seen.add(name)
            for needed in _imported(trees[name]):
                yield from visit(needed)
            yield name

    for root in roots:
        yield from visit(root)


def _imported(tree: ast.Module) -> Iterator[str]:
    """The modules that a source may import at its top level."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


_defined = lru_cache(256)(bound)
"""The same for modules, which are asked often. Their trees do not change."""


def _meaning(trees: Trees, module: str, name: str) -> Entity | None:
    """What a global name of a module means; None for a builtin's."""
    while True:
        match _defined(trees[module]).get(name):
            case (ast.ImportFrom(module=str(source)), alias):
                if f"{source}.{alias.name}" in trees:
                    return f"{source}.{alias.name}", ""
                if source not in trees:
                    return f"from {source} import {alias.name}", name
                module, name = source, alias.name
            case (ast.Import(), alias):
                return f"import {alias.name}", name
            case None:
                return None
            case _:
                return module, name


class _Values(Globals):
    """Finds the modules that a module uses other than for their attributes."""

    def __init__(self, trees: Trees, module: str) -> None:
        super().__init__()
        self._trees = trees
        self._module = module
        self.found: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.value, ast.Name):
            self.visit(node.value)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        meant = _meaning(self._trees, self._module, node.id) if self.is_global(node) else None
        if meant and not meant[1]:
            self.found.add(meant[0])
        return node


def _values(trees: Trees, module: str) -> set[str]:
    found = _Values(trees, module)
    found.visit(trees[module])
    return found.found


class _Respelled(Globals):
    """Finds what a module calls by another name than the one that defines it does, and the local names there."""

    def __init__(self, trees: Trees, module: str) -> None:
        super().__init__()
        self._trees = trees
        self._module = module
        self.found: dict[Entity, set[str]] = {}
        self.everywhere: set[str] = set()

    def _note(self, entity: Entity | None, name: str) -> None:
        if entity and entity[1] and entity[1] != name:
            self.found.setdefault(entity, set()).update(self.locals())

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        meant = _meaning(self._trees, self._module, node.value.id) if self.is_global(node.value) else None  # type: ignore
        if meant and not meant[1]:
            self._note(_meaning(self._trees, meant[0], node.attr), "")
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self.is_global(node):
            self._note(_meaning(self._trees, self._module, node.id), node.id)
        else:
            self.everywhere.add(node.id)
        return node


def _names(trees: Trees, reserved: set[str]) -> dict[Entity, str]:
    """What the modules' names become in the merged module: each its own, and none that a function, a builtin or a
    subpackage has already where it is used."""
    local: dict[Entity, set[str]] = {}
    everywhere: set[str] = set()
    for module, tree in trees.items():
        visited = _Respelled(trees, module)
        visited.visit(tree)
        everywhere |= visited.everywhere
        for entity, names in visited.found.items():
            local.setdefault(entity, set()).update(names)
    taken = reserved | set(dir(builtins))
    found: dict[Entity, str] = {}
    for module, tree in trees.items():
        for name in bound(tree):
            entity = _meaning(trees, module, name)
            if not entity or not entity[1] or entity in found or entity[0] in trees.keys() - {module}:
                continue
            final, number = name, 1
            while final in taken or final in local.get(entity, ()) or (number > 1 and final in everywhere):
                number += 1
                final = f"{name}_{number}"
            taken.add(final)
            found[entity] = final
    return found


class _Outside(Globals):
    """Has a module outside the bundle take from the package what was merged."""

    def __init__(self, package: str, names: Mapping[Entity, str], trees: Trees, module: str) -> None:
        super().__init__()
        self._package = package
        self._names = names
        self._trees = trees
        self._module = module

    def _meant(self, node: ast.expr) -> Entity | None:
        return _meaning(self._trees, self._module, node.id) if self.is_global(node) else None  # type: ignore

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        meant = self._meant(node.value)
        if meant and not meant[1] and meant[0] in self._trees:
            return self._attribute(node, self._names[_meaning(self._trees, meant[0], node.attr) or ("", node.attr)])
        self.generic_visit(node)
        return node

    def _attribute(self, node: ast.Attribute, name: str) -> ast.AST:
        node.attr = name
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        merged, modules, rest = self._sorted(node)
        if modules and self._scopes:
            raise ValueError(f"{ast.unparse(node)}: in a function only what a merged module defines can be imported")
        return [
            *([ast.ImportFrom(self._package, merged, 0)] if merged else []),
            *([ast.Import(modules)] if modules else []),
            *([ast.ImportFrom(node.module, rest, node.level)] if rest else []),
        ]

    def _sorted(self, node: ast.ImportFrom) -> tuple[list[ast.alias], list[ast.alias], list[ast.alias]]:
        """What is imported: from the package; as the package, which stands for merged modules; from elsewhere."""
        merged, modules, rest = [], [], []
        for alias in node.names:
            name = alias.asname or alias.name
            if f"{node.module}.{alias.name}" in self._trees:
                modules.append(ast.alias(self._package, name))
            elif (
                node.module and node.module in self._trees and (meant := _meaning(self._trees, node.module, alias.name))
            ):
                final = self._names[meant]
                merged.append(ast.alias(final, None if final == name else name))
            else:
                rest.append(alias)
        return merged, modules, rest


class _Inside(_Outside):
    """Prepares a module to be merged."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        meant = self._meant(node)
        if meant and meant[1]:
            node.id = self._names[meant]
        elif self._scopes and self._scopes[-1][0] and self._renames(node.id):
            raise ValueError(f"{self._module}: a class has the name {node.id} too")
        return node

    def _renames(self, name: str) -> bool:
        """Whether a global name becomes another."""
        meant = _meaning(self._trees, self._module, name)
        return bool(meant and meant[1] and self._names[meant] != name)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._names[self._module, name] for name in node.names]
        return node

    def _attribute(self, node: ast.Attribute, name: str) -> ast.AST:
        return ast.Name(name, node.ctx)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if self._scopes:
            return super().visit_ImportFrom(node)
        _, _, rest = self._sorted(node)
        return self._renamed(ast.ImportFrom(node.module, rest, node.level)) if rest else None

    def visit_Import(self, node: ast.Import) -> ast.AST:
        return node if self._scopes else self._renamed(node)

    def _renamed(self, node: ast.Import | ast.ImportFrom) -> ast.AST:
        for alias in node.names:
            bound = alias.asname or alias.name
            meant = _meaning(self._trees, self._module, bound)
            if "." not in bound and meant and self._names[meant] != bound:
                alias.asname = self._names[meant]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._define(node)
        return super().visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._define(node)
        return super().visit_ClassDef(node)

    def _define(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        if not self._scopes:
            node.name = self._names[self._module, node.name]


def _once(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """The statements without repeated imports."""
    seen: set[str] = set()
    kept = []
    for statement in body:
        text = ast.unparse(statement) if isinstance(statement, (ast.Import, ast.ImportFrom)) else ""
        if text not in seen or not text:
            kept.append(statement)
        seen.add(text)
    return kept
