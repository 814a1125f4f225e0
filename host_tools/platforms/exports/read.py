"""Reads a CSV file of usage, by day, month, session or sample, in the layout of any portal that `layouts` knows.

What the file does not say is asked for, never guessed: a unit, the order of day and month, whether a date stands for
its day or for the month that begins there. Rows of the same SIM and time add up: APNs, or sessions that began together.
A row that stands twice is refused, as the file may be two exports in one. One blank as an amount is no usage, as
OneLink writes it; an empty amount is refused. A part of an octet counts as one, and 1 KB has 1024.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta, timezone, tzinfo
from itertools import islice
from pathlib import Path

from host_tools.base import days, files
from host_tools.base.errors import UsageError
from host_tools.base.units import SIZE_UNITS, quote
from host_tools.platforms.exports import values
from host_tools.platforms.exports.layouts import ASK, LAYOUTS, OCTETS, Columns, columns

MOST_OCTETS = 1 << 44  # of a SIM, 16 TB: so that rated octets fit 64 bits
HINT = "name a CSV file with the columns time and octets"
_LEAST_PACKET = 20  # octets of an IPv4 header, RFC 791 section 3.1
_LAST_S = 65_536 * days.DAY_S  # a device's dates end there, in 2179
_TOTAL = re.compile(r"(grand |sub)?total|sum|合计|总计|小计|汇总", re.IGNORECASE)
DAY, MONTH = "day", "month"


@dataclass(frozen=True)
class Asked:
    """What a person says of a file that the file does not say itself; "" to find out, or to be asked."""

    format: str = ""
    unit: str = ""  # of the amounts, whatever the names of their columns say
    rows: str = ""  # DAY or MONTH: what a date stands for
    dates: str = ""  # values.MDY or values.DMY
    utc_offset_min: int = 480
    home: str = ""  # the place in which the SIM is at home, as the file spells it

    @property
    def zone(self) -> tzinfo:
        return timezone(timedelta(minutes=self.utc_offset_min))

    def checked(self) -> Asked:
        """Returns itself. UsageError names an option that has no such value."""
        choices = {
            "--format": (self.format, list(LAYOUTS)),
            "--unit": (self.unit, list(SIZE_UNITS)),
            "--rows": (self.rows, [DAY, MONTH]),
            "--dates": (self.dates, [values.DMY, values.MDY]),
        }
        for option, (value, known) in choices.items():
            if value and value not in known:
                raise UsageError(option, value, "is not known here", f"use one of {', '.join(known)}")
        return self


class Rows:
    """The rows of a SIM in the order of the file, times in seconds since 2000-01-01 UTC; a length is 0 where the file
    does not say how long a row lasts. `away`: 1 for one that was used elsewhere than at home."""

    def __init__(self) -> None:
        self.times, self.lengths, self.octets, self.packets, self.lines, self.away = (array("q") for _ in range(6))


@dataclass
class Export:
    """A file's rows by SIM ("" without a column for it), and sentences about how it was read. `places`: where they were
    used, none where the file does not say it; `has_home`: one of these is home."""

    where: str
    sims: dict[str, Rows] = field(default_factory=dict)
    has_packets: bool = False
    has_home: bool = False
    places: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def load(path: Path, asked: Asked) -> Export:
    """Reads a file. UsageError names what is wrong with it, or what has to be said about it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise files.unreadable(error, str(path), HINT) from None
    return read(decoded(content, path.name), path.name, asked)


def decoded(content: bytes, where: str) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, or GBK. UsageError for anything else."""
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "gb18030"]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UsageError(where, "", "is neither UTF-8 nor GBK text", f"save it as UTF-8, or {HINT}")


def read(text: str, where: str, asked: Asked) -> Export:
    """`load` for a file's text."""
    return _Reader(text, where, asked.checked()).read()


