"""Verifying the record: every chain, every link, every column; streaming, in constant memory.

Found are: a changed column, a changed body, an event that is missing, added, moved or renamed, a
run that `main` doesn't know or whose chain is not what `main` says, a checkpoint in the record that
is not what it was when it was signed. A tail cut off `main`, or all of it written anew by somebody
without the key, shows against an older checkpoint that was kept elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from forge_gdpr.audit.events import COLUMNS, MAIN, EventName
from forge_gdpr.chain import Head, canonical, seal, written_time
from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in, require_signed
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import AuditBrokenError
from forge_gdpr.merkle import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Row

    from forge_gdpr.checkpoints import PublicKey

_PAGE: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was read, and what of it is not as it was written."""

    events: int
    runs: int
    open_runs: int  #: opened and not closed: running now, or crashed and not yet recovered
    head: Head  #: of the main chain, up to its first bad event
    signed: int = 0  #: so many events of main are under the newest checkpoint in it
    signatures_checked: bool = False  #: whether public keys were known
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
            "signed": self.signed,
            "signatures_checked": self.signatures_checked,
            "broken": dict(self.broken),
        }


def examine(
    connection: Connection, *, keys: Sequence[PublicKey] = (), against: Sequence[str] = ()
) -> Examined:
    """Examine the whole record, on one snapshot, so that a run that is writing does no harm.

    Each chain is read up to its first bad event.

    Args:
        connection: in a reading transaction.
        keys: that may sign; none: what checkpoints say is checked, but not who signed them.
        against: older checkpoints, signed notes that were kept elsewhere.
    """
    main = _Main(keys=keys, against=against)
    broken: dict[str, str] = {}

    def read(chain: str, tree: Tree, look: Callable[..., str | None] | None = None) -> Head:
        try:
            return _read_chain(connection, chain, tree, look)
        except _BrokenError as error:
            broken[chain] = str(error)
            return error.head

    main_head = read(MAIN, main.tree, main.look)  # if it is broken, what it says means nothing
    main.reach(main_head)
    events = main_head.seq
    for chain in _run_chains(connection):
        tree = Tree()
        head = read(chain, tree, _of_run(chain))
        events += head.seq
        problem = None if MAIN in broken else main.problem(chain, head, tree)
        if problem is not None and (chain not in broken or chain not in main.opened):
            broken[chain] = problem
    if MAIN not in broken:
        broken |= main.missing()
    return Examined(
        events=events,
        runs=len(main.opened),
        open_runs=len(main.opened) - main.closings,
        head=main_head,
        signed=main.signed,
        signatures_checked=bool(keys),
        broken=broken,
    )


def verify(
    connection: Connection, *, keys: Sequence[PublicKey] = (), against: Sequence[str] = ()
) -> Examined:
    """Examine the whole record and return what was read if it is whole.

    Raises:
        AuditBrokenError: it is not.
    """
    examined = examine(connection, keys=keys, against=against)
    examined.require_whole()
    return examined


class _BrokenError(Exception):
    """One chain's first problem; ``head`` is the end of what is whole."""

    def __init__(self, problem: str, head: Head) -> None:
        super().__init__(problem)
        self.head = head


@dataclass(frozen=True, slots=True)
class _Closing:
    """What ``main`` says of a run's chain."""

    length: object
    head: object
    root: object


