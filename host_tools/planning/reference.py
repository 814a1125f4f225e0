"""Writes firmware/CONFIG.md: every key of configurations and scenarios, as what checks them has it.

    python -m host_tools.planning.reference

Keys, types, ranges and defaults of a device's tables are recorded while the firmware's validator reads a configuration
that has all of them; those of a scenario are read from its structs. meanings.toml adds what they mean.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import msgspec.inspect as kinds

from host_tools.base import paths, toml
from host_tools.base.days import date_of
from host_tools.base.units import SIZE_UNITS, TIME_UNITS, Octets, Seconds
from host_tools.build import device_config
from host_tools.scenario.file import Scenario
from host_tools.scenario.owner import part_limits

RECIPES = Path(__file__).with_name("recipes")
_TEXT = toml.parse(Path(__file__).with_name("meanings.toml").read_text("utf-8"), "meanings.toml")
TABLES: dict[str, str] = _TEXT["tables"]
NOTES: dict[str, str] = _TEXT["notes"]
DEFAULTS: dict[str, str] = _TEXT["defaults"]
MEANINGS: dict[str, dict[str, Any]] = _TEXT["keys"]
SHARED = ("device", "plan", "classes", "upstream", "enforcement")
"""What a scenario has in common with a device's configuration."""
LISTS = ("classes", "host", "traffic", "order", "fault", "platform", "deploy", "tiers", "members")

SAMPLE: dict[str, Any] = {
    "device": {"id": "tracker-001", "key": "00" * 32},
    "plan": {
        "allowance_octets": 30 << 20,
        "package": {"months": 6, "slice": "month"},
        "overage": {"tiers": [{"block_octets": 1, "fen": 1}, {"from_octets": 1, "block_octets": 1, "fen": 1}]},
        "account": {},
        "lifecycle": {"test_until": "2026-03-15", "test_octets": 1 << 20},
        "pool": {},
        "throttle": {"rate_octets_s": 1},
        "burst": {},
    },
    "modem": {"family": "quectel", "apn": "cmiot", "psm": {"active_s": 10}},
    "upstream": {"mqtt": {}},
}
"""A configuration with every table that a validator reads only where it is there, but those below."""
BY_DAY: dict[str, Any] = {
    **SAMPLE,
    "plan": {"daily": {"cap_octets": 1 << 20}, **{k: v for k, v in SAMPLE["plan"].items() if k != "pool"}},
}
"""The same with what does not go with a pool."""
BY_HOUR: dict[str, Any] = {
    **SAMPLE,
    "plan": {"allowance_octets": 30 << 20, "hours": {"from": "23:00", "to": "07:00"}, "roaming": {}},
}
"""A configuration with what goes with none of these."""


@dataclass
class Key:
    """A key of a table. `default` is None where it is required, "" where there is no value without it."""

    table: str
    name: str
    range: str
    default: str | None
    check: Callable[[Any], Any]
    """Takes a value as TOML has it; raises for one that is not right."""

    @property
    def path(self) -> str:
        return f"{self.table}.{self.name}" if self.table else self.name

    @property
    def meaning(self) -> str:
        return self._described["means"]

    @property
    def example(self) -> Any:
        """A value as TOML has it."""
        return self._described["example"]

    @property
    def _described(self) -> dict[str, Any]:
        """KeyError where meanings.toml does not have this key. The carrier's is by default that of the plan."""
        head, _, rest = self.path.partition(".")
        return MEANINGS[self.path] if self.path in MEANINGS or head != "carrier" else MEANINGS[f"plan.{rest}"]


# --- the device's tables ---


