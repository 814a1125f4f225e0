"""Reads past usage from a CSV file or from the collector's database.

A history has a curve for each device: octets since its first point, against time, linear between points.

CSV: the first line has the names of the columns: `time` (ISO 8601) or `date`, `octets` or `carried_octets`, optionally
`packets` and `device`; others are ignored. A row has the octets from its time on: of that day for a date, else up to
the device's next row. If at least half of a device's rows have the same distance, no row lasts longer than that, so
that nothing was used in a gap. The last row lasts as long as the usual one, or as the one before it. Times without a
zone are in the zone that the caller names. Rows may be in any order.

Database: a device's lifetime octets, as reports told them, from the first report that arrived to the last one.
"""

from __future__ import annotations

import csv
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host_tools.base import days, files
from host_tools.base.errors import UsageError
from host_tools.base.units import quote

Ints = NDArray[np.int64]

MOST_OCTETS = 1 << 44  # of a device, 16 TB: so that rated octets fit 64 bits
_LEAST_PACKET = 20  # octets of an IPv4 header, RFC 791 section 3.1
_LAST_S = 65_536 * days.DAY_S  # a device's dates end there, in 2179
_SQLITE = b"SQLite format 3\0"
_TIMES = ("time", "date")
_OCTETS = ("octets", "carried_octets")
_HINT = "name a CSV file with the columns time and octets, or the collector's database"


@dataclass(frozen=True)
class Curve:
    """The usage of a device: at `times`, in rising seconds since 2000-01-01 UTC, the octets since the first of them.

    `packets` likewise; None if they are not known.
    """

    device: str
    times: Ints
    octets: Ints
    packets: Ints | None = None

    @property
    def seconds(self) -> int:
        return int(self.times[-1] - self.times[0])

    @property
    def total(self) -> int:
        return int(self.octets[-1])


@dataclass(frozen=True)
class History:
    """The curves of a file, by device; `notes` are sentences about what was ignored."""

    where: str
    curves: list[Curve]
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(curve.total for curve in self.curves)

    @property
    def seconds(self) -> int:
        """The sum over all devices."""
        return sum(curve.seconds for curve in self.curves)


