"""Looks for what people are to be told of, after each refresh of the index, in the thread that refreshes it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime, timedelta

from host_tools.collector.database import Database
from host_tools.fleet.alerts import Alert, AlertBook
from host_tools.fleet.index import Reader, Row
from host_tools.fleet.rules import Cause, Rules, causes, ends, low, of_alarm, period_of
from host_tools.fleet.standing import State

_BATCH = 500
_MOST_LOOKED = 2000  # devices whose reports are looked up in one go, for how often they come
_PAST = timedelta(days=31)  # alarms of longer ago, at the first start, are nobody's concern now
_PLANS = timedelta(minutes=1)  # between two looks at packages and pools
_AGAIN = timedelta(minutes=1)
_OF_PLANS = ("package-ends", "pool-low")
_REMOVAL = timedelta(hours=1)
_REPORTS = 8  # the last ones tell how often a device reports


class Alerting:
    """`reader`: of this object alone. `keep`: how long alerts of what is over stay; for ever without it."""

    def __init__(self, database: Database, reader: Reader, rules: Rules, keep: timedelta | None = None) -> None:
        self._db = database
        self._book = AlertBook(database)
        self._reader = reader
        self._rules = rules
        self._to_do: set[str] = set()
        self._seen: dict[str, str] = {}
        self._due: list[tuple[datetime, str, str, bool]] = []  # device, its `seen`, whether its own pace is in it
        self._plans: datetime | None = None
        self._keep = keep
        self._removed: datetime | None = None

    def note(self, changed: Iterable[str]) -> None:
        """These devices are to be looked at; "" is none."""
        self._to_do |= {device for device in changed if device}

    def look(self, now: datetime) -> list[int]:
        """Looks at what has changed, by a report or by time alone; the ids of new alerts. StoreError: what was not kept
        is found by the next call."""
        found: list[Cause] = []
        over: list[int] = []
        devices = sorted(self._to_do)
        plans = self._plans is None or now - self._plans >= _PLANS
        lasting: dict[str, list[Alert]] = {}
        if devices or plans or (self._due and self._due[0][0] <= now):
            for alert in self._book.lasting():
                lasting.setdefault(alert.subject, []).append(alert)
        for begin in range(0, len(devices), _BATCH):
            for row in self._reader.some(devices[begin : begin + _BATCH]):
                self._follow(row)
                self._compare(row, lasting.get(row.device, []), found, over, now)
        found += self._silent(lasting, now)
        if plans:
            self._compare_plans(lasting, found, over, now)
        alarms, mark = self._alarms(now)
        self._book.wake(now)
        found += alarms
        new: list[int] = []
        for begin in range(0, len(found), _BATCH):  # as others wait to write meanwhile
            new += self._book.settle(found[begin : begin + _BATCH], (), now)
        if over or mark is not None:
            self._book.settle((), over, now, mark)
        self._to_do.clear()
        if plans:
            self._plans = now
        self._remove(now)
        return new

    def _remove(self, now: datetime) -> None:
        if self._keep is None or (self._removed is not None and now - self._removed < _REMOVAL):
            return
        while self._book.remove(now - self._keep, _BATCH) == _BATCH:
            pass
        self._removed = now

    def _compare(self, row: Row, lasting: list[Alert], found: list[Cause], over: list[int], now: datetime) -> None:
        """What is new of a device, and what is over."""
        held = {(each.rule, each.period): each for each in causes(row, self._rules, now)}
        for alert in lasting:
            if alert.rule == "silent":
                if datetime.fromisoformat(row.seen) > alert.raised_at or row.state == State.CUT_OFF:
                    over.append(alert.id)
            elif alert.rule not in _OF_PLANS and not held.pop((alert.rule, alert.period), None):
                over.append(alert.id)
        found += (each for each in held.values() if each.rule not in self._rules.off)

    def _follow(self, row: Row) -> None:
        if self._seen.get(row.device) != row.seen:
            self._seen[row.device] = row.seen
            due = datetime.fromisoformat(row.seen) + self._rules.least_silence
            heapq.heappush(self._due, (due, row.device, row.seen, False))

    def _silent(self, lasting: dict[str, list[Alert]], now: datetime) -> list[Cause]:
        """Devices that have not reported for longer than they use to. How long that is, is looked up only of those
        that may be."""
        found: list[Cause] = []
        looked = 0
        while self._due and self._due[0][0] <= now and looked < _MOST_LOOKED:
            _, device, seen, known = heapq.heappop(self._due)
            if self._seen.get(device) != seen:
                continue
            if not known:
                looked += 1
                heapq.heappush(self._due, (self._silence_begins(device, seen), device, seen, True))
                continue
            row = self._reader.one(device)
            is_known = "silent" in self._rules.off or any(each.rule == "silent" for each in lasting.get(device, ()))
            if row and row.state != State.CUT_OFF and not is_known:
                found.append(_silence(row, now))
            # What is found may not be written, and a device may be cut off only for a time.
            heapq.heappush(self._due, (now + _AGAIN, device, seen, True))
        return found

    def _silence_begins(self, device: str, seen: str) -> datetime:
        rows = self._db.execute(
            "SELECT received_at FROM report WHERE device = ? ORDER BY life DESC, boot_id DESC, seq DESC LIMIT ?",
            (device, _REPORTS),
        )
        arrived = sorted((datetime.fromisoformat(at) for (at,) in rows), reverse=True)
        return datetime.fromisoformat(seen) + self._rules.silence(arrived)

    def _compare_plans(
        self, lasting: dict[str, list[Alert]], found: list[Cause], over: list[int], now: datetime
    ) -> None:
        """What is new of packages and pools, and what is over."""
        soon = (now + timedelta(days=self._rules.package_days + 1)).date().isoformat()
        packages = self._db.execute("SELECT device, ends FROM carrier_sim WHERE ends <= ?", (soon,))
        pools = self._db.execute("SELECT pool, cycle_start, total_octets, used_octets FROM carrier_pool")
        held = {
            (each.rule, each.subject, each.period): each
            for each in (
                *(cause for device, last in packages for cause in ends(device, last, self._rules, now)),
                *(cause for pool, start, total, used in pools for cause in low(pool, start, total, used, self._rules)),
            )
        }
        for alerts in lasting.values():
            for alert in alerts:
                if alert.rule in _OF_PLANS and not held.pop((alert.rule, alert.subject, alert.period), None):
                    over.append(alert.id)
        found += (each for each in held.values() if each.rule not in self._rules.off)

    def _alarms(self, now: datetime) -> tuple[list[Cause], int | None]:
        """Causes in the alarms that the collector has raised since, and the last one's id; None where there is none."""
        rows = self._db.execute(
            "SELECT a.id, a.kind, a.device, a.detail, a.received_at, COALESCE(n.cycle_id, 0) FROM alarm AS a"
            " LEFT JOIN newest AS n ON n.device = a.device WHERE a.id > ? ORDER BY a.id",
            (self._book.alarm_mark(),),
        )
        found = []
        for _, kind, device, detail, at, cycle_id in rows:
            received = datetime.fromisoformat(at)
            cause = of_alarm(kind, device, detail, cycle_id, received)
            if cause and received >= now - _PAST and cause.rule not in self._rules.off:
                found.append(cause)
        return found, rows[-1][0] if rows else None


def _silence(row: Row, now: datetime) -> Cause:
    seen = datetime.fromisoformat(row.seen)
    return Cause("silent", row.device, period_of(row.cycle_id, now), f"last heard of on {seen:%Y-%m-%d %H:%M} UTC")
