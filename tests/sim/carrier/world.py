"""One SIM at a carrier under a clock: what its device sends, and what the customer orders."""

import random
from datetime import date, datetime, timedelta, timezone

from host_tools.sim.carrier import Bearer, Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import udp

IMSI = "460040000000001"
OTHER = "460040000000002"
HOST = ("203.0.113.9", 9)
CHINA = timezone(timedelta(hours=8))


class World:
    """`plan` holds further fields of the SimPlan, `pool` the allowance of a pool and its virtual members."""

    def __init__(
        self,
        start="2025-03-10T00:00:00+08:00",
        allowance=10_000,
        start_day=1,
        rating=None,
        plan=None,
        pool=None,
        **enforcement,
    ):
        self.clock = Clock(datetime.fromisoformat(start))
        self.log = EventLog(self.clock)
        self.internet = Internet(self.clock, random.Random(1), latency_ms=10)
        self.carrier = Carrier(self.clock, self.internet, rating or Rating(), Enforcement(**enforcement), self.log)
        self.plan = SimPlan(allowance, start_day, pool="p" if pool else None, **(plan or {}))
        if pool:
            self.carrier.add_pool("p", pool[0], pool[1:])
        self.carrier.add_sim(IMSI, self.plan)
        self.got = []
        self.deactivations = 0
        self.bearer = None

    def activate(self):
        answer = self.carrier.activate(IMSI, self.got.append, self.deactivated)
        self.bearer = answer if isinstance(answer, Bearer) else None
        return answer

    def deactivated(self):
        self.deactivations += 1

    def up(self, octets):
        """Sends an IP packet of so many octets."""
        self.bearer.send(udp((self.bearer.ip, 9), HOST, bytes(octets - 28)))

    def down(self, octets, ip=None):
        self.internet.send(udp(HOST, (ip or self.bearer.ip, 9), bytes(octets - 28)))
        self.run(0.01)

    def run(self, seconds):
        self.clock.run_until(self.clock.now_us + round(seconds * S))

    def run_to(self, instant):
        self.clock.run_until(self.clock.us_of(datetime.fromisoformat(instant)))

    def events(self):
        return [(e["what"], e.get("reason"), e["t"]) for e in self.log.events]

    def figures(self, cycle=None):
        return self.carrier.figures(IMSI, cycle)

    def news(self):
        return self.carrier.news(IMSI)

    def denies(self):
        return self.carrier.denies(IMSI)

    def told(self, *what):
        """(what, reason, local time) of the events of these kinds, of all when none is named."""
        zone = self.plan.zone
        return [
            (e["what"], e.get("reason"), datetime.fromisoformat(e["t"]).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"))
            for e in self.log.events
            if not what or e["what"] in what
        ]

    def use(self, octets):
        """Sends so many octets in packets of 28 to 1,500, over a bearer that is opened where none is."""
        if self.bearer is None or not self.bearer.active:
            assert isinstance(self.activate(), Bearer)
        while octets:
            size = octets if octets <= 1500 else min(1000, octets - 28)
            self.up(size)
            octets -= size

    @property
    def today(self):
        return date.fromisoformat(self.clock.utc().astimezone(self.plan.zone).strftime("%Y-%m-%d"))