def device_keys() -> list[Key]:
    """The keys of a device's configuration, by tables, and in the order in which the validator reads them."""
    paths.use_firmware()
    from usageguard.config import load, table

    required = inspect.signature(table.Table.integer).parameters["default"].default
    found: dict[str, tuple[Key, Any]] = {}

    class Recorder(table.Table):
        """Records each key before it reads it."""

        def _record(self, method: str, name: str, limits: str, default: Any, *given: Any) -> Any:
            path = re.sub(r"\[\d+\]", "", self._path)

            def check(value: Any) -> Any:
                plain = device_config.normalized({"plan": {name: value}}, "example")["plan"]
                return getattr(table.Table(plain, path), method)(name, *given)

            key = Key(path, name, limits, None if default is required else _shown(_counted(name, default)), check)
            if key.path not in found or found[key.path][0].range != limits:  # a list's later items have the full range
                first = found.get(key.path)
                key.default = first[0].default if first else key.default
                found[key.path] = key, default
            return getattr(super(), method)(name, *given)

        def integer(self, name: str, low: int, high: int, default: Any = required) -> Any:
            return self._record("integer", name, _span(name, low, high), default, low, high, default)

        def text(self, name: str, shortest: int, longest: int, alphabet: Any, default: Any = required) -> Any:
            span = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
            given = (shortest, longest, alphabet, default)
            return self._record("text", name, f"{span} {alphabet[1]}", default, *given)

        def choice(self, name: str, choices: tuple[str, ...], default: Any = required) -> Any:
            return self._record("choice", name, _choices(choices), default, choices, default)

        def boolean(self, name: str, default: Any) -> Any:
            return self._record("boolean", name, "true or false", default, default)

        def date(self, name: str, default: Any = required) -> Any:
            return self._record("date", name, "date", default, default)

        def steps(self, name: str, default: Any, longest: int, low: int, high: int, falling: bool = False) -> Any:
            limits = f"up to {longest} {'falling' if falling else 'rising'} numbers, {_span(name, low, high)}"
            given = (default, longest, low, high, falling)
            return self._record("steps", name, limits, default, *given)

    config = load.read(Recorder(SAMPLE, ""))
    load.read(Recorder(BY_DAY, ""))
    load.read(Recorder(BY_HOUR, ""))
    plan = config.plan
    for name in ("margin_octets", "reserve_octets"):
        key, _ = found[f"plan.{name}"]
        key.default = _size(getattr(plan, name))
    for path, words in DEFAULTS.items():
        if path in found:
            key, _ = found[path]
            key.default = words.format(key.default)
    order = list(TABLES)
    return sorted((key for key, _ in found.values()), key=lambda key: order.index(key.table))


# --- the scenario's ---


def scenario_keys() -> tuple[list[Key], dict[str, list[type]]]:
    """The keys of a scenario but for the device's tables, and for each list whose tables are of several kinds those
    kinds, each a struct with a tag."""
    unions: dict[str, list[type]] = {}
    keys = list(_struct_keys(Scenario, "", unions))
    for key in keys:
        key.default = DEFAULTS.get(key.path, key.default)
    return keys, unions


def _struct_keys(struct: type, table: str, unions: dict[str, list[type]]) -> Iterator[Key]:
    hints = get_type_hints(struct, include_extras=True)
    inner = []
    info = kinds.type_info(struct)
    assert isinstance(info, kinds.StructType)
    for field in info.fields:
        name = field.encode_name
        path = f"{table}.{name}" if table else name
        if not table and name in SHARED:
            continue
        types = list(field.type.types) if isinstance(field.type, kinds.UnionType) else [field.type]
        kind = next(each for each in types if not isinstance(each, kinds.NoneType))
        item = kind.item_type if isinstance(kind, kinds.ListType) else kind
        if isinstance(item, kinds.StructType):
            inner.append((item.cls, path))
        elif isinstance(item, kinds.UnionType) and isinstance(item.types[0], kinds.StructType):
            unions[path] = [each.cls for each in item.types if isinstance(each, kinds.StructType)]
        else:
            limits = _ordered(name) if table == "order" else ""
            yield Key(table, name, limits or _limits(name, kind), _default(field), _checked(hints[field.name]))
    for cls, path in inner:
        yield from _struct_keys(cls, path, unions)


def _ordered(name: str) -> str:
    """The range that a device takes in an order; "" where it is not a number."""
    found = part_limits(name)
    if found is None:
        return ""
    if _unit(name) or name.endswith("_octets_s"):
        return _span(name, *found)
    return f"{date_of(found[0])} to {date_of(found[1])}"


def union_keys(structs: Iterable[type], table: str) -> list[Key]:
    """The keys of several kinds of tables, each once; where their ranges differ, all of them."""
    found: dict[str, Key] = {}
    for struct in structs:
        for key in _struct_keys(struct, table, {}):
            there = found.setdefault(key.name, key)
            if key.range not in there.range:
                there.range += f" or {key.range}"
    return list(found.values())


def _checked(hint: Any) -> Callable[[Any], Any]:
    kind = msgspec.defstruct("Example", [("value", hint)])
    return lambda value: toml.convert({"value": value}, kind, "example", {})


def _default(field: kinds.Field) -> str | None:
    if field.required:
        return None
    if field.default_factory is not msgspec.NODEFAULT:
        return _shown(field.default_factory())
    return _shown(field.default)


