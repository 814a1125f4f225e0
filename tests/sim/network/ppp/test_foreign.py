"""A peer that nobody here wrote: Debian's slirp is the server, over a pseudo-terminal in real time."""

import contextlib
import os
import random
import select
import shutil
import socket
import subprocess
import termios
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from host_tools.sim.clock import Clock
from host_tools.sim.network.ppp.link import PppLink
from host_tools.sim.network.stack import IpStack
from tests.sim.network.ppp.ends import CLIENT

pytestmark = pytest.mark.realtime

PROGRAM = "slirp-fullbolt"  # Debian's slirp in the form that does not pace itself
LOOPBACK = "10.0.2.2"  # this machine's, as slirp translates it
SECONDS = 20
PAYLOAD = bytes(range(256)) * 64


class Slirp:
    """A link to a slirp process; `until` runs both in real time."""

    def __init__(self, vj):
        self.clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
        # slirp has no address for itself and asks its peer for one; it ends IPCP where it gets none.
        self.link = PppLink(self.clock, replace(CLIENT, peer=LOOPBACK, vj=vj), random.Random(1), self._write)
        self.down = []
        self.link.on_down = self.down.append
        self._begin = time.monotonic()
        self._fd, terminal = os.openpty()
        for end in (self._fd, terminal):
            attributes = termios.tcgetattr(end)
            attributes[0] = attributes[1] = attributes[3] = 0
            termios.tcsetattr(end, termios.TCSANOW, attributes)
        command = [PROGRAM, "-P"] + ([] if vj else ["-vj"])
        self._process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL)
        os.close(terminal)

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def _write(self, data):
        os.write(self._fd, data)

    def until(self, condition):
        end = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < end, "slirp does not answer"
            if select.select([self._fd], [], [], 0.01)[0]:
                self.link.feed(os.read(self._fd, 4096))
            self.clock.run_until(int((time.monotonic() - self._begin) * 1_000_000))

    def connect(self):
        self.link.open()
        self.until(lambda: self.link.up)


@pytest.fixture
def echo():
    """The port of a server on this machine that sends back what it gets."""
    with socket.create_server(("0.0.0.0", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                peer, _ = server.accept()
                with peer:
                    while data := peer.recv(4096):
                        peer.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.parametrize("vj", [True, False])
def test_slirp_carries_a_stream_both_ways(vj, echo):
    if not shutil.which(PROGRAM):
        pytest.skip(f"{PROGRAM} is not installed: apt-get install slirp")
    slirp = Slirp(vj)
    try:
        slirp.connect()
        assert slirp.link.address.startswith("10.0.2.")
        assert slirp.link.vj_sent is vj
        stack = IpStack(slirp.clock, slirp.link.address, slirp.link.send, mss=1440)
        slirp.link.on_packet = stack.deliver
        connection = stack.open((LOOPBACK, echo))
        got = bytearray()
        connection.on_readable = lambda: got.extend(connection.read())
        connection.connect()
        connection.send(PAYLOAD)
        slirp.until(lambda: len(got) == len(PAYLOAD))
        assert bytes(got) == PAYLOAD
        slirp.link.close()
        slirp.until(lambda: slirp.down)
    finally:
        slirp.close()
