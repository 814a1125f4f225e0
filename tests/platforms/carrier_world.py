"""A carrier with a few SIMs, its served platform, and a client of that: joined directly or by a socket."""

import json
import random
from datetime import datetime, timedelta, timezone

from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.onelink.adapter import Names, OneLink
from host_tools.platforms.onelink.skins import V5
from host_tools.platforms.secret import Secret
from host_tools.platforms.served import onelink as served
from host_tools.platforms.transport import Pace
from host_tools.sim.carrier import Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import udp

CHINA = timezone(timedelta(hours=8))
APPID, PASSWORD = "200000000000000001", "made-up-password"
MB = 1024 * 1024
INTERVAL = timedelta(minutes=30)


def number(index):
    return f"144000000{index:04}"


SIMS = [number(index) for index in range(1, 4)]


class CarrierWorld:
    """SIMs by MSISDN. `use` has them use data; `run` moves time."""

    def __init__(self, sims=3, start="2026-03-10T09:00:00+08:00", allowance=30 * MB, pb=True, pool=None, settings=None,
                 plan=None, **enforcement):  # fmt: skip
        self.clock = Clock(datetime.fromisoformat(start))
        self.log = EventLog(self.clock)
        internet = Internet(self.clock, random.Random(1), latency_ms=10)
        rating = Rating(daily_figures=pb)
        self.carrier = Carrier(self.clock, internet, rating, Enforcement(**enforcement), self.log)
        if pool:
            self.carrier.add_pool("fleet", pool)
        self.cards = [
            served.Card(number(index), f"898604{index:014}", f"46004{index:010}") for index in range(1, sims + 1)
        ]
        self.imsi = {card.msisdn: card.imsi for card in self.cards}
        for card in self.cards:
            self.carrier.add_sim(
                card.imsi, SimPlan(0 if pool else allowance, pool="fleet" if pool else None, **(plan or {}))
            )
        self.api = served.OneLink(self.carrier, self.cards, {APPID: PASSWORD}, {"7001": "fleet"}, settings)
        self._bearers = {}
        self.waited = []

    def use(self, sim, octets):
        """A SIM's device sends IP packets of so many octets together."""
        bearer = self._bearers.get(sim)
        if bearer is None or not bearer.active:
            bearer = self._bearers[sim] = self.carrier.activate(self.imsi[sim], lambda packet: None, lambda: None)
        while octets:
            size = min(octets, 1024) if octets % 1024 == 0 or octets > 2048 else octets
            bearer.send(udp((bearer.ip, 9), ("203.0.113.9", 9), bytes(size - 28)))
            octets -= size

    def run(self, **duration):
        self.clock.run_until(self.clock.now_us + int(timedelta(**duration).total_seconds()) * S)

    async def sleep(self, seconds):
        """A client's wait, except its pause between two calls: time goes on in the world."""
        if seconds >= 1:
            self.waited.append(seconds)
            self.clock.run_until(self.clock.now_us + int(seconds * S))

    def client(self, http=None, url="http://onelink.invalid/v5", changes=None, budget=None, password=PASSWORD):
        pace = Pace(1000, budget, lambda: self.clock.now_us / S, self.sleep)
        skin = V5(http or Direct(self), url, APPID, Secret(password), pace, self.clock.utc)
        names = Names(group="7001", offering="100001")
        return OneLink(skin, changes or ChangeTimes(INTERVAL), self.clock.utc, self.sleep, names=names)


def served_beside(clock, carrier, imsi):
    """A client of a platform that is served for one SIM of somebody else's carrier, and the SIM."""
    world = CarrierWorld.__new__(CarrierWorld)
    world.clock, world.carrier, world.waited = clock, carrier, []
    world.api = served.OneLink(carrier, [served.Card(SIMS[0], "89860012345678901234", imsi)], {APPID: PASSWORD})
    return world.client(), SIMS[0]


class Direct:
    """Http without a network: keeps every call with its parameters and its answer."""

    def __init__(self, world):
        self._world = world
        self.calls = []

    async def send(self, method, url, body, headers):
        path = url.partition("/ec/")[2]
        parameters = {name: str(value) for name, value in json.loads(body).items()}
        answer = self._world.api.answer(path, parameters)
        self.calls.append((path, parameters, answer))
        return 200, json.dumps(answer).encode()

    async def close(self):
        pass
