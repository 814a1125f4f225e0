"""What a test sees of its world and may do to it: the carrier's side, the modem, and what the device tells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from host_tools.bench import IMSI
from host_tools.pytest_plugin.worlds import seconds
from host_tools.sim.carrier.carrier import News
from host_tools.sim.modem.device import ON

if TYPE_CHECKING:
    from host_tools.bench import World
    from host_tools.pytest_plugin.bench import Bench

T = TypeVar("T")


class _Side:
    """Everything happens at the present virtual time."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def _do(self, act: Callable[[World], T]) -> T:
        stage = self._bench.stage
        return stage.call(lambda: act(stage.world))


class CarrierSide(_Side):
    """The carrier and its platform, for the one SIM there is: what it bills, and what a person may order there."""

    def figures(self, cycle: str | None = None) -> dict[str, Any]:
        """The bill of a cycle ("2026-03-01"); without one of the last that is closed, before that of the present.

        Among them `ip_octets`, `billed_octets`, `allowance_octets`, `stopped_at`, `overage_cost` (fen).
        """
        return self._do(lambda world: world.carrier.figures(IMSI, cycle))

    @property
    def billed_octets(self) -> int:
        """Of the present cycle, up to now."""
        return self.figures(self.cycles()[-1])["billed_octets"]

    def cycles(self) -> list[str]:
        """All cycles so far, the present one last."""
        return self._do(lambda world: world.carrier.cycles(IMSI))

    def daily(self) -> list[tuple[str, int]]:
        """(day, IP octets), days without traffic left out."""
        return self._do(lambda world: world.carrier.daily(IMSI))

    def news(self) -> News:
        """What the platform shows now, late as it is."""
        return self._do(lambda world: world.carrier.news(IMSI))

    def stops(self) -> list[str]:
        """The stops in force: "exhausted", "manual", …"""
        return self._do(lambda world: world.carrier.stops(IMSI))

    def stop(self, reason: str = "manual") -> None:
        """Stops the data service."""
        self._do(lambda world: world.carrier.stop(IMSI, reason))

    def resume(self, reason: str | None = None) -> None:
        """Lifts the stop of that reason, or all that a person may lift."""
        self._do(lambda world: world.carrier.resume(IMSI, reason))

    def recharge(self, fen: int) -> None:
        self._do(lambda world: world.carrier.recharge(IMSI, fen))

    def renew(self, months: int) -> bool:
        """False when the platform refuses."""
        return self._do(lambda world: world.carrier.renew(IMSI, months))

    def throttle(self, octets_per_s: int | None) -> None:
        """Slows the SIM down until it is lifted with None."""
        self._do(lambda world: world.carrier.throttle(IMSI, octets_per_s))

    def refuse(self, emm_cause: int) -> None:
        """Rejects the SIM's registration from now on; 0 accepts it again."""
        self._do(lambda world: world.carrier.refuse(IMSI, emm_cause))

    def deactivate(self) -> None:
        """Ends the data session; the device may begin another."""
        self._do(lambda world: world.carrier.deactivate(IMSI))


class ModemSide(_Side):
    """The simulated modem."""

    def reboot(self) -> None:
        """It crashes and starts again; whatever it had not stored is lost."""
        self.inject("reboot")

    def hang(self) -> None:
        """It says and does nothing until it is power-cycled."""
        self.inject("hang")

    def lose_coverage(self, span: str | timedelta) -> None:
        """No signal for so long."""
        self.inject("no_coverage", ms=seconds(span) * 1000)

    def inject(self, kind: str, **fields: Any) -> None:
        """Any fault, with the fields that a scenario's `[[fault]]` has (`host_tools/sim/modem/faults.py`).

        ValueError names the field that is wrong.
        """
        self._do(lambda world: world.modem.faults.inject({"kind": kind, **fields}))

    @property
    def on(self) -> bool:
        """It has started and takes commands."""
        return self._do(lambda world: world.modem.state == ON and not world.modem.hung)

    @property
    def registered(self) -> bool:
        """It is in the network."""
        return self._do(lambda world: bool(world.modem.radio.registered))

    @property
    def counter(self) -> tuple[int, int]:
        """What its data counter says: octets sent and received."""
        return self._do(lambda world: (world.modem.data.octets[0], world.modem.data.octets[1]))


class GuardSide(_Side):
    """What the device told last: it does so at every change of its verdict, and once an hour."""

    @property
    def status(self) -> dict[str, Any]:
        """All of it (`usageguard.status`); empty before the first."""
        return self._do(lambda world: dict(world.board.status))

    def __getattr__(self, name: str) -> Any:
        """One of the status's figures: `guard.verdict`, `guard.rated_octets`, `guard.reasons`, …"""
        if name.startswith("_"):  # those who look at any object
            raise AttributeError(name)
        status = self.status
        if name in status:
            return status[name]
        told = f"there are {', '.join(status)}" if status else "the device has told nothing yet"
        raise AttributeError(f"the guard's status has no {name!r}; {told}")

    @property
    def boots(self) -> int:
        """Starts of the board so far."""
        return self._do(lambda world: world.board.boots)
