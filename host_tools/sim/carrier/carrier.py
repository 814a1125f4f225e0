"""The carrier and its platform: registration, counted bearers, stops and restorations, SMS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from host_tools.sim.carrier.account import Account, Enforcement, Rating, SimPlan, figures_of
from host_tools.sim.carrier.stops import EXHAUSTED, MANUAL, REQUEST_REJECTED, STOP_REASONS
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.network.internet import DNS_SERVER, Internet
from host_tools.sim.network.packet import Packet

IMSI_UNKNOWN = 2  # EMM cause, 3GPP TS 24.301 table 9.9.3.9.1


class Bearer:
    """An active PDN connection. `ip` is the device's address, `dns` the name server given with it."""

    def __init__(
        self,
        sim: _Sim,
        internet: Internet,
        ip: str,
        deliver: Callable[[Packet], None],
        deactivated: Callable[[], None],
    ) -> None:
        self.ip = ip
        self.dns = DNS_SERVER
        self.active = True
        self._sim = sim
        self._internet = internet
        self._deliver = deliver
        self._deactivated = deactivated
        internet.attach(ip, self._downlink)

    def send(self, packet: Packet) -> None:
        """Takes a packet from the device; one sent after the bearer is gone is lost, uncounted."""
        if self.active:
            self._sim.charge(packet.length)
            self._internet.send(packet)

    def close(self) -> None:
        """Ends the session from the device's side."""
        if self.active:
            self.active = False
            self._internet.detach(self.ip)
            self._sim.released()

    def deactivate(self) -> None:
        """Ends the session from the network's side, and tells the device."""
        if self.active:
            self.close()
            self._deactivated()

    def _downlink(self, packet: Packet) -> None:
        self._sim.charge(packet.length)
        self._deliver(packet)


class _Sim:
    """One SIM at the carrier: its account, the stops in force, its registration and its bearer."""

    def __init__(self, carrier: Carrier, imsi: str, plan: SimPlan) -> None:
        self.carrier = carrier
        self.imsi = imsi
        self.account = Account(carrier.clock, plan, carrier.rating)
        self.stops: set[str] = set()
        self.refusal = 0
        self.bearer: Bearer | None = None
        self._cuts_off = carrier.enforcement.kind == "cutoff"
        carrier.clock.at(self.account.ends_us, self._new_cycle)

    def charge(self, octets: int) -> None:
        account = self.account
        reached_before = account.cycle.reached_at_us
        account.charge(octets)
        if self._cuts_off and reached_before is None and account.cycle.reached_at_us is not None:
            # After the lag, and never from inside the device's own send.
            self.carrier.clock.after(account.rating.lag_s * S, self._exhausted, account.cycle)

    def released(self) -> None:
        self.bearer = None
        self.account.end_session()

    def stop(self, reason: str) -> None:
        if reason in self.stops:
            return
        self.stops.add(reason)
        self._mark_stopped(reason)
        self.log("stopped", reason=reason, billed_octets=self.account.cycle.billed_octets)
        if self.bearer is not None:
            self.bearer.deactivate()

    def lift(self, reason: str) -> None:
        if reason in self.stops:
            self.stops.discard(reason)
            self.log("restored", reason=reason)

    def log(self, what: str, **fields: Any) -> None:
        self.carrier.log.add("carrier", what, imsi=self.imsi, **fields)

    def _mark_stopped(self, reason: str) -> None:
        cycle = self.account.cycle
        if cycle.stopped_at is None:
            cycle.stopped_at = self.carrier.clock.utc()
            cycle.stop_reason = reason

    def _exhausted(self, cycle: object) -> None:
        if cycle is self.account.cycle:  # usage seen only after its cycle has ended stops nothing
            self.stop(EXHAUSTED.code)

    def _new_cycle(self) -> None:
        self.account.roll()
        self.carrier.clock.at(self.account.ends_us, self._new_cycle)
        for reason in sorted(self.stops):
            if STOP_REASONS[reason].ends_with_cycle:
                self.lift(reason)
            else:
                self._mark_stopped(reason)


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
        self._sims: dict[str, _Sim] = {}
        self._activations = 0

    def add_sim(self, imsi: str, plan: SimPlan) -> None:
        """Puts a SIM into service."""
        if imsi in self._sims:
            raise ValueError(f"SIM {imsi} exists already")
        self._sims[imsi] = _Sim(self, imsi, plan)

    # --- the device's side ---

    def register(self, imsi: str) -> int:
        """0 when the SIM may attach, else the EMM cause of the rejection. A data stop does not hinder it."""
        sim = self._sims.get(imsi)
        return IMSI_UNKNOWN if sim is None else sim.refusal

    def activate(
        self, imsi: str, deliver: Callable[[Packet], None], deactivated: Callable[[], None]
    ) -> Bearer | int:
        """A bearer, or the ESM cause of the rejection.

        `deliver(packet)` gets the packets to the device; `deactivated()` tells that the network ended it. A
        bearer the SIM still has (its modem lost power) is released first, silently.
        """
        sim = self._sims.get(imsi)
        if sim is None or sim.refusal:
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
        if reason not in STOP_REASONS:
            raise ValueError(f"stop reason {reason!r} is unknown; use one of {', '.join(STOP_REASONS)}")
        self._sim(imsi).stop(reason)

    def resume(self, imsi: str, reason: str = MANUAL.code) -> None:
        """Lifts one stop; others stay."""
        self._sim(imsi).lift(reason)

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

    def seen(self, imsi: str) -> int:
        """Billed octets of the present cycle as the platform shows them, late by the rating's lag."""
        return self._sim(imsi).account.seen()

    def figures(self, imsi: str, cycle: str | None = None) -> dict[str, Any]:
        """A cycle's figures; by default of the last closed one, or of the present one when none is closed."""
        account = self._sim(imsi).account
        return figures_of(account.find(cycle), account.plan, self.enforcement)

    def cycles(self, imsi: str) -> list[str]:
        """The labels of all cycles so far (their first days, ISO 8601), the present one last."""
        account = self._sim(imsi).account
        return [cycle.label for cycle in (*account.closed, account.cycle)]

    def daily(self, imsi: str) -> list[tuple[str, int]]:
        """(day in the carrier's zone, IP octets), days without traffic left out."""
        return self._sim(imsi).account.daily()

    def series(self, imsi: str) -> list[tuple[int, int]]:
        """(virtual us, billed octets in the cycle of that time), coarse; falls to 0 where a cycle begins."""
        account = self._sim(imsi).account
        return [sample for cycle in (*account.closed, account.cycle) for sample in cycle.samples]

    def _sim(self, imsi: str) -> _Sim:
        sim = self._sims.get(imsi)
        if sim is None:
            raise ValueError(f"SIM {imsi} is unknown; there are {', '.join(self._sims) or 'none'}")
        return sim