_NAMES: dict[type, str] = {
    kinds.BoolType: "true or false",
    kinds.DateType: "date",
    kinds.DateTimeType: "date and time with a zone",
    kinds.DictType: "table",
}


def _limits(name: str, kind: kinds.Type) -> str:
    if isinstance(kind, kinds.CustomType):
        return "size" if kind.cls is Octets else "time"
    if isinstance(kind, kinds.IntType):
        low = kind.ge if kind.gt is None else kind.gt + 1
        high = kind.le if kind.lt is None else kind.lt - 1
        return _span(name, low, high, units=False)
    if isinstance(kind, kinds.LiteralType):
        return _choices(kind.values)
    if isinstance(kind, kinds.StrType):
        return "text" if kind.max_length is None else f"text of {kind.min_length} to {kind.max_length:,} characters"
    if isinstance(kind, (kinds.ListType, kinds.VarTupleType)):
        return f"list of {_limits(name, kind.item_type)}"
    return _NAMES[type(kind)]


# --- texts ---


def _unit(name: str) -> str:
    for ending, unit in (
        ("_octets_s", "size per second"),
        ("_octets", "size"),
        ("_s", "time"),
        ("_fen", "fen"),
        ("fen", "fen"),
        ("permille", "permille"),
        ("_ms", "ms"),
        ("_min", "minutes"),
        ("_days", "days"),
        ("months", "months"),
        ("_dbm", "dBm"),
    ):
        if name.endswith(ending):
            return unit
    return ""


def _span(name: str, low: Any, high: Any, units: bool = True) -> str:
    """The range of an integer; with `units` it may be written with one where its name says what it counts."""
    unit = _unit(name)
    shown: Callable[[Any], str] = "{:,}".format
    if not units:
        unit = {"size": "bytes", "size per second": "bytes per second", "time": "seconds"}.get(unit, unit)
    elif unit.startswith("size"):
        shown = _size
    elif unit == "time":
        shown = _time
    if low is None:
        return unit or "whole number"
    limits = f"{shown(low)} or more" if high is None else f"{shown(low)} to {shown(high)}"
    return f"{unit}, {limits}" if unit else limits


def _size(octets: int) -> str:
    """Exact, in the largest unit: "8KB", "157,286 B"."""
    unit = next((unit for unit, many in reversed(SIZE_UNITS.items()) if octets and octets % many == 0), "B")
    return f"{octets // SIZE_UNITS[unit]:,}{'' if unit != 'B' else ' '}{unit}"


def _time(seconds: int) -> str:
    """Exact, in the largest unit: "1h", "0s"."""
    unit = next((unit for unit, many in TIME_UNITS.items() if seconds and seconds % many == 0), "s")
    return f"{seconds // TIME_UNITS[unit]:,}{unit}"


def _choices(values: Iterable[Any]) -> str:
    *others, last = [f'"{each}"' if isinstance(each, str) else str(each) for each in values]
    return f"{', '.join(others)} or {last}" if others else last


def _counted(name: str, value: Any) -> Any:
    """A default of the device's, which are plain integers, with its unit."""
    unit = _unit(name)
    if type(value) is int and unit.startswith("size"):
        return Octets(value)
    return Seconds(value) if type(value) is int and unit == "time" else value


def _written(value: Any) -> str:
    """A value as it is written in TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str).strip('"' if isinstance(value, date) else "")


def _shown(value: Any) -> str:
    """A default as a reader sees it; "" for none. What has a unit is an Octets or a Seconds."""
    if value is None or value in ("", (), []):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(str(each) for each in value)}]"
    if isinstance(value, Octets):
        return _size(value)
    if isinstance(value, Seconds):
        return _time(value)
    return f"{value}"


HEAD = """# Configuration

Every key that a person writes. This file is made from what checks the keys: do not edit it, but run
`python -m host_tools.planning.reference`.

Three kinds of files have the same tables and keys, in TOML:

- a *configuration*, which `usageguard deploy` puts on a device, has `[plan]`, `[modem]` and, if wanted, `[[classes]]`,
  `[upstream]` and `enforcement`; it may also be JSON, in a file named `.json`;
- a *plan file*, for `usageguard plan`, needs `[plan]` alone; it may also have a `title` and a `[carrier]`;
- a *scenario*, for `usageguard sim`, names a simulated modem in place of `[modem]`, and has the tables of the simulated
  world beside.

