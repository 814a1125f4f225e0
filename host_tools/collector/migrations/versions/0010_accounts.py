"""Who may use the fleet's page, and what they did there."""

from alembic import op

from host_tools.collector.schema import dialect, statements

revision, down_revision = "10", "9"

_STEPS = """
CREATE TABLE account (
    name TEXT NOT NULL PRIMARY KEY,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE web_session (
    digest BLOB NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE api_token (
    digest BLOB NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    account TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
"""


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in statements(dialect(_STEPS, postgresql)):
        op.execute(statement)
    if not postgresql:
        op.execute(f"PRAGMA user_version = {revision}")  # for collectors that know no alembic
