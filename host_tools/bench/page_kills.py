"""Kills the fleet's page and the collector in the middle of orders and alerts, and counts what is lost or doubled.

Each device has a story: an order is given it on the page, which is killed while it takes it; it stops and reports, to a
collector that is killed while it stores that; the alert goes to a webhook, which kills the page before it answers.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cbor2

from host_tools.base import extras
from host_tools.bench import reports, servers
from host_tools.collector.store import Store
from host_tools.fleet.accounts import Accounts, Role, User

_ROOT = Path(__file__).parents[2]
_SECRET = "whsec_" + "A" * 44  # 33 octets
_TERMINATED = 4
_ANSWER_S = 2.0
_PATIENCE_S = 120.0  # for one step, on a computer that has other things to do
_KB = 1024


@dataclass
class Killed:
    """How many orders and alerts there were; how many of them were lost, or were twice where they must not be."""

    orders: int = 0
    alerts: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)


class _Process:
    """A command that listens on a port of its own, and is started again whenever it was killed."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.port = _free_port()
        self._command = [sys.executable, "-m", "host_tools", *command, "--port", str(self.port)]
        self._env = env
        self._lock = threading.Lock()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        env = {**os.environ, **(self._env or {})}
        process = subprocess.Popen(
            self._command, cwd=_ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if "listening on" in line:
                threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it never waits to print
                return process
        raise RuntimeError("".join(said))

    def kill(self) -> None:
        """As kill -9 does; it serves again when this returns."""
        with self._lock:
            self._process.kill()
            self._process.wait()
            self._process = self._start()

    def stop(self) -> None:
        with self._lock:
            self._process.kill()
            self._process.wait()


class _Hook(BaseHTTPRequestHandler):
    """Takes alerts; `on_alert` may kill the sender before there is an answer, and before it is taken."""

    server: Any

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        is_taken, is_answered = self.server.on_alert(body["data"])
        if is_taken:
            self.server.taken[self.headers["webhook-id"]].append((body["data"]["rule"], body["data"]["subject"]))
        if is_answered:
            self.send_response(204)
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def run(devices: int, seed: int, postgresql: bool = False) -> Killed:
    """On PostgreSQL, or on SQLite. UsageError where a server or an extra is not installed."""
    extras.need("bench", "fleet", *["postgresql"] * postgresql)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(servers.postgresql()) if postgresql else None
        database = server.new() if server else str(folder / "reports.sqlite")
        return _Story(stack, folder, database, devices, random.Random(seed)).run()


class _Story:
    def __init__(self, stack: ExitStack, folder: Path, database: str, devices: int, rng: random.Random) -> None:
        self._db = database
        self._devices = devices
        self._rng = rng
        self.killed = Killed()
        self._killers: list[threading.Thread] = []
        keys = folder / "keys.json"
        keys.write_text(json.dumps({name: key.hex() for name, key in reports.keys(devices).items()}))
        with closing(Store(self._db)) as store:
            accounts = Accounts(store.database)
            accounts.add("bench", "made-up password", Role.ACT, "bench")
            self._token = accounts.add_token(User("bench", Role.ACT), "bench", Role.ACT)
        self._hook: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Hook)
        self._hook.taken = defaultdict(list)
        self._hook.on_alert = self._on_alert
        threading.Thread(target=self._hook.serve_forever, daemon=True).start()
        stack.callback(self._hook.server_close)
        stack.callback(self._hook.shutdown)
        alerts = folder / "alerts.toml"
        url = f"http://127.0.0.1:{self._hook.server_address[1]}/"
        alerts.write_text(f'[channels.hook]\nkind = "webhook"\nurl = "{url}"\nsecret_env = "HOOK"\n')
        self._collector = _Process("collector", "--db", self._db, "--keys", str(keys))
        stack.callback(self._collector.stop)
        self._page = _Process("fleet", "--db", self._db, "--alerts", str(alerts), env={"HOOK": _SECRET})
        stack.callback(self._page.stop)
        self._to_kill = {reports.name(number) for number in range(devices) if number % 2 == 0}
        self._seq = dict.fromkeys(range(devices), 0)
        self._applied: dict[int, list[tuple[int, int]]] = {number: [] for number in range(devices)}

    def run(self) -> Killed:
        for number in range(self._devices):
            self._report(number)
            limit = (number + 1) * 64 * _KB
            self._order(number, limit, kill=number % 3 != 0)
            self._report(number, kill=number % 2 == 1)
            for _ in range(2):  # the order goes with an answer, and the report after it tells that it was applied
                self._report(number, verdict=_TERMINATED)
        self._wait_for_alerts()
        self._judge()
        return self.killed

    def _kill(self, what: _Process, name: str) -> None:
        self.killed.kills[name] += 1
        what.kill()

    # --- the device ---

    def _report(self, number: int, verdict: int = 0, kill: bool = False) -> None:
        """Sends a report until it is acknowledged, and applies the order in the answer; with `kill` the collector
        is killed once it may have it."""
        seq, applied = self._seq[number], max((counter for counter, _ in self._applied[number]), default=0)
        blob = reports.sealed(number, seq, verdict, applied)
        token = self._rng.randbytes(4)
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
                udp.settimeout(_ANSWER_S)
                with suppress(OSError):
                    udp.connect(("127.0.0.1", self._collector.port))
                    udp.send(reports.request(blob, self._rng.randrange(1 << 16), token))
                    if kill:
                        kill = False
                        time.sleep(self._rng.uniform(0, 0.02))
                        self._kill(self._collector, "collector")
                        continue  # whether it had answered, the device does not know
                    answer = udp.recv(4096)
                    if answer[1] == reports.CHANGED:
                        self._take(number, answer[answer.index(0xFF, 4 + len(token)) + 1 :])
                        self._seq[number] += 1
                        return
        raise TimeoutError(f"no acknowledgement of {reports.name(number)}")

    def _take(self, number: int, blob: bytes) -> None:
        _, _, payload, _ = cbor2.loads(blob)
        _, _, _, *order = cbor2.loads(payload)
        if order and order[0] > max((counter for counter, _ in self._applied[number]), default=0):
            self._applied[number].append((order[0], order[1][2]))

    # --- the owner ---

    def _order(self, number: int, limit: int, kill: bool) -> None:
        """Gives an order, as a person does: who got no answer looks whether it was given before giving it again."""
        self.killed.orders += 1
        what = f"limit={limit}"
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            with suppress(OSError, http.client.HTTPException):  # the page may be killed for an alert at any time
                if what in self._given(number):
                    return
                with closing(self._connected()) as page:
                    path = f"/api/v1/devices/{reports.name(number)}/orders"
                    page.request("POST", path, json.dumps({"order": what}), self._headers())
                    if kill:
                        kill = False
                        time.sleep(self._rng.uniform(0, 0.03))
                        self._kill(self._page, "page, in an order")
                    else:
                        page.getresponse().read()
        raise TimeoutError(f"order {what} was not taken")

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._page.port, timeout=_PATIENCE_S)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}

    def _given(self, number: int) -> list[str]:
        with closing(self._connected()) as page:
            page.request("GET", f"/api/v1/orders?device={reports.name(number)}", headers=self._headers())
            return [each["order"] for each in json.loads(page.getresponse().read())["orders"]]

    # --- the alerts ---

    def _on_alert(self, data: dict[str, Any]) -> tuple[bool, bool]:
        """Whether it is taken, and whether the sender gets an answer."""
        if data["subject"] not in self._to_kill:
            return True, True
        self._to_kill.discard(data["subject"])
        killer = threading.Thread(target=self._kill, args=(self._page, "page, before the webhook's answer"))
        self._killers.append(killer)
        killer.start()
        killer.join()
        return len(self._killers) % 2 == 0, False

    def _wait_for_alerts(self) -> None:
        """Until all were sent. What was claimed by a page that was killed would wait for minutes: it is due now."""
        end = time.monotonic() + _PATIENCE_S
        with closing(Store(self._db)) as store:
            while time.monotonic() < end:
                ((alerts, left),) = store.database.execute(
                    "SELECT (SELECT COUNT(*) FROM alert), (SELECT COUNT(*) FROM alert_notice WHERE sent_at IS NULL)"
                )
                if alerts >= self._devices and not left and not self._to_kill:
                    return
                if not any(killer.is_alive() for killer in self._killers):
                    with store.database.transaction():
                        store.database.execute(
                            "UPDATE alert_notice SET due_at = ? WHERE sent_at IS NULL AND due_at > ?",
                            (_now(), _now()),
                        )
                time.sleep(1.0)

    def _judge(self) -> None:
        killed = self.killed
        with closing(Store(self._db)) as store:
            given = Counter(store.database.execute("SELECT device, what FROM given_order"))
            alerts = store.database.execute("SELECT id, rule, subject FROM alert")
        for number in range(self._devices):
            device, limit = reports.name(number), (number + 1) * 64 * _KB
            _count(killed, f"order of {device}", given[device, f"limit={limit}"])
            _count(killed, f"order at {device}", [value for _, value in self._applied[number]].count(limit))
        killed.alerts = len(alerts)
        told = Counter((rule, subject) for *_, rule, subject in alerts)
        ids = Counter(each[0] for each in self._hook.taken.values())
        for number in range(self._devices):
            stopped = ("stopped", reports.name(number))
            _count(killed, f"alert of {stopped[1]}", told[stopped])
            _count(killed, f"webhook id of {stopped[1]}", ids[stopped])


def _count(killed: Killed, what: str, count: int) -> None:
    if count == 0:
        killed.lost.append(what)
    elif count > 1:
        killed.doubled.append(f"{what}: {count}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _now() -> str:
    return datetime.now(UTC).isoformat()
