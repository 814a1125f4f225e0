"""Draws mutants: Cosmic Ray's operators, and the removal of a statement, which it lacks.

The draw follows from a seed and from the text of each place, not from its position: a change elsewhere in the file
leaves it as it is.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import parso
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

from tests.mutation.subjects import FIRMWARE, ROOT, Subject

HERE = ROOT / "tests" / "mutation"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file below firmware/usageguard. `before` and `after` are the lines that differ, stripped."""

    file: str
    where: str  # the class or function
    before: str
    after: str
    code: str  # of the whole file
    name: str = ""  # of one that is kept by name

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.file, self.where, self.before, self.after


class RemoveStatement(Operator):
    """Replaces a simple statement of a function by `pass`."""

    _kept = ("string", "import_name", "import_from", "global_stmt", "keyword")

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "simple_stmt" and node.children[0].type not in self._kept and _function(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        gone = node.children[0]
        node.children[0] = parso.parse("pass").children[0]
        node.children[0].prefix = gone.get_first_leaf().prefix
        return node

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        return ()


def _function(node: Any) -> bool:
    return parso.tree.search_ancestor(node, "funcdef") is not None


def _operators() -> Iterator[tuple[str, Operator]]:
    yield "RemoveStatement", RemoveStatement()
    for name in plugins.operator_names():
        kind = plugins.get_operator(name)
        if not kind.arguments():
            yield name, kind()


def draw(subject: Subject, count: int, seed: int) -> list[Mutant]:
    """`count` mutants of a subject, each at another place; fewer where it has fewer places."""
    places: dict[tuple[str, str, str, str, int], list[tuple[str, Operator, int]]] = {}
    sources = {file: (FIRMWARE / "usageguard" / file).read_text(encoding="utf-8") for file in subject.files}
    for file, source in sources.items():
        lines = source.splitlines()
        tree = get_ast(source)
        nodes = [(node, ASTQuery(node)) for node in ast_nodes(tree)]
        for name, operator in _operators():
            seen: dict[tuple[str, str, str, str], dict[Any, int]] = {}
            occurrence = -1
            for node, query in nodes:
                for start, end in operator.mutation_positions(node):
                    occurrence += 1
                    line = lines[start[0] - 1].strip()
                    family = name.split("/")[-1].split("_")[0]
                    place = file, str(query.get_definition_name() or ""), line, family
                    nth = seen.setdefault(place, {}).setdefault((start, end), len(seen[place]))
                    places.setdefault((*place, nth), []).append((name, operator, occurrence))
    drawn: list[Mutant] = []
    known: set[str] = set()
    for place in sorted(places, key=lambda place: _rank(seed, *place)):
        if len(drawn) == count:
            break
        file, where = place[:2]
        name, operator, occurrence = min(places[place], key=lambda each: _rank(seed, *place, each[0], each[2]))
        code = mutate_code(sources[file], operator, occurrence)
        if code is None or code == sources[file] or code in known:
            continue
        known.add(code)
        drawn.append(_mutant(file, where, sources[file], code))
    return drawn


def _rank(*parts: Any) -> bytes:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).digest()


def _mutant(file: str, where: str, source: str, code: str, name: str = "") -> Mutant:
    old, new = source.splitlines(), code.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    before, after = (" ".join(line.strip() for line in lines) for lines in (old, new))
    return Mutant(file, where, before, after, code, name)


def named() -> list[Mutant]:
    """The mutants of named.toml. ValueError for one whose text is not in its file exactly once."""
    found = []
    for entry in _entries("named.toml"):
        source = (FIRMWARE / "usageguard" / entry["file"]).read_text(encoding="utf-8")
        if source.count(entry["before"]) != 1:
            raise ValueError(f"named.toml: the text of {entry['name']!r} must be in {entry['file']} exactly once")
        code = source.replace(entry["before"], entry["after"])
        found.append(_mutant(entry["file"], "", source, code, entry["name"]))
    return found


def equivalents() -> dict[tuple[str, str, str, str], str]:
    """The mutants of equivalent.toml, and why no test can tell each from the original."""
    entries = _entries("equivalent.toml")
    return {(entry["file"], entry["where"], entry["before"], entry["after"]): entry["why"] for entry in entries}


def _entries(name: str) -> list[dict[str, str]]:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8")).get("mutant", [])
