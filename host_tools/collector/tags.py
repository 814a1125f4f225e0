"""Tags of devices: names for groups of them, such as a customer or a site."""

from __future__ import annotations

from collections.abc import Iterable

from host_tools.collector.database import Database


class Tags:
    """As with a Store, any method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tag: str, devices: Iterable[str]) -> None:
        with self._db.transaction():
            for device in devices:
                self._db.execute("INSERT INTO tag VALUES (?, ?) ON CONFLICT DO NOTHING", (tag, device))

    def remove(self, tag: str, devices: Iterable[str]) -> None:
        with self._db.transaction():
            for device in devices:
                self._db.execute("DELETE FROM tag WHERE tag = ? AND device = ?", (tag, device))

    def devices(self, tag: str) -> list[str]:
        """The devices that have a tag."""
        return [row[0] for row in self._db.execute("SELECT device FROM tag WHERE tag = ? ORDER BY device", (tag,))]

    def of(self, device: str) -> list[str]:
        """The tags of a device."""
        return [row[0] for row in self._db.execute("SELECT tag FROM tag WHERE device = ? ORDER BY tag", (device,))]
