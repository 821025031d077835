"""Whether today's record goes on from what was signed before. Decides only; does no I/O.

A database that was restored from a backup is whole in itself, and has lost its end. A checkpoint
that was kept elsewhere shows it: each event's hash covers the one before it, so a record extends a
checkpoint over its first ``size`` events if, and only if, event ``size`` still has that hash. That
is one read, however long the record is; the Merkle roots (RFC 6962 §2.1.2) are compared when all
leaves are read anyhow, which is before anything is signed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in, is_whole, require_signed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from forge_gdpr.checkpoints import Checkpoint, PublicKey

#: The lines of a note between its first and its signatures.
_MIDDLE: Final = tuple(
    map(re.compile, (r"[0-9]+", r"[A-Za-z0-9+/=]+", r"head [0-9a-f]+", r"time \S+", ""))
)
_SIGNATURE: Final = re.compile(r"— (\S+) \S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The checkpoints that were kept outside the database, as far as they count."""

    newest: Checkpoint | None = None  #: over the most events
    last: str | None = None  #: the digest of the last note there is, which stands for all of them
    is_unknown: bool = False  #: there are some of this record, and no key here has signed any


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
        notes: that were kept.
        lost: digests of notes whose history was lost in a restore, on record: what was kept up to
            one of them counts no more.
    """
    excused = max((n for n, note in enumerate(notes, start=1) if digest(note) in lost), default=0)
    return notes[excused:]


def kept(notes: Sequence[str], *, keys: Sequence[PublicKey], lost: Collection[str]) -> Kept:
    """Return which of these checkpoints the record has to extend.

    Args:
        notes: in the order in which they were kept.
        keys: that may have signed; none: whoever did.
        lost: see `standing`.
    """
    names = {key.name for key in keys}
    ours = []
    for note in standing(notes, lost=lost):
        if not is_whole(note):
            continue
        checkpoint = checkpoint_in(note)
        if not keys or checkpoint.origin in names:  # else of another record that shares the file
            ours.append((checkpoint, note))
    ours.sort(key=lambda pair: pair[0].size, reverse=True)
    newest = next((checkpoint for checkpoint, note in ours if _is_signed(note, keys)), None)
    return Kept(
        newest=newest,
        last=digest(notes[-1]) if notes else None,
        is_unknown=newest is None and bool(ours),
    )


def rupture(
    checkpoint: Checkpoint, *, length: int, hash_then: str | None, lost: str | None = None
) -> Rupture | None:
    """Return how today's record contradicts a checkpoint; None if it extends it.

    Args:
        checkpoint: signed before.
        length: of today's main chain.
        hash_then: of its event number ``checkpoint.size``; None if it has none.
        lost: the digest of the last note that was kept.
    """
    if hash_then == checkpoint.head:
        return None
    return Rupture(checkpoint=checkpoint, length=length, lost=lost)


def _is_signed(note: str, keys: Sequence[PublicKey]) -> bool:
    if not keys:
        return True
    try:
        require_signed(note, keys)
    except InvalidCheckpointError:
        return False
    return True
