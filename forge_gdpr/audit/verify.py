"""Verifying the record: every row, every chain, every link, every column; in constant memory.

All rows are read once, by their ids: so none is left out, whatever chain it is in, and what reports
sort by is what the chains say. Found are: a changed column, a changed body, an event that is
missing, added, moved or renamed, a row that can't be read, a run that `main` doesn't know or whose
chain is not what `main` says, a checkpoint in the record that is not what was signed. A tail cut
off `main`, or all of it written anew by somebody without the key, shows against an older checkpoint
that was kept elsewhere. What nothing finds is named in README.md.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.audit import stored
from forge_gdpr.audit.events import MAIN, EventName
from forge_gdpr.audit.past import Past
from forge_gdpr.audit.stored import FIELDS, Unreadable
from forge_gdpr.chain import Head, NotCanonicalError, parsed, written_time
from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in, require_signed
from forge_gdpr.database import soundness
from forge_gdpr.errors import AuditBrokenError
from forge_gdpr.merkle import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from forge_gdpr.audit.past import Verified
    from forge_gdpr.checkpoints import PublicKey

#: Chains are named like runs; any other name is shown so that it can't do harm to a terminal.
_PLAIN: Final = re.compile("[0-9A-Za-z-]{1,36}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was read, and what of it is not as it was written."""

    events: int  #: all there are
    runs: int
    open_runs: int  #: opened and not closed: running now, or crashed and not yet recovered
    head: Head  #: of the main chain, up to its first bad event
    last_id: int | None = None  #: the greatest id of all rows; None: there are none
    read: int = 0  #: so many of them were read now; the others when they were verified before
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
    connection: Connection,
    *,
    keys: Sequence[PublicKey] = (),
    against: Sequence[str] = (),
    since: Verified | None = None,
) -> Examined:
    """Examine the whole record, on one snapshot, so that a run that is writing does no harm.

    Each chain is examined up to its first bad event; every row is read and counted. Where all of it
    is read it is also seen whether the table's indexes say what the table says, which takes as long
    again.

    Args:
        connection: in a reading transaction.
        keys: that may sign; none: what checkpoints say is checked, but not who signed them.
        against: older checkpoints, signed notes that were kept elsewhere.
        since: only what came after this is read; of what came before it is seen that no event was
            taken away or added, and that `main` has the same hashes. None: all of it.
    """
    form = soundness.form_fault(connection)
    if form is not None:  # what is read from it would say nothing of the record
        head = Head(chain=MAIN)
        return Examined(events=0, runs=0, open_runs=0, head=head, broken={"table": form})
    main = _Main(keys=keys, against=against)
    past = Past(connection, since)
    record = _Record(main, past, sqlite=connection.dialect.name == "sqlite")
    lie = None if since is not None else soundness.index_fault(connection)
    if lie is not None:
        record.broken["table"] = lie
    record.read(stored.rows(connection, after=past.last_id))
    count = stored.count_in_table(connection)
    if count != past.events + record.count:
        told = f"{past.events} were verified, and {record.count}" if past.events else record.count
        record.broken["rows"] = f"the table counts {count} rows, but {told} are read"
    return record.examined()


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


