"""Reports in SQLite. Adding a report twice changes nothing; gaps and contradictions are recorded."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from host_tools.collector.database import BUSY_S, Database
from host_tools.collector.order_book import OrderBook
from host_tools.collector.tags import Tags
from host_tools.collector.verify import Report, decode_report

# Figures that never decrease from one (boot_id, seq) to the next.
_CUMULATIVE = ("cycle_id", "carried_octets", "rated_octets", "counter")


class Outcome(enum.Enum):
    NEW = "new"
    DUPLICATE = "duplicate"


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
    - "order_refused": the device refused the order that waited for it, which is then not sent again; or it skipped keys
      of it, for which its plan has no part.
    """

    device: str
    received_at: datetime
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The outcome of adding a report, and the alarms that it raised. With any outcome the report is on disk.

    `traffic` is that of the period, where a new report tells of it; see `Store.traffic`.
    """

    outcome: Outcome
    alarms: tuple[Alarm, ...] = ()
    traffic: tuple[int, int] | None = None


class Store:
    """Reports by (device, life, boot_id, seq); `book` has the orders, `tags` the devices' tags.

    A life is what one ledger counts, from its first record to its loss: within it (boot_id, seq) never comes twice
    and octets never go back. Lives are numbered from 1 in the order in which they were first heard of; the one with
    the highest number is the present one.

    A file that is not there is created, one of an earlier collector is brought up to date, but not where `upgrade` is
    false; the default lives in memory. sqlite3.Error: the file is none of these, or a later collector's. Every method
    may raise it; then nothing was changed. A write waits for `busy_s` seconds at the most while another process has the
    file locked. One thread at a time may use a store, whichever it is; `life_ids` is for any thread at any time.
    """

    def __init__(self, path: str | Path = ":memory:", busy_s: float = BUSY_S, upgrade: bool = True) -> None:
        self._db = Database(path, busy_s, upgrade)
        self.book = OrderBook(self._db)
        self.tags = Tags(self._db)
        self._life_ids: dict[str, tuple[bytes, ...]] = {}
        for device, life_id in self._db.execute(
            "SELECT device, life_id FROM life WHERE life_id IS NOT NULL ORDER BY device, life"
        ):
            self._remember(device, life_id)

    def close(self) -> None:
        self._db.close()

    def at_once(self) -> AbstractContextManager[None]:
        """What is stored in the context is on disk at its end, and none of it if the end raises sqlite3.Error."""
        return self._db.transaction()

    def life_ids(self, device: str) -> tuple[bytes, ...]:
        """The life ids that the device has reported, newest first."""
        return self._life_ids.get(device, ())

    def _remember(self, device: str, life_id: bytes) -> None:
        others = (known for known in self.life_ids(device) if known != life_id)
        self._life_ids[device] = (life_id, *others)

    def add(self, device: str, report: Report, payload: bytes, received_at: datetime, path: str) -> Kept:
        """Stores one verified report; it is on disk when this returns. A second copy changes nothing.

        `report.life_id` is empty where the firmware does not tell it. Then a report whose number is taken by other
        content begins a new life; so it does where two boards claim one life.
        """
        at = received_at.isoformat()
        alarms: list[Alarm] = []

        def alarm(kind: str, detail: str) -> None:
            alarms.append(Alarm(device, received_at, kind, detail))

        with self._db.transaction():
            lives = self._db.execute(
                "SELECT life, life_id FROM life WHERE device = ? ORDER BY life DESC", (device,)
            ).fetchall()
            # A firmware that reports no life id may belong to any life.
            mine = [life for life, life_id in lives if not report.life_id or life_id == report.life_id]
            taken = dict(
                self._db.execute(
                    "SELECT life, payload FROM report WHERE device = ? AND boot_id = ? AND seq = ?",
                    (device, report.boot_id, report.seq),
                )
            )
            if any(taken.get(life) == payload for life in mine):
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
            key = (device, life, report.boot_id, report.seq)
            figures = tuple(getattr(report, name) for name in _CUMULATIVE)
            told = (report.packets, report.sessions) if report.packets >= 0 else None
            self._db.execute(
                f"INSERT INTO report (device, life, boot_id, seq, received_at, path, {', '.join(_CUMULATIVE)}, payload,"
                " packets, sessions) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, at, path, *figures, payload, *(told or (None, None))),
            )
            for each in alarms:
                self._db.execute("INSERT INTO alarm VALUES (?, ?, ?, ?)", (device, at, each.kind, each.detail))
        if report.life_id and report.life_id not in self.life_ids(device):
            self._remember(device, report.life_id)
        return Kept(Outcome.NEW, tuple(alarms), self.traffic(device, report.cycle_id) if told else None)

    def _sims(self, device: str, sim: bytes, at: datetime) -> Iterator[Alarm]:
        """Notes the SIM that a device reports; the alarms that follow."""
        before = self._db.execute("SELECT sim FROM sim WHERE device = ?", (device,)).fetchone()
        if before == (sim,):
            return
        self._db.execute("INSERT OR REPLACE INTO sim VALUES (?, ?, ?)", (device, sim, at.isoformat()))
        if before:
            yield Alarm(device, at, "sim_changed", f"SIM {sim.hex()} after {before[0].hex()}")
        for other, since in self._db.execute(
            "SELECT device, since FROM sim WHERE sim = ? AND device <> ? ORDER BY device", (sim, device)
        ).fetchall():
            yield Alarm(device, at, "sim_elsewhere", f"SIM {sim.hex()} is that of {other} since {since}")

    def devices(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT DISTINCT device FROM life ORDER BY device")]

    def latest(self, device: str) -> Received | None:
        """The report of the present life with the highest (boot_id, seq), in whatever order reports arrived."""
        return next(self._received(device, "ORDER BY life DESC, boot_id DESC, seq DESC LIMIT 1"), None)

    def history(self, device: str) -> list[Received]:
        """Every report of a device in the order in which the device made them, life after life."""
        return list(self._received(device, "ORDER BY life, boot_id, seq"))

    def as_of(self, device: str, instant: datetime) -> Received | None:
        """The last report of the present life that had arrived by `instant`.

        Of reports that arrived at the same time it is the one that the device made last.
        """
        until = instant.astimezone(UTC).isoformat()
        order = (
            "AND life = (SELECT MAX(life) FROM life WHERE device = ?) AND received_at <= ?"
            " ORDER BY received_at DESC, boot_id DESC, seq DESC LIMIT 1"
        )
        return next(self._received(device, order, device, until), None)

    def maximum(self, device: str) -> tuple[int, int]:
        """The device's (carried, rated) octets: the highest that it reported in each life, added up."""
        return self._db.execute(
            "SELECT IFNULL(SUM(carried), 0), IFNULL(SUM(rated), 0) FROM (SELECT MAX(carried_octets) AS carried,"
            " MAX(rated_octets) AS rated FROM report WHERE device = ? GROUP BY life)",
            (device,),
        ).fetchone()

    def traffic(self, device: str, cycle_id: int) -> tuple[int, int] | None:
        """An estimate of the (packets, data sessions) of a period; None where no report has told them.

        A device counts them from each boot on, so the highest of each boot are added up. What a boot had after its last
        full report is not in it.
        """
        packets, sessions = self._db.execute(
            "SELECT SUM(packets), SUM(sessions) FROM (SELECT MAX(packets) AS packets, MAX(sessions) AS sessions"
            " FROM report WHERE device = ? AND cycle_id = ? GROUP BY life, boot_id)",
            (device, cycle_id),
        ).fetchone()
        return None if packets is None else (packets, sessions)

    def reports_received(self, device: str) -> int:
        return self._db.execute("SELECT COUNT(*) FROM report WHERE device = ?", (device,)).fetchone()[0]

    def gaps(self, device: str) -> list[Gap]:
        """The reports missing within each boot. A loss after the last report of a boot cannot be detected."""
        missing = []
        last, expected = (0, -1), 0
        rows = self._db.execute(
            "SELECT life, boot_id, seq FROM report WHERE device = ? ORDER BY life, boot_id, seq", (device,)
        )
        for *boot, seq in rows:
            if tuple(boot) != last:
                last, expected = tuple(boot), 0
            if seq != expected:
                missing.append(Gap(boot[1], expected, seq - 1, boot[0]))
            expected = seq + 1
        return missing

    def reports_lost(self, device: str) -> int:
        """How many reports `gaps` has."""
        return self._db.execute(
            "SELECT IFNULL(SUM(lost), 0) FROM (SELECT MAX(seq) + 1 - COUNT(*) AS lost FROM report WHERE device = ?"
            " GROUP BY life, boot_id)",
            (device,),
        ).fetchone()[0]

    def lives(self, device: str) -> int:
        """How many lives the device has had."""
        return self._db.execute("SELECT COUNT(*) FROM life WHERE device = ?", (device,)).fetchone()[0]

    def alarms(self, device: str) -> list[Alarm]:
        rows = self._db.execute(
            "SELECT device, received_at, kind, detail FROM alarm WHERE device = ? ORDER BY rowid", (device,)
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
        return self._db.execute(
            "SELECT boot_id, seq, carried_octets FROM report WHERE device = ? AND life = ?"
            " ORDER BY boot_id DESC, seq DESC LIMIT 1",
            (device, life),
        ).fetchone()

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
        before = self._db.execute(
            f"{columns} AND (boot_id, seq) < (?, ?) ORDER BY boot_id DESC, seq DESC LIMIT 1", (device, life, *here)
        ).fetchone()
        behind = self._db.execute(
            f"{columns} AND (boot_id, seq) > (?, ?) ORDER BY boot_id, seq LIMIT 1", (device, life, *here)
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
