"""Real servers on loopback for a scenario's bridges: an MQTT broker and the collector."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from host_tools.base import extras
from host_tools.collector.datagrams import listening
from host_tools.collector.intake import Collector, Orders, no_orders
from host_tools.collector.store import Kept, Outcome, Received, Store
from host_tools.scenario.file import Scenario

LOOPBACK = "127.0.0.1"
START_S = 20
STOP_S = 5

Serve = Callable[[Callable[[], None], asyncio.Event], Awaitable[None]]


class Mqtt:
    """A running broker: its `port`, and the number of `publications` it has received."""

    def __init__(self) -> None:
        self.port = 0
        self.publications = 0


@contextmanager
def mqtt_broker() -> Iterator[Mqtt]:
    """A real MQTT broker (amqtt) that accepts anonymous clients. UsageError when its extra is not installed."""
    extras.need("an MQTT broker", "broker")
    from host_tools.run import broker

    mqtt = Mqtt()

    async def serve(ready: Callable[[], None], stop: asyncio.Event) -> None:
        await broker.serve(LOOPBACK, mqtt, ready, stop)

    with _in_thread("mqtt-broker", serve):
        yield mqtt


class Reports:
    """A running collector: its `port`, the number of reports it `received`, the clock `now` of its acknowledgements.

    `orders` and `stops` give the order that answers a report. They are called in the collector's thread, and `store`
    may be used only there.
    """

    store: Store

    def __init__(self) -> None:
        self.port = 0
        self.received = 0
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.orders: Orders = no_orders
        self.stops: Orders = no_orders

    def count(self, received: Received, kept: Kept) -> None:
        self.received += kept.outcome is Outcome.NEW


@contextmanager
def collector(keys: Mapping[str, str]) -> Iterator[Reports]:
    """Runs the collector's CoAP server; `keys` are the devices' keys in hexadecimal, by device id.

    It runs in this process because devices set their clock by its acknowledgements, which must have the simulated
    time.
    """
    reports = Reports()

    async def serve(ready: Callable[[], None], stop: asyncio.Event) -> None:
        store = reports.store = Store()
        try:
            secrets = {device: bytes.fromhex(key) for device, key in keys.items()}
            # `now`, `orders` and `stops` are set later.
            taker = Collector(
                store,
                secrets,
                lambda: reports.now(),  # noqa: PLW0108
                lambda *about: reports.orders(*about),  # noqa: PLW0108
                lambda *about: reports.stops(*about),  # noqa: PLW0108
            )
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
    """Runs `serve(ready, stop)` in a thread with its own event loop while the context is open."""
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
    """The servers of a scenario; `addresses` has those that were started, by name."""

    def __init__(self) -> None:
        self.mqtt: Mqtt | None = None
        self.collector: Reports | None = None

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        return {name: (LOOPBACK, each.port) for name in ("mqtt", "collector") if (each := getattr(self, name))}


@contextmanager
def for_scenario(scenario: Scenario) -> Iterator[Services]:
    """Runs the servers that the scenario's bridges name while the context is open."""
    wanted = {host.service for host in scenario.hosts}
    services = Services()
    with ExitStack() as stack:
        if "mqtt" in wanted:
            services.mqtt = stack.enter_context(mqtt_broker())
        if "collector" in wanted:
            device = scenario.device_config()["device"]
            services.collector = stack.enter_context(collector({device["id"]: device["key"]}))
        yield services
