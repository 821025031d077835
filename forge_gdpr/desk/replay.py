"""After a restore: whose request is closed and who is at Forge again; asking for them anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select

from forge_gdpr.audit.events import EventName
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.tables import audit_events, deletion_requests
from forge_gdpr.deadlines import Regime
from forge_gdpr.desk.returns import PROMISES, Closing, Presence, Return
from forge_gdpr.errors import NotFoundError
from forge_gdpr.identifiers import canonical_user_id, user_id_spellings
from forge_gdpr.lifecycle import OPEN
from forge_gdpr.pseudonyms import Kind, pseudonyms
from forge_gdpr.queue.cells import cell
from forge_gdpr.queue.intake import add_lines, begin_import
from forge_gdpr.queue.lines import Line

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from forge_gdpr.forge.shapes import User
    from forge_gdpr.pseudonyms import SubjectKey

_C = deletion_requests.c
_E = audit_events.c
#: Far below SQLite's limit of parameters, with three forms of an id, and of a pseudonym a key.
_GROUP: Final = 500
_REGIMES: Final = frozenset(regime.value for regime in Regime)


def presence(
    connection: Connection,
    users: Sequence[User],
    *,
    keys: Sequence[SubjectKey],
    listed_at: datetime,
) -> Presence:
    """Hold the record's closings against Forge's users.

    Args:
        connection: in a reading transaction.
        users: all that Forge has.
        keys: all under which the record's people may be pseudonymised.
        listed_at: the database's clock before Forge was asked: whose request was closed since
            then may rightly be on the list.
    """
    found = Presence(((user.id, user.email) for user in users), keys)
    closings = (
        select(_E.request_id, _E.at, _E.outcome, _E.subject, _E.body)
        .where(
            _E.event == EventName.REQUEST_CLOSED,
            _E.outcome.in_(PROMISES),
            _E.at < listed_at,
        )
        .order_by(_E.at, _E.id)
        .execution_options(yield_per=1000)
    )
    with connection.execute(closings) as rows:
        for row in rows:
            body = json.loads(row.body)
            found.note(
                Closing(
                    request_id=row.request_id or 0,
                    closed_at=row.at,
                    outcome=row.outcome or "",
                    subjects=(row.subject or "", *body.get("also", ())),
                    reference=body.get("reference"),
                    regime=body["regime"],
                )
            )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """What became of those who were to be asked for anew."""

    new: int
    open: int  #: somebody else asked for them already


def enqueue(
    connection: Connection,
    returns: Sequence[Return],
    *,
    keys: Sequence[SubjectKey],
    pattern: re.Pattern[str],
    actor: str,
) -> Enqueued:
    """Ask for these people anew, unless an open request does; all of them or none.

    The reference says which request was closed for them, and when they were found again: so a
    second restore makes a second request, and a repeat of this one finds the first still open.

    Args:
        connection: in a writing transaction.
        returns: of people who are known by their user id.
        keys: for the requests that are open.
        pattern: what a user id looks like.
        actor: who asks.

    Raises:
        NotFoundError: one of them can't be asked for.
    """
    begin_import(connection)  # two of these at once would each find nothing open
    now = database_now(connection)
    new = 0
    for start in range(0, len(returns), _GROUP):
        group = returns[start : start + _GROUP]
        asked = _asked_for(connection, [one.user_id for one in group], keys)
        lines = [_line(one, now) for one in group if one.user_id not in asked]
        taken = add_lines(connection, lines, created_by=actor, pattern=pattern, now=now)
        for line, reason in taken.rejected:
            raise NotFoundError(f"request {line.number} can't be repeated: {reason}")
        new += taken.new
    return Enqueued(new=new, open=len(returns) - new)


def _line(one: Return, now: datetime) -> Line:
    """Return the line of an import that asks for them: by id alone, which no change outdates."""
    regime = one.closing.regime
    return Line(
        number=one.closing.request_id,
        raw=b"",
        cells={
            "reference": f"replay-{one.closing.request_id}-{now:%Y%m%dT%H%M%SZ}",
            "forge_user_id": one.user_id,
            "regime": regime if regime in _REGIMES else Regime.GDPR.value,
        },
    )


def _asked_for(
    connection: Connection, user_ids: Sequence[str], keys: Sequence[SubjectKey]
) -> set[str]:
    """Return those of these users for whom a request is open: by id, or by their pseudonym."""
    named = {
        pseudonym: canonical_user_id(user_id)
        for key in keys
        for user_id in user_ids
        for pseudonym in pseudonyms(key, Kind.USER_ID, user_id)
    }
    spellings = [spelling for user_id in user_ids for spelling in user_id_spellings(user_id)]
    rows = connection.execute(
        select(cell("forge_user_id"), cell("subject")).where(
            _C.status.in_(OPEN), or_(_C.forge_user_id.in_(spellings), _C.subject.in_(named))
        )
    ).all()
    known = {canonical_user_id(row.forge_user_id or "") for row in rows}
    known |= {named.get(row.subject or "", "") for row in rows}
    return {user_id for user_id in user_ids if canonical_user_id(user_id) in known}
