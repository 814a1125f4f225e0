"""The collector's database on a PostgreSQL server, for several collectors at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from host_tools.collector.database import Database, Row, StoreError, UnavailableError, replacing

_WRITERS = 0x5547  # of the advisory lock that every writer of this database takes
_IDLE_MS = 30_000  # in a transaction: a collector that is stopped there lets the others go on
_DEFAULTS = {
    "connect_timeout": 5,
    # A server that is gone without a word is found out; in ms.
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 20,
    "application_name": "usageguard",
}


class PostgresqlDatabase(Database):
    """The database in a URL. A connection that was lost is made anew by the next statement outside a transaction.

    Writers wait for each other, as with SQLite: a transaction takes an advisory lock first. They are short, as a
    collector writes the reports of many devices in one.
    """

    postgresql = True
    among = "SELECT json_array_elements_text(CAST(? AS json))"

    def __init__(self, url: str, busy_s: float) -> None:
        self._busy_ms = max(1, int(busy_s * 1000))  # 0 would be for ever
        try:
            self._conninfo = make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(url)})
        except psycopg.Error as error:
            raise StoreError(str(error).strip(), "write postgresql://USER@HOST/DATABASE") from None
        self._connection: psycopg.Connection | None = None
        self._connect()

    def _connect(self) -> psycopg.Connection:
        try:
            self._connection = connection = psycopg.connect(self._conninfo, autocommit=True)
            for name, ms in (("lock_timeout", self._busy_ms), ("idle_in_transaction_session_timeout", _IDLE_MS)):
                connection.execute("SELECT set_config(%s, %s, false)", (name, str(ms)))
        except psycopg.Error as error:
            raise _from_psycopg(error) from error
        return connection

    @property
    def raw(self) -> psycopg.Connection:
        """The connection; another one after it was lost, but not within a transaction."""
        connection = self._connection
        return self._connect() if connection is None or connection.closed else connection

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        try:
            cursor = self.raw.execute(_translated(statement), values or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise _from_psycopg(error) from error

    def _execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            with self.raw.cursor() as cursor:
                cursor.executemany(_translated(statement), rows)
        except psycopg.Error as error:
            raise _from_psycopg(error) from error

    def _insert_many(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], key: str) -> None:
        """In one statement, which takes a fifth of the time of one for each row here, and half of it in the server."""
        names = ", ".join(columns)
        if key:
            told = [dict(zip(columns, map(_in_json, row), strict=True)) for row in rows]
            row = f"json_populate_recordset(CAST(NULL AS {table}), ?)"
            statement = f"INSERT INTO {table} ({names}) SELECT {names} FROM {row}{replacing(columns, key)}"
            self._execute(statement, (msgspec.json.encode(told).decode(),))
            return
        try:
            with self.raw.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise _from_psycopg(error) from error

    def others_version(self) -> Any:
        return None

    @property
    def changes(self) -> int:
        return 0

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    def layout(self) -> int:
        if self.execute("SELECT to_regclass('alembic_version')") == [(None,)]:
            return 0
        row = self.first("SELECT version_num FROM alembic_version")
        return int(row[0]) if row else 0

    def has_tables(self) -> bool:
        return self.execute("SELECT to_regclass('report')") != [(None,)]

    def note_layout(self, layout: int) -> None:
        pass  # there are none

    def set_up(self) -> None:
        pass  # the server's settings are its owner's

    def begin(self) -> None:
        self._execute("BEGIN")
        try:
            self._execute("SELECT pg_advisory_xact_lock(?)", (_WRITERS,))
        except StoreError:
            if self._is_open:
                self._execute("ROLLBACK")
            raise

    @property
    def _is_open(self) -> bool:
        connection = self._connection
        return (
            connection is not None
            and not connection.closed
            and connection.info.transaction_status is not TransactionStatus.IDLE
        )

    @property
    def _is_sound(self) -> bool:
        # After an error that was not in a savepoint, the server takes a COMMIT and rolls back.
        return self._is_open and self.raw.info.transaction_status is TransactionStatus.INTRANS


def _in_json(value: Any) -> Any:
    """A value as PostgreSQL reads it in JSON."""
    return f"\\x{value.hex()}" if isinstance(value, bytes) else value


@lru_cache(maxsize=256)
def _translated(statement: str) -> Any:
    return statement.replace("%", "%%").replace("?", "%s")


def _from_psycopg(error: psycopg.Error) -> StoreError:
    problem = str(error).strip().splitlines()
    text = problem[0] if problem else type(error).__name__
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return UnavailableError(text, "another program writes to it: try again")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return UnavailableError(text, "see whether the server runs and takes this user")
    return StoreError(text)
