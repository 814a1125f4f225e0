"""The carrier and its management platform: registration, metered bearers, SMS, and the customer's view and controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from host_tools.sim.carrier import stops
from host_tools.sim.carrier.bearer import Bearer
from host_tools.sim.carrier.plan import Enforcement, Rating, SimPlan, VirtualMembers
from host_tools.sim.carrier.pool import Pool
from host_tools.sim.carrier.stops import CANCELLED, MANUAL, REQUEST_REJECTED, STOP_REASONS, UNKNOWN_APN
from host_tools.sim.carrier.subscription import BILLING, Subscription
from host_tools.sim.clock import Clock
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import Packet

IMSI_UNKNOWN = 2  # EMM cause, 3GPP TS 24.301 table 9.9.3.9.1


@dataclass(frozen=True, slots=True)
class News:
    """What the platform shows of a SIM. Usage and cost lag by the rating's `lag_s`; the rest is current."""

    cycle_label: str  # first day of the billing cycle, ISO 8601; "test" or "silent" before
    used_octets: int  # billed, of this cycle
    used_as_of: datetime  # `used_octets` includes usage up to this instant
    balance_fen: int | None  # after fees and the cost posted so far; None without an account
    cost_fen: int  # of this cycle's out-of-plan usage, posted to that balance
    expires: date | None  # the package ends at 00:00 of this day
    stops: tuple[str, ...]  # in force, in the order of `STOP_REASONS`
    pool_remaining: int | None  # octets of this cycle; None without a pool
    pool_members: int  # this one included; 0 without a pool
    sim_cap: int | None  # octets of this cycle; None without a cap
    throttle_octets_per_s: int | None  # set by hand
    phase: str  # "test", "silent" or "billing"
    card_status: str  # OneLink's cardStatus of a PB SIM
    stop_reason: str  # OneLink's stopReason
    slowed_to_octets_per_s: int | None  # the lowest rate limit in force, whatever its cause
    billing_since: date | None  # first billed day; None before
    reminders: tuple[int, ...]  # sent so far, as days before expiry


