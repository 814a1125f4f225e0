"""A month of devices with the firmware in them that share one pool, as their owner runs them.

All report to one collector. Once in six hours the owner asks the carrier's platform over HTTP, as `platform sync` does,
and divides what is left, as `platform share` does. Figures are a day old, some members are dead for days and one for
good, the platform is down for a day, and together the members want more than there is: a few of them much more than
their even share.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from host_tools.base import extras
from host_tools.collector.intake import Collector
from host_tools.collector.order_book import State
from host_tools.collector.store import Store
from host_tools.platforms import grants
from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.interface import PlatformError
from host_tools.platforms.onelink.adapter import Names
from host_tools.platforms.onelink.adapter import OneLink as Adapter
from host_tools.platforms.onelink.skins import V5
from host_tools.platforms.reconcile import cycle_begin
from host_tools.platforms.secret import Secret
from host_tools.platforms.served.http import Server
from host_tools.platforms.served.onelink import Card, OneLink
from host_tools.platforms.sync import Sync
from host_tools.platforms.transport import Aiohttp, Pace
from host_tools.run import fleet as pooled
from host_tools.run.targets.target import Program
from host_tools.run.turns import PacedClock, Turn, take_turns
from host_tools.run.world import ICCID, IMSI, World
from host_tools.scenario import file
from host_tools.scenario.carrier import POOL
from host_tools.scenario.file import Scenario
from host_tools.sim.carrier import Carrier
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.hosts import UdpHandlerHost
from host_tools.sim.network.internet import Internet

DAYS = 31
START = date(2026, 3, 1)
BEGIN = cycle_begin(START)
KB = 1024
A_MEMBER = 300 * KB
"""Of the pool. Each fifth wants 1.3 MB, most of the others 100 KB."""
FIRST_GRANT = 24 * KB
MARGIN_PERMILLE = 30
REPORTS_A_DAY = 400  # octets of three
TERMS = grants.Terms(FIRST_GRANT, timedelta(days=2), timedelta(hours=30), MARGIN_PERMILLE, REPORTS_A_DAY)
REPORT_H, OWNER_H = 8, 6
DOWN_DAY = 12
DEAD_EACH = 10  # one in so many members, for four days; the first of them for good
HEAVY_EACH = 5
AWAKE_EACH = 4
"""The others sleep deeply between requests, except those that want much."""
WINDOW_US = 600 * S
LEAST_USED_PERMILLE = 900
LONGEST_WAIT_H = 24 + REPORT_H + OWNER_H
"""For a share while there is some left: until the platform is back, it is divided, and the member has reported."""
_LEFT_PERMILLE = 20  # of the pool: less is none, since it is divided in parts that members still want
_LACKS = {"POOL_EXHAUSTED", "GRANT_EXPIRED"}
_APPID, _PASSWORD = "200000000000000001", "made-up-password"
_GROUP = "7001"


def scenario(number: int, rng: random.Random, pool: int) -> Scenario:
    """What member `number` is and does, in a pool of so many octets."""
    heavy = number % HEAVY_EACH == 1
    faults = []
    if number % DEAD_EACH == 2:
        off_h = 24 * (DAYS if number == 2 else 4)
        faults.append({"kind": "power_cut", "at": f"{rng.randint(3, DAYS - 7)}d", "off": f"{off_h}h"})
    return file.read(
        {
            "title": "A member of a pool",
            "start": BEGIN,
            "duration": f"{DAYS * 24 * 60 - 1}m",
            "device": {"id": f"member-{number:03}"},
            "plan": {
                "allowance_octets": "20MB",
                "pool": {"first_grant_octets": FIRST_GRANT, "on_silence": "retry_and_terminate"},
            },
            "upstream": {"host": "collector", "interval_s": f"{REPORT_H}h"},
            "app": {"pauses": "guard" if heavy or number % AWAKE_EACH == 0 else "deep-sleep"},
            "carrier": {
                "pool": {"allowance_octets": pool},
                "permille": 10,
                "daily_figures": True,
                "late_permille": 20,
                "late_s": 43_200,
            },
            "network": {"loss_permille": 10},
            "host": [{"name": "collector", "kind": "collector"}, {"name": "api", "kind": "responder"}],
            "traffic": [
                {
                    "class": "telemetry",
                    "kind": "request",
                    "host": "api",
                    "period": f"{REPORT_H}h",
                    "tx": 300,
                    "rx": "12KB" if heavy else "2KB",
                    "from": f"{rng.randint(1, REPORT_H * 60)}m",
                }
            ],
            "fault": faults,
        },
        "fleet.toml",
    )


class Member:
    """One device in its world. `starved` and `waited`: how long it had no share in all, and at a stretch at the most
    while there was some left."""

    def __init__(self, number: int, given: Scenario, seed: int, serve: Callable[[Member, bytes, Any], bytes | None]):
        from host_tools.run.targets.direct import WorkloadTarget  # the firmware, on this process's path

        self.number = number
        self.name = f"member-{number:03}"
        self.dies = bool(given.faults)
        self.status: dict[str, Any] = {}
        self.starved = self.waited = timedelta()
        self.lacks_since: datetime | None = None
        self._seed = seed
        self._given = given
        self._serve = serve
        self._target = WorkloadTarget()
        self.turn = Turn(given.start, self._live)
        self.turn.on_turn = self._target.take_over
        self.world: World

    def _live(self, clock: PacedClock) -> None:
        self.world = world = World(self._given, self._seed + self.number, {}, clock=clock)
        world.modem.card_reader.card.iccid = iccid(self.number)
        world.internet.remove_host("collector")
        world.internet.add_host("collector", UdpHandlerHost(lambda blob, source: self._serve(self, blob, source)))
        world.board.on_status = self._heard
        with closing(world):
            self._target.run(world, Program("workload"), None)

    def _heard(self, status: dict[str, Any]) -> None:
        self.status = status
        now = self.world.clock.utc()
        if status["stopped"] and _LACKS & set(status["reasons"]):
            self.lacks_since = self.lacks_since or now
        elif self.lacks_since is not None:
            self.starved += now - self.lacks_since
            self.lacks_since = None

    def settle(self, end: datetime) -> None:
        """The month is over."""
        if self.lacks_since is not None and not self.dies:
            self.starved += end - self.lacks_since

    @property
    def unused(self) -> int:
        """What it may still use of its share."""
        return max((self.status.get("granted_octets") or 0) - self.status.get("rated_octets", 0), 0)


def iccid(number: int) -> str:
    return str(int(ICCID) + number)


def msisdn(number: int) -> str:
    return str(1_440_000_000_001 + number)


@dataclass
class Lived:
    """What became of the fleet. `failures` has a line for each promise that was not kept."""

    devices: int
    seed: int
    pool: int
    used: int = 0
    orders: Counter[str] = field(default_factory=Counter)
    starved_h: dict[str, float] = field(default_factory=dict)
    longest_wait_h: float = 0.0
    divisions: int = 0
    unanswered: int = 0
    wall_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "devices": self.devices,
            "seed": self.seed,
            "pool_octets": self.pool,
            "used_octets": self.used,
            "orders": dict(self.orders),
            "divisions": self.divisions,
            "unanswered": self.unanswered,
            "starved_h": self.starved_h,
            "longest_wait_h": round(self.longest_wait_h, 1),
            "wall_s": round(self.wall_s, 1),
            "failures": self.failures,
        }


def live(devices: int, seed: int, on_day: Callable[[int], None] = lambda day: None) -> Lived:
    """A month of so many devices. `on_day` is called after each day. UsageError where an extra is missing."""
    extras.need("soak", "platforms")
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Store(Path(folder, "reports.sqlite"))) as store,
        closing(_Fleet(devices, seed, store, on_day)) as fleet,
    ):
        take_turns([member.turn for member in fleet.members], fleet.exchange, WINDOW_US)
        fleet.settle()
    fleet.lived.wall_s = time.monotonic() - began
    return fleet.lived


class _Fleet:
    """The members, and what their owner does at the end of a window, when all worlds have come to it."""

    def __init__(self, devices: int, seed: int, store: Store, on_day: Callable[[int], None]) -> None:
        rng = random.Random(f"fleet/{seed}")
        self.lived = Lived(devices, seed, devices * A_MEMBER)
        given = [scenario(number, rng, self.lived.pool) for number in range(devices)]
        self.members = [Member(number, each, seed, self._serve) for number, each in enumerate(given)]
        self._store = store
        self._on_day = on_day
        self._day = 0
        self._due = BEGIN + timedelta(hours=OWNER_H)
        self._left_since: datetime | None = None
        self._now = BEGIN
        configs = [each.device_config()["device"] for each in given]
        keys = {each["id"]: bytes.fromhex(each["key"]) for each in configs}
        self._collector = Collector(store, keys, lambda: self._now)
        self._clock = Clock(BEGIN)
        self._owner: _Owner | None = None

    def close(self) -> None:
        if self._owner is not None:
            self._owner.close()

    def _serve(self, member: Member, datagram: bytes, source: Any) -> bytes | None:
        self._now = member.world.clock.utc()
        return self._collector.coap(datagram, (member.number, source))

    def exchange(self) -> None:
        """The end of a window in which something was to do."""
        pools = [member.world.carrier.pool(POOL) for member in self.members]
        pooled.exchange(pools)
        if self._owner is None:
            self._owner = _Owner(self.members, self._clock, self._store)
        self._clock.run_until(max(member.turn.clock.now_us for member in self.members))
        lived, now = self.lived, self._clock.utc()
        lived.used = pools[0].billed_octets
        if lived.used > lived.pool and not any("over the pool" in each for each in lived.failures):
            lived.failures.append(f"{lived.used - lived.pool:,} octets over the pool on {now:%m-%d %H:%M}")
        if now >= self._due:
            self._due += timedelta(hours=OWNER_H)
            self._look(now)
            if self._owner.divide(now):
                lived.divisions += 1
            else:
                lived.unanswered += 1
        day = (now - BEGIN).days
        if day > self._day:
            self._day = day
            self._on_day(day)

    def _look(self, now: datetime) -> None:
        """Notes who waits for a share while there is some left: not used, and in no other member's share."""
        days = (BEGIN + timedelta(days=DAYS) - now) / timedelta(days=1)
        spared = self.lived.pool * MARGIN_PERMILLE // 1000 + round(len(self.members) * REPORTS_A_DAY * days)
        left = self.lived.pool - spared - self.lived.used - sum(member.unused for member in self.members)
        if left * 1000 < self.lived.pool * _LEFT_PERMILLE:
            self._left_since = None
            return
        self._left_since = self._left_since or now
        for member in self.members:
            if member.lacks_since is not None and not member.dies:  # which a dead one does not tell any more
                member.waited = max(member.waited, now - max(member.lacks_since, self._left_since))

    def settle(self) -> None:
        """Enters what became of members and orders."""
        lived = self.lived
        for member in self.members:
            member.settle(self._clock.utc())
            if member.starved:
                lived.starved_h[member.name] = round(member.starved / timedelta(hours=1), 1)
            lived.longest_wait_h = max(lived.longest_wait_h, member.waited / timedelta(hours=1))
            if member.waited > timedelta(hours=LONGEST_WAIT_H):
                lived.failures.append(f"{member.name} waited {member.waited} for a share while there was some left")
            lived.failures += self._orders(member)
        if lived.used * 1000 < lived.pool * LEAST_USED_PERMILLE:
            lived.failures.append(f"of {lived.pool:,} octets {lived.used:,} were used, though members wanted more")

    def _orders(self, member: Member) -> list[str]:
        """What is wrong with a member's orders: each was applied, replaced, taken back, or is on its way."""
        failures = []
        book, now = self._store.book, self._clock.utc()
        applied = member.status.get("counter", 0)
        late = now - timedelta(hours=2 * REPORT_H)
        for given in book.given([member.name]):
            self.lived.orders[given.state.value] += 1
            open_ = given.state in (State.WAITING, State.SENT)
            since = given.since or given.given_at
            if given.state is State.REFUSED or (open_ and since < late and not member.dies):
                failures.append(f"{member.name}: order {given.id} ({given.what}) is {given.state.value} since {since}")
        sent = {order.counter: order for _, order in book.sent(member.name)}
        if applied and applied not in sent:
            failures.append(f"{member.name} has applied an order {applied} that was not sent")
        grants = [order.grant for counter, order in sorted(sent.items()) if order.grant and counter <= applied]
        if grants and member.status["granted_octets"] != grants[-1].granted_octets:
            failures.append(f"{member.name} has {member.status['granted_octets']:,} octets, not those of its order")
        return failures


