"""The collector as a process on a real UDP port, and what it says of bad input."""

import asyncio
import os
import re
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from aiocoap import ACK, CON, POST, Code, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.base.errors import UsageError
from host_tools.collector import mqtt
from host_tools.collector.datagrams import bound
from host_tools.collector.intake import Collector
from host_tools.collector.server import Log, Ways, _print_refusals, _serve, _Sockets, line, serve
from host_tools.collector.store import Alarm, Kept, Outcome, Received, Store
from host_tools.collector.verify import Report
from host_tools.collector.writer import writing
from tests.collector.sealed import DEVICE, KEY, fields, full, sealed

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20  # how long a broken collector may hold up the tests


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text(f'{DEVICE} = "{KEY.hex()}"\n')
    return file


def collector(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "host_tools", "collector", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "300"},
        **options,
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


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is not an address of this machine")


@pytest.mark.parametrize(
    ("host", "asked"), [("127.0.0.1", "127.0.0.1"), pytest.param("0.0.0.0", "127.0.0.2", marks=LINUX)]
)
def test_process(tmp_path, keys, host, asked):
    """A device hears only what comes from the address that it asked."""
    db = tmp_path / "reports.sqlite"
    process = collector("--port", 0, "--db", db, "--keys", keys, "--host", host)
    try:
        port = int(read_until(process, rb"listening on coap://[\d.]+:(\d+)/r")[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.settimeout(PATIENCE_S)
            device.connect((asked, port))
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
            rb"tracker-001 3/0 carried 12,345,678 rated 12,345,678 \S+65,536 bytes, open\n"
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


@pytest.fixture
def running(tmp_path, keys):
    """A collector that runs, its port and its database."""
    db = tmp_path / "reports.sqlite"
    process = collector("--port", 0, "--db", db, "--keys", keys)
    try:
        yield process, int(read_until(process, rb"listening on coap://[\d.]+:(\d+)/r")[1]), db
    finally:
        process.kill()
        process.communicate()


def ask(port, datagram):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.settimeout(PATIENCE_S)
        device.connect(("127.0.0.1", port))
        device.send(datagram)
        return Message.decode(device.recv(2000))


def ended(process, number=signal.SIGTERM):
    """What it printed and how it complained, after a signal to end."""
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE_S)


def test_a_second_collector_on_the_port_does_not_start(tmp_path, keys, running):
    first, port, _ = running
    second = collector("--port", port, "--db", tmp_path / "another.sqlite", "--keys", keys)
    out, error = second.communicate(timeout=PATIENCE_S)
    assert (second.returncode, out) == (2, b"")
    assert error == (
        b"usageguard: --port: %d: is in use by another program, perhaps a collector; " % port
        + b"stop it, or give --port 0 for a free one\n"
    )
    for seq in range(20):
        assert ask(port, post(sealed(seq=seq), mid=seq)).code is Code.CHANGED
    assert ended(first)[1] == b""


def test_a_second_collector_on_the_database_does_not_start(tmp_path, keys, running):
    first, port, db = running
    link = tmp_path / "link.sqlite"
    link.symlink_to(db)
    for name in (db, link):
        second = collector("--port", 0, "--db", name, "--keys", keys)
        out, error = second.communicate(timeout=PATIENCE_S)
        assert (second.returncode, out) == (2, b"")
        hint = b"stop that one, or name another file with --db"
        assert error == b"usageguard: " + bytes(name) + b": is in use by another collector; " + hint + b"\n"
    assert ask(port, post(sealed(), mid=1)).code is Code.CHANGED
    assert ended(first)[1] == b""
    third = collector("--port", 0, "--db", db, "--keys", keys)
    read_until(third, rb"listening on coap://[\d.]+:(\d+)/r")
    assert ended(third)[1] == b"", "the one before has left it"


def test_another_command_reads_the_database_meanwhile(running):
    _, port, db = running
    for seq in range(2):
        ask(port, post(sealed(seq=seq, carried_octets=1000 * seq), mid=seq))
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT carried_octets FROM report").fetchall() == [(0,), (1000,)]
        assert ask(port, post(sealed(seq=2), mid=2)).code is Code.CHANGED, "while it reads"


def test_what_was_acknowledged_outlives_a_kill(running):
    process, port, db = running
    for seq in range(5):
        assert ask(port, post(sealed(seq=seq), mid=seq)).code is Code.CHANGED
    process.kill()
    process.wait()
    with closing(Store(db)) as kept:
        assert kept.reports_received(DEVICE) == 5


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit of Linux")
def test_a_full_disk(running):
    """No file may grow: what was acknowledged is kept, what was not is taken when there is room again."""
    process, port, db = running
    assert ask(port, post(sealed(seq=0), mid=0)).code is Code.CHANGED
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in db.parent.iterdir() if file.name.startswith(db.name))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, most))
    assert ask(port, post(sealed(seq=1), mid=1)).code is Code.SERVICE_UNAVAILABLE
    assert ask(port, post(sealed(key=bytes(32)), mid=2)).code is Code.UNAUTHORIZED
    with closing(Store(db)) as kept:
        assert [received.report.seq for received in kept.history(DEVICE)] == [0]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
    assert ask(port, post(sealed(seq=1), mid=1)).code is Code.CHANGED
    out, error = ended(process)
    assert re.search(rb"refused 2 datagrams: 1 not stored \(.*\), 1 without a valid MAC\n", out), out
    assert error == b""
    with closing(Store(db)) as kept:
        assert [received.report.seq for received in kept.history(DEVICE)] == [0, 1]


