"""Exports: the record over a period, as lines that prove themselves to whoever reads them.

An export holds the whole main chain, so that the root of the signed checkpoint can be computed
anew, and the whole chain of each run that was alive in the period. Of events of main that are
about requests, and neither in the period nor beside it, it holds the hash alone: they are about
people whom nobody asked for. What the manifest says is told from the lines, so that whoever
verifies an export can tell it again.

Signed are the events of main that the checkpoint is over, and the chains of the runs that were
closed in these. Whatever else is in an export, anybody could have written who had it in hand; it is
counted, marked in every row, and verified only by whoever says that it may be there. Decides only;
does no I/O.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn
from zoneinfo import ZoneInfo

from forge_gdpr.chain import GENESIS, canonical, seal, written_time
from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in, sole_signer
from forge_gdpr.merkle import Tree
from forge_gdpr.outcomes import CLOSED, absence_in, meaning_of
from forge_gdpr.spreadsheet import csv_row
from forge_gdpr.strictjson import (
    MOST_IN_A_LINE,
    InvalidJsonError,
    are_same,
    event_in,
    is_time,
    value_in,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from forge_gdpr.checkpoints import Checkpoint, PublicKey

FORMAT: Final = "forge-gdpr export 3"
#: Of older exports, whose sheet has no words, or does not say what is signed; they are verified as
#: they are.
FIRST_FORMAT: Final = "forge-gdpr export 1"
SECOND_FORMAT: Final = "forge-gdpr export 2"
MAIN: Final = "main"
EVENTS: Final = "events.jsonl"  #: the evidence
SHEET: Final = "events.csv"  #: for convenience: what of the evidence lies in the period
MANIFEST: Final = "manifest.json"
#: For whoever has only the folder; they prove nothing, and the manifest lists them.
BESIDE: Final = ("HOWTO.md", "verify.py")

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
_SECOND_COLUMNS: Final = (*_FIRST_COLUMNS, "meaning", "absence")
#: The sheet's columns; what a body does not say is an empty cell. The last three say in words what
#: a closing means, how absence was shown, and whether the event is signed.
COLUMNS: Final = (*_SECOND_COLUMNS, "signed")
_FORMATS: Final[Mapping[str, Sequence[str]]] = {
    FIRST_FORMAT: _FIRST_COLUMNS,
    SECOND_FORMAT: _SECOND_COLUMNS,
    FORMAT: COLUMNS,
}
_CHECKPOINT: Final = "audit.checkpoint"
#: All that the event has in which a checkpoint is kept. Of these the actor alone is not signed.
_CHECKPOINT_NAMES: Final = frozenset({"actor", "at", "chain", "event", "note", "seq"})
#: Names of time zones that mean the same on every machine.
_ZONE: Final = re.compile(
    "UTC|GMT|(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Brazil|Canada|Chile|Etc"
    "|Europe|Indian|Mexico|Pacific|US)(/[0-9A-Za-z_+-]+){1,2}"
)
#: Names, or their beginnings, that each machine has for itself.
_OWN_ZONES: Final = frozenset({"localtime", "posixrules", "Factory", "posix", "right"})
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,64}")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What of an export is not signed."""

    events: Mapping[str, int]  #: how many by chain, of those that have any
    in_period: int  #: of them, in the period
    first: int | None  #: the number of the first of them in main
    open_runs: Sequence[str] = ()  #: that a signed event opens, and none closes
    checkpoints: int = 0  #: 1 if the event in which the checkpoint is kept is in the period, else 0

    def __str__(self) -> str:
        """What it is, for people."""
        main = self.events.get(MAIN, 0)
        runs = [run_id for run_id in self.events if run_id != MAIN]
        in_runs = sum(self.events.values()) - main
        parts = [
            f"{main} of main (from event {self.first})" if main else "",
            f"{in_runs} of runs that no signed event closes ({shortened(runs)})" if runs else "",
        ]
        return " and ".join(filter(None, parts))


