"""Pools: what each has, and which of its members use it, in the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from host_tools.base.days import day_number
from host_tools.fleet.paging import PAGE, Key, Page, Table, Where
from host_tools.fleet.standing import UNKNOWN
from host_tools.platforms.ledger import Pool

SCHEMA = """
CREATE TABLE pool (
    pool TEXT NOT NULL PRIMARY KEY, cycle_start TEXT NOT NULL, cycle_id INTEGER NOT NULL, asked_at TEXT NOT NULL,
    total INTEGER NOT NULL, used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE member (
    pool TEXT NOT NULL, device TEXT NOT NULL, granted INTEGER NOT NULL, PRIMARY KEY (pool, device)
) STRICT, WITHOUT ROWID;
"""
_MEMBERS = """(
    SELECT m.pool, m.device, m.granted, coalesce(d.state, 0) AS state, coalesce(d.seen, '') AS seen,
    CASE WHEN d.cycle_id = p.cycle_id THEN d.used ELSE 0 END AS used
    FROM member AS m JOIN pool AS p ON p.pool = m.pool LEFT JOIN device AS d ON d.device = m.device
)"""
SORTS = {"used": ("used", True), "granted": ("granted", True), "device": ("device", False)}


class PoolRow(NamedTuple):
    """`used`: by the carrier's word at `asked_at`, by members and others; `by_members`: by their own count now;
    `granted`: what they may use of it together, UNKNOWN where nothing was divided; `most`: what one of them used."""

    pool: str
    cycle_start: str
    asked_at: str
    total: int
    used: int
    members: int
    by_members: int
    granted: int
    most: int

    @property
    def left(self) -> int:
        return max(self.total - self.used, 0)


class MemberRow(NamedTuple):
    """`granted`: what it may use in the period, UNKNOWN where it has no grant; `used`: by its own count in the pool's
    period; `state` is 0 and `seen` empty where it has never reported."""

    device: str
    granted: int
    used: int
    state: int
    seen: str


MEMBERS = Table(MemberRow, _MEMBERS, SORTS)


def put(db: sqlite3.Connection, pools: Iterable[Pool]) -> None:
    """Replaces them all."""
    db.execute("DELETE FROM pool")
    db.execute("DELETE FROM member")
    for each in pools:
        db.execute(
            "INSERT INTO pool VALUES (?, ?, ?, ?, ?, ?)",
            (
                each.name, each.cycle_start.isoformat(), day_number(each.cycle_start), each.asked_at.isoformat(),
                each.total_octets, each.used_octets,
            ),
        )  # fmt: skip
        members = each.members.items()
        rows = ((each.name, device, UNKNOWN if granted is None else granted) for device, granted in members)
        db.executemany("INSERT INTO member VALUES (?, ?, ?)", rows)


class Pools:
    """Reads them; one thread at a time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def all(self) -> list[PoolRow]:
        rows = self._db.execute(
            "SELECT p.pool, p.cycle_start, p.asked_at, p.total, p.used, COUNT(m.device), coalesce(SUM(m.used), 0),"
            f" CASE WHEN MAX(m.granted) >= 0 THEN SUM(max(m.granted, 0)) ELSE {UNKNOWN} END,"
            " coalesce(MAX(m.used), 0)"
            f" FROM pool AS p LEFT JOIN {_MEMBERS} AS m ON m.pool = p.pool GROUP BY p.pool ORDER BY p.pool"
        )
        return [PoolRow._make(each) for each in rows]

    def has(self, pool: str) -> bool:
        return self._db.execute("SELECT 1 FROM pool WHERE pool = ?", (pool,)).fetchone() is not None

    def members(self, pool: str, sort: str, after: Key | None, before: Key | None, most: int = PAGE) -> Page[MemberRow]:
        return MEMBERS.page(self._db, sort, Where(), after, before, most, _of(pool))

    def every_member(self, pool: str, sort: str) -> Iterator[MemberRow]:
        return MEMBERS.every(self._db, sort, _of(pool))


def _of(pool: str) -> Where:
    return Where(("pool = ?",), (pool,))
