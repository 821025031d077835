"""Claiming requests and giving them their end, under a lease and a fence.

A claim is a lease by the database's clock. Each one raises the row's fence by one; an end is
written only while the row still has the fence it was claimed with, so a worker that comes back
late changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, exists, not_, or_, select, true, update

from forge_gdpr.database.tables import deletion_requests, runs
from forge_gdpr.lifecycle import CRASHED, FINAL, Event, Outcome, Reason, Status, after
from forge_gdpr.queue.cells import cell, readable, whole
from forge_gdpr.queue.holds import unbound

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

    from forge_gdpr.queue.backlog import Due

_C = deletion_requests.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A request that this run has claimed. The two identifiers are not in its ``repr``."""

    id: int
    fence: int
    attempts: int
    subject: str
    regime: str
    received_at: datetime
    due_on: date
    forge_user_id: str | None = field(repr=False)
    email: str | None = field(repr=False)
    public_reference: str | None
    status_reason: str | None = None  #: what an earlier night noted when it gave the request back
    approved_by: str | None = None
    approval: str | None = None  #: see `approvals`

    @property
    def was_refused(self) -> bool:
        """Whether Forge refused it in a night in which it refused everybody."""
        return self.status_reason in {Outcome.REJECTED, Outcome.UNEXPECTED}


_CLAIMED_COLUMNS: Final = tuple(
    cell(name) if name == "approval" else _C[name] for name in Claimed.__dataclass_fields__
)


