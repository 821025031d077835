"""What was verified once, on record: so that not all of it has to be read again every time.

Whoever may write the record anew may also write that it was verified. What was verified is
therefore only taken for a while, until all of it is verified again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from forge_gdpr.audit import stored
from forge_gdpr.audit.checkpoints import hashes
from forge_gdpr.audit.events import MAIN, Entry, EventName
from forge_gdpr.audit.history import newest_body
from forge_gdpr.audit.record import append, head_of, is_recorded, lock_main
from forge_gdpr.chain import Head, parsed
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import AuditBrokenError
from forge_gdpr.merkle import Tree

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forge_gdpr.chain import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """So much of the record was verified once, as the record says itself."""

    at: datetime | None = None  #: None: it is not on record yet
    last_id: int  #: all events up to it were read
    events: int  #: so many
    size: int  #: so many of them of the main chain
    head: str  #: the hash of the last of these
    root: str  #: of the Merkle tree over these, in hex


def extent(connection: Connection) -> Verified | None:
    """Return how far a record that was just found whole can be said to be verified.

    On PostgreSQL an event may be recorded after another one that has a greater id, if they are of
    two chains. None of the events after this extent has an id of its own: those of `main` are
    recorded one after the other, and those of a run by that run alone, after `main` opened it.

    Args:
        connection: in the reading transaction in which it was found.

    Returns:
        None if there is nothing.
    """
    main = head_of(connection, MAIN)
    if main.seq == 0:
        return None
    opened, closed = _runs_until(connection, None)
    ends = [_id_at(connection, main)]
    for run_id in opened.keys() - closed:
        end = head_of(connection, run_id)
        ends.append(opened[run_id] if end.seq == 0 else _id_at(connection, end))
    last_id = min(ends)
    head = _end_until(connection, MAIN, last_id)
    return Verified(
        last_id=last_id,
        events=stored.count(connection, until=last_id),
        size=head.seq,
        head=head.hash,
        root=_tree_until(connection, head).root.hex(),
    )


def record(connection: Connection, verified: Verified, *, actor: str, at: datetime) -> None:
    """Append that so much of the record was verified, and nothing was found.

    Args:
        connection: in a writing transaction.
        verified: how far.
        actor: who asked for it.
        at: the database's clock.

    Raises:
        AuditBrokenError: the record is another one than was verified.
    """
    lock_main(connection)
    if not is_recorded(connection, Head(chain=MAIN, seq=verified.size, hash=verified.head)):
        raise AuditBrokenError(
            "the record is another one than was just verified: run 'forge-gdpr audit verify' again"
        )
    details: dict[str, Json] = {
        "last_id": verified.last_id,
        "events": verified.events,
        "size": verified.size,
        "head": verified.head,
        "root": verified.root,
    }
    entry = Entry(event=EventName.VERIFIED, actor=actor, details=details)
    append(connection, head_of(connection, MAIN), [entry], at=at)


def newest(connection: Connection) -> Verified | None:
    """Return the newest verification that is on record; None if there is none."""
    body = newest_body(connection, chain=MAIN, event=EventName.VERIFIED)
    if body is None:
        return None
    return Verified(
        at=datetime.fromisoformat(body["at"]).astimezone(UTC),
        last_id=int(body["last_id"]),
        events=int(body["events"]),
        size=int(body["size"]),
        head=str(body["head"]),
        root=str(body["root"]),
    )


def first_at(connection: Connection) -> datetime | None:
    """Return when the record began; None if it has not."""
    body = connection.execute(
        select(audit_events.c.body).where(audit_events.c.chain == MAIN, audit_events.c.seq == 1)
    ).scalar()
    return None if body is None else datetime.fromisoformat(parsed(body)["at"]).astimezone(UTC)


class Past:
    """What is before the events that are read: nothing, or what was verified before."""

    def __init__(self, connection: Connection, since: Verified | None) -> None:
        self._connection = connection
        self._since = since

    @property
    def events(self) -> int:
        """How many there are."""
        return 0 if self._since is None else self._since.events

    @property
    def last_id(self) -> int | None:
        """The greatest id of them."""
        return None if self._since is None else self._since.last_id

    def chain(self, name: str) -> tuple[Head, Tree]:
        """Return a chain's end before, and the Merkle tree over it."""
        if self._since is None:
            return Head(chain=name), Tree()
        head = _end_until(self._connection, name, self._since.last_id)
        return head, _tree_until(self._connection, head)

    def runs(self) -> tuple[set[str], set[str]]:
        """Return the runs that were opened, and those that were closed."""
        if self._since is None:
            return set(), set()
        opened, closed = _runs_until(self._connection, self._since.last_id)
        return set(opened), closed

    def has_words(self) -> bool:
        """Say whether the database's own words stand in the events before."""
        if self._since is None:
            return False
        newest = (
            select(audit_events.c.recorded_by)
            .where(audit_events.c.id <= self._since.last_id)
            .order_by(audit_events.c.id.desc())
            .limit(1)
        )
        return self._connection.execute(newest).scalar() is not None

    def problem(self, main: Head, tree: Tree) -> str:
        """Return in what the record before is not what was verified."""
        since = self._since
        if since is None:
            return ""
        count = stored.count(self._connection, until=since.last_id)
        if count != since.events:
            return f"{count} events up to id {since.last_id} are there, and {since.events} were"
        if (main.seq, main.hash, tree.root.hex()) != (since.size, since.head, since.root):
            return f"'main' is not what its first {since.size} events were"
        return ""


def _runs_until(connection: Connection, last_id: int | None) -> tuple[dict[str, int], set[str]]:
    """Return the ids of the openings of runs, and the runs that were closed."""
    names = (EventName.RUN_OPENED.value, EventName.RUN_CLOSED.value)
    query = select(audit_events.c.id, audit_events.c.event, audit_events.c.run_id).where(
        audit_events.c.chain == MAIN, audit_events.c.event.in_(names)
    )
    if last_id is not None:
        query = query.where(audit_events.c.id <= last_id)
    opened: dict[str, int] = {}
    closed: set[str] = set()
    for row_id, event, run_id in connection.execute(query):
        if event == EventName.RUN_OPENED:
            opened[str(run_id)] = row_id
        else:
            closed.add(str(run_id))
    return opened, closed


def _id_at(connection: Connection, head: Head) -> int:
    query = select(audit_events.c.id).where(
        audit_events.c.chain == head.chain, audit_events.c.seq == head.seq
    )
    return int(connection.execute(query).scalar_one())


def _end_until(connection: Connection, chain: str, last_id: int) -> Head:
    """Return a chain's end among the events with an id of at most ``last_id``."""
    query = (
        select(audit_events.c.seq, audit_events.c.hash)
        .where(audit_events.c.chain == chain, audit_events.c.id <= last_id)
        .order_by(audit_events.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return Head(chain=chain) if row is None else Head(chain=chain, seq=row.seq, hash=row.hash)


def _tree_until(connection: Connection, head: Head) -> Tree:
    """Return the Merkle tree over a chain's events up to this one."""
    tree = Tree()
    for digest in hashes(connection, head.chain, until=head.seq):
        tree.add(digest)
    return tree
