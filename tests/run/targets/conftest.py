"""Real servers on loopback, and runs of the firmware against them."""

import asyncio
import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest

from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario
from tests.certificate import write

APPS = Path(__file__).parent / "apps"
HEAD = """
title = "{title}"
start = 2026-03-02T08:00:00+08:00
duration = "{duration}"
[plan]
allowance_octets = "30MB"
[upstream]
host = "collector"
[[host]]
name = "collector"
kind = "collector"
"""


def run(
    app: Path,
    target: str = "micropython",
    duration: str = "10m",
    files: dict[str, bytes] | None = None,
    libraries: tuple[str, ...] | list[str] = (),
    bearer: str | None = None,
    **bridges: str,
) -> dict:
    """Runs one application; `bridges` are host names ("_" for ".") and the real addresses behind them."""
    text = HEAD.format(title=Path(app).stem, duration=duration) + f'[app]\nname = "{app}"\n'
    for name, to in bridges.items():
        text += f'[[host]]\nname = "{name.replace("_", ".")}"\nkind = "bridge"\nto = "{to}"\n'
    loaded = scenario.loads(text, "test.toml", bearer=bearer)
    return run_scenario(loaded, target, files=files, libraries=libraries).to_json()


def told(result: dict, prefix: str) -> list[tuple]:
    """The device's events of one kind, as (what, a, b)."""
    return [
        (event["what"], event["a"], event["b"])
        for event in result["events"]
        if event["who"] == "device" and event["what"].startswith(prefix)
    ]


async def _cancelled(tasks: set[asyncio.Task]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def serving(handle, context: ssl.SSLContext | None = None):
    """An asyncio TCP server on a free loopback port, in a thread; gives its address."""
    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = loop.run_until_complete(asyncio.start_server(handle, sock=listening, ssl=context))
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield "{}:{}".format(*listening.getsockname())
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(_cancelled(asyncio.all_tasks(loop)))
            loop.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
def echo_server():
    with serving(echo) as address:
        yield address


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[bytes, Path]:
    """(the CA as DER, a PEM file with the key and certificate of tls.example), made for this session."""
    return write(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1])
    with serving(echo, context) as address:
        yield address
