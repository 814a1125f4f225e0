"""The invariants of every run, checked against the carrier's figures and the orders that were given.

A `Checker` follows one world. All it knows of the firmware is the status that the device reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from host_tools.base import paths
from host_tools.base.days import date_of, day_number
from host_tools.collector.order import Order
from host_tools.collector.store import Kept, Outcome, Received
from host_tools.collector.verify import Report
from host_tools.run.world import World, cycle_id
from host_tools.scenario.file import CollectorClock, NtpClock, NtpRefusal, PowerCut, SimExchange
from host_tools.sim.carrier.plan import cost
from host_tools.sim.clock import MS, S
from host_tools.sim.modem import faults
from host_tools.sim.modem.radio import HOME, ROAMING

paths.use_firmware()

from usageguard.modem.base import ONLINE  # noqa: E402 - found only now

KB = 1024
HOUR_S = 3_600
PACKET_OCTETS = 2_200
"""A limit counts as reached when less is left than a full segment and opening its connection cost."""
REPORT_OCTETS = 1_200
"""The device's own report, retransmissions included, may pass between reaching a limit and reporting it."""
BOUNDARY_S = 300
"""How long after a boundary the device charges the old period on purpose."""

INFINITE = float("inf")
SEGMENT_OCTETS = 1_360
IN_FLIGHT_OCTETS = 4 * KB
UNDER_WAY_OCTETS = 16 * KB
"""What may be on its way when a stop comes: one reply, as the application uses one socket at a time."""
WAY_IN_S = 4 * HOUR_S + 1_200
"""In the first 7 hours of such a stop, attempts are no further apart."""
FOREIGN_OCTETS = 1_000_000
"""A jump of the modem's counter far above what rating and retransmissions add in a life."""
MESSAGE_S = 5_400
"""The hour that lies between two short messages, and three attempts."""
MESSAGES = 10
"""The default of max_sms_per_cycle."""
CARRIER_DELAY_S = 5_400
"""The device detects the end of a carrier stop by trying, at least once an hour; this includes its reconnection."""

INVARIANTS = {
    "under-count": "carried octets are not fewer than the carrier's, except for those stated as unseen",
    "over-count": "carried octets exceed the carrier's by no more than the stated bound",
    "doubt": "what the modem's counter alone shows counts against no limit until it is accepted",
    "under-rated": "where the plan declares the carrier's rating, rated octets are not fewer than the billed ones",
    "closed-period": "the same for the figures of a period that is over",
    "cost": "the device's cost is not less than the carrier's",
    "cost-cap": "the carrier charges no more than the cost cap",
    "quota-stop": "the carrier never stops the SIM for the plan's own quota",
    "dip": "the counts of a period never decrease, except by an order",
    "rise": "order counter, period, boot id and a boot's report counts never decrease",
    "ahead": "the device's period is never ahead of the carrier's",
    "late": "a new period begins within the stated delay",
    "by-hand": "a stop or throttle by order is in force exactly from its order to the one that ends it",
    "cause": "no reason is in force without its cause, or longer than the stated delay after it",
    "reached": "a limit that is reached stops the applications",
    "hours": "the counter of the hours is debited while that is certain, and it is not used up",
    "roaming": "the counter of roaming is debited with no less than the carrier's, but for what is stated as unseen",
    "class": "a class passes no more than its own quota, and its count of a period does not decrease",
    "passage": "no application traffic passes while only reports may",
    "order": "an order is applied once, within the stated delay",
    "stop-first": "an order to stop goes with the first acknowledgement after it, before every order that waits",
    "heard": "a device that has data reports, whatever became of the path to the collector",
    "message": "a stop that no report can tell arrives as a short message, although the network refuses the first ones",
    "reserve": "the reserve for reports lasts until the last 12 hours of the period, if nothing else takes it",
    "sim": "with another SIM than the one that is counted, data stops",
    "watchdog": "an application that waits, in whatever way, lets the guard feed the watchdog",
    "crash": "the device's program does not end by itself",
}
"""Name -> what it requires."""

DEAF = {"LEDGER_FAULT", "RESERVE_EXHAUSTED"}
"""With these reasons an exchange passes now and then."""
SILENCING = DEAF | {"SILENT_PERIOD"}
"""With these reasons the device does not try whether the carrier serves it again."""
QUOTA_STOPS = ("exhausted", "day_capped", "roamed", "test_exhausted", "capped")
PERIODS = {1: "test", 2: "silent"}


UNCERTAIN_S = BOUNDARY_S + 93 + 60
"""About an edge of the hours, or of the period: the device takes nothing for certain there."""
WINDOW_OCTETS = 20_480
"""What the device charges between two readings of the modem's counter at the most."""
_ORDERED = {"stop": 0, "throttle": 0, "limit": 0, "expiry": 0}
TIMES_SLOWED = 5
"""So often a peer sends a segment that waits for a SIM which is slowed down: in 24 s, as TCP backs off."""
UNCOUNTED, UNCOUNTED_LOSSY, UNCOUNTED_SLOWED = 20, 200, 1000 - 1000 // TIMES_SLOWED
"""Permille of what was carried that may have been sent again, without a counter that shows it: after a fault, on a
lossy path, and towards a SIM that is slowed down."""


def _seconds(time_of_day: str) -> int:
    """Since midnight, of a time "HH:MM"."""
    return int(time_of_day[:2]) * 3_600 + int(time_of_day[3:]) * 60


class Violated(Exception):
    """An invariant was violated."""

    def __init__(self, invariant: str, detail: str, at: datetime) -> None:
        super().__init__(f"{invariant}: {detail} (at {at.isoformat(timespec='seconds')})")
        self.invariant = invariant


