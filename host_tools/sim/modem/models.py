"""The modem models: profiles that ship, by name, and profiles of one's own, by path."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec

from host_tools.base import files, toml
from host_tools.base.errors import UsageError
from host_tools.base.units import quote
from host_tools.sim.modem.command import fits, parse_ranges, split_values
from host_tools.sim.modem.dialect import STANDARD_PARTS
from host_tools.sim.modem.dialects import DIALECTS
from host_tools.sim.modem.profile import Profile, Quirk

_HERE = Path(__file__).parent / "profiles"


def names() -> list[str]:
    """The profiles that ship."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


@functools.cache
def of_family(family: str) -> str:
    """The name of a profile whose dialect the driver of this family speaks."""
    return next(name for name in names() if load(name).dialect == family)


def with_sockets() -> tuple[str, ...]:
    """Those of dialects that have sockets."""
    return tuple(name for name in names() if DIALECTS[load(name).dialect].commands)


def table(name: str) -> dict[str, Any]:
    """The table of a shipped profile, as its file has it."""
    path = _HERE / f"{name}.toml"
    return toml.parse(files.text(path, ""), str(path))


def load(name: str) -> Profile:
    """Reads a shipped profile by name, or a TOML file by path.

    Raises UsageError for an unknown name, a file that is wrong and a dialect without a simulated modem.
    """
    if (_HERE / f"{name}.toml").is_file():
        return _shipped(name)
    path = Path(name)
    hint = f"there are {', '.join(names())}; or give a .toml file"
    if not path.exists() and path.suffix != ".toml":
        raise UsageError("modem profile", "", f"{quote(name)} is unknown", hint)
    return _read(path, hint)


@functools.cache
def _shipped(name: str) -> Profile:
    return _read(_HERE / f"{name}.toml", "")


def _read(path: Path, hint: str) -> Profile:
    profile = toml.convert(toml.parse(files.text(path, hint), str(path)), Profile, str(path), {})
    if profile.dialect not in DIALECTS:
        problem = f"there is no simulated modem for {quote(profile.dialect)}"
        raise UsageError(str(path), "dialect", problem, f"use {' or '.join(map(quote, DIALECTS))}")
    _check(str(path), profile)
    usual = {name: values[0] for name, values in DIALECTS[profile.dialect].quirks.items()}
    return msgspec.structs.replace(profile, quirks=usual | profile.quirks)


def _check(where: str, profile: Profile) -> None:
    """UsageError for what the types of a profile cannot say."""
    if "*" not in profile.delay_ms:
        raise UsageError(where, "delay_ms", 'has no "*"', 'give the delay of all other commands, as in "*" = 4')
    parts = (*STANDARD_PARTS, *DIALECTS[profile.dialect].part_types)
    settings = {setting.name: setting for part in parts for setting in part.settings}
    for name in profile.ranges:
        if name not in settings:
            hint = f"there are {', '.join(settings)}"
            raise UsageError(where, f"ranges.{name}", "the dialect has no such setting", hint)
    quirks = DIALECTS[profile.dialect].quirks
    for name, value in profile.quirks.items():
        if name not in quirks:
            hint = f"there are {', '.join(quirks)}" if quirks else "leave it out"
            raise UsageError(where, f"quirks.{name}", "the dialect has no such quirk", hint)
        if value not in quirks[name]:
            hint = f"use {' or '.join(map(_shown, quirks[name]))}"
            raise UsageError(where, f"quirks.{name}", f"{_shown(value)} is not known", hint)
    for name, value in profile.settings.items():
        if name not in settings:
            hint = f"there are {', '.join(settings)}"
            raise UsageError(where, f"settings.{name}", "the dialect has no such setting", hint)
        allowed = profile.ranges.get(name, settings[name].ranges)
        ranges = parse_ranges(allowed)
        values = [text.strip('"') for text in split_values(value)]
        if not fits(ranges, values):
            hint = f"the ranges are {allowed}"
            raise UsageError(where, f"settings.{name}", f"{quote(value)} is out of range", hint)


def _shown(value: Quirk) -> str:
    """A quirk's value as TOML writes it."""
    return quote(value) if isinstance(value, str) else str(value).lower()
