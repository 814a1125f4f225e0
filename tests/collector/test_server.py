"""The collector as a process on a real UDP port, and what it says of bad input."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiocoap import ACK, CON, POST, Code, Message

from host_tools.collector.server import load_keys
from host_tools.collector.store import Store
from host_tools.errors import UsageError
from tests.collector.sealed import DEVICE, KEY, sealed

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


def read_until(process, pattern):
    seen = b""
    while not (found := re.search(pattern, seen)):
        assert select.select([process.stdout], [], [], PATIENCE_S)[0], f"nothing more after {seen}"
        more = os.read(process.stdout.fileno(), 4096)
        assert more, f"ended after {seen}: {process.stderr.read()}"
        seen += more
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_process(tmp_path, keys, host):
    db = tmp_path / "reports.sqlite"
    process = collector("--port", 0, "--db", db, "--keys", keys, "--host", host)
    try:
        port = int(read_until(process, rb"listening on coap://[\d.]+:(\d+)/r")[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.settimeout(PATIENCE_S)
            device.connect(("127.0.0.1", port))
            request = Message(
                code=POST, payload=sealed(), uri_path=("r",), _mtype=CON, _mid=7, _token=b"ab"
            ).encode()
            device.send(request)
            first = device.recv(2000)
            device.send(request)
            assert device.recv(2000) == first
        reply = Message.decode(first)
        assert (reply.mtype, reply.mid, reply.token, reply.code) == (ACK, 7, b"ab", Code.CHANGED)
        assert len(reply.payload) + 7 == len(first), "no options: they cost octets"
        read_until(process, rb"tracker-001 3/0 carried 12,345,678 .*\n")
    finally:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, error
    assert not error
    kept = Store(db)
    assert kept.reports_received(DEVICE) == 1
    kept.close()


def test_bad_input_is_one_line(tmp_path, keys):
    for arguments, says in (
        (["--keys", tmp_path / "none.toml"], "none.toml: No such file"),
        (["--keys", keys, "--host", "nowhere"], '--host: "nowhere" is no IP address'),
        (["--keys", keys, "--db", tmp_path], "no database"),
        (["--keys", keys, "--db", keys], "no database"),
        (["--keys", keys, "--db", tmp_path / "db", "--host", "192.0.2.1"], "--port: 5683: "),
    ):
        process = collector(*arguments)
        out, error = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2, error
        assert not out
        assert says.encode() in error
        assert error.count(b"\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("k.toml", "a = 5", "k.toml: a: is no key"),
        ("k.toml", 'a = "zz"', "k.toml: a: is no key"),
        ("k.toml", 'a = "00"', "k.toml: a: a key of 1 octets"),
        ("k.toml", f'"a b" = "{KEY.hex()}"', "k.toml: a b: is no device id"),
        ("k.toml", "= 5", "k.toml: "),
        ("k.json", "[]", "k.json: not a table"),
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
