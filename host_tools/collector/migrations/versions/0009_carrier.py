"""What a carrier's platform says of the devices' SIMs."""

from alembic import op

from host_tools.collector.schema import dialect, statements

revision, down_revision = "9", "8"

_STEPS = """
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
    total_octets INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE carrier_sync (
    account TEXT NOT NULL PRIMARY KEY,
    done_at TEXT NOT NULL,
    problem TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in statements(dialect(_STEPS, postgresql)):
        op.execute(statement)
    if not postgresql:
        op.execute(f"PRAGMA user_version = {revision}")  # for collectors that know no alembic
