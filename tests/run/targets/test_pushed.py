"""A server that sends messages by itself, over modems whose counter is not used: no octet is in nobody's figure."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.network.hosts import VirtualHost

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
LENGTHS = [(1500,), (1460, 20), (2800, 100)]
QUICK = ("quectel-ec200u", (1500,))
PERIOD_US = 20_000_000


class Pusher(VirtualHost):
    """Sends a message of each of `lengths` in turn, one every 20 s, to whoever connects."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self.lengths = itertools.cycle(lengths)
        self.sent = 0

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
    ("modem", "lengths"),
    [
        pytest.param(modem, lengths, marks=() if (modem, lengths) == QUICK else pytest.mark.proof)
        for modem in MODEMS
        for lengths in LENGTHS
    ],
    ids=str,
)
def test_every_message_is_priced_by_itself(modem: str, lengths: tuple[int, ...]) -> None:
    world = World(scenario.loads(TEXT.format(modem=modem), "test.toml"), 1, {})
    pusher = Pusher(lengths)
    world.internet.add_host("pusher", pusher)
    target = DirectTarget(world.scenario.device_config(), listen)
    world.run(target.boot)
    assert target.guard
    carried = target.guard.admission.carried_octets()
    truth = world.carrier.figures(IMSI, world.carrier.cycles(IMSI)[-1])["ip_octets"]
    assert pusher.sent > 150 * min(lengths), "the messages came"
    assert truth <= carried
