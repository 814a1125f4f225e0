"""The target board:PORT against a virtual board, whose modem line leads over a pseudo-terminal to the bench."""

import os
import select
import threading
import tty
from contextlib import contextmanager

import pytest

from host_tools.hardware.virtual import VirtualBoard

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.realtime


@contextmanager
def crossed_wires():
    """Two ttys, each of which hears what the other is told."""
    masters, slaves = zip(os.openpty(), os.openpty(), strict=True)
    for fd in slaves:
        tty.setraw(fd)
    ended, end = os.pipe()

    def pass_on():
        while ended not in (ready := select.select([*masters, ended], [], [])[0]):
            for fd in ready:
                os.write(masters[masters[0] == fd], os.read(fd, 4096))

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    try:
        yield [os.ttyname(fd) for fd in slaves]
    finally:
        os.write(end, b"\0")
        thread.join()
        for fd in (*masters, *slaves, ended, end):
            os.close(fd)


TEST = """
import pytest
from host_tools.errors import UsageError

def test_app(bench, carrier, guard):
    run = bench.run("app.py", hosts={"api.example": "responder"}, duration="25s")
    assert run.passed
    assert guard.boots == 1
    assert guard.time_source > 0
    assert run.find("device", "asked"), run.output
    assert {event["a"] for event in run.find("device", "asked")} == {500}
    assert "asked the server" in run.output
    assert 500 < carrier.billed_octets < 20_000

def test_power(bench):
    bench.start("app.py", duration="1m")
    with pytest.raises(UsageError, match="a real board's power"):
        bench.cut_power()
        bench.advance("30s")
"""
APP = """
import socket

def main(guard):
    while True:
        guard.sleep(2000)
        sock = socket.socket()
        try:
            sock.settimeout(20)
            sock.connect(("api.example", 7000))
            sock.write(b"UG" + bytes((0, 8)) + (500).to_bytes(4, "big"))
            got = 0
            while got < 500:
                got += len(sock.read(500 - got))
            guard.hal.event("asked", got)
            print("asked the server")
        except OSError as error:
            print("no:", error)
        finally:
            sock.close()
"""


def test_an_application_is_tested_on_a_board(pytester, tmp_path):
    pytester.makepyfile(TEST, app=APP)
    with (
        crossed_wires() as (board_line, bench_line),
        VirtualBoard(tmp_path / "board", str(tmp_path / "port"), board_line) as board,
    ):
        done = pytester.runpytest_subprocess(
            f"--target=board:{board.path}", f"--modem-port={bench_line}", "--board=own-esp32-quectel"
        )
    done.assert_outcomes(passed=2)
