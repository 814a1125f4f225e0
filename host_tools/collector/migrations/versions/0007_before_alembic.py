"""The last layout whose number stands in SQLite's user_version alone, and what leads to it from the first one."""

from alembic import op
from sqlalchemy import text

from host_tools.collector.schema import dialect, statements

revision, down_revision = "7", None

_TABLES = """
CREATE TABLE IF NOT EXISTS life (
    device TEXT NOT NULL,
    life INTEGER NOT NULL,
    life_id BLOB,
    since TEXT NOT NULL,
    PRIMARY KEY (device, life)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS report (
    device TEXT NOT NULL,
    life INTEGER NOT NULL,
    boot_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    path TEXT NOT NULL,
    cycle_id INTEGER NOT NULL,
    carried_octets INTEGER NOT NULL,
    rated_octets INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    payload BLOB NOT NULL,
    packets INTEGER,
    sessions INTEGER,
    PRIMARY KEY (device, life, boot_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS report_counter ON report (device, counter);
CREATE TABLE IF NOT EXISTS alarm (
    device TEXT NOT NULL,
    received_at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sim (
    device TEXT NOT NULL PRIMARY KEY,
    sim BLOB NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag (
    tag TEXT NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (tag, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS given_order (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    given_at TEXT NOT NULL,
    given_by TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT NOT NULL,
    before TEXT NOT NULL,
    ended TEXT,
    until TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS given_order_device ON given_order (device);
CREATE TABLE IF NOT EXISTS device_order (
    device TEXT NOT NULL,
    counter INTEGER NOT NULL,
    sent_at TEXT,
    payload BLOB NOT NULL,
    given INTEGER,
    PRIMARY KEY (device, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS device_order_given ON device_order (given);
CREATE TABLE IF NOT EXISTS refused_order (
    device TEXT NOT NULL,
    counter INTEGER NOT NULL,
    refused_at TEXT NOT NULL,
    PRIMARY KEY (device, counter)
) STRICT, WITHOUT ROWID;
"""
_WITH_COUNTER = "ALTER TABLE report ADD COLUMN counter INTEGER NOT NULL DEFAULT 0;"
_ASIDE = "ALTER TABLE report RENAME TO report_1;"
_WITH_PACKETS = "ALTER TABLE report ADD COLUMN packets INTEGER; ALTER TABLE report ADD COLUMN sessions INTEGER;"
_WITH_UNTIL = "ALTER TABLE given_order ADD COLUMN until TEXT;"
_FROM_REPORT_1 = """
INSERT INTO life SELECT device, 1, NULL, MIN(received_at) FROM report_1 GROUP BY device;
INSERT INTO report SELECT device, 1, boot_id, seq, received_at, path, cycle_id, carried_octets, rated_octets, counter,
    payload, NULL, NULL FROM report_1;
DROP TABLE report_1;
"""
_FROM_SENT_ORDER = """
INSERT INTO device_order SELECT device, counter, sent_at, payload, NULL FROM sent_order;
DROP TABLE sent_order;
"""


def upgrade() -> None:
    connection = op.get_bind()
    postgresql = connection.dialect.name == "postgresql"  # which no collector before alembic had
    layout = 7 if postgresql else connection.execute(text("PRAGMA user_version")).scalar_one()
    before_lives = not postgresql and layout < 2 and _has("report")
    steps = [_WITH_COUNTER] if before_lives and layout == 0 else []
    steps += [_ASIDE] if before_lives else []
    steps += [_WITH_PACKETS] if 2 <= layout < 5 else []
    steps += [_WITH_UNTIL] if layout == 6 else []
    steps += [_TABLES, _FROM_REPORT_1 if before_lives else ""]
    steps += [_FROM_SENT_ORDER] if not postgresql and _has("sent_order") else []
    for statement in statements(dialect("".join(steps), postgresql)):
        op.execute(statement)


def _has(table: str) -> bool:
    query = text("SELECT COUNT(*) FROM sqlite_schema WHERE name = :name")
    return op.get_bind().execute(query, {"name": table}).scalar_one() > 0
