"""New requests, typed by a person. Applications insert with plain SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.errors import InvalidUserIdError, NotFoundError
from forge_gdpr.identifiers import is_safe_user_id, normalised_email

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_C = deletion_requests.c
LONGEST_EMAIL = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """One request before it is in the table. The person is not in its ``repr``."""

    user_id: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    reference: str | None = field(default=None, repr=False)
    regime: str = "gdpr"
    received_at: datetime | None = None  #: None: now, by the database's clock


def add(connection: Connection, new: NewRequest) -> tuple[int, bool]:
    """Add a request and return its id, and whether it is new: one reference is one request.

    Raises:
        InvalidUserIdError: the id could change a URL.
        NotFoundError: it names nobody, or its reference belongs to another person's request.
    """
    if new.user_id is None and new.email is None:
        raise NotFoundError("a request names a person: give --user-id, --email, or both")
    if new.user_id is not None and not is_safe_user_id(new.user_id):
        raise InvalidUserIdError(
            "this user id could change a URL's path, so it would never be sent: check it"
        )
    email = None if new.email is None else new.email.strip()
    if email is not None and not (email.find("@") > 0 and len(email) <= LONGEST_EMAIL):
        raise NotFoundError("this is no e-mail address: check --email")
    if new.reference is not None:
        known = connection.execute(
            select(_C.id, _C.forge_user_id, _C.email, _C.closed_at).where(
                _C.reference == new.reference
            )
        ).one_or_none()
        if known is not None:
            if not _is_same(known.forge_user_id, known.email, new, closed=known.closed_at):
                raise NotFoundError(
                    f"reference {new.reference!r} belongs to request {known.id}, which names"
                    " somebody else: give this one its own reference"
                )
            return known.id, False
    values: dict[str, Any] = {
        "forge_user_id": new.user_id,
        "email": email,
        "reference": new.reference,
        "regime": new.regime,
    }
    if new.received_at is not None:
        values["received_at"] = new.received_at
    added = connection.execute(insert(deletion_requests).values(values).returning(_C.id))
    return added.scalar_one(), True


def _is_same(
    user_id: str | None, email: str | None, new: NewRequest, *, closed: datetime | None
) -> bool:
    """Compare what can still be compared: a closed request has forgotten its e-mail."""
    if new.user_id is not None and user_id is not None:
        return new.user_id == user_id
    if new.email is not None and email is not None:
        return normalised_email(new.email) == normalised_email(email)
    return closed is not None
