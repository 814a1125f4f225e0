"""Keeps the index up to date with the collector's database, which others write, and says what has changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from host_tools.collector.order_book import State as OrderState
from host_tools.collector.server import evidence
from host_tools.collector.store import Received, Store
from host_tools.collector.verify import decode_report
from host_tools.fleet import idle
from host_tools.fleet.bill import Bill, bill_of
from host_tools.fleet.index import Index
from host_tools.fleet.standing import UNKNOWN, Standing, State, diagnosis, stand
from host_tools.platforms.ledger import CarrierLedger, Sim
from host_tools.platforms.reconcile import Rating

SILENT = timedelta(hours=26)
_BATCH = 500
EXPLAIN_S = 0.4
"""Of a refresh, for bills that are not known yet."""
_IN_TROUBLE = State.SILENT  # and what is more urgent: the evidence of those is looked up


@dataclass(frozen=True)
class Terms:
    """`allowance`: of devices of which the platform tells none; `silent`: how long without a report is; `now`: the time
    of the devices, which may be simulated, while logins go by this computer's. `keep`: how long alerts of what is over
    stay; for ever without it."""

    allowance: int | None = None
    silent: timedelta = SILENT
    rating: Rating = field(default_factory=Rating)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    keep: timedelta | None = None


class Watch:
    """Reads the database through a store of its own; one thread at a time."""

    def __init__(self, store: Store, index: Index, terms: Terms) -> None:
        self._store = store
        self._db = store.database
        self._ledger = CarrierLedger(store.database)
        self._index = index
        self._terms = terms
        self._newest: dict[str, tuple[Any, ...]] = {}
        self._sims: dict[str, Sim] = {}
        self._tags: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._unheard: set[str] = set()
        self._pools: Sequence[Any] = ()
        self._to_compare: deque[str] = deque()
        self.to_explain = 0  # devices, whose bills are not in the index
        self._marks: tuple[Any, ...] = ()  # of the newest alarm and order
        self._syncs: Sequence[Any] = ()
        self._version: Any = None

    def refresh(self, now: datetime | None = None, most_s: float = EXPLAIN_S) -> set[str]:
        """Takes over what is new, at the first time everything; the devices of which something has changed. Bills that
        are not explained in `most_s` seconds are left to the next time."""
        at = now or self._terms.now()
        changed: set[str] = set()
        if self._may_have_changed():
            changed = self._changed()
            for some in _batches(sorted(changed & self._newest.keys())):
                self._put(some, at)
        changed |= self._index.fall_silent(at - self._terms.silent)
        return changed | self._compare(at, most_s)

    def _may_have_changed(self) -> bool:
        if self._db.postgresql:
            return True
        ((version,),) = self._db.execute("PRAGMA data_version")
        changed, self._version = version != self._version, version
        return changed

    def _changed(self) -> set[str]:
        newest = {
            device: tuple(place)
            for device, *place in self._db.execute("SELECT device, life, boot_id, seq, applied FROM newest")
        }
        changed = {device for device, place in newest.items() if self._newest.get(device) != place}
        first, self._newest = not self._newest, newest
        syncs = self._db.execute("SELECT account, done_at FROM carrier_sync ORDER BY account")
        if syncs != self._syncs or first:
            self._syncs = syncs
            sims = {sim.device: sim for sim in self._ledger.all_sims()}
            changed |= _differing(self._sims, sims)
            self._sims = sims
            self._to_compare = deque(newest)
        else:
            self._to_compare.extend(changed & newest.keys())
        unheard = self._sims.keys() - newest.keys()
        if unheard != self._unheard or (unheard and changed & unheard):
            self._unheard = unheard
            self._index.put_unheard(self._sims[device] for device in sorted(unheard))
        pools = self._db.execute("SELECT pool, asked_at FROM carrier_pool ORDER BY pool")
        if pools != self._pools:
            self._pools = pools
            self._index.put_pools(self._ledger.pools())
        tags: dict[str, str] = {}
        for tag, device in self._db.execute("SELECT tag, device FROM tag ORDER BY device, tag"):
            tags[device] = f"{tags[device]} {tag}" if device in tags else tag
        changed |= _differing(self._tags, tags)
        self._tags = tags
        return changed | self._orders(changed, first)

    def _orders(self, changed: set[str], first: bool) -> set[str]:
        """Notes the orders that wait; the devices of which that, or an alarm, is new."""
        ((alarm, order),) = self._db.execute(
            "SELECT (SELECT COALESCE(MAX(id), 0) FROM alarm), (SELECT COALESCE(MAX(id), 0) FROM given_order)"
        )
        if first:
            asked = self._db.execute(
                "SELECT DISTINCT o.device FROM device_order AS o JOIN newest AS n ON n.device = o.device"
                " WHERE o.counter > n.applied"
            )
            alarmed = []
        else:
            asked = self._db.execute("SELECT DISTINCT device FROM given_order WHERE id > ?", (self._marks[1],))
            alarmed = self._db.execute("SELECT DISTINCT device FROM alarm WHERE id > ?", (self._marks[0],))
        self._marks = alarm, order
        devices = {device for (device,) in asked}
        waiting: dict[str, str] = {}
        for some in _batches(sorted(devices | self._waiting.keys())):
            for each in self._store.book.given(some):
                if each.state in (OrderState.WAITING, OrderState.SENT):
                    text = f"{each.what} {each.state.value}"
                    waiting[each.device] = f"{waiting[each.device]}, {text}" if each.device in waiting else text
        differing = _differing(self._waiting, waiting)
        self._waiting = waiting
        return devices | differing | {device for (device,) in alarmed}

    def _put(self, devices: list[str], at: datetime) -> None:
        rows = self._db.execute(
            "SELECT r.device, r.received_at, r.path, r.payload, r.life FROM newest AS n JOIN report AS r ON"
            " r.device = n.device AND r.life = n.life AND r.boot_id = n.boot_id AND r.seq = n.seq"
            f" WHERE n.device IN ({self._db.among})",
            (self._db.listed(devices),),
        )
        standings: list[Standing] = []
        more: list[tuple[str, str, str, str]] = []
        for device, received_at, path, payload, life in rows:
            latest = Received(device, datetime.fromisoformat(received_at), path, decode_report(payload))
            sim = self._sims.get(device)
            standing = stand(latest, sim, self._terms.allowance, at, self._terms.silent)
            said = ""
            if standing.state <= _IN_TROUBLE:
                said = "; ".join(diagnosis(sim, list(self._evidence(device, life)), standing.permille))
            standings.append(standing)
            more.append((device, said, self._tags.get(device, ""), self._waiting.get(device, "")))
        self._index.put(standings, more)

    def _evidence(self, device: str, life: int) -> Iterator[str]:
        row = self._db.first(
            "SELECT payload FROM report WHERE device = ? AND life = ? AND packets IS NOT NULL"
            " ORDER BY boot_id DESC, seq DESC LIMIT 1",
            (device, life),
        )
        if row:
            yield from evidence(decode_report(row[0]))

    def _compare(self, at: datetime, most_s: float) -> set[str]:
        """Explains the bills of devices that wait for it, as long as a refresh may take."""
        end = monotonic() + most_s
        found: list[tuple[str, Bill]] = []
        months: list[tuple[str, int]] = []
        while self._to_compare and monotonic() < end:
            device = self._to_compare.popleft()
            months.append((device, self._month(device, at)))
            if device in self._sims:
                found += self._bills(device)
        self._index.put_months(months)
        self._index.put_bills(found)
        self.to_explain = len(self._to_compare)
        return {bill.facts.device for _, bill in found}

    def _month(self, device: str, at: datetime) -> int:
        """What it has used in `idle.SPAN`; UNKNOWN where its present life is younger than that."""
        begin = (at - idle.SPAN).astimezone(UTC).isoformat()
        row = self._db.first(
            "SELECT n.rated_octets, (SELECT MAX(then_octets) FROM ("
            "SELECT r.rated_octets AS then_octets FROM report AS r"
            " WHERE r.device = n.device AND r.life = n.life AND r.received_at < ?"
            " UNION ALL SELECT d.rated_octets FROM day AS d WHERE d.device = n.device AND d.life = n.life AND d.day < ?"
            ") AS before) FROM newest AS n WHERE n.device = ?",
            (begin, begin[:10], device),
        )
        return UNKNOWN if row is None or row[1] is None else row[0] - row[1]

    def _bills(self, device: str) -> Iterator[tuple[str, Bill]]:
        """The newest figure's bill, and those of earlier periods that are not in the index, each with its source."""
        figures = self._ledger.newest_of_cycles(device)
        known = self._index.billed(device) if len(figures) > 1 else set()
        for figure in figures:
            explained = figure.cycle_start.isoformat(), figure.as_of.isoformat(), figure.octets
            if figure is figures[-1] or explained not in known:
                bill = bill_of(self._store, figure, self._terms.rating)
                if bill:
                    yield figure.source, bill


def _differing(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    return {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}


def _batches(items: Sequence[str]) -> Iterable[list[str]]:
    for begin in range(0, len(items), _BATCH):
        yield list(items[begin : begin + _BATCH])
