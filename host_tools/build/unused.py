"""Cuts what a configuration does not use out of the firmware's modules.

A feature that is off stands in the code as an attribute that is always None, False or 0: one of the configuration's
objects, or one that nothing sets to anything else. Where such an attribute is read its value is written, what then
cannot run is cut, and so are functions that nothing calls and attributes that nothing reads. Names mean the same in all
of a program, as for `names`: an attribute has a constant value if all that have its name do.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from host_tools.build.names import PUBLIC, VOCABULARY

_TERMINAL = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_COMPARED = {
    ast.Is: lambda one, other: one is other,
    ast.IsNot: lambda one, other: one is not other,
    ast.Eq: lambda one, other: one == other,
    ast.NotEq: lambda one, other: one != other,
}


@dataclass(frozen=True)
class Unused:
    """What a configuration does not use: those attributes of its objects that always have the same value, which is
    false, and the value; the names of the objects' classes, and of all their attributes. `only`: the attributes that
    are looked at, all by default; fewer show what each costs."""

    values: tuple[tuple[str, Any], ...] = ()
    classes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None


EVERYTHING_IS_USED = Unused()


def unused(config: Any) -> Unused:
    """What `config`, a usageguard.core.settings.Config, does not use."""
    values: dict[str, list[Any]] = {}
    classes: set[str] = set()
    for each in _objects(config, set()):
        classes |= {kind.__name__ for kind in type(each).__mro__[:-1]}
        for name, value in vars(each).items():
            values.setdefault(name, []).append(value)
    found = {name: held[0] for name, held in values.items() if not held[0] and all(_same(held[0], v) for v in held)}
    constants = {name: value for name, value in found.items() if value is None or isinstance(value, int)}
    return Unused(tuple(sorted(constants.items())), tuple(sorted(classes)), tuple(sorted(values)))


def _objects(value: Any, seen: set[int]) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from _objects(each, seen)
    elif hasattr(value, "__dict__") and id(value) not in seen:
        seen.add(id(value))
        yield value
        for held in vars(value).values():
            yield from _objects(held, seen)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def cut(sources: Mapping[str, bytes], given: Unused, kept: Iterable[str]) -> dict[str, bytes]:
    """The modules `sources`, by name, without what is not used. What is named in `kept` stays as it is."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    stays = VOCABULARY.union(PUBLIC, kept)
    touched: set[str] = set()
    found = True
    while found:  # what was cut may have been what set, read or called something else
        facts = _Program(trees.values(), given).facts(stays)
        if given.only is not None:
            facts = {name: value for name, value in facts.items() if name in given.only}
        found = {name for name, tree in trees.items() if _Folded(facts).changes(tree)}
        program = _Program(trees.values(), given)
        found |= {name for name, tree in trees.items() if _Swept(program, stays).changes(tree)}
        touched |= found
    return {
        name: ast.unparse(ast.fix_missing_locations(trees[name])).encode() if name in touched else text
        for name, text in sources.items()
    }


class _Program(ast.NodeVisitor):
    """What a program sets, reads and defines."""

    def __init__(self, trees: Iterable[ast.Module], given: Unused) -> None:
        self._given = dict(given.values)
        self._classes = {*given.classes}
        self._attributes = {*given.attributes}
        self._constants: dict[str, list[Any]] = {}
        self._varies: set[str] = set()
        self._set_by: dict[str, set[str]] = {}  # classes of the configuration's objects, by attributes that they set
        self._class: list[str] = []
        self.strings: set[str] = set()
        self.read: set[str] = set()
        self.read_attributes: set[str] = set()
        for tree in trees:
            self.visit(tree)
        more = self._classes & self.read  # the firmware makes objects of its own of these
        self._varies |= {name for name, classes in self._set_by.items() if classes & more}

    def facts(self, stays: Collection[str]) -> dict[str, Any]:
        """Attributes with the value that they always have."""
        decided = self._set_by.keys() | self._attributes  # by the configuration
        found = {name: values[0] for name, values in self._constants.items() if name not in decided}
        found = {n: v for n, v in found.items() if not v and all(_same(v, each) for each in self._constants[n])}
        for name, value in self._given.items():
            if all(_same(value, each) for each in self._constants.get(name, ())):
                found[name] = value
        return {name: value for name, value in found.items() if name not in self._varies | self.strings | {*stays}}

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._class.append(node.name)
        for statement in node.body:
            match statement:
                case ast.Assign(targets=targets, value=ast.Constant(value=value)):
                    for target in targets:
                        self._sets(getattr(target, "id", ""), value)
                case ast.Assign(targets=targets):
                    self._varies |= {name.id for name in ast.walk(statement) if isinstance(name, ast.Name)}
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    self._varies.add(name)
        self.generic_visit(node)
        self._class.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            match target, node.value:
                case ast.Attribute(value=owner, attr=name), ast.Constant(value=value):
                    self._sets(name, value)
                    self.visit(owner)
                case ast.Attribute(value=ast.Name(id="self"), attr=name), _ if self._by_config():
                    self._set_by.setdefault(name, set()).add(self._class[-1])
                case _:
                    self.visit(target)
        self.visit(node.value)

    def _by_config(self) -> bool:
        return bool(self._class) and self._class[-1] in self._classes

    def _sets(self, name: str, value: Any) -> None:
        self._constants.setdefault(name, []).append(value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self.read_attributes.add(node.attr)
            self.read.add(node.attr)
        else:
            self._varies.add(node.attr)
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Attribute):
            self.read_attributes.add(node.target.attr)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.read.add(node.id)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.read.update(alias.name for alias in node.names)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.strings |= {node.value, *node.value.split(".")}


