"""A PostgreSQL server of the tests' own, which is thrown away."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from glob import glob
from pathlib import Path

import psycopg
import pytest

_USER = "nobody"  # PostgreSQL does not run as root


def binary(name):
    """The path of one of PostgreSQL's programs, which Debian has not in PATH; None where there is none."""
    return shutil.which(name) or next(iter(sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)


class Server:
    """In `folder`, listening there. `user`: of the operating system; "" for this one."""

    def __init__(self, folder: Path, user: str) -> None:
        self.folder = folder
        self._as = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        self._schemas = 0
        self.process: subprocess.Popen | None = None

    def run(self, name, *arguments, **options):
        subprocess.run(
            [binary(name), *arguments], check=True, capture_output=True, cwd=self.folder, **self._as, **options
        )

    def start(self):
        """Begins to serve; the server may have been killed before."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",  # what is killed here is never the machine
            "max_connections": "100",
            "shared_buffers": "32MB",
            "log_min_messages": "fatal",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [binary("postgres"), "-D", str(self.folder / "data"), *options],
            cwd=self.folder,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._as,
        )
        while subprocess.run([binary("pg_isready"), "-q", "-h", str(self.folder)], check=False).returncode:
            assert self.process.poll() is None, "it ended"

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        self.process.wait()

    def url(self, schema="public"):
        return f"postgresql://tests@/postgres?host={self.folder}&options=-csearch_path%3D{schema}"

    def new(self):
        """The URL of tables that nothing else uses."""
        self._schemas += 1
        name = f"test_{self._schemas}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return self.url(name)


@contextmanager
def running():
    """A server; the test is skipped where there is no PostgreSQL."""
    if not binary("postgres") or not binary("initdb"):
        pytest.skip("PostgreSQL is not installed")
    user = _USER if os.geteuid() == 0 else ""
    with tempfile.TemporaryDirectory(prefix="usageguard-pg-", dir="/tmp") as name:  # a socket's path is short
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        server = Server(folder, user)
        data = str(folder / "data")
        server.run("initdb", "-D", data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        server.start()
        try:
            yield server
        finally:
            server.stop()
