"""The fleet's table as a page needs it: sorted, filtered, a page at a time, for any number of devices.

It is made from the collector's database and kept up to date with it, in a SQLite file of its own that lasts as long as
the process: what is shown of a device is in no table of the collector's, and is to be found by an index.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from host_tools.fleet import bills, idle, pools
from host_tools.fleet.bill import Bill
from host_tools.fleet.paging import PAGE, Key, Page, Table, Where, containing
from host_tools.fleet.standing import Standing, State
from host_tools.platforms.ledger import Pool, Sim

_SCHEMA = f"""
CREATE TABLE device (
    device TEXT NOT NULL PRIMARY KEY, state INTEGER NOT NULL, verdict TEXT NOT NULL, reasons TEXT NOT NULL,
    used INTEGER NOT NULL, bound INTEGER NOT NULL, allowance INTEGER NOT NULL, permille INTEGER NOT NULL,
    runs_out TEXT NOT NULL, resumes TEXT NOT NULL, seen TEXT NOT NULL, cycle_id INTEGER NOT NULL,
    drift INTEGER NOT NULL DEFAULT 0, beyond INTEGER NOT NULL DEFAULT 0, compared INTEGER NOT NULL DEFAULT 0,
    said TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '', waiting TEXT NOT NULL DEFAULT '',
    {idle.COLUMNS}
    urgency INTEGER NOT NULL GENERATED ALWAYS AS (
        state * 100000000 + CASE state WHEN 4 THEN CAST(replace(runs_out, '-', '') AS INTEGER)
        ELSE 99999999 - min(permille, 99999999) END
    ) STORED
) STRICT, WITHOUT ROWID;
CREATE INDEX by_state ON device (state, urgency, device);
CREATE INDEX by_day ON device (state, runs_out);
CREATE INDEX by_reasons ON device (reasons, state) WHERE reasons <> '';
CREATE INDEX by_tags ON device (tags) WHERE tags <> '';
CREATE INDEX by_urgency ON device (urgency, device);
CREATE INDEX by_permille ON device (permille, device);
CREATE INDEX by_used ON device (used, device);
CREATE INDEX by_runs_out ON device (runs_out, device);
CREATE INDEX by_seen ON device (seen, device);
CREATE INDEX by_beyond ON device (beyond, device);
"""
SORTS = {
    "urgent": ("urgency", False),
    "device": ("device", False),
    "percent": ("permille", True),
    "used": ("used", True),
    "runs-out": ("runs_out", False),
    "seen": ("seen", False),
    "drift": ("beyond", True),
}
"""By name, the column, and whether the highest comes first."""


class Row(NamedTuple):
    """A device as the table shows it. `drift`: the carrier's figure less the device's, where `compared`; `beyond`: how
    much of that, either way, no step of the bill explains. `said`: what both ends say, see
    `standing.diagnosis`. `waiting`: an order that waits for it. `urgency`: by state, then by the day on which it runs
    out or by how much of the allowance is used."""

    device: str
    state: int
    verdict: str
    reasons: str
    used: int
    bound: int
    allowance: int
    permille: int
    runs_out: str
    resumes: str
    seen: str
    cycle_id: int
    drift: int
    beyond: int
    compared: int
    said: str
    tags: str
    waiting: str
    urgency: int


DEVICES = Table(Row, "device", SORTS)


@dataclass(frozen=True)
class Choice:
    """Which devices a page shows, and in which order. `after` or `before`: where it begins or ends, see `Page`."""

    state: int = 0
    reason: str = ""
    tag: str = ""
    runs_out: str = ""
    text: str = ""
    sort: str = "urgent"
    after: Key | None = None
    before: Key | None = None

    @property
    def is_all(self) -> bool:
        """Whether it leaves no device out."""
        return not (self.state or self.reason or self.tag or self.runs_out or self.text)


@dataclass(frozen=True)
class Summary:
    """Counts of the whole fleet. `days`: how many devices run out on each day; `reasons`: of those that are stopped."""

    devices: int
    states: dict[int, int]
    days: dict[str, int]
    reasons: dict[str, int]
    tags: list[str]


class Index:
    """One thread may write and others read at the same time, each with a `Reader` of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="usageguard-fleet-")
        self.path = Path(self._folder.name) / "index.sqlite"
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        for schema in (_SCHEMA, bills.SCHEMA, idle.SCHEMA, pools.SCHEMA):
            self._db.executescript(schema)

    def close(self) -> None:
        self._db.close()
        self._folder.cleanup()

    def put(self, standings: Iterable[Standing], more: Iterable[tuple[str, str, str, str]] = ()) -> None:
        """Adds or replaces devices; `more`: device, said, tags, waiting."""
        columns = (*Row._fields[: Row._fields.index("drift")], "in_use")
        update = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                f"INSERT INTO device ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
                f" ON CONFLICT (device) DO UPDATE SET {update}",
                (
                    (
                        each.device, int(each.state), each.verdict, " ".join(each.reasons), each.used, each.bound,
                        each.allowance, each.permille, each.runs_out, each.resumes,
                        each.seen.astimezone(UTC).isoformat(), each.cycle_id, int(each.in_use),
                    )
                    for each in standings
                ),
            )  # fmt: skip
            self._db.executemany("UPDATE device SET said = ?2, tags = ?3, waiting = ?4 WHERE device = ?1", more)

    def put_bills(self, found: Sequence[tuple[str, Bill]]) -> None:
        """Adds or replaces bills, each with the source of its figure, the oldest first; a device's last one says how
        far it and the carrier are apart now."""
        with self._db:
            self._db.execute("BEGIN")
            bills.put(self._db, found)
            self._db.executemany(
                "UPDATE device SET drift = ?, beyond = ?, compared = 1 WHERE device = ?",
                ((each.difference, abs(each.unexplained), each.facts.device) for _, each in found),
            )

    def billed(self, device: str) -> set[tuple[str, str, int]]:
        return bills.known(self._db, device)

    def put_months(self, months: Iterable[tuple[str, int]]) -> None:
        """What each device used in `idle.SPAN`."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("UPDATE device SET month = ?2 WHERE device = ?1", months)

    def put_unheard(self, sims: Iterable[Sim]) -> None:
        with self._db:
            self._db.execute("BEGIN")
            idle.put_unheard(self._db, sims)

    def put_pools(self, found: Iterable[Pool]) -> None:
        with self._db:
            self._db.execute("BEGIN")
            pools.put(self._db, found)

    def fall_silent(self, before: datetime) -> set[str]:
        """Devices not heard of since are silent from now on; those that are new among them."""
        rows = self._db.execute(
            "UPDATE device SET state = ? WHERE seen <= ? AND state > ? RETURNING device",
            (State.SILENT, before.astimezone(UTC).isoformat(), State.SILENT),
        )
        return {device for (device,) in rows}


class Reader:
    """A connection for one thread at a time."""

    def __init__(self, index: Index) -> None:
        self.path = index.path
        name = f"file:{index.path}?mode=ro"
        self._db = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
        self._summary: tuple[int, Summary] | None = None
        self.bills = bills.Bills(self._db)
        self.idle = idle.Idle(self._db)
        self.pools = pools.Pools(self._db)

    @property
    def raw(self) -> sqlite3.Connection:
        return self._db

    def close(self) -> None:
        self._db.close()

    def forget(self) -> None:
        """Counts all anew the next time."""
        self._summary = None
        self.bills.forget()

    def page(self, choice: Choice, most: int = PAGE) -> Page[Row]:
        return DEVICES.page(self._db, choice.sort, _where(self._db, choice), choice.after, choice.before, most)

    def every(self, choice: Choice) -> Iterable[Row]:
        """All devices of a choice, in its order."""
        return DEVICES.every(self._db, choice.sort, _where(self._db, choice))

    def one(self, device: str) -> Row | None:
        found = self._db.execute(f"SELECT {DEVICES.columns} FROM device WHERE device = ?", (device,)).fetchone()
        return Row._make(found) if found else None

    def some(self, devices: Sequence[str]) -> list[Row]:
        """Those of the devices that are known."""
        named = "device IN (SELECT value FROM json_each(?))"
        rows = self._db.execute(f"SELECT {DEVICES.columns} FROM device WHERE {named}", (json.dumps(devices),))
        return [Row._make(each) for each in rows]

    def count(self, choice: Choice) -> int:
        where = _where(self._db, choice)
        return self._db.execute(f"SELECT COUNT(*) FROM device{where}", where.values).fetchone()[0]

    def sums(self) -> tuple[int, int]:
        """Octets that all devices have used, and may use."""
        ((used, allowed),) = self._db.execute(
            "SELECT COALESCE(SUM(used), 0), COALESCE(SUM(MAX(allowance, 0)), 0) FROM device"
        )
        return used, allowed

    def summary(self) -> Summary:
        """Counted anew only where something was written: it takes a look at every device."""
        ((version,),) = self._db.execute("PRAGMA data_version")
        if self._summary is None or self._summary[0] != version:
            self._summary = version, self._summarized()
        return self._summary[1]

    def _summarized(self) -> Summary:
        states = dict(self._db.execute("SELECT state, COUNT(*) FROM device GROUP BY state"))
        days = dict(
            self._db.execute(
                "SELECT runs_out, COUNT(*) FROM device WHERE state = ? GROUP BY runs_out ORDER BY runs_out",
                (State.RUNS_OUT,),
            )
        )
        reasons: dict[str, int] = {}
        for codes, count in self._db.execute(
            "SELECT reasons, COUNT(*) FROM device WHERE state <= ? AND reasons <> '' GROUP BY reasons", (State.STOPPED,)
        ):
            for code in codes.split():
                reasons[code] = reasons.get(code, 0) + count
        tags: set[str] = set()
        for (some,) in self._db.execute("SELECT DISTINCT tags FROM device WHERE tags <> ''"):
            tags |= set(some.split())
        ordered = dict(sorted(reasons.items(), key=lambda each: -each[1]))
        return Summary(sum(states.values()), states, days, ordered, sorted(tags))


def _where(db: sqlite3.Connection, choice: Choice) -> Where:
    where = Where()
    for column, value in (("state", choice.state), ("runs_out", choice.runs_out)):
        if value:
            where += Where((f"{column} = ?",), (value,))
    for column, word in (("reasons", choice.reason), ("tags", choice.tag)):
        if word:
            where += Where((f"instr(' ' || {column} || ' ', ?)",), (f" {word} ",))
    return where + containing(db, choice.text)
