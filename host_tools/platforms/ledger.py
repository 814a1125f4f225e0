"""What a platform has said of the devices' SIMs, in the collector's database beside their reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from host_tools.collector.database import Database
from host_tools.platforms.interface import Package, State, Usage

_KEPT = timedelta(days=400)
_SIM = "device, sim, life, data, stop_reasons, asked_at, total_octets, ends"


@dataclass(frozen=True)
class Figure:
    """The carrier's figure for a device's cycle up to `as_of`; `given`: the order that took it to the device."""

    device: str
    cycle_start: date
    as_of: datetime
    octets: int
    source: str
    given: int | None = None


@dataclass(frozen=True)
class Sim:
    """The SIM of a device as the platform last described it; `total_octets`: its allowance; 0 if the platform
    does not say, None if it was not asked. `ends`: the last day of the package that ends first."""

    device: str
    sim: str
    life: str
    data: str
    stop_reasons: tuple[str, ...]
    asked_at: datetime
    total_octets: int | None = None
    ends: date | None = None

    @property
    def told(self) -> tuple[str, str, tuple[str, ...]]:
        """What the platform said of it."""
        return self.life, self.data, self.stop_reasons

    @property
    def runs(self) -> bool:
        return (self.life, self.data) == ("active", "on")


@dataclass(frozen=True)
class Pool:
    """A shared allowance in the cycle that began on `cycle_start`, as the platform said at `asked_at`. `members`: what
    each may use of it; None where it was not granted anything."""

    name: str
    cycle_start: date
    asked_at: datetime
    total_octets: int
    used_octets: int
    members: Mapping[str, int | None]


def pool_of(
    name: str, start: date, at: datetime, packages: Iterable[Package], members: Mapping[str, int | None]
) -> Pool | None:
    """A pool by its packages; None where the platform does not say what those have, or have left."""
    known = [(each.total, each.used) for each in packages if each.total is not None and each.used is not None]
    if not known:
        return None
    return Pool(name, start, at, sum(total for total, _ in known), sum(used for _, used in known), members)


class CarrierLedger:
    """As with a Store, any method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, device: str, usage: Usage) -> Figure:
        """Keeps a figure; a later one for the same moment takes its place. Those of long before are removed."""
        figure = Figure(device, usage.cycle_start, usage.as_of.astimezone(UTC), usage.carried_octets, usage.source)
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO carrier_figure (device, cycle_start, as_of, octets, source) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (device, cycle_start, as_of) DO UPDATE SET octets = excluded.octets,"
                " source = excluded.source, given = CASE WHEN carrier_figure.octets = excluded.octets"
                " THEN carrier_figure.given ELSE NULL END",
                (device, figure.cycle_start.isoformat(), figure.as_of.isoformat(), figure.octets, figure.source),
            )
            self._db.execute(
                "DELETE FROM carrier_figure WHERE device = ? AND as_of < ?",
                (device, (figure.as_of - _KEPT).isoformat()),
            )
        return figure

    def figures(self, device: str, cycle_start: date | None = None) -> list[Figure]:
        """All of a device, or those of a cycle, the oldest first."""
        rows = self._db.execute(
            "SELECT device, cycle_start, as_of, octets, source, given FROM carrier_figure WHERE device = ?"
            " AND (CAST(? AS TEXT) IS NULL OR cycle_start = ?) ORDER BY as_of, cycle_start",
            (device, cycle_start and cycle_start.isoformat(), cycle_start and cycle_start.isoformat()),
        )
        return [_figure(*row) for row in rows]

    def newest(self, device: str) -> Figure | None:
        row = self._db.first(
            "SELECT device, cycle_start, as_of, octets, source, given FROM carrier_figure WHERE device = ?"
            " ORDER BY as_of DESC, cycle_start DESC LIMIT 1",
            (device,),
        )
        return _figure(*row) if row else None

    def newest_of_cycles(self, device: str) -> list[Figure]:
        """The newest figure of each cycle, the oldest cycle first."""
        newest = {figure.cycle_start: figure for figure in self.figures(device)}
        return [newest[start] for start in sorted(newest)]

    def all_sims(self) -> Iterator[Sim]:
        """Of every device that the platform was asked for."""
        for row in self._db.execute(f"SELECT {_SIM} FROM carrier_sim"):
            yield _sim(*row)

    def note_order(self, figure: Figure, given: int) -> None:
        """The figure has gone into an order."""
        with self._db.transaction():
            self._db.execute(
                "UPDATE carrier_figure SET given = ? WHERE device = ? AND cycle_start = ? AND as_of = ?",
                (given, figure.device, figure.cycle_start.isoformat(), figure.as_of.isoformat()),
            )

    def put(self, device: str, state: State, at: datetime) -> None:
        """Keeps a SIM's state; its allowance stays, unless the device has another SIM now."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO carrier_sim (device, sim, life, data, stop_reasons, asked_at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (device) DO UPDATE SET life = excluded.life, data = excluded.data,"
                " stop_reasons = excluded.stop_reasons, asked_at = excluded.asked_at, total_octets ="
                " CASE WHEN carrier_sim.sim = excluded.sim THEN carrier_sim.total_octets ELSE NULL END, ends ="
                " CASE WHEN carrier_sim.sim = excluded.sim THEN carrier_sim.ends ELSE NULL END,"
                " sim = excluded.sim",
                (
                    device,
                    state.sim,
                    state.life.value,
                    state.data.value,
                    " ".join(state.stop_reasons),
                    at.astimezone(UTC).isoformat(),
                ),
            )

    def put_plan(self, device: str, octets: int, ends: date | None) -> None:
        """Keeps the allowance of a SIM whose state is known, 0 if the platform does not say; and its package's end."""
        day = ends and ends.isoformat()
        with self._db.transaction():
            self._db.execute(
                "UPDATE carrier_sim SET total_octets = ?, ends = ? WHERE device = ?", (octets, day, device)
            )

    def sim(self, device: str) -> Sim | None:
        row = self._db.first(f"SELECT {_SIM} FROM carrier_sim WHERE device = ?", (device,))
        return _sim(*row) if row else None

    def put_pool(self, pool: Pool | None) -> None:
        """Keeps what is known of a pool, if anything is. A member that is not granted anything keeps what it was
        granted in the same cycle."""
        if pool is None:
            return
        with self._db.transaction():
            before = {each.name: each for each in self.pools()}.get(pool.name)
            known = before.members if before and before.cycle_start == pool.cycle_start else {}
            self._db.execute(
                "INSERT INTO carrier_pool VALUES (?, ?, ?, ?, ?) ON CONFLICT (pool) DO UPDATE SET"
                " cycle_start = excluded.cycle_start, asked_at = excluded.asked_at,"
                " total_octets = excluded.total_octets, used_octets = excluded.used_octets",
                (
                    pool.name,
                    pool.cycle_start.isoformat(),
                    pool.asked_at.astimezone(UTC).isoformat(),
                    pool.total_octets,
                    pool.used_octets,
                ),
            )
            self._db.execute("DELETE FROM pool_member WHERE pool = ?", (pool.name,))
            self._db.execute_many(
                "INSERT INTO pool_member VALUES (?, ?, ?) ON CONFLICT (device) DO UPDATE SET pool = excluded.pool,"
                " granted_octets = excluded.granted_octets",
                [
                    (device, pool.name, known.get(device) if granted is None else granted)
                    for device, granted in pool.members.items()
                ],
            )

    def pools(self) -> list[Pool]:
        members: dict[str, dict[str, int | None]] = {}
        for device, pool, granted in self._db.execute("SELECT device, pool, granted_octets FROM pool_member"):
            members.setdefault(pool, {})[device] = granted
        return [
            Pool(name, date.fromisoformat(start), datetime.fromisoformat(at), total, used, members.get(name, {}))
            for name, start, at, total, used in self._db.execute("SELECT * FROM carrier_pool ORDER BY pool")
        ]

    def note_sync(self, account: str, at: datetime, problem: str) -> None:
        """An account was asked; `problem` is "" where all of it was answered."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO carrier_sync (account, done_at, problem) VALUES (?, ?, ?) ON CONFLICT (account)"
                " DO UPDATE SET done_at = excluded.done_at, problem = excluded.problem",
                (account, at.astimezone(UTC).isoformat(), problem),
            )

    def last_sync(self, account: str) -> datetime | None:
        """When all of an account was last answered."""
        row = self._db.first("SELECT done_at FROM carrier_sync WHERE account = ? AND problem = ''", (account,))
        return datetime.fromisoformat(row[0]) if row else None

    def alarm(self, device: str, kind: str, detail: str, at: datetime, since: datetime | None = None) -> bool:
        """Raises an alarm beside those of reports; with `since`, unless there is one of its kind from then on."""
        with self._db.transaction():
            if since is not None and self._db.first(
                "SELECT 1 FROM alarm WHERE device = ? AND kind = ? AND received_at >= ?",
                (device, kind, since.astimezone(UTC).isoformat()),
            ):
                return False
            self._db.execute(
                "INSERT INTO alarm (device, received_at, kind, detail) VALUES (?, ?, ?, ?)",
                (device, at.astimezone(UTC).isoformat(), kind, detail),
            )
        return True


def _figure(device: str, start: str, as_of: str, octets: int, source: str, given: int | None) -> Figure:
    return Figure(device, date.fromisoformat(start), datetime.fromisoformat(as_of), octets, source, given)


def _sim(
    device: str, sim: str, life: str, data: str, reasons: str, asked_at: str, total: int | None, ends: str | None
) -> Sim:
    last = date.fromisoformat(ends) if ends else None
    return Sim(device, sim, life, data, tuple(reasons.split()), datetime.fromisoformat(asked_at), total, last)
