"""Reports by way of an MQTT broker: any number of collectors share what it has, and keep nothing of it themselves.

A device publishes its report under `<prefix>/r/<device id>`; the acknowledgement goes to `<prefix>/a/<device id>`. What
the broker acknowledges is not yet stored: a device repeats a report until it has the collector's answer.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from urllib.parse import parse_qs, unquote, urlsplit

from aiomqtt import Client, MqttError, ProtocolVersion
from rich.markup import escape

from host_tools.base.errors import UsageError
from host_tools.collector.intake import Intake, Pending, Result
from host_tools.collector.writer import Batches

PASSWORD = "USAGEGUARD_MQTT_PASSWORD"
"""The environment's variable with the broker's password: what is on a command line is seen by others."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_HINT = "write mqtt://USER@HOST:PORT/PREFIX, or mqtts:// for TLS"
_VERSIONS = (ProtocolVersion.V5, ProtocolVersion.V311)  # in turn, as a broker may know one of them only
_MOST_OCTETS = 512  # of a message; a report has at most 175
_MOST_UNSENT = 10_000  # acknowledgements; devices repeat what is not answered
_RETRY_S, _LONGEST_RETRY_S = 1.0, 30.0
_REFUSED = 128  # and above: reason codes of a subscription


@dataclass(frozen=True)
class Broker:
    """Where it is, and under which names reports are there. `group`: of the shared subscription, "" for none."""

    host: str
    port: int
    tls: bool
    user: str
    prefix: str
    group: str

    @classmethod
    def parse(cls, url: str) -> Broker:
        """UsageError where it is not such a URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError("--mqtt", "", f"is not a URL: {error}", _HINT) from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise UsageError("--mqtt", "", "is not a broker's URL", _HINT)
        if parts.password:
            raise UsageError("--mqtt", "", "has a password in it, which others see", f"put it into {PASSWORD}")
        prefix = unquote(parts.path).strip("/") or "usageguard"
        options = parse_qs(parts.query, keep_blank_values=True)
        if any(sign in prefix for sign in "+#") or options.keys() - {"group"}:
            raise UsageError("--mqtt", "", "has a wildcard in its prefix, or an option other than group", _HINT)
        group = options.get("group", ["collectors"])[-1]
        tls = parts.scheme == "mqtts"
        return cls(parts.hostname, port or _PORTS[parts.scheme], tls, unquote(parts.username or ""), prefix, group)

    @property
    def subscription(self) -> str:
        shared = f"$share/{self.group}/" if self.group else ""
        return f"{shared}{self.prefix}/r/+"

    def answers(self, device: str) -> str:
        return f"{self.prefix}/a/{device}"


async def receive(broker: Broker, collector: Intake, writer: Batches, say: Callable[[str], None]) -> None:
    """Takes reports until it is cancelled; connects again whenever the broker is gone. `say` is told when it hears the
    broker, and once when it does not."""
    retry_s, failures = _RETRY_S, 0
    versions = cycle(_VERSIONS)
    version = next(versions)
    while True:
        try:
            client = Client(
                broker.host,
                broker.port,
                username=broker.user or None,
                password=os.environ.get(PASSWORD),
                protocol=version,
                tls_context=ssl.create_default_context() if broker.tls else None,
                max_queued_incoming_messages=_MOST_UNSENT,
            )
            async with client:
                retry_s = _RETRY_S
                await _subscribe(client, broker)
                failures = 0
                say(f"listening on {escape(broker.host)}:{broker.port} for {escape(broker.subscription)}")
                await _session(client, broker, collector, writer)
        except MqttError as error:
            failures += 1
            if failures == len(_VERSIONS):
                say(f"[yellow]no broker[/]: {escape(f'{broker.host}:{broker.port}: {error}')}; it is tried again")
            version = next(versions)
        await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))
        retry_s = min(2 * retry_s, _LONGEST_RETRY_S)


async def _subscribe(client: Client, broker: Broker) -> None:
    """MqttError: the broker refuses it."""
    granted = await client.subscribe(broker.subscription, qos=1)
    codes = [getattr(code, "value", code) for code in granted]
    if any(code >= _REFUSED for code in codes):
        raise MqttError(f"the broker refuses {broker.subscription}")


async def _session(client: Client, broker: Broker, collector: Intake, writer: Batches) -> None:
    """Until the connection is lost. MqttError: it is."""
    answers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_MOST_UNSENT)
    sending = asyncio.create_task(_send(client, answers))
    try:
        async for message in client.messages:
            blob = message.payload
            if isinstance(blob, bytes) and len(blob) <= _MOST_OCTETS and (taken := collector.take(blob, "mqtt")):
                writer.put(taken, partial(_answer, collector, broker, answers))
    finally:
        sending.cancel()


def _answer(
    collector: Intake, broker: Broker, answers: asyncio.Queue[tuple[str, bytes]], taken: Pending, result: Result
) -> None:
    acknowledgement = collector.settle(taken, result)
    if acknowledgement and taken.received:
        with suppress(asyncio.QueueFull):
            answers.put_nowait((broker.answers(taken.received.device), acknowledgement))


async def _send(client: Client, answers: asyncio.Queue[tuple[str, bytes]]) -> None:
    with suppress(MqttError):  # the reader learns of it too
        while True:
            topic, acknowledgement = await answers.get()
            await client.publish(topic, acknowledgement, qos=0)
