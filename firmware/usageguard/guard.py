"""Where the parts meet: a `step` that never waits, a `pump` that does, and what applications see of the guard."""

import json

from usageguard.at.channel import Channel
from usageguard.calendar import Calendar
from usageguard.compat import const
from usageguard.core import policy as rules
from usageguard.core.account import Account
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.ledger import Ledger
from usageguard.modem.slot import OPEN, OPENING
from usageguard.net import sockets
from usageguard.net.gate import Gate
from usageguard.shaper import Shaper
from usageguard.status import status
from usageguard.upstream.outbox import Outbox
from usageguard.upstream.path import ReportPath

_WATCHDOG_MS = const(300_000)
_STATUS_MS = const(3_600_000)
_ASK_MS = const(30_000)  # while upstream should be asked, and cannot be yet
_WAIT_MS = const(180_000)  # the longest single wait, and
_LOOK_MS = const(200)  # an answer of the modem takes about as long: looking more often costs time for little
_FEED_MS = const(60_000)  # how old the last feeding may be before it: together below the watchdog's time
_EDQUOT = const(122)
# CME errors, ESM causes + 100 but for the last: insufficient resources … not subscribed; operator determined barring
_STOP_CAUSES = (129, 130, 131, 133, 177)


class Guard:
    """One device's guard. `hal` is the hardware, `config` what `usageguard.config` loaded.

    Read only: `hal`, `config`, `modem`, `gate`, `policy`, `ledger`, `calendar`, `outbox`, `path`, `shaper`,
    `app_restarts`, `crash_code`.
    """

    WATCHDOG_MS = _WATCHDOG_MS

    def __init__(self, hal, config):
        now = hal.ticks_ms()
        self.hal = hal
        self.config = config
        self.app_restarts = 0
        self.crash_code = 0
        self.in_force = {}  # by task, the traffic class of new sockets where it is not the default one
        self.current_task = None  # asyncio's, while it runs
        self.ledger = Ledger(hal, _storage(hal), config.plan.lease_max_octets)
        sound = self._open_ledger()
        self.policy = rules.Policy(config.plan, config.classes, config.enforcement == "observe")
        self.account = Account(config.plan, self.policy, self.ledger.orders)
        self.gate = Gate(hal, config, self.ledger, self.policy)
        self.gate.meter.learn(self.account.standing.learned)
        self.modem = _driver(config.modem.family)(hal, Channel(hal), config.modem, self)
        self.path = ReportPath(self.modem, self.gate, config)
        self.calendar = Calendar(self, now)
        self._published_at = now
        self._changed = True
        self._modem_state = 0  # as it was told
        self._slow_at = now
        self._due_at = now
        self.work = True  # a socket or the guard itself has asked the driver for something since its last step
        self._urgent = False
        self._refusals = 0  # in a row
        self._reading = False  # one was asked for; the driver also takes one every 15 minutes
        self._stepping = False
        self._fed_at = now
        self.shaper = Shaper(self, now)
        self._classes = {c.name: i for i, c in enumerate(config.classes)}
        self._restore(sound)
        self.modem.data_wanted = self.policy.data_wanted()
        self.outbox = Outbox(config, hal, self, self.path, now)
        self.outbox.on_time = self.calendar.server_time
        self.outbox.on_order = self._order
        hal.event("ledger-" + self.ledger.recovered, self.ledger.charged_rated, self.ledger.charged_carried)
        hal.watchdog_feed(_WATCHDOG_MS)

    def _open_ledger(self):
        try:
            self.ledger.open()
        except (OSError, ValueError):
            return False
        return not self.ledger.lost

    def _restore(self, sound):
        """Takes over the stops that stood. What cannot be known is a stop itself: it fails closed."""
        ledger = self.ledger
        try:
            self.obey(self.account.restore(ledger.reasons, ledger.warned, self.gate.used, ledger.cycle_id))
        except ValueError:
            sound = False
        if not sound:
            self.obey(self.policy.apply(rules.LEDGER_FAILED))

    # For applications

    def install(self):
        """Makes `import socket` (and `usocket`) the metered, gated module for whatever is imported from now on.

        RuntimeError inside a simulator's own process: that needs its sockets.
        """
        import sys

        if getattr(self.hal, "in_process", False):
            raise RuntimeError("install() would replace the simulator's own sockets")
        sockets.bind_guard(self)
        sys.modules["socket"] = sys.modules["usocket"] = sockets

    def traffic(self, name):
        """A context in which new sockets belong to the class `name`. KeyError for a class that is not configured."""
        from usageguard.tasks import Traffic

        return Traffic(self, self._classes[name])

    @property
    def traffic_class(self):
        """The class, by index, to which a socket made now belongs."""
        return self.in_force.get(self.task(), 0)

    def task(self):
        """Which of an asyncio application's tasks runs now, as a key; 0 where there are none."""
        try:
            return id(self.current_task()) if self.current_task else 0
        except RuntimeError:  # none runs
            return 0

    def sleep(self, ms):
        """Waits for `ms` (0 and up), guarding meanwhile."""
        while ms > 0:
            step = min(ms, 1 << 28)
            until = ticks_add(self.hal.ticks_ms(), step)
            while ticks_diff(until, self.hal.ticks_ms()) > 0:
                self.pump(until)
            ms -= step

    def step_now(self):
        """For an application with its own loop: one step; returns the milliseconds in which it wants the next one."""
        return self.step(self.hal.ticks_ms())

    def run(self):
        """A coroutine for asyncio applications: guards as a task, for ever."""
        from usageguard import tasks

        return tasks.run(self)

    def crashed(self, code):
        """The supervisor's word that the application ended with an exception: nobody will close its sockets."""
        for slot in self.modem.slots:
            if slot.owner:
                slot.owner.close()
        self.in_force.clear()
        self.app_restarts += 1
        self.crash_code = code
        self._urgent = True
        self.hal.event("app-crash", code, self.app_restarts)

    def _order(self, counter, orders, now):
        from usageguard.owner import Owner  # with the first order: a heap is small

        Owner(self).order(counter, orders, now)

    def activate(self):
        """The application's word that this is the SIM's first use: a silent period ends, its billing begins."""
        self.calendar.first_use(self.hal.ticks_ms())
        self.changed()

    def accept_loss(self):
        """Somebody's word that the counts are right as they stand, after a ledger fault: data flows again."""
        self.ledger.lost = self.gate.broken = False
        self.obey(self.policy.apply(rules.LEDGER_SET))

    def admits(self, traffic_class):
        """Whether that class (by index) may send at all now."""
        return self.policy.admits(traffic_class, self.gate.used, 0)

    # The loop. HOT: while nothing but traffic happens, `pump` allocates nothing.

    def pump(self, until):
        """One wait: until ticks `until`, or until there is input or work."""
        hal = self.hal
        now = hal.ticks_ms()
        longest = _WAIT_MS
        if self.work or ticks_diff(now, self._fed_at) >= _FEED_MS:
            self.step(now)
            now = hal.ticks_ms()
            longest = _LOOK_MS  # what is waited for may have come in this very step: whoever waits looks again soon
        left = ticks_diff(until, now)
        due = ticks_diff(self._due_at, now)
        if due < left:
            left = due
        if left > longest:
            left = longest
        if left > 0:
            hal.wait(ticks_add(now, left))
        self.step(hal.ticks_ms())

    def step(self, now):
        """Does all that is due, waits for nothing; returns milliseconds until it wants to be called again."""
        if self._stepping:
            raise RuntimeError("Guard.step was entered again")
        self._stepping = True
        self.work = False
        try:
            modem = self.modem
            for slot in modem.slots:  # any wait comes by here: what sockets have corked leaves now
                if not slot.uncork(self.gate):
                    slot.fail(_EDQUOT)
            modem.step(now)
            if self.gate.broken:
                self.obey(self.policy.apply(rules.LEDGER_FAILED))
            if self.gate.crossed:
                self.judge()
            if self.gate.denied >= 0:
                self._look_into_denial(now)
            if self.gate.burst_found:
                self.shaper.holder.hold(now)
            slow = self.shaper.pause(now)
            if not self._reading and self.gate.wants_reading():
                self._reading = self.work = True
                modem.read_counter()
            left = ticks_diff(self._slow_at, now)
            if left <= 0 or self._urgent or self.path.arrived():
                self._urgent = False
                left = self._slow(now)
                self._slow_at = ticks_add(now, left)
                self.work = True
            due = modem.next_ms(now)
            if left < due:
                due = left
            if 0 < slow < due:
                due = slow
            self._due_at = ticks_add(now, due)
            if ticks_diff(now, self._fed_at) >= _FEED_MS:  # here: a guard that fails at each step is to be reset
                self._fed_at = now
                self.hal.watchdog_feed(_WATCHDOG_MS)
            return 0 if self.work else due
        finally:
            self._stepping = False

    # What the modem's driver tells

    def received(self, slot, n):
        """Payload arrived. HOT."""
        self.gate.received(slot.traffic_class, slot.tcp, n)

    def opened(self, slot):
        self.gate.hold(slot.tcp, 1)
        self._urgent = True

    def closed(self, slot):
        self.gate.hold(slot.tcp, -1)
        if self.policy.level >= rules.RESTRICTED:
            self.gate.give_back()

    def abandoned(self, slot):
        self.gate.abandoned(slot.tcp)

    def counter(self, tx, rx):
        self._reading = False
        self.gate.counter(tx, rx, self.modem.counter_epoch, self.modem.found_on)

    def refused(self, cause):
        """The data session was refused, with a CME error; one that says nothing of a stop counts the second time."""
        self.hal.event("refused", cause)
        self._refusals += 1
        if cause in _STOP_CAUSES or self._refusals > 1:
            self.obey(self.policy.apply(rules.CARRIER_REFUSED))

    def served(self):
        self._refusals = 0
        self.gate.session()
        self.obey(self.policy.apply(rules.CARRIER_SERVES))

    # Decisions

    def judge(self):
        """Has the policy look at what is used."""
        self.gate.crossed = False
        self.obey(self.policy.cross(self.gate.used))

    def _look_into_denial(self, now):
        """A class was refused: where what is left of its quota carries no packet any more, that is a reason."""
        denied = self.gate.denied
        self.gate.denied = -1
        self.gate.denials += 1
        self.obey(self.policy.denied(denied))
        if self.policy.reasons & rules.GRANT_EXPIRED and self.outbox.ask(now):  # given back while nobody wanted it
            self._urgent = True

    def obey(self, actions):
        """Carries out what the policy asks for."""
        if not actions:
            return
        policy, ledger = self.policy, self.ledger
        if actions & (rules.SAVE | rules.REPORT):
            self.hal.event("verdict-" + policy.verdict(), policy.reasons, policy.warned)
        if actions & rules.SAVE:
            ledger.reasons = policy.reasons
            ledger.warned = policy.warned
            self.account.standing.store()
            self.gate.commit()
        if actions & rules.CLOSE:
            for slot in self.modem.slots:
                if slot.state in (OPENING, OPEN) and not self.admits(slot.traffic_class):
                    slot.fail(_EDQUOT)
        self.modem.data_wanted = policy.data_wanted()
        self.shaper.follow()
        self.changed()

    def changed(self):
        """Something that reports and the status tell of is not what it was."""
        self._changed = self._urgent = True

    def _slow(self, now):
        """What is not per octet: time and cycles, reports, status. Returns milliseconds until it is wanted again."""
        n = self.path.receive()
        while n:
            self.outbox.receive(now, self.path.buffer, n)
            n = self.path.receive()
        due = self.calendar.step(now)  # with the time an acknowledgement brought, before it is reported
        if self.gate.burst is not None:
            due = min(due, self.shaper.holder.roll(now))
        if self.account.wants_report:
            self.account.wants_report = not self.outbox.ask(now)
            due = min(due, _ASK_MS)
        self.outbox.step(now)
        if not self.modem.channel.busy:  # an erase would make a busy UART overrun
            self.gate.tidy()
        left = _STATUS_MS - ticks_diff(now, self._published_at)
        if self.modem.state != self._modem_state:
            self._modem_state = self.modem.state
            self._changed = True
        if self._changed or left <= 0:
            self.publish(now)
            left = _STATUS_MS
        return min(due, left, self.outbox.due_ms(now))

    # What can be asked

    def carried_octets(self):
        """IP octets of this cycle, both ways."""
        return self.ledger.carried.value() - self.ledger.carried_base.value()

    def error_bound_octets(self):
        """How far `carried_octets` may be above what was carried: what the model and recoveries charged to be safe."""
        return self.gate.meter.bound() + self.ledger.carried_unsure.value()

    def publish(self, now):
        """Tells whoever watches the device its status."""
        self._published_at = now
        self._changed = False
        self.calendar.note_floor(now)
        self.ledger.set_remaining(max(0, min(1 << 29, self.config.plan.report_limit - self.gate.used.value())))
        self.hal.status(json.dumps(status(self)))


def _storage(hal):
    """Where the ledger lies: a partition, or else files; None for RAM only."""
    if hal.flash is None and hal.files:
        from usageguard.filelog import FileLog

        return FileLog()
    return hal.flash


def _driver(family):
    """The driver of a modem family, a class of the family's name; only the one in use is loaded."""
    name = family[0].upper() + family[1:]
    return getattr(__import__("usageguard.modem." + family, None, None, (name,)), name)
