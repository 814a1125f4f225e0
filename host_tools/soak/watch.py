"""What has to hold in every life, held against the carrier's own figures and the orders that were given.

A `Watch` follows one world. It shares nothing with the firmware but what the device says of itself: its status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from host_tools.bench import IMSI, World, cycle_id
from host_tools.collector.order import Order
from host_tools.collector.verify import Report
from host_tools.sim.carrier.plan import cost
from host_tools.sim.clock import S

KB = 1024
HOUR_S = 3_600
PACKET_OCTETS = 2_200
"""A limit counts as reached when what is left carries no packet: the price of a full segment and of opening its way."""
REPORT_OCTETS = 1_200
"""The device's own report, with its repetitions, may pass between a limit's crossing and the word of it."""
BOUNDARY_S = 300
"""The new period is charged so long after the boundary."""

INFINITE = float("inf")
SEGMENT_OCTETS = 1_360
IN_FLIGHT_OCTETS = 4 * KB
UNDER_WAY_OCTETS = 16 * KB
"""What may be on its way when a stop comes: one reply, of an application with one socket at a time."""
CARRIER_DELAY_S = 5_400
"""A stop at the carrier is noticed to be over by trying: every hour at the least, with what coming back then takes."""

INVARIANTS = {
    "under-count": "carried octets are no fewer than the carrier's, but for what is stated as unseen",
    "over-count": "carried octets exceed the carrier's by no more than the stated bound",
    "under-rated": "where the declared rating is the carrier's, rated octets are no fewer than the billed ones",
    "closed-period": "so they are in the figures of a period that is over",
    "cost": "the device's cost is no less than the carrier's",
    "cost-cap": "the carrier charges no more than the cap of cost",
    "quota-stop": "the carrier never has to stop the SIM for the plan's own quota",
    "dip": "what is counted in a period never falls, but by an order",
    "rise": "order counter, period, boot and a boot's reports only rise",
    "ahead": "the device's period is never ahead of the carrier's",
    "late": "the new period begins within the stated delay",
    "by-hand": "a stop or a throttle by hand stands exactly from its order to the one that ends it",
    "cause": "no reason stands without its cause, or after it by more than the stated delay",
    "reached": "a limit that is reached is a stop",
    "passage": "no request of an application passes while only reports may",
    "order": "an order is taken within the stated delay, and once",
    "crash": "the device's program does not end by itself",
}
"""Name -> what it says."""

SILENCING = {"LEDGER_FAULT", "SILENT_PERIOD", "RESERVE_EXHAUSTED"}
"""Under these the device does not even try whether the carrier serves."""
QUOTA_STOPS = ("exhausted", "test_exhausted", "capped")
PERIODS = {1: "test", 2: "silent"}


class Violated(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, detail: str, at: datetime) -> None:
        super().__init__(f"{invariant}: {detail} (at {at.isoformat(timespec='seconds')})")
        self.invariant = invariant


class Watch:
    """Holds the invariants at every status of `world`. `checked` counts each, `faults` what struck."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.plan: dict[str, Any] = world.scenario.plan
        self.carrier = world.scenario.carrier
        self.rules = world.scenario.rules
        self.checked: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.statuses = 0
        self._interval_s = int(world.scenario.upstream.get("interval_s", HOUR_S))
        self._lossy = world.scenario.network.loss_permille > 0
        self._last: dict[str, Any] = {}
        self._orders: dict[int, tuple[Order, float]] = {}
        self._taken: Counter[int] = Counter()
        self._applied = 0
        self._standing: dict[str, Any] = {"stop": 0, "throttle": 0, "limit": 0, "expiry": 0}
        self._granted_until = 0.0
        self._struck_s = 0.0  # the last disturbance
        self._stopped_s = float("-inf")  # the carrier last stopped the SIM
        self._deaf_s = 0.0  # the device could not report
        self._silent_s = float("-inf")  # the device had a reason not even to try the carrier
        self._cause_s: dict[str, float] = {}  # a reason's cause last held
        self._corrected: set[int] = set()  # periods whose usage an order has set
        self._jumped = 0  # octets that faults have put on the modem's counter
        self._passage: tuple[int, int, int] | None = None  # (boot, carrier's octets, reports) when the stop was told
        self._burst_s = float("-inf")
        self._probed_in = 0  # the period in which a question was asked on the margin
        self._phase_s = float("-inf")  # the carrier's phase of the SIM changed
        world.log.listeners.append(self._event)
        orders = world.collector.orders

        def order(device: str, report: Report, now: datetime) -> Order | None:
            found = orders(device, report, now)
            if found is not None:
                self._orders[found.counter] = (found, self.now_s)
                self._struck_s = self.now_s
            return found

        world.collector.orders = order
        for each in (*world.scenario.faults, *world.scenario.actions, *world.scenario.orders):
            lasts = getattr(each, "ms", 0) // 1000 + int(getattr(each, "off", 0))
            for at in (int(each.at), int(each.at) + lasts):
                world.clock.at(at * S, self._strike)
        for fault in world.scenario.faults:
            octets = getattr(fault, "tx", 0) + getattr(fault, "rx", 0)
            world.clock.at(int(fault.at) * S, self._jump, octets)

    @property
    def now_s(self) -> float:
        return self.world.clock.now_us / S

    def _strike(self) -> None:
        self._struck_s = self.now_s

    def _jump(self, octets: int) -> None:
        self._jumped += octets

    def _hold(self, invariant: str, holds: bool, detail: str) -> None:
        self.checked[invariant] += 1
        if not holds:
            raise Violated(invariant, detail, self.world.clock.utc())

    def _event(self, event: dict[str, Any]) -> None:
        who, what = event["who"], event["what"]
        if who == "bench" and what in ("fault", "power-cut", "reset"):
            self.faults[event["kind"] if what == "fault" else what] += 1
        elif who == "carrier" and what in ("stopped", "restored", "throttled", "unthrottled", "phase", "refused"):
            self._strike()
            if what == "phase":
                self._phase_s = self.now_s
            if what in ("stopped", "restored"):
                self._stopped_s = self.now_s
            if what == "stopped":
                present = cycle_id(self.world.carrier.cycles(IMSI)[-1])
                own = event["reason"] not in QUOTA_STOPS or present in self._corrected
                self._hold("quota-stop", own, f"stopped: {event['reason']} at {event['billed_octets']} billed octets")
        elif who == "device" and what == "order":
            self._taken[event["a"]] += 1
            self._hold("order", self._taken[event["a"]] == 1, f"order {event['a']} was taken twice")
        elif who == "device" and what == "burst":
            self._burst_s = self.now_s
        elif who == "device" and what == "probe":
            self._probed_in = self._last["cycle"]

    # --- at a status ---

    def status(self, status: dict[str, Any]) -> None:
        """Raises Violated for the first invariant that does not hold."""
        self.statuses += 1
        if self.world.carrier.stops(IMSI):
            self._stopped_s = self.now_s
        if status["verdict"] == "terminated" or status["modem"] != "online" or self.world.carrier.stops(IMSI):
            self._deaf_s = self.now_s
        if SILENCING & set(status["reasons"]):
            self._silent_s = self.now_s
        self._apply(status["counter"])
        self._rising(status)
        label = self.world.carrier.cycles(IMSI)[-1]
        present = cycle_id(label)
        self._hold("ahead", status["cycle"] <= present, f"period {status['cycle']}, the carrier's is {present}")
        if status["cycle"] == present:
            self._counts(status, self.world.carrier.figures(IMSI, label))
        elif self._time_is_known(status):
            self._hold("late", self._since_boundary(label) <= self._period_delay(), f"{present} has not begun")
        self._closed(status)
        self._reasons(status)
        self._limits(status)
        self._passing(status)
        self._obeyed(status)
        self._last = status

    def _apply(self, counter: int) -> None:
        """The orders up to `counter` are taken: what stands by them."""
        for number in range(self._applied + 1, counter + 1):
            order, ordered_s = self._orders[number]
            for name in self._standing:
                given = getattr(order, name)
                if given is not None:
                    self._standing[name] = given
            if order.set_used is not None:
                self._corrected.add(order.set_used.cycle_id)
                if order.set_used.cycle_id in PERIODS:  # silence is counted in the period that its end begins, too
                    self._corrected.add(cycle_id(self.world.carrier.cycles(IMSI)[-1]))
            if order.grant is not None:
                self._granted_until = ordered_s + order.grant.valid_s
        self._applied = max(self._applied, counter)

    def _rising(self, now: dict[str, Any]) -> None:
        was = self._last
        if not was:
            return
        for name in ("counter", "cycle", "boot_id"):
            self._hold("rise", now[name] >= was[name], f"{name} fell from {was[name]} to {now[name]}")
        if now["boot_id"] == was["boot_id"]:
            for name in ("reports_sent", "reports_acked", "orders_refused", "counter_jumps", "denials"):
                self._hold("rise", now[name] >= was[name], f"{name} fell from {was[name]} to {now[name]}")
        if now["cycle"] == was["cycle"]:
            names = ["carried_octets"] + ([] if now["cycle"] in self._corrected else ["rated_octets"])
            for name in names:
                self._hold("dip", now[name] >= was[name], f"{name} fell from {was[name]} to {now[name]}")

    def _counts(self, status: dict[str, Any], figures: dict[str, Any]) -> None:
        """The device's figures beside the carrier's, of the same period."""
        cap = self.plan.get("overage", {}).get("cost_cap_fen")
        if figures["overage_cost"] is not None and cap is not None and status["cycle"] not in self._corrected:
            self._hold("cost-cap", figures["overage_cost"] <= cap, f"{figures['overage_cost']} fen, the cap is {cap}")
        if not status["counted"]:
            return  # until the first reading after a boot, what came while the device was off is unknown
        above = status["carried_octets"] - figures["ip_octets"]
        bound = status["error_bound_octets"] + self._jumped
        self._hold("over-count", above <= bound, f"{above} above, the bound is {bound}")
        unseen = status["unseen_octets"] + self._in_flight()
        self._hold("under-count", above >= -unseen, f"{-above} octets too few, {unseen} are stated as unseen")
        if status["cycle"] in self._corrected:
            return
        packets = unseen // SEGMENT_OCTETS + 1 if unseen else 0
        unseen = int((unseen + 2 * packets * self.carrier.per_packet_octets) * (1 + self.carrier.permille / 1000)) + 1
        above = status["rated_octets"] - figures["billed_octets"]
        self._hold("under-rated", above >= -unseen, f"{-above} octets too few, {unseen} are unseen")
        if figures["overage_cost"] is not None and not unseen:
            short = figures["overage_cost"] - status["cost_fen"]
            self._hold("cost", short <= 0, f"{short} fen too few")

    def _in_flight(self) -> int:
        """Octets sent again since the modem's last reading, which only the next one can show."""
        return IN_FLIGHT_OCTETS if self._lossy or self.now_s - self._struck_s < HOUR_S else 0

    def _closed(self, status: dict[str, Any]) -> None:
        closed, was = status["closed"], self._last.get("closed")
        if not closed or closed == was or status["cycle"] in self._corrected or closed["cycle"] in self._corrected:
            return
        label = PERIODS.get(closed["cycle"]) or (date(2000, 1, 1) + timedelta(days=closed["cycle"])).isoformat()
        if label not in self.world.carrier.cycles(IMSI):
            return
        figures = self.world.carrier.figures(IMSI, label)
        unseen = status["unseen_octets"] + self._in_flight()
        short = figures["ip_octets"] - closed["carried_octets"]
        self._hold("closed-period", short <= unseen, f"{short} octets too few in {label}")

    # --- reasons ---

    def _reasons(self, status: dict[str, Any]) -> None:
        stands = status["reasons"]
        for name, order in (("STOPPED_BY_HAND", "stop"), ("THROTTLED_BY_HAND", "throttle")):
            wanted = bool(self._standing[order])
            self._hold("by-hand", (name in stands) == wanted, f"{name} is {name in stands}, ordered {wanted}")
        for name in stands:
            cause, grace_s = self._causes[name]
            if cause(self, status):
                self._cause_s[name] = self.now_s
            since = self.now_s - self._cause_s.get(name, 0.0)
            self._hold("cause", since <= grace_s, f"{name} stands without a cause for {since:.0f} s")

    def _limit(self, status: dict[str, Any]) -> float:
        """Octets of the period at which applications stop for the plan, or for the owner's own cap."""
        return min(self._ceiling(status) - self._kept, self._standing["limit"] or INFINITE)

    @property
    def _kept(self) -> int:
        return self.plan["margin_octets"] + self.plan["reserve_octets"]

    def _ceiling(self, status: dict[str, Any]) -> float:
        plan = self.plan
        if status["phase"] == "test":
            return plan["lifecycle"]["test_octets"]
        kind = plan.get("on_exhaustion", "cutoff")
        if kind == "overage":
            cap = plan["overage"].get("cost_cap_fen")
            return INFINITE if cap is None else plan["allowance_octets"] + self._free(cap)
        return plan["allowance_octets"] if kind == "cutoff" else INFINITE

    def _free(self, fen: int) -> int:
        """Octets beyond the plan that cost no more, by search: rounded down to 1."""
        low, high = 0, 1 << 40
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if cost(self.rules.enforcement.tiers, middle) <= fen else (low, middle - 1)
        return low

    def _spent(self, status: dict[str, Any]) -> bool:
        balance = status["balance_fen"]
        if balance is None or balance < 0:
            return balance is not None
        used = status["rated_octets"] - self.plan["allowance_octets"]
        tiers = self.rules.enforcement.tiers if "overage" in self.plan else ()
        return cost(tiers, used + PACKET_OCTETS) - cost(tiers, used) > balance

    def _local_day(self) -> int:
        local = self.world.clock.utc() + timedelta(minutes=self.plan["utc_offset_min"])
        return (local.date() - date(2000, 1, 1)).days

    def _silence_is_near(self) -> bool:
        """From 10 minutes before the boundary nothing may begin the silent period."""
        ends = self.plan.get("lifecycle", {}).get("test_until")
        ahead = self.world.clock.utc() + timedelta(minutes=self.plan["utc_offset_min"] + 10, seconds=5)
        return ends is not None and ahead.date() >= date.fromisoformat(ends)

    def _lapsed(self, status: dict[str, Any]) -> bool:
        return "pool" in self.plan and (self.plan["pool"]["holding_s"] > 0 or self.now_s >= self._granted_until - 60)

    _causes: ClassVar[dict[str, tuple[Callable[[Watch, dict[str, Any]], bool], float]]] = {
        "QUOTA_EXHAUSTED": (lambda w, s: s["rated_octets"] + PACKET_OCTETS >= w._limit(s), 60),
        "COST_CAP": (lambda w, s: s["rated_octets"] + PACKET_OCTETS >= w._limit(s), 60),
        "TEST_EXHAUSTED": (lambda w, s: s["rated_octets"] + PACKET_OCTETS >= w._limit(s), 60),
        "RESERVE_EXHAUSTED": (
            lambda w, s: s["rated_octets"] + PACKET_OCTETS >= w._ceiling(s) - w.plan["margin_octets"], 60,
        ),
        "THROTTLED": (lambda w, s: s["rated_octets"] >= w.plan["allowance_octets"], 60),
        "THROTTLED_BY_HAND": (lambda w, s: True, 0),  # held to the order by "by-hand"
        "STOPPED_BY_HAND": (lambda w, s: True, 0),
        "ARREARS": (lambda w, s: w._spent(s), 60),
        "EXPIRED": (lambda w, s: bool(s["expires_day"]) and w._local_day() >= s["expires_day"], 60),
        "CANCELLED": (lambda w, s: bool(s["expires_day"]) and w._local_day() >= s["expires_day"], 60),
        "POOL_EXHAUSTED": (lambda w, s: s["rated_octets"] + PACKET_OCTETS >= s["granted_octets"], 60),
        "GRANT_EXPIRED": (lambda w, s: w._lapsed(s), 60),
        "SILENT_PERIOD": (lambda w, s: s["phase"] == "silent" or w._silence_is_near(), 60),
        "BURST": (lambda w, s: w.now_s - max(w._burst_s, w._struck_s) <= 1_800 + HOUR_S, 60),
        "PACED": (lambda w, s: w.plan.get("pace", False), 60),
        "CARRIER_STOP": (lambda w, s: w.now_s - max(w._stopped_s, w._struck_s, w._silent_s) < CARRIER_DELAY_S, 60),
        "LEDGER_FAULT": (lambda w, s: False, 0),
    }  # fmt: skip
    """Reason -> (whether its cause holds at a status, seconds for which the reason may outlive it)."""

    def _limits(self, status: dict[str, Any]) -> None:
        """What is used up is a stop, in so far as nothing but reports went since."""
        used, stands = status["rated_octets"] - REPORT_OCTETS, status["reasons"]
        limits: list[tuple[float, tuple[str, ...]]] = [
            (self._limit(status), ("QUOTA_EXHAUSTED", "COST_CAP", "TEST_EXHAUSTED")),
        ]
        if self._probed_in != status["cycle"]:
            limits.append((self._ceiling(status) - self.plan["margin_octets"], ("RESERVE_EXHAUSTED",)))
        if self.plan.get("on_exhaustion") == "throttle":
            limits.append((self.plan["allowance_octets"], ("THROTTLED",)))
        if status["granted_octets"] is not None:
            limits.append((status["granted_octets"], ("POOL_EXHAUSTED",)))
        for limit, names in limits:
            reached = any(name in stands for name in names)
            self._hold("reached", used < limit or reached, f"{used} of {limit} are used, and no {' or '.join(names)}")

    def _passing(self, status: dict[str, Any]) -> None:
        """While only reports may pass, nothing else does."""
        carried = sum(self.world.carrier.figures(IMSI, label)["ip_octets"] for label in self.world.carrier.cycles(IMSI))
        boot, sent = status["boot_id"], status["reports_sent"]
        if not status["stopped"] or self.world.scenario.device.get("enforcement") == "observe":
            self._passage = None
        elif self._passage is None or self._passage[0] != boot:
            self._passage = (boot, carried, sent)
        else:
            _, then, before = self._passage
            most = UNDER_WAY_OCTETS + (sent - before + 1) * REPORT_OCTETS
            self._hold("passage", carried - then <= most, f"{carried - then} octets passed a stop, {most} at the most")

    # --- delays ---

    def _time_is_known(self, status: dict[str, Any]) -> bool:
        # Billing that a use has begun, a device learns from upstream.
        return status["time_source"] == "server" and status["phase"] != "silent"

    def _since_boundary(self, label: str) -> float:
        offset = timedelta(minutes=self.plan["utc_offset_min"])
        if "lifecycle" in self.plan:
            return self.now_s - self._phase_s
        began = datetime.fromisoformat(f"{label}T00:00:00+00:00") - offset
        return (self.world.clock.utc() - began).total_seconds()

    def _period_delay(self) -> float:
        # The server's word may be as old as an exchange lasts: 93 s.
        return BOUNDARY_S + 93 + 60 + (self._interval_s * 2 if "lifecycle" in self.plan else 0)

    def _obeyed(self, status: dict[str, Any]) -> None:
        """All orders are taken where nothing has hindered reports for so long."""
        delay = 2 * self._interval_s + 900 + (self._interval_s if self._lossy else 0)
        if self.now_s - max(self._struck_s, self._deaf_s) <= delay:
            return
        newest = max(self._orders, default=0)
        self._hold("order", status["counter"] == newest, f"order {newest} was not taken in {delay} s")
        due = [each for each in self.world.scenario.orders if int(each.at) <= self._struck_s]
        self._hold("order", newest > 0 or not due, f"nothing was ordered in {delay} s")
