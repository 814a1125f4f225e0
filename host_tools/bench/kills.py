"""Kills collectors, their broker and their database at random, and counts what was acknowledged and is not stored."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiomqtt import Client, MqttError

from host_tools.base import extras
from host_tools.bench import reports, servers
from host_tools.bench.processes import begun_by
from host_tools.collector.store import Store
from host_tools.collector.verify import Report, open_acknowledgement

_PREFIX = "fleet"
_REPEAT_S = 2.0, 4.0  # after a device's first attempt; doubled after each further one, as CoAP does
_MOST_DOUBLED = 4
_AT_ONCE = 10  # messages on the way to the broker; of more the library warns
_KILL_S = 0.5, 1.5  # between kills
_PATIENCE_S = 1800  # on a computer that has other things to do


@dataclass(frozen=True)
class Killed:
    """How many reports were acknowledged; of these, how many the database has not, and how many of all it has twice."""

    acknowledged: int
    lost: int
    doubled: int
    kills: int
    sent: int


class _Devices:
    """Each sends its next report until that is acknowledged. They share a connection to the broker."""

    def __init__(self, count: int, each: int, rng: random.Random) -> None:
        self.seq = dict.fromkeys(range(count), 0)
        self.acknowledged: set[tuple[int, int]] = set()
        self.sent = 0
        self._each = each
        self._rng = rng
        self._due = dict.fromkeys(range(count), 0.0)
        self._tries = dict.fromkeys(range(count), 0)

    async def run(self, port: int) -> None:
        while self.seq:
            with suppress(MqttError):
                async with Client("127.0.0.1", port, max_inflight_messages=_AT_ONCE) as client:
                    await client.subscribe(f"{_PREFIX}/a/+", qos=1)
                    listening = asyncio.create_task(self._listen(client))
                    try:
                        await self._send(client)
                    finally:
                        listening.cancel()
            await asyncio.sleep(0.1)

    async def _send(self, client: Client) -> None:
        while self.seq:
            now = time.monotonic()
            due = [number for number, due in self._due.items() if due <= now]
            for first in range(0, len(due), _AT_ONCE):
                await asyncio.gather(*(self._publish(client, number) for number in due[first : first + _AT_ONCE]))
            await asyncio.sleep(0.02)

    async def _publish(self, client: Client, number: int) -> None:
        if number not in self.seq:  # answered meanwhile
            return
        wait_s = self._rng.uniform(*_REPEAT_S) * (1 << self._tries[number])
        self._due[number] = time.monotonic() + wait_s
        self._tries[number] = min(self._tries[number] + 1, _MOST_DOUBLED)
        blob = reports.sealed(number, self.seq[number])
        await client.publish(f"{_PREFIX}/r/{reports.name(number)}", blob, qos=1)
        self.sent += 1

    async def _listen(self, client: Client) -> None:
        with suppress(MqttError):
            async for message in client.messages:
                device = str(message.topic).rpartition("/")[2]
                number = int(device.rpartition("-")[2])
                if number in self.seq and isinstance(message.payload, bytes):
                    self._heard(number, message.payload)

    def _heard(self, number: int, blob: bytes) -> None:
        seq = self.seq[number]
        report = Report(*reports.fields(number, seq)[:18], life_id=reports.life(number))
        if not open_acknowledgement(blob, reports.key(reports.name(number)), reports.name(number), report):
            return  # of an earlier report
        self.acknowledged.add((number, seq))
        if seq + 1 == self._each:
            del self.seq[number], self._due[number]
        else:
            self.seq[number], self._due[number], self._tries[number] = seq + 1, 0.0, 0


class _Collectors:
    """Processes with the command, on one broker and one database."""

    def __init__(self, count: int, options: list[str]) -> None:
        self._command = [sys.executable, "-m", "host_tools", "collector", "--port", "0", *options]
        self._processes = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[Any]:
        root = Path(__file__).parents[2]
        return subprocess.Popen(self._command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, rng: random.Random) -> None:
        """One of them, or one process of it, which is to end the others; it is started again."""
        place = rng.randrange(len(self._processes))
        process = self._processes[place]
        os.kill(rng.choice([process.pid, *begun_by(process.pid)]), signal.SIGKILL)
        process.wait()
        self._processes[place] = self._start()

    def revive(self) -> None:
        """Those that have ended, as they do when they are started while their database is away, or still another's."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                self._processes[place] = self._start()

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()


def run(devices: int, each: int, kills: int, seed: int, postgresql: bool = True, processes: int = 1) -> Killed:
    """Three collectors on PostgreSQL, or one on SQLite, each of so many processes. UsageError where a server or an
    extra is not installed."""
    extras.need("bench", "mqtt", *["postgresql"] * postgresql)
    rng = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(servers.mosquitto())
        server = stack.enter_context(servers.postgresql()) if postgresql else None
        database = server.new() if server else str(folder / "reports.sqlite")
        keys = folder / "keys.json"
        keys.write_text(json.dumps({name: key.hex() for name, key in reports.keys(devices).items()}))
        Store(database).close()
        url = f"mqtt://127.0.0.1:{broker.port}/{_PREFIX}"
        options = ["--db", database, "--keys", str(keys), "--mqtt", url, "--processes", str(processes)]
        collectors = _Collectors(3 if server else 1, options)
        stack.callback(collectors.stop)
        fleet = _Devices(devices, each, rng)
        asyncio.run(asyncio.wait_for(_story(fleet, collectors, broker, server, kills, rng), _PATIENCE_S))
        collectors.stop()
        with closing(Store(database)) as store:
            rows = store.database.execute("SELECT device, seq, COUNT(*) FROM report GROUP BY device, seq")
    stored = {(device, seq): count for device, seq, count in rows}
    lost = sum((reports.name(number), seq) not in stored for number, seq in fleet.acknowledged)
    doubled = sum(count - 1 for count in stored.values())
    return Killed(len(fleet.acknowledged), lost, doubled, kills, fleet.sent)


async def _story(
    fleet: _Devices,
    collectors: _Collectors,
    broker: servers.Mosquitto,
    server: servers.Postgresql | None,
    kills: int,
    rng: random.Random,
) -> None:
    async with _running(fleet.run(broker.port)) as sending:
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(*_KILL_S))
            collectors.revive()
            what = rng.random()
            if what < 0.5:
                collectors.kill(rng)
            elif what < 0.7 or server is None:
                broker.stop(signal.SIGKILL)
                broker.start()
            elif what < 0.9:
                server.disconnect()
            else:
                server.stop(signal.SIGQUIT)
                server.start()
        while not sending.done():
            await asyncio.wait([sending], timeout=1)
            collectors.revive()
        sending.result()


@asynccontextmanager
async def _running(story: Any) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(story)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
