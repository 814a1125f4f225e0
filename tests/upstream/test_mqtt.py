"""The exchange with a broker, octet by octet, against a broker's side that is written here from MQTT 3.1.1."""

from types import SimpleNamespace

import pytest
from usageguard.modem.connection import OPEN, PEER_CLOSED
from usageguard.upstream.coap import FAILED, SEND, WAIT
from usageguard.upstream.mqtt import Mqtt

CONNACK, SUBACK, PUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00", b"\x40\x02\x00\x02"
TOPIC = b"fleet/a/t1"


def answer(payload, topic=TOPIC, first=0x30):
    body = len(topic).to_bytes(2, "big") + topic + payload
    size = len(body)
    return bytes((first,)) + (bytes((size,)) if size < 128 else bytes((size % 128 + 128, size // 128))) + body


class Rig:
    def __init__(self, user="", password=""):
        self.closed = 0
        connection = SimpleNamespace(state=OPEN, close=self.close)
        self.path = SimpleNamespace(connection=connection, arrived=lambda: False)
        config = SimpleNamespace(device_id="t1", upstream=SimpleNamespace(mqtt=("fleet", user, password)))
        self.mqtt = Mqtt(config, self.path)

    def close(self):
        self.closed += 1

    def begin(self, payload=b"report"):
        self.mqtt.begin(0, payload)
        assert self.mqtt.step(0) == SEND
        assert self.mqtt.step(0) == WAIT
        return bytes(self.mqtt.out[: self.mqtt.out_n])

    def receive(self, octets):
        return self.mqtt.receive(1, bytearray(octets), len(octets))


def test_one_segment_connects_subscribes_and_publishes():
    connect = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x78\x00\x02t1"
    subscribe = b"\x82\x0f\x00\x01\x00\x0afleet/a/t1\x00"
    publish = b"\x32\x14\x00\x0afleet/r/t1\x00\x02report"
    assert Rig().begin() == connect + subscribe + publish
    with_login = b"\x10\x17\x00\x04MQTT\x04\xc2\x00\x78\x00\x02t1\x00\x01u\x00\x04pass"
    assert Rig("u", "pass").begin() == with_login + subscribe + publish


def test_a_long_report_has_a_length_of_two_octets():
    octets = Rig().begin(bytes(200))
    assert octets.endswith(b"\x32\xd6\x01\x00\x0afleet/r/t1\x00\x02" + bytes(200))


@pytest.mark.parametrize("piece", [1, 3, 4, 5, 64, 512])
@pytest.mark.parametrize("payload", [b"acknowledged", bytes(210)])
def test_the_answer_is_found_however_it_is_cut(piece, payload):
    rig = Rig()
    rig.begin()
    octets = CONNACK + SUBACK + answer(b"another's", b"fleet/a/t2") + PUBACK + answer(payload)
    taken = [rig.receive(octets[at : at + piece]) for at in range(0, len(octets), piece)]
    assert [each for each in taken if each is not None] == [payload]
    assert not rig.mqtt.busy
    assert rig.receive(answer(b"late")) is None


@pytest.mark.parametrize(("octets", "code"), [(b"\x20\x02\x00\x05", 0x81), (CONNACK + b"\x90\x03\x00\x01\x80", 0x83)])
def test_a_refusal_ends_it_at_once(octets, code):
    rig = Rig()
    rig.begin()
    assert rig.receive(octets) is None
    assert rig.mqtt.due_ms(1) == 0
    assert (rig.mqtt.step(1), rig.mqtt.code, rig.mqtt.busy) == (FAILED, code, False)


@pytest.mark.parametrize("octets", [b"\x30\xff\xff\xff\xff\xff", b"\x30\x81\x04", b"\x30\x80\x80\x80\x80\x01"])
def test_a_packet_that_is_too_long_ends_it(octets):
    rig = Rig()
    rig.begin()
    assert rig.receive(octets) is None
    assert (rig.mqtt.step(1), rig.mqtt.code) == (FAILED, 0)


@pytest.mark.parametrize("octets", [b"\x20\x00", b"\x90\x00", b"\x30\x00", b"\x30\x01\x00", b"\xd0\x00", b"\x00\x00"])
def test_a_packet_without_a_body_is_no_answer(octets):
    rig = Rig()
    rig.begin()
    assert rig.receive(octets) is None


def test_without_an_answer_it_fails_after_a_minute():
    rig = Rig()
    rig.begin()
    rig.receive(CONNACK)
    assert (rig.mqtt.due_ms(59_000), rig.mqtt.step(59_999), rig.mqtt.step(60_000)) == (1_000, WAIT, FAILED)


def test_a_connection_that_ends_is_no_longer_waited_for():
    rig = Rig()
    rig.begin()
    rig.path.connection.state = PEER_CLOSED
    rig.path.arrived = lambda: True
    assert rig.mqtt.step(1) == WAIT, "what it brought is read first"
    rig.path.arrived = lambda: False
    assert rig.mqtt.step(1) == FAILED


def test_what_is_given_up_leaves_no_open_connection():
    rig = Rig()
    rig.mqtt.abort()
    assert rig.closed == 0, "nothing was under way"
    rig.begin()
    rig.mqtt.abort()
    assert (rig.closed, rig.mqtt.busy, rig.mqtt.due_ms(1)) == (1, False, -1)
