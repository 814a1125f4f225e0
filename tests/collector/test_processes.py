"""A collector of several processes, as a user and a service manager see it."""

import os
import re
import signal
import socket
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from aiocoap import Code, Message

from host_tools.base.errors import UsageError
from host_tools.bench import reports
from host_tools.collector import server
from host_tools.collector.database import is_url
from host_tools.collector.processes import together
from host_tools.collector.store import Store
from tests.collector.test_server import PATIENCE_S, collector, ended, read_until

pytestmark = pytest.mark.realtime

DEVICES = 24


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text("".join(f'{name} = "{key.hex()}"\n' for name, key in reports.keys(DEVICES).items()))
    return file


@contextmanager
def running(db, keys):
    """A collector of two processes, and its port."""
    process = collector("--port", 0, "--db", db, "--keys", keys, "--processes", 2, process_group=0)
    try:
        yield process, int(read_until(process, rb"listening on coap://[\d.]+:(\d+)/r")[1])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever is left of it, which would hold the pipes open
        process.communicate()


def workers(process, count=3):
    """The processes that it has started: two that answer, and for a file the one that writes it."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(found) == count
    return [int(pid) for pid in found]


def wait_until_gone(pids):
    last = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < last, "a process is left"
        time.sleep(0.01)


def ask(port, *datagrams):
    """The codes of the answers to datagrams that each come from an address of its own."""
    with ExitStack() as stack:
        devices = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in datagrams]
        for device, datagram in zip(devices, datagrams, strict=True):
            device.settimeout(PATIENCE_S)
            device.connect(("127.0.0.1", port))
            device.send(datagram)
        return {Message.decode(device.recv(2000)).code for device in devices}


def each_report(seq):
    return [reports.request(reports.sealed(number, seq), 100 * seq + number, b"ab") for number in range(DEVICES)]


def test_processes_share_a_port_and_a_database(database, keys):
    """Each device comes from another address with every report, as behind a NAT: its reports reach either process. Each
    knows what the other one was told, and a report that is repeated is stored once."""
    with running(database, keys) as (process, port):
        for datagrams in (each_report(0), each_report(0), each_report(1), each_report(2), each_report(1)):
            assert ask(port, *datagrams) == {Code.CHANGED}
        forged = [reports.request(b"hello", number, b"ab") for number in range(DEVICES)]
        assert ask(port, *forged) == {Code.BAD_REQUEST}
        pids = workers(process, 2 if is_url(database) else 3)
        out, error = ended(process)
        assert (process.returncode, error) == (0, b"")
        wait_until_gone(pids)
    refused = [int(count) for count in re.findall(rb"refused \d+ datagrams: (\d+) not reports", out)]
    assert len(refused) == 2, f"each process has answered some: {out}"
    assert sum(refused) == DEVICES
    with closing(Store(database)) as store:
        assert store.database.execute("SELECT seq, COUNT(*) FROM report GROUP BY seq ORDER BY seq") == [
            (seq, DEVICES) for seq in range(3)
        ]
        assert store.database.execute("SELECT COUNT(*) FROM alarm") == [(0,)]


@pytest.mark.parametrize("killed", [1, 2], ids=["that answers", "that writes"])
def test_when_one_dies_all_end_with_an_error(tmp_path, keys, killed):
    with running(tmp_path / "reports.sqlite", keys) as (process, port):
        for count in (1, 2):
            with pytest.raises(UsageError, match=f"--port: {port}: is in use by another program"):
                server.serve(port, tmp_path / "another.sqlite", keys, processes=count)
        pids = workers(process)
        os.kill(pids[killed], signal.SIGKILL)
        out, error = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (2, b"")
        problem = b"process %d: was killed by SIGKILL, so all were ended; start again" % pids[killed]
        assert error == b"usageguard: --processes: " + problem + b"\n"
        wait_until_gone(pids)


def have_open(file, pids):
    """Which of the processes have a file open."""
    return [any(os.path.realpath(each) == str(file) for each in Path(f"/proc/{pid}/fd").iterdir()) for pid in pids]


def test_when_the_first_is_killed_the_others_end_and_another_collector_can_start(tmp_path, keys):
    db = tmp_path / "reports.sqlite"
    with running(db, keys) as (process, port):
        pids = workers(process)
        assert ask(port, *each_report(0)) == {Code.CHANGED}
        assert have_open(f"{db}-wal", pids) == [False, False, True], "one writes the file"
        process.kill()
        process.wait()
        wait_until_gone(pids)
    with running(db, keys) as (process, port):
        pids = workers(process)
        assert ask(port, *each_report(1)) == {Code.CHANGED}
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C on a terminal, which reaches them all
        assert process.communicate(timeout=PATIENCE_S)[1] == b""
        assert process.returncode == 0
        wait_until_gone(pids)


def test_when_nobody_reads_what_they_print_they_end(tmp_path, keys):
    with running(tmp_path / "reports.sqlite", keys) as (process, port):
        pids = workers(process)
        process.stdout.close()
        assert ask(port, *each_report(0)) == {Code.CHANGED}, "what has arrived is stored and answered"
        assert process.wait(PATIENCE_S) == 141
        assert process.stderr.read() == b""
        wait_until_gone(pids)
        process.stdout = None


def test_another_system_than_linux_is_refused(tmp_path, keys, monkeypatch):
    monkeypatch.setattr(server.sys, "platform", "darwin")
    with pytest.raises(UsageError, match="--processes: 2: several need Linux"):
        server.serve(0, tmp_path / "reports.sqlite", keys, processes=2)


def test_an_error_of_one_is_raised_for_all():
    def work(number, told):
        if number:
            raise UsageError("--db", "", "is full")
        assert os.read(told, 1) == b"", "it is told to end"

    with pytest.raises(UsageError, match="--db: is full"):
        together(3, work)
