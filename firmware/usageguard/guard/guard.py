"""One device's guard: a `step` that never waits, a `pump` that does, and what applications call."""

import json
import sys

from usageguard.compat import const, get_ident
from usageguard.core import policy as rules
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.guard.enforcement import Enforcement
from usageguard.guard.periods import PeriodTracker
from usageguard.guard.status import status
from usageguard.modem.base import BOOTING, ONLINE
from usageguard.modem.connection import OPEN
from usageguard.net import sockets
from usageguard.store.ledger import Ledger
from usageguard.upstream.outbox import Outbox
from usageguard.upstream.path import ReportPath

_WATCHDOG_MS = const(300_000)
_STATUS_MS = const(3_600_000)
_ASK_MS = const(30_000)  # between attempts to request a report, while none can be requested
_WAIT_MS = const(180_000)  # the longest single wait; with _FEED_MS below the watchdog's time
_LOOK_MS = const(200)  # the longest wait after a step with work: an answer of the modem takes about as long
_IDLE_MS = const(1_000)  # nothing to do for so long: whatever was loaded for something has done it
_FEED_MS = const(60_000)  # between two feedings of the watchdog, but for a wait
_TICKS = const(0x3FFFFFFF)
_HALF = const(1 << 29)  # so many ticks or more are a time that is over
_EDQUOT = const(122)
_DEEP_SLEEP = const(4)


LATE = ()  # modules of a release build, which a step lets go


