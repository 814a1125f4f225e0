"""The guard's decisions alone: its policy, account and calendar, with a meter that errs in nothing and a trusted clock.

`Device` is the firmware's own Guard without what it decides about: there is no modem driver, no socket and no outbox,
and a packet is rated at exactly what the carrier bills for it. All else (`Guard.order`, `obey`, `judge`, `refused`
..., Calendar, Clock, Gate, Ledger, Account, Policy) is the code that runs on a board.
"""

from types import SimpleNamespace

from usageguard.calendar import Calendar
from usageguard.config import load
from usageguard.core import policy as rules
from usageguard.core.account import Account
from usageguard.guard import Guard
from usageguard.ledger import Ledger
from usageguard.net.gate import Gate
from usageguard.owner import Owner
from usageguard.shaper import Shaper

TELEMETRY, OTA, REPORT = range(3)
CLASSES = [
    {"name": "telemetry", "rating_group": 10},
    {"name": "ota", "rating_group": 20, "shed_permille": 900, "pace": False},
    {"name": "report", "rating_group": 1, "reserve": True},
]
REFUSED = 133  # CME error of ESM cause 33, "requested service option not subscribed"
_DEEP_SLEEP = 4
_FIGURES = ("used", "ceil", "target", "base", "next_base")
_FIELDS = ("cycle_id", "reasons", "warned", "floor_day", "floor_second", "lost", "boot_id")


class Book(Ledger):
    """A ledger in memory. `stored` is what a reset leaves of it: its last record, and what was used (retained)."""

    def __init__(self, hal, stored=None):
        super().__init__(hal, None)
        self.stored = stored
        if stored:
            fields, figures, orders, used = stored
            for name in _FIELDS:
                setattr(self, name, fields[name])
            for figure, limbs, octets in zip((self._rated, self._carried), figures, used, strict=True):
                for name in _FIGURES:
                    of = getattr(figure, name)
                    of.hi, of.lo = limbs[name]
                figure.used.hi, figure.used.lo = octets
            self.orders[:] = orders

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
        self._kept = {name: getattr(self, name) for name in _FIELDS}, figures, bytes(self.orders)
        self._retain()

    def _retain(self):
        if hasattr(self, "_kept"):
            self.stored = (*self._kept, [(f.used.hi, f.used.lo) for f in (self._rated, self._carried)])


class Hal:
    """Of a board: its ticks, and nowhere to write to."""

    flash = None

    def __init__(self, clock):
        self._clock = clock

    def ticks_ms(self):
        return self._clock.now_us // 1000 & (1 << 30) - 1

    def reset_cause(self):
        return _DEEP_SLEEP

    def retained_write(self, slot):
        pass

    def event(self, *_):
        pass

    def set_utc(self, *_):
        pass


class Device(Guard):
    """A boot of the plan's device at this instant, with what the one before it `stored`."""

    def __init__(self, clock, raw_plan, utc, stored=None):
        self.hal = hal = Hal(clock)
        self._clock = clock
        self._utc = utc
        self.config = load(
            {
                "device": {"id": "d1", "key": "00" * 32},
                "plan": raw_plan,
                "classes": CLASSES,
                "modem": {"family": "quectel", "apn": "cmiot"},
            }
        )
        now = hal.ticks_ms()
        # As Guard.__init__, in its order.
        self.ledger = Book(hal, stored)
        sound = self._open_ledger()
        self.policy = rules.Policy(self.config.plan, self.config.classes)
        self.account = Account(self.config.plan, self.policy, self.ledger.orders)
        self.gate = Gate(hal, self.config, self.ledger, self.policy)
        self.modem = SimpleNamespace(slots=(), time_reading=0, data_wanted=True)
        self.calendar = Calendar(self, now)
        self._refusals = 0
        self.shaper = Shaper(self, now)
        self.order = Owner(self).order
        self.outbox = SimpleNamespace(ask=self._ask)
        self.asked = False
        self.bearer = None
        self._restore(sound)

    def _ask(self, now):
        self.asked = True

    def changed(self):
        pass

    def trust(self):
        """The server's time: that of the world."""
        self.calendar.server_time(*self._utc(), self.hal.ticks_ms())

    def step(self, now=None):
        """As Guard.step and _slow; returns the milliseconds in which it wants to be called again."""
        now = self.hal.ticks_ms() if now is None else now
        if self.gate.broken:
            self.obey(self.policy.apply(rules.LEDGER_FAILED))
        if self.gate.crossed:
            self.judge()
        if self.gate.denied >= 0:
            self._look_into_denial(now)
        if self.gate.burst_found:
            self.shaper.holder.hold(now)
        due = self.calendar.step(now)
        if self.gate.burst is not None:
            due = min(due, self.shaper.holder.roll(now))
        if self.account.wants_report:
            self.account.wants_report = False
            self.outbox.ask(now)
        return max(1, due)

    def take(self, index, octets):
        """Charges one packet before it is sent; False where its class may not."""
        self.gate.meter.carried = self.gate.meter.rated = octets
        return self.gate._take(index)

    def admits_one(self, index, octets):
        return self.policy.admits(index, self.gate.used, octets)

    def close(self):
        """Before a sleep, or a reset in good order."""
        self.calendar.note_floor(self.hal.ticks_ms())
        self.ledger.close()
