"""The tables as the queries see them. `migrations/` makes them; a test compares the two.

SQLAlchemy Core, not the ORM: on the run's path an ORM object costs as much CPU as the HTTP call.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Column,
    Date,
    Index,
    Integer,
    MetaData,
    Named,
    String,
    Table,
    Text,
    TypedColumns,
    TypeDecorator,
    UniqueConstraint,
    column,
    table,
    text,
)
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: Final = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds, on SQLite as text that sorts by time."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        """Return the column type of this database."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sqlite.DATETIME())  # type: ignore[no-untyped-call]
        return dialect.type_descriptor(TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: it would be an hour off twice a year, in an audit."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time has a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the time zone back that SQLite forgets."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId: Final = BigInteger().with_variant(Integer(), "sqlite")
UserId: Final = String(128)
Email: Final = String(320)
Reference: Final = String(255)
Code: Final = String(64)
ShortCode: Final = String(16)
RunId: Final = String(36)
Subject: Final = String(80)
Actor: Final = String(64)
Digest: Final = String(64)


class DeletionRequestColumns(TypedColumns):
    """One person's deletion request a row."""

    id: Named[int] = Column(BigId, primary_key=True)
    forge_user_id: Named[str | None] = Column(UserId)
    email: Named[str | None] = Column(Email)
    reference: Named[str | None] = Column(Reference, unique=True)
    regime: Named[str] = Column(ShortCode, nullable=False)
    received_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    not_before: Named[datetime | None] = Column(UtcDateTime)
    due_on: Named[date | None] = Column(Date)
    status: Named[str] = Column(ShortCode, nullable=False)
    status_reason: Named[str | None] = Column(Code)
    subject: Named[str | None] = Column(Subject)
    attempts: Named[int] = Column(Integer, nullable=False)
    next_attempt_at: Named[datetime | None] = Column(UtcDateTime)
    claimed_by: Named[str | None] = Column(RunId)
    claim_expires_at: Named[datetime | None] = Column(UtcDateTime)
    fence: Named[int] = Column(Integer, nullable=False)
    closed_at: Named[datetime | None] = Column(UtcDateTime)
    created_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    updated_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    #: The day by which it should be done: the legal date, or 28 days if they are earlier.
    alarm_on: Named[date | None] = Column(Date)
    extended_at: Named[datetime | None] = Column(UtcDateTime)
    created_by: Named[str | None] = Column(Actor)  #: null: an application's own INSERT
    approved_by: Named[str | None] = Column(Actor)
    approval: Named[str | None] = Column(Subject)  #: sealed: for whom it was given, and by whom
    #: PostgreSQL's own word, which no INSERT names; null on SQLite, and in what is older.
    created_login: Named[str | None] = Column(Actor)
    #: What stands for the reference since it was admitted: itself, or its keyed hash.
    public_reference: Named[str | None] = Column(Reference)


deletion_requests: Final = Table(
    "deletion_requests",
    metadata,
    DeletionRequestColumns,
    sqlite_autoincrement=True,  # an id is never used twice, also after retention removed rows
)
Index(None, *(deletion_requests.c[name] for name in ("status", "due_on", "id")))
Index(
    "ix_deletion_requests_unseen",
    deletion_requests.c.id,
    sqlite_where=text("subject IS NULL"),
    postgresql_where=text("subject IS NULL"),
)


class AuditEventColumns(TypedColumns):
    """One event of the record a row; never changed, never deleted."""

    id: Named[int] = Column(BigId, primary_key=True)
    chain: Named[str] = Column(RunId, nullable=False)
    seq: Named[int] = Column(BigInteger, nullable=False)
    at: Named[datetime] = Column(UtcDateTime, nullable=False)
    event: Named[str] = Column(String(32), nullable=False)
    run_id: Named[str | None] = Column(RunId)
    request_id: Named[int | None] = Column(BigInteger)
    subject: Named[str | None] = Column(Subject)
    actor: Named[str | None] = Column(Actor)
    outcome: Named[str | None] = Column(String(32))
    attempt: Named[int | None] = Column(Integer)
    http_status: Named[int | None] = Column(Integer)
    body: Named[str] = Column(Text, nullable=False)
    previous: Named[str] = Column(Digest, nullable=False)
    hash: Named[str] = Column(Digest, nullable=False)
    #: PostgreSQL's own word, which no INSERT names; null on SQLite, and in what is older.
    recorded_at: Named[datetime | None] = Column(UtcDateTime)
    recorded_by: Named[str | None] = Column(Actor)


audit_events: Final = Table(
    "audit_events",
    metadata,
    AuditEventColumns,
    UniqueConstraint("chain", "seq"),
    UniqueConstraint("chain", "previous"),
    sqlite_autoincrement=True,
)
Index(None, audit_events.c.request_id, audit_events.c.event)
Index(None, audit_events.c.event, audit_events.c.at)


class RunColumns(TypedColumns):
    """One run a row: whether it lives. What it did stands in the audit."""

    id: Named[str] = Column(RunId, primary_key=True)
    opened_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    lease_expires_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    closed_at: Named[datetime | None] = Column(UtcDateTime)


runs: Final = Table("runs", metadata, RunColumns)

#: The view for BI tools, from the audit alone; a migration makes it.
deletion_outcomes: Final = table(
    "deletion_outcomes",
    column("request_id", BigInteger),
    column("reference", Text),
    column("subject", Text),
    column("regime", Text),
    column("received_at", UtcDateTime),
    column("due_on", Date),
    column("closed_at", UtcDateTime),
    column("outcome", Text),
    column("attempts", Integer),
    column("http_status", Integer),
    column("run_id", Text),
    column("actor", Text),
    column("on_time", Integer),
)
