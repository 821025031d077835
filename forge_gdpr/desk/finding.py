"""Finding a person's requests, also closed ones that have forgotten the person."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, or_, select

from forge_gdpr.audit.events import EventName
from forge_gdpr.audit.history import ENDS, ends
from forge_gdpr.chain import canonical
from forge_gdpr.database.tables import audit_events, deletion_requests
from forge_gdpr.desk.explanations import Facts
from forge_gdpr.errors import NotFoundError
from forge_gdpr.identifiers import FORGE_ID, canonical_user_id, email_spellings
from forge_gdpr.lifecycle import Status, coded
from forge_gdpr.outcomes import fate_of
from forge_gdpr.pseudonyms import Kind
from forge_gdpr.queue import listing
from forge_gdpr.queue.approvals import approved
from forge_gdpr.queue.cells import cell, faults, unreadable
from forge_gdpr.queue.holds import of_same_person
from forge_gdpr.queue.listing import Listed
from forge_gdpr.references import TICKETS
from forge_gdpr.runids import is_run_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from forge_gdpr.outcomes import Fate
    from forge_gdpr.pseudonyms import Keyring
    from forge_gdpr.references import ReferenceRules

_C = deletion_requests.c
_E = audit_events.c
_FACTS: Final = select(
    _C.id,
    *(
        cell(name)
        for name in (
            "status",
            "status_reason",
            "received_at",
            "not_before",
            "next_attempt_at",
            "claimed_by",
            "closed_at",
        )
    ),
    approved().label("is_approved"),
    *faults(),
)
#: The events that say whom a request is about.
_NAMING: Final = (EventName.REQUEST_ADMITTED, *ENDS)
#: Requests that are read at a time; far below SQLite's limit of parameters.
_PAGE: Final = 500
#: Where the events that end a request leave it.
_STATUSES: Final[Mapping[str, str]] = {
    EventName.REQUEST_CLOSED: Status.DONE,
    EventName.REQUEST_CANCELLED: Status.CANCELLED,
    EventName.REQUEST_REFUSED: Status.REFUSED,
}


def of_person(
    connection: Connection, keys: Keyring, *, user_id: str | None, email: str | None
) -> list[int]:
    """Return the ids of a person's requests: by what is in the row, else by pseudonym.

    A pseudonym that is not the request's own stands in the bodies of its admission and its end,
    which are read one by one: a question by e-mail takes seconds on a large record. An address
    that was forgotten is found as it was spelled then, or in lower case, and an IDN in both forms.

    Of a request that has ended the record alone says whom it was about, and of one whose row was
    corrected whom it is about since: who was named before is not among its people any more.
    """
    if user_id is not None:
        known = _has_user_id(user_id)
        pseudonyms = set(keys.subjects(Kind.USER_ID, user_id))
    else:
        spellings = email_spellings(email or "")
        known = func.lower(func.trim(_C.email)).in_([text.lower() for text in spellings])
        pseudonyms = {
            pseudonym
            for text in {email or "", *(spelling.lower() for spelling in spellings)}
            for pseudonym in keys.subjects(Kind.EMAIL, text)
        }
    rows = connection.execute(select(_C.id).where(or_(known, _C.subject.in_(pseudonyms)))).scalars()
    told = connection.execute(
        select(_E.request_id).where(
            _E.event.in_(_NAMING),
            or_(*(_E.body.contains(pseudonym) for pseudonym in pseudonyms)),
        )
    ).scalars()
    named_in_row = set(rows)
    candidates = {*named_in_row, *(one for one in told if one is not None)}
    people = _people(connection, candidates)
    return sorted(
        request_id
        for request_id in candidates
        if not pseudonyms.isdisjoint(people[request_id].subjects)
        or (request_id in named_in_row and not people[request_id].has_ended)
    )


@dataclass(slots=True)
class _People:
    """Whom a request is about, as the record has it."""

    subjects: set[str] = field(default_factory=set)
    has_ended: bool = False

    def note(self, body: Mapping[str, Any]) -> None:
        """Take one of its events, in their order: each says anew whom it is about."""
        self.subjects = {body.get("subject", ""), *body.get("also", ())}
        self.has_ended = self.has_ended or body["event"] in ENDS


def _people(connection: Connection, request_ids: Collection[int]) -> Mapping[int, _People]:
    people: defaultdict[int, _People] = defaultdict(_People)
    ids = sorted(request_ids)
    for start in range(0, len(ids), _PAGE):
        rows = connection.execute(
            select(_E.request_id, _E.body)
            .where(_E.request_id.in_(ids[start : start + _PAGE]), _E.event.in_(_NAMING))
            .order_by(_E.id)
        )
        for row in rows:
            people[row.request_id or 0].note(json.loads(row.body))
    return people


def of_reference(
    connection: Connection, reference: str, *, withheld: Sequence[str] = ()
) -> list[int]:
    """Return the ids of the requests with this reference: in the queue, else in the record.

    More than one only if they were removed and the reference was used again. The record is read
    from end to end for it.

    Args:
        connection: in a transaction.
        reference: as the asker wrote it.
        withheld: what stands for it where it is withheld.
    """
    forms = [reference.strip(), *withheld]
    queued = connection.execute(
        select(_C.id).where(or_(_C.reference == forms[0], _C.public_reference.in_(forms)))
    )
    ids = list(queued.scalars())
    if ids:
        return ids
    words = [canonical({"reference": form}).strip("{}") for form in forms]
    told = connection.execute(
        select(_E.request_id)
        .where(
            _E.event.in_(ENDS), or_(*(_E.body.contains(said, autoescape=True) for said in words))
        )
        .distinct()
    ).scalars()
    return sorted(one for one in told if one is not None)


def facts_of(connection: Connection, request_id: int) -> Facts:
    """Return what is known of a request; of a removed one what the record says.

    Raises:
        NotFoundError: there is none with this id.
    """
    row = connection.execute(_FACTS.where(_C.id == request_id)).one_or_none()
    if row is None:
        body = _end(connection, request_id)
        end = _listed(request_id, body)
        return Facts(
            id=request_id,
            status=end.status,
            reason=end.status_reason,
            received_at=end.received_at,
            closed_at=end.closed_at,
            fate=_fate(connection, request_id),
            removed=True,
        )
    return Facts(
        id=row.id,
        status=listing.shown_status(row.status),
        reason=coded(row.status_reason),
        received_at=row.received_at,
        not_before=row.not_before,
        next_attempt_at=row.next_attempt_at,
        claimed_by=row.claimed_by if is_run_id(row.claimed_by or "") else None,
        is_approved=row.is_approved,
        closed_at=row.closed_at,
        fate=_fate(connection, request_id) if row.status == Status.DONE else None,
        held_by=of_same_person(connection, [row.id], [Status.HELD])
        if row.status == Status.PENDING
        else (),
        unreadable=unreadable(row),
    )


def shown(
    connection: Connection, request_id: int, *, references: ReferenceRules = TICKETS
) -> dict[str, Any]:
    """Return a request for people and machines; of a removed one what the record says.

    Of one that is done also what became of it, in words.

    Raises:
        NotFoundError: there is none with this id.
    """
    queued = listing.one(connection, request_id, references=references)
    if queued is not None:
        request = queued.as_json()
    else:
        request = _listed(request_id, _end(connection, request_id)).as_json() | {"removed": True}
    done = request["status"] == Status.DONE
    fate = _fate(connection, request_id) if done else None
    return request | {
        "meaning": None if fate is None else fate.meaning,
        "absence": None if fate is None else fate.absence,
        "logs": None if fate is None else fate.logs,
    }


def _fate(connection: Connection, request_id: int) -> Fate | None:
    """Return what became of a request that Forge's answers closed, as the record says it."""
    bodies = connection.execute(
        select(_E.body)
        .where(
            _E.request_id == request_id,
            _E.event.in_((EventName.ATTEMPT_FINISHED, EventName.REQUEST_CLOSED)),
        )
        .order_by(_E.id)
    ).scalars()
    return fate_of([json.loads(body) for body in bodies])


