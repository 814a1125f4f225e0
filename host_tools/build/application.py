"""What an application has to have, and what ends it."""

from __future__ import annotations

import ast
import re

NO_MAIN, DEFINE = "has no main", "define main(guard) in it"

_FRAME = re.compile(r'  File "(.+)", line (\d+)')


def has_main(text: bytes) -> bool:
    """Whether the source binds the name `main`, or may: by a star import, or it is no Python of this version, which
    mpy-cross judges."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return True
    return any(_binds_main(node) for node in ast.walk(tree))


def _binds_main(node: ast.AST) -> bool:
    match node:
        case ast.FunctionDef(name="main") | ast.AsyncFunctionDef(name="main") | ast.ClassDef(name="main"):
            return True
        case ast.Name(id="main", ctx=ast.Store()):
            return True
        case ast.ImportFrom(names=names):
            return any((each.asname or each.name) in ("main", "*") for each in names)
    return False


class Trace:
    """The last error that a device's console showed. `place` is where in the application's file it was raised."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._within = False
        self.error = self.place = ""

    def __str__(self) -> str:
        return f" ({self.error})" if self.error else ""

    def hear(self, line: str) -> None:
        if line.startswith("Traceback "):
            self._within = True
            self.place = ""
        elif self._within and (frame := _FRAME.match(line)):
            if frame[1].rpartition("/")[2] == self._app:  # the innermost wins; the firmware's have no line numbers
                self.place = f" ({self._app}, line {frame[2]})"
        elif self._within and line.startswith(" "):
            pass  # CPython shows the source
        elif self._within or _is_error(line):
            if not self._within:  # out of memory, MicroPython prints no traceback
                self.place = ""
            self.error = line.removesuffix(": ")  # an exception without a text
            self._within = False


def _is_error(line: str) -> bool:
    """Whether a line is the last one of a traceback: an exception's name, alone or before a colon."""
    name = line.partition(":")[0]
    return name.isidentifier() and name.endswith(("Error", "Exception", "Exit", "Interrupt"))
