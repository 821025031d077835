"""Who asked, who approved, what was extended; and the day of closing as the controller counts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIMESTAMP = sa.TIMESTAMP(timezone=True).with_variant(sa.DATETIME(), "sqlite")
COLUMNS = {
    "alarm_on": sa.Date(),
    "extended_at": TIMESTAMP,
    "created_by": sa.String(64),
    "approved_by": sa.String(64),
}

#: The day of closing is the controller's (TIMEZONE), where the event says it.
VIEW = """CREATE VIEW deletion_outcomes AS
SELECT request_id,
    {reference} AS reference,
    subject,
    {regime} AS regime,
    {received_at} AS received_at,
    {due_on} AS due_on,
    at AS closed_at,
    coalesce(outcome, substr(event, 9)) AS outcome,
    {attempts} AS attempts,
    http_status,
    run_id,
    actor,
    {closed_on} <= {due_on} AS on_time
FROM audit_events
WHERE event IN ('request.closed', 'request.cancelled', 'request.refused')"""
SQLITE = {
    "reference": "body ->> '$.reference'",
    "regime": "body ->> '$.regime'",
    "received_at": "replace(substr(body ->> '$.received_at', 1, 26), 'T', ' ')",
    "due_on": "body ->> '$.due_on'",
    "attempts": "body ->> '$.attempts'",
}
POSTGRESQL = {
    "reference": "body::json ->> 'reference'",
    "regime": "body::json ->> 'regime'",
    "received_at": "(body::json ->> 'received_at')::timestamptz",
    "due_on": "(body::json ->> 'due_on')::date",
    "attempts": "(body::json ->> 'attempts')::int",
}
CLOSED_ON = {
    "sqlite": "coalesce(body ->> '$.closed_on', date(at))",
    "postgresql": "coalesce((body::json ->> 'closed_on')::date, (at AT TIME ZONE 'UTC')::date)",
}
CLOSED_ON_BEFORE = {"sqlite": "date(at)", "postgresql": "(at AT TIME ZONE 'UTC')::date"}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("deletion_requests", sa.Column(name, kind))
    _replace_view(CLOSED_ON)


def downgrade() -> None:
    _replace_view(CLOSED_ON_BEFORE)
    for name in COLUMNS:
        op.drop_column("deletion_requests", name)


def _replace_view(closed_on: dict[str, str]) -> None:
    dialect = op.get_bind().dialect.name
    values = SQLITE if dialect == "sqlite" else POSTGRESQL
    op.execute("DROP VIEW deletion_outcomes")
    op.execute(VIEW.format(closed_on=closed_on[dialect], **values))
