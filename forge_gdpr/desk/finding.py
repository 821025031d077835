"""Finding a person's requests, also closed ones that have forgotten the person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from forge_gdpr.audit.events import EventName
from forge_gdpr.database.tables import audit_events, deletion_requests
from forge_gdpr.desk.explanations import Facts
from forge_gdpr.errors import NotFoundError
from forge_gdpr.identifiers import normalised_email
from forge_gdpr.pseudonyms import Kind

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forge_gdpr.pseudonyms import Keyring

_C = deletion_requests.c
_E = audit_events.c


def of_person(
    connection: Connection, keys: Keyring, *, user_id: str | None, email: str | None
) -> list[int]:
    """Return the ids of a person's requests: by what is in the row, else by pseudonym.

    A pseudonym that is not the request's own stands in the bodies of its admission and closing,
    which are read one by one: a question by e-mail takes seconds on a large record.
    """
    if user_id is not None:
        known, pseudonyms = _C.forge_user_id == user_id, keys.subjects(Kind.USER_ID, user_id)
    else:
        address = normalised_email(email or "")
        known = func.lower(func.trim(_C.email)) == address.lower()
        pseudonyms = keys.subjects(Kind.EMAIL, address)
    rows = connection.execute(select(_C.id).where(or_(known, _C.subject.in_(pseudonyms)))).scalars()
    told = connection.execute(
        select(_E.request_id).where(
            _E.event.in_((EventName.REQUEST_ADMITTED, EventName.REQUEST_CLOSED)),
            or_(*(_E.body.contains(pseudonym) for pseudonym in pseudonyms)),
        )
    ).scalars()
    return sorted({*rows, *(one for one in told if one is not None)})


def facts_of(connection: Connection, request_id: int) -> Facts:
    """Return what is known of a request.

    Raises:
        NotFoundError: there is none with this id.
    """
    row = connection.execute(select(deletion_requests).where(_C.id == request_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no request {request_id}: see 'forge-gdpr requests list'")
    outcome = connection.execute(
        select(_E.outcome).where(_E.request_id == request_id, _E.event == EventName.REQUEST_CLOSED)
    ).scalar()
    return Facts(
        id=row.id,
        status=row.status,
        reason=row.status_reason,
        received_at=row.received_at,
        not_before=row.not_before,
        next_attempt_at=row.next_attempt_at,
        claimed_by=row.claimed_by,
        approved_by=row.approved_by,
        closed_at=row.closed_at,
        outcome=outcome,
    )