class _Main:
    """The main chain while it is read: what it says of the runs, and of its own past."""

    def __init__(self, *, keys: Sequence[PublicKey], against: Sequence[str]) -> None:
        self.tree = Tree()
        self.opened: set[str] = set()
        self.closings = 0
        self.signed = 0
        self._keys = keys
        self._closed: dict[str, _Closing] = {}
        self._roots: dict[int, tuple[bytes, str]] = {}
        self._against = against
        self._sizes = {size for size in map(_size_of, against) if size is not None}

    def reach(self, head: Head) -> None:
        """Note what the chain is at a size that an older checkpoint is about."""
        if head.seq in self._sizes:
            self._roots[head.seq] = (self.tree.root, head.hash)

    def look(self, body: dict[str, Any], head: Head) -> str | None:
        """Note an event and say what is wrong with it; ``head`` and tree are the chain before."""
        self.reach(head)
        run_id = body.get("run_id", "")
        match body["event"]:
            case EventName.RUN_OPENED:
                if run_id in self.opened:
                    return f"opens run {run_id} again"
                self.opened.add(run_id)
            case EventName.RUN_CLOSED:
                if run_id not in self.opened or run_id in self._closed:
                    return f"closes run {run_id}, which is not open"
                self.closings += 1
                self._closed[run_id] = _Closing(
                    body.get("length"), body.get("head"), body.get("root")
                )
            case EventName.CHECKPOINT:
                try:
                    self._compare(str(body.get("note")), at=head)
                except InvalidCheckpointError as error:
                    return f"holds a checkpoint, but {error}"
                self.signed = head.seq
            case _:
                pass
        return None

    def problem(self, chain: str, head: Head, tree: Tree) -> str | None:
        """Return what is wrong with a run's chain that is whole in itself."""
        if chain not in self.opened:
            return f"audit chain {chain} belongs to no run that 'main' knows"
        said = self._closed.pop(chain, None)
        if said is None or (said.length, said.head, said.root) == (
            head.seq,
            head.hash,
            tree.root.hex(),
        ):
            return None
        return (
            f"audit chain {chain} ends at event {head.seq}, but 'main' has closed it at"
            f" event {said.length} with another hash"
        )

    def missing(self) -> dict[str, str]:
        """Return what should be there and is not: whole chains, and the past that was signed."""
        found = {
            chain: f"audit chain {chain} with {said.length} events is missing"
            for chain, said in self._closed.items()
            if said.length != 0
        }
        for note in self._against:
            try:
                self._compare(note)
            except InvalidCheckpointError as error:
                size = _size_of(note)
                of = "" if size is None else f" over {size} events"
                found[f"checkpoint{of}"] = f"the checkpoint{of} does not fit: {error}"
        return found

    def _compare(self, note: str, at: Head | None = None) -> None:
        """Hold a checkpoint against the chain.

        Args:
            note: signed.
            at: where it stands in the chain: it is over all before it. None: it comes from
                elsewhere, and the chain was read to its end.

        Raises:
            InvalidCheckpointError: they don't fit.
        """
        said = checkpoint_in(note)
        if self._keys:
            require_signed(note, self._keys)
        if at is not None:
            if said.size != at.seq:
                raise InvalidCheckpointError(f"it is one over {said.size} events")
            root, head = self.tree.root, at.hash
        elif said.size > self.tree.size:
            raise InvalidCheckpointError(
                f"'main' has only {self.tree.size} events: its end was cut off"
            )
        else:
            root, head = self._roots[said.size]
        if (said.root, said.head) != (root, head):
            raise InvalidCheckpointError("'main' was another one then: it was written anew")


def _of_run(chain: str) -> Callable[[dict[str, Any], Head], str | None]:
    """Return what looks whether an event belongs to the run whose chain it is in."""

    def look(body: dict[str, Any], _head: Head) -> str | None:
        return None if body.get("run_id") == chain else "is of another run"

    return look


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


def _read_chain(
    connection: Connection,
    chain: str,
    tree: Tree,
    look: Callable[[dict[str, Any], Head], str | None] | None,
) -> Head:
    """Read one chain from its beginning and return its end.

    Args:
        connection: in a reading transaction.
        chain: its name.
        tree: grows with it.
        look: is shown each event and the chain's end before it; returns what is wrong with it.

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
            if problem is None and look is not None:
                problem = look(body, head)
            if problem is not None:
                raise _BrokenError(
                    f"audit event {row.seq} of chain {chain} (id {row.id}) {problem}", head
                )
            tree.add(bytes.fromhex(row.hash))
            head = Head(chain=chain, seq=row.seq, hash=row.hash)
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


def _size_of(note: str) -> int | None:
    try:
        return checkpoint_in(note).size
    except InvalidCheckpointError:
        return None
