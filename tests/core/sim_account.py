"""An account with its policy, as the guard keeps them: by the local clock of UTC+8, in plain integers."""

from datetime import date, datetime, timedelta

from usageguard.config.load import load
from usageguard.core import policy as p
from usageguard.core.account.account import Account
from usageguard.core.account.orders import Ordered
from usageguard.core.octets import Octets
from usageguard.core.policy import Policy
from usageguard.store.ledger import ORDERS_OCTETS

MB = 1 << 20
EPOCH = date(2000, 1, 1)
START = datetime(2026, 3, 1)
CLASSES = [
    {"name": "telemetry", "rating_group": 10, "pace": False},
    {"name": "ota", "rating_group": 20},
    {"name": "report", "rating_group": 1, "reserve": True},
]
TELEMETRY, OTA, REPORTS = range(3)


def number(day):
    """The day number of an ISO date."""
    return (date.fromisoformat(day) - EPOCH).days


def utc(at):
    """(day, second) of a local time."""
    since = at - timedelta(hours=8) - datetime(2000, 1, 1)
    return since.days, since.seconds


def configured(**plan):
    plan = {"allowance_octets": 30 * MB, "warn_forecast": False} | plan
    device = {"id": "a", "key": "00" * 32}
    return load({"device": device, "modem": {"family": "quectel", "apn": "x"}, "plan": plan, "classes": CLASSES})


class Sim:
    """`now` is local time. What `Guard` and `PeriodTracker` do with the account's actions is done here at once."""

    def __init__(self, at=START, cycle_known=True, **plan):
        self.now = at
        self.keys = plan
        self.buf = bytearray(ORDERS_OCTETS)
        self.used = 0
        self.rated = 1 << 33  # of a long life
        self.reasons = self.warned = 0
        self.active = False
        self.counter = 0
        self.boot()
        self.cycle_id = 0
        if cycle_known:
            self.pass_time(0)

    def boot(self, plan=None):
        """A reset: what is not in `buf`, the bitmaps and the counts is gone. `plan`: with another configuration."""
        self.keys = self.keys if plan is None else plan
        config = configured(**self.keys)
        self.plan = config.plan
        self.policy = Policy(config.plan, config.classes)
        self.account = Account(config.plan, self.policy, self.buf)
        self.cycle_id = getattr(self, "cycle_id", 0)
        self.obey(self.account.restore(self.reasons, self.warned, Octets(self.used), self.cycle_id))
        self.obey(self.policy.cross(Octets(self.used)))

    def obey(self, actions):
        if actions & p.SAVE:
            self.reasons, self.warned = self.policy.reasons, self.policy.warned
            self.account.standing.store()
        assert (self.policy.reasons, self.policy.warned) == (self.reasons, self.warned), "a change unsaved"
        return actions

    def pass_time(self, seconds=0, **more):
        """Lets time pass, looking at it as often as the account asks for."""
        until = self.now + timedelta(seconds=seconds, **more)
        while True:
            self._look()
            left = (until - self.now).total_seconds()
            if left <= 0:
                return
            self.now += timedelta(seconds=min(left, self.account.due_s(*utc(self.now))))

    def until(self, day, hour=0):
        self.pass_time((datetime.fromisoformat(day) + timedelta(hours=hour) - self.now).total_seconds())

    def _look(self):
        day, second = utc(self.now)
        cycle_id = self.plan.cycle.cycle_id(day, second)
        if cycle_id > self.cycle_id:
            self.account.close_cycle(cycle_id, Octets(self.used))
            self.cycle_id, self.used = cycle_id, 0
            self.obey(self.policy.apply(p.NEW_CYCLE))
            self.obey(self.account.begin_cycle(cycle_id, Octets(0)))
        active, self.active = self.active, False
        instant = (day, second, Octets(self.used), Octets(self.rated), self.cycle_id, active)
        self.obey(self.account.time(*instant))

    def spend(self, octets):
        """Counts them, whether they may be or not."""
        self.used += octets
        self.rated += octets
        self.active = True
        self.obey(self.policy.cross(Octets(self.used)))

    def may(self, index=OTA):
        return self.policy.admits(index, Octets(self.used), 1)

    def order(self, keys, counter=None):
        """Carries it out as the guard does; returns the actions."""
        self.counter += 1
        counter = self.counter if counter is None else counter
        counts = (Octets(self.used), Octets(self.rated), self.cycle_id)
        self.done = Ordered(self.account)
        actions = self.done.carry_out(counter, keys, *counts, *utc(self.now))
        if actions:
            owed = self.done.owed
            self.used += owed
            self.rated += owed
            if self.done.set_used is not None:
                self.done.put_right(Octets(self.rated), abs(self.done.set_used - self.used))
                self.rated += max(0, self.done.set_used - self.used)
                less = max(0, self.used - self.done.set_used)
                self.used = self.done.set_used
                actions |= self.account.corrected(Octets(self.used), less)
            self.obey(actions | self.policy.cross(Octets(self.used)))
            self.pass_time(0)
        return actions

    def names(self):
        return self.policy.names()

    def admission(self):
        """All that decides what may be sent."""
        limits = [self.policy.limit(kind) for kind in range(6)]
        least = [limit and limit.value() for limit in self.policy._admit]
        policy = self.policy
        return policy.reasons, policy.warned, policy.level, policy.open, policy.held, limits, least

    def balance(self):
        return self.account.balance_fen(Octets(self.used), self.cycle_id)
