"""The bills of all SIMs as a page needs them, in the index: those of a period sorted, a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from typing import NamedTuple

from host_tools.fleet.bill import STEPS, Bill
from host_tools.fleet.paging import PAGE, Key, Page, Table, Where, containing
from host_tools.fleet.standing import UNKNOWN

SCHEMA = """
CREATE TABLE bill (
    device TEXT NOT NULL, period TEXT NOT NULL, source TEXT NOT NULL, as_of TEXT NOT NULL, reported_at TEXT NOT NULL,
    carried INTEGER NOT NULL, headers INTEGER NOT NULL, retransmissions INTEGER NOT NULL, sessions INTEGER NOT NULL,
    margin INTEGER NOT NULL, late INTEGER NOT NULL, unexplained INTEGER NOT NULL, carrier INTEGER NOT NULL,
    bound INTEGER NOT NULL, packets INTEGER NOT NULL, data_sessions INTEGER NOT NULL, lost INTEGER NOT NULL,
    off INTEGER NOT NULL GENERATED ALWAYS AS (abs(unexplained)) STORED,
    apart INTEGER NOT NULL GENERATED ALWAYS AS (abs(carrier - carried)) STORED,
    PRIMARY KEY (device, period)
) STRICT, WITHOUT ROWID;
CREATE INDEX bill_by_off ON bill (period, off, device);
CREATE INDEX bill_by_apart ON bill (period, apart, device);
CREATE INDEX bill_by_carrier ON bill (period, carrier, device);
CREATE INDEX bill_sums ON bill (
    period, carried, headers, retransmissions, sessions, margin, late, unexplained, carrier
);
"""
SORTS = {
    "unexplained": ("off", True),
    "difference": ("apart", True),
    "carrier": ("carrier", True),
    "device": ("device", False),
}


class BillRow(NamedTuple):
    """A bill: the figures of `Bill` and its facts; `packets` and `data_sessions` are UNKNOWN where no report has told
    them. `off`: how much is unexplained, either way; `apart`: how much the two counts differ."""

    device: str
    period: str
    source: str
    as_of: str
    reported_at: str
    carried: int
    headers: int
    retransmissions: int
    sessions: int
    margin: int
    late: int
    unexplained: int
    carrier: int
    bound: int
    packets: int
    data_sessions: int
    lost: int
    off: int
    apart: int

    @property
    def steps(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in STEPS}


class Total(NamedTuple):
    """All bills of a period, added up."""

    period: str
    devices: int
    carried: int
    headers: int
    retransmissions: int
    sessions: int
    margin: int
    late: int
    unexplained: int
    carrier: int

    @property
    def steps(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in STEPS}


BILLS = Table(BillRow, "bill", SORTS)
_GENERATED = 2  # columns at the end


@dataclass(frozen=True)
class Chosen:
    """Which bills a page shows, and in which order."""

    period: str = ""
    text: str = ""
    sort: str = "unexplained"
    after: Key | None = None
    before: Key | None = None


def put(db: sqlite3.Connection, found: Iterable[tuple[str, Bill]]) -> None:
    """Adds or replaces bills, each with the source of its figure."""
    columns = BillRow._fields[:-_GENERATED]
    db.executemany(
        f"INSERT OR REPLACE INTO bill ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        (_values(source, bill) for source, bill in found),
    )


def _values(source: str, bill: Bill) -> tuple[object, ...]:
    facts = bill.facts
    return (
        facts.device, facts.cycle_start.isoformat(), source, facts.as_of.astimezone(UTC).isoformat(),
        facts.reported_at.astimezone(UTC).isoformat(), facts.carried, bill.headers, bill.retransmissions,
        bill.sessions, bill.margin, bill.late, bill.unexplained, facts.carrier, facts.bound,
        UNKNOWN if facts.packets is None else facts.packets, UNKNOWN if facts.sessions is None else facts.sessions,
        facts.lost,
    )  # fmt: skip


def known(db: sqlite3.Connection, device: str) -> set[tuple[str, str, int]]:
    """The period of each bill, and the carrier's figure that it explains: time and octets."""
    return {*db.execute("SELECT period, as_of, carrier FROM bill WHERE device = ?", (device,))}


class Bills:
    """Reads them; one thread at a time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._totals: tuple[int, dict[str, Total]] | None = None

    def forget(self) -> None:
        """Adds all up anew the next time."""
        self._totals = None

    def page(self, chosen: Chosen, most: int = PAGE) -> Page[BillRow]:
        of_period = Where(("period = ?",), (chosen.period,))
        where = containing(self._db, chosen.text)
        return BILLS.page(self._db, chosen.sort, where, chosen.after, chosen.before, most, of_period)

    def of_period(self, chosen: Chosen) -> Chosen:
        """The choice, of the newest period where it names none."""
        return chosen if chosen.period else replace(chosen, period=next(iter(self.totals()), ""))

    def count(self, chosen: Chosen) -> int:
        where = Where(("period = ?",), (chosen.period,)) + containing(self._db, chosen.text)
        return self._db.execute(f"SELECT COUNT(*) FROM bill{where}", where.values).fetchone()[0]

    def every(self, chosen: Chosen) -> Iterator[BillRow]:
        """All of a choice, in its order."""
        where = Where(("period = ?",), (chosen.period,)) + containing(self._db, chosen.text)
        return BILLS.every(self._db, chosen.sort, where)

    def of(self, device: str) -> list[BillRow]:
        """All of a device, the newest first."""
        rows = self._db.execute(f"SELECT {BILLS.columns} FROM bill WHERE device = ? ORDER BY period DESC", (device,))
        return [BillRow._make(each) for each in rows]

    def totals(self) -> dict[str, Total]:
        """By period, the newest first. Added up anew only where something was written: it looks at every bill."""
        ((version,),) = self._db.execute("PRAGMA data_version")
        if self._totals is None or self._totals[0] != version:
            sums = ", ".join(f"SUM({name})" for name in Total._fields[2:])
            rows = self._db.execute(f"SELECT period, COUNT(*), {sums} FROM bill GROUP BY period ORDER BY period DESC")
            self._totals = version, {row[0]: Total._make(row) for row in rows}
        return self._totals[1]
