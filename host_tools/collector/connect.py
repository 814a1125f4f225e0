"""Opens the collector's database, and sees to it that it has the tables of this version."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from host_tools.base import extras
from host_tools.collector.database import Database, EarlierLayout, StoreError, is_url
from host_tools.collector.schema import LAYOUT, SCHEMA, dialect, statements
from host_tools.collector.sqlite import SqliteDatabase

BUSY_S = 5.0  # how long a write waits for another program's lock on the database
IN_MEMORY = ":memory:"


def connected(name: str | Path, busy_s: float, upgrade: bool) -> Database:
    """The database at a path or URL, with its tables. StoreError: it is no collector's, a later one's, or not there."""
    if is_url(name):
        extras.need("--db", "postgresql")
        from host_tools.collector.postgresql import PostgresqlDatabase

        database: Database = PostgresqlDatabase(str(name), busy_s)
    else:
        database = SqliteDatabase(name, busy_s)
        if name == IN_MEMORY:
            database.raw.deserialize(_empty())
    try:
        _prepare(database, upgrade)
    except StoreError:
        database.close()
        raise
    return database


@cache
def _empty() -> bytes:
    """An image of a database without rows. Each short run has one, which took longer to make than to use."""
    database = SqliteDatabase(IN_MEMORY, BUSY_S)
    _prepare(database, upgrade=True)
    image = database.raw.serialize()
    database.close()
    return image


def _prepare(database: Database, upgrade: bool) -> None:
    """Makes the tables where there are none, or brings an earlier collector's up to date; EarlierLayout where that
    is not to be done."""
    layout = database.layout()
    if layout > LAYOUT:
        raise StoreError(f"made by a later version: its layout is {layout}, this one's {LAYOUT}")
    earlier = layout < LAYOUT and database.has_tables()
    if layout < LAYOUT and not upgrade:
        raise EarlierLayout("made by an earlier version") if earlier else StoreError("not a collector's")
    database.set_up()
    if layout == LAYOUT:
        return
    if earlier:
        from host_tools.collector.migrations import run as migrations  # its libraries are large

        migrations.upgrade(database)
        return
    with database.transaction():
        if database.layout() == LAYOUT:  # another process was quicker
            return
        for statement in statements(dialect(SCHEMA, database.postgresql)):
            database.execute(statement)
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        database.execute(f"INSERT INTO alembic_version VALUES ('{LAYOUT}')")
        database.note_layout(LAYOUT)