class Guard(Enforcement):
    """One device's guard. `hal` is the hardware, `config` what `usageguard.config.load` loaded.

    Read only: `hal`, `config`, `modem`, `admission`, `policy`, `account`, `ledger`, `periods`, `outbox`, `path`,
    `thread`, which alone may use the guard and its sockets; `stepping`, and `stepped_at`, the ticks of the last step.
    `polling` is true while a poll of the application asks its
    sockets, which then do not wait.
    """

    WATCHDOG_MS = _WATCHDOG_MS

    def __init__(self, hal, config):
        now = hal.ticks_ms()
        driver = driver_of(config.modem.family)
        if config.modem.bearer == "ppp":
            from usageguard.net.ppp import driver_over

            driver = driver_over(driver)
        elif hal.flow_control and config.modem.family == "quectel":
            from usageguard.modem.quectel_push import QuectelPush

            driver = QuectelPush
        if config.modem.saving and config.modem.saving[3]:
            from usageguard.modem.light_sleep import over

            driver = over(driver, hal, config.modem.family)
        config.modem.counter = config.modem.counter and driver.COUNTER
        nap = None
        if hal.reset_cause() == _DEEP_SLEEP:
            from usageguard.guard.deep_sleep import recall

            nap = recall(hal)
        make = Ledger
        if config.plan.apart:
            from usageguard.store.apart import ApartLedger

            make = ApartLedger
        super().__init__(hal, config, make(hal, _storage(hal), config.plan.lease_max_octets), driver.WINDOW, nap)
        ledger, policy, account, admission = self.ledger, self.policy, self.account, self.admission
        self.modem = modem = driver(hal, driver.CHANNEL(hal), config.modem, self)
        if config.upstream.mqtt:
            from usageguard.upstream.mqtt import MqttPath

            self.path = MqttPath(modem, admission, config)
        else:
            self.path = ReportPath(modem, admission, config)
        ntp = config.upstream.ntp_host is not None
        make = PeriodTracker
        if config.plan.daily:
            from usageguard.guard.daily import DailyPeriods

            make = DailyPeriods
        if config.plan.apart:
            from usageguard.guard.counters import with_counters

            make = with_counters(make, config.plan)
        self.periods = make(hal, config.plan.cycle, ledger, policy, account, admission, modem, self.obey, now, ntp)
        self._burst_guard = None
        if config.plan.burst:
            from usageguard.guard.burst_guard import BurstGuard

            self._burst_guard = BurstGuard(hal, config, policy, account, admission, self.obey, now)
        self._in_force = {}  # by task, the traffic class of new sockets where it is not the default one
        self._current_task = None  # asyncio's function, once an application uses it
        self._published_at = now
        self._modem_state = 0  # at the last look
        self._slow_at = now
        self._due_at = now
        self.thread = get_ident()
        self.stepping = self.polling = False
        self.stepped_at = now
        self._fed_at = now
        self._restore()
        modem.data_wanted = policy.data_wanted()
        if config.upstream.host is None:
            modem.unanswered = 0
        self.outbox = Outbox(config, hal, ledger, policy, account, admission, self.path, now)
        self.outbox.on_time = self.periods.server_time
        self.outbox.on_order = self._order
        self.outbox.on_verdict = self.diagnose
        if config.upstream.sms_orders:
            from usageguard.upstream.sms_orders import SmsOrders

            SmsOrders(config, hal, ledger, account, self.path.sms, self._order)
        self._way_in = self._reserve_pace = None
        self._sntp = None
        if ntp:
            from usageguard.upstream.sntp import Sntp

            self._sntp = Sntp(hal, modem, admission, config.upstream, self.periods.clock, now)
        if self._nap:
            self._way_in = self._nap.restore(self, now)
            self._nap = None
        _unload("guard.deep_sleep")
        hal.event("ledger-" + ledger.recovered, ledger.charged_rated, ledger.charged_carried)
        hal.watchdog_feed(_WATCHDOG_MS)

    # For applications

    def install(self):
        """Makes `import socket` the metered module for whatever is imported from now on, and has the waits of `time`,
        `select` and `machine` guard; the same for their names with a u.

        RuntimeError inside a simulator's own process: that needs its sockets.
        """
        import sys

        from usageguard.guard.waits import install

        if getattr(self.hal, "in_process", False):
            raise RuntimeError("install() would replace the simulator's own sockets")
        self.bind_sockets()
        sys.modules["socket"] = sys.modules["usocket"] = sockets
        install(self)
        reserve = getattr(self.hal, "reserve", None)
        if reserve:
            from usageguard.guard import lending

            lending.install(reserve)

    def bind_sockets(self):
        """Has the sockets that are made from now on use this guard."""
        sockets.bind(self.hal, self.modem, self.admission, self)

    def traffic(self, name):
        """A context in which new sockets belong to the class `name`. KeyError for a class that is not configured."""
        from usageguard.guard.aio import Traffic, class_index

        return Traffic(self._in_force, self._task, class_index(self.config.classes, name))

    @property
    def traffic_class(self):
        """The class, by index, to which a socket made now belongs. RuntimeError in a thread that may not have one."""
        self._check_thread()
        return self._in_force.get(self._task(), 0)

    def _check_thread(self):
        if get_ident() != self.thread:
            raise RuntimeError("the guard and its sockets belong to the main thread")

    def _task(self):
        """The running asyncio task, as a key; 0 where there is none."""
        try:
            return id(self._current_task()) if self._current_task else 0
        except RuntimeError:  # no task runs
            return 0

    def sleep(self, ms):
        """Waits for `ms` (0 and up), guarding meanwhile."""
        while ms > 0:
            step = min(ms, 1 << 28)
            until = ticks_add(self.hal.ticks_ms(), step)
            while ticks_diff(until, self.hal.ticks_ms()) > 0:
                self.pump(until, _WAIT_MS)
            ms -= step

    def deep_sleep(self, ms=0, modem=True):
        """Puts the chip into deep sleep until `ms` after the call (0: until a pin wakes it); it then boots, and the
        guard goes on as if it had not. Does not return. First closes all sockets and sends the report that is due: some
        seconds, a minute at the most. Without `modem` the modem is switched off, 20 s after the last traffic."""
        from usageguard.guard.deep_sleep import enter

        enter(self, ms, modem, self._way_in)

    def step_now(self):
        """For an application with its own loop: one step; returns the milliseconds in which it wants the next one."""
        return self.step(self.hal.ticks_ms())

    def run(self):
        """A coroutine for asyncio applications: guards as a task, for ever."""
        import asyncio

        from usageguard.guard import aio

        self._current_task = asyncio.current_task
        return aio.run(self.step_now, self.hal.SLICE_MS)

    def crashed(self, code):
        """Called after the application raised: closes its sockets, and reports `code` (app.crash_code)."""
        for connection in self.modem.connections:
            if connection.owner:
                connection.owner.close()
        self._in_force.clear()
        self.outbox.crashed(code)
        self._urgent = True
        self.hal.event("app-crash", code, self.outbox.app_restarts)

    def diagnose(self, ask=True):
        """Why the device is offline: a list of diagnose.causes.Verdict, the first cause in front; empty where nothing
        is wrong. Looks at the radio first, and sends up to three datagrams where there is a data session, some 400
        octets: that takes two and a half minutes at the most. Without `ask` it judges by what is known, at once."""
        from usageguard.diagnose.ask import diagnose

        return diagnose(self, ask)

    def activate(self):
        """Declares the SIM's first use: its silent period ends, its billing begins."""
        self.periods.first_use(self.hal.ticks_ms())
        self._changed = self._urgent = True

    # The loop. HOT: while nothing but traffic happens, `pump` allocates nothing.

    def wake(self):
        """Has the next `pump` step before it waits: the driver was asked for something."""
        self.work = True

    def pump(self, until, look=_LOOK_MS):
        """One wait: until ticks `until`, or until there is input or work; of `look` milliseconds at the most after a
        step with work, in which what the caller waits for may have come."""
        now = self.hal.ticks_ms()
        if not self.work and ticks_diff(now, self._fed_at) < _FEED_MS:
            look = _WAIT_MS
        else:
            self.step(now)
            now = self.hal.ticks_ms()
            if self.work:
                look = _LOOK_MS
        left = ticks_diff(until, now)
        due = ticks_diff(self._due_at, now)
        if due < left:
            left = due
        if left > look:
            left = look
        if left > 0:
            self.hal.wait(ticks_add(now, left))
        self.step(self.hal.ticks_ms())

    def step(self, now):
        """Does all that is due without waiting; returns the milliseconds until it wants to be called again."""
        if self.stepping or get_ident() != self.thread:
            self._check_thread()
            raise RuntimeError("step in a step")
        self.stepping = True
        self.stepped_at = now
        try:
            self.modem.now = now
            if self.modem.channel.pump(now):
                self._listen(now)
            if (
                self.work
                or self._urgent
                or self.modem.poked
                or (self._due_at - 1 - now) & _TICKS >= _HALF  # as ticks_diff, without a call in each step
                or (now - self._fed_at) & _TICKS >= _FEED_MS
            ):
                self._work(now)
        finally:
            self.stepping = False
        return 0 if self.work else (self._due_at - now) & _TICKS

    def _listen(self, now):
        """Something arrived: there is work, unless it is a part of an answer, or of what came beside it."""
        channel, admission = self.modem.channel, self.admission
        due = admission.meter.window >= admission.window_octets and admission.meter.counted
        if not channel.busy or (due and not self._reading):
            self.work = True
        elif ticks_diff(self._due_at, now) > channel.next_ms(now):
            self._due_at = ticks_add(now, channel.next_ms(now))

    def _work(self, now):
        """What `step` does where there is something to do."""
        modem = self.modem
        self.work = False
        self._uncork()
        modem.step(now)
        self._enforce(now)
        if self._burst_guard is not None and self.admission.take_burst():
            self._burst_guard.hold(now)
        slow = self.admission.slowed_ms(now)
        if modem.paused != (slow > 0):
            modem.pause(slow > 0)
            self.work = True
        reading = self.admission.reading_ms(now, modem.state == ONLINE and modem.covered)
        if not reading and not self._reading:
            self._reading = self.work = True
            modem.read_counter()
        left = self._slow_ms(now)
        left = min(modem.next_ms(now), left)
        if 0 < slow < left:
            left = slow
        if 0 < reading < left:
            left = reading
        self._due_at = ticks_add(now, left)
        if left >= _IDLE_MS:
            _let_go()
        if ticks_diff(now, self._fed_at) >= _FEED_MS:  # here: a guard that fails at each step is to be reset
            self._fed_at = now
            self.hal.watchdog_feed(_WATCHDOG_MS)

    def _uncork(self):
        """Any wait leads here: what sockets have corked leaves."""
        for connection in self.modem.connections:
            if connection.state == OPEN and not connection.uncork(self.admission):
                connection.fail(_EDQUOT)

    def _slow_ms(self, now):
        """Calls `_slow` if it is due, or has reason; returns milliseconds until it is due."""
        if self._urgent or self.path.arrived() or ticks_diff(self._slow_at, now) <= 0:
            self._urgent = False
            self.work = True
            self._slow_at = -1
            try:
                self._slow_at = ticks_add(now, self._slow(now))
            except MemoryError:  # the application holds it; traffic is still counted and limited
                pass
            if self._slow_at < 0:
                self.hal.event("no-memory")
                self._slow_at = ticks_add(now, _ASK_MS)
            _let_go()
        return ticks_diff(self._slow_at, now)

    def _slow(self, now):
        """What is not due for each octet: time and periods, reports, status. Returns milliseconds until it is due."""
        outbox, path, account = self.outbox, self.path, self.account
        n = path.receive()
        while n:
            outbox.receive(now, path.buffer, n)
            n = path.receive()
        due = self.periods.step(now)  # with the time an acknowledgement brought, before it is reported
        if self._burst_guard is not None:
            due = min(due, self._burst_guard.step(now))
        if self._sntp is not None:
            due = min(due, self._sntp.step(now))
        if self.policy.deaf() and self._way_in is None and self.config.upstream.host:
            from usageguard.guard.way_in import WayIn

            self._way_in = WayIn(self.hal, self.policy, self.admission, outbox, self.obey, now, self.path.TCP)
        if self._way_in is not None:
            due = min(due, self._way_in.step(now))
        if self.policy.level >= rules.RESTRICTED and self._reserve_pace is None and self.config.upstream.host:
            from usageguard.guard.reserve_pace import ReservePace

            self._reserve_pace = ReservePace(self.policy, self.admission, outbox, self.periods)
        if self._reserve_pace is not None:
            self._reserve_pace.step(now)
        if account.wants_report:
            account.wants_report = not outbox.ask(now)
            due = min(due, _ASK_MS)
        outbox.step(now)
        if not self.modem.channel.busy:  # an erase would make a busy UART overrun
            self.admission.tidy()
        left = _STATUS_MS - ticks_diff(now, self._published_at)
        if self.modem.state != self._modem_state:
            self._changed = True
        if self._changed or left <= 0:
            self._publish(now)
            left = _STATUS_MS
        return min(due, left, outbox.due_ms(now))

    def _order(self, counter, orders, now):
        from usageguard.guard.order_handler import OrderHandler  # with the first order: many devices get none

        handler = OrderHandler(
            self.hal,
            self.ledger,
            self.policy,
            self.account,
            self.admission,
            self.periods,
            self.outbox,
            self.obey,
            self.modem,
        )
        handler.order(counter, orders, now)
        del handler
        _unload("guard.order_handler")
        _unload("core.account.orders")

    def _publish(self, now):
        """Reports the status to the console or the simulator."""
        ms = ticks_diff(now, self._published_at)
        if max(self._modem_state, self.modem.state) > BOOTING:
            self.outbox.radio_on_s += ms // 1000
        self._published_at = ticks_add(now, -(ms % 1000))
        self._modem_state = self.modem.state
        self._changed = False
        plan, ledger, admission = self.config.plan, self.ledger, self.admission
        self.periods.note_floor(now)
        ledger.set_remaining(max(0, min(1 << 29, plan.report_limit - admission.used.value())))
        shown = status(
            self.config, ledger, self.policy, self.account, admission, self.periods, self.modem, self.outbox, now
        )
        reserve = getattr(self.hal, "reserve", None)
        if reserve:
            reserve.take()  # a session that was lent it may have ended
        shown["tls_reserve"] = reserve.state if reserve else "off"
        self.hal.status(json.dumps(shown))


def _storage(hal):
    """Where the ledger is stored: a partition, or else files; None for RAM only."""
    if hal.flash is None and hal.files:
        from usageguard.store.filelog import FileLog

        return FileLog()
    return hal.flash


def _let_go():
    for name in LATE:
        sys.modules.pop(name, None)


def _unload(name):
    """Frees a module of the firmware's that is seldom needed, on a device: the next import loads it again."""
    if sys.implementation.name != "micropython":
        return
    package, _, module = ("usageguard." + name).rpartition(".")
    sys.modules.pop(package + "." + module, None)
    package = sys.modules.get(package)
    if hasattr(package, module):
        delattr(package, module)


def driver_of(family):
    """The driver of a modem family, a class of the family's name; only the one in use is loaded."""
    name = family[0].upper() + family[1:]
    return getattr(__import__("usageguard.modem." + family, None, None, (name,)), name)
