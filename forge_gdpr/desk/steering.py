"""Doing what an operator wants, to all the requests that were named or to none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.record import append_main
from forge_gdpr.chain import written_time
from forge_gdpr.database.engine import login as database_login
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.desk.actions import ACTIONS, Standing, objection
from forge_gdpr.errors import InvalidInputError, NotFoundError
from forge_gdpr.lifecycle import FINAL, Event, Status, after
from forge_gdpr.pseudonyms import aliases, is_as_admitted, subject_of
from forge_gdpr.queue.admission import (
    UNREADABLE,
    admitted_as,
    decide_references,
    readmit,
    see,
    shown_regime,
)
from forge_gdpr.queue.approvals import sealed
from forge_gdpr.queue.cells import cell, faults, unreadable
from forge_gdpr.references import TICKETS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection, Row

    from forge_gdpr.chain import Json
    from forge_gdpr.deadlines import LegalClock
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.references import ReferenceRules

_C = deletion_requests.c
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be done, by whom and why."""

    action: str  #: a name of ACTIONS
    actor: str
    reason: str
    ticket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steered:
    """A request as it is, and as the record has it where it can't be read."""

    id: int
    forge_user_id: str | None = field(repr=False)
    email: str | None = field(repr=False)
    public_reference: str | None
    regime: str
    received_at: datetime
    due_on: date
    status: str
    subject: str
    attempts: int
    created_by: str | None
    created_login: str | None
    is_extended: bool
    unreadable: Sequence[str]

    def is_corrected(self, keys: Sequence[SubjectKey], admitted: Sequence[str]) -> bool:
        """Say whether the row names somebody else than was admitted; can't be read: no.

        Args:
            keys: every live one.
            admitted: the pseudonyms of its newest admission, the subject first.
        """
        return not self.unreadable and not (
            self.subject in admitted[:1]
            and is_as_admitted(
                keys,
                admitted,
                request_id=self.id,
                user_id=self.forge_user_id,
                email=self.email,
            )
        )


_STEERED: Final = select(
    _C.id,
    *(
        cell(name)
        for name in (
            "forge_user_id",
            "email",
            "public_reference",
            "regime",
            "received_at",
            "created_at",
            "due_on",
            "status",
            "subject",
            "attempts",
            "created_by",
            "created_login",
        )
    ),
    _C.extended_at.is_not(None).label("is_extended"),
    *faults(),
)


def steer(
    connection: Connection,
    request_ids: Sequence[int],
    wish: Wish,
    *,
    key: SubjectKey,
    legal: LegalClock,
    keys: Sequence[SubjectKey] = (),
    logins_differ: bool = False,
    references: ReferenceRules = TICKETS,
) -> None:
    """Do it to all of these requests, each on record, or to none of them.

    One whose row was corrected since it was admitted is admitted again first: what is done is done
    to the person whom it names now.

    Args:
        connection: in a writing transaction, which is the unit.
        request_ids: of any number of requests.
        wish: what is to be done.
        key: for the pseudonyms of requests that nobody has seen yet.
        legal: for the dates.
        keys: the other ones that are live.
        logins_differ: whether who approves a request must have another login of the database than
            who added it; SQLite has none.
        references: which ones may be shown.

    Raises:
        NotFoundError: one does not exist.
        InvalidInputError: one is not in a state in which this can be done.
    """
    now, login = database_now(connection), database_login(connection)
    for start in range(0, len(request_ids), _PAGE):
        page = list(request_ids[start : start + _PAGE])
        seen = see(
            connection, key=key, legal=legal, now=now, request_ids=page, references=references
        )
        decide_references(
            connection, key=key, references=references, most=len(page), among=_C.id.in_(page)
        )
        rows = _locked(connection, page, key=key, legal=legal, now=now)
        for row in rows:
            _require_possible(row, wish, legal.day_of(now), login if logins_differ else None)
        record = admitted_as(connection, page)
        admitted = {request_id: names[-1] for request_id, names in record.items()}
        admitted |= {request.id: [request.subject, *request.also] for request in seen}
        corrected = [
            row.id for row in rows if row.is_corrected((*keys, key), admitted.get(row.id, ()))
        ]
        readmitted = readmit(
            connection, corrected, key=key, legal=legal, now=now, references=references
        )
        entries = [
            Entry(
                event=EventName.REQUEST_ADMITTED,
                request_id=one.id,
                subject=one.subject,
                actor=wish.actor,
                details=one.facts,
            )
            for one in (*seen, *readmitted)
        ]
        anew = {one.id: one for one in readmitted}
        for found in rows:
            row = found
            if found.id in anew:
                one = anew[found.id]
                row = replace(found, subject=one.subject, public_reference=one.public_reference)
            entries.append(_entry(row, wish, key, legal, now, references, login))
            connection.execute(
                update(deletion_requests)
                .where(_C.id == row.id)
                .values(_changes(row, wish, key, legal, now))
            )
        append_main(connection, entries, at=now)