class Checker:
    """Checks the invariants at every status of `world`. `checked` counts the checks, `faults` the faults, by name."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.carrier = world.scenario.carrier
        self.carrier_config = world.scenario.carrier_config
        self.checked: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.statuses = 0
        self._interval_s = int(world.scenario.upstream.get("interval_s", HOUR_S))
        self._counts = world.scenario.counts
        self._lossy = world.scenario.network.loss_permille > 0
        self._blind = not self._counts and world.scenario.network.loss_permille > 100  # half of all is sent again
        self._last: dict[str, Any] = {}
        self._applications: Counter[int] = Counter()
        self._applied = 0
        self._ordered: dict[str, Any] = dict(_ORDERED)
        self._granted_until = 0.0
        self._disturbed_s = 0.0  # the last fault, order or stop
        self._stopped_s = float("-inf")  # the carrier last stopped the SIM
        self._offline_s = 0.0  # the device could last not report
        self._not_trying_s = float("-inf")  # the device last had one of SILENCING, or a modem that hung
        self._hung_s = float("-inf")  # the modem, which nothing but the mains may end
        self._cause_s: dict[str, float] = {}  # reason -> when its cause last existed
        self._corrected: set[int] = set()  # periods whose usage an order has set
        self._forgotten: set[int] = set()  # periods whose usage was lost with the ledger
        self._forgot = 0  # the last order before that
        self._lost = False  # and not accepted yet
        self._bought = self._bought_next = 0  # the allowance by an order, 0 for the plan's
        self._released: set[int] = set()  # periods in which the owner has released a class
        self._longest_s = 0.0  # between two reports of a device that is stopped
        self._counted_sim = ""  # the first one that is served
        self._struck_s = self._exchanged_s = float("-inf")  # the modem, by a fault; the SIM
        self._strikes = 0  # of the modem's faults
        self._slowed = False  # the SIM, by the carrier
        self._resent = 0  # octets, into data sessions that were dead
        self._watchdogs = 0  # resets that the scenario has and the device has not had
        self._heard_s = 0.0
        self._unable_s = 0.0  # the device could last not report, or reported seldom
        self._deaf_s = self._terminated_s = INFINITE  # since when
        self._begun_s = 0.0  # the last boot
        self._accepted = False  # an order has had such octets count
        self._foreign = 0  # octets that faults added to the modem's counter, in jumps that are no ordinary surplus
        self._jumped = 0  # octets that faults added to the modem's counter, as far as they look like retransmissions
        self._dark = self._dark_from = 0  # octets that the carrier carried towards a device without power
        self._passage: tuple[int, int, int] | None = None  # (boot, carrier's octets, reports) at the stop
        self._burst_s = float("-inf")
        self._probed_in = 0  # the period in which the device used its margin to ask upstream
        self._phase_s = float("-inf")  # the carrier's phase of the SIM changed
        scenario = world.scenario
        self._calm = not (scenario.faults or scenario.deploys or scenario.actions or scenario.orders or self._lossy)
        self._replans = [int(each.at) for each in scenario.deploys if self._periods(each.plan)]
        if scenario.deploys and self._periods(scenario.plan):
            self._replans.append(0)
        world.log.listeners.append(self._event)
        world.collector.listeners.append(self._report)
        world.collector.orders = self._noting(world.collector.orders)
        world.collector.stops = self._noting(world.collector.stops)
        for each in (*scenario.faults, *scenario.actions, *scenario.orders, *scenario.deploys):
            lasts = getattr(each, "ms", 0) // 1000 + int(getattr(each, "off", 0))
            for at in (int(each.at), int(each.at) + lasts):
                world.clock.at(at * S, self._disturb)
        for fault in world.scenario.faults:
            if isinstance(fault, PowerCut | SimExchange):
                returns_us = (int(fault.at) + int(fault.off)) * S + world.scenario.supply.boot_ms * MS
                world.clock.at(int(fault.at) * S, self._go_dark)
                world.clock.at(returns_us, self._come_back)
            octets = getattr(fault, "tx", 0) + getattr(fault, "rx", 0)
            if self._counts and octets:
                world.clock.at(int(fault.at) * S, self._count_jump, octets)

    def _noting(self, orders: Callable[[str, Report, datetime], Order | None]) -> Callable[..., Order | None]:
        """A collector's `orders` or `stops`, with which each order is a disturbance."""

        def order(device: str, report: Report, now: datetime) -> Order | None:
            found = orders(device, report, now)
            if found is not None:
                self._disturbed_s = self.now_s
            return found

        return order

    @property
    def now_s(self) -> float:
        return self.world.clock.now_us / S

    @property
    def plan(self) -> dict[str, Any]:
        """That which the device has now."""
        return self.world.plan

    @property
    def _imsi(self) -> str:
        """Of the SIM that is in the modem now."""
        return self.world.modem.card_reader.card.imsi

    def _figures(self, label: str) -> dict[str, Any]:
        """The carrier's figures of a period, of all SIMs that were in the modem."""
        found = [self.world.carrier.figures(imsi, label) for imsi in self.world.imsis]
        costs = [each["overage_cost"] for each in found if each["overage_cost"] is not None]
        names = ("ip_octets", "billed_octets", "roaming_octets")
        sums = {name: sum(each[name] or 0 for each in found) for name in names}
        return sums | {"overage_cost": sum(costs) if costs else None}

    def _labels(self) -> list[str]:
        return self.world.carrier.cycles(self.world.imsis[0])

    def _periods(self, plan: dict[str, Any]) -> bool:
        """Whether the periods of `plan` are not the carrier's."""
        sim = self.world.scenario.carrier_config.sim_plan
        activated = sim.activated and sim.activated.isoformat()
        by_days = plan.get("cycle_days", 0) != sim.cycle_days or (sim.cycle_days and plan.get("activated") != activated)
        return bool(by_days) or (not sim.cycle_days and plan.get("cycle_start_day", 1) != sim.cycle_start_day)

    def _replanned(self) -> bool:
        """Whether the device has had a plan with other periods than the carrier's."""
        return any(at <= self.now_s for at in self._replans)

    def _go_dark(self) -> None:
        self._dark_from = self._carried()

    def _come_back(self) -> None:
        self._dark += self._carried() - self._dark_from

    def _carried(self) -> int:
        """Octets that the carrier has carried in all periods."""
        return sum(self._figures(label)["ip_octets"] for label in self._labels())

    def _disturb(self) -> None:
        self._disturbed_s = self.now_s

    def _count_jump(self, octets: int) -> None:
        self._jumped += min(octets, WINDOW_OCTETS)
        if octets >= FOREIGN_OCTETS and not self._accepted:
            self._foreign += octets

    def _check(self, invariant: str, holds: bool, detail: str) -> None:
        self.checked[invariant] += 1
        if not holds:
            raise Violated(invariant, detail, self.world.clock.utc())

    def _event(self, event: dict[str, Any]) -> None:
        who, what = event["who"], event["what"]
        if who == "bench" and what != "program-hangs":
            self.faults[event["kind"] if what == "fault" else what] += 1
            if what == "fault":
                self._struck_s = self.now_s
            elif what == "sim-exchange":
                self._exchanged_s = self.now_s
            elif what == "reset" and event["cause"] == "watchdog":
                self._watchdogs += 1
            elif what == "ledger-lost":
                self._forget()
        elif who == "carrier" and what == "throttled":
            self._disturb()
            self._slowed = True
        elif who == "carrier" and what in ("stopped", "restored", "unthrottled", "phase", "refused"):
            self._disturb()
            if what == "phase":
                self._phase_s = self.now_s
            if what in ("stopped", "restored"):
                self._stopped_s = self.now_s
            if what == "stopped":
                present = cycle_id(self._labels()[-1])
                own = event["reason"] not in QUOTA_STOPS or present in self._corrected | self._forgotten
                own = own or bool(self._replanned() and self._corrected)
                # What asks upstream pays a whole block each time, whatever is left.
                own = own or (self._probed_in == present and self.carrier.session_round_octets > 0)
                own = own or self._cannot_see
                own = own or (event["reason"] == "roamed" and not self.carrier_config.sim_plan.roaming_octets)
                self._check("quota-stop", own, f"stopped: {event['reason']} at {event['billed_octets']} billed octets")
        elif who == "device" and what == "order":
            self._applications[event["a"]] += 1
            self._check("order", self._applications[event["a"]] == 1, f"order {event['a']} was applied twice")
        elif who == "device" and what == "session-renewed":
            self._disturb()
            self._resent += IN_FLIGHT_OCTETS  # into the dead one
        elif who == "device" and what == "burst":
            self._burst_s = self.now_s
        elif who == "device" and what == "way-in":
            self._probed_in = self._last.get("cycle", 0)
        elif who == "device" and what == "boot":
            self._begun_s = self.now_s
            if event["cause"] == "watchdog":
                self._watchdogs -= 1
                self._check("watchdog", self._watchdogs >= 0, "the watchdog has reset the device")

    def _forget(self) -> None:
        """The device has lost its ledger: what it counted, what it was ordered, and what boot it was."""
        self._forgotten.add(self._last.get("cycle", 0))  # by another plan that is none of the carrier's periods
        self._last = {}
        self._ordered = dict(_ORDERED)
        self._bought = self._bought_next = 0
        told = (received.report.counter for received in self.world.store.history(self.world.device_id))
        self._applied = max(told, default=0)  # what was not reported to be applied is sent again
        self._applications.clear()
        self._forgot = max((order.counter for _, order in self._orders()), default=0)
        self._forgotten.update(cycle_id(label) for label in self._labels())
        self._lost = True
        self._counted_sim = ""
        self._cause_s.clear()

    def _orders(self) -> list[tuple[datetime, Order]]:
        return self.world.store.book.sent(self.world.device_id)

    def _report(self, received: Received, kept: Kept) -> None:
        """Called for each report that the collector has kept and answered."""
        if received.path != "coap":
            return
        self._heard_s = self.now_s
        if kept.outcome is not Outcome.NEW or self.world.store.latest(self.world.device_id) != received:
            return
        if self._clock_was_wrong():
            return  # the book's times are the collector's
        due = [each for each in self.world.scenario.orders if int(each.at) <= self.now_s]
        stops = sorted((each for each in due if each.stop is not None), key=lambda each: each.at)
        if stops and stops[-1].stop:
            sent = any(order.stop and at >= self._instant(stops[-1].at) for at, order in self._orders())
            self._check("stop-first", sent, f"the stop of {int(stops[-1].at)} s waits behind another order")

    def _instant(self, at: int) -> datetime:
        return self.world.clock.start + timedelta(seconds=int(at))

    # --- at a status ---

    def status(self, status: dict[str, Any]) -> None:
        """Checks the invariants at this status; raises Violated for the first that fails."""
        self.statuses += 1
        if self._strikes != self.world.modem.faults.strikes:  # of faults that were armed, perhaps long ago
            self._strikes = self.world.modem.faults.strikes
            self._disturb()
        stops = self.world.carrier.stops(self._imsi)
        if stops:
            self._stopped_s = self.now_s
        if status["verdict"] == "terminated" or status["modem"] != ONLINE or stops:
            self._offline_s = self.now_s
        if self.world.modem.port.hung:
            self._hung_s = self.now_s
        if SILENCING & set(status["reasons"]) or self._hung_s == self.now_s:
            self._not_trying_s = self.now_s
        if status["modem"] == ONLINE:
            self._counted_sim = self._counted_sim or self.world.modem.card_reader.card.iccid
        self._apply(status)
        self._check_increasing(status)
        label = self._labels()[-1]
        present = cycle_id(label)
        other = self._periods(self.plan)  # periods that are not the carrier's
        if not other and not self._all_clocks_were_wrong():
            self._check("ahead", status["cycle"] <= present, f"period {status['cycle']}, the carrier's is {present}")
        if other or status["cycle"] == present:
            self._check_counts(status, self._figures(label))
        elif self._time_is_known(status) and not self._clock_was_wrong():
            self._check("late", self._since_boundary(label) <= self._period_delay(), f"{present} has not begun")
        self._check_closed(status)
        self._check_reasons(status)
        self._check_limits(status)
        self._check_passage(status)
        self._check_classes(status)
        self._check_hours(status)
        self._check_orders(status)
        self._check_sim(status)
        self._check_path(status)
        self._check_message(status)
        self._check_reserve(status)
        self._last = status

    def _apply(self, status: dict[str, Any]) -> None:
        """Records the effect of the orders that the device has applied by this status, and of a new period."""
        counter = status["counter"]
        was = self._last.get("cycle", status["cycle"])
        if status["cycle"] > was or (status["cycle"] < was and not self._replanned()):
            self._bought = self._bought_next  # what was bought for a period outlives another plan in it
        if counter <= self._applied:
            return
        for sent_at, order in self._orders():
            if not self._applied < order.counter <= counter:
                continue
            for name in self._ordered:
                given = getattr(order, name)
                if given is not None:
                    self._ordered[name] = given
            if order.release:
                self._released.add(status["cycle"])
            if order.accept:
                self._lost = False
                self._foreign, self._accepted = 0, True
            if order.allowance is not None:
                told_in, octets, following = order.allowance.cycle_id, order.allowance.octets, order.allowance.following
                if following:
                    self._bought_next = octets
                if told_in < status["cycle"] if following else told_in == status["cycle"]:
                    self._bought = octets
            if order.new_sim is not None:
                self._counted_sim = self.world.modem.card_reader.card.iccid
                self._corrected.add(status["cycle"])
            if order.set_used is not None:
                self._corrected.add(order.set_used.cycle_id)
                if order.set_used.cycle_id in PERIODS:  # also counted in the period that follows
                    self._corrected.add(cycle_id(self._labels()[-1]))
            if order.grant is not None:
                sent_s = (sent_at - self.world.clock.start).total_seconds()  # by the collector's clock
                self._granted_until = min(sent_s, self.now_s) + order.grant.valid_s
        self._applied = counter

    def _check_increasing(self, now: dict[str, Any]) -> None:
        was = self._last
        if not was:
            return
        for name in ("counter", "boot_id", *(() if self._replanned() else ("cycle",))):
            self._check("rise", now[name] >= was[name], f"{name} fell from {was[name]} to {now[name]}")
        if now["boot_id"] == was["boot_id"]:
            for name in ("reports_sent", "reports_acked", "orders_refused", "counter_jumps", "denials"):
                self._check("rise", now[name] >= was[name], f"{name} fell from {was[name]} to {now[name]}")
        if now["cycle"] == was["cycle"]:
            names = ["carried_octets"] + ([] if now["cycle"] in self._corrected else ["rated_octets"])
            for name in names:
                self._check("dip", now[name] >= was[name], f"{name} fell from {was[name]} to {now[name]}")

    @property
    def _cannot_see(self) -> bool:
        """Whether much was sent again, and no counter shows it: to a SIM that is slowed down, or on a bad path."""
        return self._blind or (self._slowed and not self._counts)

    def _check_counts(self, status: dict[str, Any], figures: dict[str, Any]) -> None:
        """Compares the device's figures with the carrier's of the same period."""
        cap = self.plan.get("overage", {}).get("cost_cap_fen")
        beyond = status["cycle"] in self._corrected | self._forgotten or self._cannot_see
        if figures["overage_cost"] is not None and cap is not None and not beyond:
            self._check("cost-cap", figures["overage_cost"] <= cap, f"{figures['overage_cost']} fen, the cap is {cap}")
        if self._counts and not status["counted"]:
            return  # octets received while the device was off are unknown until the first reading after a boot
        above = status["carried_octets"] - figures["ip_octets"]
        bound = status["error_bound_octets"] + self._jumped
        # What was used under another plan, or in a period that all clocks began too early, is counted too.
        if not self._replanned() and not self._all_clocks_were_wrong():
            self._check("over-count", above <= bound, f"{above} above, the bound is {bound}")
        if status["cycle"] in self._forgotten or (self._forgotten and self._replanned()):
            return  # another plan's period has what was used before the loss
        unseen = status["unseen_octets"] + self._in_flight() + self._uncounted(figures)
        self._check("under-count", above >= -unseen, f"{-above} octets too few, {unseen} are stated as unseen")
        if status["cycle"] in self._corrected or (self._replanned() and self._corrected):
            return
        if self._foreign and not self._replanned():
            limited = status["rated_octets"] - figures["billed_octets"]
            self._check("doubt", limited < self._foreign // 2, f"{limited} octets count that nobody used")
        packets = unseen // SEGMENT_OCTETS + 1 if unseen else 0
        unseen += self.carrier.session_round_octets if unseen else 0  # of which the last one may begin a block
        unseen = int((unseen + 2 * packets * self.carrier.per_packet_octets) * (1 + self.carrier.permille / 1000)) + 1
        above = status["rated_octets"] - figures["billed_octets"]
        self._check("under-rated", above >= -unseen, f"{-above} octets too few, {unseen} are unseen")
        if self.carrier_config.sim_plan.roaming_octets and self._knows_where(status):
            short = figures["roaming_octets"] - status["apart"]["roaming_octets"]
            self._check("roaming", short <= unseen, f"{short} octets too few, {unseen} are unseen")
        if figures["overage_cost"] is not None and not unseen:
            short = figures["overage_cost"] - status["cost_fen"]
            self._check("cost", short <= 0, f"{short} fen too few")

    def _knows_where(self, status: dict[str, Any]) -> bool:
        """Whether the device knows that the SIM roams, or that it does not."""
        return status["registration"] == self.world.modem.radio.stat

    def _check_hours(self, status: dict[str, Any]) -> None:
        """They are debited from some minutes after their beginning on, until some before their end."""
        hours = self.plan.get("hours")
        if hours is None or not self._counts_apart(status) or status["registration"] != HOME:
            return
        local = self.world.clock.utc() + timedelta(minutes=self.plan["utc_offset_min"])
        since, left = (
            sign * (local.hour * 3_600 + local.minute * 60 + local.second - _seconds(hours[edge])) % 86_400
            for sign, edge in ((1, "from"), (-1, "to"))
        )
        day_s = self._since_boundary(self._labels()[-1]) % 86_400  # a period may begin with each
        if since + left > 86_400 or min(since, left, day_s, 86_400 - day_s) < UNCERTAIN_S:
            return
        used, most = status["apart"]["hours_octets"], hours.get("allowance_octets")
        held = status["apart"]["now"] == "hours" or (most is not None and used >= most)
        self._check("hours", held, f"{since:.0f} s after they began {status['apart']['now']} is debited")

    def _counts_apart(self, status: dict[str, Any]) -> bool:
        """Whether the device has a time, of this boot, that is certain."""
        return status["time_source"] in ("server", "corroborated") and not self._clock_was_wrong()

    def _is_free(self, status: dict[str, Any]) -> bool:
        """Whether the allowance counts nothing of what is used now, by the device."""
        now = status.get("apart", {}).get("now")
        if now == "roaming":
            return status["registration"] == ROAMING
        return now == "hours" and not self.plan["hours"]["charged_permille"]

    def _uncounted(self, figures: dict[str, Any]) -> int:
        """Octets that were sent again, of which only a modem that counts can tell."""
        if self._counts:
            return 0
        lossy = max(UNCOUNTED_LOSSY, self.world.scenario.network.loss_permille)
        again = UNCOUNTED_SLOWED if self._slowed else lossy if self._lossy else UNCOUNTED
        return figures["ip_octets"] * again // 1000 + self._resent

    def _in_flight(self) -> int:
        """Octets retransmitted since the last reading of the modem's counter, which only the next reading shows; and
        those that nothing can show, as the device had no power."""
        return self._dark + (IN_FLIGHT_OCTETS if self._lossy or self.now_s - self._disturbed_s < HOUR_S else 0)

    def _check_closed(self, status: dict[str, Any]) -> None:
        closed, was = status["closed"], self._last.get("closed")
        if not closed or closed == was or status["cycle"] in self._corrected or closed["cycle"] in self._corrected:
            return
        label = PERIODS.get(closed["cycle"]) or date_of(closed["cycle"]).isoformat()
        if label not in self._labels() or closed["cycle"] in self._forgotten or self._replanned():
            return
        figures = self._figures(label)
        unseen = status["unseen_octets"] + self._in_flight() + self._uncounted(figures)
        short = figures["ip_octets"] - closed["carried_octets"]
        self._check("closed-period", short <= unseen, f"{short} octets too few in {label}")

    # --- reasons ---

    def _check_reasons(self, status: dict[str, Any]) -> None:
        reasons = status["reasons"]
        for name, order in (("STOPPED_BY_HAND", "stop"), ("THROTTLED_BY_HAND", "throttle")):
            ordered = bool(self._ordered[order])
            self._check("by-hand", (name in reasons) == ordered, f"{name} is {name in reasons}, ordered {ordered}")
        for name in reasons:
            cause, grace_s = self._causes[name]
            if cause(self, status):
                self._cause_s[name] = self.now_s
            since = self.now_s - max(self._cause_s.get(name, 0.0), self._begun_s)  # without power it lifts nothing
            self._check("cause", since <= grace_s, f"{name} is in force without a cause for {since:.0f} s")

    def _limit(self, status: dict[str, Any]) -> float:
        """Octets of the period at which applications are stopped by the plan or by the owner's limit."""
        return min(self._ceiling(status) - self._kept, self._ordered["limit"] or INFINITE)

    @property
    def _least(self) -> int:
        """Rated octets of which fewer may be left of a limit that counts as reached."""
        return PACKET_OCTETS + self.carrier.session_round_octets

    @property
    def _kept(self) -> int:
        return self.plan["margin_octets"] + self.plan["reserve_octets"]

    @property
    def _allowance(self) -> int:
        return self._bought or self.plan["allowance_octets"]

    def _ceiling(self, status: dict[str, Any]) -> float:
        plan = self.plan
        if status["phase"] == "test":
            return plan["lifecycle"]["test_octets"]
        kind = plan.get("on_exhaustion", "cutoff")
        if kind == "overage":
            cap = plan["overage"].get("cost_cap_fen")
            return INFINITE if cap is None else self._allowance + self._free(cap)
        return self._allowance if kind == "cutoff" else INFINITE

    @property
    def _slow_from(self) -> float:
        """Octets of the period from which the SIM is slow before the allowance is used up."""
        start = self.plan.get("throttle", {}).get("from_octets")
        return INFINITE if start is None else start + self._allowance - self.plan["allowance_octets"]

    def _left_of_the_day(self, status: dict[str, Any], *kept: str) -> float:
        """Octets of the day's cap, less its margin and what else is `kept` of it, by the device's count."""
        daily = self.plan.get("daily", {})
        if "cap_octets" not in daily:
            return INFINITE
        return daily["cap_octets"] - sum(daily[key] for key in ("margin_octets", *kept)) - status["day_octets"]

    def _free(self, fen: int) -> int:
        """The most octets beyond the plan that cost no more than `fen`."""
        low, high = 0, 1 << 40
        while low < high:
            middle = (low + high + 1) // 2
            fits = cost(self.carrier_config.enforcement.tiers, middle) <= fen
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def _spent(self, status: dict[str, Any]) -> bool:
        balance = status["balance_fen"]
        if balance is None or balance < 0:
            return balance is not None
        used = status["rated_octets"] - self._allowance
        tiers = self.carrier_config.enforcement.tiers if "overage" in self.plan else ()
        return cost(tiers, used + self._least) - cost(tiers, used) > balance

    def _local_day(self) -> int:
        """By the device's clock, which is up to a second ahead."""
        local = self.world.clock.utc() + timedelta(minutes=self.plan["utc_offset_min"], seconds=1)
        return day_number(local.date())

    def _silence_is_near(self) -> bool:
        """Whether the silent period begins within 10 minutes: the device stops before it. Without a certain time it
        looks at the network's."""
        ends = self.plan.get("lifecycle", {}).get("test_until")
        latest = self.world.clock.utc() + max(timedelta(), self.world.modem.radio.time_error)
        ahead = latest + timedelta(minutes=self.plan["utc_offset_min"] + 10, seconds=5)
        return ends is not None and ahead.date() >= date.fromisoformat(ends)

    def _is_out_abroad(self, status: dict[str, Any]) -> bool:
        """Whether the SIM roams, or may, and has used up what it has for that."""
        roaming = self.plan["roaming"]
        used_up = status["apart"]["roaming_octets"] >= roaming["allowance_octets"] - roaming["margin_octets"]
        return used_up and status["registration"] != HOME

    def _lapsed(self, status: dict[str, Any]) -> bool:
        return "pool" in self.plan and (self.plan["pool"]["holding_s"] > 0 or self.now_s >= self._granted_until - 60)

    _causes: ClassVar[dict[str, tuple[Callable[[Checker, dict[str, Any]], bool], float]]] = {
        "QUOTA_EXHAUSTED": (lambda w, s: s["rated_octets"] + w._least >= w._limit(s), 60),
        "COST_CAP": (lambda w, s: s["rated_octets"] + w._least >= w._limit(s), 60),
        "TEST_EXHAUSTED": (lambda w, s: s["rated_octets"] + w._least >= w._limit(s), 60),
        "DAY_EXHAUSTED": (lambda w, s: w._left_of_the_day(s, "reserve_octets") <= w._least, 60),
        "RESERVE_EXHAUSTED": (
            lambda w, s: s["rated_octets"] + w._least >= w._ceiling(s) - w.plan["margin_octets"]
            or w._left_of_the_day(s) <= w._least, 60,
        ),
        "THROTTLED": (
            lambda w, s: s["rated_octets"] >= min(w._allowance, w._slow_from)
            or (s["day_octets"] or 0) >= w.plan.get("daily", {}).get("slow_octets", INFINITE), 60,
        ),
        "THROTTLED_BY_HAND": (lambda w, s: True, 0),  # checked by "by-hand"
        "STOPPED_BY_HAND": (lambda w, s: True, 0),
        "ARREARS": (lambda w, s: w._spent(s), 60),
        "EXPIRED": (lambda w, s: w._expired(s), 60),
        "CANCELLED": (lambda w, s: w._expired(s), 60),
        "POOL_EXHAUSTED": (lambda w, s: s["rated_octets"] + w._least >= s["granted_octets"], 60),
        "GRANT_EXPIRED": (lambda w, s: w._lapsed(s), 60),
        "SILENT_PERIOD": (lambda w, s: s["phase"] == "silent" or w._silence_is_near(), 60),
        "HELD_BY_HAND": (lambda w, s: False, 0),  # which no scenario orders
        "BURST": (lambda w, s: w.now_s - max(w._burst_s, w._disturbed_s) <= 1_800 + HOUR_S, 60),
        "COUNT_DOUBTED": (lambda w, s: s["doubt_octets"] > 0, 60),
        "CLASS_EXHAUSTED": (lambda w, s: any(left <= w._least for _, left, _ in w._quotas(s)), 60),
        "ROAMING_EXHAUSTED": (lambda w, s: w._is_out_abroad(s), 60),
        "PACED": (lambda w, s: w.plan.get("pace", False), 60),
        "CARRIER_STOP": (
            lambda w, s: w.now_s - max(w._stopped_s, w._disturbed_s, w._not_trying_s) < CARRIER_DELAY_S, 60,
        ),
        # The device looks at the SIM when it gets a data session, which one that is deaf has only now and then.
        "SIM_CHANGED": (lambda w, s: w._is_another_sim() or w._is_deaf(s), CARRIER_DELAY_S),
        "LEDGER_FAULT": (lambda w, s: w._lost, 0),
    }  # fmt: skip
    """Reason -> (whether its cause exists at a status, seconds for which the reason may remain after it)."""

    def _check_limits(self, status: dict[str, Any]) -> None:
        """A limit that is reached is a stop; reports may have passed since."""
        used, reasons = status["rated_octets"] - REPORT_OCTETS - self.carrier.session_round_octets, status["reasons"]
        limits: list[tuple[float, tuple[str, ...]]] = [
            (self._limit(status), ("QUOTA_EXHAUSTED", "COST_CAP", "TEST_EXHAUSTED")),
        ]
        if self._probed_in != status["cycle"]:
            limits.append((self._ceiling(status) - self.plan["margin_octets"], ("RESERVE_EXHAUSTED",)))
        if self.plan.get("on_exhaustion") == "throttle":
            limits.append((self._allowance, ("THROTTLED",)))
        if status["granted_octets"] is not None:
            limits.append((status["granted_octets"], ("POOL_EXHAUSTED",)))
        for kept, name in ((("reserve_octets",), "DAY_EXHAUSTED"), ((), "RESERVE_EXHAUSTED")):
            if self._probed_in != status["cycle"]:
                limits.append((status["rated_octets"] + self._left_of_the_day(status, *kept), (name,)))
        if "slow_octets" in self.plan.get("daily", {}):
            slow = self.plan["daily"]["slow_octets"] - status["day_octets"]
            limits.append((status["rated_octets"] + slow, ("THROTTLED",)))
        limits.append((self._slow_from, ("THROTTLED",)))
        if self._is_free(status):
            limits = []
        for limit, names in limits:
            reached = any(name in reasons for name in names)
            self._check("reached", used < limit or reached, f"{used} of {limit} are used, and no {' or '.join(names)}")

    def _check_passage(self, status: dict[str, Any]) -> None:
        """While applications are stopped, only reports pass."""
        carried = self._carried()
        boot, sent = status["boot_id"], status["reports_sent"]
        if not status["stopped"] or self.world.scenario.enforcement == "observe":
            self._passage = None
        elif self._passage is None or self._passage[0] != boot:
            self._passage = (boot, carried, sent)
        else:
            _, then, before = self._passage
            replies = TIMES_SLOWED if self._slowed else 1  # also that of a request which was given up
            most = replies * UNDER_WAY_OCTETS + (sent - before + 1) * REPORT_OCTETS
            self._check("passage", carried - then <= most, f"{carried - then} octets passed a stop, {most} at the most")

    def _quotas(self, status: dict[str, Any]) -> list[tuple[str, int, int]]:
        """Name, octets left and octets used of each class that has a quota of its own."""
        classes = (status.get("classes") or {}).items()
        return [
            (name, of["quota_octets"] - of["period_octets"], of["period_octets"])
            for name, of in classes
            if "quota_octets" in of
        ]

    def _check_classes(self, status: dict[str, Any]) -> None:
        """A class's count does not decrease in a period, unless all together is less; where it has all traffic, the
        carrier carries little more than its quota and the reports."""
        cycle = status["cycle"]
        if cycle in self._released | self._corrected | self._forgotten or self._replanned():
            return
        was = {name: used for name, _, used in self._quotas(self._last)} if self._last.get("cycle") == cycle else {}
        alone = {habit.class_name for habit in self.world.scenario.traffic}
        label = self._labels()[-1]
        for name, left, used in self._quotas(status):
            least = min(was.get(name, 0), status["rated_octets"])
            self._check("class", used >= least, f"{name} fell from {was.get(name)} to {used}")
            if alone != {name} or cycle != cycle_id(label) or self.world.scenario.enforcement == "observe":
                continue
            carried = self._figures(label)["ip_octets"]
            reports = len(self.world.store.history(self.world.device_id)) + status["boot_id"] + 1
            most = (left + used) * (1_000 + UNCOUNTED_LOSSY) // 1_000 + UNDER_WAY_OCTETS + self._resent
            most += reports * REPORT_OCTETS
            self._check("class", carried <= most, f"{carried} octets with the quota of {name}, {most} at the most")

    # --- delays ---

    def _time_is_known(self, status: dict[str, Any]) -> bool:
        # The device learns from upstream that its first use has started billing.
        if status["time_source"] not in ("server", "corroborated"):
            wrong = NtpClock | NtpRefusal | faults.NetworkTime  # it takes both
            clocks = any(isinstance(each, wrong) for each in self.world.scenario.faults)
            # A right NTP server's time is known an hour after a boot, if nothing goes wrong.
            alone = "ntp_host" in self.world.scenario.upstream and not clocks and not self.world.scenario.actions
            alone = alone and self.world.scenario.network.loss_permille <= 100  # else question after question is lost
            return alone and self.now_s - max(self._begun_s, self._disturbed_s, self._offline_s) > HOUR_S
        return status["phase"] != "silent"

    def _all_clocks_were_wrong(self) -> bool:
        """Whether the network's clock has been wrong as well, so that nothing contradicts the collector's."""
        network = any(isinstance(each, faults.NetworkTime) for each in self.world.scenario.faults)
        return network and self._clock_was_wrong()

    def _expired(self, status: dict[str, Any]) -> bool:
        expires_day = status["expires_day"]
        return bool(expires_day) and (self._local_day() >= expires_day or self._all_clocks_were_wrong())

    def _clock_was_wrong(self) -> bool:
        """Whether the collector's clock has been wrong: it may take two days until the device believes it again."""
        return any(isinstance(each, CollectorClock) and each.at <= self.now_s for each in self.world.scenario.faults)

    def _since_boundary(self, label: str) -> float:
        offset = timedelta(minutes=self.plan["utc_offset_min"])
        if "lifecycle" in self.plan:
            return self.now_s - self._phase_s
        began = datetime.fromisoformat(f"{label}T00:00:00+00:00") - offset
        return (self.world.clock.utc() - began).total_seconds()

    def _period_delay(self) -> float:
        # The server's time may be as old as an exchange takes: 93 s.
        return BOUNDARY_S + 93 + 60 + (self._interval_s * 2 if "lifecycle" in self.plan else 0)

    def _check_orders(self, status: dict[str, Any]) -> None:
        """All orders are applied once nothing has hindered the reports for the delay."""
        if "host" not in self.world.scenario.upstream:
            return
        delay = 2 * self._interval_s + 900 + (self._interval_s if self._lossy else 0)
        delay += 3 * self._interval_s if self.world.scenario.network.loss_permille > 100 else 0
        # As it was when it was longest: less is left of the period while the device waits.
        self._longest_s = max(self._longest_s, self._spread_s(status)) if status["stopped"] else 0
        if status["stopped"]:
            delay = max(delay, 2 * self._longest_s + 900)
        online_s = max(self._disturbed_s, self._offline_s)
        # Attempts are made, and grow rarer, while the carrier stops the SIM as well.
        self._deaf_s = min(self._deaf_s, self.now_s) if DEAF & set(status["reasons"]) else INFINITE
        if self._is_deaf(status):
            since_s = max(self._deaf_s, self._disturbed_s, self._stopped_s, self._begun_s, self._hung_s)
            if since_s - self._deaf_s < 3 * HOUR_S:  # attempts are further apart later
                delay, online_s = WAY_IN_S, since_s
                delay *= 2 if self.world.scenario.network.loss_permille > 100 else 1
        if self.now_s - online_s <= delay:
            return
        newest = max((order.counter for _, order in self._orders()), default=0)
        known = status["counter"] == newest or newest == self._forgot
        self._check("order", known, f"order {newest} was not applied in {delay} s")
        due = [each for each in self.world.scenario.orders if int(each.at) <= self._disturbed_s]
        self._check("order", newest > 0 or not due, f"no order was sent in {delay} s")

    def _spread_s(self, status: dict[str, Any]) -> float:
        """Between the reports of a device that is stopped: what is left of its reserve is spread over its period."""
        left = self._ceiling(status) - self.plan["margin_octets"] - status["rated_octets"]
        if left == INFINITE:
            return 0
        ends_s = (self.plan.get("cycle_days") or 31) * 86_400 - self._since_boundary(self._labels()[-1])
        if self.plan.get("endless"):
            ends_s = 366 * 86_400  # each time
        return ends_s / max(1, left // (REPORT_OCTETS + self.carrier.session_round_octets))

    def _is_deaf(self, status: dict[str, Any]) -> bool:
        """Whether not even a report may pass, although the carrier serves, and any use would do no harm."""
        reasons = set(status["reasons"])
        return bool(reasons & DEAF) and not reasons & {"SILENT_PERIOD", "CARRIER_STOP"}

    def _is_another_sim(self) -> bool:
        present = self.world.modem.card_reader.card.iccid
        return not self.world.scenario.any_sim and self._counted_sim not in ("", present)

    def _check_sim(self, status: dict[str, Any]) -> None:
        """A fault may have kept the device from reading the new card."""
        if status["modem"] == ONLINE and self._is_another_sim() and self._struck_s < self._exchanged_s:
            self._check("sim", "SIM_CHANGED" in status["reasons"], "another SIM is in the modem, and nothing stops")

    def _check_path(self, status: dict[str, Any]) -> None:
        """A device that may use data is heard."""
        if status["stopped"] or "host" not in self.world.scenario.upstream:
            self._unable_s = self.now_s
            return
        bound = 3 * self._interval_s + (HOUR_S if not self._lossy else 2 * HOUR_S)
        since = self.now_s - max(self._heard_s, self._unable_s, self._disturbed_s, self._offline_s, self._begun_s)
        self._check("heard", since <= bound, f"nothing was reported for {since:.0f} s")

    def _check_message(self, status: dict[str, Any]) -> None:
        """A stop of the carrier's is told by a short message, as no report can tell it."""
        if status["verdict"] != "terminated" or "CARRIER_STOP" not in status["reasons"]:
            self._terminated_s = INFINITE
            return
        self._terminated_s = min(self._terminated_s, self.now_s)
        sent = self.world.carrier.sms
        wanted = "sms_number" in self.world.scenario.upstream and "SILENT_PERIOD" not in status["reasons"]
        since = self.now_s - max(self._terminated_s, self._disturbed_s, self._begun_s)
        if wanted and len(sent) < MESSAGES and since > MESSAGE_S:
            told = any(at >= (self._terminated_s - 120) * S for at, _, _ in sent)
            self._check("message", told, f"no short message for {since:.0f} s")

    def _check_reserve(self, status: dict[str, Any]) -> None:
        """Where nothing goes wrong, only reports take the reserve, unless a reply is on its way when data stops."""
        most = max((int(habit.rx + habit.tx) for habit in self.world.scenario.traffic), default=0)
        by_period = "cycle_days" in self.plan and "daily" not in self.plan
        if self._calm and by_period and most + REPORT_OCTETS < self.plan["reserve_octets"] // 2:
            left = self.plan["cycle_days"] * 86_400 - self._since_boundary(self._labels()[-1])
            early = "RESERVE_EXHAUSTED" in status["reasons"] and left > 12 * HOUR_S
            self._check("reserve", not early, f"nothing is left for the last {left:.0f} s of the period")
