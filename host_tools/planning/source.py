"""Reads a file with a plan in it, checked by the firmware's own validator."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from host_tools import files, strict
from host_tools import scenario as scenarios
from host_tools.errors import UsageError
from host_tools.hardware import package
from host_tools.rules import Carrier, Rules
from host_tools.scenario import Scenario
from host_tools.units import Seconds

_HINT = "name a device's configuration, a scenario, or a TOML file with a [plan]"
_ONLY_SCENARIOS_HAVE = frozenset({"start", "duration", "traffic", "host", "expect"})
_EXAMPLES = {"plan": 'add [plan] with allowance_octets = "30MB"'}


class _PlanFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tables of a scenario that speak of the device and its plan."""

    plan: dict[str, Any]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] = ""
    device: dict[str, Any] = {}
    classes: list[dict[str, Any]] = msgspec.field(name="class", default=[])
    upstream: dict[str, Any] = {}
    carrier: Carrier | None = None


@dataclass(frozen=True)
class Source:
    """A plan file that is right: `raw` is the JSON object of its device, `config` the firmware's Config of it.

    `rules` is what the file says of the carrier, None where it says nothing.
    """

    where: str
    title: str
    raw: dict[str, Any]
    config: Any
    rules: Rules | None = field(default=None)

    @property
    def plan(self) -> Any:
        """The firmware's Plan."""
        return self.config.plan

    def variant(self, **changes: Any) -> Any:
        """The Plan with other values in its table; of a dict only its keys change, None takes a key out.

        `usageguard.config_table.ConfigError` where that makes no plan.
        """
        from usageguard.config_plan import read_plan
        from usageguard.config_table import Table

        table = copy.deepcopy(self.raw["plan"])
        _change(table, changes)
        return read_plan(Table(table, "plan"))


def _change(table: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and key in table:
            _change(table[key], value)
        elif value is None:
            table.pop(key, None)
        else:
            table[key] = value


def load(name: str | Path) -> Source:
    """Reads and checks a file, or a scenario that ships. UsageError for whatever is wrong."""
    path = Path(name)
    if not path.is_file():
        if str(name) not in scenarios.shipped():
            raise UsageError(str(name), "", "is a folder" if path.is_dir() else "no such file", _HINT)
        path = scenarios.find(str(name))
    text = files.text(path, _HINT, path.name)
    # A device names its file as it likes; one that is TOML does not begin with a brace.
    if path.suffix == ".json" or text.lstrip().startswith("{"):
        return _device(files.parse(text, path.name, is_json=True), path)
    return _toml(text, path)


def _device(raw: dict[str, Any], path: Path) -> Source:
    return Source(path.name, path.stem, raw, package.check(raw, path.name))


def _toml(text: str, path: Path) -> Source:
    where = path.name
    raw = strict.parse(text, where)
    if isinstance(raw.get("modem"), dict):  # as it is deployed; in a scenario it is a name
        return _device(raw, path)
    if raw.keys() & _ONLY_SCENARIOS_HAVE:
        scenario = scenarios.load(path)
        config = scenarios.settings(scenario, where)
        return Source(where, scenario.title, scenario.device_config(), config, scenario.rules)
    files.check_plan(raw, where)
    scenarios.convert_units(raw, where)
    given = strict.convert(raw, _PlanFile, where, _EXAMPLES)
    scenario = Scenario(
        title=given.title or path.stem,
        start=datetime(2026, 1, 1, tzinfo=UTC),  # never run
        duration=Seconds(1),
        device=given.device,
        plan=given.plan,
        classes=given.classes,
        upstream=given.upstream,
        carrier=given.carrier or Carrier(),
    )
    config = scenarios.settings(scenario, where)  # the firmware judges the plan before the carrier reads it
    rules = Rules(given.carrier, given.plan, where) if given.carrier else None
    return Source(where, scenario.title, scenario.device_config(), config, rules)
