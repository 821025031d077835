"""A run sees a request for the first time: pseudonym and legal deadline are filled in."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, not_, or_, select, true, update

from forge_gdpr.chain import written_time
from forge_gdpr.database.tables import audit_events, deletion_requests
from forge_gdpr.deadlines import Regime
from forge_gdpr.lifecycle import FINAL, OTHER, Reason, Status, coded
from forge_gdpr.pseudonyms import aliases, subject_of
from forge_gdpr.queue.cells import cell, whole
from forge_gdpr.queue.claims import holds
from forge_gdpr.references import TICKETS, is_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from forge_gdpr.chain import Json
    from forge_gdpr.deadlines import LegalClock
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.references import ReferenceRules

_C = deletion_requests.c
#: What stands on record for a regime that can't be read: the law's earliest date counts.
UNREADABLE: Final = "unreadable"
_READ: Final = (
    "forge_user_id",
    "email",
    "reference",
    "public_reference",
    "regime",
    "received_at",
    "created_at",
    "due_on",
    "status",
    "status_reason",
    "subject",
)
_ROW: Final = select(_C.id, *(cell(name) for name in _READ))
#: What a run fills in where nothing stands.
_FILLED_IN: Final = ("subject", "due_on", "alarm_on", "public_reference")
_REGIMES: Final = frozenset(regime.value for regime in Regime)

#: The event's name; its enum is in a room beside this one.
_ADMITTED: Final = "request.admitted"

_ADMIT: Final = (
    update(deletion_requests)
    .where(_C.id == bindparam("request_id"))
    .values(
        subject=bindparam("subject"),
        due_on=bindparam("due_on"),
        alarm_on=bindparam("alarm_on"),
        public_reference=bindparam("public_reference"),
        status=bindparam("status"),
        status_reason=bindparam("status_reason"),
        updated_at=bindparam("updated_at"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request as it was admitted; nothing here names the person."""

    id: int
    subject: str
    also: list[str]  #: the person's other pseudonyms
    public_reference: str | None
    regime: str
    received_at: datetime
    due_on: date
    alarm_on: date
    status: str
    status_reason: str | None
    former: str | None = None  #: the pseudonym of whom it was about until its row was corrected

    @property
    def facts(self) -> dict[str, Json]:
        """What the record says of an admission."""
        said: dict[str, Json] = {
            "reference": self.public_reference,
            "regime": shown_regime(self.regime),
            "received_at": written_time(self.received_at),
            "due_on": self.due_on.isoformat(),
            "status": self.status,
        }
        if self.also:
            said["also"] = self.also
        if self.former is not None:
            said["former"] = self.former
        if self.status_reason is not None:
            said["reason"] = coded(self.status_reason)
        return said


def see(
    connection: Connection,
    *,
    key: SubjectKey,
    legal: LegalClock,
    now: datetime,
    request_ids: Collection[int],
    references: ReferenceRules,
) -> list[Admitted]:
    """Set aside or admit those of these requests that nobody has seen, and return them.

    Args:
        connection: in a writing transaction.
        key: for the pseudonyms.
        legal: for the legal dates.
        now: the database's clock.
        request_ids: of the requests.
        references: which ones may be shown.
    """
    return [
        request
        for take in (set_aside, admit)
        for request in take(
            connection,
            key=key,
            legal=legal,
            now=now,
            most=len(request_ids),
            among=_C.id.in_(request_ids),
            references=references,
        )
    ]


