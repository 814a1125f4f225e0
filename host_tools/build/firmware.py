"""Compiles the firmware's modules for a device: each by itself, with line numbers, or as a release, merged."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from host_tools.base import paths
from host_tools.build import absent, bundle, bytecode, late, modules
from host_tools.build.names import Names, frequent_first, shortened
from host_tools.build.unused import EVERYTHING_IS_USED, Unused, cut

PACKAGE = "usageguard"


def with_lines(names: Iterable[str]) -> dict[str, bytes]:
    """The bytecode of modules by path in the set; asserts and line numbers are kept."""
    texts = {place: text for _, place, text in _sources(names)}
    return {_compiled(place): bytecode.compiled(text, place, place, lines=True) for place, text in texts.items()}


@dataclass(frozen=True)
class Release:
    """A release of the firmware's modules `names`; `roots` and what these import is loaded by every boot.

    What it is used with, such as an application, may import the modules `imported` by their names, and finds what is
    named in `kept`. `unused`: of the configuration that it is made for.
    """

    names: tuple[str, ...]
    roots: tuple[str, ...]
    imported: tuple[str, ...]
    kept: tuple[str, ...]
    unused: Unused

    def files(self) -> dict[str, bytes]:
        """The bytecode by path in the set."""
        return msgspec.msgpack.decode(self._cached([], self._compiled), type=dict[str, bytes])

    def compiled(self, text: bytes, name: str) -> bytes:
        """The bytecode of a source that imports from the firmware."""
        return self._cached([name, text.decode()], lambda: self._beside(text, name))

    def _cached(self, what: list[str], make: Callable[[], bytes]) -> bytes:
        made_from = self.names, self.roots, self.imported, self.kept, self.unused, what
        return bytecode.cached([msgspec.json.encode(made_from)], make)

    def _compiled(self) -> bytes:
        made = {_compiled(place): self._assembled(text, place) for place, text in self._texts.items()}
        return msgspec.msgpack.encode(made)

    def _beside(self, text: bytes, name: str) -> bytes:
        return self._assembled(self._bundle.adapted(bytecode.folded(text, name, name)), name)

    def _assembled(self, text: str, place: str) -> bytes:
        return bytecode.assembled(frequent_first(self._short.applied(text)), place)

    def _folded(self, text: bytes, place: str) -> bytes:
        return absent.cut(bytecode.folded(text, place, place), PACKAGE, self.names)

    @functools.cached_property
    def _modules(self) -> dict[str, tuple[str, bytes]]:
        """(path in the set, source) of the modules by name, with numbers written and without what is not used."""
        places = {name: place for name, place, _ in _sources(self.names)}
        texts = {name: self._folded(text, place) for name, place, text in _sources(self.names)}
        if self.unused != EVERYTHING_IS_USED:
            texts = cut(texts, self.unused, [*self.kept, *_of_root_files()])
        return {name: (places[name], text) for name, text in texts.items()}

    @functools.cached_property
    def _texts(self) -> dict[str, str]:
        """The sources by path in the set."""
        merged = self._bundle
        texts = {}
        for name, (place, text) in self._modules.items():
            if name not in merged.members:
                texts[place] = merged.adapted(text)
            elif name in self.imported or name == self.roots[-1]:
                texts[place] = merged.alias(name)
        kept = merged.names(self.roots).union(*(bundle.imported(text, PACKAGE) for text in texts.values()))
        texts[f"{PACKAGE}/__init__.py"], seldom = late.parted(merged.text, kept, PACKAGE, texts.values())
        return texts | {f"{name}.py": text for name, text in seldom.items()}

    @functools.cached_property
    def _short(self) -> Names:
        drivers = [name.rpartition(".")[2].capitalize() for name in self.roots]  # Guard finds them by the family's name
        return shortened(self._texts, PACKAGE, self._bundle.text, [*self.kept, *_of_root_files(), *drivers])

    @functools.cached_property
    def _bundle(self) -> bundle.Bundle:
        sources = {name: text for name, (_, text) in self._modules.items() if name.startswith(PACKAGE + ".")}
        return bundle.bundled(sources, self.roots, PACKAGE)


@functools.cache
def _of_root_files() -> set[str]:
    """The identifiers of the files in the root, which start a set of any version."""
    return set().union(*(identifiers((paths.firmware() / name).read_bytes()) for name in ("slots.py", "main.py")))


def identifiers(text: bytes) -> set[str]:
    """What may be a name in a source, which need not be Python's: MicroPython is another language in places."""
    return {*re.findall(r"[^\W\d]\w*", text.decode())}


def released(
    names: Iterable[str],
    roots: Iterable[str],
    imported: Iterable[str] = (),
    kept: Iterable[str] = (),
    unused: Unused = EVERYTHING_IS_USED,
) -> Release:
    names = sorted(names)
    return Release(tuple(names), tuple(roots), tuple(sorted({*imported} & {*names})), tuple(sorted({*kept})), unused)


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