class _Cutter(ast.NodeTransformer):
    def __init__(self) -> None:
        self._changed = False

    def changes(self, tree: ast.Module) -> bool:
        """Visits a module; whether that changed it."""
        self.visit(tree)
        return self._changed


class _Folded(_Cutter):
    """Writes the values of attributes, and cuts what cannot run then."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self._facts = facts
        self._local: dict[str, ast.Constant] = {}

    def changes(self, tree: ast.Module) -> bool:
        named = any(isinstance(node, ast.Attribute) and node.attr in self._facts for node in ast.walk(tree))
        return named and super().changes(tree)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.attr in self._facts and _is_path(node.value):
            self._changed = True
            return ast.Constant(self._facts[node.attr])
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._local.get(node.id, node) if isinstance(node.ctx, ast.Load) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Compare(ast.Constant(value=one), [op], [ast.Constant(value=other)]) if type(op) in _COMPARED:
                return ast.Constant(_COMPARED[type(op)](one, other))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            node.operand = _tested(node.operand)
            if (value := _truth(node.operand)) is not None:
                return ast.Constant(not value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        for at, value in enumerate(node.values):
            known = value.value if isinstance(value, ast.Constant) else None
            if isinstance(value, ast.Constant) and bool(known) is not decides and at < len(node.values) - 1:
                continue
            values.append(value)
            if isinstance(value, ast.Constant) and bool(known) is decides:
                break
        node.values = values
        return node if len(values) > 1 else values[0]

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        node.test = _tested(node.test)
        known = _truth(node.test)
        return node if known is None else node.body if known else node.orelse

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        node.test = _tested(node.test)
        known = _truth(node.test)
        if known is not None:
            return node.body if known else node.orelse
        node.body = node.body or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer, self._local = self._local, {}
        yields = _yields(node)
        self.generic_visit(node)
        if constants := _local_constants(node):
            self._local = constants
            self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        if yields and not _yields(node):
            node.body.append(ast.Expr(ast.Yield()))
        self._local = outer
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                end = next((at for at, each in enumerate(statements) if isinstance(each, _TERMINAL)), len(statements))
                del statements[end + 1 :]
                if not statements and field == "body" and not isinstance(node, (ast.Module, ast.If)):
                    statements.append(ast.Pass())
        return node


def _local_constants(function: ast.FunctionDef) -> dict[str, ast.Constant]:
    """The names of a function that only one statement binds, to a false constant."""
    bound: Counter[str] = Counter()
    found: dict[str, ast.Constant] = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value) as constant) if not value:
                found[name] = constant
            case ast.arg(arg=name) | ast.alias(name=name) | ast.FunctionDef(name=name):
                bound[name] += 2
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                bound.update(names * 2)
            case ast.ExceptHandler(name=str(name)) | ast.Name(id=name, ctx=ast.Del()):
                bound[name] += 2
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound[node.id] += 1
    return {name: constant for name, constant in found.items() if bound[name] == 1}


def _truth(node: ast.expr) -> bool | None:
    """Whether an expression is always true or always false, and does nothing else."""
    match node:
        case ast.Constant(value=value):
            return bool(value)
        case ast.BoolOp(op=op, values=values) if all(map(_is_pure, values)):
            decides = isinstance(op, ast.Or)
            return decides if any(_truth(each) is decides for each in values) else None
    return None


def _tested(node: ast.expr) -> ast.expr:
    """An expression that is true where `node` is, which only a test uses."""
    if not isinstance(node, ast.BoolOp):
        return node
    decides = isinstance(node.op, ast.Or)
    values = [each for each in map(_tested, node.values) if _truth(each) is not (not decides)]
    if len(values) < 2:
        return values[0] if values else ast.Constant(not decides)
    node.values = values
    return node


def _is_path(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_path(node.value))


def _is_pure(node: ast.expr) -> bool:
    return not any(isinstance(each, (ast.Call, ast.Yield, ast.YieldFrom, ast.Subscript)) for each in ast.walk(node))


def _yields(function: ast.FunctionDef) -> bool:
    pending: list[ast.AST] = [*function.body]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            pending += ast.iter_child_nodes(node)
    return False


class _Swept(_Cutter):
    """Removes functions that nothing names and attributes that nothing reads, and imports that nothing uses."""

    def __init__(self, program: _Program, stays: Collection[str]) -> None:
        super().__init__()
        self._program = program
        self._stays = {*stays} | program.strings

    def _is_read(self, name: str) -> bool:
        return name in self._program.read or name in self._stays or name.startswith("__")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        if not self._is_read(node.name) and not node.decorator_list:
            self._changed = True
            return None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if not node.body and not node.orelse and _is_pure(node.test):
            self._changed = True
            return None
        node.body = node.body or [ast.Pass()]
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        if not _is_pure(node.value):
            return node
        left = [target for target in node.targets if not self._is_dropped(target)]
        self._changed |= len(left) < len(node.targets)
        node.targets = left
        return node if left else None

    def _is_dropped(self, target: ast.expr) -> bool:
        if not isinstance(target, ast.Attribute) or not _is_path(target.value) or target.attr.startswith("__"):
            return False
        return target.attr not in self._program.read_attributes and target.attr not in self._stays
