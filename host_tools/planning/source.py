"""Reads a file with a plan and checks it with the firmware's own validator."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from host_tools.base import files, toml
from host_tools.base.errors import UsageError
from host_tools.base.toml import Table
from host_tools.build import device_config
from host_tools.scenario import file as scenarios
from host_tools.scenario.carrier import Carrier, CarrierConfig

_HINT = "name a device's configuration, a scenario, or a TOML file with a [plan]"
_ONLY_SCENARIOS_HAVE = frozenset({"start", "duration", "traffic", "host", "expect"})
_EXAMPLES = {"plan": 'add [plan] with allowance_octets = "30MB"'}
_MODEM = {"family": "quectel", "apn": "none"}
"""Stands in the place of the modem that a plan file does not name."""


class _PlanFile(Table, frozen=True):
    """A plan file: the tables of a scenario that describe the device and its plan."""

    plan: dict[str, Any]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] = ""
    device: dict[str, Any] = {}
    enforcement: str = "enforce"
    classes: list[dict[str, Any]] = []
    upstream: dict[str, Any] = {}
    carrier: Carrier | None = None


@dataclass(frozen=True)
class Source:
    """A checked file: `raw` is the configuration of its device, as JSON has it, and `config` the firmware's Config.

    `carrier_config` is None for a file without a carrier.
    """

    where: str
    title: str
    raw: dict[str, Any]
    config: Any
    carrier_config: CarrierConfig | None = field(default=None)

    @property
    def plan(self) -> Any:
        """The firmware's Plan."""
        return self.config.plan

    @property
    def pool_octets(self) -> int | None:
        """What the whole pool has in a period; None without a pool, or where `[carrier.pool]` is not given."""
        return self.carrier_config.pool_octets if self.carrier_config else None

    @property
    def balance_fen(self) -> int | None:
        """The balance that the file gives; None where it gives at most a fee."""
        return self.raw["plan"].get("account", {}).get("balance_fen")

    def variant(self, **changes: Any) -> Any:
        """The Plan with these changes to its table: a dict changes the keys of a table, None removes a key.

        Raises usageguard.config.table.ConfigError if the result is not a valid plan.
        """
        from usageguard.config.plan import read_plan
        from usageguard.config.table import Table

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
    raw = device_config.normalized(raw, path.name)
    return Source(path.name, path.stem, raw, device_config.check(raw, path.name))


def _toml(text: str, path: Path) -> Source:
    where = path.name
    raw = toml.parse(text, where)
    if isinstance(raw.get("modem"), dict):  # as it is deployed; in a scenario it is a name
        return _device(raw, path)
    if raw.keys() & _ONLY_SCENARIOS_HAVE:
        scenario = scenarios.load(path)
        return Source(where, scenario.title, scenario.device_config(), scenario.config, scenario.carrier_config)
    given = toml.convert(device_config.normalized(raw, where), _PlanFile, where, _EXAMPLES)
    device = {"modem": _MODEM, "plan": given.plan, "enforcement": given.enforcement, "upstream": given.upstream}
    if given.device:
        device["device"] = {**device_config.STAND_IN, **given.device}
    if given.classes:
        device["classes"] = given.classes
    config = device_config.check(device, where)  # the firmware judges the plan before the carrier reads it
    carrier_config = CarrierConfig(given.carrier, given.plan, where) if given.carrier else None
    return Source(where, given.title or path.stem, device, config, carrier_config)
