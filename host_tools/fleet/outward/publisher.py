"""Publishes the figures of devices that have changed to an MQTT broker, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from aiomqtt import Client, MqttError

from host_tools.fleet.index import Index, Reader
from host_tools.fleet.outward.feed import FORMATS
from host_tools.platforms.secret import Secret

_BATCH = 100
_LOOK_S = 0.5
_RETRY_S, _LONGEST_RETRY_S = 1.0, 30.0


@dataclass(frozen=True)
class Broker:
    """`user`: an access token, for ThingsBoard."""

    host: str
    port: int
    tls: bool
    prefix: str
    format: str
    user: Secret
    password: Secret


class Publisher:
    """What was not taken by the broker is published when it is there again; of each device the newest figures alone.
    `say` is told why nothing is published, once."""

    def __init__(self, broker: Broker, index: Index, say: Callable[[str], None]) -> None:
        self._broker = broker
        self._index = index
        self._say = say
        self._problem = ""
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._known: set[str] = set()  # to this broker, since the start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="fleet-mqtt", daemon=True)
        self._thread.start()

    def note(self, changed: Iterable[str]) -> None:
        """These devices have changed; "" is none. For any thread."""
        with self._lock:
            self._changed |= {device for device in changed if device}

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        retry_s = _RETRY_S
        broker = self._broker
        with closing(Reader(self._index)) as reader:
            while not self._stop.is_set():
                try:
                    async with Client(
                        broker.host,
                        broker.port,
                        username=broker.user.reveal() or None,
                        password=broker.password.reveal() or None,
                        tls_context=ssl.create_default_context() if broker.tls else None,
                    ) as client:
                        retry_s, self._problem = _RETRY_S, ""
                        while not self._stop.is_set():
                            if not await self._publish(client, reader):
                                await asyncio.sleep(_LOOK_S)
                except MqttError as error:
                    if str(error) != self._problem:
                        self._problem = str(error)
                        self._say(f"nothing is published by MQTT now: {error}")
                until = asyncio.get_running_loop().time() + retry_s
                while not self._stop.is_set() and asyncio.get_running_loop().time() < until:
                    await asyncio.sleep(_LOOK_S)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)

    async def _publish(self, client: Client, reader: Reader) -> bool:
        """Whether there was something to publish. MqttError: it is still to be."""
        with self._lock:
            batch = [self._changed.pop() for _ in range(min(_BATCH, len(self._changed)))]
        try:
            for is_new in (True, False):
                devices = [device for device in batch if (device not in self._known) == is_new]
                rows = reader.some(devices) if devices else []
                if rows:
                    for message in FORMATS[self._broker.format](rows, self._broker.prefix, is_new):
                        await client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        except BaseException:
            self.note(batch)
            raise
        self._known |= set(batch)
        return bool(batch)
