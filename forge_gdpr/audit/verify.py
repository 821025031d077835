"""Verifying the record: every chain, every link, every column; streaming, in constant memory.

Found are: a changed column, a changed body, an event that is missing, added, moved or renamed, a
run that `main` doesn't know or whose chain is not what `main` says. Not found without a copy of
an older head: a tail cut off `main`, or all of it written anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from forge_gdpr.audit.events import COLUMNS, MAIN, EventName
from forge_gdpr.chain import Head, canonical, seal, written_time
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import AuditBrokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row

_PAGE: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found whole."""

    events: int
    runs: int
    open_runs: int  #: opened and not closed: running now, or crashed and not yet recovered
    head: Head  #: of the main chain

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "ok": True,
            "events": self.events,
            "runs": self.runs,
            "open_runs": self.open_runs,
            "main": {"seq": self.head.seq, "hash": self.head.hash},
        }


def verify(connection: Connection) -> Verified:
    """Verify the whole record, on one snapshot, so that a run that is writing does no harm.

    Args:
        connection: in a reading transaction.

    Raises:
        AuditBrokenError: names the first bad event.
    """
    opened, closed, main = _verify_main(connection)
    events = main.seq
    for chain in _run_chains(connection):
        if chain not in opened:
            raise AuditBrokenError(f"audit chain {chain} belongs to no run that 'main' knows")
        head = _verify_chain(connection, chain)
        events += head.seq
        if chain in closed and (closed[chain].seq, closed[chain].hash) != (head.seq, head.hash):
            raise AuditBrokenError(
                f"audit chain {chain} ends at event {head.seq}, but 'main' has closed it at"
                f" event {closed[chain].seq} with another hash"
            )
        closed.pop(chain, None)
    for chain, head in closed.items():
        if head.seq > 0:
            raise AuditBrokenError(f"audit chain {chain} with {head.seq} events is missing")
    return Verified(events=events, runs=len(opened), open_runs=_open_runs(connection), head=main)


def _verify_main(
    connection: Connection,
) -> tuple[set[str], dict[str, Head], Head]:
    opened: set[str] = set()
    closed: dict[str, Head] = {}

    def note(body: dict[str, Any]) -> None:
        run_id = body.get("run_id", "")
        if body["event"] == EventName.RUN_OPENED:
            opened.add(run_id)
        elif body["event"] == EventName.RUN_CLOSED:
            closed[run_id] = Head(chain=run_id, seq=body["length"], hash=body["head"])

    head = _verify_chain(connection, MAIN, note)
    return opened, closed, head


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


def _verify_chain(
    connection: Connection, chain: str, note: Callable[[dict[str, Any]], None] | None = None
) -> Head:
    """Verify one chain from its beginning and return its end."""
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
                raise AuditBrokenError(
                    f"audit event {row.seq} of chain {chain} (id {row.id}) {problem}: the record"
                    " was changed; keep the database as it is and tell the compliance officer"
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
    except ValueError:
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
