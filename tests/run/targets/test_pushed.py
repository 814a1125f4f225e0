"""A server that sends messages by itself, over modems whose counter is not used: no octet is in nobody's figure."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

import pytest

from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.network.hosts import VirtualHost
from host_tools.sim.network.internet import Internet

TEXT = """
title = "pushed"
start = 2026-03-10T12:00:00+08:00
duration = "1h"
modem = "{modem}"
counter = false
[plan]
allowance_octets = "30MB"
[upstream]
host = "collector"
[[host]]
name = "collector"
kind = "collector"
"""
MODEMS = ["quectel-ec200u", "a7670e", "ml307r", "sim7000g", "air780e", "gm02s"]
LENGTHS = [(1300,), (1500,), (1460, 20), (2700,), (2800, 100)]
MSS = [1240, 1340, 1460]  # to which a network clamps that of its connections
QUICK = [("quectel-ec200u", (1500,), 1460), ("air780e", (1460, 20), 1240)]
PERIOD_US = 20_000_000


class Pusher(VirtualHost):
    """Sends a message of each of `lengths` in turn, one every 20 s, to whoever connects."""

    def __init__(self, lengths: tuple[int, ...], mss: int) -> None:
        self.lengths = cycle(lengths)
        self.mss = mss
        self.sent = 0

    def join(self, internet: Internet, ip: str) -> None:
        super().join(internet, ip)
        self.stack.tcp_options["mss"] = self.mss

    def accept(self, connection: Any, syn: Any) -> bool:
        def push() -> None:
            if not connection.peer_closed:
                self.sent += connection.send(bytes(next(self.lengths)))
                self.stack.clock.after(PERIOD_US, push)

        self.stack.clock.after(PERIOD_US, push)
        return True


def listen(guard: Any) -> None:
    with sockets.socket() as sock:
        sock.connect(("pusher", 80))
        while True:
            sock.recv(4096)


@pytest.mark.parametrize(
    ("modem", "lengths", "mss"),
    [pytest.param(*each, marks=() if each in QUICK else pytest.mark.proof) for each in product(MODEMS, LENGTHS, MSS)],
    ids=str,
)
def test_every_message_is_priced_by_itself(modem: str, lengths: tuple[int, ...], mss: int) -> None:
    world = World(scenario.loads(TEXT.format(modem=modem), "test.toml"), 1, {})
    pusher = Pusher(lengths, mss)
    world.internet.add_host("pusher", pusher)
    target = DirectTarget(world.scenario.device_config(), listen)
    world.run(target.boot)
    assert target.guard
    carried = target.guard.admission.carried_octets()
    truth = world.carrier.figures(IMSI, world.carrier.cycles(IMSI)[-1])["ip_octets"]
    assert pusher.sent > 150 * min(lengths), "the messages came"
    assert truth <= carried
