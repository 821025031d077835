"""Requests as people see them: without the person."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, or_, select, true

from forge_gdpr.database.tables import audit_events, deletion_requests
from forge_gdpr.lifecycle import FINAL, OTHER, Status, coded
from forge_gdpr.outcomes import CLOSED
from forge_gdpr.queue.admission import UNREADABLE, shown_regime
from forge_gdpr.queue.cells import cell
from forge_gdpr.references import TICKETS, trimmed
from forge_gdpr.runids import is_run_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from sqlalchemy import ColumnElement, Connection, Row

    from forge_gdpr.references import ReferenceRules

_C = deletion_requests.c
_E = audit_events.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One request without e-mail and user id; None is also what can't be read."""

    id: int
    reference: str | None  #: what stands for it
    regime: str | None
    status: str
    status_reason: str | None
    outcome: str | None  #: of one that Forge's answers closed, from the record
    received_at: datetime | None
    due_on: date | None
    not_before: datetime | None
    attempts: int | None
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


_STATUSES: Final = frozenset(Status)
_OUTCOME: Final = (
    select(_E.outcome)
    .where(
        _E.request_id == _C.id,
        _E.event == CLOSED,
        _C.status == Status.DONE,
    )
    .order_by(_E.id.desc())
    .limit(1)
    .scalar_subquery()
    .label("outcome")
)


def _column(name: str) -> ColumnElement[Any]:
    if name == "outcome":
        return _OUTCOME
    return _C.id if name == "id" else cell(name)


_SELECT = select(
    *(_column(name) for name in Listed.__dataclass_fields__),
    cell("public_reference"),
    cell("forge_user_id"),
    cell("email"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which requests; what is None does not matter."""

    status: str | None = None
    reason: str | None = None
    reference: str | None = field(default=None, repr=False)
    due_before: date | None = None
    received_before: datetime | None = None

    @property
    def is_everybody(self) -> bool:
        """Whether nothing narrows it."""
        return self == Wanted()

    @property
    def condition(self) -> ColumnElement[bool]:
        """The same, for the database."""
        return and_(
            true(),
            *(column == value for column, value in self._equal() if value is not None),
            true() if self.reference is None else has_reference(self.reference),
            _C.due_on < self.due_before if self.due_before is not None else true(),
            _C.received_at < self.received_before if self.received_before is not None else true(),
        )

    def _equal(self) -> tuple[tuple[ColumnElement[Any], str | None], ...]:
        return (
            (_C.status, self.status),
            (_C.status_reason, self.reason),
        )


def has_reference(reference: str) -> ColumnElement[bool]:
    """Return the condition that a request has this reference, or that this stands for its own."""
    return or_(*(column == trimmed(reference) for column in (_C.reference, _C.public_reference)))


class SortedBy(StrEnum):
    """What a list is in the order of."""

    DUE = "due"
    RECEIVED = "received"
    ID = "id"
    ATTEMPTS = "attempts"
    STATUS = "status"  #: within a status, as by DUE


#: Behind each stands the id, so that an order is never left to the database.
_SORTED_BY: Final[Mapping[SortedBy, tuple[ColumnElement[Any], ...]]] = {
    SortedBy.DUE: (_C.due_on,),
    SortedBy.RECEIVED: (_C.received_at,),
    SortedBy.ID: (),
    SortedBy.ATTEMPTS: (_C.attempts,),
    SortedBy.STATUS: (_C.status, _C.due_on),
}


def listed(
    connection: Connection,
    wanted: Wanted | None = None,
    *,
    most: int | None = None,
    by: SortedBy = SortedBy.DUE,
    backwards: bool = False,
    references: ReferenceRules = TICKETS,
) -> Generator[Listed]:
    """Yield requests, as a rule in the order of work: the earliest deadline first.

    Args:
        connection: in a transaction.
        wanted: only those; None: all.
        most: at most so many; None: all.
        by: what they are sorted by, and then by id.
        backwards: the last first; who has no deadline yet is the last either way.
        references: which ones may be shown.
    """
    condition = true() if wanted is None else wanted.condition
    query = _SELECT.where(condition).order_by(*_order(by, backwards=backwards)).limit(most)
    with connection.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows:
            yield _shown(row, references)


def count(connection: Connection, wanted: Wanted) -> int:
    """Return how many requests these are."""
    query = select(func.count()).select_from(deletion_requests).where(wanted.condition)
    return int(connection.execute(query).scalar_one())


def ids(connection: Connection, wanted: Wanted) -> list[int]:
    """Return the ids of all these requests."""
    rows = connection.execute(select(_C.id).where(wanted.condition).order_by(_C.id))
    return list(rows.scalars())


def one(
    connection: Connection, request_id: int, *, references: ReferenceRules = TICKETS
) -> Listed | None:
    """Return one request, None if the queue has none with this id."""
    row = connection.execute(_SELECT.where(_C.id == request_id)).one_or_none()
    return None if row is None else _shown(row, references)


def _order(by: SortedBy, *, backwards: bool) -> Iterator[ColumnElement[Any]]:
    for column in (*_SORTED_BY[by], _C.id):
        if column is _C.due_on:
            yield column.is_(None)  # the two databases put nulls at different ends
        yield column.desc() if backwards else column.asc()


def _shown(row: Row[*tuple[Any, ...]], references: ReferenceRules) -> Listed:
    """Leave the person out, also where an application wrote them into another column."""
    shown = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
    user_id, email = shown.pop("forge_user_id"), shown.pop("email")
    decided = references.kept(shown.pop("public_reference"))
    if decided is None and shown["status"] not in FINAL:  # nobody has seen it yet
        text = trimmed(shown["reference"])
        if text is not None and references.may_show(text, user_id=user_id, email=email):
            decided = text
    shown["reference"] = decided
    shown["status"] = shown_status(shown["status"])
    shown["status_reason"] = coded(shown["status_reason"])
    if shown["regime"] is not None:
        shown["regime"] = shown_regime(shown["regime"])
    if not is_run_id(shown["claimed_by"] or ""):
        shown["claimed_by"] = None
    return Listed(**shown)


def shown_status(status: str | None) -> str:
    """Return a status as it may be shown: one of ours, never free text."""
    if status is None:
        return UNREADABLE
    return status if status in _STATUSES else OTHER
