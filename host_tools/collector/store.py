"""Reports in a database. Adding a report twice changes nothing; gaps and contradictions are recorded.

For parts that keep something beside the reports, such as what a carrier's platform says of a SIM: `Store.database`
takes statements, with `transaction` around those that write; their tables are added to `schema`, with a migration. A
device's figures are `latest`, `as_of` and `days`; what is ordered goes through `book.give`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from host_tools.collector.connect import BUSY_S, IN_MEMORY, connected
from host_tools.collector.database import Row
from host_tools.collector.lives import KnownLives
from host_tools.collector.order_book import OrderBook
from host_tools.collector.tags import Tags
from host_tools.collector.verify import Report, decode_report

# Figures that never decrease from one (boot_id, seq) to the next.
_CUMULATIVE = ("cycle_id", "carried_octets", "rated_octets", "counter")
# Columns of the tables report and newest.
_REPORT = (
    "device",
    "life",
    "boot_id",
    "seq",
    "received_at",
    "path",
    *_CUMULATIVE,
    "payload",
    "packets",
    "sessions",
)
_NEWEST = ("device", "life", "life_id", "boot_id", "seq", *_CUMULATIVE, "applied")


def report_row(device: str, life: int, report: Report, payload: bytes, at: str, path: str) -> Row:
    """A row for `Store.write`."""
    told = (report.packets, report.sessions) if report.packets >= 0 else (None, None)
    figures = (report.cycle_id, report.carried_octets, report.rated_octets, report.counter)
    return (device, life, report.boot_id, report.seq, at, path, *figures, payload, *told)


def newest_row(device: str, life: int, life_id: bytes | None, report: Report, applied: int) -> Row:
    """A device's row for `Store.write`; `applied` is the highest counter that the device reported before."""
    figures = (report.cycle_id, report.carried_octets, report.rated_octets, report.counter)
    return (device, life, life_id, report.boot_id, report.seq, *figures, max(applied, report.counter))


_Newest = tuple[Row, bytes | None]  # a device's row in `newest`, and its SIM
_MOST_KNOWN = 100_000  # devices of which it is kept


class Outcome(enum.Enum):
    NEW = "new"
    DUPLICATE = "duplicate"


class Received(msgspec.Struct, frozen=True, gc=False):
    device: str
    received_at: datetime
    path: str  # "coap", "mqtt" or "sms"
    report: Report


