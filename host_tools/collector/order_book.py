"""Orders in the collector's database: in which order they go, what became of each, and who gave it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from host_tools.collector.database import Database
from host_tools.collector.order import MAX_COUNTER, Order
from host_tools.collector.verify import Report, decode_report


class State(enum.Enum):
    """Of an order that somebody gave."""

    WAITING = "waiting"  # for the device's next report
    SENT = "sent"  # and not yet known to be applied
    APPLIED = "applied"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # by a later order with the same keys, before it was sent
    EXPIRED = "expired"  # it was not sent in time


@dataclass(frozen=True, slots=True)
class Given:
    """An order that somebody gave, and what became of it.

    `before`: what the device's newest report said then. `since`: when `state` was reached, as far as that is known.
    `until`: when it expires unless it is sent; None for never.
    """

    id: int
    device: str
    given_at: datetime
    given_by: str
    what: str
    why: str
    before: str
    state: State
    since: datetime | None
    until: datetime | None


class _Waiting(NamedTuple):
    counter: int
    sent_at: str | None
    payload: bytes
    given: int | None


class OrderBook:
    """Orders by (device, counter). One at a time goes to a device: the first that no report shows to be applied or
    refused, or followed by one that was applied. As with a Store, any method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def next_counter(self, device: str) -> int:
        """The counter for a new order: above every counter that was used or that the device reported as applied.

        OverflowError when there is none left.
        """
        after = max(self._applied(device), self._last(device))
        if after >= MAX_COUNTER:
            raise OverflowError(f"{device} has had {after} orders")
        return after + 1

    def add(self, device: str, order: Order, sent_at: datetime) -> None:
        """Stores an order that is sent now, before it is. Raises ValueError when its counter was used before.

        Orders that wait for the device and were not applied by its newest report go after this one, as later orders
        with the same keys, but for those that set what this one sets.
        """
        if order.counter < self.next_counter(device):
            raise ValueError(f"the counter {order.counter} of an order for {device} was used before")
        with self._db.transaction():
            waiting = self._waiting(device)
            self._insert(device, order, sent_at, None)
            self._put_behind(device, order, waiting)

    def give(
        self,
        device: str,
        order: Order,
        at: datetime,
        *,
        by: str,
        what: str,
        why: str,
        before: str,
        until: datetime | None = None,
        first: bool = False,
    ) -> int:
        """Queues the keys of `order`, which gets a counter of its own, behind what waits; returns its id. One that goes
        `first`, as a short message has no other, has the lowest counter of what waits.

        What waits, was not sent, and sets nothing else is superseded. `by`, `what`, `why`, `before` and `until`: see
        Given.
        """
        with self._db.transaction():
            self.expire(device, at)
            for each in self._waiting(device):
                if each.sent_at is None and not Order.decode(each.payload).without(order).names():
                    self._drop(device, each, State.SUPERSEDED)
            ((given,),) = self._db.execute(
                "INSERT INTO given_order (device, given_at, given_by, what, why, before, until)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (device, at.isoformat(), by, what, why, before, until and until.astimezone(UTC).isoformat()),
            )
            behind = self._waiting(device) if first else []
            numbered = msgspec.structs.replace(order, counter=self.next_counter(device))
            self._insert(device, numbered, None, given)
            self._put_behind(device, numbered, behind)
        return given

    def expire(self, device: str, at: datetime) -> None:
        """Drops what waits, was not sent, and has expired."""
        query = (
            "SELECT counter, sent_at, payload, given FROM device_order AS o JOIN given_order ON id = given"
            " WHERE o.device = ? AND sent_at IS NULL AND until <= ?"
        )
        asked = device, at.astimezone(UTC).isoformat()
        if not self._db.execute(query, asked):
            return
        with self._db.transaction():
            for row in self._db.execute(query, asked):
                self._drop(device, _Waiting(*row), State.EXPIRED)

    def send(self, device: str, at: datetime) -> Order | None:
        """The order that goes with an acknowledgement now; None where none waits."""
        waiting = self._waiting(device)
        if waiting and waiting[0].sent_at is None:
            with self._db.transaction():
                waiting = self._waiting(device)  # another process may have cancelled it before the lock was taken
                if waiting:
                    self._db.execute(
                        "UPDATE device_order SET sent_at = ? WHERE device = ? AND counter = ?",
                        (at.isoformat(), device, waiting[0].counter),
                    )
        return Order.decode(waiting[0].payload) if waiting else None

    def hurry(self, device: str) -> None:
        """Puts a stop that waits behind other orders in front of them. Only where the device's newest report shows that
        it has not applied the first one: it is given a higher counter, so that one that was applied would be twice."""
        if not any(Order.decode(each.payload).stop for each in self._waiting(device)[1:]):
            return
        with self._db.transaction():
            waiting = self._waiting(device)  # another process may have cancelled it before the lock was taken
            for stop in waiting[1:]:
                order = Order.decode(stop.payload)
                if order.stop:
                    first = self._move(device, stop, order, self.next_counter(device))
                    self._put_behind(device, first, [each for each in waiting if each is not stop])
                    return

    def cancel(self, given: int) -> Given | None:
        """Takes back an order that waits; returns it as it is then, in whatever state. None: there is no such order."""
        with self._db.transaction():
            for order in self.given(id=given):
                for each in self._waiting(order.device):
                    if each.given == given and each.sent_at is None:
                        self._drop(order.device, each, State.CANCELLED)
        return next(iter(self.given(id=given)), None)

    def pending(self, device: str) -> Order | None:
        """The order that goes to the device next, or was sent and is not yet known to be applied."""
        waiting = self._waiting(device)
        return Order.decode(waiting[0].payload) if waiting else None

    def sent(self, device: str) -> list[tuple[datetime, Order]]:
        """Every order sent to the device, with the time when it was first sent."""
        rows = self._db.execute(
            "SELECT sent_at, payload FROM device_order WHERE device = ? AND sent_at IS NOT NULL ORDER BY counter",
            (device,),
        )
        return [(datetime.fromisoformat(at), Order.decode(payload)) for at, payload in rows]

    def given(self, devices: Sequence[str] = (), id: int | None = None, now: datetime | None = None) -> list[Given]:
        """The orders that somebody gave, the oldest first: to these devices, or to all.

        What has expired since the device reported last is told as expired only with `now`.
        """
        where: dict[str, object] = {}
        if id is not None:
            where["g.id = ?"] = id
        if devices:
            where[f"g.device IN ({self._db.among})"] = self._db.listed(devices)
        rows = self._db.execute(
            "SELECT g.id, g.device, given_at, given_by, what, why, before, until, ended, sent_at,"
            " (SELECT refused_at FROM refused_order AS r WHERE r.device = g.device AND r.counter = o.counter),"
            " (SELECT received_at FROM report WHERE report.device = g.device AND report.counter >= o.counter"
            " ORDER BY report.counter, life, boot_id, seq LIMIT 1)"
            " FROM given_order AS g LEFT JOIN device_order AS o ON o.given = g.id"
            f" WHERE {' AND '.join(where) or 'TRUE'} ORDER BY g.id",
            tuple(where.values()),
        )
        return [_given(*row, now=now) for row in rows]

    def follow(self, device: str, counter: int) -> None:
        """Gives what waits and was not sent counters above that of a new report, which another collector's order has
        used, or one that an older copy of this file does not know. For use in a transaction, before the report is
        stored."""
        unsent = [each for each in self._waiting(device) if each.sent_at is None]
        if not unsent or unsent[0].counter > counter:
            return
        above = max(counter, self._last(device))
        for place, each in enumerate(unsent, 1):
            self._move(device, each, Order.decode(each.payload), above + place)

    def refusal(self, device: str, life: int, report: Report, at: str) -> str:
        """What a new report shows to be refused of the order that was sent, "" for nothing. An order that was refused
        as a whole is retired. For use in a transaction, before the report is stored.

        The device counts refusals since its boot, and only one order at a time is sent to it. A report that it made
        before that was sent shows nothing, however late it comes.
        """
        waiting = self._waiting(device)
        if not waiting or waiting[0].sent_at is None:
            return ""
        counter, sent_at, *_ = waiting[0]
        newest = self._db.first(
            "SELECT life, boot_id, seq, payload FROM report WHERE device = ? AND received_at <= ?"
            " ORDER BY life DESC, boot_id DESC, seq DESC LIMIT 1",
            (device, sent_at),
        )
        before = 0
        if newest:
            *place, payload = newest
            if [life, report.boot_id, report.seq] < place:
                return ""
            before = decode_report(payload).refused if [life, report.boot_id] == place[:2] else 0
        if report.refused <= before:
            return ""
        if report.counter >= counter:
            return f"order {counter}: the device has no part for some of its keys"
        self._db.execute("INSERT INTO refused_order VALUES (?, ?, ?)", (device, counter, at))
        return f"order {counter}: the device does not know a key of it, or a value is out of the device's range"

    def _put_behind(self, device: str, order: Order, waiting: list[_Waiting]) -> None:
        """Gives what waits counters above that of `order`, without the keys that it has as well."""
        counter = order.counter
        for each in waiting:
            later = Order.decode(each.payload).without(order)
            if later.names():
                counter += 1
                self._move(device, each, later, counter)
            else:
                self._drop(device, each, State.SUPERSEDED)

    def _move(self, device: str, each: _Waiting, order: Order, counter: int) -> Order:
        """Gives what waits another counter, as `order`; it is as if it was not sent yet."""
        moved = msgspec.structs.replace(order, counter=counter)
        self._delete(device, each.counter)
        self._insert(device, moved, None, each.given)
        return moved

    def _insert(self, device: str, order: Order, sent_at: datetime | None, given: int | None) -> None:
        self._db.execute(
            "INSERT INTO device_order VALUES (?, ?, ?, ?, ?)",
            (device, order.counter, sent_at.isoformat() if sent_at else None, order.encode(), given),
        )

    def _delete(self, device: str, counter: int) -> None:
        self._db.execute("DELETE FROM device_order WHERE device = ? AND counter = ?", (device, counter))

    def _drop(self, device: str, each: _Waiting, ended: State) -> None:
        self._delete(device, each.counter)
        self._db.execute("UPDATE given_order SET ended = ? WHERE id = ?", (ended.value, each.given))

    def _applied(self, device: str) -> int:
        row = self._db.first("SELECT applied FROM newest WHERE device = ?", (device,))
        return row[0] if row else 0

    def _last(self, device: str) -> int:
        ((last,),) = self._db.execute("SELECT MAX(counter) FROM device_order WHERE device = ?", (device,))
        return last or 0

    def _waiting(self, device: str) -> list[_Waiting]:
        """The orders that wait for the device; the first one is sent."""
        return [
            _Waiting(*row)
            for row in self._db.execute(
                "SELECT counter, sent_at, payload, given FROM device_order WHERE device = ? AND counter > ?"
                " AND counter NOT IN (SELECT counter FROM refused_order WHERE device = ?) ORDER BY counter",
                (device, self._applied(device), device),
            )
        ]


def _given(
    id: int,
    device: str,
    given_at: str,
    given_by: str,
    what: str,
    why: str,
    before: str,
    until: str | None,
    ended: str | None,
    sent_at: str | None,
    refused_at: str | None,
    applied_at: str | None,
    now: datetime | None,
) -> Given:
    state, since = State.WAITING, None
    last = datetime.fromisoformat(until) if until else None
    if ended:
        state = State(ended)
        since = until if state is State.EXPIRED else None
    elif refused_at:
        state, since = State.REFUSED, refused_at
    elif applied_at:
        state, since = State.APPLIED, applied_at
    elif sent_at:
        state, since = State.SENT, sent_at
    elif last and now and last <= now:
        state, since = State.EXPIRED, until
    when = datetime.fromisoformat(since) if since else None
    return Given(id, device, datetime.fromisoformat(given_at), given_by, what, why, before, state, when, last)
