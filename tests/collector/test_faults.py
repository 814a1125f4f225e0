"""A database that is locked, full or slow: who waits for it, and what is acknowledged meanwhile."""

import asyncio
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest
from aiocoap import CON, POST, Code, Message

from host_tools.collector.database import StoreError
from host_tools.collector.datagrams import listening
from host_tools.collector.intake import Collector
from host_tools.collector.store import Store
from host_tools.collector.writer import Writer
from tests.collector.sealed import DEVICE, KEYS, LIFE, routine, sealed

PATIENCE_S = 20  # how long a broken collector may hold up the tests


@contextmanager
def serving(store):
    """A collector on a loopback port, in a thread of its own; gives a device's socket, and another one's."""
    ready, stops = threading.Event(), []

    async def run():
        stop = asyncio.Event()
        async with listening(Collector(store, KEYS)) as port:
            stops.extend((port, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    port, loop, stop = stops
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for each in (one, other):
            each.settimeout(PATIENCE_S)
            each.connect(("127.0.0.1", port))
        try:
            yield one, other
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()


def post(payload, mid):
    return Message(code=POST, payload=payload, uri_path=("r",), _mtype=CON, _mid=mid, _token=b"ab").encode()


def reply(device):
    """(message id, code) of what comes next."""
    message = Message.decode(device.recv(2000))
    return message.mid, message.code


def ask(device, payload, mid):
    device.send(post(payload, mid))
    return reply(device)


def others_are_answered(device, other):
    """While a report waits to be kept; the device itself gets what it got before, and not the report's answer."""
    assert ask(other, sealed(key=bytes(32)), 50) == (50, Code.UNAUTHORIZED)
    assert ask(other, b"", 51) == (51, Code.BAD_REQUEST)
    other.send(b"\x40\x00\x12\x34")
    assert reply(other) == (0x1234, Code.EMPTY)
    assert ask(device, sealed(seq=0), 1) == (1, Code.CHANGED)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reports.sqlite"


def kept(path):
    with closing(Store(path)) as store:
        return [received.report.seq for received in store.history(DEVICE)]


def test_a_locked_database_delays_nobody_else(path):
    with closing(Store(path, busy_s=2 * PATIENCE_S)) as store, serving(store) as (device, other):
        assert ask(device, sealed(seq=0), 1) == (1, Code.CHANGED)
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            device.send(post(sealed(seq=1), 2))
            others_are_answered(device, other)
            device.send(post(sealed(seq=1), 2))  # sent again, it is not kept again
            others_are_answered(device, other)
            holder.execute("ROLLBACK")
        assert reply(device) == (2, Code.CHANGED)
        assert ask(device, sealed(seq=2), 3) == (3, Code.CHANGED), "one answer only to what was sent twice"
    assert kept(path) == [0, 1, 2]


def test_a_database_that_stays_locked(path):
    with closing(Store(path, busy_s=0)) as store, serving(store) as (device, _):
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            assert ask(device, sealed(seq=0), 1) == (1, Code.SERVICE_UNAVAILABLE)
            assert ask(device, sealed(seq=0), 1) == (1, Code.SERVICE_UNAVAILABLE)
            holder.execute("ROLLBACK")
        assert store.reports_received(DEVICE) == 0
        assert ask(device, sealed(seq=0), 1) == (1, Code.CHANGED)
    assert kept(path) == [0]


def test_a_slow_commit_delays_nobody_else(path):
    begun, finish = threading.Event(), threading.Event()

    def pause():
        begun.set()
        return finish.wait(2 * PATIENCE_S)

    with closing(Store(path)) as store, serving(store) as (device, other):
        assert ask(device, sealed(seq=0), 1) == (1, Code.CHANGED)
        store._db.connection.create_function("pause", 0, pause)
        store._db.execute("CREATE TEMP TRIGGER slow AFTER INSERT ON report BEGIN SELECT pause(); END")
        try:
            device.send(post(sealed(seq=1), 2))
            assert begun.wait(PATIENCE_S)
            others_are_answered(device, other)
            assert kept(path) == [0], "a reader does not wait either"
        finally:
            finish.set()
        assert reply(device) == (2, Code.CHANGED)
    assert kept(path) == [0, 1]


def test_a_full_database_keeps_what_it_acknowledged(path):
    with closing(Store(path)) as store, serving(store) as (device, other):
        assert ask(device, sealed(seq=0), 1) == (1, Code.CHANGED)
        (pages,) = store._db.first("PRAGMA page_count")
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        acknowledged = [0]
        for seq in range(1, 100):
            mid, code = ask(device, sealed(seq=seq), 1 + seq)
            assert mid == 1 + seq
            if code is Code.CHANGED:
                acknowledged.append(seq)
            else:
                assert code is Code.SERVICE_UNAVAILABLE
                break
        else:
            pytest.fail("it never was full")
        others_are_answered(device, other)
        assert kept(path) == acknowledged
        store._db.execute("PRAGMA max_page_count = 100000")
        assert ask(device, sealed(seq=seq), 1 + seq) == (1 + seq, Code.CHANGED)
    assert kept(path) == [*acknowledged, seq]


def test_what_is_being_kept_when_the_collector_ends_is_answered(path):
    begun, finish = threading.Event(), threading.Event()

    def pause():
        begun.set()
        return finish.wait(2 * PATIENCE_S)

    with closing(Store(path)) as store:
        store._db.connection.create_function("pause", 0, pause)
        store._db.execute("CREATE TEMP TRIGGER slow AFTER INSERT ON report BEGIN SELECT pause(); END")
        with serving(store) as (device, _):
            device.send(post(sealed(seq=0), 1))
            assert begun.wait(PATIENCE_S)
            threading.Timer(0.1, finish.set).start()
        # The socket of the device is closed: that it was kept is what can be seen.
    assert kept(path) == [0]


@pytest.mark.parametrize("fails", [False, True])
def test_reports_that_arrive_together_are_each_answered_for_themselves(path, fails):
    """Some go on from what is known, one comes twice, one is of another life; and with `fails` one cannot be kept."""
    answers = {}

    async def story(collector, reports):
        writer = Writer(collector)
        for report in reports:
            writer.put(report, lambda report, result: answers.update({id(report): result}))
        await writer.close()

    with closing(Store(path)) as store:
        collector = Collector(store, KEYS)
        assert collector.coap(post(sealed(life_id=LIFE), 0))
        blobs = [routine(seq=seq) for seq in (1, 2, 3, 4)]
        blobs[2:2] = [sealed(life_id=LIFE), sealed(life_id=b"next", seq=9)]
        reports = [collector.receive(post(blob, 1 + mid), None) for mid, blob in enumerate(blobs)]
        if fails:
            store._db.execute(
                "CREATE TEMP TRIGGER fails AFTER INSERT ON report WHEN NEW.seq = 2 BEGIN SELECT RAISE(FAIL, 'no'); END"
            )
        asyncio.run(story(collector, reports))
        seqs = [seq for (seq,) in store.database.execute("SELECT seq FROM report ORDER BY seq")]
    results = [answers[id(report)] for report in reports]
    outcomes = ["refused" if isinstance(each, StoreError) else each[0].outcome.value for each in results]
    assert outcomes == ["new", "refused" if fails else "new", "duplicate", "new", "new", "new"]
    assert seqs == [0, 1, *[2] * (not fails), 3, 4, 9]


def exchanges(collector, *seqs):
    return [collector.receive(post(sealed(seq=seq), seq), None) for seq in seqs]


def test_a_report_that_cannot_be_stored_takes_no_other_with_it(path):
    with closing(Store(path)) as store:
        store._db.execute(
            "CREATE TEMP TRIGGER fails AFTER INSERT ON report WHEN NEW.seq = 1 BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
        collector = Collector(store, KEYS)
        first, second, third = collector.keep_all(exchanges(collector, 0, 1, 2))
        assert isinstance(second, StoreError)
        assert [kept.outcome.value for kept, _ in (first, third)] == ["new", "new"]
    assert kept(path) == [0, 2]


def test_what_the_disk_did_not_take_is_acknowledged_to_nobody(path):
    """A constraint that is checked at the end stands for a disk that fails then."""
    with closing(Store(path)) as store:
        store._db.execute("PRAGMA foreign_keys = ON")
        store._db.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        store._db.execute("CREATE TABLE late (id INTEGER REFERENCES other (id) DEFERRABLE INITIALLY DEFERRED)")
        store._db.execute("CREATE TEMP TRIGGER fails AFTER INSERT ON report BEGIN INSERT INTO late VALUES (1); END")
        collector = Collector(store, KEYS)
        results = collector.keep_all(exchanges(collector, 0, 1))
        assert all(isinstance(each, StoreError) for each in results)
        store._db.execute("DROP TRIGGER fails")
        again = collector.keep_all(exchanges(collector, 2))
        assert again[0][0].outcome.value == "new", "nothing is left of what failed"
    assert kept(path) == [2]
