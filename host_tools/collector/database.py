"""The collector's SQLite file: its tables, and how a file of an earlier collector gets them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS life (
    device TEXT NOT NULL,
    life INTEGER NOT NULL,
    life_id BLOB,
    since TEXT NOT NULL,
    PRIMARY KEY (device, life)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS report (
    device TEXT NOT NULL,
    life INTEGER NOT NULL,
    boot_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    path TEXT NOT NULL,
    cycle_id INTEGER NOT NULL,
    carried_octets INTEGER NOT NULL,
    rated_octets INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    payload BLOB NOT NULL,
    packets INTEGER,
    sessions INTEGER,
    PRIMARY KEY (device, life, boot_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS report_counter ON report (device, counter);
CREATE TABLE IF NOT EXISTS alarm (
    device TEXT NOT NULL,
    received_at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sim (
    device TEXT NOT NULL PRIMARY KEY,
    sim BLOB NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag (
    tag TEXT NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (tag, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS given_order (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    given_at TEXT NOT NULL,
    given_by TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT NOT NULL,
    before TEXT NOT NULL,
    ended TEXT,
    until TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS given_order_device ON given_order (device);
CREATE TABLE IF NOT EXISTS device_order (
    device TEXT NOT NULL,
    counter INTEGER NOT NULL,
    sent_at TEXT,
    payload BLOB NOT NULL,
    given INTEGER,
    PRIMARY KEY (device, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS device_order_given ON device_order (given);
CREATE TABLE IF NOT EXISTS refused_order (
    device TEXT NOT NULL,
    counter INTEGER NOT NULL,
    refused_at TEXT NOT NULL,
    PRIMARY KEY (device, counter)
) STRICT, WITHOUT ROWID;
"""
LAYOUT = 7  # PRAGMA user_version; 0 is a new file, or one without orders
# Migrations by the layout that they start from; each runs before the schema, on a file that has reports.
_MIGRATIONS = {
    0: "ALTER TABLE report ADD COLUMN counter INTEGER NOT NULL DEFAULT 0;",
    1: "ALTER TABLE report RENAME TO report_1;",
}
_WITH_PACKETS = "ALTER TABLE report ADD COLUMN packets INTEGER; ALTER TABLE report ADD COLUMN sessions INTEGER;"
_WITH_UNTIL = "ALTER TABLE given_order ADD COLUMN until TEXT;"
_FROM_REPORT_1 = """
INSERT INTO life SELECT device, 1, NULL, MIN(received_at) FROM report_1 GROUP BY device;
INSERT INTO report SELECT device, 1, boot_id, seq, received_at, path, cycle_id, carried_octets, rated_octets, counter,
    payload, NULL, NULL FROM report_1;
DROP TABLE report_1;
"""
_FROM_SENT_ORDER = """
INSERT INTO device_order SELECT device, counter, sent_at, payload, NULL FROM sent_order;
DROP TABLE sent_order;
"""

_SAVEPOINT = "SAVEPOINT part", "RELEASE part", "ROLLBACK TO part"
BUSY_S = 5.0  # how long a write waits for another program's lock on the file


class EarlierLayout(sqlite3.DatabaseError):
    """The file is an earlier collector's, and is not to be brought up to date."""


class Database:
    """The connection to one file. With `upgrade` it is created if it is not there, and brought up to date if it is of
    an earlier collector; without, the latter raises EarlierLayout.

    sqlite3.Error: the file is no collector's, or a later one's. Every method may raise it; then nothing was changed.
    One thread at a time may use it, whichever it is; other processes may use the file meanwhile, and a write waits for
    them for `busy_s` seconds at the most.
    """

    def __init__(self, path: str | Path, busy_s: float, upgrade: bool) -> None:
        self.connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        self.execute = self.connection.execute
        try:
            self._open(upgrade)
        except sqlite3.Error:
            self.close()
            raise

    def _open(self, upgrade: bool) -> None:
        (layout,) = self.execute("PRAGMA user_version").fetchone()
        if layout > LAYOUT:
            raise sqlite3.DatabaseError(f"made by a later version: its layout is {layout}, this one's {LAYOUT}")
        if layout < LAYOUT and not upgrade:
            raise EarlierLayout if self._has("report") else sqlite3.DatabaseError("not a collector's")
        # WAL: readers are not blocked by a write. FULL: an acknowledged report survives a power cut.
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = FULL")
        if layout == LAYOUT:
            return
        with self.transaction():
            before_lives = self._has("report") and layout < 2
            steps = [_MIGRATIONS[each] for each in range(layout, 2)] if before_lives else []
            steps += [_WITH_PACKETS] if 2 <= layout < 5 else []
            steps += [_WITH_UNTIL] if layout == 6 else []
            steps += [_SCHEMA, *([_FROM_REPORT_1] if before_lives else [])]
            steps += [_FROM_SENT_ORDER] if self._has("sent_order") else []
            for statement in "".join(steps).split(";"):
                self.execute(statement)
            self.execute(f"PRAGMA user_version = {LAYOUT}")

    def _has(self, table: str) -> bool:
        return self.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone() is not None

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done in the context, or nothing. On disk at its end; inside another one, at that one's end."""
        # IMMEDIATE takes the write lock first: a transaction that reads and then finds the lock taken fails at once.
        inside = self.connection.in_transaction
        begin, end, undo = _SAVEPOINT if inside else ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
        self.execute(begin)
        try:
            yield
            self.execute(end)
        except BaseException:
            if self.connection.in_transaction:  # some errors, such as that of a full disk, have ended it
                self.execute(undo)
                if inside:
                    self.execute("RELEASE part")
            raise
