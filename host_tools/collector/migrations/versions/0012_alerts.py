"""What people are told of, how far that has got, and when a SIM's package ends."""

from alembic import op

from host_tools.collector.schema import dialect, statements

revision, down_revision = "12", "11"

_STEPS = """
ALTER TABLE carrier_sim ADD COLUMN ends TEXT;
CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    cause TEXT NOT NULL,
    period TEXT NOT NULL,
    raised_at TEXT NOT NULL,
    detail TEXT NOT NULL,
    round INTEGER NOT NULL,
    ended_at TEXT,
    acknowledged_at TEXT,
    acknowledged_by TEXT,
    snoozed_until TEXT
) STRICT;
CREATE UNIQUE INDEX alert_cause ON alert (rule, subject, cause, period);
CREATE INDEX alert_subject ON alert (subject);
CREATE INDEX alert_lasting ON alert (rule) WHERE ended_at IS NULL;
CREATE TABLE alert_channel (
    name TEXT NOT NULL PRIMARY KEY,
    rules TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE alert_notice (
    channel TEXT NOT NULL,
    alert INTEGER NOT NULL,
    round INTEGER NOT NULL,
    due_at TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    sent_at TEXT,
    problem TEXT NOT NULL,
    PRIMARY KEY (channel, alert, round)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_notice_due ON alert_notice (channel, due_at) WHERE sent_at IS NULL;
CREATE TABLE alert_mark (
    name TEXT NOT NULL PRIMARY KEY,
    id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in statements(dialect(_STEPS, postgresql)):
        op.execute(statement)
    if not postgresql:
        op.execute(f"PRAGMA user_version = {revision}")  # for collectors that know no alembic
