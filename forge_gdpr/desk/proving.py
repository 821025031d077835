"""What the record says about one person, who is known only by pseudonym. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from forge_gdpr.audit.events import EventName
from forge_gdpr.audit.history import ENDS, used_keys
from forge_gdpr.database.tables import audit_events
from forge_gdpr.desk.finding import of_person

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from forge_gdpr.pseudonyms import Keyring

_E = audit_events.c


class Answer(StrEnum):
    """What became of a person's request."""

    ERASED = "erased"  #: the outcome says how
    CANCELLED = "cancelled"
    REFUSED = "refused"
    OPEN = "open"


_ANSWERS: Final = {
    EventName.REQUEST_CLOSED: Answer.ERASED,
    EventName.REQUEST_CANCELLED: Answer.CANCELLED,
    EventName.REQUEST_REFUSED: Answer.REFUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One request of the person."""

    request_id: int
    answer: Answer
    outcome: str | None = None
    closed_at: datetime | None = None

    @property
    def line(self) -> str:
        """What it says for people."""
        if self.closed_at is None:
            return f"{self.answer}: request {self.request_id}"
        how = "" if self.outcome in {None, self.answer} else f" ({self.outcome})"
        return f"{self.answer}{how}: request {self.request_id}, {self.closed_at:%Y-%m-%d %H:%M} UTC"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "request_id": self.request_id,
            "answer": self.answer.value,
            "outcome": self.outcome,
            "closed_at": None if self.closed_at is None else self.closed_at.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of the person."""

    found: Sequence[Found]
    retired: Sequence[str]  #: key ids of the record that are not live: under them nobody is found


def known_of(
    connection: Connection, keys: Keyring, *, user_id: str | None, email: str | None
) -> Known:
    """Return what became of a person's requests, under every live key.

    Args:
        connection: in a reading transaction.
        keys: that are live.
        user_id: the person's id at Forge, or None.
        email: else their e-mail.
    """
    ids = of_person(connection, keys, user_id=user_id, email=email)
    rows = connection.execute(
        select(_E.request_id, _E.event, _E.outcome, _E.at).where(
            _E.request_id.in_(ids), _E.event.in_(ENDS)
        )
    )
    closed = {
        row.request_id: Found(
            request_id=row.request_id,
            answer=_ANSWERS[row.event],
            outcome=row.outcome,
            closed_at=row.at,
        )
        for row in rows
    }
    return Known(
        found=[closed.get(one) or Found(request_id=one, answer=Answer.OPEN) for one in ids],
        retired=sorted(one for one in used_keys(connection) if not keys.has(one)),
    )
