"""Alerts and what was sent of them, in the collector's database.

An alert and the notices of it are written in one transaction, and a notice is claimed before it is sent: a process that
is killed has neither lost nor doubled an alert, and the notice is sent again, under the same id, once its claim has run
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from host_tools.collector.database import Database, Row
from host_tools.fleet.rules import STATES, Cause

CLAIM = timedelta(minutes=2)
"""How long an attempt to send is left alone; longer than one takes."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=1)
_SELECT = (
    "SELECT id, rule, subject, period, raised_at, detail, round, ended_at, acknowledged_at, acknowledged_by,"
    " snoozed_until FROM alert"
)
SHOWN = ("open", "snoozed", "acknowledged", "over", "all")


@dataclass(frozen=True, slots=True)
class Alert:
    """`round`: how often people were told, each time that a snooze ended. `over`: its cause has ended."""

    id: int
    rule: str
    subject: str
    period: str
    raised_at: datetime
    detail: str
    round: int = 1
    ended_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    snoozed_until: datetime | None = None

    @property
    def state(self) -> str:
        """One of SHOWN, without the last."""
        if self.acknowledged_at:
            return "acknowledged"
        if self.ended_at:
            return "over"
        return "snoozed" if self.snoozed_until else "open"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a channel has not sent yet. `problem`: of its last attempt."""

    channel: str
    notices: int
    since: datetime
    problem: str


class AlertBook:
    """As with a Store, any method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- what is found ---

    def settle(self, found: Iterable[Cause], over: Iterable[int], now: datetime, alarm: int | None = None) -> list[int]:
        """Keeps what holds and what does not any more; returns the ids of the alerts that are new. `alarm`: the last
        of the collector's alarms that is in `found`."""
        at, new = _text(now), []
        with self._db.transaction():
            for each in found:
                rows = self._db.execute(
                    "INSERT INTO alert (rule, subject, cause, period, raised_at, detail, round) VALUES"
                    " (?, ?, ?, ?, ?, ?, 1) ON CONFLICT (rule, subject, cause, period) DO NOTHING RETURNING id",
                    (each.rule, each.subject, each.cause, each.period, at, each.detail),
                )
                if rows:
                    new.append(rows[0][0])
                    self._tell(rows[0][0], 1, each.rule, at)
                elif each.rule in STATES:  # again in the same period: nobody is told twice
                    self._db.execute(
                        "UPDATE alert SET ended_at = NULL WHERE rule = ? AND subject = ? AND cause = ? AND period = ?",
                        (each.rule, each.subject, each.cause, each.period),
                    )
            for id in over:
                self._db.execute("UPDATE alert SET ended_at = ? WHERE id = ? AND ended_at IS NULL", (at, id))
            if alarm is not None:
                self._db.execute(
                    "INSERT INTO alert_mark VALUES ('alarm', ?) ON CONFLICT (name) DO UPDATE SET id = excluded.id",
                    (alarm,),
                )
        return new

    def _tell(self, id: int, round: int, rule: str, at: str) -> None:
        self._db.execute(
            "INSERT INTO alert_notice (channel, alert, round, due_at, attempts, problem)"
            " SELECT name, ?, ?, ?, 0, '' FROM alert_channel WHERE rules = '' OR ' ' || rules || ' ' LIKE ?",
            (id, round, at, f"% {rule} %"),
        )

    def alarm_mark(self) -> int:
        """The last of the collector's alarms that was looked at."""
        row = self._db.first("SELECT id FROM alert_mark WHERE name = 'alarm'")
        return row[0] if row else 0

    def lasting(self) -> list[Alert]:
        """Those whose cause has not ended, of the rules that are about states."""
        rows = self._db.execute(
            f"{_SELECT} WHERE ended_at IS NULL AND rule IN ({', '.join('?' * len(STATES))})", STATES
        )
        return [_alert(row) for row in rows]

    def wake(self, now: datetime) -> None:
        """Tells people again of what was snoozed until now and still lasts."""
        due = "SELECT id, rule, round FROM alert WHERE snoozed_until <= ?"
        at = _text(now)
        if not self._db.first(due, (at,)):
            return
        with self._db.transaction():
            for id, rule, round in self._db.execute(due, (at,)):
                self._db.execute("UPDATE alert SET snoozed_until = NULL, round = ? WHERE id = ?", (round + 1, id))
                if self._db.first("SELECT 1 FROM alert WHERE id = ? AND ended_at IS NULL", (id,)):
                    self._tell(id, round + 1, rule, at)

    def remove(self, before: datetime, most: int) -> int:
        """Removes alerts of long ago, so many at the most; how many there were. What lasts stays, as nobody is to be
        told of it again; so does what was put away, or is not sent yet."""
        old = (
            "SELECT id FROM alert WHERE raised_at < ? AND snoozed_until IS NULL AND (ended_at < ?"
            f" OR (rule NOT IN ({', '.join('?' * len(STATES))}) AND COALESCE(acknowledged_at, raised_at) < ?))"
            " AND id NOT IN (SELECT alert FROM alert_notice WHERE sent_at IS NULL) ORDER BY id LIMIT ?"
        )
        values = (_text(before), _text(before), *STATES, _text(before), most)
        if not self._db.first(old, values):
            return 0
        with self._db.transaction():
            self._db.execute(f"DELETE FROM alert_notice WHERE alert IN ({old})", values)
            return len(self._db.execute(f"DELETE FROM alert WHERE id IN ({old}) RETURNING id", values))

    # --- what people see and say ---

    def alert(self, id: int) -> Alert | None:
        row = self._db.first(f"{_SELECT} WHERE id = ?", (id,))
        return _alert(row) if row else None

    def page(
        self, shown: str = "open", subject: str = "", before: int = 0, after: int | None = None, most: int = 50
    ) -> list[Alert]:
        """The newest first, those with ids below `before`; with `after` the oldest first, those above it."""
        where, values = (
            {
                "open": "acknowledged_at IS NULL AND ended_at IS NULL AND snoozed_until IS NULL",
                "snoozed": "acknowledged_at IS NULL AND ended_at IS NULL AND snoozed_until IS NOT NULL",
                "acknowledged": "acknowledged_at IS NOT NULL",
                "over": "acknowledged_at IS NULL AND ended_at IS NOT NULL",
                "all": "TRUE",
            }[shown],
            list[object](),
        )
        if subject:
            where, values = f"{where} AND subject = ?", [subject]
        if before:
            where, values = f"{where} AND id < ?", [*values, before]
        if after is not None:
            where, values = f"{where} AND id > ?", [*values, after]
        order = "id" if after is not None else "id DESC"
        rows = self._db.execute(f"{_SELECT} WHERE {where} ORDER BY {order} LIMIT ?", (*values, most))
        return [_alert(row) for row in rows]

    def open_by_rule(self) -> dict[str, int]:
        """How many alerts nobody has seen to yet."""
        return dict(
            self._db.execute(
                "SELECT rule, COUNT(*) FROM alert WHERE acknowledged_at IS NULL AND ended_at IS NULL"
                " AND snoozed_until IS NULL GROUP BY rule ORDER BY rule"
            )
        )

    def acknowledge(self, ids: Sequence[int], by: str, now: datetime) -> int:
        """Nobody is told of them again in this period; how many there were. Twice is as once."""
        with self._db.transaction():
            return sum(
                len(
                    self._db.execute(
                        "UPDATE alert SET acknowledged_at = ?, acknowledged_by = ?, snoozed_until = NULL WHERE id = ?"
                        " AND acknowledged_at IS NULL RETURNING id",
                        (_text(now), by, id),
                    )
                )
                for id in ids
            )

    def snooze(self, ids: Sequence[int], until: datetime) -> int:
        """Puts open alerts away until then; how many there were."""
        with self._db.transaction():
            return sum(
                len(
                    self._db.execute(
                        "UPDATE alert SET snoozed_until = ? WHERE id = ? AND acknowledged_at IS NULL"
                        " AND ended_at IS NULL RETURNING id",
                        (_text(until), id),
                    )
                )
                for id in ids
            )

    # --- what is sent ---

    def register(self, channels: Mapping[str, Sequence[str]]) -> None:
        """From now on alerts go to these channels and no others, which nothing waits for any more; each gets those of
        its rules, or all if it names none."""
        with self._db.transaction():
            self._db.execute("DELETE FROM alert_channel")
            self._db.execute(
                f"DELETE FROM alert_notice WHERE sent_at IS NULL AND channel NOT IN ({self._db.among})",
                (self._db.listed(channels),),
            )
            for name, rules in channels.items():
                self._db.execute("INSERT INTO alert_channel VALUES (?, ?)", (name, " ".join(rules)))

    def claim(self, channel: str, now: datetime, most: int) -> list[Alert]:
        """What the channel is to send now, oldest first; nobody else will send it before the claim has run out."""
        due = (
            f"{_SELECT.replace('round', 'n.round')} JOIN alert_notice AS n ON n.alert = id"
            " WHERE n.channel = ? AND n.sent_at IS NULL AND n.due_at <= ? ORDER BY id LIMIT ?"
        )
        values = channel, _text(now), most
        if not self._db.execute(due, values):  # which locks nobody out
            return []
        with self._db.transaction():
            found = [_alert(row) for row in self._db.execute(due, values)]
            for each in found:
                self._db.execute(
                    "UPDATE alert_notice SET due_at = ?, attempts = attempts + 1"
                    " WHERE channel = ? AND alert = ? AND round = ?",
                    (_text(now + CLAIM), channel, each.id, each.round),
                )
        return found

    def sent(self, channel: str, alerts: Iterable[Alert], now: datetime) -> None:
        with self._db.transaction():
            for each in alerts:
                self._db.execute(
                    "UPDATE alert_notice SET sent_at = ?, problem = '' WHERE channel = ? AND alert = ? AND round = ?",
                    (_text(now), channel, each.id, each.round),
                )

    def failed(self, channel: str, alerts: Iterable[Alert], problem: str, now: datetime) -> None:
        """They are tried again, after a pause that doubles up to an hour."""
        with self._db.transaction():
            for each in alerts:
                key = channel, each.id, each.round
                ((attempts,),) = self._db.execute(
                    "SELECT attempts FROM alert_notice WHERE channel = ? AND alert = ? AND round = ?", key
                )
                pause = min(_FIRST_PAUSE * 2 ** min(attempts - 1, 20), _LONGEST_PAUSE)
                self._db.execute(
                    "UPDATE alert_notice SET due_at = ?, problem = ? WHERE channel = ? AND alert = ? AND round = ?",
                    (_text(now + pause), problem, *key),
                )

    def waiting(self) -> list[Waiting]:
        """What is not sent yet, by channel."""
        rows = self._db.execute(
            "SELECT channel, COUNT(*), MIN(raised_at), MAX(problem) FROM alert_notice JOIN alert ON id = alert"
            " WHERE sent_at IS NULL GROUP BY channel ORDER BY channel"
        )
        return [Waiting(name, count, datetime.fromisoformat(at), problem) for name, count, at, problem in rows]


def _alert(row: Row) -> Alert:
    id, rule, subject, period, raised_at, detail, round, ended, seen, by, until = row
    times = [each and datetime.fromisoformat(each) for each in (ended, seen, until)]
    at = datetime.fromisoformat(raised_at)
    return Alert(id, rule, subject, period, at, detail, round, times[0], times[1], by, times[2])


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
