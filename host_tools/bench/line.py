"""How much of a fast serial line a driver uses: a megabyte each way through the simulated modem, in virtual time."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.world import World
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S
from host_tools.sim.modem import models
from host_tools.sim.serial import BITS_PER_OCTET

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
network = {{ latency_ms = 1 }}
[plan]
allowance_octets = "100MB"
[[host]]
name = "api"
kind = "responder"
"""


class _Done(Exception):
    pass


def shares(modem: str, reply_ms: int = REPLY_MS, baud: int = BAUD, counter: bool = True) -> dict[str, float]:
    """"up" and "down": payload by what the line could carry in the time, for a `modem` that answers each command after
    `reply_ms`."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, f"{modem}.toml")
        text = _DELAYS.sub(f'[delay_ms]\n"*" = {reply_ms}\n', (PROFILES / profile.name).read_text("utf-8"))
        profile.write_text(text, "utf-8")
        text = _TEXT.format(modem=profile, baud=baud, counter=str(counter).lower())
        world = World(scenario.loads(text, "line"), 1, {})
        config = world.device_config()
    found: dict[str, float] = {}

    def app(guard: object) -> None:
        sock = sockets.socket()
        sock.connect(("api", 80))
        for name, ask, reply in (("up", _MOST, 0), ("down", _REQUEST, OCTETS)):
            rounds = OCTETS // ask if not reply else 1
            begun = world.clock.now_us
            for _ in range(rounds):
                sock.write(b"UG" + ask.to_bytes(2, "big") + reply.to_bytes(4, "big"))
                sock.write(bytes(ask - _REQUEST))
            buffer = bytearray(1400)
            left = reply
            while left:
                left -= sock.readinto(buffer) or 0
            octets = reply or rounds * ask
            found[name] = octets * BITS_PER_OCTET * S / baud / (world.clock.now_us - begun)
        raise _Done

    try:
        world.run(DirectTarget(config, app).boot)
    except _Done:
        return found
    raise RuntimeError("the device's hour was over first")


def main() -> None:
    for modem in sys.argv[1:] or ["quectel-ec200u"]:
        for way, share in shares(modem).items():
            print(json.dumps({"modem": modem, "way": way, "share": round(share, 3)}))


if __name__ == "__main__":
    main()