class Carrier:
    """All SIMs of one carrier, and the platform on which the customer monitors and controls them."""

    def __init__(
        self, clock: Clock, internet: Internet, rating: Rating, enforcement: Enforcement, log: EventLog
    ) -> None:
        self.clock = clock
        self.internet = internet
        self.rating = rating
        self.enforcement = enforcement
        self.log = log
        self.apn = ""  # the only one that is served; "" for any
        self.on_sms: Callable[[str, bytes], None] | None = None  # (IMSI, SMS-SUBMIT TPDU), 3GPP TS 23.040
        self.on_packet: Callable[[Packet], None] | None = None  # each one that is charged, of any SIM
        self.activations = 0  # bearers that were opened
        self.sms: list[tuple[int, str, bytes]] = []  # (virtual us, IMSI, TPDU)
        self._subscriptions: dict[str, Subscription] = {}
        self._pools: dict[str, Pool] = {}

    def add_pool(self, name: str, allowance_octets: int, others: Sequence[VirtualMembers] = ()) -> None:
        """Opens a pool; `others` are members that are not simulated, only their usage is."""
        if name in self._pools:
            raise ValueError(f"pool {name} exists already")
        if self.enforcement.kind not in ("cutoff", "none"):
            raise ValueError(f"a pool's SIMs are stopped when it is used up: no {self.enforcement.kind!r} there")
        enforced = self.enforcement.kind == "cutoff"
        self._pools[name] = Pool(self.clock, self.rating, name, allowance_octets, others, enforced, self._add_event)

    def add_sim(self, imsi: str, plan: SimPlan) -> None:
        """Puts a SIM into service; its pool must exist already."""
        if imsi in self._subscriptions:
            raise ValueError(f"SIM {imsi} exists already")
        pool = self._pool(plan.pool) if plan.pool else None
        self._subscriptions[imsi] = Subscription(
            self.clock, self.rating, self.enforcement, self._add_event, imsi, plan, pool
        )

    def show(self, other: Carrier, imsi: str, name: str) -> None:
        """Shows the SIM `imsi` of a carrier in another world as `name`, with its pool. Both clocks go together."""
        sim = other._sim(imsi)
        self._subscriptions[name] = sim
        if sim.pool:
            self._pools.setdefault(sim.pool.name, sim.pool)

    # --- the device's side ---

    def register(self, imsi: str) -> int:
        """0 when the SIM may attach, else the EMM cause of the rejection. Of all stops only "cancelled" rejects it."""
        sim = self._subscriptions.get(imsi)
        return IMSI_UNKNOWN if sim is None or CANCELLED.code in sim.stops else sim.refusal

    def roam(self, imsi: str, away: bool) -> None:
        """The SIM has registered in its own network, or in another one."""
        self._sim(imsi).roam(away)

    def activate(
        self, imsi: str, deliver: Callable[[Packet], None], deactivated: Callable[[], None], apn: str = ""
    ) -> Bearer | int:
        """A bearer to the network `apn`, or the ESM cause of the rejection.

        `deliver(packet)` gets the packets to the device; `deactivated()` is called when the network ends the bearer.
        A bearer that is still open (its modem lost power) is closed first, without that call.
        """
        sim = self._subscriptions.get(imsi)
        if sim is None or sim.refusal or CANCELLED.code in sim.stops:
            return REQUEST_REJECTED
        if self.apn and apn.lower() != self.apn.lower():
            return UNKNOWN_APN
        if sim.session_refusal:
            return sim.session_refusal
        if sim.stops and self.enforcement.stop_cause:
            return self.enforcement.stop_cause
        self.activations += 1
        n = self.activations  # a new address each time, so that packets still on the way to an old one are lost
        ip = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        bearer = sim.activate(self.internet, ip, deliver, deactivated)
        bearer.watch = self.on_packet
        return bearer

    def sms_submit(self, imsi: str, tpdu: bytes) -> None:
        """Takes an SMS-SUBMIT from the device; data stops do not affect SMS."""
        self.sms.append((self.clock.now_us, imsi, tpdu))
        if self.on_sms is not None:
            self.on_sms(imsi, tpdu)

    # --- the platform's side ---

    def stop(self, imsi: str, reason: str = MANUAL.code) -> None:
        """Stops the data service at once."""
        self._sim(imsi).stop(_known(reason))

    def resume(self, imsi: str, reason: str | None = None) -> None:
        """Resumes the data service: lifts the stop `reason`, or all stops that can be lifted by hand.

        A stop for arrears is not lifted while the balance is below 0; the refusal is logged.
        ValueError for a reason that cannot be lifted by hand.
        """
        self._sim(imsi).resume(None if reason is None else _known(reason))

    def recharge(self, imsi: str, fen: int) -> None:
        """Adds to the SIM's balance. A stop for arrears stays until `resume` lifts it."""
        self._sim(imsi).recharge(_at_least(1, "fen", fen))

    def renew(self, imsi: str, months: int) -> bool:
        """Adds months to the package, counted from its end, and lifts the stop "expired".

        False when refused. The logged reason is "cancelled", "not_begun" (before the billing period), "no_multiple"
        (not a multiple of a whole package's months) or "too_short" (the package would still be expired).
        """
        return self._sim(imsi).renew(_at_least(1, "months", months))

    def throttle(self, imsi: str, octets_per_s: int | None) -> None:
        """Sets the customer's rate limit; None lifts it."""
        if octets_per_s is not None:
            _at_least(1, "octets_per_s", octets_per_s)
        self._sim(imsi).throttle(octets_per_s)

    def top_up(self, imsi: str, octets: int) -> None:
        """Adds to the SIM's allowance of the present cycle, and lifts the stop or the throttling of a used-up one."""
        self._sim(imsi).top_up(_at_least(1, "octets", octets))

    def top_up_pool(self, name: str, octets: int) -> None:
        """Adds to the pool's allowance of the present cycle."""
        self._pool(name).top_up(_at_least(1, "octets", octets))

    def set_cap(self, imsi: str, octets: int) -> None:
        """Caps the SIM in its pool (0 = no cap). A cap that is already exceeded applies from the next cycle."""
        self._sim(imsi).set_cap(_at_least(0, "octets", octets))

    def refuse(self, imsi: str, cause: int) -> None:
        """Rejects registration with this EMM cause from now on (0 = accept) and deactivates the bearer."""
        sim = self._sim(imsi)
        sim.refusal = cause
        if cause and sim.bearer is not None:
            sim.bearer.deactivate()

    def refuse_sessions(self, imsi: str, cause: int) -> None:
        """Rejects data sessions with this ESM cause from now on (0 = accept) and deactivates the bearer."""
        sim = self._sim(imsi)
        sim.session_refusal = cause
        if cause and sim.bearer is not None:
            sim.bearer.deactivate()

    def deactivate(self, imsi: str) -> None:
        """Deactivates the bearer without a stop; the device may activate another."""
        bearer = self._sim(imsi).bearer
        if bearer is not None:
            bearer.deactivate()

    def pool_figures(self, name: str) -> tuple[int, int]:
        """(allowance, octets left) of the pool's present cycle, as the platform shows them."""
        pool = self._pool(name)
        return pool.allowance_octets, pool.shown_remaining()

    def pool_of(self, imsi: str) -> str | None:
        """The name of the SIM's pool."""
        pool = self._sim(imsi).pool
        return pool.name if pool else None

    def stops(self, imsi: str) -> list[str]:
        """The stops in force, sorted by name."""
        return sorted(self._sim(imsi).stops)

    def denies(self, imsi: str) -> tuple[str, ...]:
        """Why data would be denied without the platform's lag: the stops in force and those that are still to come."""
        return tuple(self._sim(imsi).denied())

    def denied_octets(self, imsi: str) -> int:
        """IP octets carried so far while `denies` was not empty: they passed because of the platform's lag."""
        return self._sim(imsi).denied_octets

    def news(self, imsi: str) -> News:
        """What the platform shows now."""
        sim = self._sim(imsi)
        cycle = sim.account.cycle
        used, as_of_us = sim.account.shown()
        in_force = tuple(code for code in STOP_REASONS if code in sim.stops)
        return News(
            cycle_label=cycle.label,
            used_octets=used,
            used_as_of=self.clock.start + timedelta(microseconds=as_of_us),
            balance_fen=sim.balance_fen,
            cost_fen=cycle.posted_fen,
            expires=sim.expires,
            stops=in_force,
            pool_remaining=sim.pool.shown_remaining() if sim.pool else None,
            pool_members=sim.pool.size if sim.pool else 0,
            sim_cap=(sim.cap_octets or None) if sim.pool else None,
            throttle_octets_per_s=sim.throttle_by_hand,
            phase=sim.phase,
            card_status=stops.card_status(in_force, sim.phase == BILLING),
            stop_reason=stops.stop_reason(in_force),
            slowed_to_octets_per_s=sim.rate_limit,
            billing_since=sim.billing_since,
            reminders=sim.reminded,
        )

    def seen(self, imsi: str) -> int:
        """Billed octets of the present cycle that the platform has seen, late by the rating's lag."""
        return self._sim(imsi).account.seen()

    def figures(self, imsi: str, cycle: str | None = None) -> dict[str, Any]:
        """A cycle's figures as on the final bill; `overage_cost` in fen, None without out-of-plan billing.

        Without `cycle`, those of the last closed cycle, or of the present one when none is closed.
        """
        return self._sim(imsi).account.find(cycle).figures()

    def cycles(self, imsi: str) -> list[str]:
        """The labels of all cycles so far, the present one last: the first day in ISO 8601, or "test" or "silent"."""
        account = self._sim(imsi).account
        return [cycle.label for cycle in (*account.closed, account.cycle)]

    def daily(self, imsi: str) -> list[tuple[str, int]]:
        """(day in the carrier's zone, IP octets), days without traffic left out."""
        return self._sim(imsi).account.daily()

    def series(self, imsi: str) -> list[tuple[int, int]]:
        """Samples of (virtual us, billed octets of that time's cycle); the octets return to 0 at each new cycle."""
        account = self._sim(imsi).account
        return [sample for cycle in (*account.closed, account.cycle) for sample in cycle.samples]

    def _add_event(self, what: str, **fields: Any) -> None:
        self.log.add("carrier", what, **fields)

    def pool(self, name: str) -> Pool:
        """A pool, for those that join it to the same one in other worlds."""
        return self._pool(name)

    def _pool(self, name: str) -> Pool:
        pool = self._pools.get(name)
        if pool is None:
            raise ValueError(f"pool {name} is unknown; there are {', '.join(self._pools) or 'none'}")
        return pool

    def _sim(self, imsi: str) -> Subscription:
        sim = self._subscriptions.get(imsi)
        if sim is None:
            raise ValueError(f"SIM {imsi} is unknown; there are {', '.join(self._subscriptions) or 'none'}")
        return sim


def _known(reason: str) -> str:
    if reason not in STOP_REASONS:
        raise ValueError(f"stop reason {reason!r} is unknown; use one of {', '.join(STOP_REASONS)}")
    return reason


def _at_least(least: int, name: str, value: int) -> int:
    if value < least:
        raise ValueError(f"{name} {value} is not {least} or more")
    return value