class _Owner:
    """Runs the platform of the members' carrier on a socket, and asks it there."""

    def __init__(self, members: list[Member], clock: Clock, store: Store) -> None:
        carrier = members[0].world.carrier
        internet = Internet(clock, random.Random(0))
        shown = Carrier(clock, internet, carrier.rating, carrier.enforcement, EventLog(clock))
        cards = []
        for member in members:
            name = msisdn(member.number)  # all have one IMSI, each in its own world
            shown.show(member.world.carrier, IMSI, name)
            cards.append(Card(name, iccid(member.number), name))
        self._clock = clock
        self._store = store
        self._devices = [member.name for member in members]
        self._sims = {member.name: msisdn(member.number) for member in members}
        self._api = OneLink(shown, cards, {_APPID: _PASSWORD}, {_GROUP: POOL})
        self._runner = asyncio.Runner()
        self._server: Server | None = None
        self._port = 0
        self._runner.run(self._start())
        pace = Pace(1e6, None, lambda: 0.0)
        skin = V5(Aiohttp(), f"http://127.0.0.1:{self._port}/v5", _APPID, Secret(_PASSWORD), pace, clock.utc)
        names = Names(group=_GROUP)
        self._platform = Adapter(skin, ChangeTimes(timedelta(minutes=30)), clock.utc, _no_sleep, names=names)
        self._sync = Sync("fleet", self._sims, self._platform, store)

    async def _start(self) -> None:
        self._server = Server(self._api, lambda path: "")
        url = await self._server.start(port=self._port)
        self._port = urlsplit(url).port or 0

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None

    def divide(self, now: datetime) -> bool:
        """Synchronizes and divides; False where the platform does not answer."""
        down = (now - BEGIN).days == DOWN_DAY
        return self._runner.run(self._divide(now, down))

    async def _divide(self, now: datetime, down: bool) -> bool:
        if down:
            await self._stop()
        elif self._server is None:
            await self._start()
        await self._sync.run(now)
        try:
            pool = await self._platform.pool(_GROUP)
        except PlatformError:
            return False
        grants.share(self._store, self._devices, pool, TERMS, START, now)
        return True

    def close(self) -> None:
        self._runner.run(self._platform.close())
        self._runner.run(self._stop())
        self._runner.close()


async def _no_sleep(seconds: float) -> None:
    """A client's wait between attempts takes no time of the fleet's."""
