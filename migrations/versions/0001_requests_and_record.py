"""The request table, the record, the runs, and the view for reports."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIMESTAMP = sa.TIMESTAMP(timezone=True).with_variant(sa.DATETIME(), "sqlite")

#: A time that an application wrote on SQLite, which takes any text for one. What is no time is
#: refused, as PostgreSQL refuses it; what is one is rewritten by the triggers to UTC text that
#: sorts by time. (`+0 days` makes SQLite notice a 30 February.)
IS_A_TIME = (
    "{c} IS NULL OR ({c} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"
    " AND julianday({c}) IS NOT NULL"
    " AND date(substr({c}, 1, 10), '+0 days') = substr({c}, 1, 10))"
)
IS_A_DATE = "{c} IS NULL OR coalesce(date({c}, '+0 days') = {c}, 0)"
CANONICAL = "____-__-__ __:__:__.______"

SQLITE_TRIGGERS = (
    *(
        f"""CREATE TRIGGER deletion_requests_{column}_{when} AFTER {event} ON deletion_requests
        WHEN NEW.{column} NOT LIKE '{CANONICAL}' BEGIN
            UPDATE deletion_requests
            SET {column} = strftime('%Y-%m-%d %H:%M:%f000', NEW.{column}) WHERE id = NEW.id;
        END"""
        for column in ("received_at", "not_before")
        for when, event in (("insert", "INSERT"), ("update", f"UPDATE OF {column}"))
    ),
    *(
        f"""CREATE TRIGGER audit_events_refuse_{event.lower()} BEFORE {event} ON audit_events
        BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END"""
        for event in ("UPDATE", "DELETE")
    ),
    # INSERT OR REPLACE deletes without asking the trigger above.
    """CREATE TRIGGER audit_events_refuse_replace BEFORE INSERT ON audit_events
    WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
        OR EXISTS (SELECT 1 FROM audit_events WHERE chain = NEW.chain AND seq = NEW.seq)
        OR EXISTS (SELECT 1 FROM audit_events WHERE chain = NEW.chain AND previous = NEW.previous)
    BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END""",
)
POSTGRESQL_TRIGGERS = (
    """CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'audit_events is append-only'; END $$""",
    """CREATE TRIGGER audit_events_refuse_change
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse()""",
)

#: One row a closed request, from the record alone.
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
SQLITE_VIEW = VIEW.format(
    reference="body ->> '$.reference'",
    regime="body ->> '$.regime'",
    received_at="replace(substr(body ->> '$.received_at', 1, 26), 'T', ' ')",
    due_on="body ->> '$.due_on'",
    attempts="body ->> '$.attempts'",
    closed_on="date(at)",
)
POSTGRESQL_VIEW = VIEW.format(
    reference="body::json ->> 'reference'",
    regime="body::json ->> 'regime'",
    received_at="(body::json ->> 'received_at')::timestamptz",
    due_on="(body::json ->> 'due_on')::date",
    attempts="(body::json ->> 'attempts')::int",
    closed_on="(at AT TIME ZONE 'UTC')::date",
)


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    now = sa.text("(strftime('%Y-%m-%d %H:%M:%f000', 'now'))" if sqlite else "clock_timestamp()")
    _make_requests(now, sqlite=sqlite)
    _make_audit()
    op.create_table(
        "runs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("opened_at", TIMESTAMP, nullable=False),
        sa.Column("lease_expires_at", TIMESTAMP, nullable=False),
        sa.Column("closed_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    for statement in SQLITE_TRIGGERS if sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)
    op.execute(SQLITE_VIEW if sqlite else POSTGRESQL_VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW deletion_outcomes")
    for table in ("runs", "audit_events", "deletion_requests"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_events_refuse()")


def _make_requests(now: sa.TextClause, *, sqlite: bool) -> None:
    checks = (
        [
            sa.CheckConstraint(
                IS_A_TIME.format(c="received_at"), name=op.f("received_at_is_a_time")
            ),
            sa.CheckConstraint(IS_A_TIME.format(c="not_before"), name=op.f("not_before_is_a_time")),
            sa.CheckConstraint(IS_A_DATE.format(c="due_on"), name=op.f("due_on_is_a_date")),
        ]
        if sqlite
        else []
    )
    op.create_table(
        "deletion_requests",
        sa.Column("id", BIG_ID, sa.Identity(), nullable=False),
        sa.Column("forge_user_id", sa.String(128)),
        sa.Column("email", sa.String(320)),
        sa.Column("reference", sa.String(255)),
        sa.Column("regime", sa.String(16), server_default="gdpr", nullable=False),
        sa.Column("received_at", TIMESTAMP, server_default=now, nullable=False),
        sa.Column("not_before", TIMESTAMP),
        sa.Column("due_on", sa.Date()),
        sa.Column("status", sa.String(16), server_default="pending", nullable=False),
        sa.Column("status_reason", sa.String(64)),
        sa.Column("subject", sa.String(80)),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", TIMESTAMP),
        sa.Column("claimed_by", sa.String(36)),
        sa.Column("claim_expires_at", TIMESTAMP),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("closed_at", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=now, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deletion_requests"),
        sa.UniqueConstraint("reference", name="uq_deletion_requests_reference"),
        *checks,
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deletion_requests_status_due_on_id", "deletion_requests", ["status", "due_on", "id"]
    )
    op.create_index(
        "ix_deletion_requests_unseen",
        "deletion_requests",
        ["id"],
        sqlite_where=sa.text("subject IS NULL"),
        postgresql_where=sa.text("subject IS NULL"),
    )


def _make_audit() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", BIG_ID, sa.Identity(), nullable=False),
        sa.Column("chain", sa.String(36), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("run_id", sa.String(36)),
        sa.Column("request_id", sa.BigInteger()),
        sa.Column("subject", sa.String(80)),
        sa.Column("actor", sa.String(64)),
        sa.Column("outcome", sa.String(32)),
        sa.Column("attempt", sa.Integer()),
        sa.Column("http_status", sa.Integer()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
        sa.UniqueConstraint("chain", "seq", name="uq_audit_events_chain_seq"),
        sa.UniqueConstraint("chain", "previous", name="uq_audit_events_chain_previous"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_events_request_id_event", "audit_events", ["request_id", "event"])
    op.create_index("ix_audit_events_event_at", "audit_events", ["event", "at"])