class _Chain:
    """A chain while it is read, up to its first bad event."""

    __slots__ = ("hash", "is_broken", "name", "raw", "seq", "tree")

    def __init__(self, head: Head, tree: Tree) -> None:
        self.name, self.seq, self.hash = head.chain, head.seq, head.hash
        self.tree = tree
        self.raw = bytes.fromhex(head.hash)  #: the bytes of ``hash``
        self.is_broken = False

    @property
    def head(self) -> Head:
        return Head(chain=self.name, seq=self.seq, hash=self.hash)

    def problem(self, row: Sequence[Any]) -> tuple[str, dict[str, Any], bytes]:
        """Return what is wrong with the next event, or nothing, with its body and its hash."""
        row_id, _, seq, *_, at, body_text, previous, digest, _, recorded_by = row
        if row_id < 1:
            return "has an id that the database never gave", {}, b""
        if seq != self.seq + 1:
            return f"follows event {self.seq}: one is missing, or was added or moved", {}, b""
        if previous != self.hash:
            return "is not tied to the event before it", {}, b""
        try:
            sealed = hashlib.sha256(self.raw + body_text.encode())
        except (AttributeError, ValueError):
            return "does not match its hash", {}, b""
        if digest != sealed.hexdigest():
            return "does not match its hash", {}, b""
        try:
            body = parsed(body_text)
        except NotCanonicalError as error:
            return str(error), {}, b""
        values, columns = tuple(map(body.get, FIELDS)), tuple(row[1 : 1 + len(FIELDS)])
        if values != columns or [*map(type, values)] != [*map(type, columns)]:  # 1.0 == 1 == True
            name = next(
                name
                for name, value, column in zip(FIELDS, values, columns, strict=True)
                if value != column or type(value) is not type(column)
            )
            return f"has another {name} in its column than in its body", {}, b""
        if _stored_time(body.get("at")) != at:
            return "has another at in its column than in its body", {}, b""
        if body.get("recorded_by", recorded_by) != recorded_by:
            return "has another recorded_by in its column than in its body", {}, b""
        return "", body, sealed.digest()

    def add(self, seq: int, raw: bytes) -> None:
        """Go on to the next event."""
        self.seq, self.raw, self.hash = seq, raw, raw.hex()
        self.tree.add(raw)


class _Record:
    """The whole record while it is read."""

    def __init__(self, main: _Main, past: Past, *, sqlite: bool) -> None:
        self.count = 0
        self.last_id: int | None = None
        self.broken: dict[str, str] = {}
        self._main = main
        self._sqlite = sqlite
        self._past = past
        self._has_words = past.has_words()  # PostgreSQL's own, which older events have not
        self._main_chain = _Chain(*past.chain(MAIN))
        self._chains: dict[str, _Chain] = {MAIN: self._main_chain}
        main.begin(self._main_chain.tree, *past.runs())
        problem = past.problem(self._main_chain.head, self._main_chain.tree)
        if problem:
            self.broken["verified"] = f"the record was verified, and now {problem}"

    def read(self, rows: Iterable[Sequence[Any] | Unreadable]) -> None:
        """Examine rows, by their ids."""
        chains = self._chains
        for row in rows:
            self.count += 1
            if isinstance(row, Unreadable):
                self.last_id = row.id
                self.broken[f"id {row.id}"] = f"audit event with id {row.id} can't be read"
                continue
            self.last_id, name, seq = row[0], row[1], row[2]
            if not isinstance(name, str):
                self.broken[f"id {row[0]}"] = f"audit event with id {row[0]} is in no chain"
                continue
            chain = chains.get(name) or self._begun(name)
            if chain.is_broken:
                continue
            problem, body, digest = chain.problem(row)
            problem = problem or self._words_problem(row)
            if not problem:
                if chain is self._main_chain:
                    problem = self._of_main(body, chain.head)
                elif body.get("run_id") != name:
                    problem = "is of another run"
            if not problem:
                chain.add(seq, digest)
            else:
                chain.is_broken = True
                self.broken.setdefault(
                    name,
                    f"audit event {_shown(seq)} of chain {_shown(name)} (id {row[0]}) {problem}",
                )

    def examined(self) -> Examined:
        """Return what was read, after all of it was."""
        main = self._main
        if not self._main_chain.is_broken:
            main.reach(self._main_chain.head)
            self.broken |= main.unfit()
        return Examined(
            events=self._past.events + self.count,
            read=self.count,
            runs=len(main.opened),
            open_runs=len(main.opened) - len(main.closed),
            head=self._main_chain.head,
            last_id=self.last_id,
            signed=main.signed,
            signatures_checked=main.checks_signatures,
            broken=self.broken,
        )

    def _begun(self, name: str) -> _Chain:
        """Return a run's chain, at its beginning; `main` must have opened the run before."""
        chain = self._chains[name] = _Chain(*self._past.chain(name))
        if self._main_chain.is_broken:  # then what it says means nothing
            return chain
        if name in self._main.closed:
            chain.is_broken = True
            self.broken.setdefault(
                name, f"audit chain {_shown(name)} goes on after 'main' closed it"
            )
        elif name not in self._main.opened:
            chain.is_broken = True
            self.broken[name] = f"audit chain {_shown(name)} belongs to no run that 'main' knows"
        return chain

    def _of_main(self, body: dict[str, Any], before: Head) -> str:
        """Let `main` note its next event; return what is wrong with it."""
        problem = self._main.look(body, before)
        if problem or body.get("event") != EventName.RUN_CLOSED:
            return problem
        run_id = body["run_id"]
        chain = self._chains.pop(run_id, None) or _Chain(*self._past.chain(run_id))
        if chain.seq == 0 and not chain.is_broken:
            if body.get("length") != 0:
                self.broken[run_id] = (
                    f"audit chain {_shown(run_id)} with {body.get('length')} events is missing"
                )
        elif not chain.is_broken and (body.get("length"), body.get("head"), body.get("root")) != (
            chain.seq,
            chain.hash,
            chain.tree.root.hex(),
        ):
            self.broken[run_id] = (
                f"audit chain {_shown(run_id)} ends at event {chain.seq}, but 'main' has closed it"
                f" at event {body.get('length')} with another hash"
            )
        return ""

    def _words_problem(self, row: Sequence[Any]) -> str:
        """Return what is wrong with the database's own words about an event."""
        *_, recorded_at, recorded_by = row
        if self._sqlite:
            is_right = recorded_at is None and recorded_by is None
        else:
            has_words = bool(recorded_at and recorded_by)
            is_right = has_words or (recorded_at is recorded_by is None and not self._has_words)
            self._has_words = self._has_words or has_words
        return "" if is_right else "has a recorded_at or recorded_by that the database never wrote"


