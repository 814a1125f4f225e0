"""Short names for what is the firmware's own, as a release build has them.

On a device every name costs its text and an entry in the table of names, once for all modules, and two bytes at each
use unless it is among the first 126 of its module. So attributes, methods, functions, classes and globals get short
names, and unrelated classes share them: `Meter.excess` and `Policy.shed` may both become `_k`. A name becomes the same
one wherever it stands, so it does not matter what an expression before a dot is; and two names become one only where no
object and no module can have both. Whether an object has a name can therefore be asked with a string only.

A name stays if it may mean something that is not the firmware's: a name of Python or MicroPython, one in a string, what
the files in the root use, the class of an exception, and what is `kept` for applications.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import gc
import hashlib
import io
import itertools
import json
import os
import select
import socket
import ssl
import string
import struct
import sys
import time
import types
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from host_tools.build.bundle import written
from host_tools.build.scopes import FUNCTIONS, Globals, bound

_OF_GUARD = """
accept_loss account activate admission bind_sockets code config crashed deep_sleep event Guard guard Hal hal install
ledger main modem ms name now online outbox path periods policy polling pump run sleep status step step_now stepped_at
stepping supervise thread traffic traffic_class until wake
"""
PUBLIC = frozenset(_OF_GUARD.split())
"""What an application may use of the guard: the attributes and methods of Guard, and their parameters."""

_KINDS = (
    *(object, type, int, str, bytes, bytearray, memoryview, list, tuple, dict, set, range, property, OSError),
    *(types.FunctionType, types.GeneratorType, types.ModuleType, io.BytesIO, io.TextIOWrapper, socket.socket),
    *(asyncio.Event, asyncio.Lock, asyncio.StreamReader, asyncio.StreamWriter, asyncio.Task),
    *(type(select.poll()), type(hashlib.sha256())),
    *(builtins, asyncio, gc, hashlib, io, json, os, select, socket, ssl, struct, sys, time),
)
_MICROPYTHON = """
active any atten block callback channel commit config const control count datetime deinit feed find flow freq hold
idle info init ioctl ipoll irq isconnected mac mem_alloc mem_free memory modem_power off on period pull readblocks
readfrom readfrom_mem readinto schedule sendbreak set_time sleep_us state status threshold ticks_add ticks_cpu
ticks_diff ticks_ms ticks_us toggle txdone value wake_on width writeblocks writeto writeto_mem
"""
VOCABULARY = frozenset(_MICROPYTHON.split()).union(*map(dir, _KINDS))
"""Names that things have which are not the firmware's."""


@dataclass(frozen=True)
class Names:
    """The short names of a release's `package`: `table`, by name. `keywords` are names of parameters that stay."""

    package: str
    table: Mapping[str, str]
    keywords: frozenset[str]

    def applied(self, text: str) -> str:
        """A source with these names."""
        tree = _Renamed(self.package, self.table).visit(ast.parse(text))
        _shorten_parameters(tree, self.keywords)
        return written(tree)


_ONE_BYTE = 126
"""How many names of a module take one byte in its bytecode instead of two: the first that the compiler meets."""


def frequent_first(text: str) -> str:
    """A source, behind a statement without effect that names what its functions use most."""
    used: Counter[str] = Counter()
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, FUNCTIONS):
            local = bound(function)
            for node in _own(function):
                match node:
                    case ast.Name(id=name) if name not in local:
                        used[name] += 1
                    case ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                        used[name] += 1
                    case ast.FunctionDef(name=name):
                        used[name] += 1
    names = [name for name, _ in used.most_common(_ONE_BYTE)]
    return f"if not __name__:\n    __name__.{'.'.join(names)}\n{text}" if names else text


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside it but these themselves."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, FUNCTIONS):
            yield from _own(child)


def shortened(texts: Mapping[str, str], package: str, whole: str, kept: Iterable[str]) -> Names:
    """Names for the modules `texts`, sources by path, of which `whole` shows all classes of the package's own."""
    trees = {name: ast.parse(text) for name, text in texts.items()}
    modules = {part for name in texts for part in name.removesuffix(".py").split("/")}
    seen = _Seen([*trees.values(), ast.parse(whole)])
    groups = [*seen.families(), *seen.bodies, *({*bound(tree)} for tree in trees.values())]
    stays = VOCABULARY.union(kept, PUBLIC, modules, seen.strings, seen.foreign(package), seen.exceptions())
    owned = set().union(*groups) - stays
    uses = Counter({name: seen.uses[name] for name in owned if not name.startswith("__") and name.isidentifier()})
    return Names(
        package, _table(uses, groups, seen.loose(), seen.identifiers), frozenset(seen.keywords).union(kept, PUBLIC)
    )


