"""Pools, and SIMs that cost for little or nothing, in the JSON interface and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from host_tools.fleet.idle import IdleRow, Unheard
from host_tools.fleet.paging import Page, to_cursor
from host_tools.fleet.pools import MemberRow, PoolRow
from host_tools.fleet.standing import UNKNOWN, State
from host_tools.fleet.web.table import written


class Pool(msgspec.Struct):
    """`used`: by the carrier's word at `as_of`; `by_members`: by their own count in the period; `granted`: what they
    may use of it together, null where it was not divided."""

    pool: str
    period: str
    as_of: str
    total: int
    used: int
    members: int
    by_members: int
    granted: int | None


class Pools(msgspec.Struct):
    """`next`: what `after` has to be for the next ones; null where there are none."""

    pools: list[Pool]
    next: str | None


class Member(msgspec.Struct):
    """`used` is by the device's own count in the pool's period; `state` and `seen` are null where it has never
    reported."""

    device: str
    state: str | None
    seen: str | None
    used: int
    granted: int | None


class Members(msgspec.Struct):
    """`next`: what `after` has to be for the next ones; null where there are none."""

    members: list[Member]
    next: str | None


class IdleSim(msgspec.Struct):
    """`sim` and `life`, as the platform says them, are told of a SIM that was never heard of, `state`, `seen` and
    `used`, in 30 days, of one that was. What is not known is null."""

    device: str
    sim: str | None
    life: str | None
    state: str | None
    seen: str | None
    used: int | None
    allowance: int | None
    tags: list[str]


class IdleSims(msgspec.Struct):
    """`next`: what `after` has to be for the next ones; null where there are none."""

    sims: list[IdleSim]
    next: str | None


def pools(rows: list[PoolRow], after: str, most: int) -> Pools:
    """A page of pools, which are in the order of their names."""
    found = [each for each in rows if each.pool > after]
    shown = [
        Pool(
            each.pool, each.cycle_start, each.asked_at, each.total, each.used, each.members, each.by_members,
            _known(each.granted),
        )
        for each in found[:most]
    ]  # fmt: skip
    return Pools(shown, shown[-1].pool if len(found) > most else None)


def members(page: Page[MemberRow]) -> Members:
    return Members([*map(_member, page.rows)], to_cursor(page.on) or None)


def idle(page: Page[IdleRow] | Page[Unheard]) -> IdleSims:
    return IdleSims([*map(_idle, page.rows)], to_cursor(page.on) or None)


def members_csv(rows: Iterable[MemberRow]) -> Iterator[str]:
    return _csv(Member, map(_member, rows))


def idle_csv(rows: Iterable[IdleRow | Unheard]) -> Iterator[str]:
    return _csv(IdleSim, map(_idle, rows))


def _csv(of: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> Iterator[str]:
    """A column for each field; empty where it is null, and tags beside one another."""

    def cell(value: object) -> object:
        return " ".join(value) if isinstance(value, list) else "" if value is None else value

    columns = of.__struct_fields__
    return written(columns, ({name: cell(getattr(row, name)) for name in columns} for row in rows))


def _member(row: MemberRow) -> Member:
    state = State(row.state).word if row.state else None
    return Member(row.device, state, row.seen or None, row.used, _known(row.granted))


def _idle(row: IdleRow | Unheard) -> IdleSim:
    if isinstance(row, Unheard):
        return IdleSim(row.device, row.sim, row.life, None, None, None, row.allowance or None, [])
    state, used = State(row.state).word, _known(row.month)
    return IdleSim(row.device, None, None, state, row.seen, used, _known(row.allowance), row.tags.split())


def _known(octets: int) -> int | None:
    return None if octets == UNKNOWN else octets
