"""How much of a fast serial line a driver uses: a megabyte each way through the simulated modem, in virtual time."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.world import World
from host_tools.scenario import file as scenario
from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.modem import models
from host_tools.sim.serial import BITS_PER_OCTET, Direction, SerialLine

OCTETS = 1_000_000
BAUD = 921_600
REPLY_MS = 5
PROFILES = Path(models.__file__).parent / "profiles"
_DELAYS = re.compile(r"^\[delay_ms\]\n(?:(?!\[).*\n?)*", re.MULTILINE)
_REQUEST = 8
_MOST = 0xFFFF  # what the responder takes in one request
_TEXT = """
title = "a megabyte each way"
start = 2026-03-01T00:00:00+08:00
duration = "1h"
modem = "{modem}"
baud = {baud}
counter = {counter}
flow_control = {flow_control}
network = {{ latency_ms = 1 }}
[plan]
allowance_octets = "100MB"
[[host]]
name = "api"
kind = "responder"
"""


class _Done(Exception):
    pass


@dataclass(frozen=True)
class Share:
    """Payload by what the line could carry in the time: `of_line`; and `bound`, the same without the time in which
    modem and line waited for the driver, but for the pauses that the modem's manual asks for."""

    of_line: float
    bound: float


@dataclass(frozen=True)
class Pauses:
    """Milliseconds that a manual asks for: behind a final result, and between a prompt and the data."""

    result_ms: int = 0
    prompt_ms: int = 0


MANUALS = {"sara-r5": Pauses(20, 50)}  # SARA-R5 AT commands manual 2.2.5.1, and AT+USOWR


class Idle:
    """Counts how long the line is silent, with nothing under way in the modem, before the host writes."""

    def __init__(self, clock: Clock, line: SerialLine, pauses: Pauses) -> None:
        self.us = 0
        self._pauses = pauses
        self._clock = clock
        self._quiet_at = 0
        self._watch(line.to_host, False)
        self._watch(line.to_modem, True)

    def _watch(self, direction: Direction, from_host: bool) -> None:
        write = direction.write

        def watched(data: bytes) -> None:
            now = self._clock.now_us
            if from_host:
                pause_ms = self._pauses.result_ms if data.startswith(b"AT") else self._pauses.prompt_ms
                self.us += max(0, now - self._quiet_at - pause_ms * MS)
            write(data)
            on_line = len(data) * BITS_PER_OCTET * S // direction.baud
            self._quiet_at = max(self._quiet_at, now) + on_line

        direction.write = watched


def shares(
    modem: str, reply_ms: int = REPLY_MS, baud: int = BAUD, counter: bool = True, flow_control: bool = False
) -> dict[str, Share]:
    """ "up" and "down", for a `modem` that answers each command after `reply_ms`."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, f"{modem}.toml")
        text = _DELAYS.sub(f'[delay_ms]\n"*" = {reply_ms}\n', (PROFILES / profile.name).read_text("utf-8"))
        profile.write_text(text, "utf-8")
        wired = {"counter": counter, "flow_control": flow_control}
        text = _TEXT.format(modem=profile, baud=baud, **{name: str(on).lower() for name, on in wired.items()})
        world = World(scenario.loads(text, "line"), 1, {})
        config = world.device_config()
    idle = Idle(world.clock, world.board.line, MANUALS.get(modem, Pauses()))
    found: dict[str, Share] = {}

    def app(guard: object) -> None:
        sock = sockets.socket()
        sock.connect(("api", 80))
        for name, ask, reply in (("up", _MOST, 0), ("down", _REQUEST, OCTETS)):
            rounds = OCTETS // ask if not reply else 1
            begun, idled = world.clock.now_us, idle.us
            for _ in range(rounds):
                sock.write(b"UG" + ask.to_bytes(2, "big") + reply.to_bytes(4, "big"))
                sock.write(bytes(ask - _REQUEST))
            buffer = bytearray(1400)
            left = reply
            while left:
                left -= sock.readinto(buffer) or 0
            payload_us = (reply or rounds * ask) * BITS_PER_OCTET * S / baud
            taken_us = world.clock.now_us - begun
            found[name] = Share(payload_us / taken_us, payload_us / (taken_us - (idle.us - idled)))
        raise _Done

    try:
        world.run(DirectTarget(config, app).boot)
    except _Done:
        return found
    raise RuntimeError("the device's hour was over first")
