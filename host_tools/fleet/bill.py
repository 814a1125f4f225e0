"""The bill explained: what may lie between a device's own count of a period and the carrier's figure. Octets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from host_tools.base.days import day_number
from host_tools.collector.store import Store
from host_tools.platforms.ledger import Figure
from host_tools.platforms.reconcile import Facts, Rating, reconcile
from host_tools.platforms.sync import facts_of

LATE = timedelta(hours=48)
"""How late a carrier's record of usage may be: what the device used within it may be missing in the figure."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A period of a device's SIM. The device's count and the steps add up to the carrier's figure.

    `headers`: what the contract adds to each packet. `sessions`: data sessions rounded up. `late`: used about the time
    of the figure, in the one count and not yet in the other. `retransmissions`: packets that only one end saw, within
    the bound that the device states. `margin`: the contract's, on all of these. `unexplained`: what no step accounts
    for; below zero the carrier billed less.
    """

    facts: Facts
    headers: int
    sessions: int
    late: int
    retransmissions: int
    margin: int
    unexplained: int

    @property
    def steps(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in STEPS}

    @property
    def difference(self) -> int:
        return self.facts.carrier - self.facts.carried


STEPS = ("headers", "retransmissions", "sessions", "margin", "late", "unexplained")
"""From the device's count to the carrier's figure."""


def explain(facts: Facts, rating: Rating, recent: int = 0) -> Bill:
    """Divides the difference. What the contract certainly adds comes first; what may have been added or not takes what
    is left, each up to its limit, what was used about the time of the figure before the rounding of sessions before
    retransmissions. `recent`: what the device used within LATE before the figure."""
    compared = reconcile(facts, rating)
    headers, sessions = compared.parts["packets"], compared.parts["sessions"]
    certain = facts.carried + headers
    reached = facts.carrier - compared.beyond  # with the margin
    inside = reached * 1000 // (1000 + rating.margin_permille)
    least, most = max(facts.carried - facts.bound, 0) + headers, certain + sessions + facts.grown + facts.bound
    inside = min(max(inside, least), most)
    more = inside - certain
    late = min(max(more, 0), facts.grown)
    rounded = min(max(more - late, 0), sessions)
    missing = max(-compared.beyond, 0)
    not_billed_yet = min(missing, recent * (1000 + rating.margin_permille) // 1000)
    return Bill(
        facts,
        headers,
        rounded,
        late - not_billed_yet,
        more - late - rounded,
        reached - inside,
        compared.beyond + not_billed_yet,
    )


def bill_of(store: Store, figure: Figure, rating: Rating) -> Bill | None:
    """The bill of a figure's period, also of one that has ended; None where no report of it had arrived by then."""
    facts = facts_of(store, figure, ended=True)
    if facts is None:
        return None
    bill = explain(facts, rating)
    return bill if bill.unexplained >= 0 else explain(facts, rating, _recent(store, figure, facts))


def _recent(store: Store, figure: Figure, facts: Facts) -> int:
    before = store.as_of(figure.device, figure.as_of - LATE, day_number(facts.cycle_start))
    return max(facts.carried - (before.report.cycle_carried_octets if before else 0), 0)