def test_what_is_refused_is_told_in_one_line(running):
    process, port, _ = running
    for mid in range(30):
        assert ask(port, post(sealed(key=bytes(32)), mid=mid)).code is Code.UNAUTHORIZED
    for mid in range(20):
        assert ask(port, post(b"hello", mid=mid)).code is Code.BAD_REQUEST
    out, error = ended(process)
    assert out == b"refused 50 datagrams: 30 without a valid MAC, 20 not reports\n"
    assert error == b""


def test_refusals_are_counted_from_the_last_line_on():
    lines = []
    _print_refusals(Counter(), lines.append)
    _print_refusals(Counter({"not reports": 1200, "not stored ([full])": 1}), lines.append)
    assert lines == ["[yellow]refused[/] 1,201 datagrams: 1,200 not reports, 1 not stored (\\[full])"]


def coap_like(tail):
    return b"\x42\x02\x00\x01ab" + tail


STRANGE = st.binary(max_size=200) | st.binary(max_size=40).map(coap_like)
STRANGE |= st.binary(max_size=150).map(lambda tail: coap_like(b"\xb1r\xff" + tail))
STRANGE |= st.integers(0, len(post(sealed(), 1))).map(lambda n: post(sealed(), 1)[:n])


def test_any_datagrams_are_survived(running):
    process, port, _ = running
    seqs = count()

    @settings(deadline=None, max_examples=60)
    @given(st.lists(STRANGE, max_size=20))
    def survives(datagrams):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in datagrams:
                stranger.sendto(datagram, ("127.0.0.1", port))
        # The stranger's socket is closed: some answers come back to the collector as errors.
        seq = next(seqs)
        assert ask(port, post(sealed(seq=seq), mid=seq)).code is Code.CHANGED

    survives()
    assert ended(process)[1] == b""


def test_a_part_that_fails_ends_the_collector(monkeypatch):
    async def receive(*_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(mqtt, "receive", receive)
    with closing(Store()) as store:
        ways = Ways(mqtt="mqtt://127.0.0.1")
        (udp,) = bound("127.0.0.1", 0)
        collector = Collector(store, {})

        async def story():
            await _serve(collector, writing(collector), _Sockets(udp), ways, lambda text: None, asyncio.Event())

        with udp, pytest.raises(RuntimeError, match="a mistake"):
            asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_bad_input_is_one_line(tmp_path):
    process = collector("--keys", tmp_path / "none.toml")
    out, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, error
    assert not out
    assert error.startswith(b"usageguard: " + bytes(tmp_path / "none.toml") + b": no such file")
    assert error.count(b"\n") == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"host": "nowhere"}, '--host: "nowhere" is not an IP address'),
        ({"db": "."}, ".: is not a database"),
        ({"db": "keys.toml"}, "keys.toml: is not a database"),
        ({"host": "192.0.2.1"}, '--host: "192.0.2.1" is not an address'),
    ],
)
def test_bad_input(tmp_path, monkeypatch, keys, changed, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        serve(**{"port": 5683, "db": "db.sqlite", "keys": keys} | changed)
    assert says in str(caught.value)


@given(st.lists(st.integers(0, 45), max_size=4))
def test_many_reports_in_a_second_are_counted_and_every_alarm_is_told(counts):
    lines, report = [], Report(*fields())
    log = Log(lines.append)
    for second, count_then in enumerate(counts):
        at = datetime(2025, 6, 1, 0, 0, second, 999, tzinfo=UTC)
        for _ in range(count_then):
            log.heard(Received(DEVICE, at, "coap", report), Kept(Outcome.NEW, (Alarm(DEVICE, at, "new_life", ""),)))
    log.rest()
    assert sum("bytes, open" in text for text in lines) == sum(min(20, each) for each in counts)
    more = [f"and {each - 20} more reports in this second" for each in counts if each > 20]
    assert [text for text in lines if "more reports" in text] == more
    assert sum("new_life" in text for text in lines) == sum(counts)


@pytest.mark.parametrize(
    ("changed", "outcome", "says"),
    [
        ({}, Outcome.NEW, "bytes, open"),
        ({"cost_fen": 1200, "counter": 3}, Outcome.NEW, "open, cost 1,200 fen, order 3"),
        ({"refused": 2}, Outcome.DUPLICATE, "open, [red]2 orders refused[/] [yellow]duplicate[/]"),
        ({"verdict": 9}, Outcome.NEW, "bytes, 9"),
    ],
)
def test_line(changed, outcome, says):
    received = Received(DEVICE, datetime(2025, 6, 1, tzinfo=UTC), "coap", Report(*fields(**changed)))
    assert line(received, Kept(outcome)).endswith(says)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"reject_cause": 15},
            "+CEREG 1, RSRP -95 dBm, RSRQ -9.5 dB, EMM cause 15, session refused with CME 33, 2 modem restarts",
        ),
        (
            {"rsrp": 255, "rsrq": -1, "cme": 0, "modem_restarts": 0},
            "open, since the boot packets 700, sessions 3, +CEREG 1",
        ),
    ],
)
def test_the_line_of_a_full_report(changed, says):
    received = Received(DEVICE, datetime(2025, 6, 1, tzinfo=UTC), "coap", Report(*full(**changed)))
    assert line(received, Kept(Outcome.NEW)).endswith(says)