def admit(
    connection: Connection,
    *,
    key: SubjectKey,
    legal: LegalClock,
    now: datetime,
    most: int,
    among: ColumnElement[bool] | None = None,
    references: ReferenceRules = TICKETS,
) -> list[Admitted]:
    """Admit up to ``most`` requests that nobody has seen, and return them; none: all are.

    On PostgreSQL two runs that admit at once take different rows. A status that nobody knows
    sends the request to review.

    Args:
        connection: in a writing transaction.
        key: for the pseudonyms.
        legal: for the legal dates.
        now: the database's clock.
        most: at most so many.
        among: only those; None: all.
        references: which ones may be shown.
    """
    rows = connection.execute(
        _ROW.where(
            _C.subject.is_(None),
            _C.status.not_in(FINAL),
            whole(),
            true() if among is None else among,
        )
        .order_by(_C.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    record = admitted_as(connection, [row.id for row in rows])
    admitted = [_after(record, _admitted(row, key, legal, now, references)) for row in rows]
    if admitted:
        connection.execute(_ADMIT, [_parameters(one, now) for one in admitted])
    return admitted


def set_aside(
    connection: Connection,
    *,
    key: SubjectKey,
    legal: LegalClock,
    now: datetime,
    most: int,
    among: ColumnElement[bool] | None = None,
    references: ReferenceRules = TICKETS,
) -> list[Admitted]:
    """Send up to ``most`` requests to review that no run can read, and return them.

    Seen before or not. What can't be read stays as it is; what is missing is filled in. A request
    on hold stays there, and one that a living run has claimed is left to it. So is sent to
    review what was seen before and has a status by now that nobody knows.

    Args:
        connection: in a writing transaction.
        key: for the pseudonyms.
        legal: for the legal dates.
        now: the database's clock.
        most: at most so many.
        among: only those; None: all.
        references: which ones may be shown.
    """
    is_claimed = and_(_C.status == Status.RUNNING, _C.subject.is_not(None), holds(now))
    rests = and_(_C.status.in_((Status.REVIEW, Status.HELD)), _C.subject.is_not(None))
    is_lost = and_(_C.subject.is_not(None), _C.status.not_in(list(Status)))
    rows = connection.execute(
        _ROW.add_columns(
            *(_C[name].is_(None).label(f"lacks_{name}") for name in _FILLED_IN),
            whole().label("is_whole"),
        )
        .where(
            _C.status.not_in(FINAL),
            or_(not_(whole()), is_lost),
            not_(rests),
            not_(is_claimed),
            true() if among is None else among,
        )
        .order_by(_C.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    record = admitted_as(connection, [row.id for row in rows])
    requests = [
        _set_aside(
            row,
            _admitted(
                row,
                key,
                legal,
                now,
                references,
                is_new=row.subject not in [subject for subject, *_ in record.get(row.id, ())],
            ),
        )
        for row in rows
    ]
    for row, request in zip(rows, requests, strict=True):
        filled_in = {
            name: getattr(request, name)
            for name in _FILLED_IN
            if row._mapping[f"lacks_{name}"]  # noqa: SLF001  # SQLAlchemy's public name for it
        }
        if row.public_reference is not None:  # and can be read
            filled_in["public_reference"] = request.public_reference
        connection.execute(
            update(deletion_requests)
            .where(_C.id == row.id)
            .values(
                status=request.status,
                status_reason=request.status_reason,
                updated_at=now,
                **filled_in,
            )
        )
    return requests


def readmit(
    connection: Connection,
    request_ids: Collection[int],
    *,
    key: SubjectKey,
    legal: LegalClock,
    now: datetime,
    references: ReferenceRules = TICKETS,
) -> list[Admitted]:
    """Admit requests again whose rows name somebody else by now, and return them by id.

    The legal date stays, for it counts from when the request was received. An approval lapses:
    it was for somebody else. So does one that was never given for what the row says. A reference
    that was withheld is withheld still.

    Args:
        connection: in a writing transaction in which the rows are locked.
        request_ids: of open requests that can be read.
        key: for the pseudonyms.
        legal: for the legal dates of those that have none.
        now: the database's clock.
        references: which ones may be shown.
    """
    if not request_ids:
        return []
    rows = connection.execute(_ROW.where(_C.id.in_(request_ids)).order_by(_C.id)).all()
    record = admitted_as(connection, request_ids)
    readmitted = [
        replace(
            _after(record, _admitted(row, key, legal, now, references, is_new=True)),
            status=Status.PENDING if row.status == Status.RUNNING else row.status,
        )
        for row in rows
    ]
    for request in readmitted:
        connection.execute(
            update(deletion_requests)
            .where(_C.id == request.id)
            .values(
                subject=request.subject,
                public_reference=request.public_reference,
                approved_by=None,
                approval=None,
                updated_at=now,
            )
        )
    return readmitted


def decide_references(
    connection: Connection,
    *,
    key: SubjectKey,
    references: ReferenceRules,
    most: int,
    among: ColumnElement[bool] | None = None,
) -> int:
    """Decide about references of open requests that were admitted before anybody decided.

    Or that were given one since; what can't be read waits. Returns of how many.

    Args:
        connection: in a writing transaction.
        key: of what stands for a reference that is withheld.
        references: which ones may be shown.
        most: at most so many.
        among: only those; None: all.
    """
    rows = connection.execute(
        select(_C.id, *(cell(name) for name in ("reference", "forge_user_id", "email")))
        .where(
            _C.public_reference.is_(None),
            _C.reference.is_not(None),
            cell("reference").is_not(None),
            _C.subject.is_not(None),
            _C.status.not_in(FINAL),
            true() if among is None else among,
        )
        .order_by(_C.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    decided = [
        {
            "request_id": row.id,
            "public_reference": references.decided(
                row.reference, key=key, user_id=row.forge_user_id, email=row.email
            )
            or "",
        }
        for row in rows
    ]
    if decided:
        connection.execute(
            update(deletion_requests)
            .where(_C.id == bindparam("request_id"))
            .values(public_reference=bindparam("public_reference")),
            decided,
        )
    return len(decided)


def shown_regime(regime: str) -> str:
    """Return a regime as it may be shown and recorded: a law's name, never free text."""
    return regime if regime in _REGIMES or regime == UNREADABLE else OTHER


def admitted_as(
    connection: Connection, request_ids: Collection[int]
) -> Mapping[int, Sequence[Sequence[str]]]:
    """Return under which pseudonyms the record has requests: the subject first, the newest last.

    Any other that stands in a row somebody made up, or copied there. It may hold a person in clear,
    so it never gets into the record.
    """
    rows = connection.execute(
        select(audit_events.c.request_id, audit_events.c.body)
        .where(audit_events.c.request_id.in_(request_ids), audit_events.c.event == _ADMITTED)
        .order_by(audit_events.c.id)
    )
    record: defaultdict[int, list[Sequence[str]]] = defaultdict(list)
    for row in rows:
        body = json.loads(row.body)
        record[row.request_id or 0].append([body.get("subject") or "", *body.get("also", ())])
    return record


def _after(record: Mapping[int, Sequence[Sequence[str]]], request: Admitted) -> Admitted:
    """Return an admission that says whom the request was about until now, as the record has it."""
    *_, last = ([""], *record.get(request.id, ()))
    return replace(request, former=last[0] if last[0] not in {"", request.subject} else None)


def _set_aside(row: Row[Any], request: Admitted) -> Admitted:
    if row.status == Status.HELD:
        return request
    reason = Reason.UNKNOWN_STATUS if row.is_whole else Reason.UNREADABLE
    return replace(request, status=Status.REVIEW, status_reason=reason)


def _admitted(
    row: Row[Any],
    key: SubjectKey,
    legal: LegalClock,
    now: datetime,
    references: ReferenceRules,
    *,
    is_new: bool = False,
) -> Admitted:
    known = row.status in set(Status)
    user_id, email = row.forge_user_id, row.email
    regime = UNREADABLE if row.regime is None else row.regime
    received_at = row.received_at or row.created_at or now
    due_on = row.due_on or legal.due_on(regime, received_at)
    subject = None if is_new else row.subject
    subject = subject or subject_of(key, request_id=row.id, user_id=user_id, email=email)
    return Admitted(
        id=row.id,
        subject=subject,
        also=aliases(key, subject, user_id=user_id, email=email),
        public_reference=_decided(row, key, references),
        regime=regime,
        received_at=received_at,
        due_on=due_on,
        alarm_on=legal.alarm_on(due_on, received_at),
        status=row.status if known else Status.REVIEW,
        status_reason=row.status_reason if known else Reason.UNKNOWN_STATUS,
    )


def _decided(row: Row[Any], key: SubjectKey, references: ReferenceRules) -> str | None:
    """Return what stands for a request's reference; what was withheld stays withheld.

    An application may have written into the column, so nothing else in it counts.
    """
    kept = row.public_reference
    if kept is not None and is_hash(kept):
        return str(kept)
    return references.decided(row.reference, key=key, user_id=row.forge_user_id, email=row.email)


def _parameters(one: Admitted, now: datetime) -> dict[str, Any]:
    return {
        "request_id": one.id,
        "subject": one.subject,
        "due_on": one.due_on,
        "alarm_on": one.alarm_on,
        "public_reference": one.public_reference,
        "status": one.status,
        "status_reason": one.status_reason,
        "updated_at": now,
    }