A **size** is a number of bytes, or text with a unit: `31457280`, `"30MB"`, `"1.5GB"`. The units are B, KB, MB and GB,
of 1024 each, as mobile carriers bill; for decimal megabytes give the number of bytes. A **time** is text with units:
`"90s"`, `"10m"`, `"6h"`, `"35d"`, `"1d12h"`; in the device's tables it may be an integer, which is seconds. A **date**
is `2026-03-15`, as TOML has it or as text. **fen** are 1/100 yuan, **permille** 1/1000. An unknown key is an error.

`usageguard plan FILE` says what a file means: limits, dates, warnings, costs, and doubtful settings.

## Recipes
"""

DEVICE_HEAD = """
## The device: keys of configurations, plan files and scenarios

`usageguard provision` writes `[device]` to the board, so that a configuration for many devices leaves it out.
"""

SCENARIO_HEAD = """
## The simulated world: keys of scenarios

A scenario also has the device's tables above, except `[modem]`. A time has a unit, except where the range says seconds.
"""


def render() -> str:
    """The text of CONFIG.md."""
    parts = [HEAD]
    for file in recipes():
        comment, title, body = _recipe(file)
        parts.append(f"\n### {title}\n\n{comment}\n\n```toml\n{body}```\n")
    parts.append(DEVICE_HEAD)
    parts += _tables(device_keys())
    parts.append(SCENARIO_HEAD)
    keys, unions = scenario_keys()
    parts += _tables(keys)
    for table, structs in unions.items():
        parts.append(_union(table, structs))
    return "".join(parts)


def recipes() -> list[Path]:
    """The files of the recipes: the simplest first."""
    return sorted(RECIPES.glob("*.toml"))


def _recipe(file: Path) -> tuple[str, str, str]:
    """(what its first comment says, title, the rest) of a recipe."""
    lines = file.read_text("utf-8").splitlines(keepends=True)
    many = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    comment = "".join(line.removeprefix("# ") for line in lines[:many]).rstrip()
    title = toml.parse("".join(lines), file.name)["title"]
    return comment, title, "".join(lines[many:])


def _tables(keys: Iterable[Key]) -> Iterator[str]:
    by_table: dict[str, list[Key]] = {}
    for key in keys:
        by_table.setdefault(key.table.rpartition(".")[0], [])
        by_table.setdefault(key.table, []).append(key)
    for table, rows in sorted(by_table.items(), key=lambda item: item[0] != ""):  # what is above all tables first
        if not rows:
            continue
        yield f"\n### {_heading(table)}\n\n{TABLES[table]}\n\n{_rows(rows)}"


def _heading(table: str) -> str:
    if not table:
        return "Top of the file"
    return f"`[[{table}]]`" if table.rpartition(".")[2] in LISTS else f"`[{table}]`"


def _rows(keys: Iterable[Key]) -> str:
    lines = ["| Key | Meaning | Range | Default | Example |", "|---|---|---|---|---|"]
    for key in keys:
        default = "required" if key.default is None else key.default or "none"
        lines.append(f"| `{key.name}` | {key.meaning} | {key.range} | {default} | `{_written(key.example)}` |")
    return "\n".join(lines) + "\n"


def _union(table: str, structs: list[type]) -> str:
    lines = []
    notes = f"{TABLES[table]} {NOTES.get(table, '')}".rstrip()
    tag = kinds.type_info(structs[0]).tag_field  # type: ignore[attr-defined]
    for struct in structs:
        info: Any = kinds.type_info(struct)
        own = [field for field in info.fields if field.encode_name != "at"]
        text = [f"`{each.encode_name}`" + ("" if each.required else f" = {_default(each) or 'none'}") for each in own]
        doc = " ".join((inspect.getdoc(struct) or "").split())
        lines.append(f"| `{info.tag}` | {doc} | {', '.join(text) or '-'} |")
    head = f"\n### {_heading(table)}\n\n{notes}\n\n| `{tag}` | What happens | Keys, with defaults |\n|---|---|---|\n"
    return head + "\n".join(lines) + "\n\n" + _key_rows(union_keys(structs, table))


def _key_rows(keys: Iterable[Key]) -> str:
    lines = ["| Key | Meaning | Range | Example |", "|---|---|---|---|"]
    lines += [f"| `{key.name}` | {key.meaning} | {key.range} | `{_written(key.example)}` |" for key in keys]
    return "\n".join(lines) + "\n"


def main() -> None:
    (paths.firmware() / "CONFIG.md").write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
