"""Two ends of a PPP link on one line, which cuts what goes over it into pieces, and may damage it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.network.packet import Packet
from host_tools.sim.network.ppp.link import PppLink, Side

DEVICE, GATEWAY, DNS = "10.7.0.2", "10.7.0.1", "198.51.100.53"
SERVER = Side(address=GATEWAY, peer=DEVICE, dns=DNS)
CLIENT = Side(asks_dns=True)


class Ends:
    """`client` and `server`, joined; `garble(octets)` may change what passes."""

    def __init__(self, client: Side = CLIENT, server: Side = SERVER, seed: int = 1) -> None:
        self.clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
        self._rng = random.Random(seed)
        self.garble: Callable[[bytes], bytes] = bytes
        self.passed = {"client": bytearray(), "server": bytearray()}
        self.packets: list[Packet] = []
        self.ended: list[tuple[str, str]] = []
        self.client = self._end("client", client)
        self.server = self._end("server", server)

    def _end(self, name: str, side: Side) -> PppLink:
        link = PppLink(
            self.clock, side, random.Random(f"{name}/{self._rng.random()}"), lambda out: self._send(name, out)
        )
        link.on_packet = self.packets.append
        link.on_down = lambda reason: self.ended.append((name, reason))
        return link

    def _send(self, name: str, out: bytes) -> None:
        self.passed[name] += out
        out = self.garble(out)
        while out:
            n = self._rng.randint(1, len(out))
            self.clock.after(1 * MS, self._arrive, name, out[:n])
            out = out[n:]

    def _arrive(self, name: str, piece: bytes) -> None:
        (self.server if name == "client" else self.client).feed(piece)

    def open(self, seconds: int = 20) -> None:
        self.server.open()
        self.client.open()
        self.run(seconds)

    def run(self, seconds: int) -> None:
        self.clock.run_until(self.clock.now_us + seconds * S)
