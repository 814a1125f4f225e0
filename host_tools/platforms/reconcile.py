"""What the carrier has counted for a SIM, what its device has, and where the difference may lie. Octets; no clock."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_LAG = timedelta(hours=1)  # dates that are no further apart are the same


@dataclass(frozen=True)
class Rating:
    """What the contract says that the carrier adds."""

    per_packet_octets: int = 0
    session_round_octets: int = 0
    margin_permille: int = 0


@dataclass(frozen=True)
class Facts:
    """A device's cycle by the report that had arrived last at `as_of`, and the carrier's figure of then.

    `grown` is what the next report has more: used before or after `as_of`, nobody knows. `packets` and `sessions` are
    estimates, None if no report has told them. `lost` reports are missing in the device's life.
    """

    device: str
    cycle_start: date
    as_of: datetime
    carrier: int
    carried: int
    rated: int
    bound: int
    reported_at: datetime
    grown: int = 0
    packets: int | None = None
    sessions: int | None = None
    lost: int = 0


@dataclass(frozen=True)
class Reconciled:
    """`difference`: the carrier's figure minus the device's carried octets. The parts explain it by the contract: each
    is what it may be at the most. `beyond` is what they leave: positive where the carrier has more than all of it,
    negative where it has less, as late figures do."""

    facts: Facts
    difference: int
    parts: dict[str, int]
    beyond: int
    octets_a_packet: float | None
    permille: float | None

    @property
    def outside(self) -> bool:
        return self.beyond != 0


def reconcile(facts: Facts, rating: Rating) -> Reconciled:
    """Compares the two figures. The device's true count lies within its bound, and before its next report."""
    packets = (facts.packets or 0) * rating.per_packet_octets
    sessions = (facts.sessions or 0) * rating.session_round_octets
    lowest = _raised(max(facts.carried - facts.bound, 0) + packets, rating)
    highest = _raised(facts.carried + facts.bound + facts.grown + packets + sessions, rating)
    parts = {
        "packets": packets,
        "sessions": sessions,
        "margin": _raised(facts.carried + packets, rating) - facts.carried - packets,
        "bound": facts.bound,
        "since the report": facts.grown,
    }
    beyond = max(facts.carrier - highest, 0) + min(facts.carrier - lowest, 0)
    difference = facts.carrier - facts.carried
    return Reconciled(
        facts,
        difference,
        parts,
        beyond,
        difference / facts.packets if facts.packets else None,
        1000 * difference / facts.carried if facts.carried else None,
    )


def _raised(octets: int, rating: Rating) -> int:
    return -(-octets * (1000 + rating.margin_permille) // 1000)


def ordered(found: Iterable[Reconciled]) -> list[Reconciled]:
    """Those outside the bound first, the furthest before the others; then by the size of the difference."""
    return sorted(found, key=lambda each: (-abs(each.beyond), -abs(each.difference), each.facts.device))


def month_of(now: datetime) -> date:
    """The day on which the calendar month began, in UTC+8."""
    return (now + timedelta(hours=8)).date().replace(day=1)


def cycle_begin(start: date) -> datetime:
    """The moment at which a cycle begins, in UTC+8."""
    return datetime(start.year, start.month, start.day, tzinfo=UTC) - timedelta(hours=8)


def cycle_end(start: date) -> datetime:
    """The start of the next cycle, of a month."""
    year, month = start.year + start.month // 12, start.month % 12 + 1
    return cycle_begin(date(year, month, min(start.day, monthrange(year, month)[1])))


def used_up_at(used: int, at: datetime, total: int, start: date) -> datetime | None:
    """When a count of `used` at `at` reaches `total` at its usual rate; None if that is not in this cycle."""
    passed = (at - cycle_begin(start)).total_seconds()
    if used >= total:
        return at
    if used <= 0 or passed <= 0:
        return None
    left = (total - used) * passed / used
    return at + timedelta(seconds=left) if left < (cycle_end(start) - at).total_seconds() else None


def stops_first(facts: Facts, rated_now: int, now: datetime, total: int) -> datetime | None:
    """When the carrier will stop the SIM, if that is before its device does by its own figure; None if it is not."""
    carrier = used_up_at(facts.carrier, facts.as_of, total, facts.cycle_start)
    device = used_up_at(rated_now, now, total, facts.cycle_start)
    if carrier is None or (device is not None and device <= carrier + _LAG):
        return None
    return carrier
