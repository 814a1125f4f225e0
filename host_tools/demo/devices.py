"""A dozen devices with the firmware in them and a fate each: they live most of a month at once, then at a stated pace.

All report to one collector, in a database that the fleet's page reads. Their owner asks the carrier's platform over
HTTP, as `usageguard platform sync` does.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from host_tools.collector.intake import Collector
from host_tools.collector.ordering import wish
from host_tools.collector.store import Store
from host_tools.collector.verify import BadMacError, MalformedError
from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.onelink.adapter import OneLink as Adapter
from host_tools.platforms.onelink.skins import V5
from host_tools.platforms.reconcile import cycle_begin
from host_tools.platforms.secret import Secret
from host_tools.platforms.served.http import Server
from host_tools.platforms.served.onelink import Card, OneLink
from host_tools.platforms.sync import Sync
from host_tools.platforms.transport import Aiohttp, Pace
from host_tools.run.targets.target import Program
from host_tools.run.turns import PacedClock, Turn, take_turns
from host_tools.run.world import ICCID, IMSI, World
from host_tools.scenario import file
from host_tools.scenario.file import Scenario
from host_tools.sim.carrier import Carrier
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.hosts import UdpHandlerHost
from host_tools.sim.network.internet import Internet

START = date(2026, 3, 1)
BEGIN = cycle_begin(START)
NOW = BEGIN + timedelta(days=24, hours=10)
"""Until then the devices live as fast as they can."""
PACE = 360
"""From then on a minute is six hours: every device reports about once a minute."""
REPORT_H = 6
_OWNER = timedelta(days=1)
_LONG_DAYS = 3000
_WINDOW_US = 600 * S
_APPID, _PASSWORD = "200000000000000001", "made-up-password"

_FINE: dict[str, Any] = {"rx": "4KB"}
FATES: dict[str, dict[str, Any]] = {
    "fine-1": _FINE,
    "fine-2": {"rx": "8KB"},
    "fine-3": {"rx": "2KB"},
    "runs-out-1": {"rx": "26KB"},
    "runs-out-2": {"rx": "24KB"},
    "used-up": {"rx": "40KB", "plan": {"reserve_octets": "96KB"}},
    "slowed-down": {"rx": "4KB", "orders": {9: "throttle=100B"}},
    "cut-off": {"rx": "12KB", "platform": [{"at": "20d3h", "action": "stop"}]},
    "billed-more": {"rx": "12KB", "carrier": {"permille": 80}},
    "stopped": {"rx": "6KB", "orders": {15: "stop"}},
    "limited": {"rx": "12KB", "orders": {5: "limit=1MB"}},
    "silent": {"rx": "6KB", "fault": [{"kind": "power_cut", "at": "21d", "off": f"{_LONG_DAYS}d"}]},
    "another-sim": {"rx": "4KB", "fault": [{"kind": "sim_exchange", "at": "19d5h", "sim": 2}]},
}
"""What becomes of a device by its traffic, plan, carrier and orders; octets of one of four answers a day, of 3 MB."""


def scenario(name: str, fate: dict[str, Any], rng: random.Random) -> Scenario:
    return file.read(
        {
            "title": "A device of the demonstration",
            "start": BEGIN,
            "duration": f"{_LONG_DAYS}d",
            "device": {"id": name},
            "plan": {"allowance_octets": "3MB", **fate.get("plan", {})},
            "upstream": {"host": "collector", "interval_s": f"{REPORT_H}h", "sms_number": "+8613800138000"},
            "app": {"pauses": "deep-sleep"},
            "carrier": {"lag_s": 600, **fate.get("carrier", {})},
            "host": [{"name": "collector", "kind": "collector"}, {"name": "api", "kind": "responder"}],
            "traffic": [
                {
                    "class": "telemetry", "kind": "request", "host": "api", "period": f"{REPORT_H}h",
                    "tx": 300, "rx": fate["rx"], "from": f"{rng.randint(1, REPORT_H * 60)}m",
                }
            ],
            "fault": fate.get("fault", []),
            "platform": fate.get("platform", []),
        },
        "demo",
    )  # fmt: skip


class Over(Exception):
    """Nobody watches the devices any more."""


class Fleet:
    """Begins to live at once, in a thread of its own; `ready` returns when it has come to `until`.

    `now` is the devices' time from then on, `pace` times as fast as this computer's.
    """

    def __init__(
        self,
        db: Path,
        fates: dict[str, dict[str, Any]] = FATES,
        seed: int = 1,
        pace: float = PACE,
        until: datetime = NOW,
    ) -> None:
        self._db = db
        self._until = until
        self._fates = fates
        self._seed = seed
        self._pace = pace
        self._paced_since: float | None = None
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ready(self) -> None:
        """Raises what the devices' world has raised."""
        self._ready.wait()
        if self._error:
            raise self._error

    def now(self) -> datetime:
        if self._paced_since is None:
            return self._until
        return self._until + timedelta(seconds=(time.monotonic() - self._paced_since) * self._pace)

    def close(self) -> None:
        """Leaves the devices where they are."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(Store(self._db)) as store, closing(_Lives(store, self._fates, self._seed)) as lives:
                take_turns(lives.turns, lambda: self._exchange(lives), _WINDOW_US)
        except Over:
            pass
        except BaseException as error:  # raised where the devices are waited for
            self._error = error
        finally:
            self._ready.set()

    def _exchange(self, lives: _Lives) -> None:
        """The end of a window; waits until the next one is due by the pace."""
        if self._stop.is_set():
            raise Over
        lives.exchange()
        due = BEGIN + timedelta(microseconds=min(turn.clock.due_us for turn in lives.turns))
        if due < self._until:
            return
        if self._paced_since is None:
            lives.ask(self._until)
            self._paced_since = time.monotonic()
            self._ready.set()
        while (early := (due - self.now()).total_seconds() / self._pace) > 0:
            if self._stop.wait(early):
                raise Over


class _Lives:
    """The devices, the collector that they report to, and their owner."""

    def __init__(self, store: Store, fates: dict[str, dict[str, Any]], seed: int) -> None:
        rng = random.Random(f"demo/{seed}")
        self._store = store
        self._now = BEGIN
        self._orders = sorted(
            (day, name, what) for name, fate in fates.items() for day, what in fate.get("orders", {}).items()
        )
        given = {name: scenario(name, fate, rng) for name, fate in fates.items()}
        self._devices = [
            _Device(seed + place, each, self._serve, self._heard) for place, each in enumerate(given.values())
        ]
        configs = [each.device_config()["device"] for each in given.values()]
        keys = {each["id"]: bytes.fromhex(each["key"]) for each in configs}
        self._collector = Collector(store, keys, lambda: self._now)
        self._names = [each["id"] for each in configs]
        self._clock = Clock(BEGIN)
        self._due = BEGIN + _OWNER
        self._owner: _Owner | None = None

    @property
    def turns(self) -> list[Turn]:
        return [device.turn for device in self._devices]

    def close(self) -> None:
        if self._owner:
            self._owner.close()

    def _serve(self, device: _Device, datagram: bytes, source: Any) -> bytes | None:
        self._now = device.world.clock.utc()
        return self._collector.coap(datagram, (id(device), source))

    def _heard(self, device: _Device, tpdu: bytes) -> None:
        """A short message."""
        self._now = device.world.clock.utc()
        with suppress(MalformedError, BadMacError):
            self._collector.sms(tpdu)

    def exchange(self) -> None:
        self._clock.run_until(max(turn.clock.now_us for turn in self.turns))
        now = self._clock.utc()
        while self._orders and now >= BEGIN + timedelta(days=self._orders[0][0]):
            _, name, what = self._orders.pop(0)
            wish(self._store, what, [name], now).give(self._store, by="owner", why="a part of the demonstration")
        if now >= self._due:
            self._due += _OWNER
            self.ask(now)

    def ask(self, now: datetime) -> None:
        """Asks the platform, as its owner does once a day."""
        if self._owner is None:
            self._owner = _Owner(dict(zip(self._names, self._devices, strict=True)), self._clock, self._store)
        self._owner.ask(now)


class _Device:
    def __init__(
        self,
        seed: int,
        given: Scenario,
        serve: Callable[[_Device, bytes, Any], bytes | None],
        told: Callable[[_Device, bytes], None],
    ) -> None:
        from host_tools.run.targets.direct import WorkloadTarget  # the firmware, on this process's path

        self._seed = seed
        self._given = given
        self._serve = serve
        self._told = partial(told, self)
        self._target = WorkloadTarget()
        self.turn = Turn(given.start, self._live)
        self.turn.on_turn = self._target.take_over
        self.world: World

    def _live(self, clock: PacedClock) -> None:
        self.world = world = World(self._given, self._seed, {}, clock=clock)
        world.modem.card_reader.card.iccid = str(int(ICCID) + 10 * self._seed)
        world.internet.remove_host("collector")
        world.internet.add_host("collector", UdpHandlerHost(lambda blob, source: self._serve(self, blob, source)))
        world.carrier.on_sms = lambda imsi, tpdu: self._told(tpdu)
        with closing(world):
            self._target.run(world, Program("workload"), None)


class _Owner:
    """Runs the platform of the devices' carrier on a socket, and asks it there."""

    def __init__(self, devices: dict[str, _Device], clock: Clock, store: Store) -> None:
        carrier = next(iter(devices.values())).world.carrier
        shown = Carrier(clock, Internet(clock, random.Random(0)), carrier.rating, carrier.enforcement, EventLog(clock))
        cards, sims = [], {}
        for place, (name, device) in enumerate(devices.items()):
            msisdn = str(1_440_000_000_001 + place)  # all have one IMSI, each in its own world
            shown.show(device.world.carrier, IMSI, msisdn)
            cards.append(Card(msisdn, str(int(ICCID) + place), msisdn))
            sims[name] = msisdn
        self._runner = asyncio.Runner()
        self._server = Server(OneLink(shown, cards, {_APPID: _PASSWORD}), lambda path: "")
        url = self._runner.run(self._server.start())
        skin = V5(Aiohttp(), url, _APPID, Secret(_PASSWORD), Pace(1e6, None, lambda: 0.0), clock.utc)
        self._platform = Adapter(skin, ChangeTimes(timedelta(minutes=30)), clock.utc, _no_sleep)
        self._sync = Sync("demo", sims, self._platform, store)

    def ask(self, now: datetime) -> None:
        self._runner.run(self._sync.run(now))

    def close(self) -> None:
        self._runner.run(self._platform.close())
        self._runner.run(self._server.close())
        self._runner.close()


async def _no_sleep(seconds: float) -> None:
    """A client's wait between attempts takes no time of the devices'."""
