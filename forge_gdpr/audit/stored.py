"""The record's rows as the database holds them, to the letter; no driver interprets anything.

SQLite stores any value in any column, and PostgreSQL has times that Python has not. Where a query
for such a row would fail as a whole, only that row is said to be unreadable.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import OperationalError

from forge_gdpr.audit.events import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

_PAGE: Final = 2000
_INDEX_SCANS: Final = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")

#: The columns that say the same as the body.
FIELDS: Final = ("chain", "seq", *COLUMNS)

#: A time as SQLite holds it; of one that Python has not an empty text, which no event says.
_TIME: Final = (
    "CASE WHEN {c} IS NULL THEN NULL"
    " WHEN {c} >= timestamptz '0001-01-01 00:00:00+00'"
    " AND {c} < timestamptz '10000-01-01 00:00:00+00'"
    " THEN to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') ELSE '' END"
)
_TIMES: Final = {
    "sqlite": ("at", "recorded_at"),
    "postgresql": (_TIME.format(c="at"), _TIME.format(c="recorded_at")),
}
_NUMBERS: Final = ("seq", "request_id", "attempt", "http_status")
_TEXTS: Final = ("chain", "event", "run_id", "subject", "actor", "outcome", "body")
#: How an event is found that queries misread.
_UNREADABLE: Final[Mapping[str, Sequence[str]]] = {
    "sqlite": (
        "at NOT LIKE '____-__-__ __:__:__.______' OR julianday(at) IS NULL OR typeof(at) <> 'text'",
        *(f"typeof({name}) NOT IN ('integer', 'null')" for name in _NUMBERS),
        *(f"typeof({name}) NOT IN ('text', 'null')" for name in _TEXTS),
        "body NOT LIKE '{%' OR NOT json_valid(body)",
        "instr(lower(body), '\\ud') > 0",  # half a character
    ),
    "postgresql": (
        "at < timestamptz '0001-01-01 00:00:00+00'",
        "at >= timestamptz '10000-01-01 00:00:00+00'",
        "left(body, 1) <> '{'",
    ),
}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row of which nothing but its id can be read."""

    id: int


def rows(
    connection: Connection, *, after: int | None = None
) -> Iterator[Sequence[Any] | Unreadable]:
    """Yield all rows by ``id``: it, `FIELDS`, at, body, previous, hash, recorded_at, recorded_by.

    Times are texts like ``2026-11-24 03:15:00.000000``, everything else is what is stored.

    Args:
        connection: in a reading transaction.
        after: only rows with a greater id.
    """
    last = after
    while page := _page(connection, last):
        yield from page
        end = page[-1]
        last = end.id if isinstance(end, Unreadable) else end[0]


def has_unreadable(connection: Connection) -> bool:
    """Say whether an event has a time that is none, or anything of another kind than it should.

    One query, which sees what a comparison in SQL takes for a time or a text.
    """
    where = " OR ".join(_UNREADABLE[connection.dialect.name])
    query = f"SELECT 1 FROM audit_events WHERE {where} LIMIT 1"  # noqa: S608  # names of our own
    return connection.exec_driver_sql(query).first() is not None


def count(connection: Connection, *, until: int) -> int:
    """Return how many rows the table has, with an id of at most ``until``."""
    query = f"SELECT count(*) FROM audit_events WHERE id <= {until:d}"  # noqa: S608  # a number
    return int(connection.exec_driver_sql(query).scalar_one())


def count_in_table(connection: Connection) -> int:
    """Return how many rows the table has; PostgreSQL asks no index of it."""
    undo = connection.begin_nested()
    try:
        if connection.dialect.name == "postgresql":
            for name in _INDEX_SCANS:
                connection.exec_driver_sql(f"SET LOCAL {name} = off")
        return int(connection.exec_driver_sql("SELECT count(*) FROM audit_events").scalar_one())
    finally:
        undo.rollback()


def _page(connection: Connection, after: int | None) -> Sequence[Sequence[Any] | Unreadable]:
    start = "" if after is None else f" WHERE id > {after:d}"
    ordered = f"{start} ORDER BY id LIMIT {_PAGE}"
    try:
        return connection.exec_driver_sql(f"{_select(connection)}{ordered}").all()
    except OperationalError as error:
        if not _is_about_text(error):
            raise
    ids = connection.exec_driver_sql(f"SELECT id FROM audit_events{ordered}")  # noqa: S608  # numbers
    return [_row(connection, row_id) for row_id in ids.scalars().all()]


def _row(connection: Connection, row_id: int) -> Sequence[Any] | Unreadable:
    query = f"{_select(connection)} WHERE id = {row_id:d}"
    try:
        return connection.exec_driver_sql(query).one()
    except OperationalError as error:
        if not _is_about_text(error):
            raise
    return Unreadable(row_id)


def _select(connection: Connection) -> str:
    at, recorded_at = _TIMES[connection.dialect.name]
    columns = ("id", *FIELDS, at, "body", "previous", "hash", recorded_at, "recorded_by")
    return f"SELECT {', '.join(columns)} FROM audit_events"  # noqa: S608  # names of our own


def _is_about_text(error: OperationalError) -> bool:
    """Say whether the driver, and not SQLite itself, failed: on a text that is not UTF-8."""
    cause = error.orig
    return isinstance(cause, sqlite3.OperationalError) and not hasattr(cause, "sqlite_errorcode")
