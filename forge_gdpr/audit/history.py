"""What the record says about requests and runs."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import false, or_, select

from forge_gdpr.audit.events import MAIN, Ended, EventName
from forge_gdpr.chain import canonical
from forge_gdpr.database.tables import audit_events
from forge_gdpr.lifecycle import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

#: The events that say what became of attempts.
_TELLING: Final = (
    EventName.ATTEMPT_STARTED,
    EventName.ATTEMPT_FINISHED,
    EventName.REQUEST_RETRIED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What earlier attempts at one request left behind."""

    started: int = 0
    finished: int = 0
    reached: bool = False  #: one may have reached Forge
    crashes: int = 0  #: since an operator last looked

    @property
    def unfinished(self) -> int:
        """Attempts of which nobody knows the end."""
        return self.started - self.finished


def pasts(connection: Connection, subjects: Mapping[int, str]) -> Mapping[int, Past]:
    """Return what the record says of earlier attempts at these requests.

    The one that is running now is among the started. An attempt without an end may have
    reached Forge; one that was given back did if it made a call. When an operator lets a request
    be tried again, its crashes are looked into; that it may have reached Forge stays true.

    Args:
        connection: in a transaction.
        subjects: whom each request is about. What was tried for somebody else, whom its row named
            before it was corrected, says nothing about this person.
    """
    found: defaultdict[int, Past] = defaultdict(Past)
    rows = connection.execute(
        select(
            audit_events.c.request_id,
            audit_events.c.event,
            audit_events.c.subject,
            audit_events.c.body,
        )
        .where(audit_events.c.request_id.in_(list(subjects)), audit_events.c.event.in_(_TELLING))
        .order_by(audit_events.c.id)  # a retry was recorded after the crashes it forgives
    )
    for row in rows:
        if row.subject != subjects[row.request_id or 0]:
            continue
        past = found[row.request_id]
        if row.event == EventName.ATTEMPT_STARTED:
            found[row.request_id] = replace(past, started=past.started + 1)
        elif row.event == EventName.REQUEST_RETRIED:
            found[row.request_id] = replace(past, crashes=0)
        else:
            body = json.loads(row.body)
            crashed = body.get("ended") == Ended.CRASHED
            found[row.request_id] = replace(
                past,
                finished=past.finished + 1,
                reached=past.reached or crashed or bool(body.get("reached")),
                crashes=past.crashes + crashed,
            )
    return found


#: Events that end a request for good.
ENDS: Final = (
    EventName.REQUEST_CLOSED,
    EventName.REQUEST_CANCELLED,
    EventName.REQUEST_REFUSED,
)


def ends(connection: Connection, request_ids: Collection[int]) -> Mapping[int, dict[str, Any]]:
    """Return the bodies of the events that ended these requests, of those that are closed."""
    rows = connection.execute(
        select(audit_events.c.request_id, audit_events.c.body)
        .where(audit_events.c.request_id.in_(request_ids), audit_events.c.event.in_(ENDS))
        .order_by(audit_events.c.id)
    ).all()
    return {row.request_id: json.loads(row.body) for row in rows if row.request_id is not None}


def closings(connection: Connection) -> Iterator[dict[str, Any]]:
    """Yield the bodies of the runs' closings, the newest first; not of crashed runs."""
    wanted = (
        select(audit_events.c.body)
        .where(audit_events.c.chain == MAIN, audit_events.c.event == EventName.RUN_CLOSED)
        .order_by(audit_events.c.seq.desc())
        .execution_options(yield_per=100)
    )
    with connection.execute(wanted) as rows:
        for row in rows:
            body = json.loads(row.body)
            if not body.get("recovered"):
                yield body


def used_keys(connection: Connection) -> set[str]:
    """Return the ids of all subject keys that runs have used."""
    bodies = connection.execute(
        select(audit_events.c.body).where(
            audit_events.c.chain == MAIN, audit_events.c.event == EventName.RUN_OPENED
        )
    ).scalars()
    return {str(json.loads(body)["subject_key"]) for body in bodies}


def has_erased(connection: Connection, accounts: Collection[str]) -> bool:
    """Say whether a run has erased somebody in one of these accounts whom a request named by id.

    Whoever was found there by e-mail says nothing about whose account it is: a colleague's address
    is in the test account, too.

    Args:
        connection: in a transaction.
        accounts: fingerprints of one API key and base URL, one for each live subject key.
    """
    opened, closed = audit_events.alias("opened"), audit_events.alias("closed")
    names = [canonical({"account": account}).strip("{}") for account in accounts]
    ours = [opened.c.body.contains(name) for name in names]
    query = (
        select(closed.c.id)
        .select_from(opened.join(closed, closed.c.chain == opened.c.run_id))
        .where(
            opened.c.chain == MAIN,
            opened.c.event == EventName.RUN_OPENED,
            or_(false(), *ours),
            closed.c.event == EventName.REQUEST_CLOSED,
            closed.c.outcome == Outcome.ERASED,
            closed.c.body.contains(canonical({"named": "id"}).strip("{}")),
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None


def newest_body(connection: Connection, *, chain: str, event: EventName) -> dict[str, Any] | None:
    """Return the body of a chain's newest event of this name; None if it has none."""
    body = connection.execute(
        select(audit_events.c.body)
        .where(audit_events.c.chain == chain, audit_events.c.event == event)
        .order_by(audit_events.c.seq.desc())
        .limit(1)
    ).scalar()
    return None if body is None else dict(json.loads(body))


def earlier_dues(connection: Connection, *, runs: int) -> list[int]:
    """Return how many requests were due in the last so many runs, the newest first."""
    return [body["due"] for body in islice(closings(connection), runs) if "due" in body]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event as it is shown to people."""

    id: int
    chain: str
    seq: int
    at: datetime
    event: str
    request_id: int | None
    subject: str | None
    actor: str | None
    outcome: str | None
    attempt: int | None
    http_status: int | None
    body: str


def events(
    connection: Connection,
    *,
    request_id: int | None = None,
    run_id: str | None = None,
    newest: int | None = None,
) -> Iterator[Recorded]:
    """Yield events in the order they were recorded.

    Args:
        connection: in a transaction.
        request_id: only those about this request.
        run_id: only those of this run.
        newest: only so many, the last ones.
    """
    names = Recorded.__dataclass_fields__
    wanted = select(*(audit_events.c[name] for name in names))
    if request_id is not None:
        wanted = wanted.where(audit_events.c.request_id == request_id)
    if run_id is not None:
        wanted = wanted.where(audit_events.c.run_id == run_id)
    if newest is not None:
        wanted = wanted.order_by(audit_events.c.id.desc()).limit(newest)
        for row in reversed(connection.execute(wanted).all()):
            yield Recorded(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
        return
    streamed = wanted.order_by(audit_events.c.id).execution_options(yield_per=1000)
    with connection.execute(streamed) as rows:
        for row in rows:
            yield Recorded(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
