"""Requests as people see them: without the person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.errors import NotFoundError
from forge_gdpr.queue.admission import public_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Row, Select

_C = deletion_requests.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One request without e-mail and user id."""

    id: int
    reference: str | None
    regime: str
    status: str
    status_reason: str | None
    received_at: datetime
    due_on: date | None
    not_before: datetime | None
    attempts: int
    next_attempt_at: datetime | None
    closed_at: datetime | None
    subject: str | None
    claimed_by: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines, times in ISO 8601."""
        return {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in asdict(self).items()
        }


_SELECT = select(*(_C[name] for name in Listed.__dataclass_fields__), _C.forge_user_id, _C.email)


def listed(
    connection: Connection,
    *,
    status: str | None = None,
    reference: str | None = None,
    most: int | None = None,
) -> Iterator[Listed]:
    """Yield requests in the order of work: earliest deadline first, unseen ones last.

    Args:
        connection: in a transaction.
        status: only those with this status.
        reference: only the one with this reference.
        most: at most so many.
    """
    wanted: Select[Any] = _SELECT.order_by(_C.due_on.is_(None), _C.due_on, _C.id)
    if status is not None:
        wanted = wanted.where(_C.status == status)
    if reference is not None:
        wanted = wanted.where(_C.reference == reference)
    if most is not None:
        wanted = wanted.limit(most)
    with connection.execute(wanted.execution_options(yield_per=1000)) as rows:
        for row in rows:
            yield _shown(row)


def one(connection: Connection, request_id: int) -> Listed:
    """Return one request.

    Raises:
        NotFoundError: there is none with this id.
    """
    row = connection.execute(_SELECT.where(_C.id == request_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no request {request_id}: see 'forge-gdpr requests list'")
    return _shown(row)


def _shown(row: Row[*tuple[Any, ...]]) -> Listed:
    """Leave the person out, also where an asker wrote them into the reference."""
    shown = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
    user_id, email = shown.pop("forge_user_id"), shown.pop("email")
    shown["reference"] = public_reference(shown["reference"], user_id=user_id, email=email)
    return Listed(**shown)
