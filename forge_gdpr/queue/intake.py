"""New requests, typed by a person or read from a file. Applications insert with plain SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from forge_gdpr.database import engine
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.errors import ForgeGdprError, InvalidInputError
from forge_gdpr.identifiers import canonical_user_id
from forge_gdpr.queue.cells import cell
from forge_gdpr.queue.checks import NewRequest, check, differences, request_in

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from forge_gdpr.queue.lines import Line

_C = deletion_requests.c
_KNOWN: Final = select(
    _C.id,
    _C.reference,
    *(cell(name) for name in ("forge_user_id", "email", "regime", "received_at", "not_before")),
    _C.closed_at.is_not(None).label("is_closed"),
)
#: Any number that nothing else in the database locks.
_IMPORTS_LOCK: Final = 0x6764_7072
_CACHE_KB: Final = 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A request that has a reference already."""

    id: int | None  #: None: it stands earlier in the same group
    content: NewRequest
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What became of a group of lines."""

    new: int
    known: int
    rejected: Sequence[tuple[Line, str]]  #: each with its reason, which names nobody


def add(connection: Connection, new: NewRequest, *, pattern: re.Pattern[str]) -> tuple[int, bool]:
    """Add a request and return its id, and whether it is new: one reference is one request.

    Args:
        connection: in a writing transaction.
        new: the request.
        pattern: what a user id looks like.

    Raises:
        InvalidUserIdError: the id does not look like one.
        InvalidInputError: it is wrong otherwise, or its reference belongs to another request.
    """
    now = engine.now(connection)
    check(new, pattern=pattern, now=now)
    if new.reference is not None:
        known = _stored(connection, [new.reference]).get(new.reference)
        if known is not None and known.id is not None:
            differing = differences(new, known.content, closed=known.closed)
            if differing:
                raise InvalidInputError(
                    f"this reference belongs to request {known.id}, which has another"
                    f" {' and '.join(differing)}: give this one its own reference"
                )
            return known.id, False
    values = _values(new, now=now)
    added = connection.execute(insert(deletion_requests).values(values).returning(_C.id))
    return added.scalar_one(), True


def add_lines(
    connection: Connection,
    group: Iterable[Line],
    *,
    created_by: str | None,
    pattern: re.Pattern[str],
    now: datetime,
) -> Intake:
    """Add the requests of some lines of a file, all of them that are neither known nor wrong.

    Args:
        connection: in a writing transaction; on SQLite a statement has 32766 parameters at most,
            and a line takes one.
        group: the lines, in their order.
        created_by: who imports them.
        pattern: what a user id looks like.
        now: the database's clock, for the checks and where a line says no time.
    """
    rejected: list[tuple[Line, str]] = []
    checked: list[tuple[Line, str, NewRequest]] = []
    for line in group:
        try:
            new = _read(line, created_by=created_by)
            check(new, pattern=pattern, now=now)
        except ForgeGdprError as error:
            rejected.append((line, str(error)))
        else:
            checked.append((line, new.reference or "", new))
    stored = _stored(connection, [reference for _, reference, _ in checked])
    added: list[dict[str, Any]] = []
    known = 0
    for line, reference, new in checked:
        old = stored.get(reference)
        if old is None:
            added.append(_values(new, now=now))
            stored[reference] = Stored(id=None, content=new, closed=False)
            continue
        differing = differences(new, old.content, closed=old.closed)
        if differing:
            rejected.append((line, _conflict(differing)))
        else:
            known += 1
    if added:
        connection.execute(insert(deletion_requests), added)
    rejected.sort(key=lambda one: one[0].number)
    return Intake(new=len(added), known=known, rejected=rejected)


def begin_import(connection: Connection) -> None:
    """Wait until no other import writes: two of the same file would insert the same reference.

    For the transaction; SQLite has one writer anyway, and applications go on inserting. SQLite
    is given room for its indexes: with its usual 2 MB a long import writes them many times over.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_IMPORTS_LOCK})")
    else:
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KB}")


def _read(line: Line, *, created_by: str | None) -> NewRequest:
    if line.fault is not None:
        raise InvalidInputError(line.fault)
    return request_in(line.cells, created_by=created_by)


def _conflict(differing: Iterable[str]) -> str:
    return (
        "its reference is taken, in the queue or by an earlier line, with another"
        f" {' and '.join(differing)}: give it its own reference"
    )


def _stored(connection: Connection, references: Sequence[str]) -> dict[str, Stored]:
    """Return the requests that have these references."""
    found = connection.execute(_KNOWN.where(_C.reference.in_(references)))
    return {
        row.reference or "": Stored(
            id=row.id,
            content=NewRequest(
                user_id=row.forge_user_id,
                email=row.email,
                regime=row.regime or "",
                received_at=row.received_at,
                not_before=row.not_before,
            ),
            closed=row.is_closed,
        )
        for row in found
    }


def _values(new: NewRequest, *, now: datetime) -> dict[str, Any]:
    """Return the columns of a new row.

    The id is stored as it is sent, so that a row, its pseudonym and Forge's list agree to the
    letter. The address stays as it was given: it is compared in its own form anyway.
    """
    return {
        "forge_user_id": None if new.user_id is None else canonical_user_id(new.user_id),
        "email": None if new.email is None else new.email.strip(),
        "reference": new.reference,
        "regime": new.regime,
        "received_at": new.received_at or now,
        "not_before": new.not_before,
        "created_by": new.created_by,
    }
