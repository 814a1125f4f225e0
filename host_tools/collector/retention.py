"""Reduces old reports to what they say of their days, so that a database of many devices does not grow for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from host_tools.collector.database import Database, StoreError

_REDUCE_S, _REDUCED_S = 0.5, 3600  # between the devices, and after the last one
_AT_ONCE = 200  # devices; a transaction is to be short, as others wait for it

# What stays: the last report of each boot, and of each period in it. The device's totals and periods are in those.
_OLD = """
    FROM report AS r WHERE received_at < ? AND device IN ({among}) AND EXISTS (
        SELECT 1 FROM report AS later WHERE later.device = r.device AND later.life = r.life
        AND later.boot_id = r.boot_id AND later.seq > r.seq AND later.cycle_id = r.cycle_id)
"""
_DAYS = """
INSERT INTO day (device, day, life, reports, carried_octets, rated_octets)
    SELECT device, substr(received_at, 1, 10), life, COUNT(*), MAX(carried_octets), MAX(rated_octets) {old}
    GROUP BY device, substr(received_at, 1, 10), life
    ON CONFLICT (device, day, life) DO UPDATE SET reports = day.reports + excluded.reports,
    carried_octets = CASE WHEN excluded.carried_octets > day.carried_octets THEN excluded.carried_octets
        ELSE day.carried_octets END,
    rated_octets = CASE WHEN excluded.rated_octets > day.rated_octets THEN excluded.rated_octets
        ELSE day.rated_octets END
"""
_REMOVED = """
INSERT INTO removed (device, life, boot_id, below_seq, reports)
    SELECT device, life, boot_id, MAX(seq) + 1, COUNT(*) {old} GROUP BY device, life, boot_id
    ON CONFLICT (device, life, boot_id) DO UPDATE SET reports = removed.reports + excluded.reports,
    below_seq = CASE WHEN excluded.below_seq > removed.below_seq THEN excluded.below_seq ELSE removed.below_seq END
"""
_DELETE = "DELETE {old}"


def reduce(database: Database, keep: timedelta, now: datetime, after: str = "") -> str:
    """Reduces the reports that arrived longer than `keep` ago, of the next devices behind `after` in the alphabet.

    Returns the last of these, for the next call; "" when all have had their turn. Raises StoreError; then nothing was
    changed.
    """
    devices = [
        device
        for (device,) in database.execute(
            "SELECT device FROM newest WHERE device > ? ORDER BY device LIMIT ?", (after, _AT_ONCE)
        )
    ]
    if not devices:
        return ""
    old = _OLD.format(among=database.among)
    values = (now - keep).astimezone(UTC).isoformat(), database.listed(devices)
    with database.transaction():
        for statement in (_DAYS, _REMOVED, _DELETE):
            database.execute(statement.format(old=old), values)
    return devices[-1]


async def go_on(
    store: Callable[..., Awaitable[str]], database: Database, keep: timedelta, refusals: Counter[str]
) -> None:
    """Reduces for ever, a few devices at a time, between which reports are stored. `store` calls what it is given as
    the database is to be used; what could not be done is counted."""
    after = ""
    while True:
        try:
            after = await store(reduce, database, keep, datetime.now(UTC), after)
        except StoreError as error:
            refusals[f"not reduced ({error})"] += 1
        await asyncio.sleep(_REDUCE_S if after else _REDUCED_S)