def shortened(names: Sequence[str]) -> str:
    """Return some of the names, and how many are left out."""
    left = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {left} more" if left > 0 else "")


_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What an export was shown to be."""

    manifest: Mapping[str, Any]
    checkpoint: Checkpoint
    key: PublicKey  #: that has signed it
    tail: Tail


@dataclass(slots=True)
class _Chain:
    """One chain while it is read."""

    name: str
    seq: int = 0
    hash: str = GENESIS
    tree: Tree = field(default_factory=Tree)
    not_signed: int = 0


@dataclass(slots=True)
class _Run:
    """What main says of a run."""

    opened_at: str
    opened_seq: int
    closed_at: str | None = None
    closed_seq: int = 0
    length: object = None
    root: object = None

    def require_whole(self, chain: _Chain) -> None:
        """Refuse a chain that is not the one that was closed."""
        if not are_same([self.length, self.root], [chain.seq, chain.tree.root.hex()]):
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
        self._size = 0 if self._checkpoint is None else self._checkpoint.size
        self._runs: dict[str, _Run] = {}
        self._left: list[str] = []  # runs whose chains are still to come, the last one first
        self._chain = _Chain(MAIN)
        self._chains: list[dict[str, Any]] = []
        self._last_at: str | None = None  # of the last event of main that was not withheld
        self._gap = False  # whether events of main were withheld since
        self._has_begun = False  # whether one was at or after the period's beginning
        self._is_over = False  # whether events were withheld that must be after the period's end
        self._events = self._withheld = self._in_period = self._in_period_not_signed = 0
        self._checkpoints = 0
        self._first_not_signed: int | None = None
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
        body, previous, sealed = _parsed(line)
        self._lines.add(line)
        if body is None:
            self._withhold(sealed)
            return ""
        event = _event(body)
        if event["chain"] != self._chain.name:
            self._begin(event["chain"])
        chain = self._chain
        where = f"event {event['seq']} of {chain.name}"
        if event["seq"] != chain.seq + 1:
            raise InvalidExportError(f"{where} follows event {chain.seq}: one is missing, or added")
        if previous != chain.hash:
            raise InvalidExportError(f"{where} is not tied to the event before it")
        if sealed != seal(previous, body):
            raise InvalidExportError(f"{where} does not match its hash")
        if chain.name == MAIN:
            self._look(event, where)
        elif event.get("run_id") != chain.name:
            raise InvalidExportError(f"{where} is of another run")
        signed = self._signed(event)
        self._grow(sealed, is_signed=signed != "no")
        self._events += 1
        if not self._query.since <= event["at"] < self._query.until:
            return ""
        self._in_period += 1
        self._in_period_not_signed += signed == "no"
        self._checkpoints += signed == "checkpoint"
        cells = event | _words(event) | {"signed": signed}
        row = csv_row(cells.get(name) for name in self._columns)
        self._sheet.add(row)
        return row

    def manifest(
        self, *, issued_at: str, version: str, beside: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, Any]:
        """Return what the lines were, after the last one.

        Args:
            issued_at: the moment of the export.
            version: of the program.
            beside: size and SHA-256 of each file that lies beside the evidence.

        Raises:
            InvalidExportError: some are missing.
        """
        self._end()
        for run_id in reversed(self._left):
            self._require_empty(run_id)
        manifest = {
            "export": self._form,
            "issued_at": issued_at,
            "version": version,
            "query": asdict(self._query),
            "checkpoint": self._note,
            "events": self._events,
            "events_in_period": self._in_period,
            "events_withheld": self._withheld,
            "chains": self._chains,
            "files": {EVENTS: self._lines.as_json(), SHEET: self._sheet.as_json(), **beside},
        }
        if self._form == FORMAT:
            return manifest | {
                "events_not_signed": sum(self.tail.events.values()),
                "events_in_period_not_signed": self.tail.in_period,
            }
        signed = 0 if self._checkpoint is None else self._checkpoint.size + 1
        older = [{n: v for n, v in one.items() if n != "not_signed"} for one in self._chains]
        not_signed = max(0, self._chains[0]["last_seq"] - signed)
        return manifest | {"chains": older, "events_not_signed": not_signed}

    @property
    def tail(self) -> Tail:
        """What of the lines is not signed, after the last one."""
        counts = {one["chain"]: one["not_signed"] for one in self._chains if one["not_signed"]}
        return Tail(
            events=counts,
            in_period=self._in_period_not_signed,
            first=self._first_not_signed,
            checkpoints=self._checkpoints,
            open_runs=[
                run_id
                for run_id, run in self._runs.items()
                if run.opened_at < self._query.until
                and run.opened_seq <= self._size
                and not 0 < run.closed_seq <= self._size
            ],
        )

    def _signed(self, event: Mapping[str, Any]) -> str:
        """Say whether the checkpoint is over the next event: ``yes``, ``no``, or is in it."""
        if self._chain.name != MAIN:
            return "yes" if 0 < self._runs[self._chain.name].closed_seq <= self._size else "no"
        if event["seq"] <= self._size:
            return "yes"
        is_it = event["seq"] == self._size + 1 and self._is_checkpoint(event)
        return "checkpoint" if is_it else "no"

    def _is_checkpoint(self, event: Mapping[str, Any]) -> bool:
        """Say whether an event keeps the very checkpoint, and nothing besides."""
        return (
            self._checkpoint is not None
            and event.keys() == _CHECKPOINT_NAMES
            and (event["event"], event["note"]) == (_CHECKPOINT, self._note)
            and event["at"] == written_time(self._checkpoint.at)
            and isinstance(event["actor"], str)
        )

    def _withhold(self, sealed: str) -> None:
        if self._chain.name != MAIN:
            raise InvalidExportError(f"an event of run {self._chain.name} is withheld")
        self._gap = True
        self._withheld += 1
        self._grow(sealed, is_signed=self._chain.seq < self._size)

    def _grow(self, sealed: str, *, is_signed: bool) -> None:
        chain = self._chain
        if not is_signed:
            chain.not_signed += 1
            if chain.name == MAIN and self._first_not_signed is None:
                self._first_not_signed = chain.seq + 1
        chain.seq, chain.hash = chain.seq + 1, sealed
        chain.tree.add(bytes.fromhex(sealed))
        signed = self._checkpoint
        if chain.name != MAIN or signed is None or chain.seq != signed.size:
            return
        if (chain.tree.root, chain.hash) != (signed.root, signed.head):
            raise InvalidExportError(
                f"the first {chain.seq} events of main are not what was signed"
            )
        # No event that is not signed says where a signed one lies.
        self._require_no_gap(written_time(signed.at))
        self._gap = False

    def _look(self, event: Mapping[str, Any], where: str) -> None:
        """Note what an event of main says of runs and of time."""
        self._require_no_gap(event["at"])
        if self._is_over and event["at"] < self._query.until and event["seq"] <= self._size:
            self._refuse_gap()
        self._last_at, self._gap = event["at"], False
        self._has_begun = self._has_begun or event["at"] >= self._query.since
        run_id = event.get("run_id", "")
        match event["event"]:
            case "run.opened" if run_id not in {*self._runs, MAIN, ""}:
                self._runs[run_id] = _Run(event["at"], event["seq"])
            case "run.closed" if run_id in self._runs and self._runs[run_id].closed_at is None:
                run = self._runs[run_id]
                run.closed_at, run.closed_seq = event["at"], event["seq"]
                run.length, run.root = event.get("length"), event.get("root")
            case "run.opened" | "run.closed":
                raise InvalidExportError(f"{where} opens or closes run {run_id} again")
            case _:
                pass

    def _require_no_gap(self, at: str | None) -> None:
        """Let events be withheld only before the event before the period, or after the one after.

        Where a clock was set back, that is before the first event that is not before the period,
        and after the last one that is not after it.

        Args:
            at: of the next event; None: there is none.
        """
        if not self._gap:
            return
        before = at is not None and at < self._query.since and not self._has_begun
        after = self._last_at is not None and self._last_at >= self._query.until
        if not before and not after:
            self._refuse_gap()
        self._is_over = after

    def _refuse_gap(self) -> NoReturn:
        raise InvalidExportError(
            f"events of main are withheld that may lie in the period, up to event {self._chain.seq}"
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
                "not_signed": chain.not_signed,
            }
        )

    def _require_empty(self, run_id: str) -> None:
        """Let a run have no chain only if it recorded nothing."""
        run = self._runs[run_id]
        if run.closed_at is not None and not are_same(run.length, 0):
            raise InvalidExportError(f"run {run_id} with {run.length} events is missing")


def line_of(*, body: str, previous: str, sealed: str) -> str:
    """Return an event's line: the exact text that was hashed, and both hashes."""
    return _line({"body": body, "hash": sealed, "previous": previous})