def _locked(
    connection: Connection,
    page: list[int],
    *,
    key: SubjectKey,
    legal: LegalClock,
    now: datetime,
) -> list[_Steered]:
    rows = [
        _filled(row, key, legal, now)
        for row in connection.execute(
            _STEERED.where(_C.id.in_(page)).order_by(_C.id).with_for_update()
        )
    ]
    missing = sorted(set(page) - {row.id for row in rows})
    if missing:
        raise NotFoundError(f"there is no request {missing[0]}: see 'forge-gdpr requests list'")
    return rows


def _require_possible(row: _Steered, wish: Wish, today: date, login: str | None) -> None:
    standing = Standing(
        status=row.status,
        created_by=row.created_by,
        created_login=row.created_login,
        extended=row.is_extended,
        due_on=row.due_on,
        unreadable=row.unreadable,
    )
    said = objection(wish.action, standing, actor=wish.actor, today=today, login=login)
    if said is not None:
        raise InvalidInputError(f"request {row.id} {said}; nothing was changed")


def _filled(row: Row[Any], key: SubjectKey, legal: LegalClock, now: datetime) -> _Steered:
    user_id, email = row.forge_user_id, row.email
    regime = UNREADABLE if row.regime is None else row.regime
    received_at = row.received_at or row.created_at or now
    return _Steered(
        id=row.id,
        forge_user_id=user_id,
        email=email,
        public_reference=row.public_reference,
        regime=regime,
        received_at=received_at,
        due_on=row.due_on or legal.due_on(regime, received_at),
        status=UNREADABLE if row.status is None else row.status,
        subject=row.subject or subject_of(key, request_id=row.id, user_id=user_id, email=email),
        attempts=row.attempts or 0,
        created_by=row.created_by,
        created_login=row.created_login,
        is_extended=row.is_extended,
        unreadable=unreadable(row),
    )


def _status_after(row: _Steered, wish: Wish) -> Status:
    event = ACTIONS[wish.action].event
    return Status(row.status) if event is None else after(Status(row.status), event)


def _changes(
    row: _Steered, wish: Wish, key: SubjectKey, legal: LegalClock, now: datetime
) -> dict[str, Any]:
    status = _status_after(row, wish)
    changes: dict[str, Any] = {"status": status, "updated_at": now}
    if wish.action == "approve":
        approval = sealed(key, request_id=row.id, subject=row.subject, approved_by=wish.actor)
        changes |= {"approved_by": wish.actor, "approval": approval}
    elif wish.action == "extend":
        due_on = legal.extended_to(row.regime, row.received_at)
        changes |= {"due_on": due_on, "alarm_on": due_on, "extended_at": now}
    else:
        changes["status_reason"] = wish.reason if status is not Status.PENDING else None
    if ACTIONS[wish.action].event is Event.RETRIED:
        changes |= {"attempts": 0, "next_attempt_at": None}
    if status in FINAL:
        changes |= {"closed_at": now, "email": None}
    return changes


def _entry(
    row: _Steered,
    wish: Wish,
    key: SubjectKey,
    legal: LegalClock,
    now: datetime,
    references: ReferenceRules,
    login: str | None,
) -> Entry:
    status = _status_after(row, wish)
    due_on = row.due_on
    details: dict[str, Json] = {"reason": wish.reason, "status": status.value}
    if wish.ticket is not None:
        details["ticket"] = wish.ticket
    if wish.action == "approve" and login is not None:
        details |= {"login": login, "created_login": row.created_login}
    if wish.action == "extend":
        details["due_before"] = due_on.isoformat()
        due_on = legal.extended_to(row.regime, row.received_at)
    details["due_on"] = due_on.isoformat()
    if status in FINAL:
        details |= _closing(row, key, references) | {"closed_on": legal.day_of(now).isoformat()}
    return Entry(
        event=ACTIONS[wish.action].recorded,
        request_id=row.id,
        subject=row.subject,
        actor=wish.actor,
        details=details,
    )


def _closing(row: _Steered, key: SubjectKey, references: ReferenceRules) -> dict[str, Json]:
    """Return what the record says of a request that is closed; reports are made from it."""
    user_id, email = row.forge_user_id, row.email
    said: dict[str, Json] = {
        "reference": references.kept(row.public_reference),
        "regime": shown_regime(row.regime),
        "received_at": written_time(row.received_at),
        "attempts": row.attempts,
    }
    also = aliases(key, row.subject, user_id=user_id, email=email)
    return said | ({"also": also} if also else {})
