"""Figures for other platforms: by their documents' clauses, a client library's model, and through a stock broker."""

import asyncio
import json
import re
from contextlib import closing
from datetime import UTC, datetime

import pytest
from aiomqtt import Client
from ha_mqtt_discoverable.sensors import SensorInfo

from host_tools.fleet.index import Index, Row
from host_tools.fleet.outward.feed import homeassistant, plain, senml, thingsboard
from host_tools.fleet.outward.publisher import Broker, Publisher
from host_tools.fleet.standing import NEVER, Standing, State
from host_tools.platforms.secret import Secret
from tests.collector import servers

SEEN = datetime(2026, 3, 20, 12, 0, 0, 250_000, tzinfo=UTC)

def row(device="tracker-001", **changed):
    told = dict.fromkeys(Row._fields, 0) | {
        "device": device, "state": int(State.RUNS_OUT), "reasons": "", "used": 25_000_000, "bound": 40_960,
        "allowance": 31_457_280, "seen": SEEN.isoformat(),
    }  # fmt: skip
    return Row(**told | changed)


def test_thingsboard_takes_devices_with_the_times_of_their_reports():
    """thingsboard.io/docs/reference/gateway-api/telemetry: by device, a list of ts in milliseconds and values."""
    (message,) = thingsboard([row(), row("b", allowance=-1)], "", True)
    assert (message.topic, message.retain) == ("v1/gateway/telemetry", False)
    told = json.loads(message.payload)
    assert told["tracker-001"] == [
        {
            "ts": 1_774_008_000_250,
            "values": {
                "used": 25_000_000, "bound": 40_960, "state": "runs-out", "reasons": "", "allowance": 31_457_280,
            },
        }
    ]  # fmt: skip
    assert "allowance" not in told["b"][0]["values"]


CLASSES = {  # developers.home-assistant.io/docs/core/entity/sensor: of each state or device class, the units
    "data_size": {"bit", "B", "kB", "MB", "GB", "KiB", "MiB", "GiB"},
    "enum": {None},
    "timestamp": {None},
}


def test_home_assistant_finds_sensors_whose_values_are_in_the_state():
    """home-assistant.io/integrations/mqtt, "Discovery topic": prefix, component, node id, object id, config."""
    *configs, state = homeassistant([row("tracker 001")], "fleet", True)
    values = json.loads(state.payload)
    assert (state.topic, state.retain) == ("fleet/tracker_20001/state", True)
    told = {}
    for topic, payload, retain in configs:
        assert retain
        node, name = re.fullmatch(r"homeassistant/sensor/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config", topic).groups()
        config = json.loads(payload)
        info = SensorInfo.model_validate(config)
        known = {*SensorInfo.model_fields, "state_topic", "options"}
        assert config.keys() <= known, "what it does not know it would pass over"
        assert info.unit_of_measurement in CLASSES[info.device_class]
        assert (config["state_topic"], info.device.identifiers) == (state.topic, [node])
        told[name] = info
        value = values[re.fullmatch(r"\{\{ value_json\.(\w+) \}\}", info.value_template)[1]]
        if info.device_class == "enum":
            assert value in config["options"]
            assert info.state_class is None, "of text there are no statistics"
        elif info.device_class == "timestamp":
            assert datetime.fromisoformat(value).utcoffset() is not None
        else:
            assert isinstance(value, int)
    assert len({info.unique_id for info in told.values()}) == len(configs) == 4
    assert told["used"].state_class == "total_increasing"
    assert [each.topic for each in homeassistant([row()], "fleet", False)] == ["fleet/tracker-001/state"]


def test_senml_has_names_times_and_units():
    """RFC 8428 4.1 to 4.5: base fields come first; names have letters, digits and - : . / _ and begin with one of the
    former; a record has one value. RFC 8798 2: B is the unit of bytes."""
    (message,) = senml([row("#1 (old)")], "fleet", True)
    first, *others = json.loads(message.payload)
    assert first["bt"] == SEEN.timestamp()
    for record in (first, *others):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:./_-]*", first["bn"] + record["n"])
        assert len(record.keys() & {"v", "vs", "vb", "vd"}) == 1
        assert record.get("u", "B") == "B"
        assert record.keys() <= {"bn", "bt", "n", "u", "v", "vs"}
    assert {record["n"]: record.get("v", record.get("vs")) for record in (first, *others)} == {
        "used": 25_000_000, "bound": 40_960, "state": "runs-out", "allowance": 31_457_280,
    }  # fmt: skip


def test_no_two_devices_share_a_name():
    names = ["a b", "a_b", "a/b", "a+b", "a_20b", "a#b", "é"]
    assert len({plain(name) for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", plain(name)) for name in names)


def standing(device, used):
    return Standing(device, State.FINE, "open", (), used, 0, 100, 0, NEVER, NEVER, SEEN, 100)


@pytest.mark.realtime
def test_a_broker_gets_what_changes_also_what_changed_while_it_was_away():
    async def heard(port, until):
        found = {}
        async with Client("127.0.0.1", port) as client:
            await client.subscribe("#", qos=1)
            async for message in client.messages:
                found[str(message.topic)] = json.loads(message.payload)
                if until(found):
                    break
        return found

    with servers.mosquitto() as mosquitto, closing(Index()) as index:
        broker = Broker("127.0.0.1", mosquitto.port, False, "fleet", "homeassistant", Secret(""), Secret(""))
        said = []
        with closing(Publisher(broker, index, said.append)) as publisher:
            index.put([standing("a", 1), standing("b", 2)])
            publisher.note({"a", "b", "", "gone"})
            found = asyncio.run(heard(mosquitto.port, lambda found: len(found) == 10))
            assert found["fleet/a/state"]["used"] == 1
            mosquitto.stop()
            index.put([standing("a", 5)])
            publisher.note({"a"})
            mosquitto.start()
            again = asyncio.run(heard(mosquitto.port, lambda found: found.get("fleet/a/state", {}).get("used") == 5))
            assert again["fleet/a/state"]["used"] == 5
        assert all(each.startswith("nothing is published by MQTT now: ") for each in said)
        assert len(said) >= 1

