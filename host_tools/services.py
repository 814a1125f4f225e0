"""Real servers for a scenario's bridges, on loopback, while they are needed: a broker and the collector."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from amqtt.broker import Broker, BrokerContext
from amqtt.plugins.base import BasePlugin

from host_tools.scenario import Scenario

LOOPBACK = "127.0.0.1"
START_S = 20
STOP_S = 5


class Mqtt:
    """The broker that runs: its `port`, and the `publications` it has taken."""

    def __init__(self) -> None:
        self.port = 0
        self.publications = 0
        self.failure: Exception | None = None


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
    """A real MQTT broker (amqtt) in a thread with a loop of its own; takes anonymous clients."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    mqtt = Mqtt()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            broker = Broker(_BROKER, loop)
            for plugin in broker.plugins_manager.plugins:
                if isinstance(plugin, Counting):
                    plugin.mqtt = mqtt
            await broker.start()
            server: Any = broker._servers["default"].instance
            mqtt.port = server.sockets[0].getsockname()[1]  # amqtt has no public way to ask
        except Exception as error:
            mqtt.failure = error
            return
        finally:
            ready.set()
        await stop.wait()
        await broker.shutdown()

    thread = threading.Thread(
        target=loop.run_until_complete, args=(serve(),), name="mqtt-broker", daemon=True
    )
    thread.start()
    try:
        if not ready.wait(START_S) or mqtt.failure:
            raise RuntimeError(f"the MQTT broker did not start: {mqtt.failure or 'no answer'}")
        yield mqtt
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(STOP_S)
        if not thread.is_alive():
            loop.close()


class CollectorProcess:
    """The collector that runs: its `port`, and how many reports it has kept."""

    def __init__(self, port: int, db: Path) -> None:
        self.port = port
        self._db = db

    def reports(self) -> int:
        with sqlite3.connect(f"file:{self._db}?mode=ro", uri=True) as db:
            return db.execute("SELECT COUNT(*) FROM report").fetchone()[0]


@contextmanager
def collector(keys: dict[str, str]) -> Iterator[CollectorProcess]:
    """The collector as its own process; `keys` are the devices' secrets in hexadecimal, by device id."""
    with tempfile.TemporaryDirectory(prefix="usage-guard-") as folder, ExitStack() as stack:
        keys_file, db, log = (Path(folder, name) for name in ("keys.json", "reports.sqlite", "log"))
        keys_file.write_text(json.dumps(keys), encoding="ascii")
        output = stack.enter_context(open(log, "w", encoding="utf-8"))
        command = [sys.executable, "-m", "host_tools.collector", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--keys", str(keys_file), "--db", str(db)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield CollectorProcess(_listening_port(process, log), db)
        finally:
            process.terminate()
            process.wait(STOP_S)


def _listening_port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if match := re.search(r"listening on coap://\S+:(\d+)/", log.read_text(encoding="utf-8")):
            return int(match[1])
        time.sleep(0.02)
    raise RuntimeError(
        f"the collector did not start: {log.read_text(encoding='utf-8').strip() or 'no answer'}"
    )


class Services:
    """What was started for a scenario; `addresses` by name, as `bench.run` takes them."""

    def __init__(self) -> None:
        self.mqtt: Mqtt | None = None
        self.collector: CollectorProcess | None = None

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
