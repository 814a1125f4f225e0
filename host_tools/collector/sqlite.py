"""The collector's database in a SQLite file, for one collector, and for the commands beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from host_tools.collector.database import Database, Row, StoreError, UnavailableError, replacing


class SqliteDatabase(Database):
    """A file, which is created if it is not there; `:memory:` is none. A write waits for other processes for `busy_s`
    seconds at the most."""

    postgresql = False
    among = "SELECT value FROM json_each(?)"

    def __init__(self, path: str | Path, busy_s: float) -> None:
        try:
            self.connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _from_sqlite(error) from error

    def set_up(self) -> None:
        # WAL: readers are not blocked by a write. FULL: an acknowledged report survives a power cut.
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = FULL")

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        try:
            return self.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _from_sqlite(error) from error

    def _execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            self.connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise _from_sqlite(error) from error

    def _insert_many(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], key: str) -> None:
        """With few statements: during each one the interpreter's other threads get their turn, and to change between
        threads takes longer than a row. Their sizes are few too, so that each is prepared once."""
        done = 0
        while left := min(len(rows) - done, _MOST_ROWS):
            small = max(left.bit_length() - _SIZE_BITS, 0)
            count = left >> small << small
            self._execute(_insert(table, columns, count, key), [*chain.from_iterable(rows[done : done + count])])
            done += count

    def others_version(self) -> Any:
        return self.execute("PRAGMA data_version")

    @property
    def changes(self) -> int:
        return self.connection.total_changes

    def close(self) -> None:
        self.connection.close()

    def layout(self) -> int:
        return self.execute("PRAGMA user_version")[0][0]

    def has_tables(self) -> bool:
        return self.first("SELECT 1 FROM sqlite_schema WHERE name = 'report'") is not None

    def note_layout(self, layout: int) -> None:
        self.execute(f"PRAGMA user_version = {layout}")

    def begin(self) -> None:
        # IMMEDIATE takes the write lock first: a transaction that reads and then finds the lock taken fails at once.
        self.execute("BEGIN IMMEDIATE")

    @property
    def _is_open(self) -> bool:
        return self.connection.in_transaction

    @property
    def raw(self) -> sqlite3.Connection:
        return self.connection


_MOST_ROWS = 256  # of a statement; SQLite takes 32,766 values
_SIZE_BITS = 3  # of a statement's size that are not 0


@lru_cache(maxsize=128)
def _insert(table: str, columns: tuple[str, ...], rows: int, key: str) -> str:
    row = f"({', '.join('?' * len(columns))})"
    values = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"
    return values + (replacing(columns, key) if key else "")


_HINTS = {  # by SQLite's primary result code
    sqlite3.SQLITE_BUSY: "another program writes to it: try again",
    sqlite3.SQLITE_FULL: "nothing was changed; make room on its disk",
    sqlite3.SQLITE_READONLY: "run this as the user who owns it",
    sqlite3.SQLITE_CANTOPEN: "run this as the user who owns it",
}


def _from_sqlite(error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind = UnavailableError if isinstance(error, sqlite3.OperationalError) else StoreError
    return kind(str(error), _HINTS.get(code, ""))
