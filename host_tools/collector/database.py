"""The connection to the collector's database: a SQLite file, or a PostgreSQL server by its URL.

Both take the same statements, with `?` for a value; what they do not share is in `sqlite`, `postgresql` and `schema`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Row = tuple[Any, ...]


class StoreError(Exception):
    """The database did not do what it was asked to, and nothing was changed. `hint`: what a person may do about it."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class UnavailableError(StoreError):
    """It does nothing of the kind now: it is locked, full, broken or cannot be reached."""


class EarlierLayout(StoreError):
    """The database is an earlier collector's, and is not to be brought up to date."""


class Database(ABC):
    """One connection. Any method may raise StoreError; then nothing was changed.

    One thread at a time may use it, whichever it is; other processes may use the database meanwhile. All writing is
    done in a `transaction`, one at a time over all processes.
    """

    postgresql: bool
    among: str
    """A subquery of the texts in one value, that of `listed`."""
    _depth = 0  # of transactions

    @abstractmethod
    def _execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]: ...

    @abstractmethod
    def _execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None: ...

    @abstractmethod
    def _insert_many(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], key: str) -> None: ...

    @abstractmethod
    def others_version(self) -> Any:
        """Another value after others have written anything; None where that is not known."""

    @property
    @abstractmethod
    def changes(self) -> int:
        """How many rows this connection has written."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def layout(self) -> int:
        """The layout of its tables; 0 for none, or one that has no number yet."""

    @abstractmethod
    def has_tables(self) -> bool:
        """Whether there is a table of a collector's."""

    @abstractmethod
    def note_layout(self, layout: int) -> None:
        """Notes the layout beside alembic's own table, for collectors that know no alembic."""

    @abstractmethod
    def set_up(self) -> None:
        """How this database is to be written from now on."""

    @abstractmethod
    def begin(self) -> None:
        """Begins a transaction that the caller ends, and waits until no other process is in one. See `transaction`."""

    @property
    @abstractmethod
    def _is_open(self) -> bool:
        """Whether a transaction is to be ended."""

    @property
    def _is_sound(self) -> bool:
        """Whether the transaction that is open can go on."""
        return self._is_open

    @property
    @abstractmethod
    def raw(self) -> Any:
        """The driver's own connection."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of a statement; none where it has no result."""
        self._not_lost()
        return self._execute(statement, values)

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._not_lost()
        self._execute_many(statement, rows)

    def insert_many(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], key: str = "") -> None:
        """Adds rows, and where `key` names a column, replaces those with the same value there. In `rows` it has each
        value once."""
        self._not_lost()
        self._insert_many(table, tuple(columns), rows, key)

    def _not_lost(self) -> None:
        """Raises where a transaction has ended by itself: what it has left to do would be done alone."""
        if self._depth and not self._is_sound:
            raise UnavailableError("the transaction has ended")

    def first(self, statement: str, values: Sequence[Any] = ()) -> Row | None:
        rows = self.execute(statement, values)
        return rows[0] if rows else None

    @staticmethod
    def listed(texts: Iterable[str]) -> str:
        """The value for `among`."""
        return json.dumps([*texts])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done in the context, or nothing. On disk at its end; inside another one, at that one's end."""
        inside = self._depth > 0
        if inside:
            self.execute("SAVEPOINT part")
        else:
            self.begin()
        self._depth += 1
        try:
            yield
            self.execute("RELEASE SAVEPOINT part" if inside else "COMMIT")
        except BaseException:
            if self._is_open:  # some errors, such as that of a full disk, have ended it
                for statement in ("ROLLBACK TO SAVEPOINT part", "RELEASE SAVEPOINT part") if inside else ("ROLLBACK",):
                    self._execute(statement)
            raise
        finally:
            self._depth -= 1


def replacing(columns: Sequence[str], key: str) -> str:
    """The end of an INSERT that replaces a row with the same `key`."""
    told = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
    return f" ON CONFLICT ({key}) DO UPDATE SET {told}"


def is_url(name: str | Path) -> bool:
    """Whether it names a PostgreSQL server, not a file."""
    return str(name).startswith(("postgresql://", "postgres://"))


def shown(name: str | Path) -> str:
    """The path, or the URL without what may be secret in it."""
    if not is_url(name):
        return str(name)
    parts = urlsplit(str(name))
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
