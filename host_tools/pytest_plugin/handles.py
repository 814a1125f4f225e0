"""The objects with which a test inspects and controls its world: the carrier, the modem, the device's status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from host_tools.pytest_plugin.compose import seconds
from host_tools.pytest_plugin.paused import PausedWorld
from host_tools.run.world import IMSI, World
from host_tools.sim.carrier.carrier import News

T = TypeVar("T")


class _Handle:
    """Acts on the present world, which `present()` returns, at its present virtual time."""

    def __init__(self, present: Callable[[], PausedWorld]) -> None:
        self._present = present

    def _do(self, act: Callable[[World], T]) -> T:
        paused = self._present()
        return paused.call(lambda: act(paused.world))


class CarrierHandle(_Handle):
    """The carrier and its platform: the bill of the device's SIM, and the customer's controls."""

    def figures(self, cycle: str | None = None) -> dict[str, Any]:
        """The bill of a cycle ("2026-03-01"); by default of the last closed one, or of the present one if none is.

        Has `ip_octets`, `billed_octets`, `allowance_octets`, `stopped_at`, `overage_cost` (fen) and more.
        """
        return self._do(lambda world: world.carrier.figures(IMSI, cycle))

    @property
    def billed_octets(self) -> int:
        """Billed octets of the present cycle so far."""
        return self.figures(self.cycles()[-1])["billed_octets"]

    def cycles(self) -> list[str]:
        """The labels of all cycles so far, the present one last."""
        return self._do(lambda world: world.carrier.cycles(IMSI))

    def daily(self) -> list[tuple[str, int]]:
        """(day, IP octets) of each day that had traffic."""
        return self._do(lambda world: world.carrier.daily(IMSI))

    def news(self) -> News:
        """What the platform shows now, with its lag."""
        return self._do(lambda world: world.carrier.news(IMSI))

    def stops(self) -> list[str]:
        """The stops in force: "exhausted", "manual", …"""
        return self._do(lambda world: world.carrier.stops(IMSI))

    def stop(self, reason: str = "manual") -> None:
        """Stops the data service."""
        self._do(lambda world: world.carrier.stop(IMSI, reason))

    def resume(self, reason: str | None = None) -> None:
        """Lifts the stop `reason`, or all stops that can be lifted by hand."""
        self._do(lambda world: world.carrier.resume(IMSI, reason))

    def recharge(self, fen: int) -> None:
        """Adds to the SIM's balance."""
        self._do(lambda world: world.carrier.recharge(IMSI, fen))

    def renew(self, months: int) -> bool:
        """Renews the package by `months`; False when the platform refuses."""
        return self._do(lambda world: world.carrier.renew(IMSI, months))

    def throttle(self, octets_per_s: int | None) -> None:
        """Limits the SIM's rate; None lifts the limit."""
        self._do(lambda world: world.carrier.throttle(IMSI, octets_per_s))

    def refuse(self, emm_cause: int) -> None:
        """Rejects the SIM's registration with this cause from now on; 0 accepts it again."""
        self._do(lambda world: world.carrier.refuse(IMSI, emm_cause))

    def deactivate(self) -> None:
        """Ends the data session; the device may start another."""
        self._do(lambda world: world.carrier.deactivate(IMSI))


class ModemHandle(_Handle):
    """The simulated modem."""

    def reboot(self) -> None:
        """Crashes and restarts the modem; its unsaved settings are lost."""
        self.inject("reboot")

    def hang(self) -> None:
        """Makes the modem unresponsive until it is power-cycled."""
        self.inject("hang")

    def lose_coverage(self, span: str | timedelta) -> None:
        """Takes the signal away for `span`."""
        self.inject("no_coverage", ms=seconds(span) * 1000)

    def inject(self, kind: str, **fields: Any) -> None:
        """Injects a fault, with the fields of a scenario's `[[fault]]` (`host_tools/sim/modem/faults.py`).

        ValueError names a field that is wrong.
        """
        self._do(lambda world: world.modem.faults.inject({"kind": kind, **fields}))

    @property
    def on(self) -> bool:
        """Whether it has started and accepts commands."""
        return self._do(lambda world: world.modem.working)

    @property
    def registered(self) -> bool:
        """Whether it is registered in the network."""
        return self._do(lambda world: bool(world.modem.radio.registered))

    @property
    def counter(self) -> tuple[int, int]:
        """Its data counter: (octets sent, octets received)."""
        return self._do(lambda world: (world.modem.data.counter.octets[0], world.modem.data.counter.octets[1]))


class GuardHandle(_Handle):
    """The device's last status. It reports one whenever its verdict changes, and once an hour."""

    @property
    def status(self) -> dict[str, Any]:
        """All fields (`usageguard.guard.status`); empty before the first status."""
        return self._do(lambda world: dict(world.board.status))

    def __getattr__(self, name: str) -> Any:
        """One field of the status: `guard.verdict`, `guard.rated_octets`, `guard.reasons`, …"""
        if name.startswith("_"):  # copy, pickle and the like probe for these
            raise AttributeError(name)
        status = self.status
        if name in status:
            return status[name]
        hint = f"there are {', '.join(status)}" if status else "the device has not reported a status yet"
        raise AttributeError(f"the guard's status has no {name!r}; {hint}")

    @property
    def boots(self) -> int:
        """How often the board has started so far."""
        return self._do(lambda world: world.board.boots)
