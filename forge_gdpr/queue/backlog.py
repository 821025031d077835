"""What is waiting: who is due, who is held back and why, whose deadline is near. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, or_, select

from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.lifecycle import OPEN, Status

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import ColumnElement, Connection

_C = deletion_requests.c


def is_due(now: datetime, cool_off_days: int) -> ColumnElement[bool]:
    """Return the condition under which a request may be worked on now."""
    return and_(
        _C.status == Status.PENDING,
        or_(_C.not_before.is_(None), _C.not_before <= now),
        or_(_C.next_attempt_at.is_(None), _C.next_attempt_at <= now),
        _C.received_at <= now - timedelta(days=cool_off_days),
    )


def count_due(connection: Connection, *, now: datetime, cool_off_days: int) -> int:
    """Return how many requests are due, before any limit cuts them."""
    return connection.execute(
        select(func.count()).select_from(deletion_requests).where(is_due(now, cool_off_days))
    ).scalar_one()


def any_with_email(connection: Connection, *, now: datetime, cool_off_days: int) -> bool:
    """Say whether a due request has an e-mail, so that Forge's list of users is needed."""
    return bool(
        connection.execute(
            select(_C.id).where(is_due(now, cool_off_days), _C.email.is_not(None)).limit(1)
        ).first()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Where the open requests stand against their legal dates."""

    next_due_on: date | None  #: the earliest date of an open request
    at_risk: int  #: open requests that are late, or can't be tried before they are


def deadlines(connection: Connection, *, today: date) -> Deadlines:
    """Return how the deadlines of all open requests stand; all of them have been admitted."""
    alarm_on = func.coalesce(_C.alarm_on, _C.due_on)
    late = alarm_on < today
    # A time after the day's end, compared as dates, which both databases can.
    too_late = or_(
        *(func.date(column) > alarm_on for column in (_C.next_attempt_at, _C.not_before))
    )
    at_risk = func.sum(case((or_(late, too_late), 1), else_=0))
    row = connection.execute(
        select(
            func.min(_C.due_on).label("next_due_on"),
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
FATES = ("due", "cool_off", "backoff", "held", "review", "running", "unknown_status")


def groups(connection: Connection, *, now: datetime, cool_off_days: int) -> list[Group]:
    """Return the open requests by fate and deadline."""
    fate = case(
        (is_due(now, cool_off_days), "due"),
        (and_(_C.status == Status.PENDING, _C.next_attempt_at > now), "backoff"),
        (_C.status == Status.PENDING, "cool_off"),
        (_C.status.in_((Status.HELD, Status.REVIEW, Status.RUNNING)), _C.status),
        else_="unknown_status",
    ).label("fate")
    rows = connection.execute(
        select(fate, _C.due_on, func.count().label("count"))
        .where(_C.status.not_in((Status.DONE, Status.CANCELLED, Status.REFUSED)))
        .group_by(fate, _C.due_on)
    ).all()
    found = [Group(fate=row.fate, due_on=row.due_on, count=row[2]) for row in rows]
    return sorted(found, key=_by_fate_then_date)


def _by_fate_then_date(group: Group) -> tuple[Any, ...]:
    return FATES.index(group.fate), group.due_on is None, group.due_on


def due_identifiers(
    connection: Connection, *, now: datetime, cool_off_days: int
) -> list[tuple[str | None, str | None]]:
    """Return ``(forge_user_id, e-mail)`` of all due requests, for a dry run's check."""
    rows = connection.execute(select(_C.forge_user_id, _C.email).where(is_due(now, cool_off_days)))
    return [(row.forge_user_id, row.email) for row in rows]
