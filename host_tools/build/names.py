"""Short names for the firmware's private attributes, as a release build has them.

On a device every attribute name costs its text and an entry in the table of names, once for all modules. Unrelated
classes can share names, so `self._interval_ms` and another class's `self._window_octets` may both become `self._k`.
Names of methods stay, as tracebacks show them, and so do names that are used other than through `self`.
"""

from __future__ import annotations

import ast
import itertools
import re
import string
from collections import defaultdict
from collections.abc import Iterator, Mapping

_PRIVATE = re.compile(r"_[a-z]\w*\Z")

Names = Mapping[str, Mapping[str, str]]
"""By module, by attribute: the short name."""


def short(sources: Mapping[str, bytes]) -> Names:
    """The short names for attributes in each of `sources`, which are modules by name.

    An attribute has one name in all modules whose classes inherit from each other.
    """
    trees = {name: ast.parse(text) for name, text in sources.items()}
    foreign = set().union(*map(_foreign, trees.values()))
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, root in _families(trees).items():
        groups[root].append(name)
    found: dict[str, Mapping[str, str]] = {}
    for members in groups.values():
        used = set().union(*(_of_self(trees[name]) for name in members))
        kept = foreign.union(*(_defined(trees[name]) for name in members))
        table = dict(zip(sorted(used - kept), _unused(used | kept), strict=False))
        found |= dict.fromkeys(members, table)
    return found


def _of_self(tree: ast.Module) -> set[str]:
    """The private attributes that are used through `self`."""
    return {name for node in ast.walk(tree) if (name := _attribute_of_self(node)) and _PRIVATE.match(name)}


def _attribute_of_self(node: ast.AST) -> str:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return ""


def _foreign(tree: ast.Module) -> set[str]:
    """Attribute names that are used other than through `self`, or occur in strings."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if not _attribute_of_self(node):
                found.add(name)
            case ast.Constant(value=str(name)):
                found.add(name)
    return found


def _defined(tree: ast.Module) -> set[str]:
    """Names of functions, and names assigned in class bodies."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(body=body):
                found |= {each.id for item in body if isinstance(item, ast.Assign) for each in _targets(item)}
    return found


def _targets(statement: ast.Assign) -> list[ast.Name]:
    return [node for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _families(trees: Mapping[str, ast.Module]) -> dict[str, str]:
    """Groups modules whose classes inherit from one another, directly or not: the group's first module, by module."""
    root = {name: name for name in trees}
    for name, tree in trees.items():
        imported = {
            alias.asname or alias.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in trees
            for alias in node.names
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in imported:
                    old, new = root[name], root[str(imported[base.id])]
                    root = {each: new if at == old else at for each, at in root.items()}
    return root


def _unused(taken: set[str]) -> Iterator[str]:
    """_a, _b … _aa, _ab …, without those in `taken`."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            name = "_" + "".join(letters)
            if name not in taken:
                yield name
