"""What the devices reported and were ordered, in SQLite: idempotent, with the gaps and contradictions in it."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from host_tools.collector.order import MAX_COUNTER, Order
from host_tools.collector.verify import Report, decode_report

_SCHEMA = """
CREATE TABLE IF NOT EXISTS report (
    device TEXT NOT NULL,
    boot_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    path TEXT NOT NULL,
    cycle_id INTEGER NOT NULL,
    carried_octets INTEGER NOT NULL,
    rated_octets INTEGER NOT NULL,
    payload BLOB NOT NULL,
    counter INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device, boot_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm (
    device TEXT NOT NULL,
    received_at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sent_order (
    device TEXT NOT NULL,
    counter INTEGER NOT NULL,
    sent_at TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (device, counter)
) STRICT, WITHOUT ROWID;
"""
_LAYOUT = 1  # PRAGMA user_version; 0 is a new file, or one without orders
_TO_LAYOUT_1 = "ALTER TABLE report ADD COLUMN counter INTEGER NOT NULL DEFAULT 0"

# What never goes back as (boot_id, seq) goes on.
_CUMULATIVE = ("cycle_id", "carried_octets", "rated_octets", "counter")


class Outcome(enum.Enum):
    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"  # its (device, boot_id, seq) is taken by other content


@dataclass(frozen=True, slots=True)
class Received:
    device: str
    received_at: datetime
    path: str  # "coap" or "sms"
    report: Report


@dataclass(frozen=True, slots=True)
class Gap:
    """Reports `first` to `last` of one boot that were sent and have not arrived."""

    boot_id: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Alarm:
    """`kind` "usage_went_back": a cumulative figure dips; "sequence_reused": one report number, two contents.

    Either means that the device's flash was rolled back, or that two devices have one key.
    """

    device: str
    received_at: datetime
    kind: str
    detail: str


class Store:
    """Reports by (device, boot_id, seq), orders by (device, counter).

    A file that is not there is created, one of an earlier collector is brought up to date; the default lives
    in memory. sqlite3.Error: the file is none of these, or a later collector's.
    """

    def __init__(self, path: str | Path = ":memory:") -> None:
        self._db = sqlite3.connect(path)
        try:
            self._open()
        except sqlite3.Error:
            self._db.close()
            raise

    def _open(self) -> None:
        (layout,) = self._db.execute("PRAGMA user_version").fetchone()
        if layout > _LAYOUT:
            raise sqlite3.DatabaseError(f"of a later collector: its layout is {layout}, this one's {_LAYOUT}")
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        migration = f"{_TO_LAYOUT_1};" if layout == 0 and "report" in tables else ""
        self._db.executescript(f"BEGIN; {migration} {_SCHEMA} PRAGMA user_version = {_LAYOUT}; COMMIT;")

    def close(self) -> None:
        self._db.close()

    def add(self, device: str, report: Report, payload: bytes, received_at: datetime, path: str) -> Outcome:
        """Keeps one verified report; on disk when this returns. A second copy changes nothing."""
        key = (device, report.boot_id, report.seq)
        with self._db:
            known = self._db.execute(
                "SELECT payload FROM report WHERE device = ? AND boot_id = ? AND seq = ?", key
            ).fetchone()
            if known is not None:
                if known[0] == payload:
                    return Outcome.DUPLICATE
                detail = f"boot {report.boot_id} report {report.seq} came again with other figures"
                self._alarm(device, received_at, "sequence_reused", detail)
                return Outcome.CONFLICT
            for detail in self._contradictions(device, report):
                self._alarm(device, received_at, "usage_went_back", detail)
            figures = tuple(getattr(report, name) for name in _CUMULATIVE)
            self._db.execute(
                f"INSERT INTO report (device, boot_id, seq, received_at, path, {', '.join(_CUMULATIVE)}, payload)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, received_at.isoformat(), path, *figures, payload),
            )
        return Outcome.NEW

    def devices(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT DISTINCT device FROM report ORDER BY device")]

    def latest(self, device: str) -> Received | None:
        """The report with the highest (boot_id, seq), whatever order they arrived in."""
        return next(self._received(device, "ORDER BY boot_id DESC, seq DESC LIMIT 1"), None)

    def history(self, device: str) -> list[Received]:
        """Every report of a device in the order in which it was made."""
        return list(self._received(device, "ORDER BY boot_id, seq"))

    def as_of(self, device: str, instant: datetime) -> Received | None:
        """The newest report that had arrived by then: of those that came at one time the last one made."""
        until = instant.astimezone(UTC).isoformat()
        order = "AND received_at <= ? ORDER BY received_at DESC, boot_id DESC, seq DESC LIMIT 1"
        return next(self._received(device, order, until), None)

    def maximum(self, device: str) -> tuple[int, int]:
        """The device's (carried, rated) octets over its life: the most that it ever reported."""
        row = self._db.execute(
            "SELECT MAX(carried_octets), MAX(rated_octets) FROM report WHERE device = ?", (device,)
        ).fetchone()
        return row[0] or 0, row[1] or 0

    def reports_received(self, device: str) -> int:
        return self._db.execute("SELECT COUNT(*) FROM report WHERE device = ?", (device,)).fetchone()[0]

    def gaps(self, device: str) -> list[Gap]:
        """What is missing within each boot. Behind the last report of a boot no loss can be seen."""
        missing = []
        boot_id, expected = -1, 0
        rows = self._db.execute(
            "SELECT boot_id, seq FROM report WHERE device = ? ORDER BY boot_id, seq", (device,)
        )
        for boot, seq in rows:
            if boot != boot_id:
                boot_id, expected = boot, 0
            if seq != expected:
                missing.append(Gap(boot, expected, seq - 1))
            expected = seq + 1
        return missing

    def reports_lost(self, device: str) -> int:
        return sum(len(gap) for gap in self.gaps(device))

    def alarms(self, device: str) -> list[Alarm]:
        rows = self._db.execute(
            "SELECT device, received_at, kind, detail FROM alarm WHERE device = ? ORDER BY rowid", (device,)
        )
        return [Alarm(name, datetime.fromisoformat(at), kind, detail) for name, at, kind, detail in rows]

    def next_counter(self, device: str) -> int:
        """The number for a new order: above all that were sent, and all that the device reported as applied.

        OverflowError when there is none left.
        """
        after = max(self._applied(device), self._last_sent(device)[0])
        if after >= MAX_COUNTER:
            raise OverflowError(f"{device} has had {after} orders")
        return after + 1

    def add_order(self, device: str, order: Order, sent_at: datetime) -> None:
        """Keeps an order that is about to be sent. ValueError: its counter is not a new one."""
        if order.counter < self.next_counter(device):
            raise ValueError(f"the counter {order.counter} of an order for {device} is used up")
        with self._db:
            self._db.execute(
                "INSERT INTO sent_order VALUES (?, ?, ?, ?)",
                (device, order.counter, sent_at.isoformat(), order.encode()),
            )

    def pending_order(self, device: str) -> Order | None:
        """The order sent last, until a report shows that it, or a later one, was taken."""
        counter, payload = self._last_sent(device)
        return Order.decode(payload) if counter > self._applied(device) else None

    def orders(self, device: str) -> list[tuple[datetime, Order]]:
        """Every order sent to the device, and when first."""
        rows = self._db.execute(
            "SELECT sent_at, payload FROM sent_order WHERE device = ? ORDER BY counter", (device,)
        )
        return [(datetime.fromisoformat(at), Order.decode(payload)) for at, payload in rows]

    def _applied(self, device: str) -> int:
        return self._db.execute("SELECT MAX(counter) FROM report WHERE device = ?", (device,)).fetchone()[0] or 0

    def _last_sent(self, device: str) -> tuple[int, bytes]:
        row = self._db.execute(
            "SELECT counter, payload FROM sent_order WHERE device = ? ORDER BY counter DESC LIMIT 1", (device,)
        ).fetchone()
        return row or (0, b"")

    def _received(self, device: str, order: str, *more: object) -> Iterator[Received]:
        rows = self._db.execute(
            f"SELECT received_at, path, payload FROM report WHERE device = ? {order}", (device, *more)
        )
        for at, path, payload in rows:
            yield Received(device, datetime.fromisoformat(at), path, decode_report(payload))

    def _contradictions(self, device: str, report: Report) -> Iterator[str]:
        """Where a cumulative figure is below the report before it, or above the one behind it."""
        here = (report.boot_id, report.seq)
        columns = f"SELECT boot_id, seq, {', '.join(_CUMULATIVE)} FROM report WHERE device = ?"
        before = self._db.execute(
            f"{columns} AND (boot_id, seq) < (?, ?) ORDER BY boot_id DESC, seq DESC LIMIT 1", (device, *here)
        ).fetchone()
        behind = self._db.execute(
            f"{columns} AND (boot_id, seq) > (?, ?) ORDER BY boot_id, seq LIMIT 1", (device, *here)
        ).fetchone()
        mine = (*here, *(getattr(report, name) for name in _CUMULATIVE))
        for earlier, later in ((before, mine), (mine, behind)):
            if earlier is None or later is None:
                continue
            for name, was, became in zip(_CUMULATIVE, earlier[2:], later[2:], strict=True):
                if became < was:
                    yield (
                        f"{name} {was} in boot {earlier[0]} report {earlier[1]}, "
                        f"{became} in boot {later[0]} report {later[1]}"
                    )

    def _alarm(self, device: str, at: datetime, kind: str, detail: str) -> None:
        self._db.execute("INSERT INTO alarm VALUES (?, ?, ?, ?)", (device, at.isoformat(), kind, detail))
