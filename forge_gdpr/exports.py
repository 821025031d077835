"""Exports: the record over a period, as lines that prove themselves to whoever reads them.

An export holds the whole main chain, so that the root of the signed checkpoint can be computed
anew, and the whole chain of each run that was alive in the period. Of events of main that are
about requests, and neither in the period nor beside it, it holds the hash alone: they are about
people whom nobody asked for. What the manifest says is told from the lines, so that whoever
verifies an export can tell it again. Decides only; does no I/O.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.chain import GENESIS, canonical, seal, written_time
from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in, require_signed
from forge_gdpr.merkle import Tree
from forge_gdpr.outcomes import CLOSED, absence_in, meaning_of
from forge_gdpr.spreadsheet import csv_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from forge_gdpr.checkpoints import Checkpoint, PublicKey

FORMAT: Final = "forge-gdpr export 2"
#: Of older exports, whose sheet has no words; they are verified as they are.
FIRST_FORMAT: Final = "forge-gdpr export 1"
MAIN: Final = "main"
EVENTS: Final = "events.jsonl"  #: the evidence
SHEET: Final = "events.csv"  #: for convenience: what of the evidence lies in the period
MANIFEST: Final = "manifest.json"

_FIRST_COLUMNS: Final = (
    "at",
    "chain",
    "seq",
    "event",
    "run_id",
    "request_id",
    "reference",
    "subject",
    "regime",
    "received_at",
    "actor",
    "attempt",
    "status",
    "outcome",
    "http_status",
    "reason",
    "ticket",
    "due_on",
    "closed_on",
)
#: The sheet's columns; what a body does not say is an empty cell. The last two say in words what a
#: closing means, and how absence was shown.
COLUMNS: Final = (*_FIRST_COLUMNS, "meaning", "absence")
_FORMATS: Final[Mapping[str, Sequence[str]]] = {FIRST_FORMAT: _FIRST_COLUMNS, FORMAT: COLUMNS}


class InvalidExportError(ValueError):
    """An export does not prove what it says. Its message says where it breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What was asked for. Moments are as `chain.written_time` writes them."""

    first_day: str
    last_day: str  #: inclusive
    time_zone: str
    since: str  #: the first moment
    until: str  #: the first moment after it


@dataclass(slots=True)
class _Chain:
    """One chain while it is read."""

    name: str
    seq: int = 0
    hash: str = GENESIS
    tree: Tree = field(default_factory=Tree)


@dataclass(slots=True)
class _Run:
    """What main says of a run."""

    opened_at: str
    closed_at: str | None = None
    length: object = None
    root: object = None

    def require_whole(self, chain: _Chain) -> None:
        """Refuse a chain that is not the one that was closed."""
        if (self.length, self.root) != (chain.seq, chain.tree.root.hex()):
            raise InvalidExportError(
                f"run {chain.name} ends at event {chain.seq}, but main has closed it at event"
                f" {self.length} with another root"
            )


class _File:
    """What a file that goes by is: its size and its SHA-256."""

    def __init__(self) -> None:
        self._bytes = 0
        self._sha256 = hashlib.sha256()

    def add(self, text: str) -> None:
        data = text.encode()
        self._bytes += len(data)
        self._sha256.update(data)

    def as_json(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._sha256.hexdigest()}


class Ledger:
    """The lines of an export while they go by, the main chain first.

    Args:
        query: the period.
        note: the newest checkpoint, a signed note; None: the record has none.
        form: the export's format.

    Raises:
        InvalidExportError: the note is no checkpoint.
    """

    def __init__(self, query: Query, note: str | None, *, form: str = FORMAT) -> None:
        self._form = form
        self._columns = _FORMATS[form]
        self._query = query
        self._note = note
        self._checkpoint = None if note is None else _checkpoint(note)
        self._runs: dict[str, _Run] = {}
        self._left: list[str] = []  # runs whose chains are still to come, the last one first
        self._chain = _Chain(MAIN)
        self._chains: list[dict[str, Any]] = []
        self._last_at: str | None = None  # of the last event of main that was not withheld
        self._gap = False  # whether events of main were withheld since
        self._events = self._withheld = self._in_period = 0
        self._lines, self._sheet = _File(), _File()
        self._sheet.add(csv_row(self._columns))

    @property
    def runs(self) -> list[str]:
        """The runs that were alive in the period, in the order in which their chains follow."""
        return [
            run_id
            for run_id, run in self._runs.items()
            if run.opened_at < self._query.until
            and (run.closed_at is None or run.closed_at >= self._query.since)
        ]

    def add(self, line: str) -> str:
        """Take the next line, with its end, and return the sheet's row for it, if it has one.

        Raises:
            InvalidExportError: it does not follow from the lines before.
        """
        self._lines.add(line)
        body, previous, sealed = _parsed(line)
        if body is None:
            self._withhold(sealed)
            return ""
        said = _said(body)
        if said["chain"] != self._chain.name:
            self._begin(said["chain"])
        chain = self._chain
        where = f"event {said['seq']} of {chain.name}"
        if said["seq"] != chain.seq + 1:
            raise InvalidExportError(f"{where} follows event {chain.seq}: one is missing, or added")
        if previous != chain.hash:
            raise InvalidExportError(f"{where} is not tied to the event before it")
        if sealed != seal(previous, body):
            raise InvalidExportError(f"{where} does not match its hash")
        if chain.name == MAIN:
            self._look(said, where)
        elif said.get("run_id") != chain.name:
            raise InvalidExportError(f"{where} is of another run")
        self._grow(sealed)
        self._events += 1
        if not self._query.since <= said["at"] < self._query.until:
            return ""
        self._in_period += 1
        cells = said | _words(said)
        row = csv_row(cells.get(name) for name in self._columns)
        self._sheet.add(row)
        return row

    def manifest(self, *, issued_at: str, version: str) -> dict[str, Any]:
        """Return what the lines were, after the last one.

        Args:
            issued_at: the moment of the export.
            version: of the program.

        Raises:
            InvalidExportError: some are missing.
        """
        self._end()
        for run_id in reversed(self._left):
            self._require_empty(run_id)
        signed = 0 if self._checkpoint is None else self._checkpoint.size + 1  # itself is next
        return {
            "export": self._form,
            "issued_at": issued_at,
            "version": version,
            "query": asdict(self._query),
            "checkpoint": self._note,
            "events": self._events,
            "events_in_period": self._in_period,
            "events_withheld": self._withheld,
            "events_not_signed": max(0, self._chains[0]["last_seq"] - signed),
            "chains": self._chains,
            "files": {EVENTS: self._lines.as_json(), SHEET: self._sheet.as_json()},
        }

    def _withhold(self, sealed: str) -> None:
        if self._chain.name != MAIN:
            raise InvalidExportError(f"an event of run {self._chain.name} is withheld")
        self._gap = True
        self._withheld += 1
        self._grow(sealed)

    def _grow(self, sealed: str) -> None:
        chain = self._chain
        chain.seq, chain.hash = chain.seq + 1, sealed
        chain.tree.add(bytes.fromhex(sealed))
        signed = self._checkpoint
        if chain.name != MAIN or signed is None or chain.seq != signed.size:
            return
        if (chain.tree.root, chain.hash) != (signed.root, signed.head):
            raise InvalidExportError(
                f"the first {chain.seq} events of main are not what was signed"
            )

    def _look(self, said: Mapping[str, Any], where: str) -> None:
        """Note what an event of main says of runs and of time."""
        self._require_no_gap(said["at"])
        self._last_at, self._gap = said["at"], False
        run_id = str(said.get("run_id"))
        match said.get("event"):
            case "run.opened" if run_id not in self._runs:
                self._runs[run_id] = _Run(said["at"])
            case "run.closed" if run_id in self._runs and self._runs[run_id].closed_at is None:
                run = self._runs[run_id]
                run.closed_at, run.length, run.root = (
                    said["at"],
                    said.get("length"),
                    said.get("root"),
                )
            case "run.opened" | "run.closed":
                raise InvalidExportError(f"{where} opens or closes run {run_id} again")
            case _:
                pass

    def _require_no_gap(self, at: str | None) -> None:
        """Let events be withheld only before the event before the period, or after the one after.

        Args:
            at: of the next event; None: there is none.
        """
        before = at is not None and at < self._query.since
        after = self._last_at is not None and self._last_at >= self._query.until
        if self._gap and not before and not after:
            raise InvalidExportError(
                f"events of main are withheld that may lie in the period, up to event"
                f" {self._chain.seq}"
            )

    def _begin(self, name: str) -> None:
        self._end()
        while self._left:
            run_id = self._left.pop()
            if run_id == name:
                self._chain = _Chain(name)
                return
            self._require_empty(run_id)
        raise InvalidExportError(f"run {name} does not belong here")

    def _end(self) -> None:
        """Close the chain that was read."""
        chain, run = self._chain, self._runs.get(self._chain.name)
        closed = run is not None and run.closed_at is not None
        if chain.name == MAIN:
            self._require_no_gap(None)
            if self._checkpoint is not None and chain.seq < self._checkpoint.size:
                raise InvalidExportError(f"main ends at event {chain.seq}: its end was cut off")
            self._left = self.runs[::-1]
        elif run is not None and closed:
            run.require_whole(chain)
        self._chains.append(
            {
                "chain": chain.name,
                "first_seq": min(1, chain.seq),
                "last_seq": chain.seq,
                "last_hash": chain.hash,
                "closed": closed,
            }
        )

    def _require_empty(self, run_id: str) -> None:
        """Let a run have no chain only if it recorded nothing."""
        run = self._runs[run_id]
        if run.closed_at is not None and run.length != 0:
            raise InvalidExportError(f"run {run_id} with {run.length} events is missing")


def line_of(*, body: str, previous: str, sealed: str) -> str:
    """Return an event's line: the exact text that was hashed, and both hashes."""
    return _line({"body": body, "hash": sealed, "previous": previous})


