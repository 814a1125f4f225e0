"""SIMs that still cost and do little or nothing. What counts as one is defined here, and the page says it."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from host_tools.fleet.paging import PAGE, Key, Page, Table, Where
from host_tools.platforms.interface import Life
from host_tools.platforms.ledger import Sim

SPAN = timedelta(days=30)
"""Without a report for so long a device is dead; of so long it is seen whether it is idle."""
PERMILLE = 10
"""Of the allowance: a device that used less in SPAN is idle."""
_FREE = (Life.TEST, Life.SILENT, Life.STOCK, Life.GONE)


class Kind(enum.StrEnum):
    """`UNHEARD`: its device has never reported. `DEAD`: not for SPAN. `IDLE`: it reports, but hardly uses data."""

    UNHEARD = "unheard"
    DEAD = "dead"
    IDLE = "idle"


def costs(sim: Sim | None) -> bool:
    """Whether a SIM is paid for, as far as the platform says; one that it says nothing of is."""
    return sim is None or sim.life not in _FREE


COLUMNS = f"""
    in_use INTEGER NOT NULL DEFAULT 1, month INTEGER NOT NULL DEFAULT -1,
    idle INTEGER NOT NULL GENERATED ALWAYS AS (
        in_use AND month >= 0 AND allowance > 0 AND month * 1000 < allowance * {PERMILLE}
    ) STORED,
"""
"""Of the index's table `device`. `in_use`: see `costs`; `month`: what was used in SPAN, UNKNOWN of a younger device."""
SCHEMA = """
CREATE INDEX by_idle ON device (seen, device) WHERE idle = 1;
CREATE TABLE unheard (
    device TEXT NOT NULL PRIMARY KEY, sim TEXT NOT NULL, life TEXT NOT NULL, allowance INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


class IdleRow(NamedTuple):
    device: str
    state: int
    seen: str
    month: int
    allowance: int
    tags: str


class Unheard(NamedTuple):
    """A SIM whose device has never reported; `allowance` is 0 where the platform does not say."""

    device: str
    sim: str
    life: str
    allowance: int


_HEARD = Table(IdleRow, "device", {"seen": ("seen", False)})
_UNHEARD = Table(Unheard, "unheard", {"device": ("device", False)})


def put_unheard(db: sqlite3.Connection, sims: Iterable[Sim]) -> None:
    """Replaces them all."""
    db.execute("DELETE FROM unheard")
    rows = ((each.device, each.sim, each.life, each.total_octets or 0) for each in sims if costs(each))
    db.executemany("INSERT INTO unheard VALUES (?, ?, ?, ?)", rows)


class Idle:
    """Reads them; one thread at a time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def counts(self, now: datetime) -> dict[Kind, int]:
        found = {}
        for kind in Kind:
            where, table = _where(kind, now), "unheard" if kind is Kind.UNHEARD else "device"
            found[kind] = self._db.execute(f"SELECT COUNT(*) FROM {table}{where}", where.values).fetchone()[0]
        return found

    def unheard(self, after: Key | None, before: Key | None, most: int = PAGE) -> Page[Unheard]:
        return _UNHEARD.page(self._db, "device", Where(), after, before, most)

    def heard(
        self, kind: Kind, now: datetime, after: Key | None, before: Key | None, most: int = PAGE
    ) -> Page[IdleRow]:
        """The longest silent first."""
        return _HEARD.page(self._db, "seen", _where(kind, now), after, before, most)

    def every(self, kind: Kind, now: datetime) -> Iterator[Unheard | IdleRow]:
        """All of a kind, in the order of its pages."""
        if kind is Kind.UNHEARD:
            return _UNHEARD.every(self._db, "device", Where())
        return _HEARD.every(self._db, "seen", _where(kind, now))


def _where(kind: Kind, now: datetime) -> Where:
    begin = (now - SPAN).astimezone(UTC).isoformat()
    if kind is Kind.DEAD:
        return Where(("in_use = 1", "seen <= ?"), (begin,))
    return Where(("idle = 1", "seen > ?"), (begin,)) if kind is Kind.IDLE else Where()
