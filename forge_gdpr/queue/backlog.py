"""What is waiting: who is due, who is held back and why, whose deadline is near. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, false, func, not_, or_, select, true

from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.lifecycle import FINAL, OPEN, Status
from forge_gdpr.pseudonyms import Kind, named_by
from forge_gdpr.queue.approvals import approved
from forge_gdpr.queue.cells import cell, readable, whole
from forge_gdpr.queue.holds import unbound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

    from forge_gdpr.pseudonyms import SubjectKey

_C = deletion_requests.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a request may be worked on."""

    now: datetime
    cool_off_days: int = 0  #: not touched for so long after receipt
    approved_only: bool = False
    reads_people: bool = True  #: may the login read user ids and e-mails? See `holds.unbound`

    @property
    def condition(self) -> ColumnElement[bool]:
        """The same, for the database."""
        return and_(
            _C.status == Status.PENDING,
            whole(),
            self.unbound,
            or_(_C.not_before.is_(None), _C.not_before <= self.now),
            or_(_C.next_attempt_at.is_(None), _C.next_attempt_at <= self.now),
            _C.received_at <= self.now - timedelta(days=self.cool_off_days),
            approved() if self.approved_only else true(),
        )

    @property
    def unbound(self) -> ColumnElement[bool]:
        """That no other request of the same person is on hold, for the database."""
        return unbound(reads_people=self.reads_people)


def count_due(connection: Connection, due: Due) -> int:
    """Return how many requests are due, before any limit cuts them."""
    return connection.execute(
        select(func.count()).select_from(deletion_requests).where(due.condition)
    ).scalar_one()


def count_unapproved(connection: Connection, due: Due) -> int:
    """Return how many requests would be due if somebody had approved them."""
    if not due.approved_only:
        return 0
    otherwise_due = replace(due, approved_only=False).condition
    return connection.execute(
        select(func.count()).select_from(deletion_requests).where(otherwise_due, not_(approved()))
    ).scalar_one()


def in_other_runs(connection: Connection, *, run_id: str) -> tuple[int, datetime | None]:
    """Return how many requests other runs have claimed, and until when at most."""
    row = connection.execute(
        select(func.count(), func.max(cell("claim_expires_at"))).where(
            _C.status == Status.RUNNING, _C.claimed_by != run_id
        )
    ).one()
    return row[0], row[1]


def any_with_email(connection: Connection, due: Due) -> bool:
    """Say whether a due request has an e-mail, so that Forge's list of users is needed."""
    return bool(
        connection.execute(
            select(_C.id).where(due.condition, _C.email.is_not(None)).limit(1)
        ).first()
    )


def waiting(connection: Connection, *, today: date) -> Mapping[date, int]:
    """Return how many pending requests that are not late yet have to be done by each date."""
    alarm_on = _alarm_on()
    rows = connection.execute(
        select(alarm_on.label("day"), func.count())
        .where(_C.status == Status.PENDING, whole(), not_(_at_risk(today)))
        .group_by(alarm_on)
    ).all()
    return {row.day: row[1] for row in rows}


def _alarm_on() -> ColumnElement[date]:
    return func.coalesce(cell("alarm_on"), cell("due_on"))