def withheld_line(sealed: str) -> str:
    """Return the line of an event of which nothing is told but its hash."""
    return _line({"hash": sealed})


def verified(
    manifest: object, lines: Iterable[str], *, sheet_sha256: str, keys: Iterable[PublicKey]
) -> dict[str, Any]:
    """Return an export's manifest if its lines prove what it says; needs no database.

    Args:
        manifest: its JSON.
        lines: of the evidence, each with its end.
        sheet_sha256: of the sheet, in hex.
        keys: that may have signed its checkpoint.

    Raises:
        InvalidExportError: they do not.
    """
    form = manifest.get("export") if isinstance(manifest, dict) else None
    if not isinstance(manifest, dict) or not isinstance(form, str) or form not in _FORMATS:
        raise InvalidExportError("its manifest is none of this kind")
    note = manifest.get("checkpoint")
    if note is None:
        raise InvalidExportError("it is not signed, so it could have been written anew")
    try:
        require_signed(str(note), keys)
    except InvalidCheckpointError as error:
        raise InvalidExportError(f"its checkpoint: {error}") from None
    ledger = Ledger(_query(manifest.get("query")), str(note), form=form)
    for line in lines:
        ledger.add(line)
    told = ledger.manifest(
        issued_at=str(manifest.get("issued_at")), version=str(manifest.get("version"))
    )
    if told != manifest:
        names = [name for name in told if told[name] != manifest.get(name)]
        raise InvalidExportError(
            "its manifest says something else than its events:"
            f" {', '.join(names) or 'there is more in it'}"
        )
    if told["files"][SHEET]["sha256"] != sheet_sha256:
        raise InvalidExportError(f"{SHEET} does not say what {EVENTS} says")
    return told


