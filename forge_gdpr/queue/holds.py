"""A hold binds the person: while one request is on hold, the person's other requests wait, too.

Two requests are of one person if they have the same pseudonym, the same user id (in upper or
lower case) or the same e-mail (trimmed, in upper or lower case). It errs on the side of waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, or_, select

from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.identifiers import folded_email, folded_user_id
from forge_gdpr.lifecycle import Status
from forge_gdpr.queue.cells import cell

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import ColumnElement, Connection, FromClause

_C: Final = deletion_requests.c
#: What may stand around an identifier; SQL's TRIM alone takes spaces only.
_BLANKS: Final = " \t\r\n"
#: Requests that are compared at a time: each is a parameter three times over, and twice more.
_PAGE: Final = 5000


def unbound(*, reads_people: bool = True) -> ColumnElement[bool]:
    """Return the condition that no request on hold is of the same person.

    The held ones are few, so each of the subqueries is hashed once a statement, however many
    rows it is asked of. (NOT EXISTS would look through all that is held for each row on SQLite.)

    Args:
        reads_people: whether the login may read user ids and e-mails, as the auditor may not;
            if not, people are compared by pseudonym alone.
    """
    other = deletion_requests.alias("other")
    return and_(
        *(
            # A null on either side would make NOT IN neither true nor false; nothing is nobody's.
            func.coalesce(mine, "").not_in(
                select(theirs).where(other.c.status == Status.HELD, theirs != "")
            )
            for mine, theirs in _pairs(other, reads_people=reads_people)
        )
    )


def reads_people(connection: Connection) -> bool:
    """Say whether this login may read user ids and e-mails, as the auditor may not."""
    if connection.dialect.name == "sqlite":
        return True
    table, right = deletion_requests.name, "SELECT"
    names = (deletion_requests.c.forge_user_id.name, deletion_requests.c.email.name)
    rights = (func.has_column_privilege(table, name, right) for name in names)
    return bool(connection.execute(select(and_(*rights))).scalar_one())


class Held:
    """Who is on hold, in every spelling that people would take for the same.

    The database compares spellings that it knows; here are those that it does not: another
    Unicode or IDN form, a name around the address, what nobody sees around an id. Main thread only.
    """

    def __init__(self) -> None:
        """Know nobody yet."""
        self._state: tuple[Any, ...] | None = None
        self._people: frozenset[str] = frozenset()

    def look(self, connection: Connection) -> None:
        """Read again who is on hold, if anything has changed."""
        held = _C.status == Status.HELD
        state = tuple(
            connection.execute(
                select(func.count(), func.max(_C.id), func.max(cell("updated_at"))).where(held)
            ).one()
        )
        if state == self._state:
            return
        rows = connection.execute(select(cell("forge_user_id"), cell("email")).where(held)).all()
        people: set[str] = set()
        for row in rows:
            people |= _skeletons(row.forge_user_id, row.email)
        self._state, self._people = state, frozenset(people)

    def binds(self, user_id: str | None, email: str | None) -> bool:
        """Say whether one of these is of somebody who is on hold."""
        return not self._people.isdisjoint(_skeletons(user_id, email))


def _skeletons(user_id: str | None, email: str | None) -> set[str]:
    by_id = folded_user_id(user_id or "")
    by_email = folded_email(email or "")
    return {f"{kind}:{text}" for kind, text in (("id", by_id), ("email", by_email)) if text}


def of_same_person(
    connection: Connection, request_ids: Collection[int], statuses: Iterable[Status]
) -> list[int]:
    """Return the ids of the other requests of the same person, or people, by id.

    Args:
        connection: in a transaction, of a login that may read user ids and e-mails.
        request_ids: of the requests whose people these are; they themselves are left out.
        statuses: only requests in one of these.
    """
    ids, named = sorted(request_ids), set(request_ids)
    other = deletion_requests.alias("other")
    others: set[int] = set()
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        same = (
            mine.in_(select(theirs).where(other.c.id.in_(page), theirs != ""))
            for mine, theirs in _pairs(other, reads_people=True)
        )
        rows = connection.execute(
            select(deletion_requests.c.id).where(
                deletion_requests.c.status.in_(list(statuses)), or_(*same)
            )
        )
        others.update(rows.scalars())
    return sorted(others - named)


def _pairs(
    other: FromClause, *, reads_people: bool
) -> Iterable[tuple[ColumnElement[Any], ColumnElement[Any]]]:
    """Return what of two requests is equal if they are of one person."""
    keys = (_keys(table, reads_people=reads_people) for table in (deletion_requests, other))
    return zip(*keys, strict=True)


def _keys(table: FromClause, *, reads_people: bool) -> list[ColumnElement[Any]]:
    names = ("forge_user_id", "email") if reads_people else ()
    identifiers = (func.lower(func.trim(table.c[name], _BLANKS)) for name in names)
    return [table.c.subject, *identifiers]