def _at_risk(today: date) -> ColumnElement[bool]:
    """Late, or not to be tried before it is: compared as dates, which both databases can."""
    later = (
        func.coalesce(func.date(cell(name)) > _alarm_on(), false())
        for name in ("next_attempt_at", "not_before")
    )
    return or_(_alarm_on() < today, *later)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Where the open requests stand against their legal dates."""

    next_due_on: date | None  #: the earliest date of an open request
    at_risk: int  #: open requests that are late, or can't be tried before they are


def deadlines(connection: Connection, *, today: date) -> Deadlines:
    """Return how the deadlines of all open requests stand; all of them have been admitted."""
    at_risk = func.sum(case((_at_risk(today), 1), else_=0))
    row = connection.execute(
        select(
            func.min(cell("due_on")).label("next_due_on"),
            func.coalesce(at_risk, 0).label("at_risk"),
        ).where(_C.status.in_(OPEN))
    ).one()
    return Deadlines(next_due_on=row.next_due_on, at_risk=int(row.at_risk))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """So many open requests with one fate and one deadline."""

    fate: str  #: ``due``, or why not: a word of FATES
    due_on: date | None  #: None: no run has seen them yet
    count: int


#: What becomes of an open request tonight, in the order in which they are shown.
FATES = (
    "due",
    "unreadable",
    "cool_off",
    "backoff",
    "not_approved",
    "person_held",  # another request of the same person is on hold
    "held",
    "review",
    "running",
    "unknown_status",
)


def groups(connection: Connection, due: Due) -> list[Group]:
    """Return the open requests by fate and deadline."""
    fate = case(
        (due.condition, "due"),
        (and_(_C.status.in_((Status.PENDING, Status.RUNNING)), not_(whole())), "unreadable"),
        (and_(_C.status == Status.PENDING, not_(due.unbound)), "person_held"),
        (and_(_C.status == Status.PENDING, _C.next_attempt_at > due.now), "backoff"),
        (
            and_(_C.status == Status.PENDING, replace(due, approved_only=False).condition),
            "not_approved",
        ),
        (_C.status == Status.PENDING, "cool_off"),
        (_C.status.in_((Status.HELD, Status.REVIEW, Status.RUNNING)), _C.status),
        else_="unknown_status",
    ).label("fate")
    due_on = cell("due_on")
    rows = connection.execute(
        select(fate, due_on, func.count().label("count"))
        .where(_C.status.not_in(FINAL))
        .group_by(fate, due_on)
    ).all()
    found = [Group(fate=row.fate, due_on=row.due_on, count=row[2]) for row in rows]
    return sorted(found, key=_by_fate_then_date)


def _by_fate_then_date(group: Group) -> tuple[Any, ...]:
    return FATES.index(group.fate), group.due_on is None, group.due_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """So many requests of one day that have no deadline yet: no run has seen them."""

    regime: str
    received_at: datetime  #: the first of them
    count: int


def unseen(connection: Connection) -> list[Unseen]:
    """Return the open requests without a deadline, by regime and day of receipt."""
    day = func.date(_C.received_at)
    rows = connection.execute(
        select(_C.regime, func.min(_C.received_at).label("first"), func.count().label("count"))
        .where(
            _C.due_on.is_(None),
            _C.status.not_in(FINAL),
            readable(_C.regime),
            readable(_C.received_at),
        )
        .group_by(_C.regime, day)
    ).all()
    return [Unseen(regime=r.regime, received_at=r.first, count=r[2]) for r in rows]


def due_identifiers(connection: Connection, due: Due) -> list[tuple[str | None, str | None]]:
    """Return ``(forge_user_id, e-mail)`` of all due requests, for a dry run's check."""
    rows = connection.execute(select(_C.forge_user_id, _C.email).where(due.condition)).all()
    return [(row.forge_user_id, row.email) for row in rows]


def wanted_by_email(connection: Connection, due: Due) -> tuple[list[str], list[str]]:
    """Return ids and addresses of the due requests that have an e-mail, for Forge's list."""
    rows = connection.execute(
        select(_C.forge_user_id, _C.email).where(due.condition, _C.email.is_not(None))
    ).all()
    emails = [row.email for row in rows if row.email is not None]  # blank ones, too
    return [row.forge_user_id for row in rows if row.forge_user_id], emails


def due_user_ids(connection: Connection, due: Due, *, most: int) -> list[str]:
    """Return the ids that due requests name, up to so many."""
    rows = connection.execute(
        select(_C.forge_user_id).where(due.condition, _C.forge_user_id.is_not(None)).limit(most)
    ).scalars()
    return [user_id for user_id in rows if user_id is not None]


def named_user_ids(connection: Connection, keys: Sequence[SubjectKey], *, most: int) -> list[str]:
    """Return ids that requests name, the newest first; not those that a run found by e-mail.

    What was found in an account says nothing about whose account it is. A request that named an
    id has that id's pseudonym, one by e-mail its address's.

    Args:
        connection: in a transaction.
        keys: every live subject key.
        most: so many requests are read at the most.
    """
    rows = connection.execute(
        select(_C.id, _C.forge_user_id, _C.subject)
        .where(_C.forge_user_id.is_not(None), readable(_C.forge_user_id), readable(_C.subject))
        .order_by(_C.id.desc())
        .limit(most)
    ).all()
    return [
        row.forge_user_id
        for row in rows
        if row.forge_user_id is not None
        and (
            row.subject is None
            or named_by(keys, row.subject, request_id=row.id, user_id=row.forge_user_id, email=None)
            is Kind.USER_ID
        )
    ]