def _words(said: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what a closing means in words; a body says nothing under these names itself."""
    if said.get("event") != CLOSED:
        return {"meaning": None, "absence": None}
    return {"meaning": meaning_of(said.get("outcome")), "absence": absence_in(said)}


def _line(found: Mapping[str, str]) -> str:
    return f"{canonical(found)}\n"


def _parsed(line: str) -> tuple[str | None, str, str]:
    """Return body, previous hash and hash of a line; no body if it is withheld."""
    match _json(line):
        case {"body": str(text), "previous": str(previous), "hash": str(sealed), **more}:
            body: str | None = text
        case {"hash": str(sealed), **more}:
            body, previous = None, GENESIS
        case _:
            raise InvalidExportError("it holds a line that is none")
    if more:
        raise InvalidExportError("it holds a line with more in it than belongs there")
    try:
        seal(previous, "")
        seal(sealed, "")
    except ValueError:
        raise InvalidExportError("it holds a line whose hashes are none") from None
    return body, previous, sealed


def _said(body: str) -> dict[str, Any]:
    said = _json(body)
    if isinstance(said, dict):
        types = [type(said.get(name)) for name in ("chain", "seq", "at")]
        with suppress(ValueError):  # half a character is no text
            if types == [str, int, str] and canonical(said) == body:
                return said
    raise InvalidExportError("it holds an event that is none")


def _json(text: str) -> Any:  # noqa: ANN401  # JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _query(found: Any) -> Query:  # noqa: ANN401  # JSON
    try:
        query = Query(**found)
        moments = [written_time(datetime.fromisoformat(one)) for one in (query.since, query.until)]
    except (TypeError, ValueError, OverflowError):
        raise InvalidExportError("its manifest does not say what was asked for") from None
    if moments != [query.since, query.until]:
        raise InvalidExportError("its manifest does not say what was asked for")
    return query


def _checkpoint(note: str) -> Checkpoint:
    try:
        return checkpoint_in(note)
    except InvalidCheckpointError as error:
        raise InvalidExportError(f"its checkpoint: {error}") from None
