"""Converts TOML to typed structs; errors name file and field in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import msgspec.inspect

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.base.units import Octets, Seconds, quote

T = TypeVar("T")
_PLACE = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_TYPES = {
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "date": "a date",
    "datetime": "a date and time",
}
MANY = 6
"""The most choices that an error lists if one of them resembles the value."""
_OR = {">=": "or more", "<=": "or less"}


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TOML table: immutable, and a key that it does not have is an error."""


def parse(text: str, where: str) -> dict[str, Any]:
    """Parses TOML. UsageError names the line."""
    return files.parse(text, where, is_json=False, hint="")


def convert(raw: dict[str, Any], kind: type[T], where: str, examples: Mapping[str, str]) -> T:
    """Converts `raw` to a struct of `kind`, or raises UsageError. `examples` has hints for missing fields, by name."""
    try:
        return msgspec.convert(raw, kind, dec_hook=_unit)
    except msgspec.ValidationError as error:
        raise _explain(where, str(error), raw, kind, examples) from None


def _unit(kind: type, value: Any) -> Any:
    if kind in (Octets, Seconds):
        return kind.parse(value)
    raise NotImplementedError(kind)


def place(path: str) -> str:
    """A path such as `.traffic[1].period` in the words of an error: "traffic #2, period"."""
    words = ""
    for key, index in _PLACE.findall(path):
        if index:
            words += f" #{int(index) + 1},"
        else:
            words += (" " if words.endswith(",") else "." if words else "") + key
    return words.rstrip(",")


def at(raw: Any, path: str) -> Any:
    """What is at a path such as `traffic[1].period`; None where nothing is."""
    for key, index in _PLACE.findall(f".{path}" if path else ""):
        try:
            raw = raw[int(index)] if index else raw[key]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _explain(where: str, message: str, raw: Any, kind: type, examples: Mapping[str, str]) -> UsageError:
    """The UsageError for a message of msgspec."""
    problem, _, path = message.rpartition(" - at `$")
    path = path.rstrip("`") if problem else ""
    problem = problem or message
    kinds, value = _at(path, raw, kind)

    def error(problem: str, hint: str = "", key: str = "") -> UsageError:
        return UsageError(where, place(f"{path}.{key}" if key else path), problem, hint)

    if match := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        known = [field.encode_name for kind in kinds for field in getattr(kind, "fields", ())]
        near = difflib.get_close_matches(match[1], known, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
        return error("no such field", hint, match[1])
    if match := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return error("is missing", examples.get(match[1], "give one"), match[1])
    if match := re.fullmatch(r"Expected `int` (>=|<=) (-?\d+)", problem):
        return error(f"{quote(value)} is out of range", f"give {match[2]} {_OR[match[1]]}")
    if match := re.fullmatch(r"Expected `str` of length (>=|<=) (\d+)", problem):
        return error(f"{quote(value)} has {len(value)} characters", f"give {match[2]} {_OR[match[1]]}")
    if match := re.fullmatch(r"Expected `([^`]*)`, got `.*`", problem):
        wanted = " or ".join(_TYPES.get(name, name) for name in match[1].split(" | ") if name != "null")
        return error(f"{quote(value)} is not {wanted}", f"give {wanted}")
    if problem == "Invalid RFC3339 encoded date":
        return error(f"{quote(value)} is not a date", 'write it as in "2026-03-15"')
    if problem.startswith(("Invalid enum value", "Invalid value")):
        choices = [text for kind in kinds for text in getattr(kind, "values", (getattr(kind, "tag", None),))]
        hint = f"use {' or '.join(quote(text) for text in choices)}"
        near = difflib.get_close_matches(str(value), map(str, choices), n=1)
        if len(choices) > MANY:
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(map(str, choices))}"
        return error(f"{quote(value)} is not known here", hint)
    return error(problem)


def _at(path: str, raw: Any, kind: type) -> tuple[list[msgspec.inspect.Type], Any]:
    """The types that are allowed at a path, and the value there."""
    kinds: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(kind)]
    for key, index in _PLACE.findall(path):
        if index:
            kinds = [kind.item_type for kind in kinds if isinstance(kind, msgspec.inspect.ListType)]
            raw = raw[int(index)]
        else:
            structs = [kind for kind in kinds if isinstance(kind, msgspec.inspect.StructType)]
            fields = [field.type for kind in structs for field in kind.fields if field.encode_name == key]
            kinds = fields or [kind for kind in structs if kind.tag_field == key]
            raw = raw.get(key)
        kinds = [
            each
            for kind in kinds
            for each in (kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,))
        ]
        if isinstance(raw, dict):  # of a union of tables only the one that the tag names
            kinds = [kind for kind in kinds if _tagged(kind, raw)] or kinds
    return kinds, raw


def _tagged(kind: msgspec.inspect.Type, raw: dict[str, Any]) -> bool:
    field = getattr(kind, "tag_field", None)
    return field is None or raw.get(field) == getattr(kind, "tag", None)
