"""Noticing that the database came back from a backup: it has to extend what was signed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from forge_gdpr import continuity
from forge_gdpr.audit.events import MAIN, EventName
from forge_gdpr.audit.history import newest_body
from forge_gdpr.audit.record import head_of
from forge_gdpr.chain import canonical
from forge_gdpr.checkpoints import checkpoint_in
from forge_gdpr.continuity import kept, notes_among
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import AuditBrokenError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from forge_gdpr.chain import Json
    from forge_gdpr.checkpoints import Checkpoint, PublicKey
    from forge_gdpr.continuity import Rupture

#: How the record names this guard where somebody went on after a restore.
GUARD: Final = "restore"

#: Events looked up at once.
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Where checkpoints are kept outside the database, and who may have signed them."""

    file: Path | None = None  #: CHECKPOINT_FILE
    read: Callable[[], str | None] = field(
        default=lambda: ""
    )  #: its text, as it is now; None: it is not there
    keys: Sequence[PublicKey] = ()  #: none: whoever signed them
    may_be_missing: bool = False  #: also where the record is signed, so that there was a file once

    def as_now(self) -> Copies:
        """Return them as they are now, to be compared with a snapshot that is taken after this.

        No checkpoint is kept before it is in the record.
        """
        text = self.read()
        return replace(self, read=lambda: text)


#: There are none, or nobody says where.
NO_COPIES: Final = Copies()


def compared(connection: Connection, copies: Copies) -> tuple[list[Checkpoint], Rupture | None]:
    """Return the newest checkpoints that are known, and how the record contradicts what was kept.

    Args:
        connection: in a transaction that began after the copies were read, or holds the main chain.
        copies: the checkpoints that were kept.

    Returns:
        The record's own and those that were kept, as far as there are any; and None if the record
        extends it and all that were kept and count.

    Raises:
        AuditBrokenError: it contradicts its own newest checkpoint, which no restore does.
        ConfigurationError: the key that signed this record's is not known here, or no file of them
            is there although there must have been one.
    """
    text = copies.read()
    own = own_checkpoint(connection)
    newest = [] if own is None else [checkpoint_in(own)]
    for checkpoint in newest:
        if _hashes(connection, [checkpoint.size]).get(checkpoint.size) != checkpoint.head:
            raise changed(checkpoint)
    if text is None and own is not None and not copies.may_be_missing:
        make = f"install -m 600 /dev/null {quote(str(copies.file))}"
        raise ConfigurationError(
            f"FORGE_GDPR_CHECKPOINT_FILE={copies.file} is not there, though the record is signed,"
            " so nobody can say whether this database is as it was: mount it or put it back; if"
            f" copies are kept from today on, run '{make}' once"
        )
    notes = notes_among(text or "")
    outside = kept(notes, lost=lost_notes(connection) if notes else ())
    comparison = continuity.compared(
        outside,
        keys=copies.keys,
        hashes=_hashes(connection, outside.sizes),
        length=head_of(connection, MAIN).seq,
        own=own,
    )
    if comparison.unknown is not None:
        raise ConfigurationError(
            f"checkpoints of this record are signed by {comparison.unknown}, which is not known"
            " here, so nobody can say whether this database is as it was: add the public key that"
            " signed them to FORGE_GDPR_PUBLIC_KEY_FILE"
        )
    return [*newest, *comparison.newest], comparison.rupture


def require_continued(connection: Connection, copies: Copies) -> list[Checkpoint]:
    """Return the newest checkpoints that are known: what is signed next has to extend them.

    Raises:
        AuditBrokenError: the record does not extend them.
        ConfigurationError: checkpoints were kept, and none of them can be checked.
    """
    newest, found = compared(connection, copies)
    if found is not None:
        raise refused(found)
    return newest


def changed(checkpoint: Checkpoint) -> AuditBrokenError:
    """Return the error that the record contradicts a checkpoint as no restore explains it."""
    return AuditBrokenError(
        f"the record's first {checkpoint.size} events are not those that its checkpoint of"
        f" {checkpoint.at:%Y-%m-%d %H:%M} UTC covers: the record was changed, and nothing was"
        " signed; see 'forge-gdpr audit verify', keep the database as it is and tell the compliance"
        " officer"
    )


def refused(found: Rupture) -> AuditBrokenError:
    """Return the error that nothing was done for this."""
    return AuditBrokenError(
        f"{found.why}; nobody was deleted and nothing was signed: make again what people did since"
        " (README, After a restore), then run once with --after-restore --reason CODE"
    )


def acceptance(found: Rupture) -> dict[str, Json]:
    """Return what the record says when somebody goes on in spite of it."""
    return {
        "guard": GUARD,
        "events": found.length,
        "signed": found.checkpoint.size,
        "head": found.checkpoint.head,
        "lost": found.lost,
    }


def own_checkpoint(connection: Connection) -> str | None:
    """Return the newest checkpoint in the record, a signed note; None if it is none."""
    try:
        body = newest_body(connection, chain=MAIN, event=EventName.CHECKPOINT)
        note = "" if body is None else str(body.get("note"))
        checkpoint_in(note)
    except ValueError:
        return None  # it is none; `audit verify` finds it
    return note


def _hashes(connection: Connection, sizes: Sequence[int]) -> dict[int, str]:
    """Return the hashes of events of the main chain, by their numbers: each read by its index."""
    hashes = {}
    for start in range(0, len(sizes), _PAGE):
        rows = connection.execute(
            select(audit_events.c.seq, audit_events.c.hash).where(
                audit_events.c.chain == MAIN,
                audit_events.c.seq.in_(sizes[start : start + _PAGE]),
            )
        )
        hashes.update({row.seq: row.hash for row in rows})
    return hashes


def lost_notes(connection: Connection) -> set[str]:
    """Return the digests of the notes whose history was lost, as the record accepted it."""
    mark = canonical({"guard": GUARD}).strip("{}")
    bodies = connection.execute(
        select(audit_events.c.body).where(
            audit_events.c.chain == MAIN,
            audit_events.c.event == EventName.GUARD_OVERRIDDEN,
            audit_events.c.body.contains(mark),
        )
    ).scalars()
    accepted = (json.loads(body) for body in bodies)
    return {str(body.get("lost")) for body in accepted if body.get("guard") == GUARD}
