"""Correcting whom a request is about, on record: it is admitted again, and an approval lapses."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.history import Past, pasts
from forge_gdpr.audit.record import append_main
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.desk.actions import Standing, closed_to_all
from forge_gdpr.errors import InvalidInputError, NotFoundError
from forge_gdpr.identifiers import canonical_user_id
from forge_gdpr.pseudonyms import Kind, named_by
from forge_gdpr.queue.admission import UNREADABLE, admitted_as, readmit, see
from forge_gdpr.queue.cells import NEEDED, cell, faults
from forge_gdpr.queue.checks import NewRequest, check
from forge_gdpr.references import TICKETS

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from forge_gdpr.chain import Json
    from forge_gdpr.deadlines import LegalClock
    from forge_gdpr.pseudonyms import Keyring
    from forge_gdpr.queue.admission import Admitted
    from forge_gdpr.references import ReferenceRules

_C = deletion_requests.c
_IDENTIFIERS: Final = ("forge_user_id", "email")
_ROW: Final = select(
    _C.id,
    *(cell(name) for name in (*_IDENTIFIERS, "status", "subject")),
    *faults(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """Whom a request is about, by whose word and why. What is None stays as it is."""

    actor: str
    reason: str  #: a code of `actions.AMENDING`
    user_id: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    drops: frozenset[str] = frozenset()  #: columns that are emptied


def amend(
    connection: Connection,
    request_id: int,
    amendment: Amendment,
    *,
    keys: Keyring,
    legal: LegalClock,
    pattern: re.Pattern[str],
    references: ReferenceRules = TICKETS,
) -> None:
    """Correct whom an open request is about; its status and its legal date stay.

    Args:
        connection: in a writing transaction, which is the unit.
        request_id: of the request.
        amendment: what it is to name.
        keys: that are live.
        legal: for the dates of a request that nobody has seen yet.
        pattern: what a user id looks like.
        references: which ones may be shown.

    Raises:
        NotFoundError: there is no such request.
        InvalidUserIdError: the id does not look like one.
        InvalidInputError: the request would name nobody, or the same as before; or it is over, or
            a run is working on it.
    """
    now, key = database_now(connection), keys.current
    seen = see(
        connection,
        key=key,
        legal=legal,
        now=now,
        request_ids=[request_id],
        references=references,
    )
    # On record before it is amended, so that the record has whom it named until then.
    append_main(connection, [_admission(one, amendment) for one in seen], at=now)
    row = connection.execute(_ROW.where(_C.id == request_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no request {request_id}: see 'forge-gdpr requests list'")
    names = _names_after(row, amendment, keys)
    _require_possible(row, names, amendment, now=now, pattern=pattern)
    _require_uncalled(connection, row.id, names, keys)
    connection.execute(update(deletion_requests).where(_C.id == row.id).values(names))
    readmitted = readmit(connection, [row.id], key=key, legal=legal, now=now, references=references)
    why = {"reason": amendment.reason}
    append_main(connection, [_admission(one, amendment, why) for one in readmitted], at=now)


def _admission(
    request: Admitted, amendment: Amendment, why: Mapping[str, Json] = MappingProxyType({})
) -> Entry:
    return Entry(
        event=EventName.REQUEST_ADMITTED,
        request_id=request.id,
        subject=request.subject,
        actor=amendment.actor,
        details={**request.facts, **why},
    )


def _names_after(row: Row[Any], amendment: Amendment, keys: Keyring) -> dict[str, str | None]:
    """Return what the row is to name; an id that a run found by the former e-mail goes with it."""
    names: dict[str, str | None] = {"forge_user_id": row.forge_user_id, "email": row.email}
    kind = named_by(
        keys.keys,
        row.subject or "",
        request_id=row.id,
        user_id=row.forge_user_id,
        email=row.email,
    )
    if amendment.email is not None and kind is Kind.EMAIL:
        names["forge_user_id"] = None
    names |= dict.fromkeys(amendment.drops)
    if amendment.user_id is not None:
        names["forge_user_id"] = canonical_user_id(amendment.user_id)
    if amendment.email is not None:
        names["email"] = amendment.email.strip()
    return names


def _require_possible(
    row: Row[Any],
    names: Mapping[str, str | None],
    amendment: Amendment,
    *,
    now: datetime,
    pattern: re.Pattern[str],
) -> None:
    unreadable = [
        name
        for name in NEEDED
        if row._mapping[f"no_{name}"]  # noqa: SLF001  # SQLAlchemy's public name for it
        and not (name in _IDENTIFIERS and _is_written(name, amendment))
    ]
    standing = Standing(
        status=UNREADABLE if row.status is None else row.status, unreadable=unreadable
    )
    said = closed_to_all(standing)
    if said is not None:
        raise InvalidInputError(f"request {row.id} {said}; nothing was changed")
    check(
        NewRequest(user_id=names["forge_user_id"], email=names["email"]), pattern=pattern, now=now
    )
    is_same = all(names[name] == row._mapping[name] for name in _IDENTIFIERS)  # noqa: SLF001  # public
    if is_same:
        raise InvalidInputError(f"request {row.id} names just that already; nothing was changed")


def _require_uncalled(
    connection: Connection, request_id: int, names: Mapping[str, str | None], keys: Keyring
) -> None:
    """Refuse to name somebody else while the one who is named may have been deleted."""
    subject = admitted_as(connection, [request_id])[request_id][-1][0]
    is_same_person = named_by(
        keys.keys,
        subject,
        request_id=request_id,
        user_id=names["forge_user_id"],
        email=names["email"],
    )
    past = pasts(connection, {request_id: subject}).get(request_id, Past())
    if is_same_person is None and (past.reached or past.unfinished):
        raise InvalidInputError(
            f"a call for the person whom request {request_id} names may have reached Forge: let the"
            f" next run settle that ('forge-gdpr requests retry {request_id}' if it needs review),"
            " and add a request for the other person with 'forge-gdpr requests add'; nothing was"
            " changed"
        )


def _is_written(name: str, amendment: Amendment) -> bool:
    value = amendment.user_id if name == "forge_user_id" else amendment.email
    return value is not None or name in amendment.drops