def withheld_line(sealed: str) -> str:
    """Return the line of an event of which nothing is told but its hash."""
    return _line({"hash": sealed})


def query_of(*, first_day: date, last_day: date, zone: tzinfo) -> Query:
    """Return the question for some days of a controller.

    Args:
        first_day: the first one.
        last_day: the last one, inclusive.
        zone: in which its days begin.

    Raises:
        OverflowError: the calendar ends before.
    """
    midnight, day = time(tzinfo=zone), timedelta(days=1)
    return Query(
        first_day=first_day.isoformat(),
        last_day=last_day.isoformat(),
        time_zone=str(zone),
        since=written_time(datetime.combine(first_day, midnight)),
        until=written_time(datetime.combine(last_day + day, midnight)),
    )


def is_zone(name: str, *, form: str = FORMAT) -> bool:
    """Say whether an export may have a time zone by this name.

    Args:
        name: of the time zone.
        form: the export's format; older ones may have other names than ``Area/City``, too.
    """
    if form == FORMAT:
        return _ZONE.fullmatch(name) is not None
    return name.partition("/")[0] not in _OWN_ZONES


def manifest_in(text: str) -> Any:  # noqa: ANN401  # JSON
    """Return what the text of a manifest says.

    Raises:
        InvalidExportError: nothing that is taken as evidence.
    """
    try:
        return value_in(text)
    except InvalidJsonError as error:
        raise InvalidExportError(f"{MANIFEST}: {error}") from None


