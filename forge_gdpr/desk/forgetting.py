"""Closed requests forget who they were about, and are removed in the end. The record stays.

Safe beside a run, which works on open requests only, and safe to repeat: each page is one
transaction with its own event on record, so that what was stopped half-way is on record, too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, delete, false, func, not_, or_, select, true, update

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.history import ends
from forge_gdpr.audit.record import append_main
from forge_gdpr.chain import written_time
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.database.traces import wipe
from forge_gdpr.errors import DatabaseError
from forge_gdpr.lifecycle import FINAL
from forge_gdpr.queue.cells import cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine, Row

    from forge_gdpr.retention import Cutoffs, Periods

_C = deletion_requests.c
#: What names the person.
_NAMES: Final = ("forge_user_id", "email")

#: Rows in one transaction; far below SQLite's limit of parameters.
_PAGE: Final = 1000
#: An application's clock may be ahead, but not by more.
_AHEAD: Final = timedelta(days=1)
#: What is earlier is no time: a number, an empty text, a date of another form, ``-infinity``.
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """How many closed requests lost what."""

    user_ids: int = 0
    emails: int = 0  #: an application wrote one into a closed request
    references: int = 0  #: that may name the person
    dated: int = 0  #: an application closed them without saying when: their periods begin now
    removed: int = 0  #: the whole row

    def __add__(self, other: Forgotten) -> Forgotten:
        return Forgotten(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """What is to be done to some closed requests, by their ids."""

    user_ids: list[int] = field(default_factory=list)
    emails: list[int] = field(default_factory=list)
    references: list[int] = field(default_factory=list)
    dated: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)

    @property
    def counts(self) -> Forgotten:
        return Forgotten(**{one.name: len(getattr(self, one.name)) for one in fields(self)})


def preview(engine: Engine, cutoffs: Cutoffs) -> Forgotten:
    """Return what `forget` would do; nothing is written."""
    found = Forgotten()
    for ids in _pages(engine, cutoffs):
        with reading(engine) as connection:
            found += _judged(connection, ids, cutoffs, locking=False).counts
    return found


def forget(
    engine: Engine,
    cutoffs: Cutoffs,
    *,
    periods: Periods,
    actor: str,
) -> Forgotten:
    """Let closed requests forget what they have kept for long enough, a page a transaction.

    Args:
        engine: of the database.
        cutoffs: as of one moment, so that it ends.
        periods: where they come from, for the record.
        actor: who does it.

    Raises:
        DatabaseError: this role may not remove rows, or the database fails; the pages before are
            done, and on record.
    """
    with reading(engine) as connection:
        _require_may_remove(connection)
    done = Forgotten()
    for ids in _pages(engine, cutoffs):
        with writing(engine) as connection:
            done += _forget(connection, ids, cutoffs, periods=periods, actor=actor)
    wipe(engine, rewrite=done != Forgotten())
    return done


def _pages(engine: Engine, cutoffs: Cutoffs) -> Iterator[list[int]]:
    """Yield the ids of closed requests that have something to lose.

    Found without a lock, for that reads the whole table; judged again under one.
    """
    last: int | None = None  # an application may number its rows below 0
    while True:
        with reading(engine) as connection:
            ids = connection.execute(
                select(_C.id)
                .where(true() if last is None else _C.id > last, _has_something_to_lose(cutoffs))
                .order_by(_C.id)
                .limit(_PAGE)
            ).scalars()
            found = list(ids)
        if not found:
            return
        yield found
        last = found[-1]


def _forget(
    connection: Connection, ids: list[int], cutoffs: Cutoffs, *, periods: Periods, actor: str
) -> Forgotten:
    now = database_now(connection)
    # Wait for the main chain first: whoever holds it may wait for our rows next.
    append_main(connection, [], at=now)
    page = _judged(connection, ids, cutoffs, locking=True)
    if page.counts == Forgotten():
        return page.counts  # another one was quicker
    for rows, change in (
        (page.dated, {"closed_at": now}),
        (page.emails, {"email": None}),
        (page.user_ids, {"forge_user_id": None}),
        (page.references, {"reference": None}),
    ):
        if rows:
            connection.execute(
                update(deletion_requests)
                .where(_C.id.in_(rows))
                .values({**change, "updated_at": now})
            )
    if page.removed:
        connection.execute(delete(deletion_requests).where(_C.id.in_(page.removed)))
    details = asdict(page.counts) | periods.as_json()
    details |= {
        "ids_before": written_time(cutoffs.ids_before),
        "requests_before": written_time(cutoffs.requests_before),
    }
    entry = Entry(event=EventName.RETENTION_APPLIED, actor=actor, details=details)
    append_main(connection, [entry], at=now)
    return page.counts


def _judged(connection: Connection, ids: list[int], cutoffs: Cutoffs, *, locking: bool) -> _Page:
    """Say what is to be done to these requests.

    Args:
        connection: in a transaction.
        ids: of a page.
        cutoffs: what is old.
        locking: lock the rows, and leave those that somebody else has locked for the next time.
    """
    query = (
        select(
            _C.id,
            *(_flag(_C[name].is_not(None)).label(f"has_{name}") for name in _NAMES),
            _flag(_is_withheld()).label("withheld"),
            *(cell(name) for name in ("reference", "public_reference")),
            _flag(not_(_is_dated(cutoffs))).label("undated"),
            _flag(_is_old(cutoffs.ids_before, cutoffs)).label("forgets"),
            _flag(_is_old(cutoffs.requests_before, cutoffs)).label("goes"),
        )
        .where(_C.id.in_(ids), _has_something_to_lose(cutoffs))
        .order_by(_C.id)
    )
    rows = connection.execute(query.with_for_update(skip_locked=True) if locking else query).all()
    forgetting = [row for row in rows if row.forgets and not row.goes]
    return _Page(
        user_ids=[row.id for row in forgetting if row.has_forge_user_id],
        emails=[row.id for row in rows if row.has_email and not row.goes],
        references=_withheld(connection, forgetting),
        dated=[row.id for row in rows if row.undated],
        removed=[row.id for row in rows if row.goes],
    )


def _withheld(connection: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[int]:
    """Return those whose reference is shown nowhere.

    Of what was closed before such things were decided the record tells.
    """
    undecided = [row.id for row in rows if row.withheld and row.public_reference is None]
    told = ends(connection, undecided)
    return [
        row.id
        for row in rows
        if row.withheld
        and (row.reference is None or told.get(row.id, {}).get("reference") != row.reference)
    ]


def _is_withheld() -> ColumnElement[bool]:
    """Whether there is a reference that is shown nowhere; never null.

    Also one that nobody decided about: its request was closed before anybody could.
    """
    return and_(_C.reference.is_not(None), func.coalesce(_C.public_reference, "") != _C.reference)


def _has_something_to_lose(cutoffs: Cutoffs) -> ColumnElement[bool]:
    # Out of the index's sight: through it SQLite would read and sort all closed rows a page.
    status = func.coalesce(_C.status, "")
    names = or_(_C.forge_user_id.is_not(None), _is_withheld())
    return and_(
        status.in_(FINAL),
        or_(
            not_(_is_dated(cutoffs)),
            _C.email.is_not(None),
            and_(_is_old(cutoffs.ids_before, cutoffs), names),
            _is_old(cutoffs.requests_before, cutoffs),
        ),
    )


def _is_dated(cutoffs: Cutoffs) -> ColumnElement[bool]:
    """Whether ``closed_at`` is a time that can be; never null.

    An application that closes a request itself may write nothing, and on SQLite anything. What
    is compared is text there, so that most of what is no time is either too early or too late.
    """
    return func.coalesce(_C.closed_at.between(_EARLIEST, cutoffs.now + _AHEAD), false())


def _is_old(before: datetime, cutoffs: Cutoffs) -> ColumnElement[bool]:
    return and_(_is_dated(cutoffs), _C.closed_at < before)


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _require_may_remove(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    allowed = connection.execute(
        select(func.has_table_privilege(deletion_requests.name, "DELETE"))
    ).scalar_one()
    if not allowed:
        raise DatabaseError(
            f"permission denied for table {deletion_requests.name}: removing requests is for the"
            " role that owns the tables"
        )
