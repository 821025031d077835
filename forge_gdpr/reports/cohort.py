"""The requests received in a period, as SQL over ``audit_events`` alone.

Each statement answers with a few counted groups, however many requests there are: the database
counts, nothing grows here. None reads a request's row, which can be changed; the record can't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    and_,
    case,
    cast,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    union_all,
)

from forge_gdpr.audit.events import EventName
from forge_gdpr.database.tables import audit_events
from forge_gdpr.lifecycle import Status
from forge_gdpr.reports.bodies import day, epoch_s, month, said, told

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import ColumnElement, CompoundSelect, Select, Subquery
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

#: A day to close is counted in tenths: the one decimal that is reported.
TENTHS: Final = 10
_TENTH_S: Final = 8640

#: The parts of `followed`.
TOOK: Final = "took"
CAME: Final = "came"
WENT: Final = "went"

#: Events that end a request for good; `deletion_outcomes` has one row for each.
_CLOSINGS: Final = (
    EventName.REQUEST_CLOSED.value,
    EventName.REQUEST_CANCELLED.value,
    EventName.REQUEST_REFUSED.value,
)
#: The first of these says when a request was received. It is the admission, but for a request that
#: a person closed before any run saw it.
_FIRST: Final = (EventName.REQUEST_ADMITTED.value, *_CLOSINGS)
#: Events after which an open request may stand elsewhere than before; the newest one counts.
_MOVES: Final = (
    EventName.REQUEST_ADMITTED.value,
    EventName.ATTEMPT_STARTED.value,
    EventName.ATTEMPT_FINISHED.value,
    EventName.REQUEST_HELD.value,
    EventName.REQUEST_RELEASED.value,
    EventName.REQUEST_RETRIED.value,
)
#: Events that set the deadline; the newest one counts.
_DEADLINES: Final = (EventName.REQUEST_ADMITTED.value, EventName.REQUEST_EXTENDED.value)

_E: Final = audit_events.c


def received(since: date, until: date) -> Select[Any]:
    """Return the requests received from ``since`` to ``until``, each counted once, in groups.

    A group is ``outcome`` (null: not closed), ``on_time``, ``tenths``, ``requests``. The outcome
    is where the request ended; ``tenths`` is the time from received to closed in tenths of a day,
    rounded half up, below 0 if its application says that it was received after it was closed.
    """
    return _grouped(_each(since, until).subquery().c, "outcome", "on_time", "tenths")


def followed(since: date, until: date) -> CompoundSelect[Any]:
    """Return the groups of `received`, and those of the days, from one reading of the events.

    Each group has also a ``part``: `TOOK` has `received`'s; in `CAME` a group is ``day`` of receipt
    and ``on_time``, in `WENT` it is ``day`` of closing (null: not closed). Whichever a part does
    not have is null.
    """
    # Materialized: three counts of one reading.
    each = _each(since, until).cte("each").prefix_with("MATERIALIZED").c
    nothing: dict[str, ColumnElement[Any]] = {
        # A null has no type of its own for PostgreSQL.
        "outcome": cast(null(), Text),
        "on_time": cast(null(), Integer),
        "tenths": cast(null(), BigInteger),
        "day": cast(null(), Text),
    }
    parts: dict[str, dict[str, ColumnElement[Any]]] = {
        TOOK: {"outcome": each.outcome, "on_time": each.on_time, "tenths": each.tenths},
        CAME: {"on_time": each.on_time, "day": each.received_on},
        WENT: {"day": each.closed_on},
    }
    return union_all(
        *(
            select(
                literal_column(f"'{part}'").label("part"),
                *(column.label(name) for name, column in (nothing | columns).items()),
                func.count().label("requests"),
            ).group_by(*columns.values())
            for part, columns in parts.items()
        )
    )


def unclosed(since: date, until: date) -> Select[Any]:
    """Return the others in groups.

    A group is ``status`` (review, held or open), ``due_on``, ``month`` of receipt, ``requests``.
    """
    lives = _unclosed_lives()
    first = audit_events.alias("first")
    moved, timed = audit_events.alias("moved"), audit_events.alias("timed")
    said_status = said(moved.c.body, "status")
    each = (
        select(
            case(
                (moved.c.event == EventName.REQUEST_HELD.value, Status.HELD.value),
                (
                    and_(
                        moved.c.event.in_(
                            (EventName.REQUEST_ADMITTED.value, EventName.ATTEMPT_FINISHED.value)
                        ),
                        said_status.in_((Status.REVIEW.value, Status.HELD.value)),
                    ),
                    said_status,
                ),
                else_="open",
            ).label("status"),
            said(timed.c.body, "due_on").label("due_on"),
            month(said(first.c.body, "received_at")).label("month"),
        )
        .select_from(lives)
        .join(first, first.c.id == lives.c.first_id)
        .join(moved, moved.c.id == lives.c.moved_id)
        .join(timed, timed.c.id == lives.c.timed_id)
        .where(_within(said(first.c.body, "received_at"), since, until))
        .subquery()
    )
    return _grouped(each.c, "status", "due_on", "month")


def _each(since: date, until: date) -> Select[Any]:
    """One row a request that was received in the period, however it ended."""
    lives = _lives()
    first, last = audit_events.alias("first"), audit_events.alias("last")
    # Materialized, each body is read once and then dropped; SQLite would else sort the bodies.
    told = (
        select(
            said(first.c.body, "received_at").label("received_at"),
            func.coalesce(said(last.c.body, "due_on"), said(first.c.body, "due_on")).label(
                "due_on"
            ),
            said(last.c.body, "at").label("closed_at"),
            func.coalesce(said(last.c.body, "closed_on"), day(said(last.c.body, "at"))).label(
                "closed_on"
            ),
            case(
                (last.c.event == EventName.REQUEST_CLOSED.value, last.c.outcome),
                else_=func.substr(last.c.event, len("request.") + 1),
            ).label("outcome"),
        )
        .select_from(lives)
        .join(first, first.c.id == lives.c.first_id)
        .outerjoin(last, last.c.id == lives.c.closed_id)
        .cte("told")
        .prefix_with("MATERIALIZED")
    ).c
    took_s = epoch_s(told.closed_at) - epoch_s(told.received_at)
    return select(
        day(told.received_at).label("received_on"),
        told.closed_on,
        told.outcome,
        case((told.closed_on.is_(None), null()), (told.closed_on <= told.due_on, 1), else_=0).label(
            "on_time"
        ),
        ((took_s + _TENTH_S // 2) // _TENTH_S).label("tenths"),
    ).where(_within(told.received_at, since, until))


def _grouped(columns: ReadOnlyColumnCollection[str, Any], *names: str) -> Select[Any]:
    groups = [columns[name] for name in names]
    return select(*groups, func.count().label("requests")).group_by(*groups)


def _lives() -> Subquery:
    """One row a request: the event that says it was received, and the one that closed it."""
    return (
        select(
            _E.request_id,
            func.min(_when(_E.event.in_(_FIRST))).label("first_id"),
            func.min(_when(_E.event.in_(_CLOSINGS))).label("closed_id"),
        )
        .where(_E.request_id.is_not(None))
        .group_by(_E.request_id)
        .subquery("lives")
    )


def _unclosed_lives() -> Subquery:
    """One row a request that is not closed: its first event, its last move, its last deadline.

    An answer that came late, when another run had taken the request over, moved nothing.
    """
    lives = _lives()
    late = and_(
        _E.event == EventName.ATTEMPT_FINISHED.value,
        told(_E.body, "late").is_not_distinct_from(true()),
    )
    return (
        select(
            lives.c.first_id,
            func.max(_when(and_(_E.event.in_(_MOVES), not_(late)))).label("moved_id"),
            func.max(_when(_E.event.in_(_DEADLINES))).label("timed_id"),
        )
        .select_from(lives)
        .join(audit_events, _E.request_id == lives.c.request_id)
        .where(lives.c.closed_id.is_(None), or_(_E.event.in_(_MOVES), _E.event.in_(_DEADLINES)))
        .group_by(lives.c.request_id, lives.c.first_id)
        .subquery("unclosed")
    )


def _when(condition: ColumnElement[bool]) -> ColumnElement[int | None]:
    return case((condition, _E.id), else_=null())


def _within(received_at: ColumnElement[str], since: date, until: date) -> ColumnElement[bool]:
    return day(received_at).between(since.isoformat(), until.isoformat())
