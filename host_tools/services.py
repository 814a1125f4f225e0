"""Real servers for a scenario's bridges, on loopback, while they are needed: a broker and the collector."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from amqtt.broker import Broker, BrokerContext
from amqtt.plugins.base import BasePlugin

from host_tools.collector.intake import Collector, Orders
from host_tools.collector.server import listening
from host_tools.collector.store import Outcome, Received, Store
from host_tools.scenario import Scenario

LOOPBACK = "127.0.0.1"
START_S = 20
STOP_S = 5

Serve = Callable[[Callable[[], None], asyncio.Event], Awaitable[None]]


class Mqtt:
    """The broker that runs: its `port`, and the `publications` it has taken."""

    def __init__(self) -> None:
        self.port = 0
        self.publications = 0


class Counting(BasePlugin[BrokerContext]):
    """Counts for the `Mqtt` whose broker it was loaded into."""

    mqtt: Mqtt

    async def on_broker_message_received(self, **_: Any) -> None:
        self.mqtt.publications += 1


_BROKER = {
    "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:0"}},
    "plugins": {
        "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        f"{__name__}.{Counting.__name__}": {},
    },
}


@contextmanager
def mqtt_broker() -> Iterator[Mqtt]:
    """A real MQTT broker (amqtt); takes anonymous clients."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    mqtt = Mqtt()

    async def serve(ready: Callable[[], None], stop: asyncio.Event) -> None:
        broker = Broker(_BROKER)
        for plugin in broker.plugins_manager.plugins:
            if isinstance(plugin, Counting):
                plugin.mqtt = mqtt
        await broker.start()
        server: Any = broker._servers["default"].instance
        mqtt.port = server.sockets[0].getsockname()[1]  # amqtt has no public way to ask
        ready()
        await stop.wait()
        await broker.shutdown()

    with _in_thread("mqtt-broker", serve):
        yield mqtt


class Reports:
    """The collector that runs: its `port`, the reports it `received`, the `now` it acknowledges with.

    `orders` is what it asks for orders, in its own thread; `store` is open there, and there alone.
    """

    store: Store

    def __init__(self) -> None:
        self.port = 0
        self.received = 0
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.orders: Orders = lambda device, report, now: None

    def count(self, received: Received, outcome: Outcome) -> None:
        self.received += outcome is Outcome.NEW


@contextmanager
def collector(keys: Mapping[str, str]) -> Iterator[Reports]:
    """The collector's own CoAP server; `keys` are the devices' secrets in hexadecimal, by device id.

    It runs in this process, because a device takes its time from the acknowledgements: they have to carry the
    simulated one.
    """
    reports = Reports()

    async def serve(ready: Callable[[], None], stop: asyncio.Event) -> None:
        store = reports.store = Store()
        try:
            secrets = {device: bytes.fromhex(key) for device, key in keys.items()}
            # `now` and `orders` are set later.
            taker = Collector(store, secrets, lambda: reports.now(), lambda *about: reports.orders(*about))  # noqa: PLW0108
            taker.listeners.append(reports.count)
            async with listening(taker, LOOPBACK) as reports.port:
                ready()
                await stop.wait()
        finally:
            store.close()

    with _in_thread("collector", serve):
        yield reports


@contextmanager
def _in_thread(name: str, serve: Serve) -> Iterator[None]:
    """Runs `serve(ready, stop)` under a loop of its own while the context is open."""
    stop = asyncio.Event()
    ready: Future[None] = Future()

    async def main() -> None:
        try:
            await serve(lambda: ready.set_result(None), stop)
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=runner.run, args=(main(),), name=name, daemon=True)
        thread.start()
        try:
            ready.result(START_S)
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(STOP_S)


class Services:
    """What was started for a scenario; `addresses` by name, as `bench.run` takes them."""

    def __init__(self) -> None:
        self.mqtt: Mqtt | None = None
        self.collector: Reports | None = None

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        return {
            name: (LOOPBACK, each.port) for name in ("mqtt", "collector") if (each := getattr(self, name))
        }


@contextmanager
def for_scenario(scenario: Scenario) -> Iterator[Services]:
    """Starts the services that the scenario's bridges name."""
    wanted = {host.service for host in scenario.hosts}
    services = Services()
    with ExitStack() as stack:
        if "mqtt" in wanted:
            services.mqtt = stack.enter_context(mqtt_broker())
        if "collector" in wanted:
            device = scenario.device_config()["device"]
            services.collector = stack.enter_context(collector({device["id"]: device["key"]}))
        yield services
