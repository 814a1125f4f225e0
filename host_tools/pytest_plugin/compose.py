"""Makes the scenario of a test, from a scenario file, keyword arguments and defaults."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec

from host_tools.base import toml
from host_tools.base.errors import UsageError
from host_tools.base.units import Seconds
from host_tools.run.apps import APPS
from host_tools.scenario import file as scenario
from host_tools.scenario.file import App, Scenario

ALLOWANCE = "30MB"
START = datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=8)))
DURATION = "1d"
WHERE = "bench"
"""Stands for the keyword arguments in error messages."""

_SHORT = {"hosts": "host", "faults": "fault", "orders": "order"}
"""Keyword argument -> name of the table in a scenario file."""


def compose(app: str | Path | None, file: str | Path | None, folder: Path, given: Mapping[str, Any]) -> Scenario:
    """The scenario. Relative paths start at `folder`. UsageError for anything that is wrong."""
    tables = {_SHORT.get(name, name): copy.deepcopy(value) for name, value in given.items() if value is not None}
    if "host" in tables:
        tables["host"] = [_host(name, what) for name, what in _hosts(tables["host"])]
    if isinstance(tables.get("duration"), timedelta):
        tables["duration"] = f"{int(tables['duration'].total_seconds())}s"
    if "modem" in tables:
        tables["modem"] = scenario.find_modem(tables["modem"], folder)
    where = WHERE
    if file is None:
        raw = _defaults(app)
    else:
        path = _find_scenario(file, folder)
        where = path.name
        raw = toml.parse(path.read_text("utf-8"), where)
        if "modem" in raw:
            raw["modem"] = scenario.find_modem(raw["modem"], path.parent)
        if app is None and "app" in raw:
            beside = path.parent / str(raw["app"].get("name", ""))
            app = beside if beside.suffix == ".py" else None
    for name, value in tables.items():
        there = raw.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            there.update(value)
        elif name == "host":
            raw["host"] = [*raw.get("host", ()), *value]
        else:
            raw[name] = value
    made = scenario.read(raw, where)
    return msgspec.structs.replace(made, app=App(str(_find_app(app, folder)))) if app is not None else made


def _defaults(app: str | Path | None) -> dict[str, Any]:
    return {
        "title": Path(app).stem if app is not None else "an application",
        "start": START,
        "duration": DURATION,
        "plan": {"allowance_octets": ALLOWANCE},
        "upstream": {"host": "collector"},
        "host": [{"name": "collector", "kind": "collector"}],
    }


def _hosts(given: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(given, Mapping):
        return given.items()
    raise UsageError(WHERE, "hosts", "is not a mapping", 'write hosts={"api.example": "responder"}')


def _host(name: str, what: Any) -> dict[str, Any]:
    """A `[[host]]` table from a kind, a service or an address."""
    if isinstance(what, Mapping):
        return {"name": name, **what}
    if what == "mqtt":
        return {"name": name, "kind": "bridge", "service": what}
    if isinstance(what, str) and ":" in what:
        return {"name": name, "kind": "bridge", "to": what}
    return {"name": name, "kind": what}


def _find_scenario(file: str | Path, folder: Path) -> Path:
    beside = folder / file
    return beside if beside.is_file() else scenario.find(str(file))


def _find_app(app: str | Path, folder: Path) -> Path | str:
    if str(app) in APPS:
        return str(app)
    path = folder / app
    if not path.is_file():
        raise UsageError(WHERE, "app", f"{path} is not a file", "name your application's file, from the test's folder")
    return path


def contents(files: Iterable[str | Path] | Mapping[str, bytes | str | Path], folder: Path) -> dict[str, bytes]:
    """The contents, by name, of the files beside the application. `files`: paths, or names mapped to contents."""
    named = files.items() if isinstance(files, Mapping) else [(Path(each).name, Path(each)) for each in files]
    found: dict[str, bytes] = {}
    for name, what in named:
        content = _read(folder / what) if isinstance(what, Path) else what
        found[str(name)] = content.encode() if isinstance(content, str) else content
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise UsageError(WHERE, "files", f"{path.name}: {problem}", "name files from the test's folder") from None


def seconds(span: str | timedelta) -> int:
    """A span such as "6h" in seconds. UsageError if it is not one."""
    if isinstance(span, timedelta):
        return int(span.total_seconds())
    try:
        return int(Seconds.parse(span))
    except ValueError as error:
        raise UsageError(WHERE, "time", str(error)) from None


def instant(when: str | date | datetime, zone: Any) -> datetime:
    """A calendar instant; a day means 00:00, and an instant without a zone is in `zone`."""
    try:
        made = datetime.fromisoformat(when) if isinstance(when, str) else when
    except ValueError:
        raise UsageError(WHERE, "until", f'"{when}" is not a time', 'write it as in "2026-03-28T12:00"') from None
    if not isinstance(made, datetime):
        made = datetime(made.year, made.month, made.day)
    return made if made.tzinfo else made.replace(tzinfo=zone)
