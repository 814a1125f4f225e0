"""Follows traffic classes from outside: which class a packet is of, and what became of the built-in applications'
transfers.

Which class a connection is of, only the device knows: it says so before it opens one ("~opens"), and the next flow to
that port is this connection's.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from host_tools.run.world import World
from host_tools.sim.network.packet import SYN, TCP, Address, Packet

DEVICES = "10."
"""The carrier's addresses begin so."""
DNS_PORT = 53
EDQUOT = 122
"""The errno of what the guard does not admit."""
_STALE_US = 300_000_000  # an opening that no packet followed

Flow = tuple[int, Address, Address]
"""Protocol, the device's address, the peer's."""


class Flows:
    """Tells the class of each packet; `classes` are their names, in the device's order."""

    def __init__(self, classes: list[str]) -> None:
        self._classes = classes
        self._names: dict[Flow, str] = {}
        self._openings: deque[tuple[int, int, int]] = deque()  # (class, port, us)
        self._last = classes[0]  # the class of the last opening

    def opens(self, index: int, port: int, now_us: int) -> None:
        """The device is about to open a connection to `port`."""
        self._openings.append((index, port, now_us))
        self._last = self._classes[index]

    def name(self, flow: Flow, now_us: int, new: bool) -> str:
        """The class of a packet of this flow; `new`: it begins another connection of the same ports."""
        if flow[2][1] == DNS_PORT:
            return self._last
        name = None if new else self._names.get(flow)
        if name is None:
            name = self._names[flow] = self._class_of(flow[2], now_us)
        return name

    def _class_of(self, peer: Address, now_us: int) -> str:
        """The class of a flow that begins: that of the oldest opening for its port."""
        openings = self._openings
        while openings and now_us - openings[0][2] > _STALE_US:
            openings.popleft()
        for opening in openings:
            if opening[1] == peer[1]:
                openings.remove(opening)
                return self._classes[opening[0]]
        return self._last


def flow_of(packet: Packet) -> tuple[bool, Flow]:
    """Whether a packet is the device's, and its flow."""
    if packet.src[0].startswith(DEVICES):
        return True, (packet.proto, packet.src, packet.dst)
    return False, (packet.proto, packet.dst, packet.src)


class ClassCounter:
    """Counts a world's octets and transfers by traffic class, from its start."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._of_habits = [habit.class_name for habit in world.scenario.traffic]
        self._names = [each.name for each in world.scenario.config.classes]
        self._flows = Flows(self._names)
        self._used: set[Flow] = set()  # TCP flows that carried more than their opening
        self._octets: Counter[str] = Counter()
        self._ended: dict[str, Counter[str]] = {}  # by class: begun, done, failed, refused
        world.board.on_tally.append(self._tally)
        if world.board.simulated:
            world.tells_openings = True
            world.carrier.on_packet = self._packet

    def _tally(self, what: str, a: int, b: int) -> None:
        if what == "opens":
            self._flows.opens(a, b, self._world.clock.now_us)
        elif a < len(self._of_habits):
            kind = "refused" if what == "failed" and b == EDQUOT else what
            self._ended.setdefault(self._of_habits[a], Counter())[kind] += 1

    def _packet(self, packet: Packet) -> None:
        up, flow = flow_of(packet)
        new = False
        if packet.proto == TCP:
            opens = up and packet.flags & SYN
            new = bool(opens) and flow in self._used
            if not packet.flags & SYN:
                self._used.add(flow)
            elif new:
                self._used.discard(flow)
        self._octets[self._flows.name(flow, self._world.clock.now_us, new)] += packet.length

    def to_json(self) -> dict[str, dict[str, Any]]:
        """By class: IP octets of the whole run (None where nobody says which connection is whose), and transfers of the
        built-in applications that were done, failed, were refused by the guard, and never ended."""
        told = bool(self._octets)
        found = {}
        for name in self._names:
            ended = self._ended.get(name, Counter())
            over = ended["done"] + ended["failed"] + ended["refused"]
            found[name] = {
                "octets": self._octets[name] if told else None,
                "done": ended["done"],
                "failed": ended["failed"],
                "refused": ended["refused"],
                "unfinished": ended["begun"] - over,
            }
        return found

