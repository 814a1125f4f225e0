"""Compiles the firmware's modules for a device: each by itself, with line numbers, or as a release, merged."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from host_tools.base import paths
from host_tools.build import bundle, bytecode, late, modules

PACKAGE = "usageguard"


def with_lines(names: Iterable[str]) -> dict[str, bytes]:
    """The bytecode of modules by path in the set; asserts and line numbers are kept."""
    texts = {place: text for _, place, text in _sources(names)}
    return {_compiled(place): bytecode.compiled(text, place, place, lines=True) for place, text in texts.items()}


@dataclass(frozen=True)
class Release:
    """A release of the firmware's modules `names`; `roots` and what these import is loaded by every boot."""

    names: tuple[str, ...]
    roots: tuple[str, ...]

    def files(self, imported: Iterable[str]) -> dict[str, bytes]:
        """The bytecode by path in the set, for an application that imports those modules, among others."""
        key = b"release", msgspec.json.encode((self.names, self.roots, sorted({*imported} & {*self.names})))
        made = bytecode.cached(key, lambda: msgspec.msgpack.encode(self._made(imported)))
        return msgspec.msgpack.decode(made, type=dict[str, bytes])

    def compiled(self, text: bytes, name: str) -> bytes:
        """The bytecode of a source that imports from the firmware."""
        key = b"adapted", msgspec.json.encode((self.names, self.roots)), name.encode(), text
        return bytecode.cached(key, lambda: self._adapted(self._bundle(), text, name))

    def _made(self, imported: Iterable[str]) -> dict[str, bytes]:
        merged = self._bundle()
        texts = {}
        for name, place, text in _sources(self.names):
            if name not in merged.members:
                texts[place] = merged.adapted(bytecode.folded(text, place, place, short=True))
            elif name in imported or name == self.roots[-1]:
                texts[place] = merged.alias(name)
        kept = merged.names(self.roots).union(*(bundle.imported(text, PACKAGE) for text in texts.values()))
        texts[f"{PACKAGE}/__init__.py"], seldom = late.parted(merged.text, kept, PACKAGE)
        texts |= {f"{name}.py": text for name, text in seldom.items()}
        return {_compiled(place): bytecode.assembled(text, place) for place, text in texts.items()}

    def _bundle(self) -> bundle.Bundle:
        sources = {
            name: bytecode.folded(text, place, place, short=True)
            for name, place, text in _sources(self.names)
            if name.startswith(PACKAGE + ".")
        }
        return bundle.bundled(sources, self.roots, PACKAGE)

    def _adapted(self, merged: bundle.Bundle, text: bytes, place: str) -> bytes:
        return bytecode.assembled(merged.adapted(bytecode.folded(text, place, place, short=True)), place)


def released(names: Iterable[str], roots: Iterable[str]) -> Release:
    return Release(tuple(sorted(names)), tuple(roots))


def _sources(names: Iterable[str]) -> Iterable[tuple[str, str, bytes]]:
    """(name, path in the set, source) of modules, without packages that have nothing to run: MicroPython imports a
    folder without `__init__` too, and keeps less of the heap for it."""
    for name in names:
        file = modules.source(name)
        assert file
        text = file.read_bytes()
        if file.name != "__init__.py" or any(not isinstance(node, ast.Expr) for node in ast.parse(text).body):
            yield name, file.relative_to(paths.firmware()).as_posix(), text


def _compiled(place: str) -> str:
    return place.removesuffix(".py") + ".mpy"
