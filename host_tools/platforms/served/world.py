"""The carrier of `usageguard platform serve`: SIMs that use data as a TOML file says, in real time or faster."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from host_tools.base import files, toml
from host_tools.base.errors import UsageError
from host_tools.base.toml import Table
from host_tools.base.units import Octets, Seconds
from host_tools.platforms.served.control_center import ControlCenter
from host_tools.platforms.served.faults import Fault, Kind
from host_tools.platforms.served.onelink import Card, OneLink, Settings
from host_tools.sim.carrier import Bearer, Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import MTU, udp

_HINT = "name a TOML file with an appid, a password and [[sim]]"
_STEP_S = 600  # how often a SIM uses its share
_NOWHERE = ("203.0.113.9", 9)
_HEADERS = 28  # octets of IPv4 and UDP


class SimRow(Table, frozen=True):
    """A SIM and what it uses: `used` at the start, then so much a day. In a `group` the allowance is the group's."""

    msisdn: str
    iccid: str = ""
    imsi: str = ""
    allowance: Octets = Octets(30 << 20)
    used: Octets = Octets(0)
    a_day: Octets = Octets(0)
    group: str = ""


class FaultRow(Table, frozen=True):
    """As served.faults.Fault."""

    kind: Kind
    function: str = ""
    times: int = 1
    after: int = 0
    code: str = "500"
    seconds: float = 0.0


class GroupRow(Table, frozen=True):
    """A pool by its id."""

    id: str
    allowance: Octets


class World(Table, frozen=True):
    """A customer, the SIMs, the carrier's rating, and what goes wrong. The password is made up: anybody may read it."""

    appid: str
    password: str
    sim: list[SimRow]
    group: list[GroupRow] = []
    fault: list[FaultRow] = []
    figures: Literal["yesterday", "now"] = "yesterday"
    lag: Seconds = Seconds(0)
    per_packet_octets: int = 0
    margin_permille: int = 0
    user: str = ""  # of Control Center, with its key
    key: str = ""
    token_ttl: Seconds = Seconds(3600)
    change_interval: Seconds = Seconds(1800)
    change_takes: Seconds = Seconds(60)


class Running:
    """The world of a file from `start` on; `advance` moves its time."""

    def __init__(self, world: World, start: datetime) -> None:
        self.clock = Clock(start)
        rating = Rating(
            per_packet_octets=world.per_packet_octets,
            permille=world.margin_permille,
            lag_s=world.lag,
            daily_figures=world.figures == "yesterday",
        )
        internet = Internet(self.clock, random.Random(1), latency_ms=10)
        self.carrier = Carrier(self.clock, internet, rating, Enforcement(), EventLog(self.clock))
        for group in world.group:
            self.carrier.add_pool(group.id, group.allowance)
        cards = []
        for index, row in enumerate(world.sim):
            imsi = row.imsi or f"46004{index:010}"
            cards.append(Card(row.msisdn, row.iccid or f"898604{index:014}", imsi))
            self.carrier.add_sim(imsi, SimPlan(0 if row.group else row.allowance, pool=row.group or None))
        settings = Settings(world.token_ttl, world.change_interval, change_s=world.change_takes)
        groups = {group.id: group.id for group in world.group}
        self.api = OneLink(self.carrier, cards, {world.appid: world.password}, groups, settings)
        self.rest = ControlCenter(
            self.carrier, {card.iccid: card.imsi for card in cards}, {world.user: world.key} if world.user else {}
        )
        self.faults = [Fault(**msgspec.structs.asdict(row)) for row in world.fault]
        self._bearers: dict[str, Bearer] = {}
        for card, row in zip(cards, world.sim, strict=True):
            self._use(card.imsi, row.used)
            if row.a_day:
                self.clock.after(_STEP_S * S, self._again, card.imsi, row.a_day, 0)

    def advance(self, seconds: float) -> None:
        """To so many seconds after the start."""
        self.clock.run_until(int(seconds * S))

    def _again(self, imsi: str, a_day: int, rest: int) -> None:
        share, rest = divmod(a_day * _STEP_S + rest, 86_400)
        self._use(imsi, share)
        self.clock.after(_STEP_S * S, self._again, imsi, a_day, rest)

    def _use(self, imsi: str, octets: int) -> None:
        """Has a SIM send packets, unless it is stopped; less than a header is not sent."""
        bearer = self._bearers.get(imsi)
        if bearer is None or not bearer.active:
            answer = self.carrier.activate(imsi, lambda packet: None, lambda: None)
            if not isinstance(answer, Bearer):
                return
            bearer = self._bearers[imsi] = answer
        while octets >= _HEADERS and bearer.active:
            size = min(octets, MTU)
            bearer.send(udp((bearer.ip, 9), _NOWHERE, bytes(size - _HEADERS)))
            octets -= size


def load(path: Path) -> World:
    """Reads a file. UsageError for anything that makes no world."""
    world = toml.convert(files.table(path, _HINT), World, str(path), {})
    try:
        Running(world, datetime.fromisoformat("2026-01-01T00:00:00+08:00"))
    except ValueError as error:
        raise UsageError(str(path), "", str(error)) from None
    return world
