"""Verifying the record: every chain, every link, every column; streaming, in constant memory.

Found are: a changed column, a changed body, an event that is missing, added, moved or renamed, a
run that `main` doesn't know or whose chain is not what `main` says. Not found without a copy of
an older head: a tail cut off `main`, or all of it written anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from forge_gdpr.audit.events import COLUMNS, MAIN, EventName
from forge_gdpr.chain import Head, canonical, seal, written_time
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import AuditBrokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, Row

_PAGE: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was read, and what of it is not as it was written."""

    events: int
    runs: int
    open_runs: int  #: opened and not closed: running now, or crashed and not yet recovered
    head: Head  #: of the main chain, up to its first bad event
    broken: Mapping[str, str] = field(default_factory=dict)  #: by chain: its first problem

    def require_whole(self) -> None:
        """Refuse a record that was changed.

        Raises:
            AuditBrokenError: names the first bad event, and how many chains have one.
        """
        if not self.broken:
            return
        first = next(iter(self.broken.values()))
        many = f", and {len(self.broken)} chains are broken" if len(self.broken) > 1 else ""
        raise AuditBrokenError(
            f"{first}: the record was changed{many}; keep the database as it is and tell the"
            " compliance officer"
        )

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "ok": not self.broken,
            "events": self.events,
            "runs": self.runs,
            "open_runs": self.open_runs,
            "main": {"seq": self.head.seq, "hash": self.head.hash},
            "broken": dict(self.broken),
        }


class _BrokenError(Exception):
    """One chain's first problem; ``head`` is the end of what is whole."""

    def __init__(self, problem: str, head: Head) -> None:
        super().__init__(problem)
        self.head = head


def examine(connection: Connection) -> Examined:
    """Examine the whole record, on one snapshot, so that a run that is writing does no harm.

    Each chain is read up to its first bad event.

    Args:
        connection: in a reading transaction.
    """
    broken: dict[str, str] = {}

    def read(chain: str, note: Callable[[dict[str, Any]], None] | None = None) -> Head:
        try:
            return _read_chain(connection, chain, note)
        except _BrokenError as error:
            broken[chain] = str(error)
            return error.head

    runs = _Runs()
    main = read(MAIN, runs.note)  # if it is broken, what it says of runs means nothing
    events = main.seq
    for chain in _run_chains(connection):
        head = read(chain)
        events += head.seq
        problem = None if MAIN in broken else runs.problem(chain, head)
        if problem is not None and (chain not in broken or chain not in runs.opened):
            broken[chain] = problem
    if MAIN not in broken:
        for chain, head in runs.closed.items():
            if head.seq > 0:
                broken[chain] = f"audit chain {chain} with {head.seq} events is missing"
    return Examined(
        events=events,
        runs=len(runs.opened),
        open_runs=_open_runs(connection),
        head=main,
        broken=broken,
    )


def verify(connection: Connection) -> Examined:
    """Examine the whole record and return what was read if it is whole.

    Raises:
        AuditBrokenError: it is not.
    """
    examined = examine(connection)
    examined.require_whole()
    return examined


class _Runs:
    """What ``main`` says of the runs."""

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self.closed: dict[str, Head] = {}

    def note(self, body: dict[str, Any]) -> None:
        run_id = body.get("run_id", "")
        if body["event"] == EventName.RUN_OPENED:
            self.opened.add(run_id)
        elif body["event"] == EventName.RUN_CLOSED:
            self.closed[run_id] = Head(
                chain=run_id, seq=body.get("length", -1), hash=body.get("head", "")
            )

    def problem(self, chain: str, head: Head) -> str | None:
        """Return what is wrong with a chain that is whole in itself; it is looked at once."""
        if chain not in self.opened:
            return f"audit chain {chain} belongs to no run that 'main' knows"
        said = self.closed.pop(chain, head)
        if (said.seq, said.hash) == (head.seq, head.hash):
            return None
        return (
            f"audit chain {chain} ends at event {head.seq}, but 'main' has closed it at"
            f" event {said.seq} with another hash"
        )


def _run_chains(connection: Connection) -> list[str]:
    """Return all chains but the main one, hopping through the index instead of reading it all."""
    chains: list[str] = []
    last = ""
    while True:
        found = connection.execute(
            select(func.min(audit_events.c.chain)).where(audit_events.c.chain > last)
        ).scalar()
        if found is None:
            return chains
        last = found
        if found != MAIN:
            chains.append(found)


def _open_runs(connection: Connection) -> int:
    count = select(func.count()).where(audit_events.c.chain == MAIN)
    opened = count.where(audit_events.c.event == EventName.RUN_OPENED)
    closed = count.where(audit_events.c.event == EventName.RUN_CLOSED)
    return int(connection.execute(opened).scalar_one() - connection.execute(closed).scalar_one())


def _read_chain(
    connection: Connection, chain: str, note: Callable[[dict[str, Any]], None] | None
) -> Head:
    """Read one chain from its beginning and return its end.

    Raises:
        _BrokenError: at its first bad event.
    """
    columns = [audit_events.c[name] for name in COLUMNS]
    head = Head(chain=chain)
    wanted = (
        select(
            audit_events.c.id,
            audit_events.c.chain,
            audit_events.c.seq,
            audit_events.c.at,
            audit_events.c.body,
            audit_events.c.previous,
            audit_events.c.hash,
            *columns,
        )
        .where(audit_events.c.chain == chain)
        .order_by(audit_events.c.seq)
        .execution_options(yield_per=_PAGE)
    )
    with connection.execute(wanted) as rows:
        for row in rows:
            problem, body = _problem(row, head)
            if problem:
                raise _BrokenError(
                    f"audit event {row.seq} of chain {chain} (id {row.id}) {problem}", head
                )
            head = Head(chain=chain, seq=row.seq, hash=row.hash)
            if note is not None:
                note(body)
    return head


def _problem(row: Row[Any], head: Head) -> tuple[str | None, dict[str, Any]]:
    if row.seq != head.seq + 1:
        return f"follows event {head.seq}: one is missing, or was added", {}
    if row.previous != head.hash:
        return "is not tied to the event before it", {}
    if row.hash != seal(row.previous, row.body):
        return "does not match its hash", {}
    try:
        body = json.loads(row.body)
    except (ValueError, RecursionError):
        return "has a body that is not JSON", {}
    if not isinstance(body, dict) or canonical(body) != row.body:
        return "has a body that is not canonical JSON", {}
    said = {name: body.get(name) for name in (*COLUMNS, "chain", "seq", "at")}
    held = {name: getattr(row, name) for name in (*COLUMNS, "chain", "seq")}
    held["at"] = written_time(row.at)
    for name, value in held.items():
        if said[name] != value:
            return f"has another {name} in its column than in its body", {}
    return None, body