def _table(uses: Counter[str], groups: Iterable[set[str]], loose: set[str], taken: set[str]) -> dict[str, str]:
    """The shortest names for those used most. Names in one group differ; one in `loose` differs from all others."""
    of: defaultdict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        for name in group:
            of[name].append(number)
    free = [each for each in itertools.islice(_names(), len(uses) + len(taken)) if each not in taken]
    given: dict[str, str] = {}
    has: defaultdict[int, set[str]] = defaultdict(set)
    alone: set[str] = set()
    for name, _ in sorted(uses.items(), key=lambda item: (-item[1], item[0])):
        others = {*given.values()} if name in loose else alone.union(*(has[number] for number in of[name]))
        short = next(each for each in free if each not in others)
        given[name] = short
        if name in loose:
            alone.add(short)
        for number in of[name]:
            has[number].add(short)
    return given


def _names() -> Iterator[str]:
    """_a, _b … _aa, _ab …"""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "_" + "".join(letters)


class _Seen(ast.NodeVisitor):
    """What stands in a program."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self.strings: set[str] = set()
        self.keywords: set[str] = set()
        """Names by which a call gives arguments."""
        self.bodies: list[set[str]] = []
        """The names that stand in the body of a class: its own, and globals."""
        self.uses: Counter[str] = Counter()
        self.identifiers: set[str] = set()
        self._foreign: set[tuple[str, str]] = set()  # module, and a name in it
        self._aliases: dict[str, str] = {}  # of modules that are imported, by their names there
        self._read: set[tuple[str, str]] = set()  # attributes with the name before the dot
        self._set: set[tuple[str, str]] = set()  # attributes with the name before the dot, "" for an expression
        self._members: defaultdict[str, set[str]] = defaultdict(set)
        self._bases: defaultdict[str, set[str]] = defaultdict(set)
        self._class = ""
        self._parameters: frozenset[str] = frozenset()  # of the functions around
        self._of_any: set[str] = set()  # classes that are made in a function, of a base that it is given
        self._spread = False  # whether a call gives arguments by names that stand in a dictionary
        for tree in trees:
            self.visit(tree)
        if self._spread:
            self.keywords |= self.strings
        for owner, name in self._set:
            if owner in self._bases:
                self._members[owner].add(name)

    def families(self) -> list[set[str]]:
        """The names that objects of classes which inherit from one another may have."""
        root = {name: name for name in {*self._members, *self._bases}}
        for name, bases in self._bases.items():
            for base in bases & root.keys():
                old, new = root[name], root[base]
                root = {each: new if at == old else at for each, at in root.items()}
        found: defaultdict[str, set[str]] = defaultdict(set)
        for name, at in root.items():
            found[at] |= self._members[name]
        return list(found.values())

    def loose(self) -> set[str]:
        """Attributes that are set other than through `self` or a class's name, so it is not known what has them.

        A function that was taken out of its class sets them through `self` too, and is seen in its class as well. What
        a class has whose base may be any is one of them.
        """
        known = set().union(*self._members.values())
        return {
            name for owner, name in self._set if owner not in self._bases and not (owner == "self" and name in known)
        }.union(*(self._members[name] for name in self._of_any))

    def exceptions(self) -> set[str]:
        """The classes of exceptions, whose names are told and reported."""
        found: set[str] = set()
        size = -1
        while size != (size := len(found)):
            found |= {name for name, bases in self._bases.items() if any(_is_exception(b) or b in found for b in bases)}
        return found

    def foreign(self, package: str) -> set[str]:
        """What is imported from elsewhere, what is used of modules from there, and the parts of module names."""
        elsewhere = {name for name, module in self._aliases.items() if not _is_ours(module, package)}
        found = {name for owner, name in self._read if owner in elsewhere}
        for module, name in self._foreign:
            found |= {*module.split(".")}
            if not _is_ours(module, package):
                found |= {*name.split(".")}
        return found

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._count(node.name)
        bases = (getattr(base, "attr", getattr(base, "id", "")) for base in node.bases)  # of a module's, or imported
        self._bases[node.name] |= {*bases} - {""}
        if any(isinstance(each, ast.Call) or getattr(each, "id", "") in self._parameters for each in node.bases):
            self._of_any.add(node.name)
        self._members[node.name] |= {*bound(node)}
        self.bodies.append({*bound(node), *_named_in(node)})
        outer, self._class = self._class, node.name
        self.generic_visit(node)
        self._class = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._count(node.name)
        outer, self._parameters = self._parameters, self._parameters | {each.arg for each in node.args.args}
        self.generic_visit(node)
        self._parameters = outer

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._count(node.attr)
        self.visit(node.value)
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if isinstance(node.ctx, ast.Load):
            self._read.add((owner, node.attr))
            return
        if owner == "self" and self._class:
            owner = self._class
        self._set.add((owner, node.attr))

    def visit_Name(self, node: ast.Name) -> None:
        self._count(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        self.identifiers.add(node.arg)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg:
            self.keywords.add(node.arg)
        else:
            self._spread = True
        self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._foreign.add((alias.name, ""))
            self._aliases[alias.asname or alias.name.partition(".")[0]] = alias.name
            self.identifiers.add(alias.asname or alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._foreign.add((node.module or "", alias.name))
            self._count(alias.name)
            self.identifiers.add(alias.asname or alias.name)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.identifiers.add(node.name or "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.strings |= {node.value, *node.value.split(".")}

    def _count(self, name: str) -> None:
        self.uses[name] += 1
        self.identifiers.add(name)


def _named_in(node: ast.ClassDef) -> Iterator[str]:
    functions = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    outside = [part for each in functions for part in (*each.args.defaults, *each.decorator_list)]
    for each in (*_own(node), *(part for whole in outside for part in ast.walk(whole))):
        if isinstance(each, ast.Name):
            yield each.id


def _is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _is_ours(module: str, package: str) -> bool:
    return module.partition(".")[0].startswith(package)


class _Renamed(Globals):
    """Gives globals, members of classes and attributes their new names."""

    def __init__(self, package: str, table: Mapping[str, str]) -> None:
        super().__init__()
        self._package = package
        self._table = table

    def _new(self, name: str) -> str:
        return self._table.get(name, name)

    def _of_class(self, name: str) -> bool:
        return bool(self._scopes) and self._scopes[-1][0] and name in self._scopes[-1][1]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self.is_global(node) or self._of_class(node.id):
            node.id = self._new(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = self._new(node.attr)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._new(name) for name in node.names]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        super().visit_FunctionDef(node)
        self._define(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        super().visit_ClassDef(node)
        self._define(node)
        return node

    def _define(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        if not self._scopes or self._scopes[-1][0]:
            node.name = self._new(node.name)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        if node.name and (not self._scopes or self._scopes[-1][0]):
            node.name = self._new(node.name)
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        return self._imported(node, False)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        return self._imported(node, _is_ours(node.module or "", self._package))

    def _imported(self, node: ast.Import | ast.ImportFrom, ours: bool) -> ast.AST:
        for alias in node.names:
            name = alias.name
            here = alias.asname or name
            local = here if self._scopes and not self._scopes[-1][0] else self._new(here)
            if ours:
                alias.name = self._new(name)
            alias.asname = None if local == alias.name or "." in here else local
        return node


def _shorten_parameters(tree: ast.Module, kept: frozenset[str]) -> None:
    """Gives the parameters of all functions the same few names: `a`, `b` …

    A function inside that has the parameter's name for something else keeps the parameter from it.
    """
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.Lambda)):
            continue
        body = function.body if isinstance(function.body, list) else [function.body]
        nodes = [node for statement in body for node in ast.walk(statement)]
        hidden = {name for node in nodes if isinstance(node, (*FUNCTIONS, ast.ClassDef)) for name in bound(node)}
        hidden |= {name for node in nodes if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
        hidden |= {name for name, node in bound(function).items() if not isinstance(node, (ast.Name, ast.arg))}
        taken = {each for node in nodes for each in _identifiers(node)} | {each.arg for each in function.args.args}
        letters = (each for each in string.ascii_lowercase if each not in taken)
        new = {
            each.arg: next(letters)
            for each in function.args.args
            if each.arg not in kept and each.arg not in hidden and each.arg != "self"
        }
        for each in function.args.args:
            each.arg = new.get(each.arg, each.arg)
        for node in nodes:
            if isinstance(node, ast.Name):
                node.id = new.get(node.id, node.id)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                node.name = new.get(node.name, node.name)


def _identifiers(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
            yield name
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name
