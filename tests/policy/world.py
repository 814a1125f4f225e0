"""A SIM at the simulated carrier, the device of its plan, and the owner's owner between the two, under one clock."""

from bisect import bisect_right
from collections import Counter
from datetime import date
from random import Random
from types import SimpleNamespace

import msgspec
from usageguard.core.policy import RESTRICTED

from host_tools.base.days import day_number
from host_tools.base.units import Seconds
from host_tools.collector.order import Order
from host_tools.scenario import carrier as carrier_rules
from host_tools.scenario.owner import Owner, OwnerConfig
from host_tools.sim.carrier import Bearer
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import UDP, Packet
from tests.policy.device import OTA, REFUSED, REPORT, TELEMETRY, Device

IMSI = "460040000000001"
HOST = ("203.0.113.9", 9)
PACKET = 1_500  # the largest; all that an application sends but its last
REPORT_OCTETS = 60
REPORT_S = 21_600
VALID_S = 86_400
THRESHOLD, VALIDITY_TIME = 0, 4  # Reporting-Reason of a device that asks, and of one that only tells
PUSH = ["balance", "expiry", "grant", "stop", "billing"]


class Reports:
    """As the collector's store and its order book, in a list: what the device reported, and the orders' numbers."""

    def __init__(self):
        self.book = self
        self.counter = 0
        self._times = []
        self._reports = []

    def next_counter(self, device):
        self.counter += 1
        return self.counter

    def add(self, at, report):
        self._times.append(at)
        self._reports.append(report)

    def as_of(self, device, instant):
        index = bisect_right(self._times, instant)
        return SimpleNamespace(report=self._reports[index - 1]) if index else None


