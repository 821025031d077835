"""Checkpoints in the record: signed over the main chain, kept in it as its next event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from forge_gdpr.audit.events import MAIN, Entry, EventName
from forge_gdpr.audit.history import newest_body
from forge_gdpr.audit.record import append, head_of, lock_main
from forge_gdpr.audit.rollback import NO_COPIES, changed, own_checkpoint, require_continued
from forge_gdpr.checkpoints import Checkpoint, checkpoint_in
from forge_gdpr.database.tables import audit_events
from forge_gdpr.merkle import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from forge_gdpr.audit.rollback import Copies
    from forge_gdpr.checkpoints import SigningKey


def hashes(connection: Connection, chain: str, *, until: int | None = None) -> Iterator[bytes]:
    """Yield the hashes of a chain's events in order: the leaves of its Merkle tree.

    Args:
        connection: in a transaction.
        chain: its name.
        until: the last event's number; None: to the end.
    """
    wanted = select(audit_events.c.hash).where(audit_events.c.chain == chain)
    if until is not None:
        wanted = wanted.where(audit_events.c.seq <= until)
    ordered = wanted.order_by(audit_events.c.seq).execution_options(yield_per=5000)
    with connection.execute(ordered) as rows:
        for found in rows.scalars():
            yield bytes.fromhex(found)


def tree_of(connection: Connection, chain: str) -> Tree:
    """Return the Merkle tree over a chain as it is now."""
    tree = Tree()
    for found in hashes(connection, chain):
        tree.add(found)
    return tree


def sign(
    connection: Connection, key: SigningKey, *, actor: str, at: datetime, copies: Copies = NO_COPIES
) -> str | None:
    """Sign the main chain as it is now, keep the checkpoint in it, and return it.

    Args:
        connection: in a writing transaction.
        key: signs.
        actor: who asked for it.
        at: the database's clock.
        copies: the checkpoints that were kept outside the database.

    Returns:
        The signed note; None if there is nothing to sign yet.

    Raises:
        AuditBrokenError: it would contradict an older checkpoint.
        ConfigurationError: checkpoints were kept, and none of them can be checked.
    """
    lock_main(connection)
    older = require_continued(connection, copies)
    head = head_of(connection, MAIN)
    if head.seq == 0:
        return None
    checkpoint = Checkpoint(
        origin=key.name,
        size=head.seq,
        root=_root_beyond(connection, older),
        head=head.hash,
        at=at,
    )
    note = key.signed(checkpoint.text)
    entry = Entry(event=EventName.CHECKPOINT, actor=actor, details={"note": note})
    append(connection, head, [entry], at=at)
    return note


def _root_beyond(connection: Connection, older: Sequence[Checkpoint]) -> bytes:
    """Return the root of the main chain, which has to extend the trees of older checkpoints.

    Raises:
        AuditBrokenError: it does not.
    """
    tree = Tree()
    for found in hashes(connection, MAIN):
        tree.add(found)
        for checkpoint in older:
            if checkpoint.size == tree.size and checkpoint.root != tree.root:
                raise changed(checkpoint)
    return tree.root


def sign_newer(
    connection: Connection, key: SigningKey, *, actor: str, at: datetime, copies: Copies = NO_COPIES
) -> str | None:
    """Sign the main chain as `sign` does, if it has events that its newest checkpoint is not over.

    Args:
        connection: in a writing transaction.
        key: signs.
        actor: who asked for it.
        at: the database's clock.
        copies: the checkpoints that were kept outside the database.

    Returns:
        The new checkpoint, a signed note; None if there is nothing to sign.
    """
    lock_main(connection)
    note = own_checkpoint(connection)
    signed = 0 if note is None else checkpoint_in(note).size + 1  # itself is the next event
    if head_of(connection, MAIN).seq == signed:
        return None
    return sign(connection, key, actor=actor, at=at, copies=copies)


def newest(connection: Connection) -> str | None:
    """Return the newest checkpoint of the record; None if it has none."""
    body = newest_body(connection, chain=MAIN, event=EventName.CHECKPOINT)
    return None if body is None else str(body.get("note"))
