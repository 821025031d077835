"""The evidence of one closed request: its events in the record, and their way to a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from forge_gdpr.audit.checkpoints import hashes, newest
from forge_gdpr.audit.events import MAIN, EventName
from forge_gdpr.audit.history import ENDS
from forge_gdpr.certificates import Evidence, InvalidCertificateError, Proven, in_order
from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import AuditBrokenError, ConfigurationError, InvalidInputError
from forge_gdpr.merkle import path_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from forge_gdpr.checkpoints import Checkpoint

_E: Final = audit_events.c
_ROW: Final[Any] = select(_E.chain, _E.seq, _E.run_id, _E.event, _E.previous, _E.body)


def evidence_of(connection: Connection, request_id: int) -> Evidence:
    """Return the evidence of a closed request.

    Args:
        connection: in a reading transaction.
        request_id: of the request.

    Raises:
        InvalidInputError: the record does not know it, or it is not closed.
        ConfigurationError: no signed checkpoint is over all of it.
        InvalidCertificateError: the record contradicts itself.
    """
    events = _of_request(connection, request_id)
    run_ids = sorted({row.chain for row in events if row.chain != MAIN})
    runs = _runs(connection, run_ids)
    note = newest(connection)
    needed = [row.seq for row in events if row.chain == MAIN]
    needed += [row.seq for pair in runs.values() for row in pair.values()]
    checkpoint = _covering(note, max(needed))
    leaves = {MAIN: list(hashes(connection, MAIN, until=checkpoint.size))}
    for run_id, pair in runs.items():
        closed = pair[EventName.RUN_CLOSED]
        length = Proven(previous=closed.previous, body=closed.body, path=()).said.get("length")
        leaves[run_id] = list(hashes(connection, run_id, until=length))

    def proven(row: Row[Any]) -> Proven:
        try:
            path = path_to(row.seq - 1, leaves[row.chain])
        except IndexError:
            raise InvalidCertificateError(
                f"event {row.seq} of {row.chain} is not in what was closed or signed"
            ) from None
        return Proven(previous=row.previous, body=row.body, path=[one.hex() for one in path])

    return Evidence(
        checkpoint=str(note),
        events=in_order(map(proven, events)),
        runs=[
            (proven(pair[EventName.RUN_OPENED]), proven(pair[EventName.RUN_CLOSED]))
            for pair in runs.values()
        ],
    )


def _of_request(connection: Connection, request_id: int) -> Sequence[Row[Any]]:
    wanted = _ROW.where(_E.request_id == request_id)
    rows = connection.execute(wanted.order_by(_E.id)).all()
    if not rows:
        raise InvalidInputError(
            f"the record has nothing about a request {request_id}: see 'forge-gdpr requests list'"
        )
    if not any(row.event in ENDS for row in rows):
        raise InvalidInputError(
            f"request {request_id} is not closed, so there is nothing to certify yet: see"
            f" 'forge-gdpr requests explain {request_id}'"
        )
    return rows


def _runs(connection: Connection, run_ids: Sequence[str]) -> dict[str, dict[str, Row[Any]]]:
    """Return the opening and the closing of each run, by its id, in their order."""
    wanted = _ROW.where(
        _E.chain == MAIN,
        _E.run_id.in_(run_ids),
        _E.event.in_((EventName.RUN_OPENED, EventName.RUN_CLOSED)),
    )
    found: dict[str, dict[str, Row[Any]]] = {run_id: {} for run_id in run_ids}
    for row in connection.execute(wanted):
        found[row.run_id][row.event] = row
    for run_id, pair in found.items():
        if EventName.RUN_CLOSED not in pair:
            raise ConfigurationError(
                f"run {run_id} has not closed yet: wait until it ends, or until the next run has"
                " repaired what it left"
            )
        if EventName.RUN_OPENED not in pair:
            raise InvalidCertificateError(f"run {run_id} closes and was never opened")
    return found


def _covering(note: str | None, seq: int) -> Checkpoint:
    advice = "set FORGE_GDPR_SIGNING_KEY_FILE and run 'forge-gdpr audit checkpoint'"
    if note is None:
        raise ConfigurationError(f"the record is not signed: {advice}")
    try:
        checkpoint = checkpoint_in(note)
    except InvalidCheckpointError as error:
        raise AuditBrokenError(
            f"the newest checkpoint in the record: {error}; run 'forge-gdpr audit verify'"
        ) from None
    if checkpoint.size < seq:
        raise ConfigurationError(
            f"the newest checkpoint is over {checkpoint.size} events of main, and event {seq} is"
            f" needed: {advice}"
        )
    return checkpoint
