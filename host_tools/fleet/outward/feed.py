"""Devices' figures as other platforms take them by MQTT: ThingsBoard, Home Assistant, and whoever reads SenML. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from host_tools.fleet.index import Row
from host_tools.fleet.standing import State

_DISCOVERY = "homeassistant"
_STATES = [each.word for each in State]


class Message(NamedTuple):
    topic: str
    payload: str
    retain: bool = False


def thingsboard(rows: Sequence[Row], prefix: str, is_new: bool) -> Iterator[Message]:
    """ThingsBoard's MQTT gateway API, "Telemetry": all devices in one message, each with the time of its report."""
    told = {}
    for row in rows:
        values = {"used": row.used, "bound": row.bound, "state": _state(row), "reasons": row.reasons}
        if row.allowance >= 0:
            values["allowance"] = row.allowance
        if row.compared:
            values["unexplained"] = row.beyond
        told[row.device] = [{"ts": int(_seen(row).timestamp() * 1000), "values": values}]
    yield Message("v1/gateway/telemetry", _json(told))


def homeassistant(rows: Sequence[Row], prefix: str, is_new: bool) -> Iterator[Message]:
    """Home Assistant's MQTT discovery, where the device `is_new` to the broker, and the state that it names; both stay
    there. What is used falls with the billing period, which `total_increasing` takes as a reset."""
    for row in rows:
        topic = f"{prefix}/{plain(row.device)}/state"
        if is_new:
            yield from _discovery(row.device, topic)
        values = {"used": row.used, "bound": row.bound, "state": _state(row), "seen": _seen(row).isoformat()}
        yield Message(topic, _json(values), retain=True)


def _discovery(device: str, topic: str) -> Iterator[Message]:
    octets = {"unit_of_measurement": "B", "device_class": "data_size"}
    entities: dict[str, dict[str, Any]] = {
        "used": {"name": "Used", "state_class": "total_increasing", **octets},
        "bound": {"name": "Uncertain", "state_class": "measurement", "entity_category": "diagnostic", **octets},
        "state": {"name": "State", "device_class": "enum", "options": _STATES},
        "seen": {"name": "Last report", "device_class": "timestamp"},
    }
    node = f"usageguard_{plain(device)}"
    about = {"identifiers": [node], "name": device, "manufacturer": "Usage Guard"}
    for name, entity in entities.items():
        config = {
            **entity, "unique_id": f"{node}_{name}", "state_topic": topic,
            "value_template": f"{{{{ value_json.{name} }}}}", "device": about,
        }  # fmt: skip
        yield Message(f"{_DISCOVERY}/sensor/{node}/{name}/config", _json(config), retain=True)


def senml(rows: Sequence[Row], prefix: str, is_new: bool) -> Iterator[Message]:
    """A SenML pack in JSON (RFC 8428) for each device; bytes have the unit B (RFC 8798)."""
    for row in rows:
        pack: list[dict[str, Any]] = [
            {"bn": f"device/{plain(row.device)}/", "bt": _seen(row).timestamp(), "n": "used", "u": "B", "v": row.used},
            {"n": "bound", "u": "B", "v": row.bound},
            {"n": "state", "vs": _state(row)},
        ]
        if row.allowance >= 0:
            pack.append({"n": "allowance", "u": "B", "v": row.allowance})
        yield Message(f"{prefix}/{plain(row.device)}/senml", _json(pack), retain=True)


Format = Callable[[Sequence[Row], str, bool], Iterator[Message]]
FORMATS: dict[str, Format] = {"thingsboard": thingsboard, "homeassistant": homeassistant, "senml": senml}


def plain(device: str) -> str:
    """An id as topics and names of SenML take it, and no two alike: letters, digits and -; others by their number."""
    return re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):02x}", device)


def _state(row: Row) -> str:
    return _STATES[row.state - 1]


def _seen(row: Row) -> datetime:
    return datetime.fromisoformat(row.seen)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
