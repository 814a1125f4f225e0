"""Servers of the bench's and the tests' own, in a folder that is thrown away: PostgreSQL and Mosquitto."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

from host_tools.base.errors import UsageError

_USER = "nobody"  # PostgreSQL does not run as root
_START_S = 60
_ELSEWHERE = ("/usr/lib/postgresql/*/bin", "/usr/sbin")  # where Debian has what is not in PATH
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # what is killed here is never the machine
    "max_connections": "100",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}


def program(name: str, package: str) -> str:
    """The path of a program. UsageError where it is not installed."""
    found = [path for folder in _ELSEWHERE for path in sorted(glob(f"{folder}/{name}"), reverse=True)]
    path = shutil.which(name) or next(iter(found), None)
    if path is None:
        raise UsageError(package, "", "is not installed", f"run: apt-get install {package}")
    return path


class Postgresql:
    """A PostgreSQL server, listening in its folder alone."""

    def __init__(self, folder: Path) -> None:
        self._server = program("postgres", "postgresql")
        self._folder = folder
        self._options: dict[str, Any] = {"cwd": folder}
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
            self._options |= {"user": _USER, "group": pwd.getpwnam(_USER).pw_gid, "extra_groups": []}
        self._schemas = 0
        self._data = str(folder / "data")
        make = ["-D", self._data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([program("initdb", "postgresql"), *make], check=True, capture_output=True, **self._options)
        self._process: subprocess.Popen[Any] | None = None
        self.start()

    def start(self) -> None:
        """Begins to serve; it may have been killed before."""
        settings = {**_SETTINGS, "unix_socket_directories": self._folder}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [self._server, "-D", self._data, *options]
        self._process = process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, start_new_session=True, **self._options
        )
        asks = [program("pg_isready", "postgresql"), "-q", "-h", str(self._folder)]
        _wait(process, lambda: subprocess.run(asks, check=False).returncode == 0)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        _stop(self._process, how)

    def url(self, schema: str = "public") -> str:
        return f"postgresql://tests@/postgres?host={self._folder}&options=-csearch_path%3D{schema}"

    def disconnect(self) -> None:
        """Ends all connections to it."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def new(self) -> str:
        """The URL of tables that nothing else uses."""
        import psycopg

        self._schemas += 1
        name = f"schema_{self._schemas}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self.url(name)


class Mosquitto:
    """An MQTT broker on a port of the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self._program = program("mosquitto", "mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._file = folder / "mosquitto.conf"
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
        # What is queued for a collector that is away outlives the broker.
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", f"user {_USER}", "persistence true"]
        lines += [f"persistence_location {folder}/", "autosave_on_changes true", "autosave_interval 1"]
        lines += ["max_queued_messages 0", "max_inflight_messages 0"]
        self._file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process: subprocess.Popen[Any] | None = None
        self.start()

    def start(self) -> None:
        command = [self._program, "-c", str(self._file)]
        self._process = process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait(process, self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        _stop(self._process, how)


def _wait(process: subprocess.Popen[Any], serves: Any) -> None:
    last = time.monotonic() + _START_S
    while not serves():
        if process.poll() is not None or time.monotonic() > last:
            raise RuntimeError(f"{process.args!r} does not serve")
        time.sleep(0.02)


def _stop(process: subprocess.Popen[Any] | None, how: signal.Signals) -> None:
    if process and process.poll() is None:
        process.send_signal(how)
        process.wait()


@contextmanager
def postgresql() -> Iterator[Postgresql]:
    """A new server. UsageError where PostgreSQL is not installed."""
    with _folder() as folder:
        server = Postgresql(folder)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def mosquitto() -> Iterator[Mosquitto]:
    """A new broker. UsageError where Mosquitto is not installed."""
    with _folder() as folder:
        broker = Mosquitto(folder)
        try:
            yield broker
        finally:
            broker.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="usageguard-", dir="/tmp") as name:  # the path of a socket is short
        yield Path(name)
