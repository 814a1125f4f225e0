"""The guard's decisions alone: its policy, account and periods, with a meter that errs in nothing and a trusted clock.

`Device` is the firmware's own Enforcement without what it decides about: there is no modem driver, no socket and no
outbox, and a packet is rated at exactly what the carrier bills for it. All else (OrderHandler, PeriodTracker, Clock,
BurstGuard, Admission, Ledger, Account, Policy) is the code that runs on a board.
"""

from itertools import zip_longest
from types import SimpleNamespace

from usageguard.config.load import load
from usageguard.guard.burst_guard import BurstGuard
from usageguard.guard.counters import with_counters
from usageguard.guard.daily import DailyPeriods
from usageguard.guard.enforcement import Enforcement
from usageguard.guard.order_handler import OrderHandler
from usageguard.guard.periods import PeriodTracker
from usageguard.store.apart import ApartLedger

TELEMETRY, OTA, REPORT = range(3)
CLASSES = [
    {"name": "telemetry", "rating_group": 10},
    {"name": "ota", "rating_group": 20, "shed_permille": 900, "pace": False},
    {"name": "report", "rating_group": 1, "reserve": True},
]
REFUSED = 133  # CME error of ESM cause 33, "requested service option not subscribed"
_FIGURES = ("used", "ceil", "target", "base", "next_base")
_FIELDS = ("cycle_id", "reasons", "warned", "floor_day", "floor_second", "lost", "boot_id", "cycle_mark")


class Book(ApartLedger):
    """A ledger in memory. `stored` is what a reset leaves of it: its last record, and what was used (retained)."""

    def __init__(self, hal, stored=None):
        super().__init__(hal, None)
        self.stored = stored
        if stored:
            fields, figures, orders, other, used = stored
            for name in _FIELDS:
                setattr(self, name, fields[name])
            for figure, limbs, octets in zip((self._rated, self._carried), figures, used, strict=True):
                for name in _FIGURES:
                    of = getattr(figure, name)
                    of.hi, of.lo = limbs[name]
                figure.used.hi, figure.used.lo = octets
            self.orders[:] = orders
            self.other[:] = other

    def open(self):
        self.boot_id += 1
        self.recovered = "exact" if self.stored else "blank"
        self.close()  # a boot stores a record, as the ledger on flash does

    def _store(self):
        super()._store()
        figures = [
            {name: (getattr(f, name).hi, getattr(f, name).lo) for name in _FIGURES}
            for f in (self._rated, self._carried)
        ]
        self._kept = {name: getattr(self, name) for name in _FIELDS}, figures, bytes(self.orders), bytes(self.other)
        self._retain()

    def _retain(self, rated=0, carried=0):
        if hasattr(self, "_kept"):
            self.stored = (*self._kept, [(f.used.hi, f.used.lo) for f in (self._rated, self._carried)])


class Hal:
    """Of a board: its ticks, and nowhere to write to."""

    flash = None

    def __init__(self, clock):
        self._clock = clock

    def ticks_ms(self):
        return self._clock.now_us // 1000 & (1 << 30) - 1

    def retained_write(self, connection):
        pass

    def event(self, *_):
        pass

    def set_utc(self, *_):
        pass


class Device(Enforcement):
    """A boot of the plan's device at this instant, with what the one before it `stored`."""

    def __init__(self, clock, raw_plan, utc, stored=None, quotas=()):
        hal = Hal(clock)
        classes = [each | ({"quota_octets": octets} if octets else {}) for each, octets in zip_longest(CLASSES, quotas)]
        config = load(
            {
                "device": {"id": "d1", "key": "00" * 32},
                "plan": raw_plan,
                "classes": classes,
                "modem": {"family": "quectel", "apn": "cmiot"},
            }
        )
        asleep = SimpleNamespace(resume=lambda ledger: True)  # nothing arrived while it was off
        super().__init__(hal, config, Book(hal, stored), 10_240, asleep)
        self._clock = clock
        self._utc = utc
        now = hal.ticks_ms()
        books = self.ledger, self.policy, self.account, self.admission
        self.modem = SimpleNamespace(connections=(), time_reading=0, data_wanted=True, iccid=b"", kept=False)
        self.modem.registration, self.modem.online = 1, False  # nobody is asked where it is
        make = DailyPeriods if config.plan.daily else PeriodTracker
        if config.plan.apart:
            make = with_counters(make, config.plan)
        self.periods = make(hal, config.plan.cycle, *books, self.modem, self.obey, now)
        self._burst_guard = None
        if config.plan.burst:
            self._burst_guard = BurstGuard(hal, config, *books[1:], self.obey, now)
        self.order = OrderHandler(hal, *books, self.periods, None, self.obey, None).order
        self.outbox = SimpleNamespace(ask=self._ask)
        self.asked = False
        self.bearer = None
        self._restore()

    def _ask(self, now):
        self.asked = True

    def trust(self):
        """The server's time: that of the world."""
        self.periods.server_time(*self._utc(), self.hal.ticks_ms())

    def activate(self):
        """As Guard.activate."""
        self.periods.first_use(self.hal.ticks_ms())

    def step(self, now=None):
        """As Guard.step and _slow; returns the milliseconds in which it wants to be called again."""
        now = self.hal.ticks_ms() if now is None else now
        self._enforce(now)
        if self._burst_guard and self.admission.take_burst():
            self._burst_guard.hold(now)
        due = self.periods.step(now)
        if self._burst_guard:
            due = min(due, self._burst_guard.step(now))
        if self.account.wants_report:
            self.account.wants_report = False
            self.outbox.ask(now)
        return max(1, due)

    def take(self, index, octets):
        """Charges one packet before it is sent; False where its class may not."""
        self.admission.meter.carried = self.admission.meter.rated = octets
        return self.admission._take(index, True)

    def admits_one(self, index, octets):
        return self.policy.admits(index, self.admission.used, octets)

    def close(self):
        """Before a sleep, or a reset in good order."""
        self.periods.note_floor(self.hal.ticks_ms())
        self.account.standing.store()
        self.ledger.close()
