"""The MQTT broker behind a scenario's bridge: amqtt, which the extra "broker" installs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from amqtt.broker import Broker, BrokerContext
from amqtt.plugins.base import BasePlugin


class Taken(Protocol):
    """Receives the broker's `port` when it listens, and counts the `publications` that it took."""

    port: int
    publications: int


class Counting(BasePlugin[BrokerContext]):
    """Counts the publications of the broker that loaded it."""

    taken: Taken

    async def on_broker_message_received(self, **_: Any) -> None:
        self.taken.publications += 1


async def serve(address: str, taken: Taken, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Runs a broker on a free port of `address` until `stop` is set; calls `ready` once it listens."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{address}:0"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
                f"{__name__}.{Counting.__name__}": {},
            },
        }
    )
    for plugin in broker.plugins_manager.plugins:
        if isinstance(plugin, Counting):
            plugin.taken = taken
    await broker.start()
    server: Any = broker._servers["default"].instance
    taken.port = server.sockets[0].getsockname()[1]  # amqtt has no public way to ask
    ready()
    await stop.wait()
    await broker.shutdown()
