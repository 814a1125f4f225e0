"""An outbox in virtual time, a path with faults, and the real collector behind it."""

import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from usageguard.core.octets import Octets
from usageguard.modem.messenger import FAILED, IDLE, SENDING, SENT
from usageguard.upstream.outbox import Outbox

from host_tools.collector.intake import Collector
from host_tools.collector.store import Store

TICKS_PERIOD = 1 << 30
DEVICE = "tracker-001"
KEY = bytes(range(32))
T0 = datetime(2025, 6, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SMS = {"sms_number": "+8613800000000", "max_sms_per_cycle": 10, "mqtt": None}
OPEN, WARNED, SHED, THROTTLED, RESTRICTED, TERMINATED = range(6)


SMS_MS = 4_000  # until the network takes or refuses a short message


class Messages:
    """A Messenger whose messages arrive, but for those that end as FAILED."""

    def __init__(self, path):
        self.path = path
        self.ended_ms = 0
        self.outcome = IDLE

    @property
    def busy(self):
        return self.path.world.ms < self.ended_ms

    @property
    def state(self):
        return SENDING if self.busy else self.outcome

    def send(self, number, octets):
        path = self.path
        assert not self.busy
        self.ended_ms = path.world.ms + SMS_MS
        self.outcome = path.sms_outcome
        if self.outcome == FAILED:
            path.sms_refused.append(path.world.ms)
            if not path.sms_arrives_refused:
                return True
        path.messages.append((path.world.ms, number, octets))
        path.world.collector.sms_user_data(octets)
        return True


class Path:
    """`up`: a datagram is taken; `requests`, `replies`: it arrives; `registered`: as named; `sms_outcome`: the state in
    which a short message ends, `sms_arrives_refused`: and it arrives even so."""

    def __init__(self, world):
        self.world = world
        self.up = self.registered = self.requests = self.replies = True
        self.sms = Messages(self)
        self.sms_outcome = SENT
        self.sms_arrives_refused = False
        self.sent = []  # (ms since start, datagram)
        self.renewed = []  # ms since start
        self.sms_refused = []  # ms since start
        self.messages = []  # (ms since start, number, octets)
        self.arriving = []  # (ms since start, datagram)

    def ready(self):
        return self.up

    def evidence(self):
        return 1, 0, 33, 40, 20, 2

    def answered(self):
        pass

    def renew(self):
        self.renewed.append(self.world.ms)

    def send(self, buf, n):
        if not self.up:
            return False
        datagram = bytes(buf[:n])
        self.sent.append((self.world.ms, datagram))
        if self.requests:
            reply = self.world.collector.coap(datagram)
            if reply and self.replies:
                self.arriving.append((self.world.ms + 80, reply))
        return True


class World:
    def __init__(self, interval_s=3600, seed=1, keys=None, level=OPEN, **upstream):
        self.ms = 0
        self.ticks_at_start = TICKS_PERIOD - 7 * HOUR  # ticks wrap early on
        self.store = Store()
        self.collector = Collector(self.store, keys or {DEVICE: KEY}, self.utc)
        self.path = Path(self)
        self.ledger = SimpleNamespace(
            life_id=b"life",
            boot_id=1,
            cycle_id=305,
            carried=Octets(),
            rated=Octets(),
            carried_base=Octets(),
            rated_base=Octets(),
            sms=0,
        )
        self.policy = SimpleNamespace(level=level, reasons=0, warned=0)
        self.admission = SimpleNamespace(
            commit=lambda: None,
            used=self.ledger.rated,
            error_bound_octets=lambda: 65_536,
            meter=SimpleNamespace(packets=700, sessions=3),
        )
        self.account = SimpleNamespace(
            standing=SimpleNamespace(counter=0), refused=0, sim=0, cost_fen=lambda used: used.value() // 1000
        )
        self.times = []
        self.orders = []
        config = SimpleNamespace(
            device_id=DEVICE,
            key=KEY,
            upstream=SimpleNamespace(**SMS | {"host": "collector", "interval_s": interval_s} | upstream),
        )
        hal = SimpleNamespace(random=random.Random(seed).randbytes)
        self.outbox = Outbox(
            config, hal, self.ledger, self.policy, self.account, self.admission, self.path, self.ticks()
        )
        self.outbox.on_time = lambda day, second, now: self.times.append((day, second, now))
        self.outbox.on_order = self.obey

    def ticks(self):
        return (self.ticks_at_start + self.ms) % TICKS_PERIOD

    def utc(self):
        return T0 + timedelta(milliseconds=self.ms)

    def spend(self, n):
        self.ledger.carried.add(n)
        self.ledger.rated.add(n)

    def obey(self, counter, orders, now):
        """What comes out of an account: the counter of the last order taken, and how many were not."""
        self.orders.append((counter, orders, now))
        account = self.account
        if counter < account.standing.counter:
            account.refused += 1
        account.standing.counter = max(account.standing.counter, counter)

    def run(self, ms):
        """Lets `ms` pass; the outbox is stepped when it is due and when a datagram arrives."""
        until = self.ms + ms
        while True:
            now = self.ticks()
            for datagram in [datagram for at, datagram in self.path.arriving if at <= self.ms]:
                self.outbox.receive(now, datagram, len(datagram))
            self.path.arriving = [item for item in self.path.arriving if item[0] > self.ms]
            self.outbox.step(now)
            at = self.ms + max(1, self.outbox.due_ms(now))
            at = min([at, *(arrival for arrival, _ in self.path.arriving)])
            if at > until:
                self.ms = until
                return
            self.ms = at

    def reports(self):
        return [received.report for received in self.store.history(DEVICE)]

    def reasons(self):
        return [report.reporting_reason for report in self.reports()]

    def sent_at(self):
        return [at for at, _ in self.path.sent]
