"""Reads past usage from a CSV file or from the collector's database.

A history has a curve for each device: octets since its first point, against time, linear between points.

CSV: as `platforms.exports` reads it. A row has the octets of its day or month, or those up to its end; without either,
those up to the device's next row. If at least half of a device's rows have the same distance, no such row lasts longer
than that, so that nothing was used in a gap; the last one lasts as long as the usual one, or as the one before it.
Octets are spread evenly over the time of a row. Rows may be in any order, and may overlap.

Database: a device's lifetime octets, as reports told them, from the first report that arrived to the last one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host_tools.base import days, files
from host_tools.base.errors import UsageError
from host_tools.base.units import quote
from host_tools.platforms.exports import read as exports
from host_tools.platforms.exports.read import MOST_OCTETS, Asked

Ints = NDArray[np.int64]

_SQLITE = b"SQLite format 3\0"
_HINT = f"{exports.HINT}, or the collector's database"


@dataclass(frozen=True)
class Curve:
    """The usage of a device: at `times`, in rising seconds since 2000-01-01 UTC, the octets since the first of them.

    `packets` likewise; None if they are not known. `rows`: beginning, end and octets of each row of the file, within
    which usage is even; None where these are the curve's own points.
    """

    device: str
    times: Ints
    octets: Ints
    packets: Ints | None = None
    rows: tuple[Ints, Ints, Ints] | None = None

    @property
    def seconds(self) -> int:
        return int(self.times[-1] - self.times[0])

    @property
    def total(self) -> int:
        return int(self.octets[-1])

    def astride(self, second: int, length_s: int) -> int:
        """The octets of rows of which neither all was used in the `length_s` seconds from that second of each UTC day
        on, nor all of it outside them."""
        begin, end, octets = self.rows or (self.times[:-1], self.times[1:], np.diff(self.octets))
        into, lasts = (begin - second) % days.DAY_S, end - begin
        inside = into + lasts <= length_s
        outside = (into >= length_s) & (into + lasts <= days.DAY_S)
        return int(octets[~(inside | outside)].sum())


@dataclass(frozen=True)
class History:
    """The curves of a file, by device; `notes` are sentences about what was ignored.

    `split`: of each curve in turn, the part that was used at home and the part elsewhere, over the same time; None
    where that is not known. `places`: all in which something was used, as far as the file says it.
    """

    where: str
    curves: list[Curve]
    notes: list[str] = field(default_factory=list)
    split: list[tuple[Curve, Curve]] | None = None
    places: frozenset[str] = frozenset()

    @property
    def total(self) -> int:
        return sum(curve.total for curve in self.curves)

    @property
    def seconds(self) -> int:
        """The sum over all devices."""
        return sum(curve.seconds for curve in self.curves)


def load(path: Path, asked: Asked) -> History:
    """Reads a file of either kind; `asked` says of a CSV file what it does not say itself. UsageError for bad input."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    except OSError as error:
        raise files.unreadable(error, str(path), _HINT) from None
    return _database(path) if head == _SQLITE else from_export(exports.load(path, asked))


# --- CSV ---


def from_export(export: exports.Export) -> History:
    """The curves of a portal's export. UsageError for rows that make none."""
    sims = sorted(export.sims.items())
    curves = [_curve(device, rows, export) for device, rows in sims]
    split = None
    if export.has_home:
        split = [(_curve(device, rows, export, 0), _curve(device, rows, export, 1)) for device, rows in sims]
    return History(export.where, curves, export.notes, split, frozenset(export.places))


def _curve(device: str, rows: exports.Rows, export: exports.Export, away: int | None = None) -> Curve:
    """The curve of a device; of `away`, that of the rows with this mark, over the time of all."""
    columns = (rows.times, rows.lengths, rows.octets, rows.packets, rows.lines, rows.away)
    arrays = [np.frombuffer(column, np.int64) for column in columns]
    order = np.lexsort((arrays[1], arrays[0]))
    times, lengths, octets, packets, lines, marks = (column[order] for column in arrays)
    if away is not None:
        octets, packets = octets * (marks == away), packets * (marks == away)
    total = int(octets.sum(dtype=object)), int(packets.sum(dtype=object))
    if max(total) > MOST_OCTETS:
        raise UsageError(
            export.where, "", "the sum is more than 2^44 octets", "octets are those of each row, not running sums"
        )
    if len(times) > 1:
        first = np.append(True, (np.diff(times) != 0) | (np.diff(lengths) != 0))
        begin = np.flatnonzero(first)
        times, lengths, lines = times[begin], lengths[begin], lines[begin]
        octets, packets = np.add.reduceat(octets, begin), np.add.reduceat(packets, begin)
    if not lengths[-1] and len(times) == 1:
        hint = "give two rows or more, or dates"
        raise UsageError(export.where, f"line {lines[0]}, time", "a single time has no length", hint)
    steps = np.diff(times)
    ends = times + np.where(lengths > 0, lengths, _usual(steps, len(times)))
    ends[:-1] = np.where(lengths[:-1] > 0, ends[:-1], np.minimum(ends[:-1], times[1:]))
    counted = packets if export.has_packets else None
    if (ends[:-1] > times[1:]).any() or not steps.all():
        return Curve(device, *_overlapping(times, ends, octets, counted), (times, ends, octets))
    return Curve(device, *_points(times, ends, octets, counted), (times, ends, octets))


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


def _overlapping(times: Ints, ends: Ints, octets: Ints, packets: Ints | None) -> tuple[Ints, Ints, Ints | None]:
    """The curve of sessions that overlap: each adds what it has used by then, rounded down until it ends."""
    at = np.unique(np.concatenate((times, ends)))
    sessions = list(zip(times.tolist(), ends.tolist(), strict=True))

    def running(counts: Ints) -> Ints:
        sums, ended, begun = [], 0, 0
        active: list[tuple[int, int, int]] = []
        each = counts.tolist()
        for now in at.tolist():
            while begun < len(sessions) and sessions[begun][0] < now:
                active.append((*sessions[begun], each[begun]))
                begun += 1
            ended += sum(count for _, end, count in active if end <= now)
            active = [session for session in active if session[1] > now]
            sums.append(ended + sum(count * (now - start) // (end - start) for start, end, count in active))
        return np.array(sums, np.int64)

    return at, running(octets), None if packets is None else running(packets)


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
