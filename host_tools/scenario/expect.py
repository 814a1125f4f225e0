"""The expectations of a scenario, and whether they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from host_tools.base.toml import Table
from host_tools.base.units import Octets

WITHOUT_COUNTER_PERMILLE = 30
"""What a device may be off by whose modem has no data counter: it counts by a model alone."""
RATED_WITHOUT_COUNTER_PERMILLE = 40
"""Likewise by the plan's rating, which may add to each packet: the model's surplus is in small ones."""

Permille = Annotated[int, msgspec.Meta(ge=0, le=1000)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Expect(Table, frozen=True, kw_only=True):
    """What is left out is not checked; CONFIG.md has the meaning of each key. Figures are those of the result's
    `carrier` and `device`."""

    carrier_stopped: bool | None = None
    device_stopped: bool | None = None
    carried_over_permille: Permille | None = None
    rated_error_permille: Permille | None = None
    used_permille: Permille | None = None
    reports_lost: Count | None = None
    reports_received: Count | None = None
    boots: Count | None = None
    verdict: str | None = None
    reasons: list[str] | None = None
    verdicts_seen: list[str] = []
    reasons_seen: list[str] = []
    warned: list[str] = []
    cost_fen_at_most: Count | None = None
    cost_over_fen: Count | None = None
    carrier_stops: list[str] | None = None
    denied_octets_at_most: Octets | None = None
    orders_applied: Count | None = None
    done: dict[str, Count] = {}
    failed: dict[str, Count] = {}
    refused: dict[str, Count] = {}
    octets: dict[str, Octets] = {}

    def without_counter(self) -> Expect:
        """The same of a device whose modem has no data counter."""

        def at_least(permille: int | None, least: int) -> int | None:
            return None if permille is None else max(permille, least)

        used = self.used_permille
        return msgspec.structs.replace(
            self,
            carried_over_permille=at_least(self.carried_over_permille, WITHOUT_COUNTER_PERMILLE),
            rated_error_permille=at_least(self.rated_error_permille, RATED_WITHOUT_COUNTER_PERMILLE),
            used_permille=None if used is None else max(0, used - RATED_WITHOUT_COUNTER_PERMILLE),
        )

    def failures(self, result: dict[str, Any]) -> list[str]:
        """One line for each expectation that did not hold, given `RunResult.to_json()`."""
        found: list[str] = []
        carrier, device, upstream = result["carrier"], result["device"], result["upstream"]

        def stopped(who: str, want: bool | None, at: str | None) -> None:
            if want is True and at is None:
                found.append(f"the {who} did not stop the data service, and should have")
            elif want is False and at is not None:
                found.append(f"the {who} stopped the data service at {at}, and should not have")

        stopped("carrier", self.carrier_stopped, carrier["stopped_at"])
        stopped("device", self.device_stopped, device["stopped_at"])
        told = device["carried_octets"] is not None
        if not told and (self.carried_over_permille, self.rated_error_permille) != (None, None):
            found.append("the device reported no figures for the carrier's last complete cycle")
        if told and self.carried_over_permille is not None:
            over = device["carried_octets"] - carrier["ip_octets"]
            if over < -device.get("unseen_octets", 0):
                found.append(f"the device counted {-over:,} octets fewer than the carrier carried")
            elif over * 1000 > carrier["ip_octets"] * self.carried_over_permille:
                found.append(
                    f"the device counted {over:,} octets more than the carrier's {carrier['ip_octets']:,}, "
                    f"over {self.carried_over_permille} permille"
                )
        if told and self.rated_error_permille is not None:
            error = device["rated_octets"] - carrier["billed_octets"]
            if abs(error) * 1000 > carrier["billed_octets"] * self.rated_error_permille:
                found.append(
                    f"the device rated {error:+,} octets off {carrier['billed_octets']:,} billed, "
                    f"over {self.rated_error_permille} permille"
                )
        if self.used_permille is not None:
            used, allowance = carrier["billed_octets"], carrier["allowance_octets"]
            if used * 1000 < allowance * self.used_permille:
                found.append(
                    f"{used:,} of {allowance:,} octets were used, less than {self.used_permille} permille"
                )
        if self.reports_lost is not None and upstream["reports_lost"] > self.reports_lost:
            found.append(f"{upstream['reports_lost']} reports were lost, more than {self.reports_lost}")
        if self.reports_received is not None and upstream["reports_received"] < self.reports_received:
            found.append(
                f"{upstream['reports_received']} reports were received, fewer than {self.reports_received}"
            )
        if self.boots is not None and device["boots"] != self.boots:
            found.append(f"the board started {device['boots']} times, not {self.boots}")
        if self.verdict is not None and device["verdict"] != self.verdict:
            found.append(f'the verdict is "{device["verdict"]}", not "{self.verdict}"')
        cost, counted = carrier["overage_cost"] or 0, device["cost_fen"]
        if self.cost_fen_at_most is not None and cost > self.cost_fen_at_most:
            found.append(f"{cost:,} fen were charged beyond the plan, more than {self.cost_fen_at_most:,}")
        if self.cost_over_fen is not None and (counted is None or not 0 <= counted - cost <= self.cost_over_fen):
            reported = "no cost" if counted is None else f"a cost of {counted:,} fen"
            found.append(f"the device reported {reported}, not {cost:,} to {cost + self.cost_over_fen:,} fen")
        denied, limit = carrier["denied_octets"], self.denied_octets_at_most
        if limit is not None and denied > limit:
            found.append(f"{denied:,} octets were carried against the carrier's policy, more than {limit:,}")
        if self.orders_applied is not None and device["orders_applied"] < self.orders_applied:
            found.append(f"{device['orders_applied']} orders were applied, fewer than {self.orders_applied}")
        found += self._of_classes(result.get("classes", {}))
        for want, have, what in (
            (self.reasons, device["reasons"], "the reasons to stop"),
            (self.carrier_stops, carrier["stops"], "the carrier's stops"),
        ):
            if want is not None and sorted(want) != sorted(have or ()):
                found.append(f"{what} are {_names(have)}, not {_names(want)}")
        for want, have, what in (
            (self.verdicts_seen, device["verdicts_seen"], "the verdict was never"),
            (self.reasons_seen, device["reasons_seen"], "there was never the reason"),
            (self.warned, device["warned"], "there was never the warning"),
        ):
            found += [f'{what} "{name}", but {_names(have)}' for name in want if name not in have]
        return found

    def _of_classes(self, classes: dict[str, Any]) -> list[str]:
        found = []
        for key in ("done", "failed", "refused"):
            for name, limit in getattr(self, key).items():
                count = classes.get(name, {}).get(key, 0)
                if key == "done" and count < limit:
                    found.append(f'{count:,} transfers of "{name}" were done, fewer than {limit:,}')
                elif key != "done" and count > limit:
                    found.append(f'{count:,} transfers of "{name}" were {key}, more than {limit:,}')
        for name, most in self.octets.items():
            octets = classes.get(name, {}).get("octets")
            if octets is None:
                found.append(f'nobody says how many octets "{name}" carried')
            elif octets > most:
                found.append(f'{octets:,} octets of "{name}" were carried, more than {most:,}')
        return found


def _names(names: Sequence[str] | None) -> str:
    return ", ".join(names or ()) or "none"