def claim(
    connection: Connection,
    *,
    run_id: str,
    most: int,
    due: Due,
    expires_at: datetime,
    now: datetime,
    with_email: bool,
    among: Collection[int] | None = None,
    untried: bool = False,
    crashed: bool = False,
) -> list[Claimed]:
    """Claim up to ``most`` due requests, the earliest deadline first.

    One statement on both databases. On PostgreSQL SKIP LOCKED keeps two runs apart; without it
    one row goes to two of them. SQLite has one writer at a time anyhow (BEGIN IMMEDIATE).

    Args:
        connection: in a writing transaction.
        run_id: whose claim it is.
        most: at most so many.
        due: as of the run's opening, so that what a run puts off, it leaves alone.
        expires_at: the end of the lease.
        now: the database's clock.
        with_email: also requests that have an e-mail; they need Forge's list of users.
        among: only these; None: all.
        untried: only those at which nothing has failed yet.
        crashed: only those whose last attempt crashed; else none of them.
    """
    fresh = and_(_C.attempts == 0, _C.status_reason.is_(None)) if untried else true()
    dangerous = _C.status_reason.is_not_distinct_from(CRASHED)
    admitted = _C.subject.is_not(None)
    understood = true() if with_email else _C.email.is_(None)
    planned = true() if among is None else _C.id.in_(among)
    candidates = (
        select(_C.id)
        .where(
            due.condition,
            admitted,
            understood,
            planned,
            fresh,
            dangerous if crashed else not_(dangerous),
        )
        .order_by(_C.due_on, _C.id)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("candidates")
    )
    rows = connection.execute(
        update(deletion_requests)
        .where(_C.id.in_(select(candidates.c.id)))
        .values(
            status=after(Status.PENDING, Event.CLAIMED),
            claimed_by=run_id,
            claim_expires_at=expires_at,
            fence=_C.fence + 1,
            updated_at=now,
        )
        .returning(*_CLAIMED_COLUMNS)
    ).all()
    claimed = [Claimed(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public name
    return sorted(claimed, key=lambda one: (one.due_on, one.id))


def renew(connection: Connection, *, run_id: str, expires_at: datetime) -> None:
    """Lengthen the lease of all that this run has claimed."""
    connection.execute(
        update(deletion_requests)
        .where(_C.status == Status.RUNNING, _C.claimed_by == run_id)
        .values(claim_expires_at=expires_at)
    )


def note_user_ids(connection: Connection, user_ids: Mapping[int, str]) -> None:
    """Note which Forge user a request means that had only an e-mail.

    Committed before the call: after a crash the id is known although the user is gone.
    """
    if user_ids:
        connection.execute(
            update(deletion_requests)
            .where(_C.id == bindparam("request_id"))
            .values(forge_user_id=bindparam("user_id")),
            [{"request_id": key, "user_id": value} for key, value in user_ids.items()],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What becomes of a claimed request."""

    id: int
    fence: int
    event: Event
    reason: str | None
    attempts: int
    next_attempt_at: datetime | None = None

    @property
    def status(self) -> Status:
        """The status it leads to."""
        return after(Status.RUNNING, self.event)


def given_back(claimed: Claimed, *, next_attempt_at: datetime) -> End:
    """Return the end of a claim after which a request is as it was, for a later run."""
    return End(
        id=claimed.id,
        fence=claimed.fence,
        event=Event.GIVEN_BACK,
        reason=claimed.status_reason,
        attempts=claimed.attempts,
        next_attempt_at=next_attempt_at,
    )


def fences(connection: Connection, request_ids: Collection[int]) -> Mapping[int, int]:
    """Return the present fence of those of these requests that are claimed, and lock them.

    Args:
        connection: in a writing transaction.
        request_ids: of any requests.
    """
    rows = connection.execute(
        select(_C.id, cell("fence"))
        .where(_C.id.in_(request_ids), _C.status == Status.RUNNING)
        .order_by(_C.id)
        .with_for_update()
    ).all()  # in one go: row by row each would wait for the interpreter that the workers hold
    return {row.id: row.fence for row in rows}


def still_claimed(connection: Connection, claimed: Collection[Claimed]) -> set[int]:
    """Return the ids of those that are still as they were claimed, and whose person is not held.

    Nobody put them on hold, nor another request of the same person, be it by the user id that
    `note_user_ids` noted for an e-mail.
    """
    rows = connection.execute(
        select(_C.id, cell("fence")).where(
            _C.id.in_([one.id for one in claimed]), _C.status == Status.RUNNING, unbound()
        )
    ).all()
    fences = {row.id: row.fence for row in rows}
    return {one.id for one in claimed if fences.get(one.id) == one.fence}


_END: Final = (
    update(deletion_requests)
    .where(_C.id == bindparam("request_id"), _C.fence == bindparam("held_fence"))
    .values(
        status=bindparam("status"),
        status_reason=bindparam("status_reason"),
        attempts=bindparam("attempts"),
        next_attempt_at=bindparam("next_attempt_at"),
        claimed_by=None,
        claim_expires_at=None,
        updated_at=bindparam("now"),
    )
)
#: A closed request forgets the e-mail; the id is kept for the retention period.
_CLOSE: Final = _END.values(closed_at=bindparam("now"), email=None)


def finish(connection: Connection, ends: Sequence[End], *, now: datetime) -> None:
    """Write the ends of claimed requests, in the caller's transaction."""
    for statement, closing in ((_END, False), (_CLOSE, True)):
        rows = [_row(end, now) for end in ends if (end.status in FINAL) is closing]
        if rows:
            connection.execute(statement, rows)


def _row(end: End, now: datetime) -> dict[str, Any]:
    return {
        "request_id": end.id,
        "held_fence": end.fence,
        "status": end.status,
        "status_reason": end.reason,
        "attempts": end.attempts,
        "next_attempt_at": end.next_attempt_at,
        "now": now,
    }


def lives(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a run's lease holds; who can't be read has none. Never null."""
    return and_(readable(runs.c.lease_expires_at), runs.c.lease_expires_at > now)


def holds(now: datetime) -> ColumnElement[bool]:
    """Return the condition that the claim of a running request is good. Never null.

    A run renews its own lease with each write, so no claim is good for longer than that.
    """
    alive = exists().where(runs.c.id == _C.claimed_by, runs.c.closed_at.is_(None), lives(now))
    is_over = or_(_C.claim_expires_at.is_(None), _C.claim_expires_at <= now)
    return and_(readable(_C.claim_expires_at), not_(is_over), alive)


def expired(connection: Connection, *, now: datetime, most: int) -> list[Claimed]:
    """Return requests whose claim has outlived its run, and lock them."""
    rows = connection.execute(
        select(*_CLAIMED_COLUMNS)
        .where(
            _C.status == Status.RUNNING,
            _C.subject.is_not(None),
            whole(),
            not_(holds(now)),
        )
        .order_by(_C.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    return [Claimed(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public name


#: So many crashed attempts and a person looks: one poisonous row never stops a night.
MOST_CRASHES: Final = 3


def reopened(one: Claimed, *, crashes: int, max_attempts: int) -> End:
    """Return what becomes of a request whose run died.

    Args:
        one: the request, as its claim left it.
        crashes: of its attempts, this one too, since an operator last let it be tried again.
        max_attempts: MAX_ATTEMPTS.
    """
    attempts = one.attempts + 1
    reason = (
        Reason.CRASHED_REPEATEDLY
        if crashes >= MOST_CRASHES
        else Reason.ATTEMPTS_EXHAUSTED
        if attempts >= max_attempts
        else None
    )
    event = Event.LEASE_EXPIRED if reason is None else Event.SENT_TO_REVIEW
    return End(id=one.id, fence=one.fence, event=event, reason=reason or CRASHED, attempts=attempts)
