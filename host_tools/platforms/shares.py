"""Divides what is left of a pool among its members: by need, fairly, and never more than there is.

A member may use what it was granted for the whole cycle, while the grant is valid: from the answer that brings it on.
Answers are lost, come late and come twice, and so do reports. So what counts as given away is the most that a member
may believe it has; a grant that was lowered counts in full until the member has confirmed the lower one. One that was
sent and not confirmed may reach the member again, whenever that reports, so it counts as long as it stands. A confirmed
grant that has ended counts in full until a figure of a later time says what was used of it: that of the carrier, or of
a report that the member made after the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

SKEW = timedelta(minutes=5)  # between the clocks of a device and of the collector


@dataclass(frozen=True)
class Offer:
    """A grant that was given to a member and may have reached it. `last_sent`: no answer after it brought the grant,
    once it is `confirmed`."""

    octets: int
    valid: timedelta
    last_sent: datetime
    confirmed: bool

    @property
    def ends(self) -> datetime:
        return self.last_sent + self.valid + SKEW

    def stands(self, until: datetime) -> bool:
        """Whether something may be used of it after a moment."""
        return not self.confirmed or self.ends > until


@dataclass(frozen=True)
class Member:
    """What is known of a member in this cycle, in octets as the carrier counts them.

    `offers`: the grant that it has confirmed, and every later one that may have reached it. `used` up to `used_at`: the
    higher of the carrier's figure and the member's own. `need`: what it will want until the next division. `silent`: it
    has missed its reports, so that it gets nothing new.
    """

    name: str
    used: int
    used_at: datetime
    need: int
    offers: tuple[Offer, ...] = ()
    silent: bool = False

    @property
    def committed(self) -> int:
        """The most that it may have used by the cycle's end without another grant."""
        return max([self.used, *(offer.octets for offer in self.offers if offer.stands(self.used_at))])


def divide(total: int, others: int, members: Iterable[Member]) -> dict[str, int]:
    """The grant of each member that is not silent: octets of the whole cycle. The sum of all that members may use, with
    `others`, which SIMs outside use, never exceeds `total`, unless it does already: then nobody is granted more.

    Whatever was granted before and not sent has to be withdrawn, from silent members too: only what is in an Offer, or
    in this division, may reach a member.

    What is free is filled in from the smallest need up, so that nobody who needs little waits for one who needs much.
    A member that has more than it needs gives it back only where another lacks something.
    """
    members = list(members)
    committed = {member.name: member.committed for member in members}
    free = max(total - others - sum(committed.values()), 0)
    lacking = {}
    for member in members:
        if not member.silent:
            lacking[member.name] = max(member.used + member.need - committed[member.name], 0)
    more = filled(free, lacking)
    short = sum(lacking.values()) > free
    grants = {}
    for member in members:
        if not member.silent:
            has = committed[member.name]
            spare = short and not lacking[member.name]
            grants[member.name] = member.used + member.need if spare else has + more[member.name]
    return grants


def filled(amount: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Max-min fair shares: each gets what it wants, or as much as any other that gets less than it wants."""
    shares = {}
    left = sorted(wanted.items(), key=lambda each: (each[1], each[0]))
    while left:
        name, want = left.pop(0)
        shares[name] = min(want, amount // (len(left) + 1))
        amount -= shares[name]
    return shares
