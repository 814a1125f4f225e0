"""Databases of earlier collectors."""

import sqlite3
from contextlib import closing

from host_tools.collector.migrations.run import upgrade
from host_tools.collector.sqlite import SqliteDatabase


def seventh(path):
    """An empty file of layout 7, the last before alembic."""
    with closing(SqliteDatabase(path, 0)) as database:
        upgrade(database, "7")
    with closing(sqlite3.connect(path)) as file, file:
        file.executescript("DROP TABLE alembic_version; PRAGMA user_version = 7;")