def _has_user_id(user_id: str) -> ColumnElement[bool]:
    """Whether the row has this id: Forge's own in any case, another pattern's to the letter."""
    has_no_case = re.fullmatch(FORGE_ID, user_id) is not None
    column = func.lower(_C.forge_user_id) if has_no_case else _C.forge_user_id
    return column == canonical_user_id(user_id)


def _end(connection: Connection, request_id: int) -> dict[str, Any]:
    """Return the body of the event that ended a request which is no longer in the queue."""
    body = ends(connection, [request_id]).get(request_id)
    if body is None:
        raise _unknown(connection, request_id)
    return body


def _listed(request_id: int, body: Mapping[str, Any]) -> Listed:
    return Listed(
        id=request_id,
        reference=body["reference"],
        regime=body["regime"],
        status=_STATUSES[body["event"]],
        status_reason=body.get("reason"),
        outcome=body.get("outcome"),
        received_at=datetime.fromisoformat(body["received_at"]),
        due_on=date.fromisoformat(body["due_on"]),
        not_before=None,
        attempts=body["attempts"],
        next_attempt_at=None,
        closed_at=datetime.fromisoformat(body["at"]),
        subject=body["subject"],
        claimed_by=None,
    )


def _unknown(connection: Connection, request_id: int) -> NotFoundError:
    recorded = connection.execute(
        select(_E.id).where(_E.request_id == request_id).limit(1)
    ).one_or_none()
    if recorded is None:
        return NotFoundError(f"there is no request {request_id}: see 'forge-gdpr requests list'")
    return NotFoundError(
        f"request {request_id} is no longer in the queue, and the record has no end of it: somebody"
        f" else removed it, or closed it; see 'forge-gdpr audit list --request {request_id}'"
    )