class _Main:
    """What the main chain says of the runs, and of its own past."""

    def __init__(self, *, keys: Sequence[PublicKey], against: Sequence[str]) -> None:
        self.tree = Tree()
        self.opened: set[str] = set()
        self.closed: set[str] = set()
        self.signed = 0
        self.checks_signatures = bool(keys)
        self._keys = keys
        self._roots: dict[int, tuple[bytes, str]] = {}
        self._against = against
        self._sizes = {size for size in map(_size_of, against) if size is not None}

    def begin(self, tree: Tree, opened: set[str], closed: set[str]) -> None:
        """Go on from what was verified before."""
        self.tree, self.opened, self.closed = tree, opened, closed

    def reach(self, head: Head) -> None:
        """Note what the chain is at a size that an older checkpoint is about."""
        if head.seq in self._sizes:
            self._roots[head.seq] = (self.tree.root, head.hash)

    def look(self, body: dict[str, Any], head: Head) -> str:
        """Note an event and say what is wrong with it; ``head`` and tree are the chain before."""
        self.reach(head)
        run_id = body.get("run_id", "")
        match body.get("event"):
            case EventName.RUN_OPENED:
                if run_id in self.opened:
                    return f"opens run {_shown(run_id)} again"
                self.opened.add(run_id)
            case EventName.RUN_CLOSED:
                if run_id not in self.opened or run_id in self.closed:
                    return f"closes run {_shown(run_id)}, which is not open"
                self.closed.add(run_id)
            case EventName.CHECKPOINT:
                try:
                    self._compare(str(body.get("note")), at=head)
                except InvalidCheckpointError as error:
                    return f"holds a checkpoint, but {error}"
                self.signed = head.seq
            case _:
                pass
        return ""

    def unfit(self) -> dict[str, str]:
        """Return what is wrong with the past that was signed and kept elsewhere."""
        problems = {}
        for note in self._against:
            try:
                self._compare(note)
            except InvalidCheckpointError as error:
                size = _size_of(note)
                of = "" if size is None else f" over {size} events"
                problems[f"checkpoint{of}"] = f"the checkpoint{of} does not fit: {error}"
        return problems

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


@lru_cache(maxsize=64)
def _stored_time(text: object) -> str | None:
    """Return how a body's time is stored in its column; None if it is none, or spelt otherwise."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or written_time(at) != text:
        return None
    return at.replace(tzinfo=None).isoformat(" ", "microseconds")


def _shown(value: object) -> str:
    """Return a chain's name, or a number, for people."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else ascii(value)[:80]


def _size_of(note: str) -> int | None:
    try:
        return checkpoint_in(note).size
    except InvalidCheckpointError:
        return None