@dataclass(frozen=True, slots=True)
class Gap:
    """Reports `first` to `last` of one boot that were sent and have not arrived."""

    boot_id: int
    first: int
    last: int
    life: int = 1

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a report contradicts. `kind` is one of

    - "new_life": the counts begin again. The ledger was lost, or the board exchanged.
    - "sequence_reused": one report number, two contents. The flash was rolled back, or two boards have one key; of a
      firmware whose reports have no life id, the ledger was lost or the board exchanged.
    - "usage_went_back": a cumulative figure dips within a life. The causes are the same.
    - "sim_changed": another SIM is in the device than before.
    - "sim_elsewhere": the SIM in the device is the one that another device reported last.
    - "carrier_stopped": the carrier's platform shows the SIM or its data service as stopped. The causes are its own.
    - "carrier_stops_first": by its figures the carrier will stop the SIM before the device stops itself.
    - "order_refused": the device refused the order that waited for it, which is then not sent again; or it skipped keys
      of it, for which its plan has no part.
    """

    device: str
    received_at: datetime
    kind: str
    detail: str


class Kept(msgspec.Struct, frozen=True, gc=False):
    """The outcome of adding a report, and the alarms that it raised. With any outcome the report is on disk.

    `may_have_orders` is false where it is known that no order waits for the device.
    """

    outcome: Outcome
    alarms: tuple[Alarm, ...] = ()
    may_have_orders: bool = True


FOLLOWED = Kept(Outcome.NEW, may_have_orders=False)


class Day(msgspec.Struct, frozen=True, gc=False):
    """What a device has reported in a day, by the time when it arrived, UTC: the highest figures of a life."""

    day: date
    life: int
    reports: int
    carried_octets: int
    rated_octets: int


class Store:
    """Reports by (device, life, boot_id, seq); `book` has the orders, `tags` the devices' tags.

    A life is what one ledger counts, from its first record to its loss: within it (boot_id, seq) never comes twice
    and octets never go back. Lives are numbered from 1 in the order in which they were first heard of; the one with
    the highest number is the present one.

    `name` is a path, or the URL of a PostgreSQL database. What is not there is created, what is an earlier collector's
    is brought up to date, but not where `upgrade` is false; the default lives in memory. StoreError: it is none of
    these, or a later collector's. Every method may raise it; then nothing was changed. A write waits for `busy_s`
    seconds at the most while another process has the database locked. One thread at a time may use a store, whichever
    it is. `known_lives` has what was stored here since the start, and the newest report of each device as of then, or
    as of `read_latest`.
    """

    def __init__(self, name: str | Path = IN_MEMORY, busy_s: float = BUSY_S, upgrade: bool = True) -> None:
        self.database = self._db = connected(name, busy_s, upgrade)
        self.book = OrderBook(self._db)
        self.tags = Tags(self._db)
        self.known_lives = KnownLives()
        self._known: dict[str, _Newest] = {}  # what `at_once` found and wrote
        self._known_as_of: tuple[Any, int] = None, 0  # it holds while nothing else was written
        self._followed: dict[str, _Newest] = {}  # the same within `at_once`, where it is sure
        self._rows: list[Row] = []  # of `report`, not yet written
        self._newest_rows: dict[str, Row] = {}
        self._at, self._at_text = datetime.min, ""  # of the report before: many arrive at one time
        for device, life_id in self._db.execute(
            "SELECT device, life_id FROM life WHERE life_id IS NOT NULL ORDER BY device, life"
        ):
            self.known_lives.add(device, life_id)
        self._read_latest("", ())

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def at_once(self, devices: Iterable[str] = ()) -> Iterator[None]:
        """What is stored in the context is on disk at its end, and none of it if the end raises StoreError.

        `devices`: those of which reports will be added. Reports that only continue what is known of them are then
        written together, at the end.
        """
        try:
            with self._db.transaction():
                expected = set(devices)
                if expected:
                    self._followed = self._know(expected)
                yield
                self._flush()
                if expected:
                    self._known_as_of = self._known_as_of[0], self._db.changes
        except BaseException:
            self._known = {}  # what was not written is in it
            raise
        finally:
            self._followed, self._rows, self._newest_rows = {}, [], {}

    def _know(self, devices: set[str]) -> dict[str, _Newest]:
        """What holds for these devices, and for others: read from the database where something else was written."""
        as_of = self._db.others_version(), self._db.changes
        if as_of != self._known_as_of or as_of[0] is None or len(self._known) > _MOST_KNOWN:
            self._known = {}
        self._known_as_of = as_of
        if unknown := [device for device in devices if device not in self._known]:
            self._known |= self._read_newest(unknown)
        return self._known

    def _read_newest(self, devices: Iterable[str]) -> dict[str, _Newest]:
        """Of those of these devices that have reported and for which no order waits."""
        rows = self._db.execute(
            f"SELECT {', '.join(f'n.{name}' for name in _NEWEST)}, sim,"
            " EXISTS (SELECT 1 FROM device_order AS o WHERE o.device = n.device AND o.counter > n.applied AND o.counter"
            " NOT IN (SELECT r.counter FROM refused_order AS r WHERE r.device = n.device))"
            f" FROM newest AS n LEFT JOIN sim AS s ON s.device = n.device WHERE n.device IN ({self._db.among})",
            (self._db.listed(devices),),
        )
        return {row[0]: (row[:-2], row[-2]) for row in rows if not row[-1]}

    def _flush(self) -> None:
        if self._rows:
            self.write(self._rows, [*self._newest_rows.values()])
            self._rows, self._newest_rows = [], {}

    def write(self, reports: Sequence[Row], newest: Sequence[Row]) -> None:
        """Writes rows of new reports, and those of the devices whose newest ones they are."""
        with self._db.transaction():
            self._db.insert_many("report", _REPORT, reports)
            self._db.insert_many("newest", _NEWEST, newest, key="device")

    def read_life_ids(self, devices: Iterable[str]) -> None:
        """Looks for life ids of these devices that other collectors have stored."""
        for device, life_id in self._db.execute(
            f"SELECT device, life_id FROM life WHERE life_id IS NOT NULL AND device IN ({self._db.among})"
            " ORDER BY device, life",
            (self._db.listed(devices),),
        ):
            self.known_lives.add(device, life_id)

    def read_latest(self, devices: Iterable[str]) -> None:
        """Looks for the newest reports of these devices, which other collectors may have stored."""
        self._read_latest(f"AND n.device IN ({self._db.among})", (self._db.listed(devices),))

    def _read_latest(self, where: str, values: Sequence[Any]) -> None:
        for row in self._db.execute(
            "SELECT r.device, n.life_id, r.boot_id, r.seq, r.payload FROM newest AS n JOIN report AS r ON r.device ="
            " n.device AND r.life = n.life AND r.boot_id = n.boot_id AND r.seq = n.seq"
            f" WHERE n.life_id IS NOT NULL {where}",
            values,
        ):
            self.known_lives.follow(*row)

    def add(self, device: str, report: Report, payload: bytes, received_at: datetime, path: str) -> Kept:
        """Stores one verified report; it is on disk when this returns, or at the end of `at_once`. A second copy
        changes nothing.

        `report.life_id` is empty where the firmware does not tell it. Then a report whose number is taken by other
        content begins a new life; so it does where two boards claim one life.
        """
        if self.follows(device, report, payload, received_at, path):
            return FOLLOWED
        self._followed.pop(device, None)
        self._flush()
        at = received_at.isoformat()
        alarms: list[Alarm] = []

        def alarm(kind: str, detail: str) -> None:
            alarms.append(Alarm(device, received_at, kind, detail))

        with self._db.transaction():
            lives = self._db.execute("SELECT life, life_id FROM life WHERE device = ? ORDER BY life DESC", (device,))
            # A firmware that reports no life id may belong to any life.
            mine = [life for life, life_id in lives if not report.life_id or life_id == report.life_id]
            taken = dict(
                self._db.execute(
                    "SELECT life, payload FROM report WHERE device = ? AND boot_id = ? AND seq = ?",
                    (device, report.boot_id, report.seq),
                )
            )
            if any(taken.get(life) == payload for life in mine) or self._was_removed(device, mine, report):
                return Kept(Outcome.DUPLICATE)
            life = next((life for life in mine if life not in taken), None)
            if mine and life != mine[0]:
                alarm("sequence_reused", f"boot {report.boot_id} report {report.seq} came again with other figures")
            if life is None and not mine and lives and self._continues(device, lives[0], report):
                life = lives[0][0]
                self._db.execute(
                    "UPDATE life SET life_id = ? WHERE device = ? AND life = ?", (report.life_id, device, life)
                )
            if life is None:
                if lives and not mine:
                    alarm("new_life", self._begins_again(device, lives[0][0], report))
                life = lives[0][0] + 1 if lives else 1
                self._db.execute("INSERT INTO life VALUES (?, ?, ?, ?)", (device, life, report.life_id or None, at))
            for detail in self._contradictions(device, life, report):
                alarm("usage_went_back", detail)
            if report.sim:
                alarms += self._sims(device, report.sim, received_at)
            if detail := self.book.refusal(device, life, report, at):
                alarm("order_refused", detail)
            self.book.follow(device, report.counter)
            newest = self._newest_of(device, life, report)
            self.write([report_row(device, life, report, payload, at, path)], newest)
            for each in alarms:
                self._db.execute(
                    "INSERT INTO alarm (device, received_at, kind, detail) VALUES (?, ?, ?, ?)",
                    (device, at, each.kind, each.detail),
                )
        self.known_lives.stored(device, report, payload)
        return Kept(Outcome.NEW, tuple(alarms))

    def follows(self, device: str, report: Report, payload: bytes, received_at: datetime, path: str) -> bool:
        """Whether the report only continues what is known of its device, with no order that waits: then it is added, as
        by `add`, and written with others. Only of devices of `at_once`."""
        known = self._followed.get(device)
        if known is None:
            return False
        (_, life, life_id, boot_id, seq, cycle_id, carried, rated, counter, applied), sim = known
        if (
            life_id is None
            or life_id != report.life_id
            or (report.boot_id, report.seq) <= (boot_id, seq)
            or (report.sim and report.sim != sim)
            or report.cycle_id < cycle_id
            or report.carried_octets < carried
            or report.rated_octets < rated
            or report.counter < counter
        ):
            return False
        if received_at != self._at:
            self._at, self._at_text = received_at, received_at.isoformat()
        self._rows.append(report_row(device, life, report, payload, self._at_text, path))
        self._newest_rows[device] = row = newest_row(device, life, life_id, report, applied)
        self._followed[device] = row, sim
        self.known_lives.follow(device, life_id, report.boot_id, report.seq, payload)
        return True

    def _newest_of(self, device: str, life: int, report: Report) -> list[Row]:
        """The device's row after this report, if it is another one then."""
        before = self._db.first("SELECT life, boot_id, seq, applied FROM newest WHERE device = ?", (device,))
        applied = 0 if before is None else before[3]
        if before is None or (life, report.boot_id, report.seq) > before[:3]:
            ((life_id,),) = self._db.execute("SELECT life_id FROM life WHERE device = ? AND life = ?", (device, life))
            return [newest_row(device, life, life_id, report, applied)]
        if report.counter > applied:
            self._db.execute("UPDATE newest SET applied = ? WHERE device = ?", (report.counter, device))
        return []

    def _was_removed(self, device: str, lives: list[int], report: Report) -> bool:
        """Whether reports of its time were reduced to days: it was among them, or later ones have its figures."""
        removed = self._db.execute(
            "SELECT life, below_seq FROM removed WHERE device = ? AND boot_id = ?", (device, report.boot_id)
        )
        return any(life in lives and report.seq < below for life, below in removed)

    def _sims(self, device: str, sim: bytes, at: datetime) -> Iterator[Alarm]:
        """Notes the SIM that a device reports; the alarms that follow."""
        before = self._db.first("SELECT sim FROM sim WHERE device = ?", (device,))
        if before == (sim,):
            return
        self._db.execute(
            "INSERT INTO sim VALUES (?, ?, ?)"
            " ON CONFLICT (device) DO UPDATE SET sim = excluded.sim, since = excluded.since",
            (device, sim, at.isoformat()),
        )
        if before:
            yield Alarm(device, at, "sim_changed", f"SIM {sim.hex()} after {before[0].hex()}")
        for other, since in self._db.execute(
            "SELECT device, since FROM sim WHERE sim = ? AND device <> ? ORDER BY device", (sim, device)
        ):
            yield Alarm(device, at, "sim_elsewhere", f"SIM {sim.hex()} is that of {other} since {since}")

    def devices(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT DISTINCT device FROM life ORDER BY device")]

    def latest(self, device: str) -> Received | None:
        """The report of the present life with the highest (boot_id, seq), in whatever order reports arrived."""
        return next(self._received(device, "ORDER BY life DESC, boot_id DESC, seq DESC LIMIT 1"), None)

    def history(self, device: str) -> list[Received]:
        """Every report of a device in the order in which the device made them, life after life."""
        return list(self._received(device, "ORDER BY life, boot_id, seq"))

    def as_of(self, device: str, instant: datetime, cycle_id: int | None = None) -> Received | None:
        """The last report of the present life that had arrived by `instant`, or the last one of a period.

        Of reports that arrived at the same time it is the one that the device made last.
        """
        until = instant.astimezone(UTC).isoformat()
        of_period = () if cycle_id is None else (cycle_id,)
        order = (
            "AND life = (SELECT MAX(life) FROM life WHERE device = ?) AND received_at <= ?"
            f"{' AND cycle_id = ?' if of_period else ''} ORDER BY received_at DESC, boot_id DESC, seq DESC LIMIT 1"
        )
        return next(self._received(device, order, device, until, *of_period), None)

    def maximum(self, device: str) -> tuple[int, int]:
        """The device's (carried, rated) octets: the highest that it reported in each life, added up."""
        ((carried, rated),) = self._db.execute(
            "SELECT CAST(SUM(carried) AS BIGINT), CAST(SUM(rated) AS BIGINT)"
            " FROM (SELECT MAX(carried_octets) AS carried, MAX(rated_octets) AS rated FROM report WHERE device = ?"
            " GROUP BY life) AS lives",
            (device,),
        )
        return carried or 0, rated or 0

    def traffic(self, device: str, cycle_id: int) -> tuple[int, int] | None:
        """An estimate of the (packets, data sessions) of a period; None where no report has told them.

        A device counts them from each boot on, so the highest of each boot are added up. What a boot had after its last
        full report is not in it.
        """
        ((packets, sessions),) = self._db.execute(
            "SELECT CAST(SUM(packets) AS BIGINT), CAST(SUM(sessions) AS BIGINT) FROM (SELECT MAX(packets) AS packets,"
            " MAX(sessions) AS sessions FROM report WHERE device = ? AND cycle_id = ? GROUP BY life, boot_id) AS boots",
            (device, cycle_id),
        )
        return None if packets is None else (packets, sessions)

    def reports_received(self, device: str) -> int:
        ((kept, removed),) = self._db.execute(
            "SELECT (SELECT COUNT(*) FROM report WHERE device = ?),"
            " (SELECT CAST(SUM(reports) AS BIGINT) FROM removed WHERE device = ?)",
            (device, device),
        )
        return kept + (removed or 0)

    def gaps(self, device: str) -> list[Gap]:
        """The reports missing within each boot, of the time whose reports are kept. A loss after the last report of a
        boot cannot be detected."""
        first = {
            (life, boot_id): below
            for life, boot_id, below in self._db.execute(
                "SELECT life, boot_id, below_seq FROM removed WHERE device = ?", (device,)
            )
        }
        missing = []
        last, expected = (0, -1), 0
        rows = self._db.execute(
            "SELECT life, boot_id, seq FROM report WHERE device = ? ORDER BY life, boot_id, seq", (device,)
        )
        for life, boot_id, seq in rows:
            if (life, boot_id) != last:
                last = life, boot_id
                expected = first.get(last, 0)
            if seq > expected:
                missing.append(Gap(boot_id, expected, seq - 1, life))
            expected = max(expected, seq + 1)
        return missing

    def reports_lost(self, device: str) -> int:
        """How many reports are missing: those of `gaps`, and of the time before."""
        ((lost,),) = self._db.execute(
            "SELECT CAST(SUM(lost) AS BIGINT) FROM (SELECT MAX(seq) + 1 - COUNT(*) - COALESCE((SELECT m.reports"
            " FROM removed AS m WHERE m.device = r.device AND m.life = r.life AND m.boot_id = r.boot_id), 0) AS lost"
            " FROM report AS r WHERE device = ? GROUP BY device, life, boot_id) AS boots",
            (device,),
        )
        return lost or 0

    def days(self, device: str) -> list[Day]:
        """What the device has reported day by day, the oldest first."""
        rows = self._db.execute(
            "SELECT day, life, CAST(SUM(reports) AS BIGINT), MAX(carried), MAX(rated) FROM ("
            "SELECT day, life, reports, carried_octets AS carried, rated_octets AS rated FROM day WHERE device = ?"
            " UNION ALL SELECT substr(received_at, 1, 10), life, 1, carried_octets, rated_octets FROM report"
            " WHERE device = ?) AS told GROUP BY day, life ORDER BY day, life",
            (device, device),
        )
        return [Day(date.fromisoformat(day), *figures) for day, *figures in rows]

    def lives(self, device: str) -> int:
        """How many lives the device has had."""
        return self._db.execute("SELECT COUNT(*) FROM life WHERE device = ?", (device,))[0][0]

    def alarms(self, device: str) -> list[Alarm]:
        rows = self._db.execute(
            "SELECT device, received_at, kind, detail FROM alarm WHERE device = ? ORDER BY id", (device,)
        )
        return [Alarm(name, datetime.fromisoformat(at), kind, detail) for name, at, kind, detail in rows]

    def _received(self, device: str, order: str, *more: object) -> Iterator[Received]:
        rows = self._db.execute(
            f"SELECT received_at, path, payload, life_id FROM report NATURAL JOIN life WHERE device = ? {order}",
            (device, *more),
        )
        for at, path, payload, life_id in rows:
            report = decode_report(payload)
            if report.version > 1:
                report = msgspec.structs.replace(report, life_id=life_id)
            yield Received(device, datetime.fromisoformat(at), path, report)

    def _last_of(self, device: str, life: int) -> tuple[int, int, int]:
        """(boot_id, seq, carried octets) of the last report that the device made in a life."""
        ((boot_id, seq, carried_octets),) = self._db.execute(
            "SELECT boot_id, seq, carried_octets FROM report WHERE device = ? AND life = ?"
            " ORDER BY boot_id DESC, seq DESC LIMIT 1",
            (device, life),
        )
        return boot_id, seq, carried_octets

    def _continues(self, device: str, present: tuple[int, bytes | None], report: Report) -> bool:
        """Whether a report with an unknown life id belongs to the present life.

        It does when the firmware was updated from a version that reports no life id, and its counts go on.
        """
        life, life_id = present
        boot_id, _, carried_octets = self._last_of(device, life)
        return life_id is None and report.boot_id > boot_id and report.carried_octets >= carried_octets

    def _begins_again(self, device: str, life: int, report: Report) -> str:
        boot_id, seq, carried_octets = self._last_of(device, life)
        return (
            f"the ledger was lost or the board exchanged: carried_octets {carried_octets} in boot {boot_id} report"
            f" {seq} of life {life}, {report.carried_octets} in boot {report.boot_id} report {report.seq} of the next"
        )

    def _contradictions(self, device: str, life: int, report: Report) -> Iterator[str]:
        """Describes each cumulative figure that is below the report before it, or above the report after it."""
        here = (report.boot_id, report.seq)
        columns = f"SELECT boot_id, seq, {', '.join(_CUMULATIVE)} FROM report WHERE device = ? AND life = ?"
        before = self._db.first(
            f"{columns} AND (boot_id, seq) < (?, ?) ORDER BY boot_id DESC, seq DESC LIMIT 1", (device, life, *here)
        )
        behind = self._db.first(
            f"{columns} AND (boot_id, seq) > (?, ?) ORDER BY boot_id, seq LIMIT 1", (device, life, *here)
        )
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
