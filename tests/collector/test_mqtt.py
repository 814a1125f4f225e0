"""Reports by way of a real broker, Mosquitto."""

import asyncio
from contextlib import asynccontextmanager, closing

import aiomqtt
import cbor2
import pytest

from host_tools.base.errors import UsageError
from host_tools.collector import mqtt
from host_tools.collector.intake import BAD_MAC, NOT_REPORTS, Collector
from host_tools.collector.mqtt import Broker, receive
from host_tools.collector.order import Order
from host_tools.collector.store import Store
from host_tools.collector.verify import open_report, seal_acknowledgement
from host_tools.collector.writer import Writer
from tests.collector.sealed import DEVICE, KEY, KEYS, LIFE, routine, sealed
from tests.collector.test_intake import T0

PATIENCE_S = 30


@asynccontextmanager
async def collecting(port, *stores, query=""):
    """Collectors behind the broker, that are heard."""
    broker = Broker.parse(f"mqtt://127.0.0.1:{port}/fleet{query}")
    collectors = [Collector(store, KEYS, lambda: T0) for store in stores]
    writers = [Writer(collector) for collector in collectors]
    tasks = [
        asyncio.create_task(receive(broker, collector, writer, print))
        for collector, writer in zip(collectors, writers, strict=True)
    ]
    try:
        yield collectors
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            await writer.close()


@asynccontextmanager
async def device(port, version=aiomqtt.ProtocolVersion.V311):
    async with aiomqtt.Client("127.0.0.1", port, protocol=version) as client:
        await client.subscribe(f"fleet/a/{DEVICE}", qos=1)
        yield client


async def asked(client, blob, topic=DEVICE):
    """What a device gets that sends its report until it is answered."""
    answer = asyncio.ensure_future(anext(aiter(client.messages)))
    while not answer.done():
        await client.publish(f"fleet/r/{topic}", blob, qos=1)
        await asyncio.wait([answer], timeout=1)
    return (await answer).payload


def runs(story):
    asyncio.run(asyncio.wait_for(story, PATIENCE_S))


@pytest.mark.realtime
@pytest.mark.parametrize("version", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
def test_a_report_is_stored_and_acknowledged_with_an_order(mosquitto, store, version):
    async def story():
        async with collecting(mosquitto.port, store), device(mosquitto.port, version) as client:
            _, report, _ = open_report(sealed(), KEYS)
            order = Order(counter=1, limit=5)
            store.book.give(DEVICE, order, T0, by="", what="", why="", before="")
            assert await asked(client, sealed()) == seal_acknowledgement(KEY, DEVICE, report, T0, order)

    runs(story())
    (received,) = store.history(DEVICE)
    assert (received.path, received.report.seq) == ("mqtt", 0)


@pytest.mark.realtime
def test_what_is_no_report_of_a_device_is_not_answered_and_counted(mosquitto):
    async def story():
        with closing(Store()) as store:
            async with collecting(mosquitto.port, store) as (collector,), device(mosquitto.port) as client:
                await asked(client, sealed(seq=0))  # it is heard from now on
                for blob in (b"", b"hello", bytes(100), sealed(key=bytes(32)), sealed(device="tracker-003")):
                    await client.publish(f"fleet/r/{DEVICE}", blob, qos=1)
                ours = await asked(client, sealed(seq=1), topic="another")
                assert ours[:2] == b"\x84\x43", "the first answer behind it, by the device's own name"
                assert collector.refusals == {NOT_REPORTS: 3, BAD_MAC: 2}
                assert [each.report.seq for each in store.history(DEVICE)] == [0, 1]

    runs(story())


@pytest.mark.realtime
class Absent:
    """A broker that cannot be reached, six times."""

    left = 6

    def __init__(self, *_, **__):
        pass

    async def __aenter__(self):
        Absent.left -= 1
        raise aiomqtt.MqttError("connection refused") if Absent.left else asyncio.CancelledError

    async def __aexit__(self, *_):
        pass


def test_a_broker_that_is_not_there_is_told_of_once(monkeypatch):
    monkeypatch.setattr(mqtt, "Client", Absent)
    monkeypatch.setattr(mqtt, "_RETRY_S", 0)
    said = []
    with closing(Store(":memory:")) as store, pytest.raises(asyncio.CancelledError):
        asyncio.run(receive(Broker.parse("mqtt://broker.example/fleet"), Collector(store, KEYS), None, said.append))
    assert said == ["[yellow]no broker[/]: broker.example:1883: connection refused; it is tried again"]


def test_collectors_share_what_comes_and_any_of_them_knows_what_another_was_told(mosquitto, postgresql_server):
    url = postgresql_server.new()

    async def story():
        with closing(Store(url)) as one, closing(Store(url)) as other:
            async with (
                collecting(mosquitto.port, one, other) as collectors,
                device(mosquitto.port) as client,
            ):
                heard = []
                for name, collector in enumerate(collectors):
                    collector.listeners.append(lambda *_, name=name: heard.append(name))
                await asked(client, sealed(life_id=LIFE))
                for seq in range(1, 20):
                    answer = cbor2.loads(await asked(client, routine(seq=seq)))
                    assert len(answer) == 4
                assert set(heard) == {0, 1}
                assert one.reports_received(DEVICE) == 20

    runs(story())


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("mqtt://b.example", Broker("b.example", 1883, False, "", "usageguard", "collectors")),
        ("mqtts://me@b.example/a/b?group=", Broker("b.example", 8883, True, "me", "a/b", "")),
        ("mqtt://[::1]:99/x?group=g", Broker("::1", 99, False, "", "x", "g")),
    ],
)
def test_brokers(url, where):
    assert Broker.parse(url) == where
    assert where.answers("d") == f"{where.prefix}/a/d"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://b.example", "not a broker"),
        ("mqtt:///x", "not a broker"),
        ("mqtt://b:99999", "not a URL"),
        ("mqtt://me:secret@b", "has a password"),
        ("mqtt://b/%23", "wildcard"),
        ("mqtt://b/x?qos=2", "other than group"),
    ],
)
def test_no_brokers(url, said):
    with pytest.raises(UsageError, match=said) as refused:
        Broker.parse(url)
    assert "secret" not in str(refused.value)