def require_files(names: Collection[str]) -> None:
    """Refuse a folder in which something is missing, or there is more than an export.

    Raises:
        InvalidExportError: it is no export, or not only.
    """
    missing = sorted({EVENTS, SHEET, MANIFEST}.difference(names))
    more = sorted(set(names).difference({EVENTS, SHEET, MANIFEST, *BESIDE}))
    if missing:
        raise InvalidExportError(f"{missing[0]} is missing")
    if more:
        raise InvalidExportError(f"there is more in it than an export: {more[0]!a}")


def verified(
    manifest: object,
    lines: Iterable[str],
    *,
    sheet_sha256: str,
    keys: Iterable[PublicKey],
    allow_unsigned_tail: bool = False,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> Verified:
    """Return what an export is, if its lines prove what its manifest says; needs no database.

    Args:
        manifest: its JSON.
        lines: of the evidence, each with its end.
        sheet_sha256: of the sheet, in hex.
        keys: that may have signed its checkpoint.
        allow_unsigned_tail: whether there may be events in it that are not signed.
        beside: size and SHA-256 of each file that lies beside the evidence.

    Raises:
        InvalidExportError: they do not.
    """
    form = manifest.get("export") if isinstance(manifest, dict) else None
    if not isinstance(manifest, dict) or not isinstance(form, str) or form not in _FORMATS:
        raise InvalidExportError("its manifest is none of this kind")
    note, issued_at, version = (manifest.get(n) for n in ("checkpoint", "issued_at", "version"))
    if note is None:
        raise InvalidExportError("it is not signed, so it could have been written anew")
    if not isinstance(note, str):
        raise InvalidExportError("its checkpoint: it is not text")
    try:
        key = sole_signer(note, keys)
    except InvalidCheckpointError as error:
        raise InvalidExportError(f"its checkpoint: {error}") from None
    if not is_time(issued_at) or not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InvalidExportError("its manifest does not say when it was issued, and by what")
    ledger = Ledger(_query(manifest.get("query"), form), note, form=form)
    for line in lines:
        ledger.add(line)
    expected = ledger.manifest(issued_at=str(issued_at), version=version, beside=beside)
    if not are_same(expected, manifest):
        names = [name for name in expected if not are_same(expected[name], manifest.get(name, {}))]
        raise InvalidExportError(
            "its manifest says something else than its events:"
            f" {', '.join(names) or 'there is more in it'}"
        )
    if expected["files"][SHEET]["sha256"] != sheet_sha256:
        raise InvalidExportError(f"{SHEET} does not say what {EVENTS} says")
    if ledger.tail.events and not allow_unsigned_tail:
        raise InvalidExportError(
            f"not signed are {ledger.tail}: anybody who had it in hand could have written them"
        )
    return Verified(manifest=expected, checkpoint=_checkpoint(note), key=key, tail=ledger.tail)


def _words(event: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what a closing means in words; a body says nothing under these names itself."""
    if event["event"] != CLOSED:
        return {"meaning": None, "absence": None}
    return {"meaning": meaning_of(event.get("outcome")), "absence": absence_in(event)}


def _line(parts: Mapping[str, str]) -> str:
    return f"{canonical(parts)}\n"


def _parsed(line: str) -> tuple[str | None, str, str]:
    """Return body, previous hash and hash of a line; no body if it is withheld."""
    try:
        value = value_in(line, most=MOST_IN_A_LINE)
    except InvalidJsonError as error:
        raise InvalidExportError(f"it holds a line that is none: {error}") from None
    match value:
        case {"body": str(text), "previous": str(previous), "hash": str(sealed), **more}:
            body: str | None = text
        case {"hash": str(sealed), **more}:
            body, previous = None, GENESIS
        case _:
            raise InvalidExportError("it holds a line that is none")
    if more:
        raise InvalidExportError("it holds a line with more in it than belongs there")
    if _line(value) != line:
        raise InvalidExportError("it holds a line that is not in canonical form")
    try:
        seal(previous, "")
        seal(sealed, "")
    except ValueError:
        raise InvalidExportError("it holds a line whose hashes are none") from None
    return body, previous, sealed


def _event(body: str) -> dict[str, Any]:
    try:
        return event_in(body)
    except InvalidJsonError as error:
        raise InvalidExportError(f"it holds an event that is none: {error}") from None


def _query(asked: Any, form: str) -> Query:  # noqa: ANN401  # JSON
    """Return a manifest's question, if its days are the moments that it names."""
    try:
        first_day, last_day = (date.fromisoformat(asked[n]) for n in ("first_day", "last_day"))
        query = query_of(first_day=first_day, last_day=last_day, zone=ZoneInfo(asked["time_zone"]))
    except (TypeError, ValueError, OverflowError, KeyError, OSError):
        raise InvalidExportError("its manifest does not say what was asked for") from None
    if not is_zone(query.time_zone, form=form):
        raise InvalidExportError("its manifest does not say what was asked for: its time zone")
    if not are_same(asdict(query), asked) or query.since >= query.until:
        raise InvalidExportError("its manifest names another period than its days and time zone")
    return query


def _checkpoint(note: str) -> Checkpoint:
    try:
        return checkpoint_in(note)
    except InvalidCheckpointError as error:
        raise InvalidExportError(f"its checkpoint: {error}") from None
