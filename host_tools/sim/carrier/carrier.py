"""The carrier and its platform: registration, counted bearers, what the customer orders and what he is shown, SMS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from host_tools.sim.carrier import stops
from host_tools.sim.carrier.bearer import Bearer
from host_tools.sim.carrier.plan import Enforcement, Rating, SimPlan, VirtualMembers
from host_tools.sim.carrier.pool import Pool
from host_tools.sim.carrier.sim import BILLING, Sim
from host_tools.sim.carrier.stops import CANCELLED, MANUAL, REQUEST_REJECTED, STOP_REASONS
from host_tools.sim.clock import Clock
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import Internet
from host_tools.sim.network.packet import Packet

IMSI_UNKNOWN = 2  # EMM cause, 3GPP TS 24.301 table 9.9.3.9.1


@dataclass(frozen=True, slots=True)
class News:
    """What the platform shows of a SIM now. Usage and cost are late, as the rating says; the rest is not."""

    cycle_label: str  # first day of the billing cycle, ISO 8601; "test" or "silent" before
    used_octets: int  # billed, of this cycle
    used_as_of: datetime  # the instant up to which `used_octets` counts
    balance_fen: int | None  # after fees and what is known of the cost; None without an account
    cost_fen: int  # of this cycle's out-of-plan usage, as taken off that balance
    expires: date | None  # the package is over at 00:00 of this day
    stops: tuple[str, ...]  # in force, in the order of the table
    pool_remaining: int | None  # octets of this cycle; None without a pool
    pool_members: int  # this one included; 0 without a pool
    sim_cap: int | None  # octets of this cycle; None for none
    throttle_octets_per_s: int | None  # set by hand
    phase: str  # "test", "silent" or "billing"
    card_status: str  # OneLink's cardStatus of a PB SIM
    stop_reason: str  # OneLink's stopReason
    slowed_to_octets_per_s: int | None  # by whatever cause
    billing_since: date | None  # first billed day; None before
    reminders: tuple[int, ...]  # days before expiry of those that were sent


class Carrier:
    """All SIMs of one carrier, and the platform on which their owner watches and stops them."""

    def __init__(
        self, clock: Clock, internet: Internet, rating: Rating, enforcement: Enforcement, log: EventLog
    ) -> None:
        self.clock = clock
        self.internet = internet
        self.rating = rating
        self.enforcement = enforcement
        self.log = log
        self.on_sms: Callable[[str, bytes], None] | None = None  # (IMSI, SMS-SUBMIT TPDU), 3GPP TS 23.040
        self.sms: list[tuple[int, str, bytes]] = []  # (virtual us, IMSI, TPDU)
        self._sims: dict[str, Sim] = {}
        self._pools: dict[str, Pool] = {}
        self._activations = 0

    def add_pool(self, name: str, allowance_octets: int, others: Sequence[VirtualMembers] = ()) -> None:
        """Opens a pool, of which `others` are members that are only declared."""
        if name in self._pools:
            raise ValueError(f"pool {name} exists already")
        if self.enforcement.kind not in ("cutoff", "none"):
            raise ValueError(f"a pool's SIMs are stopped when it is used up: no {self.enforcement.kind!r} there")
        enforced = self.enforcement.kind == "cutoff"
        self._pools[name] = Pool(
            self.clock, self.rating, name, allowance_octets, others, enforced, self._log_of_the_platform
        )

    def add_sim(self, imsi: str, plan: SimPlan) -> None:
        """Puts a SIM into service; its pool was opened before."""
        if imsi in self._sims:
            raise ValueError(f"SIM {imsi} exists already")
        self._sims[imsi] = Sim(self, imsi, plan, self._pool(plan.pool) if plan.pool else None)

    # --- the device's side ---

    def register(self, imsi: str) -> int:
        """0 when the SIM may attach, else the EMM cause of the rejection. No stop but the cancellation hinders it."""
        sim = self._sims.get(imsi)
        return IMSI_UNKNOWN if sim is None or CANCELLED.code in sim.stops else sim.refusal

    def activate(self, imsi: str, deliver: Callable[[Packet], None], deactivated: Callable[[], None]) -> Bearer | int:
        """A bearer, or the ESM cause of the rejection.

        `deliver(packet)` gets the packets to the device; `deactivated()` tells that the network ended it. A
        bearer the SIM still has (its modem lost power) is released first, silently.
        """
        sim = self._sims.get(imsi)
        if sim is None or sim.refusal or CANCELLED.code in sim.stops:
            return REQUEST_REJECTED
        if sim.stops:
            return self.enforcement.stop_cause
        if sim.bearer is not None:
            sim.bearer.close()
        self._activations += 1
        n = self._activations  # a fresh address each time: nothing under way to an old one arrives
        ip = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        sim.bearer = Bearer(sim, self.internet, ip, deliver, deactivated)
        return sim.bearer

    def sms_submit(self, imsi: str, tpdu: bytes) -> None:
        """Takes an SMS-SUBMIT from the device, also while its data is stopped."""
        self.sms.append((self.clock.now_us, imsi, tpdu))
        if self.on_sms is not None:
            self.on_sms(imsi, tpdu)

    # --- the platform's side ---

    def stop(self, imsi: str, reason: str = MANUAL.code) -> None:
        """Stops the data service at once."""
        self._sim(imsi).stop(_known(reason))

    def resume(self, imsi: str, reason: str | None = None) -> None:
        """The customer resumes the data service: the stop of that reason, or all that a person may lift.

        A stop for arrears holds while the balance is below 0 (the order is refused, and logged so).
        ValueError for a reason that is not lifted by hand.
        """
        self._sim(imsi).resume(None if reason is None else _known(reason))

    def recharge(self, imsi: str, fen: int) -> None:
        """Pays into the SIM's account. A stop for arrears stays until somebody resumes it."""
        self._sim(imsi).recharge(_at_least(1, "fen", fen))

    def renew(self, imsi: str, months: int) -> bool:
        """Adds months to the package, counted from the day on which it ends or ended. It lifts the stop "expired".

        False when it is refused, as the log says: "cancelled" for good, "not_begun" before the billing period,
        "no_multiple" of a whole package's months, or "too_short", as it would be over even so.
        """
        return self._sim(imsi).renew(_at_least(1, "months", months))

    def throttle(self, imsi: str, octets_per_s: int | None) -> None:
        """Slows the SIM by hand until it is lifted by hand (None)."""
        if octets_per_s is not None:
            _at_least(1, "octets_per_s", octets_per_s)
        self._sim(imsi).throttle(octets_per_s)

    def top_up_pool(self, name: str, octets: int) -> None:
        """Adds to what the pool's members may use in the present cycle."""
        self._pool(name).top_up(_at_least(1, "octets", octets))

    def set_cap(self, imsi: str, octets: int) -> None:
        """Caps a pool's SIM, 0 for no cap: at once, or from the next cycle where it is exceeded already."""
        self._sim(imsi).set_cap(_at_least(0, "octets", octets))

    def refuse(self, imsi: str, cause: int) -> None:
        """Rejects registration with this EMM cause from now on (0 = accepts again) and ends the bearer."""
        sim = self._sim(imsi)
        sim.refusal = cause
        if cause and sim.bearer is not None:
            sim.bearer.deactivate()

    def deactivate(self, imsi: str) -> None:
        """Ends the bearer from the network's side without any stop; the device may activate again."""
        bearer = self._sim(imsi).bearer
        if bearer is not None:
            bearer.deactivate()

    def stops(self, imsi: str) -> list[str]:
        """The stops in force."""
        return sorted(self._sim(imsi).stops)

    def denies(self, imsi: str) -> tuple[str, ...]:
        """Why the policy denies data right now: the stops in force, and those of which the platform knows too late."""
        return tuple(self._sim(imsi).denied())

    def denied_octets(self, imsi: str) -> int:
        """IP octets carried so far while the policy denied them (`denies`): the platform's lag is why they passed."""
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
            slowed_to_octets_per_s=sim.slowed_to,
            billing_since=sim.billing_since,
            reminders=sim.reminded,
        )

    def seen(self, imsi: str) -> int:
        """Billed octets of the present cycle on which the platform acts, late by the rating's lag."""
        return self._sim(imsi).account.seen()

    def figures(self, imsi: str, cycle: str | None = None) -> dict[str, Any]:
        """A cycle's figures as the bill has them in the end, `overage_cost` in fen (None where nothing is billed so).

        By default of the last closed one, or of the present one when none is closed.
        """
        return self._sim(imsi).account.find(cycle).figures()

    def cycles(self, imsi: str) -> list[str]:
        """The labels of all cycles so far, the present one last: first days, ISO 8601, or "test" or "silent"."""
        account = self._sim(imsi).account
        return [cycle.label for cycle in (*account.closed, account.cycle)]

    def daily(self, imsi: str) -> list[tuple[str, int]]:
        """(day in the carrier's zone, IP octets), days without traffic left out."""
        return self._sim(imsi).account.daily()

    def series(self, imsi: str) -> list[tuple[int, int]]:
        """(virtual us, billed octets in the cycle of that time), coarse; falls to 0 where a cycle begins."""
        account = self._sim(imsi).account
        return [sample for cycle in (*account.closed, account.cycle) for sample in cycle.samples]

    def _log_of_the_platform(self, what: str, **fields: Any) -> None:
        self.log.add("carrier", what, **fields)

    def _pool(self, name: str) -> Pool:
        pool = self._pools.get(name)
        if pool is None:
            raise ValueError(f"pool {name} is unknown; there are {', '.join(self._pools) or 'none'}")
        return pool

    def _sim(self, imsi: str) -> Sim:
        sim = self._sims.get(imsi)
        if sim is None:
            raise ValueError(f"SIM {imsi} is unknown; there are {', '.join(self._sims) or 'none'}")
        return sim


def _known(reason: str) -> str:
    if reason not in STOP_REASONS:
        raise ValueError(f"stop reason {reason!r} is unknown; use one of {', '.join(STOP_REASONS)}")
    return reason


def _at_least(least: int, name: str, value: int) -> int:
    if value < least:
        raise ValueError(f"{name} {value} is not {least} or more")
    return value
