"""A table of the index a page at a time, by keys: the hundredth page takes no longer than the first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Key = tuple[Any, str]
R = TypeVar("R", bound=Any)  # a NamedTuple with a field `device`
PAGE = 50
_FEW = 2000  # of devices; among more than these a page is full soon


@dataclass(frozen=True)
class Where:
    """Conditions on the rows, and their values."""

    conditions: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()

    def __add__(self, other: Where) -> Where:
        return Where(self.conditions + other.conditions, self.values + other.values)

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


@dataclass(frozen=True)
class Page(Generic[R]):
    """`back` and `on`: where the pages beside this one end and begin; None where there is none."""

    rows: list[R]
    back: Key | None
    on: Key | None


@dataclass(frozen=True)
class Table(Generic[R]):
    """What is shown: the fields of `row` are columns of `source`, in which `device` and the values of `scope` name a
    row. `sorts`: by name, the column, and whether the highest comes first."""

    row: type[R]
    source: str
    sorts: dict[str, tuple[str, bool]]

    @property
    def columns(self) -> str:
        return ", ".join(self.row._fields)

    def order(self, sort: str) -> str:
        column, down = self.sorts[sort]
        return "device" if column == "device" else f"{column} {'DESC' if down else 'ASC'}, device"

    def every(self, db: sqlite3.Connection, sort: str, where: Where) -> Iterator[R]:
        """All rows that `where` leaves, in order."""
        order = self.order(sort)
        rows = db.execute(f"SELECT {self.columns} FROM {self.source}{where} ORDER BY {order}", where.values)
        return map(self.row._make, rows)

    def page(
        self,
        db: sqlite3.Connection,
        sort: str,
        where: Where,
        after: Key | None = None,
        before: Key | None = None,
        most: int = PAGE,
        scope: Where = Where(),
    ) -> Page[R]:
        column, down = self.sorts[sort]
        key, backwards = before or after, before is not None
        # Of equal keys those with the lower id come first, whichever way the keys go.
        highest_first = down != backwards
        chosen = scope + where
        if key is not None:
            sign, tie = ("<" if highest_first else ">"), ("<" if backwards else ">")
            if column == "device":
                chosen += Where((f"device {tie} ?",), (key[1],))
            else:
                chosen += Where((f"({column} {sign}= ? AND ({column} {sign} ? OR device {tie} ?))",), (*key[:1], *key))
        order = f"device {'DESC' if backwards else 'ASC'}"
        if column != "device":
            order = f"{column} {'DESC' if highest_first else 'ASC'}, {order}"
        # The keys alone, so that an index has all that is looked at; then the rows, which are few.
        keys = db.execute(
            f"SELECT device FROM {self.source}{chosen} ORDER BY {order} LIMIT ?", (*chosen.values, most + 1)
        ).fetchall()
        devices = [device for (device,) in keys]
        has_more = len(devices) > most
        devices = devices[:most][::-1] if backwards else devices[:most]
        named = scope + _named(devices)
        found = db.execute(f"SELECT {self.columns} FROM {self.source}{named}", named.values) if devices else ()
        by_device = {row.device: row for row in map(self.row._make, found)}
        rows = [by_device[device] for device in devices if device in by_device]
        ends = [(getattr(row, column), row.device) for row in (rows[0], rows[-1])] if rows else [None, None]
        has_back, has_on = (has_more, True) if backwards else (key is not None, has_more)
        return Page(rows, ends[0] if has_back else None, ends[1] if has_on else None)


def containing(db: sqlite3.Connection, text: str) -> Where:
    """Devices whose id has this in it, in capitals or not. Few are named, so that no order is gone through for them."""
    if not text:
        return Where()
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    like = Where((r"device LIKE ? ESCAPE '\'",), (f"%{escaped}%",))
    found = db.execute(f"SELECT device FROM device{like} LIMIT ?", (*like.values, _FEW + 1)).fetchall()
    return _named(device for (device,) in found) if len(found) <= _FEW else like


def _named(devices: Iterable[str]) -> Where:
    return Where(("device IN (SELECT value FROM json_each(?))",), (json.dumps([*devices]),))


def to_cursor(key: Key | None) -> str:
    """The key of a page as text for an address."""
    return "" if key is None else json.dumps(key, separators=(",", ":"))


def from_cursor(text: str) -> Key | None:
    """Undoes `to_cursor`. ValueError for other text."""
    if not text:
        return None
    try:
        value, device = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("not a cursor") from None
    if not isinstance(value, int | str) or isinstance(value, bool) or not isinstance(device, str):
        raise ValueError("not a cursor")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise ValueError("not a cursor")
    return value, device
