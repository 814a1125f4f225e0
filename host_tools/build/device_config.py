"""Reads what a person wrote for a device: a configuration, a plan file and a scenario have one syntax.

Plan, classes, modem and upstream take sizes and times with a unit ("30MB", "1h") and TOML's dates; plain integers are
octets and seconds. The firmware's own validator checks the result, so that there is one set of rules.
"""

from __future__ import annotations

import difflib
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from host_tools.base import paths, toml
from host_tools.base.errors import UsageError
from host_tools.base.units import Octets, Seconds, quote

_WITH_UNITS = ("plan", "classes", "modem", "upstream")
STAND_IN = {"id": "device", "key": "00" * 32}
_OLD = "is an old spelling"
_UNKNOWN, _NO_TABLE = "is unknown", " is not a table"
_NEAR = 0.8  # how much a key has of the one that is missing: others are rightly there


def normalized(raw: dict[str, Any], where: str) -> dict[str, Any]:
    """A copy of the tables of a file, with plan, classes, modem and upstream as a device gets them: integers and texts.

    UsageError, which names the file `where`, for a value that does not fit its unit, and for an old spelling.
    """
    if "class" in raw:
        raise UsageError(where, "class", _OLD, "write [[classes]]")
    if isinstance(raw.get("device"), dict) and "enforcement" in raw["device"]:
        raise UsageError(where, "device.enforcement", _OLD, "write enforcement above all tables")
    if "allowance_octets" in raw and "plan" not in raw:
        raise UsageError(where, "allowance_octets", "is a key of the plan", "put it under [plan]")
    return {key: _plain(value, key, f".{key}", where) if key in _WITH_UNITS else value for key, value in raw.items()}


def _plain(value: Any, key: str, path: str, where: str) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item, name, f"{path}.{name}", where) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, key, f"{path}[{index}]", where) for index, item in enumerate(value)]
    if type(value) is date:
        return value.isoformat()
    try:
        if key.endswith(("_octets", "_octets_s")):
            return int(Octets.parse(value))
        if key.endswith("_s") and isinstance(value, str):
            return int(Seconds.parse(value))
        if key == "utc_offset_min" and isinstance(value, str):
            return _offset_min(value)
    except ValueError as error:
        raise UsageError(where, toml.place(path), str(error)) from None
    return value


def _offset_min(zone: str) -> int:
    """The offset of a zone, such as "Asia/Shanghai", in minutes; ValueError where it is not the same all year."""
    try:
        rules = ZoneInfo(zone)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"{zone!r} is not a zone that is known here; give the minutes east of UTC") from None
    year = date.today().year
    offsets = [datetime(year, month, 1, 12, tzinfo=rules).utcoffset() for month in range(1, 13)]
    minutes = sorted({int(offset.total_seconds()) // 60 for offset in offsets if offset is not None})
    if len(minutes) > 1:
        low, high = minutes[0], minutes[-1]
        raise ValueError(
            f"{zone} changes between {low} and {high}, and a device keeps one offset: give {low}, which begins each"
            f" period of the summer {high - low} minutes late, and a margin_octets for what is used in that time"
        )
    return minutes[0]


def check(config: dict[str, Any], where: str) -> Any:
    """The firmware's Config of `normalized` tables, with a stand-in for `device` if it is not there. UsageError."""
    paths.use_firmware()
    from usageguard.config.load import ConfigError, load

    try:
        return load({"device": STAND_IN, **config})
    except ConfigError as error:
        raise _explained(config, where, error.field, error.problem, error.hint) from None


def _explained(config: dict[str, Any], where: str, field: str, problem: str, hint: str) -> UsageError:
    """The firmware's refusal, with what only a host has room for: which key was meant by one that is misspelt."""
    above, _, name = field.rpartition(".")
    table = toml.at(config, above)
    if problem == "is missing" and isinstance(table, dict):
        if near := difflib.get_close_matches(name, table, n=1, cutoff=_NEAR):
            name, problem, hint = near[0], _UNKNOWN, f'did you mean "{name}"?'
    elif problem == _UNKNOWN:
        if near := difflib.get_close_matches(name, hint.removeprefix("known are ").split(", "), n=1):
            hint = f'did you mean "{near[0]}"?'
    elif problem.endswith(_NO_TABLE):
        problem = quote(toml.at(config, field)) + _NO_TABLE
    return UsageError(where, toml.place(f"{above and '.'}{above}.{name}"), problem, hint)


def check_id(device: str, where: str, field: str) -> None:
    """UsageError, for the place `field` in `where`, unless a device can have this id."""
    paths.use_firmware()
    from usageguard.config.load import read_device
    from usageguard.config.table import ConfigError, Table

    try:
        read_device(Table({**STAND_IN, "id": device}, "device"))
    except ConfigError as error:
        raise UsageError(where, field, "is not a device id", error.hint) from None