class World:
    """`send` and `report` are what the device does, `run` lets time pass; what the owner reads gets to the device with
    a report. `heard` is what it was told, key by key: the owner's memory, not the device's."""

    def __init__(self, sold):
        self.sold = sold
        self.clock = Clock(sold.start)
        internet = Internet(self.clock, Random(0))
        given = msgspec.convert(sold.carrier, carrier_rules.Carrier, dec_hook=lambda kind, value: kind(value))
        self.carrier_config = carrier_rules.CarrierConfig(given, sold.plan)
        self.carrier = self.carrier_config.build(self.clock, internet, EventLog(self.clock), IMSI)
        self.reports = Reports()
        owner = OwnerConfig(Seconds(sold.news_s), Seconds(VALID_S), PUSH)
        self.owner = Owner(self.reports, sold.start, sold.plan, (), owner, lambda: self.carrier.news(IMSI), cycle_id)
        self.heard = {}
        self.heard_at = {}
        self.sent = []  # orders, as they were
        self.denied_since = {}  # reason of the carrier -> virtual us
        self.read_us = 0  # when the owner last looked
        self.reported = 0
        self.of_class = Counter()  # octets by the carrier's period and the class
        self.reason = VALIDITY_TIME
        self.faulty = False  # somebody has to put the ledger right
        self.refused = False  # what the carrier last answered
        self.boot(None)

    # Time

    def utc(self):
        """(days since 2000-01-01, second) as the device counts."""
        now = self.clock.utc()
        return day_number(now.date()), now.hour * 3600 + now.minute * 60 + now.second

    @property
    def today(self):
        return self.clock.utc().astimezone(self.carrier_config.sim_plan.zone).date()

    def seconds_since(self, us):
        return (self.clock.now_us - us) // S

    def run(self, seconds):
        """Lets time pass with the device awake: it does everything in its time."""
        until = self.clock.now_us + seconds * S
        self.settle()
        while self.clock.now_us < until:
            event = self.clock.next_us()
            due = min(until, self.due_us, self.report_us, until if event is None else event)
            self.clock.run_until(max(due, self.clock.now_us + 1_000))
            self.watch()
            self.settle()

    def sleep(self, seconds):
        """The device is off for so long, and boots."""
        self.device.close()
        stored = self.device.ledger.stored
        if self.device.bearer is not None:
            self.device.bearer.close()
        until = self.clock.now_us + seconds * S
        while self.clock.now_us < until:
            event = self.clock.next_us()
            self.clock.run_until(until if event is None else max(min(until, event), self.clock.now_us))
            self.watch()
        self.boot(stored)
        self.device.trust()
        self.settle()

    def boot(self, stored):
        self.device = Device(self.clock, self.sold.plan, self.utc, stored, self.sold.quotas)
        if self.carrier._sim(IMSI).roams:
            self.device.modem.registration = 5
        self.report_us = self.clock.now_us
        self.due_us = self.clock.now_us
        self.told = None  # (reasons, warned) of the last report
        if stored is None:
            self.device.trust()
            self.settle()

    def watch(self):
        """Since when the policy denies what it denies."""
        denied = self.carrier.denies(IMSI)
        self.denied_since = {code: self.denied_since.get(code, self.clock.now_us) for code in denied}

    def settle(self):
        """The device does what is due, and reports what there is to report, until there is nothing more."""
        for _ in range(16):
            self.due_us = self.clock.now_us + self.device.step() * 1_000
            self._connect()
            state = self.device.policy.reasons, self.device.policy.warned
            if not (self.device.asked or self.clock.now_us >= self.report_us or state != self.told):
                return
            self.reason = THRESHOLD if self.device.asked else VALIDITY_TIME
            self.device.asked = False
            if not self.report():
                return
        raise AssertionError("the device has something to do again and again")

    # The device's session

    def _connect(self):
        device = self.device
        if not device.modem.data_wanted:
            if device.bearer is not None:
                device.bearer.close()
                device.bearer = None
        elif device.bearer is None or not device.bearer.active:
            device.bearer = None
            if self.carrier.register(IMSI):
                return
            answer = self.carrier.activate(IMSI, lambda packet: None, lambda: None)
            if isinstance(answer, Bearer):
                device.bearer = answer
                self.refused = False
                device.served()
            else:
                self.refused = True
                device.refused(REFUSED)

    @property
    def online(self):
        return self.device.bearer is not None and self.device.bearer.active

    def send(self, index, octets):
        """One packet of a class; False where it was not sent."""
        device = self.device
        if not self.online or not device.take(index, octets):
            return False
        self.watch()
        device.bearer.send(Packet(UDP, (device.bearer.ip, 9), HOST, octets))
        self.of_class[self.carrier.news(IMSI).cycle_label, index] += octets
        if index == REPORT:
            self.reported += 1
        if device.admission.crossed or device.admission._burst_found:
            device.step()
        return True

    def report(self):
        """A report with its acknowledgement, and the order in that; False where none could be sent."""
        device = self.device
        if not self.send(REPORT, REPORT_OCTETS):
            device.step()
            self.report_us = self.clock.now_us + REPORT_S * S
            return False
        self.report_us = self.clock.now_us + REPORT_S * S
        self.told = device.policy.reasons, device.policy.warned
        ledger = device.ledger
        now = self.clock.utc()
        report = SimpleNamespace(
            reasons=device.policy.reasons,
            reporting_reason=self.reason,
            cycle_id=ledger.cycle_id,
            rated_octets=ledger.rated.value(),
            cycle_rated_octets=device.admission.used.value(),
            cost_fen=device.account.cost_fen(device.admission.used),
        )
        self.reports.add(now, report)
        device.trust()
        order = self.owner.order("d1", report, now)
        if self.owner._read_at == now:
            self.read_us = self.clock.now_us
        if order is not None:
            self._tell(*order.fields())
        device.periods.note_floor(device.hal.ticks_ms())
        return True

    # The owner

    def order(self, **keys):
        """The owner's own order, which the device has at once: False where it cannot be reached."""
        if not self.online or not self.send(REPORT, REPORT_OCTETS):
            return False
        self.device.trust()
        self._tell(*Order(counter=self.reports.next_counter("d1"), **keys).checked().fields())
        return True

    def _tell(self, counter, keys):
        device = self.device
        device.step()
        before = device.policy.reasons
        self.sent.append((counter, keys))
        device.order(counter, keys, device.hal.ticks_ms())
        assert device.account.standing.counter == counter, "a new order was refused"
        self.heard |= keys
        self.heard_at |= dict.fromkeys(keys, self.clock.now_us)
        self.on_order(keys, before & ~device.policy.reasons)

    def on_order(self, keys, lifted):
        """For who watches: an order was carried out, which lifted these reasons."""

    # What holds

    @property
    def level(self):
        return self.device.policy.level

    @property
    def restricted(self):
        return self.level >= RESTRICTED

    def same_cycle(self):
        """Whether both count the same period."""
        return self.device.ledger.cycle_id == cycle_id(self.carrier.news(IMSI).cycle_label)


def cycle_id(label):
    """The device's number for a period, by the carrier's label."""
    return {"test": 1, "silent": 2}.get(label) or day_number(date.fromisoformat(label))


APPLICATIONS = (TELEMETRY, OTA)
