"""Saved views and new passwords on the fleet's page; pools and their members as the platform describes them."""

from alembic import op

from host_tools.collector.schema import dialect, statements

revision, down_revision = "11", "10"

_STEPS = """
CREATE TABLE saved_view (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE password_reset (
    digest BLOB NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE carrier_pool (
    pool TEXT NOT NULL PRIMARY KEY,
    cycle_start TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    total_octets INTEGER NOT NULL,
    used_octets INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pool_member (
    device TEXT NOT NULL PRIMARY KEY,
    pool TEXT NOT NULL,
    granted_octets INTEGER
) STRICT, WITHOUT ROWID;
"""


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in statements(dialect(_STEPS, postgresql)):
        op.execute(statement)
    if not postgresql:
        op.execute(f"PRAGMA user_version = {revision}")  # for collectors that know no alembic