class _Reader:
    def __init__(self, text: str, where: str, asked: Asked) -> None:
        self.lines = text.splitlines(keepends=True)
        self.skipped = 1 if self.lines[:1] and self.lines[0].lower().startswith("sep=") else 0  # Excel's hint
        head = self.lines[self.skipped] if len(self.lines) > self.skipped else ""
        self.delimiter = max(",;\t", key=head.count)
        self.where = where
        self.asked = asked
        self.zone = asked.zone
        self.order = asked.dates
        self.export = Export(where)
        self.seen: dict[int, int] = {}  # the hash of a row, and its line
        self.kinds: dict[str, int] = {}  # "day" or "month", and the first line of it
        self.dates: set[date] = set()
        self.blanks = self.totals = 0

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self.lines[self.skipped :], delimiter=self.delimiter, strict=True)
        try:
            for row in reader:
                if row and any(row):
                    yield reader.line_num + self.skipped, row
        except csv.Error as error:
            raise UsageError(self.where, f"line {reader.line_num + self.skipped}", f"is not CSV: {error}") from None

    def read(self) -> Export:
        rows = self.rows()
        _, names = next(rows, (0, []))
        if not names:
            raise UsageError(self.where, "", "is empty", HINT)
        found = columns(names, self.where, self.asked.format)
        self.export.has_packets = found.packets is not None
        self.order = self.order or self._order(found)
        for line, row in rows:
            self._take(line, row, found)
        if not self.export.sims:
            raise UsageError(self.where, "", "has no rows of usage", HINT)
        self._judge_dates()
        self._judge_places()
        self._note()
        return self.export

    def _order(self, found: Columns) -> str:
        """What comes first in dates with the year last, by those that tell; "" if the first row has no such date."""
        possible, example = {values.MDY, values.DMY}, ""
        for line, row in islice(self.rows(), 1, None):
            text = row[found.start].strip() if len(row) == found.many else ""
            orders = values.order_of(text)
            if not orders and not example:
                return ""
            example = example or text
            possible &= orders or possible
            if not possible:
                problem = f"{quote(text)} has day and month in another order than the lines before"
                raise UsageError(self.where, f"line {line}, time", problem)
        if len(possible) == 2 and example:
            problem = f"{quote(example)} has two readings"
            raise UsageError(self.where, "", problem, "say which with --dates dmy or --dates mdy")
        return min(possible)

    def _take(self, line: int, row: list[str], found: Columns) -> None:
        if len(row) != found.many:
            problem = f"has {len(row)} fields, the first line {found.many}"
            raise UsageError(self.where, f"line {line}", problem, "give each column a value")
        if any(_TOTAL.fullmatch(cell.strip().rstrip(":：")) for cell in row):
            self.totals += 1
            return
        device = _plain(row[found.device]) if found.device is not None else ""
        if found.device is not None and not device:
            raise UsageError(self.where, f"line {line}, device", "is empty", "name the device")
        at = self._span(row[found.start], line, found, "time")
        length = at.length
        if found.end is not None and row[found.end].strip():
            length = self._span(row[found.end], line, found, "end").start - at.start
            if length < 0:
                raise UsageError(self.where, f"line {line}", "ends before it begins")
            length = length or 1
        elif at.day is not None:
            self.dates.add(at.day)
            self.kinds.setdefault(MONTH if at.is_month else DAY, line)
        octets = sum(self._octets(row[each.index], each.name, each.unit, line) for each in found.amounts)
        packets = 0 if found.packets is None else self._octets(row[found.packets], "packets", OCTETS, line)
        if packets * _LEAST_PACKET > octets:
            problem = f"{packets} packets in {octets} octets"
            hint = f"a packet has {_LEAST_PACKET} octets or more"
            raise UsageError(self.where, f"line {line}, packets", problem, hint)
        place = "" if found.place is None else _plain(row[found.place])
        if found.place is not None:
            self.export.places.add(place)
        twin = self.seen.setdefault(hash(tuple(row)), line)
        if twin != line:
            hint = "remove it, if the file is two exports in one"
            raise UsageError(self.where, f"line {line}", f"is line {twin} once more", hint)
        rows = self.export.sims.get(device)
        if rows is None:
            rows = self.export.sims[device] = Rows()
        columns = (rows.times, rows.lengths, rows.octets, rows.packets, rows.lines, rows.away)
        taken = (at.start, length, octets, packets, line, int(place != self.asked.home))
        for column, value in zip(columns, taken, strict=True):
            column.append(value)

    def _octets(self, text: str, name: str, unit: str, line: int) -> int:
        place = f"line {line}, {name}"
        if text and not text.strip():
            self.blanks += 1
            return 0
        if not text:
            raise UsageError(self.where, place, "is empty", "give octets, as in 1048576, or 0")
        if self.asked.unit and name != "packets":
            unit = self.asked.unit
        try:
            if unit == ASK and not text.strip()[-1:].isalpha():
                problem = f"{quote(text)} has no unit, nor has its column's name"
                raise UsageError(self.where, place, problem, "say which it is, as in --unit MB")
            octets = values.octets(_plain(text), unit, self.delimiter == ";")
        except values.Ambiguous as error:
            raise UsageError(self.where, place, str(error), error.hint) from None
        except ValueError as error:
            raise UsageError(self.where, place, str(error), "give octets, as in 1048576") from None
        if octets > MOST_OCTETS:
            raise UsageError(self.where, place, f"{quote(text)} is more than 2^44 octets", "give less")
        return octets

    def _span(self, text: str, line: int, found: Columns, name: str) -> values.Span:
        text = _plain(text)
        try:
            at = values.span(text, self.zone, self.order, found.layout.month_day)
        except (ValueError, OverflowError, OSError):
            hint = "give it as in 2026-03-15 or 2026-03-15T08:00:00+08:00"
            problem = f"{quote(text)} is not a date or time"
            raise UsageError(self.where, f"line {line}, {name}", problem, hint) from None
        if at.day is not None and not at.is_month and self.asked.rows == MONTH:
            at = values.month_from(at.day, self.zone)
        if not days.DAY_S <= at.start < _LAST_S:
            hint = "give a time of 2000 to 2178"
            raise UsageError(self.where, f"line {line}, {name}", f"{quote(text)} is out of range", hint)
        return at

    def _judge_dates(self) -> None:
        """UsageError for months among days, and for dates that look like the beginnings of months."""
        if len(self.kinds) == 2:
            problem = f"is a month, and line {self.kinds[DAY]} a day"
            raise UsageError(self.where, f"line {self.kinds[MONTH]}", problem, "give days or months")
        apart = len(self.dates) > 1 and len({day.day for day in self.dates}) == 1
        if apart and DAY in self.kinds and not self.asked.rows:
            problem = f"each of its dates is day {next(iter(self.dates)).day} of a month"
            raise UsageError(self.where, "", problem, "say what a row stands for with --rows day or --rows month")

    def _judge_places(self) -> None:
        """UsageError for a home in which nothing was used."""
        home, places = self.asked.home, self.export.places
        self.export.has_home = bool(home)
        if home and home not in places:
            there = f"there are {', '.join(map(quote, sorted(places)))}" if places else "it has no column of countries"
            raise UsageError("--home", home, f"is not in {self.where}", there)

    def _note(self) -> None:
        notes = self.export.notes
        if MONTH in self.kinds:
            notes.append("its rows are months: the use of each is spread evenly over its days")
        if self.totals:
            notes.append(f"{self.totals:,} rows with totals are left out" if self.totals > 1 else "a total is left out")
        if self.blanks:
            notes.append(f"{self.blanks:,} blank amounts are no usage")


def _plain(text: str) -> str:
    """A cell without what keeps Excel from making a number of it: a tab, ="…" or an apostrophe."""
    text = text.strip()
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text.lstrip("'").strip()
