"""Whether today's record goes on from what was signed before. Decides only; does no I/O.

A database that was restored from a backup is whole in itself, and has lost its end. A checkpoint
that was kept elsewhere shows it: each event's hash covers the one before it, so a record extends a
checkpoint over its first ``size`` events if, and only if, event ``size`` still has that hash. That
is one look into an index, however long the record is; the Merkle roots (RFC 6962 §2.1.2) are
compared when all leaves are read anyhow, which is before anything is signed.

The record has to extend every checkpoint that was kept and counts, not only the one over the most
events: a history that was given up after a restore may be longer than the one that went on, and
when it comes back, it extends its own checkpoints and not those that were kept since.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

from forge_gdpr.checkpoints import (
    InvalidCheckpointError,
    checkpoint_in,
    is_whole,
    require_signed,
    signers_in,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from forge_gdpr.checkpoints import Checkpoint, PublicKey

#: The lines of a note between its first and its signatures.
_MIDDLE: Final = tuple(
    map(re.compile, (r"[0-9]+", r"[A-Za-z0-9+/=]+", r"head [0-9a-f]+", r"time \S+", ""))
)
_SIGNATURE: Final = re.compile(r"— (\S+) \S+")


@dataclass(frozen=True, slots=True)
class Copy:
    """A checkpoint that was kept outside the database."""

    note: str
    checkpoint: Checkpoint

    def is_extended(self, hashes: Mapping[int, str]) -> bool:
        """Say whether a record with these hashes, by their numbers, extends it."""
        return hashes.get(self.checkpoint.size) == self.checkpoint.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The checkpoints that were kept outside the database, as far as they count."""

    copies: Sequence[Copy] = ()  #: in the order in which they were kept
    last: str | None = None  #: the digest of the last note there is, which stands for all of them

    @property
    def sizes(self) -> list[int]:
        """The numbers of the events whose hashes tell whether a record extends them."""
        return sorted({copy.checkpoint.size for copy in self.copies})


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the checkpoints that were kept say of today's record."""

    newest: Sequence[Checkpoint] = ()  #: the last one kept and the one over the most events
    rupture: Rupture | None = None
    unknown: str | None = None  #: whose key has signed this record's, and is not known here


@dataclass(frozen=True, slots=True, kw_only=True)
class Rupture:
    """Today's record is not what was signed."""

    checkpoint: Checkpoint
    length: int  #: of today's main chain
    lost: str | None  #: the digest of the last note; accepted, it excuses all up to it

    @property
    def why(self) -> str:
        """What happened, for the engineer on duty."""
        signed = f"{self.checkpoint.at:%Y-%m-%d %H:%M} UTC"
        if self.length < self.checkpoint.size:
            return (
                f"the record ends at event {self.length}, and the checkpoint of {signed} covers"
                f" {self.checkpoint.size}: this database is older than what was signed, as after a"
                " restore"
            )
        return (
            f"event {self.checkpoint.size} of the record is not the one that the checkpoint of"
            f" {signed} covers: this database was restored and went on, or was rewritten"
        )


def notes_among(text: str) -> list[str]:
    """Return the notes in a file to which they were appended, whatever else is in it.

    A note that is torn is none, and spoils no other, also where the next one begins in its last
    line: that it begins there is known by who has signed it.
    """
    lines = text.split("\n")
    notes = []
    for start, first in enumerate(lines):
        end = start + 1 + len(_MIDDLE)
        middle = lines[start + 1 : end]
        if len(middle) < len(_MIDDLE) or not all(map(re.Pattern.fullmatch, _MIDDLE, middle)):
            continue
        signatures = list(takewhile(bool, map(_SIGNATURE.fullmatch, islice(lines, end, None))))
        names = [match[1] for match in signatures if match and first.endswith(match[1])]
        if names:
            signed = [match[0] for match in signatures if match]
            notes.append("".join(f"{line}\n" for line in (names[0], *middle, *signed)))
    return notes


def digest(note: str) -> str:
    """Return what names a note in the record, as 64 hex digits."""
    return hashlib.sha256(note.encode()).hexdigest()


def standing(notes: Sequence[str], *, lost: Collection[str]) -> Sequence[str]:
    """Return those of the notes, in the order in which they were kept, that still count.

    Args:
        notes: that were kept. One that was kept twice was kept when it first was.
        lost: digests of notes whose history was lost in a restore, on record: what was kept up to
            one of them counts no more.
    """
    once = list(dict.fromkeys(notes))
    excused = max((n for n, note in enumerate(once, start=1) if digest(note) in lost), default=0)
    return once[excused:]


def kept(notes: Sequence[str], *, lost: Collection[str] = ()) -> Kept:
    """Return which of these checkpoints count, whoever has signed them.

    Args:
        notes: in the order in which they were kept.
        lost: see `standing`.
    """
    counting = [note for note in standing(notes, lost=lost) if is_whole(note)]
    return Kept(
        copies=[Copy(note, checkpoint_in(note)) for note in counting],
        last=digest(list(dict.fromkeys(notes))[-1]) if notes else None,
    )


def compared(
    outside: Kept,
    *,
    keys: Sequence[PublicKey],
    hashes: Mapping[int, str],
    length: int,
    own: str | None = None,
) -> Comparison:
    """Compare the checkpoints that were kept with today's record, which has to extend all of ours.

    Ours are those whose first line names a key that may sign. Of another record that shares the
    file are the others, unless they are over events of this one: then their key is missing here,
    and without it nobody would notice that the record does not extend them any more.

    Args:
        outside: the checkpoints that were kept.
        keys: that may have signed; none: whoever did.
        hashes: of the record's events, by their numbers: at least of those in ``outside.sizes``.
        length: of today's main chain.
        own: the newest checkpoint in the record, a signed note.
    """
    names = {key.name for key in keys}
    ours = [copy for copy in outside.copies if not keys or copy.checkpoint.origin in names]
    latest = next((copy for copy in reversed(ours) if _is_signed(copy.note, keys)), None)
    unknown = _unknown(outside, keys=keys, hashes=hashes, own=own)
    if unknown is None and latest is None and ours:
        unknown = signers_in(ours[-1].note)[0]
    if latest is None or unknown is not None:
        return Comparison(unknown=unknown)
    for copy in reversed(ours):
        if not copy.is_extended(hashes) and _is_signed(copy.note, keys):
            return Comparison(
                rupture=Rupture(checkpoint=copy.checkpoint, length=length, lost=outside.last)
            )
    by_size = sorted(ours, key=lambda copy: copy.checkpoint.size, reverse=True)
    longest = next(copy for copy in by_size if _is_signed(copy.note, keys))
    return Comparison(newest=list(dict.fromkeys([latest.checkpoint, longest.checkpoint])))


def _unknown(
    outside: Kept, *, keys: Sequence[PublicKey], hashes: Mapping[int, str], own: str | None
) -> str | None:
    """Return who has signed checkpoints of this record and is not known here, as ``name+id``."""
    if not keys:
        return None
    known = {f"{key.name}+{key.id}" for key in keys}
    of_record = [copy.note for copy in outside.copies if copy.is_extended(hashes)]
    if own is not None and outside.copies:
        of_record.append(own)
    for note in reversed(of_record):
        signers = signers_in(note)
        if known.isdisjoint(signers):
            return signers[0]
    return None


def _is_signed(note: str, keys: Sequence[PublicKey]) -> bool:
    if not keys:
        return True
    try:
        require_signed(note, keys)
    except InvalidCheckpointError:
        return False
    return True
