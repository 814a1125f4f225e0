"""The newest report of each device beside all of them, days for what is not kept, and alarms in their order."""

from alembic import op

from host_tools.collector.schema import dialect, statements

revision, down_revision = "8", "7"

_STEPS = """
CREATE TABLE newest (
    device TEXT NOT NULL PRIMARY KEY,
    life INTEGER NOT NULL,
    life_id BLOB,
    boot_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    cycle_id INTEGER NOT NULL,
    carried_octets INTEGER NOT NULL,
    rated_octets INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    applied INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO newest SELECT r.device, r.life, l.life_id, boot_id, seq, cycle_id, carried_octets, rated_octets, counter,
    (SELECT MAX(counter) FROM report AS c WHERE c.device = r.device)
    FROM (SELECT report.*, ROW_NUMBER() OVER (PARTITION BY device ORDER BY life DESC, boot_id DESC, seq DESC) AS place
    FROM report) AS r JOIN life AS l ON l.device = r.device AND l.life = r.life WHERE place = 1;
CREATE TABLE removed (
    device TEXT NOT NULL,
    life INTEGER NOT NULL,
    boot_id INTEGER NOT NULL,
    below_seq INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (device, life, boot_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE day (
    device TEXT NOT NULL,
    day TEXT NOT NULL,
    life INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    carried_octets INTEGER NOT NULL,
    rated_octets INTEGER NOT NULL,
    PRIMARY KEY (device, day, life)
) STRICT, WITHOUT ROWID;
CREATE TABLE alarm_8 (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    received_at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO alarm_8 (device, received_at, kind, detail) SELECT device, received_at, kind, detail FROM alarm
    ORDER BY received_at;
DROP TABLE alarm;
ALTER TABLE alarm_8 RENAME TO alarm;
CREATE INDEX alarm_device ON alarm (device);
CREATE INDEX sim_sim ON sim (sim);
"""


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in statements(dialect(_STEPS, postgresql)):
        op.execute(statement)
    if not postgresql:
        op.execute(f"PRAGMA user_version = {revision}")  # for collectors that know no alembic