def load(path: Path, utc_offset_min: int = 480) -> History:
    """Reads a file of either kind. UsageError for bad input."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
        if head == _SQLITE:
            return _database(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return read_csv(file, path.name, timezone(timedelta(minutes=utc_offset_min)))
    except UnicodeDecodeError:
        raise UsageError(path.name, "", "is not UTF-8 text", f"save it as UTF-8, or {_HINT}") from None
    except OSError as error:
        raise files.unreadable(error, str(path), _HINT) from None


# --- CSV ---


class _Rows:
    """The rows of a device in the order of the file; a length is 0 for a row that lasts up to the next."""

    def __init__(self) -> None:
        self.times, self.lengths, self.octets, self.packets, self.lines = (array("q") for _ in range(5))


def read_csv(lines: Iterable[str], where: str, zone: timezone) -> History:
    """`load` for the lines of a CSV file."""
    reader = csv.reader(lines, strict=True)
    devices: dict[str, _Rows] = {}
    try:
        columns = _columns(next(reader, []), where)
        for row in reader:
            if row and any(row):
                _take(row, reader.line_num, columns, devices, where, zone)
    except csv.Error as error:
        raise UsageError(where, f"line {reader.line_num}", f"is not CSV: {error}") from None
    if not devices:
        raise UsageError(where, "", "has no rows of usage", _HINT)
    counted = columns.packets is not None
    return History(where, [_curve(device, devices[device], where, counted) for device in sorted(devices)])


@dataclass(frozen=True)
class _Columns:
    time: int
    octets: int
    octets_name: str
    packets: int | None
    device: int | None
    many: int


def _columns(names: list[str], where: str) -> _Columns:
    if not names:
        raise UsageError(where, "", "is empty", _HINT)
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and sign in names[0]:
            raise UsageError(where, "line 1", f"its columns are set apart by {name}", "save it with commas")
    names = [name.strip().lower() for name in names]
    for name in (*_TIMES, *_OCTETS, "packets", "device"):
        if names.count(name) > 1:
            raise UsageError(where, "line 1", f'the column "{name}" is not unique', "keep one of them")

    def one_of(choices: Sequence[str]) -> int:
        there = [name for name in choices if name in names]
        if len(there) == 1:
            return names.index(there[0])
        both = [f'"{name}"' for name in choices]
        if there:
            raise UsageError(where, "line 1", f"there are both columns {' and '.join(both)}", "keep one of them")
        problem = f"there is no column {' or '.join(both)}"
        raise UsageError(where, "line 1", problem, "name one of them in the first line")

    def optional(name: str) -> int | None:
        return names.index(name) if name in names else None

    time, octets = one_of(_TIMES), one_of(_OCTETS)
    return _Columns(time, octets, names[octets], optional("packets"), optional("device"), len(names))


def _take(row: list[str], line: int, columns: _Columns, devices: dict[str, _Rows], where: str, zone: timezone) -> None:
    if len(row) != columns.many:
        problem = f"has {len(row)} fields, the first line {columns.many}"
        raise UsageError(where, f"line {line}", problem, "give each column a value")
    device = row[columns.device].strip() if columns.device is not None else ""
    if columns.device is not None and not device:
        raise UsageError(where, f"line {line}, device", "is empty", "name the device")
    at, length = _time(row[columns.time].strip(), line, where, zone)
    rows = devices.get(device)
    if rows is None:
        rows = devices[device] = _Rows()
    rows.times.append(at)
    rows.lengths.append(length)
    octets = _count(row[columns.octets], columns.octets_name, line, where)
    packets = 0 if columns.packets is None else _count(row[columns.packets], "packets", line, where)
    if packets * _LEAST_PACKET > octets:
        problem = f"{packets} packets in {octets} octets"
        raise UsageError(where, f"line {line}, packets", problem, f"a packet has {_LEAST_PACKET} octets or more")
    rows.octets.append(octets)
    rows.packets.append(packets)
    rows.lines.append(line)


def _count(text: str, name: str, line: int, where: str) -> int:
    try:
        count = int(text)
    except ValueError:
        problem = "is empty" if not text.strip() else f"{quote(text)} is not a whole number"
        raise UsageError(where, f"line {line}, {name}", problem, "give octets, as in 1048576") from None
    if not 0 <= count <= MOST_OCTETS:
        problem = f"{count} is negative" if count < 0 else f"{quote(text)} is more than 2^44"
        raise UsageError(where, f"line {line}, {name}", problem, "give a number from 0 to 2^44")
    return count


def _time(text: str, line: int, where: str, zone: timezone) -> tuple[int, int]:
    """(second, length): the length is a day for a date, and 0, not known yet, for a time."""
    try:
        second, length = _second(text, zone)
    except (ValueError, OverflowError):
        hint = "give it as in 2026-03-15 or 2026-03-15T08:00:00+08:00"
        raise UsageError(where, f"line {line}, time", f"{quote(text)} is not a date or time", hint) from None
    if not days.DAY_S <= second < _LAST_S:
        raise UsageError(where, f"line {line}, time", f"{quote(text)} is out of range", "give a time of 2000 to 2178")
    return second, length


@lru_cache(maxsize=65_536)  # a fleet's devices are counted at the same times
def _second(text: str, zone: timezone) -> tuple[int, int]:
    at = datetime.fromisoformat(text)
    length = days.DAY_S if len(text) == len("2026-03-15") else 0
    return days.seconds(at if at.tzinfo else at.replace(tzinfo=zone)), length


def _curve(device: str, rows: _Rows, where: str, counted: bool) -> Curve:
    columns = (rows.times, rows.lengths, rows.octets, rows.packets, rows.lines)
    arrays = [np.frombuffer(column, np.int64) for column in columns]
    order = np.argsort(arrays[0], kind="stable")
    times, lengths, octets, packets, lines = (column[order] for column in arrays)
    steps = np.diff(times)
    if len(steps) and not steps.all():
        twin = int(np.argmin(steps))
        of = f" of {quote(device)}" if device else ""
        problem = f"the time is that of line {lines[twin]}{of}"
        raise UsageError(where, f"line {lines[twin + 1]}", problem, "give each time once, or add a column device")
    total = int(octets.sum(dtype=object)), int(packets.sum(dtype=object))
    if max(total) > MOST_OCTETS:
        raise UsageError(
            where, "", "the sum is more than 2^44 octets", "octets are those of each row, not running sums"
        )
    ends = times + np.where(lengths > 0, lengths, _usual(steps, len(times)))
    if not lengths[-1] and len(steps) == 0:
        hint = "give two rows or more, or dates"
        raise UsageError(where, f"line {lines[0]}, time", "a single time has no length", hint)
    ends[:-1] = np.minimum(ends[:-1], times[1:])
    return Curve(device, *_points(times, ends, octets, packets if counted else None))


def _usual(steps: Ints, rows: int) -> Ints:
    """The most that each row lasts: the usual step if there is one, else the step to the next row."""
    if not len(steps):
        return np.zeros(rows, np.int64)
    values, counts = np.unique(steps, return_counts=True)
    most = int(np.argmax(counts))
    if 2 * counts[most] >= len(steps):
        return np.full(rows, values[most])
    return np.append(steps, steps[-1])


def _points(times: Ints, ends: Ints, octets: Ints, packets: Ints | None) -> tuple[Ints, Ints, Ints | None]:
    """The curve of rows that do not overlap."""
    at = np.empty(2 * len(times), np.int64)
    at[0::2], at[1::2] = times, ends
    keep = np.append(True, np.diff(at) > 0)

    def running(counts: Ints) -> Ints:
        sums = np.zeros(2 * len(counts), np.int64)
        np.cumsum(counts, out=sums[1::2])
        sums[2::2] = sums[1:-1:2]
        return sums[keep]

    return at[keep], running(octets), None if packets is None else running(packets)


# --- the collector's database ---

_QUERY = "SELECT device, received_at, carried_octets, {life} FROM report ORDER BY device"


def _database(path: Path) -> History:
    curves, notes = [], []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            has_lives = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'life'").fetchone()
            query = _QUERY.format(life="life" if has_lives else "1")
            for device, rows in _by_device(db.execute(query)):
                _from_reports(device, rows, path.name, curves, notes)
    except sqlite3.Error as error:
        raise UsageError(path.name, "", f"is not a collector's database: {error}", _HINT) from None
    if not curves:
        problem = "; ".join(notes) or "has no reports"
        raise UsageError(path.name, "", problem, "usage needs at least two reports of a device")
    return History(path.name, curves, notes)


def _by_device(rows: Iterator[Any]) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    device, found = None, []
    for name, *row in rows:
        if name != device:
            if device is not None:
                yield device, found
            device, found = name, []
        found.append(tuple(row))
    if device is not None:
        yield device, found


def _from_reports(
    device: str, rows: list[tuple[str, int, int]], where: str, curves: list[Curve], notes: list[str]
) -> None:
    """What was known when: a report that comes late, with less than is known already, adds nothing. After the loss of a
    ledger the count begins again from 0, in another life."""
    arrived = []
    for at, octets, life in rows:
        try:
            second = days.seconds(datetime.fromisoformat(at))
        except (TypeError, ValueError):
            raise UsageError(where, f"device {quote(device)}", f"{quote(at)} is not the time of a report") from None
        arrived.append((second, life, octets))
    known: dict[int, int] = {}
    most: dict[int, int] = {}
    for second, life, octets in sorted(arrived):
        most[life] = max(most.get(life, 0), octets)
        known[second] = sum(most.values())
    points = list(known.items())
    if len(points) < 2:
        notes.append(f"{device} is left out: usage needs two reports")
        return
    times, octets = (np.array(column, np.int64) for column in zip(*points, strict=True))
    if octets[-1] > MOST_OCTETS:
        raise UsageError(where, f"device {quote(device)}", "reports more than 2^44 octets")
    if octets[0]:
        notes.append(f"{device}: {int(octets[0]):,} octets before its first report are in no period")
    curves.append(Curve(device, times, octets - octets[0]))
