"""What the devices reported, in SQLite: idempotent, and with the gaps and contradictions in it."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

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
    PRIMARY KEY (device, boot_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm (
    device TEXT NOT NULL,
    received_at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
"""

# What never goes back as (boot_id, seq) goes on.
_CUMULATIVE = ("cycle_id", "carried_octets", "rated_octets")


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
    """Reports by (device, boot_id, seq). A file that is not there is created; the default lives in memory."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        self._db = sqlite3.connect(path)
        self._db.executescript(_SCHEMA)

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
                "INSERT INTO report VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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

    def _received(self, device: str, order: str) -> Iterator[Received]:
        rows = self._db.execute(
            f"SELECT received_at, path, payload FROM report WHERE device = ? {order}", (device,)
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
