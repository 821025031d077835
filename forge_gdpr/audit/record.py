"""Appending to the record. The caller's transaction is the unit: all or nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import insert, select

from forge_gdpr.audit.events import COLUMNS, MAIN, Entry, body_of
from forge_gdpr.chain import Head, canonical, seal
from forge_gdpr.database.tables import audit_events

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

#: Writers of the main chain wait for each other here; a run chain has one writer only.
_MAIN_LOCK: Final = 4_711_202_119


def head_of(connection: Connection, chain: str) -> Head:
    """Return the end of a chain; of one that has no events yet, its beginning."""
    last = connection.execute(
        select(audit_events.c.seq, audit_events.c.hash)
        .where(audit_events.c.chain == chain)
        .order_by(audit_events.c.seq.desc())
        .limit(1)
    ).one_or_none()
    return Head(chain=chain) if last is None else Head(chain=chain, seq=last.seq, hash=last.hash)


def is_recorded(connection: Connection, head: Head) -> bool:
    """Say whether a chain has, or had, this end."""
    event = select(audit_events.c.id).where(
        audit_events.c.chain == head.chain,
        audit_events.c.seq == head.seq,
        audit_events.c.hash == head.hash,
    )
    return connection.execute(event).first() is not None


def append(connection: Connection, head: Head, entries: Sequence[Entry], *, at: datetime) -> Head:
    """Tie ``entries`` to the end of a chain and return its new end.

    Args:
        connection: in a transaction; if it is rolled back, so is the new head.
        head: the chain's end, known to be current: the caller is the chain's only writer.
        entries: in order.
        at: when they happened, UTC.
    """
    rows: list[dict[str, Any]] = []
    for entry in entries:
        seq = head.seq + 1
        body = canonical(body_of(entry, chain=head.chain, seq=seq, at=at))
        row = {name: getattr(entry, name) for name in COLUMNS}
        row |= {"chain": head.chain, "seq": seq, "at": at, "body": body, "previous": head.hash}
        head = Head(chain=head.chain, seq=seq, hash=seal(head.hash, body))
        row["hash"] = head.hash
        rows.append(row)
    if rows:
        # It names no other columns than these: PostgreSQL itself says who recorded it, and when.
        connection.execute(insert(audit_events), rows)
        _log(entries)
    return head


def lock_main(connection: Connection) -> None:
    """Let nobody else write to the main chain until this transaction ends."""
    if connection.dialect.name == "postgresql":  # on SQLite any writer is alone
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAIN_LOCK})")


def append_main(connection: Connection, entries: Sequence[Entry], *, at: datetime) -> Head:
    """Append to the main chain, which has many writers: they go one after the other."""
    lock_main(connection)
    return append(connection, head_of(connection, MAIN), entries, at=at)


def _log(entries: Sequence[Entry]) -> None:
    log = structlog.get_logger()
    if not log.is_enabled_for(logging.DEBUG):
        return
    for entry in entries:
        shown = {name: getattr(entry, name) for name in COLUMNS if name != "event"}
        log.debug(
            entry.event, **{name: value for name, value in shown.items() if value is not None}
        )
