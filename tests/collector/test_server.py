"""The collector as a process on a real UDP port, and what it says of bad input."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiocoap import ACK, CON, POST, Code, Message

from host_tools.collector.server import line, load_keys, serve
from host_tools.collector.store import Outcome, Received, Store
from host_tools.collector.verify import Report
from host_tools.errors import UsageError
from tests.collector.sealed import DEVICE, KEY, fields, sealed

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20  # how long a broken collector may hold up the tests


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text(f'{DEVICE} = "{KEY.hex()}"\n')
    return file


def collector(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "host_tools.collector", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "300"},
    )


def post(payload, mid):
    return Message(code=POST, payload=payload, uri_path=("r",), _mtype=CON, _mid=mid, _token=b"ab").encode()


def read_until(process, pattern):
    seen = b""
    while not (found := re.search(pattern, seen)):
        assert select.select([process.stdout], [], [], PATIENCE_S)[0], f"nothing more after {seen}"
        more = os.read(process.stdout.fileno(), 4096)
        assert more, f"ended after {seen}: {process.stderr.read()}"
        seen += more
    return found


def no_ipv6():
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return True
    return False


WILDCARD = pytest.mark.skipif(no_ipv6(), reason="a wildcard address needs a kernel with IPv6")


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("0.0.0.0", marks=WILDCARD)])
def test_process(tmp_path, keys, host):
    db = tmp_path / "reports.sqlite"
    process = collector("--port", 0, "--db", db, "--keys", keys, "--host", host)
    try:
        port = int(read_until(process, rb"listening on coap://[\d.]+:(\d+)/r")[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.settimeout(PATIENCE_S)
            device.connect(("127.0.0.1", port))
            device.send(post(sealed(), mid=7))
            first = device.recv(2000)
            device.send(post(sealed(), mid=7))
            assert device.recv(2000) == first
            device.send(post(sealed(seq=1, carried_octets=1, verdict=4, reasons=1), mid=8))
            device.recv(2000)
        reply = Message.decode(first)
        assert (reply.mtype, reply.mid, reply.token, reply.code) == (ACK, 7, b"ab", Code.CHANGED)
        assert len(reply.payload) + 7 == len(first), "no options: they cost octets"
        read_until(
            process,
            rb"tracker-001 3/0 carried 12,345,678 rated 12,345,678 \S+65,536 octets, open\n"
            rb".*tracker-001 3/1 carried 1 .*restricted QUOTA_EXHAUSTED\n"
            rb"usage_went_back tracker-001: carried_octets 12345678 in boot 3 report 0, 1 in .*\n",
        )
    finally:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, error
    assert not error
    kept = Store(db)
    assert kept.reports_received(DEVICE) == 2
    kept.close()


def test_bad_input_is_one_line(tmp_path):
    process = collector("--keys", tmp_path / "none.toml")
    out, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, error
    assert not out
    assert error.startswith(bytes(tmp_path / "none.toml") + b": no such file")
    assert error.count(b"\n") == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"host": "nowhere"}, '--host: "nowhere" is no IP address'),
        ({"db": "."}, ".: no database"),
        ({"db": "keys.toml"}, "keys.toml: no database"),
        ({"host": "192.0.2.1"}, '--host: "192.0.2.1" is no address'),
    ],
)
def test_bad_input(tmp_path, monkeypatch, keys, changed, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        serve(**{"port": 5683, "db": "db.sqlite", "keys": keys} | changed)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("k.toml", "a = 5", "k.toml: a: is no key"),
        ("k.toml", 'a = "zz"', "k.toml: a: is no key"),
        ("k.toml", 'a = "00"', "k.toml: a: a key of 1 octets"),
        ("k.toml", f'"a b" = "{KEY.hex()}"', "k.toml: a b: is no device id"),
        ("k.toml", "= 5", "k.toml: "),
        ("k.json", "[]", "k.json: is no table"),
        ("k.json", "{", "k.json: "),
    ],
)
def test_bad_keys(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        load_keys(tmp_path / name)
    assert says in str(caught.value)


def test_keys(tmp_path, keys):
    json_file = tmp_path / "keys.json"
    json_file.write_text(f'{{"{DEVICE}": "{KEY.hex()}"}}')
    assert load_keys(keys) == load_keys(json_file) == {DEVICE: KEY}


@pytest.mark.parametrize(
    ("changed", "outcome", "says"),
    [
        ({}, Outcome.NEW, "octets, open"),
        ({"cost_fen": 1200, "counter": 3}, Outcome.NEW, "open, cost 1,200 fen, order 3"),
        ({"refused": 2}, Outcome.DUPLICATE, "open, [red]2 orders refused[/] [yellow]duplicate[/]"),
        ({"verdict": 9}, Outcome.NEW, "octets, 9"),
    ],
)
def test_line(changed, outcome, says):
    received = Received(DEVICE, datetime(2025, 6, 1, tzinfo=UTC), "coap", Report(*fields(**changed)))
    assert line(received, outcome).endswith(says)
