"""Does the database itself refuse to change the record? Tried, and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError

from forge_gdpr.database.tables import audit_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

#: What the triggers say; any other failure is not theirs.
_REFUSAL: Final = "audit_events is append-only"
_NO_RIGHT: Final = "42501"
#: Nobody of ours waits longer for what is tried; a run that is writing goes first.
_PATIENCE: Final = "SET LOCAL lock_timeout = '5s'"
#: What is tried where there is no event yet; it is taken back as well.
_PROBE: Final[dict[str, Any]] = {
    "chain": "doctor",
    "seq": 1,
    "event": "doctor",
    "body": "{}",
    "previous": "0" * 64,
    "hash": "0" * 64,
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What a login found when it tried to change the record."""

    passed: tuple[str, ...]  #: what the database would have let pass
    forbidden: tuple[str, ...]  #: what this login may not even try


def try_changes(connection: Connection) -> Tried:
    """Try to change and delete the oldest and the newest event, and take all of it back.

    Beside a run it does no harm: nobody else sees any of it, and its locks last for milliseconds.

    Args:
        connection: in a writing transaction.
    """
    passed: dict[str, None] = {}
    forbidden: dict[str, None] = {}
    undo = connection.begin_nested()
    try:
        for name, statement in _changes(connection):
            attempt = connection.begin_nested()
            try:
                connection.exec_driver_sql(statement)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == _NO_RIGHT:
                    forbidden[name] = None
                elif _REFUSAL not in str(error.orig):
                    raise
            else:
                passed[name] = None
            finally:
                attempt.rollback()
    finally:
        undo.rollback()
    return Tried(tuple(passed), tuple(forbidden))


def _changes(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield what is tried, and its name: each column, for a trigger may watch over some of them."""
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.exec_driver_sql(_PATIENCE)
    ends = select(func.min(audit_events.c.id), func.max(audit_events.c.id))
    ids = {row_id for row_id in connection.execute(ends).one() if row_id is not None}
    if not ids and sqlite:  # whose triggers see rows, not statements
        probe = insert(audit_events).values(at=func.current_timestamp(), **_PROBE)
        connection.execute(probe)
        ids = set(connection.execute(ends).one())
    for row_id in sorted(ids) or (0,):
        where = f"WHERE id = {row_id:d}"
        for column in audit_events.c:
            yield "UPDATE", f"UPDATE audit_events SET {column.name} = {column.name} {where}"  # noqa: S608  # names and a number
        yield "DELETE", f"DELETE FROM audit_events {where}"  # noqa: S608  # a number
        if sqlite:
            copy = f"SELECT * FROM audit_events {where}"  # noqa: S608  # a number
            yield "REPLACE", f"INSERT OR REPLACE INTO audit_events {copy}"
