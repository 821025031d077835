"""What is recorded: the names of events, and one event before it is part of a chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from forge_gdpr.chain import written_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from forge_gdpr.chain import Json

#: The chain of run openings, run closings and what operators did. Each run has its own besides.
MAIN: Final = "main"


class EventName(StrEnum):
    """What happened; log lines use the same names."""

    RUN_OPENED = "run.opened"
    RUN_CLOSED = "run.closed"
    REQUEST_ADMITTED = "request.admitted"
    ATTEMPT_STARTED = "attempt.started"
    ATTEMPT_FINISHED = "attempt.finished"
    REQUEST_CLOSED = "request.closed"
    REQUEST_HELD = "request.held"
    REQUEST_RELEASED = "request.released"
    REQUEST_CANCELLED = "request.cancelled"
    REQUEST_REFUSED = "request.refused"
    REQUEST_EXTENDED = "request.extended"
    REQUEST_APPROVED = "request.approved"
    REQUEST_RETRIED = "request.retried"
    GUARD_OVERRIDDEN = "guard.overridden"
    CHECKPOINT = "audit.checkpoint"
    VERIFIED = "audit.verified"
    RETENTION_APPLIED = "retention.applied"


class Ended(StrEnum):
    """How an attempt ended, beside its outcome: ``ended`` in an ``attempt.finished``."""

    ANSWERED = "answered"
    GIVEN_BACK = "given_back"  #: stopped before Forge's word; the attempt does not count
    CRASHED = "crashed"  #: the run died; whether Forge was reached is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event that is about to be recorded. Holds no e-mail, name, user id or key.

    The named fields have columns of their own; ``details`` are in the body only.
    """

    event: EventName
    run_id: str | None = None
    request_id: int | None = None
    subject: str | None = None
    actor: str | None = None
    outcome: str | None = None
    attempt: int | None = None
    http_status: int | None = None
    details: Mapping[str, Json] = field(default_factory=dict)


#: The columns that say the same as the body, in the table's order; null where not applicable.
COLUMNS: Final = (
    "event",
    "run_id",
    "request_id",
    "subject",
    "actor",
    "outcome",
    "attempt",
    "http_status",
)


def body_of(entry: Entry, *, chain: str, seq: int, at: datetime) -> dict[str, Json]:
    """Return an event's body: its place in the chain, its columns that apply, its details."""
    body: dict[str, Json] = dict(entry.details)
    for name in COLUMNS:
        value = getattr(entry, name)
        if value is not None:
            body[name] = value
    return body | {"chain": chain, "seq": seq, "at": written_time(at)}
