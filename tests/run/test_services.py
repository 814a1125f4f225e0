"""The real services: they start, serve and end."""

import socket

import paho.mqtt.client as mqtt
import pytest

from host_tools.run import services
from host_tools.run.services import LOOPBACK
from host_tools.scenario import file as scenario


def test_the_broker_takes_publications_at_qos_1():
    with services.mqtt_broker() as broker:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.connect(LOOPBACK, broker.port)
        client.loop_start()
        for i in range(20):
            info = client.publish("fleet/t/track", bytes(2000), qos=1)
            info.wait_for_publish(5)
            assert info.is_published(), f"publication {i} was not acknowledged"
        client.disconnect()
        client.loop_stop()
    assert broker.publications == 20
    with pytest.raises(OSError):
        socket.create_connection((LOOPBACK, broker.port), 1)


def test_two_brokers_live_side_by_side():
    with services.mqtt_broker() as one, services.mqtt_broker() as other:
        assert one.port != other.port


def test_what_fails_to_start_is_raised_and_nothing_hangs():
    with pytest.raises(ValueError, match="non-hexadecimal"), services.collector({"t-1": "not hex"}):
        pass


def test_only_what_a_scenario_names_is_started():
    with services.for_scenario(scenario.load("smoke")) as none:
        assert none.addresses == {}
    with services.for_scenario(scenario.load("demo")) as both:
        assert set(both.addresses) == {"mqtt", "collector"}
        assert all(host == LOOPBACK and port > 0 for host, port in both.addresses.values())
