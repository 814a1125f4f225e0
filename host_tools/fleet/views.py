"""Saved views: the filter, sorting and search that an account has given a name."""

from __future__ import annotations

from host_tools.collector.database import Database

MOST = 50  # of an account
MOST_NAME = 40


class Views:
    """As with a Store, any method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self, account: str) -> list[tuple[str, str]]:
        """(name, query), by name."""
        rows = self._db.execute("SELECT name, query FROM saved_view WHERE account = ? ORDER BY name", (account,))
        return [(name, query) for name, query in rows]

    def save(self, account: str, name: str, query: str) -> None:
        """Saves one, in the place of another of its name; of too many it saves none."""
        with self._db.transaction():
            names = [each for each, _ in self.all(account)]
            if name in names or len(names) < MOST:
                self._db.execute(
                    "INSERT INTO saved_view VALUES (?, ?, ?)"
                    " ON CONFLICT (account, name) DO UPDATE SET query = excluded.query",
                    (account, name, query),
                )

    def remove(self, account: str, name: str) -> None:
        with self._db.transaction():
            self._db.execute("DELETE FROM saved_view WHERE account = ? AND name = ?", (account, name))
