"""The tables of the collector's database, in the SQL that SQLite and PostgreSQL share.

A new database is made from here; an older one is brought here by `migrations`, and a test compares the two. It is
written in SQLite's names for types; `dialect` puts it into PostgreSQL's.
"""

from __future__ import annotations

LAYOUT = 12
"""The revision in `migrations` that leads to these tables. SQLite's user_version has it for older collectors."""

SCHEMA = """
CREATE TABLE life (
    device TEXT NOT NULL,
    life INTEGER NOT NULL,
    life_id BLOB,
    since TEXT NOT NULL,
    PRIMARY KEY (device, life)
) STRICT, WITHOUT ROWID;
CREATE TABLE report (
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
CREATE INDEX report_counter ON report (device, counter);
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
CREATE TABLE alarm (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    received_at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX alarm_device ON alarm (device);
CREATE TABLE sim (
    device TEXT NOT NULL PRIMARY KEY,
    sim BLOB NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sim_sim ON sim (sim);
CREATE TABLE tag (
    tag TEXT NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (tag, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE given_order (
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
CREATE INDEX given_order_device ON given_order (device);
CREATE TABLE device_order (
    device TEXT NOT NULL,
    counter INTEGER NOT NULL,
    sent_at TEXT,
    payload BLOB NOT NULL,
    given INTEGER,
    PRIMARY KEY (device, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_order_given ON device_order (given);
CREATE TABLE refused_order (
    device TEXT NOT NULL,
    counter INTEGER NOT NULL,
    refused_at TEXT NOT NULL,
    PRIMARY KEY (device, counter)
) STRICT, WITHOUT ROWID;
CREATE TABLE carrier_figure (
    device TEXT NOT NULL,
    cycle_start TEXT NOT NULL,
    as_of TEXT NOT NULL,
    octets INTEGER NOT NULL,
    source TEXT NOT NULL,
    given INTEGER,
    PRIMARY KEY (device, cycle_start, as_of)
) STRICT, WITHOUT ROWID;
CREATE TABLE carrier_sim (
    device TEXT NOT NULL PRIMARY KEY,
    sim TEXT NOT NULL,
    life TEXT NOT NULL,
    data TEXT NOT NULL,
    stop_reasons TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    total_octets INTEGER,
    ends TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE carrier_sync (
    account TEXT NOT NULL PRIMARY KEY,
    done_at TEXT NOT NULL,
    problem TEXT NOT NULL
) STRICT, WITHOUT ROWID;
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

_POSTGRESQL = (
    ("INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    (" INTEGER", " BIGINT"),
    (" BLOB", " BYTEA"),
    (" TEXT", ' TEXT COLLATE "C"'),  # sorted alike
    (" STRICT, WITHOUT ROWID", ""),
    (" STRICT", ""),
)


def dialect(sql: str, postgresql: bool) -> str:
    """Definitions of tables as the database at hand takes them."""
    if postgresql:
        for here, there in _POSTGRESQL:
            sql = sql.replace(here, there)
    return sql


def statements(sql: str) -> list[str]:
    return [each for each in map(str.strip, sql.split(";")) if each]
